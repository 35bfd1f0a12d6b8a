//! `call-log user`: stores, shows, removes and erases users.

use std::path::Path;

use call_log::{
    adapters,
    api::{account::AccountSource, wire},
    model::{Platform, UserId, UserKey},
    store::Erased,
};
use serde_json::json;

use super::{check_hosts, find_account, find_user, input_name, read_input};
use crate::{
    arguments::{Output, User},
    environment,
    error::CommandError,
    output::{print, print_document, print_either},
};

/// The text after the first sentence if the account of a user is not known.
const UNKNOWN_ACCOUNT: &str = "\nThe CRM did not say which account the user belongs to, so the user shares no call logs with \
                               colleagues.\nStore the user again with credentials that work, or with the account's id as \
                               `account`; -v shows the CRM's response.";

pub(super) async fn run(command: User) -> Result<(), CommandError> {
    match command {
        User::Put { file } => put(&file).await,
        // The output is a JSON document with and without --json.
        User::Show { id, output: _ } => show(&id).await,
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
    let Erased { removed, changed, in_use, unreadable } =
        app.store.erase_user(&key, dry_run, app.clock.now_ms()).await?;
    let (is_removed, are_changed) =
        if dry_run { ("would be removed", "would be changed") } else { ("removed", "changed") };
    let text = format!(
        "{removed} items of {id} {is_removed}, {changed} of others {are_changed}, {in_use} in use, {unreadable} unreadable"
    );
    let value = json!({
        "dryRun": dry_run, "removed": removed, "changed": changed, "inUse": in_use, "unreadable": unreadable,
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
