//! AWS Lambda function for `PATCH /callLog`: updates the log of a call.

use call_log::api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve(&[&api::UPDATE_CALL_LOG]).await
}
