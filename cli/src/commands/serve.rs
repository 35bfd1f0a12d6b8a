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
    let Local { url, dynamodb, table, user, secret_files, key_file, .. } = local;
    let data = data_dir
        .map_or("all data is in memory".to_owned(), |path| format!("all data is in {}", path.display()));
    if let Some(directory) = data_dir.filter(|_| local.is_table_lost) {
        let directory = directory.display();
        print(format!(
            "The database of {directory} is empty or missing, although other files there are older: its users and calls are \
             lost. If you have a copy of {directory}/dynamodb.sqlite, stop call-log and put it back.\n"
        ))?;
    }
    let token = local.token();
    let others = match dynamodb {
        None => "To use this table from other directories, or from the functions (cargo lambda watch, sam local), start with \
                 `--dynamodb-port 8000`."
            .to_owned(),
        Some((dynamodb_url, access_key)) => {
            let secrets = secret_files.iter().map(|(variable, file)| format!("export {variable}=\"$(cat '{file}')\""));
            format!(
                r#"To use this table from other directories, or from the functions (cargo lambda watch, sam local):

export TABLE_NAME={table} AWS_ENDPOINT_URL_DYNAMODB={dynamodb_url} CRM_BASE_URL_EXAMPLE={url}
export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY=local
export CREDENTIALS_KEY_FILE='{key_file}'
{}"#,
                secrets.collect::<Vec<_>>().join("\n")
            )
        }
    };
    print(format!(
        r#"call-log is running; {data}.

Page      {url}/
Routes    POST and PATCH {url}/callLog
Manifest  {url}/crmManifest, for the App Connect extension
Connect   {url}/connect, to connect an account of a CRM
Table     {table}{}
User      {user}, with the Example CRM
Token     {token}

Log a call of your own:

curl -s '{url}/callLog?jwtToken={token}' -H 'content-type: application/json' -d '{{
  "logInfo": {{"sessionId": "1001", "direction": "Inbound", "startTime": "2026-03-12T15:45:25Z", "duration": 65,
    "result": "Accepted", "from": {{"phoneNumber": "+16504445566", "name": "John Smith"}}, "to": {{"name": "Jane"}}}},
  "note": "Wants a quote", "contactId": "c-2", "contactName": "John Smith"}}'

{others}

Press Ctrl-C to stop."#,
        dynamodb.as_ref().map(|(url, _)| format!(", at {url}")).unwrap_or_default(),
        user = user.id,
    ))
}
