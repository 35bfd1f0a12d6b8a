//! AWS Lambda function for what the App Connect extension asks with a token, beside logging calls.

use call_log::api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve(api::EXTENSION_ROUTES).await
}
