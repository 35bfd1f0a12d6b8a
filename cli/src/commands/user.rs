//! `call-log user`: stores, shows and removes users.

use std::path::Path;

use call_log::api::{account::AccountSource, wire};

use super::{check_hosts, find_account, find_user, input_name, read_input};
use crate::{
    arguments::User,
    environment,
    error::CommandError,
    output::{print, print_document},
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
