//! The commands, one file each.

mod completions;
mod compose;
mod connect;
mod credentials;
mod crms;
mod demo;
mod doctor;
pub(crate) mod import;
mod manifest;
mod redrive;
mod ringcentral;
mod serve;
mod settings;
mod show;
mod status;
mod table;
mod tenant;
mod token;
mod user;

use std::{
    io::{self, Read},
    path::Path,
};

use call_log::{
    adapters::{self, hosts, hosts::ForeignHost},
    login::account::{self, AccountSource},
    model::{CallKey, Deadline, LogKey, Platform, SessionId, TenantKey, User, UserId, UserKey},
    startup::app::App,
    store::{self, CallItem, StoredUser},
};

use crate::{
    arguments::{Command, Token},
    error::CommandError,
};

/// The time in which a CRM must say which account a user belongs to, in milliseconds.
const ACCOUNT_MS: i64 = 10_000;

/// Runs a command.
///
/// # Errors
///
/// Fails with the reason why the command failed; [`CommandError::explain`] says what to do.
pub async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(serve) => serve::run(serve).await,
        Command::Demo => demo::run().await,
        Command::User(user) => user::run(user).await,
        Command::Credentials(credentials) => credentials::run(credentials).await,
        Command::Connect(connect) => connect::run(connect).await,
        Command::Tenant(tenant) => tenant::run(tenant).await,
        Command::RingCentral(command) => ringcentral::run(command).await,
        // The output is a JSON document with and without --json.
        Command::Manifest { url, output: _ } => manifest::run(url).await,
        Command::Doctor { output } => doctor::run(output).await,
        Command::Settings { id, changes, output } => settings::run(&id, &changes, output).await,
        Command::Token { command: Some(Token::Revoke { id, output }), .. } => {
            token::revoke(&id, output).await
        }
        Command::Token { id, days, output, .. } => token::run(&id.unwrap_or_default(), days, output).await,
        Command::Show { id, session, output } => show::run(&id, &session, output).await,
        Command::Status { watch, output } => status::run(watch, output).await,
        Command::Redrive { since: Some(since), output, .. } => redrive::rearm_since(since, output).await,
        Command::Redrive { id, session, output, .. } => redrive::run(id.zip(session), output).await,
        Command::Compose { format } => compose::run(format),
        Command::Crms { output } => crms::run(output),
        Command::Import(import) => import::run(import).await,
        Command::Table(table) => table::run(table).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Reads the user with this id from the table. Most ids end with their platform, so that one is read first.
async fn find_user(app: &App, id: &str) -> Result<StoredUser, CommandError> {
    let user = UserId::new(id).ok_or(CommandError::EmptyId("user"))?;
    let suffix = id.rsplit('-').next().unwrap_or_default();
    let mut platforms: Vec<&str> = adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
    platforms.sort_by_key(|platform| *platform != suffix);
    for platform in platforms.into_iter().filter_map(Platform::new) {
        if let Some(found) = app.store.user(&UserKey { platform, id: user.clone() }).await? {
            return Ok(found);
        }
    }
    Err(CommandError::UnknownUser(id.to_owned()))
}

/// Reads the name of a tenant, such as `example:3151823`.
fn tenant_key(app: &App, tenant: &str) -> Result<TenantKey, CommandError> {
    let invalid = |reason: String| CommandError::InvalidTenant { tenant: tenant.to_owned(), reason };
    let key = TenantKey::parse(tenant)
        .ok_or_else(|| invalid("expected the CRM and the account, such as example:3151823".to_owned()))?;
    if app.crm(key.platform.as_str()).is_none() {
        return Err(invalid(unknown_platform()));
    }
    Ok(key)
}

/// Reads the logs of a session that the user can reach.
async fn calls_of_session(
    app: &App,
    user: &User,
    session: &SessionId,
) -> Result<Vec<(LogKey, CallItem)>, CommandError> {
    let call = |header_user| CallKey { tenant: user.tenant(), session: session.clone(), header_user };
    let mut logs = app.store.logs_of_call(&call(None)).await?;
    logs.extend(app.store.logs_of_call(&call(Some(user.id.clone()))).await?);
    Ok(logs)
}

fn session_id(session: &str) -> Result<SessionId, CommandError> {
    SessionId::new(session).ok_or(CommandError::EmptyId("session"))
}

/// Checks that the user's platform is supported and that the hosts are that CRM's. The error says what is wrong.
fn check_hosts(user: &User) -> Result<(), String> {
    let crm = adapters::find(user.platform.as_str()).ok_or_else(unknown_platform)?;
    hosts::check(crm, user).map_err(|field| {
        let (name, host) = match field {
            ForeignHost::Hostname => ("hostname", &user.hostname),
            ForeignHost::Api => ("apiHost", &user.account.api_host),
            ForeignHost::Login => ("loginHost", &user.account.login_host),
        };
        match host {
            Some(host) => format!("`{name}` {host} is not a host of {}", crm.display_name()),
            None => format!("`{name}` is missing: expected the company's host at {}", crm.display_name()),
        }
    })
}

/// Finds the CRM account of a user who is about to be stored, and sets it in the user.
async fn find_account(app: &App, user: &mut User) -> Result<AccountSource, store::Error> {
    let Some(crm) = app.crm(user.platform.as_str()) else { return Ok(AccountSource::Unknown) };
    let deadline = Deadline(app.clock.now_ms() + ACCOUNT_MS);
    account::find_account(app, crm, user, deadline).await
}

pub(crate) fn unknown_platform() -> String {
    let known: Vec<_> = adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
    format!("unknown `platform`: expected {}", known.join(" or "))
}

/// Returns the name of an input file for messages; `-` is standard input.
fn input_name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// Reads a whole file; `-` is standard input.
fn read_input(file: &Path) -> Result<Vec<u8>, CommandError> {
    let read = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map_err(|error| CommandError::UnreadableInput(input_name(file), error))
}
