//! `call-log credentials`: which key seals the users' credentials, and sealing them anew under another.

use std::{collections::BTreeMap, path::Path};

use shared::{
    app::App,
    data_keys,
    store::{KeyName, Resealed, SealedUser},
};

use super::{Failure, say};
use crate::{arguments::Credentials, environment};

pub(super) async fn run(command: Credentials) -> Result<(), Failure> {
    match command {
        Credentials::Status => status(&environment::app().await?).await,
        Credentials::Rotate { dry_run } => rotate(&environment::app().await?, dry_run).await,
        Credentials::NewKeyFile { path } => new_key_file(&path),
    }
}

async fn status(app: &App) -> Result<(), Failure> {
    let keys = app.store.keys();
    let mut counts: BTreeMap<KeyName, usize> = BTreeMap::new();
    let mut unconnected = 0;
    for_each_user(app, async |user| {
        match user.sealed_under() {
            Some(key) => *counts.entry(key).or_default() += 1,
            None => unconnected += 1,
        }
        Ok(())
    })
    .await?;

    say("Key       Users  From")?;
    for (index, (key, source)) in keys.iter().enumerate() {
        // One key can come from two places.
        let users = counts.remove(key);
        if let Some(users) = users.or((index == 0).then_some(0)) {
            let role = if index == 0 { ", which seals" } else { "" };
            say(format!("{key}  {users:5}  {source}{role}"))?;
        }
    }
    for (key, users) in counts {
        say(format!("{key}  {users:5}  elsewhere: these cannot be opened here"))?;
    }
    if unconnected > 0 {
        say(format!("          {unconnected:5}  without credentials"))?;
    }
    Ok(())
}

async fn rotate(app: &App, dry_run: bool) -> Result<(), Failure> {
    let (mut done, mut current) = (0, 0);
    let mut unreadable = Vec::new();
    for_each_user(app, async |user| {
        let name = user.name();
        match if dry_run { app.store.would_reseal(&user) } else { app.store.reseal(user).await? } {
            Resealed::Done => done += 1,
            Resealed::Current => current += 1,
            Resealed::Nothing => {}
            Resealed::Unreadable => unreadable.push(name),
        }
        Ok(())
    })
    .await?;
    let key = match app.store.keys().first() {
        Some((key, source)) => format!("the key {key} of {source}"),
        None => "no key".to_owned(),
    };
    let done_words = if dry_run { "would be sealed anew" } else { "sealed anew" };
    say(format!("{done} {done_words} under {key}, {current} were already, {} unreadable", unreadable.len()))?;
    if unreadable.is_empty() {
        return Ok(());
    }
    Err(format!(
        "none of the keys here opens the credentials of {}; give the older key too, or have them connect again",
        unreadable.join(", ")
    )
    .into())
}

/// Every user of the table, page by page.
async fn for_each_user(
    app: &App,
    mut each: impl AsyncFnMut(SealedUser) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let (users, next) = app.store.sealed_users(after).await?;
        for user in users {
            each(user).await?;
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

fn new_key_file(path: &Path) -> Result<(), Failure> {
    data_keys::make_file(path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
    Ok(say(format!("CREDENTIALS_KEY_FILE={}", path.display()))?)
}
