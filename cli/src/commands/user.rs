//! `call-log user`: stores, shows, lists, checks, removes and erases users.

use std::{fmt, path::Path};

use call_log::{
    adapters,
    api::wire,
    delivery::connection,
    login::account::AccountSource,
    model::{Deadline, Platform, UserId, UserKey},
    startup::app::App,
    store::{self, Erased, StoredUser},
};
use serde_json::{Value, json};

use super::{check_hosts, find_account, find_user, input_name, read_input};
use crate::{
    arguments::{Output, User},
    environment,
    error::CommandError,
    output::{print, print_document, print_either, print_table},
};

/// The time that a check of a credential may take, in milliseconds.
pub(super) const CHECK_MS: i64 = 20_000;
/// The text after the first sentence if the account of a user is not known.
const UNKNOWN_ACCOUNT: &str = "\nThe CRM did not say which account the user belongs to, so the user shares no call logs with \
                               colleagues.\nStore the user again with credentials that work, or with the account's id as \
                               `account`; -v shows the CRM's response.";

pub(super) async fn run(command: User) -> Result<(), CommandError> {
    match command {
        User::Put { file } => put(&file).await,
        // The output is a JSON document with and without --json.
        User::Show { id, output: _ } => show(&id).await,
        User::List { output } => list(output).await,
        User::Check { id, output } => check(&id, output).await,
        User::Admin { id, remove, output } => administrate(&id, !remove, output).await,
        User::Remove { id } => remove(&id).await,
        User::Erase { id, dry_run, output } => erase(&id, dry_run, output).await,
    }
}

async fn put(file: &Path) -> Result<(), CommandError> {
    let json = read_input(file)?;
    let invalid = |reason| CommandError::InvalidUser { input: input_name(file), reason };
    let mut user = wire::read_user(&json).map_err(|error| invalid(error.to_string()))?;
    check_hosts(&user).map_err(invalid)?;
    let app = environment::app().await?;
    let source = find_account(&app, &mut user).await?;
    app.store.put_user(&user).await?;
    let unknown = match source {
        AccountSource::Unknown => UNKNOWN_ACCOUNT,
        _ => "",
    };
    Ok(print(format!("User {} is stored.{unknown}", user.id))?)
}

async fn show(id: &str) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    Ok(print_document(&wire::show_user(&found.user))?)
}

async fn administrate(id: &str, is_administrator: bool, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    let tenant = found.user.tenant();
    app.store.set_administrator(&found.user.key(), is_administrator.then_some(&tenant)).await?;
    let text = match is_administrator {
        true => format!("{id} administrates {tenant}."),
        false => format!("{id} is no administrator."),
    };
    let value = json!({ "id": id, "tenant": tenant.to_string(), "administrator": is_administrator });
    Ok(print_either(output.json, text, &value)?)
}

async fn remove(id: &str) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    app.store.remove_user(&found.user.key()).await?;
    Ok(print(format!("User {id} is removed."))?)
}

async fn erase(id: &str, dry_run: bool, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    // A user who was removed can have call logs.
    let key = match find_user(&app, id).await {
        Ok(found) => found.user.key(),
        Err(CommandError::UnknownUser(_)) => removed_user(id)?,
        Err(error) => return Err(error),
    };
    let Erased { removed, kinds, changed, in_use, unreadable } =
        app.store.erase_user(&key, dry_run, app.clock.now_ms()).await?;
    let (is_removed, are_changed) =
        if dry_run { ("would be removed", "would be changed") } else { ("removed", "changed") };
    let listed: Vec<_> = kinds.iter().map(|(kind, count)| format!("\n  {kind}: {count}")).collect();
    let text = format!(
        "items of {id} {is_removed}: {removed}; items of others {are_changed}: {changed}; in use: {in_use}; unreadable: {unreadable}{}",
        listed.concat()
    );
    let value = json!({
        "dryRun": dry_run, "removed": removed, "kinds": kinds, "changed": changed, "inUse": in_use, "unreadable": unreadable,
    });
    print_either(output.json, text, &value)?;
    if in_use + unreadable > 0 { Err(CommandError::NotErased { in_use, unreadable }) } else { Ok(()) }
}

