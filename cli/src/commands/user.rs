//! `call-log user`: stores, shows and removes users.

use std::path::Path;

use call_log::api::wire;

use super::{check_hosts, find_user, input_name, read_input};
use crate::{
    arguments::User,
    environment,
    error::CommandError,
    output::{print, print_document},
};

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
    let user = wire::read_user(&json).map_err(|error| invalid(error.to_string()))?;
    check_hosts(&user).map_err(invalid)?;
    environment::app().await?.store.put_user(&user).await?;
    Ok(print(format!("User {} is stored.", user.id))?)
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
