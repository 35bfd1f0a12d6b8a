//! AWS Lambda function for what needs no token: connecting a CRM account, and facts about the server.

use call_log::api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::serve(api::OPEN_ROUTES).await
}