/// Returns the key of a user who is not in the table. The end of the id names the platform.
fn removed_user(id: &str) -> Result<UserKey, CommandError> {
    let suffix = id.rsplit('-').next().unwrap_or_default();
    let platform = adapters::find(suffix).and_then(|crm| Platform::new(crm.platform()));
    let key = platform.zip(UserId::new(id)).map(|(platform, id)| UserKey { platform, id });
    key.ok_or_else(|| CommandError::UnknownUser(id.to_owned()))
}

/// The connection of a user, as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connected,
    /// The CRM refused to renew the grant.
    Ended,
    /// The person has disconnected.
    Disconnected,
    /// There are no credentials.
    NotConnected,
}

impl State {
    pub(super) fn of(stored: &StoredUser) -> State {
        match (&stored.user.credentials, stored.disconnected_at_ms) {
            (Some(_), _) if stored.session_ended => State::Ended,
            (Some(_), _) => State::Connected,
            (None, Some(_)) => State::Disconnected,
            (None, None) => State::NotConnected,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            State::Connected => "connected",
            State::Ended => "the CRM has ended the session",
            State::Disconnected => "disconnected",
            State::NotConnected => "not connected",
        })
    }
}

/// Asks the CRM whether a user's credential works, and returns the name that the CRM has for the person. An expired grant is
/// renewed.
pub(super) async fn check_user(app: &App, stored: &StoredUser) -> Result<String, String> {
    let crm = app.crm(stored.user.platform.as_str()).ok_or("this version does not know the CRM")?;
    let deadline = Deadline(app.clock.now_ms() + CHECK_MS);
    let profile =
        connection::check(app, crm, stored.clone(), deadline).await.map_err(|error| error.to_string())?;
    Ok(format!("works: {}", profile.name.unwrap_or_else(|| stored.user.crm_user_id().to_owned())))
}

async fn list(output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let mut users = app.store.users().await?;
    users.sort_by(|(one, _), (other, _)| one.cmp(other));
    if output.json {
        let rows: Vec<_> = users.iter().map(|(key, user)| describe(key, user)).collect();
        return Ok(print_document(&json!(rows))?);
    }
    let rows: Vec<_> = users
        .iter()
        .map(|(key, user)| match user {
            Ok(user) => [
                key.id.to_string(),
                user.user.tenant().to_string(),
                user.name.clone().unwrap_or_default(),
                State::of(user).to_string(),
            ],
            Err(error) => [key.id.to_string(), String::new(), String::new(), error.to_string()],
        })
        .collect();
    match rows.is_empty() {
        true => Ok(print("The table has no users.")?),
        false => Ok(print_table(Some(["USER", "TENANT", "NAME", "STATE"]), &rows)?),
    }
}

fn describe(key: &UserKey, user: &Result<StoredUser, store::Error>) -> Value {
    let id = key.id.as_str();
    match user {
        Ok(user) => json!({
            "id": id, "platform": key.platform.as_str(), "tenant": user.user.tenant().to_string(),
            "name": user.name, "state": State::of(user).to_string(), "administrator": user.is_administrator(),
        }),
        Err(error) => json!({ "id": id, "platform": key.platform.as_str(), "error": error.to_string() }),
    }
}

async fn check(id: &str, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    let finding = match State::of(&found) {
        State::Connected => check_user(&app, &found).await,
        state => Err(state.to_string()),
    };
    match finding {
        Ok(finding) => {
            Ok(print_either(output.json, &finding, &json!({ "id": id, "works": true, "finding": finding }))?)
        }
        Err(reason) => Err(CommandError::NotConnected(id.to_owned(), reason)),
    }
}
