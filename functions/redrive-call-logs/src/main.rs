//! AWS Lambda function, invoked once a minute: delivers what could not be delivered when it was requested.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve_redrive().await
}
