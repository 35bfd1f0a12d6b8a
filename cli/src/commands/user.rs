//! `call-log user`: put, show and remove users.

use std::path::Path;

use call_log::api::wire;

use super::{Failure, check_host, find_user, input_name, read_input, say};
use crate::{arguments::User, environment, output};

pub(super) async fn run(command: User) -> Result<(), Failure> {
    match command {
        User::Put { file } => put(&file).await,
        // It is a JSON document in any case.
        User::Show { id, output: _ } => show(&id).await,
        User::Remove { id } => remove(&id).await,
    }
}

async fn put(file: &Path) -> Result<(), Failure> {
    let (json, name) = (read_input(file)?, input_name(file));
    let user = wire::read_user(&json).map_err(|error| format!("{name}: {error}"))?;
    check_host(&user)?;
    environment::app().await?.store.put_user(&user).await?;
    Ok(say(format!("User {} is stored.", user.id))?)
}

async fn show(id: &str) -> Result<(), Failure> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    Ok(output::document(&wire::show_user(&found.user))?)
}

async fn remove(id: &str) -> Result<(), Failure> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    app.store.remove_user(&found.user.key()).await?;
    Ok(say(format!("User {id} is removed."))?)
}
