//! `call-log serve`: serves everything on one machine, until Ctrl-C.

use std::path::Path;

use call_log::model::Clock;

use crate::{
    arguments::Serve,
    error::CommandError,
    local::{Local, Options},
    output::print,
};

pub(super) async fn run(serve: Serve) -> Result<(), CommandError> {
    let data_dir = (!serve.in_memory).then_some(serve.data_dir);
    let options = Options {
        port: serve.port,
        dynamodb_port: serve.dynamodb_port,
        data_dir: data_dir.clone(),
        clock: Clock::System,
    };
    let mut local = Local::start(options).await?;
    tokio::select! {
        // In this order, so that Ctrl-C works before the announcement names it.
        biased;
        () = ctrl_c() => {
            // Exits at once, like a crash, which loses nothing. If the requests in progress were dropped instead, each
            // would log that it is unfinished.
            local.delete_temporary_files();
            std::process::exit(0);
        }
        ended = announce_and_serve(&mut local, data_dir.as_deref()) => ended,
    }
}

/// Waits for Ctrl-C. Where the operating system cannot report it, this waits forever and Ctrl-C ends the process.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

async fn announce_and_serve(local: &mut Local, data_dir: Option<&Path>) -> Result<(), CommandError> {
    announce(local, data_dir)?;
    local.serve().await;
    Err(CommandError::ServerEnded)
}

fn announce(local: &Local, data_dir: Option<&Path>) -> std::io::Result<()> {
    let Local { url, dynamodb_url, table, user, jwt_secret, hash_key, key_file, .. } = local;
    let data = data_dir
        .map_or("all data is in memory".to_owned(), |path| format!("all data is in {}", path.display()));
    let token = local.token();
    print(format!(
        r#"call-log is running; {data}. Press Ctrl-C to stop it.

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

To use this table from other directories, or from the functions (cargo lambda watch, sam local):

export TABLE_NAME={table} AWS_ENDPOINT_URL_DYNAMODB={dynamodb_url} CRM_BASE_URL_EXAMPLE={url}
export CREDENTIALS_KEY_FILE='{key_file}'
export HASH_KEY={hash_key}
export JWT_SECRET={jwt_secret}"#,
        user = user.id,
    ))
}
