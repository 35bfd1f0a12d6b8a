//! AWS Lambda function: `PATCH /callLog`.

use call_log::api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve(&api::UPDATE_CALL_LOG).await
}
