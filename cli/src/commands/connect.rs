//! `call-log connect`: connects a CRM account, with a key or in a browser.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use call_log::{
    adapters::{self, Crm, ErrorKind},
    api::pages::address_with_ticket,
    delivery::{Failure, connection},
    login::{AllowedTenants, Login, LoginError, Proof},
    model::{Deadline, Platform, Secret, UserId, UserKey},
    startup::{app::App, error::StartError, transport},
    store::{ConnectedPerson, StoredUser},
};
use serde_json::json;

use super::{ACCOUNT_MS, unknown_platform};
use crate::{arguments::Connect, environment, error::CommandError, output::print_either};

/// The interval at which the table is asked how the login ended.
const INTERVAL: Duration = Duration::from_secs(1);
/// The time that a server has to say that it is there.
const SERVER_TIME: Duration = Duration::from_secs(10);

pub(super) async fn run(connect: Connect) -> Result<(), CommandError> {
    let crm = adapters::find(&connect.crm)
        .ok_or_else(|| CommandError::NotConnected(connect.crm.clone(), unknown_platform()))?;
    match connect.api_token.clone() {
        Some(key) => with_key(crm, key, &connect).await,
        None => in_browser(crm, connect).await,
    }
}

async fn with_key(crm: &'static dyn Crm, key: String, connect: &Connect) -> Result<(), CommandError> {
    let app = environment::app().await?;
    // The operator decides who may connect.
    let allowed = AllowedTenants::All;
    let deadline = Deadline(app.clock.now_ms() + ACCOUNT_MS);
    let login = Login { services: &app, crm, allowed: &allowed, deadline };
    let connected = login.connect(Proof::Key(Secret::new(key))).await.map_err(|error| match error {
        LoginError::Store(error) => error.into(),
        LoginError::Refused(words) if !words.is_empty() => not_connected(crm, words),
        error => not_connected(crm, error.to_string()),
    })?;
    show(&app, crm, &connected.stored, (&connected.name, &connected.account), connect).await
}

/// Opens the page of the API in a browser, and waits until the person has connected there.
async fn in_browser(crm: &'static dyn Crm, connect: Connect) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let url = connect.url.clone().or_else(|| app.api.site.url.clone()).ok_or(CommandError::NoUrl)?;
    let url = url.trim_end_matches('/');
    if !is_served(url).await? {
        return Err(CommandError::NoServer(url.to_owned()));
    }
    let name = environment::random_secret();
    let address = address_with_ticket(&app.api, url, crm, &name);
    let is_open = !connect.no_browser && open(&address);
    let lead =
        if is_open { "Opening this address in your browser:" } else { "Open this address in a browser:" };
    // A failure to write to standard error cannot be reported anywhere.
    let _ =
        writeln!(anstream::stderr(), "{lead} {address}\nWaiting for {} s; Ctrl-C ends this.", connect.wait);

    let until_ms = app.clock.now_ms() + i64::from(connect.wait) * 1_000;
    let report = loop {
        if let Some(report) = app.store.flow_report(&name).await? {
            break report;
        }
        if app.clock.now_ms() >= until_ms {
            return Err(CommandError::NotInTime(crm.display_name(), connect.wait));
        }
        tokio::time::sleep(INTERVAL).await;
    };
    let Some(ConnectedPerson { id, name, account }) = report.connected else {
        return Err(not_connected(crm, report.message.trim_end_matches('.').to_owned()));
    };
    let platform = Platform::new(crm.platform()).expect("the name of a platform is not empty");
    let id = UserId::new(&id).ok_or_else(|| CommandError::UnknownUser(id.clone()))?;
    let user = UserKey { platform, id };
    let stored = app.store.user(&user).await?;
    let stored = stored.ok_or_else(|| CommandError::UnknownUser(user.id.to_string()))?;
    show(&app, crm, &stored, (&name, &account), &connect).await
}

/// Returns `true` if a server of ours responds at this address.
async fn is_served(url: &str) -> Result<bool, CommandError> {
    let client = transport::client().map_err(StartError::from)?;
    let asked = client.get(format!("{url}/isAlive")).timeout(SERVER_TIME).send().await;
    Ok(asked.is_ok_and(|response| response.status().is_success()))
}

/// Opens an address in the browser of this machine. Returns `false` if there is none.
fn open(address: &str) -> bool {
    let (program, arguments): (_, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("rundll32", &["url.dll,FileProtocolHandler"]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}

fn not_connected(crm: &dyn Crm, reason: String) -> CommandError {
    CommandError::NotConnected(crm.display_name().to_owned(), reason)
}

/// Shows who is connected, and what the account still needs.
async fn show(
    app: &App,
    crm: &'static dyn Crm,
    stored: &StoredUser,
    (name, account): (&str, &str),
    connect: &Connect,
) -> Result<(), CommandError> {
    let missing = prepare(app, crm, stored.clone(), connect.set_up).await?;
    let user = &stored.user;
    let token = app.issue_valid_token(stored, 14);
    let text = format!(
        "{} is connected as {name} ({account}): user {}, tenant {}.\n{}Token for 14 days: {token}",
        crm.display_name(),
        user.id,
        user.tenant(),
        missing
            .as_ref()
            .map(|missing| format!("To be set up: {missing}. Add --set-up.\n"))
            .unwrap_or_default(),
    );
    let value = json!({
        "id": user.id.as_str(), "platform": user.platform.as_str(), "tenant": user.tenant().to_string(),
        "name": name, "account": account, "token": token, "toBeSetUp": missing,
    });
    Ok(print_either(connect.output.json, text, &value)?)
}

/// Sets the account up, or returns what is still to be set up. If the CRM does not say it, nothing is.
async fn prepare(
    app: &App,
    crm: &'static dyn Crm,
    user: StoredUser,
    set_up: bool,
) -> Result<Option<String>, CommandError> {
    let deadline = Deadline(app.clock.now_ms() + ACCOUNT_MS);
    if !set_up {
        return Ok(connection::missing_setup(app, crm, user, deadline).await.unwrap_or_default());
    }
    let done = connection::set_up(app, crm, user, deadline).await;
    done.map(|()| None).map_err(|failure| CommandError::NotSetUp(crm.display_name(), reason(failure)))
}

/// Returns the CRM's own words for a failure, or else ours.
fn reason(failure: Failure) -> String {
    match failure {
        Failure::Crm(adapters::Error {
            kind: ErrorKind::Forbidden { message } | ErrorKind::Rejected { message },
            ..
        }) if !message.is_empty() => message,
        failure => failure.to_string(),
    }
}
