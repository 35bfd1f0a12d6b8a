//! `call-log user`: put, show and remove users.

use std::{
    io::{self, Read},
    path::Path,
};

use shared::{adapters, wire};

use super::{Failure, find_user, say};
use crate::{arguments::User, environment};

pub(super) async fn run(command: User) -> Result<(), Failure> {
    match command {
        User::Put { file } => put(&file).await,
        User::Show { id } => show(&id).await,
        User::Remove { id } => remove(&id).await,
    }
}

async fn put(file: &Path) -> Result<(), Failure> {
    let mut json = Vec::new();
    let (name, read) = if file == Path::new("-") {
        ("standard input".to_owned(), io::stdin().read_to_end(&mut json).map(drop))
    } else {
        (file.display().to_string(), std::fs::read(file).map(|bytes| json = bytes))
    };
    read.map_err(|error| format!("{name} cannot be read: {error}"))?;
    let user = wire::read_user(&json).map_err(|error| format!("{name}: {error}"))?;
    let crm = adapters::find(user.platform.as_str()).ok_or_else(|| {
        let known: Vec<_> = adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
        format!("`platform` is none that we know: expected {}", known.join(" or "))
    })?;
    let host = user.hostname.as_deref();
    if crm.base_url(host).is_none() {
        return Err(match host {
            Some(host) => format!("`hostname` {host} is not a host of {}", crm.display_name()),
            None => format!("`hostname` is missing: the host of the company in {}", crm.display_name()),
        }
        .into());
    }
    environment::app().await?.store.put_user(&user).await?;
    Ok(say(format!("User {} is stored.", user.id))?)
}

async fn show(id: &str) -> Result<(), Failure> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    Ok(say(serde_json::to_string_pretty(&wire::show_user(&found.user))?)?)
}

async fn remove(id: &str) -> Result<(), Failure> {
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    app.store.remove_user(&found.user.platform, &found.user.id).await?;
    Ok(say(format!("User {id} is removed."))?)
}
