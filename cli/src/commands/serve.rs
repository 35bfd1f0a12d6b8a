//! `call-log serve`: everything on one machine, until Ctrl-C.

use call_log::model::Clock;

use super::{Failure, say};
use crate::{
    arguments::Serve,
    local::{Local, Options},
};

pub(super) async fn run(serve: Serve) -> Result<(), Failure> {
    let data_dir = (!serve.in_memory).then_some(serve.data_dir);
    let options = Options {
        port: serve.port,
        dynamodb_port: serve.dynamodb_port,
        data_dir: data_dir.clone(),
        clock: Clock::System,
    };
    let local = Local::start(options).await?;
    tokio::select! {
        // First, so that Ctrl-C is heard before anybody is told of it.
        biased;
        () = end_at_ctrl_c() => Ok(()),
        ended = announce_and_serve(local, data_dir.as_deref()) => ended,
    }
}

/// Ends the process as a crash would, of which nothing is lost: what is under way would only complain that it was
/// dropped.
async fn end_at_ctrl_c() {
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(0);
    }
    std::future::pending().await
}

async fn announce_and_serve(local: Local, data_dir: Option<&std::path::Path>) -> Result<(), Failure> {
    announce(&local, data_dir)?;
    local.serve().await;
    Err("the server ended".into())
}

fn announce(local: &Local, data_dir: Option<&std::path::Path>) -> std::io::Result<()> {
    let Local { url, dynamodb_url, table, user, jwt_secret, key_file, .. } = local;
    let kept = data_dir.map_or("nothing is kept".to_owned(), |path| format!("kept in {}", path.display()));
    let token = local.token();
    say(format!(
        r#"call-log is running; {kept}. Stop it with Ctrl-C.

Page      {url}/
Routes    POST and PATCH {url}/callLog
DynamoDB  {dynamodb_url}, table {table}
User      {user}, with the Example CRM
Token     {token}

Log a call of your own:

curl -s '{url}/callLog?jwtToken={token}' -H 'content-type: application/json' -d '{{
  "logInfo": {{"sessionId": "1001", "direction": "Inbound", "startTime": "2026-03-12T15:45:25Z", "duration": 65,
    "result": "Accepted", "from": {{"phoneNumber": "+16504445566", "name": "John Smith"}}, "to": {{"name": "Jane"}}}},
  "note": "Wants a quote", "contactId": "c-2", "contactName": "John Smith"}}'

For the functions beside it (cargo lambda watch, sam local) and for the other commands elsewhere:

export TABLE_NAME={table} AWS_ENDPOINT_URL_DYNAMODB={dynamodb_url} CRM_BASE_URL_EXAMPLE={url}
export CREDENTIALS_KEY_FILE='{key_file}'
export JWT_SECRET={jwt_secret}"#,
        user = user.id,
    ))
}
