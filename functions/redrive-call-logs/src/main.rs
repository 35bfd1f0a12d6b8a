//! AWS Lambda function that runs once a minute: delivers calls and updates that could not be delivered before.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve_redrive().await
}
