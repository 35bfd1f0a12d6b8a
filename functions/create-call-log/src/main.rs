//! AWS Lambda function for `POST /callLog`: logs a call.

use call_log::api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve(&[&api::CREATE_CALL_LOG]).await
}
