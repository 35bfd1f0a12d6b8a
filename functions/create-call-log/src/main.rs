//! AWS Lambda function: `POST /callLog`.

use call_log::api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve(&api::CREATE_CALL_LOG).await
}
