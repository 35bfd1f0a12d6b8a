//! `call-log credentials`: which key seals the users' credentials, and sealing them anew under another.

use std::{collections::BTreeMap, path::Path};

use call_log::{
    startup::{app::App, data_keys},
    store::{EncryptedUser, KeyName, RotationOutcome},
};
use serde_json::json;

use super::{Failure, say};
use crate::{
    arguments::{Credentials, Output},
    environment, output,
};

pub(super) async fn run(command: Credentials) -> Result<(), Failure> {
    match command {
        Credentials::Status { output } => status(&environment::app().await?, output).await,
        Credentials::Rotate { dry_run, output } => rotate(&environment::app().await?, dry_run, output).await,
        Credentials::NewKeyFile { path } => new_key_file(&path),
    }
}

async fn status(app: &App, form: Output) -> Result<(), Failure> {
    let keys = app.store.keys();
    let mut counts: BTreeMap<KeyName, usize> = BTreeMap::new();
    let mut unconnected = 0;
    for_each_user(app, async |user| {
        match user.key_name() {
            Some(key) => *counts.entry(key).or_default() += 1,
            None => unconnected += 1,
        }
        Ok(())
    })
    .await?;

    let mut rows: Vec<KeyRow> = Vec::new();
    for (index, (key, source)) in keys.iter().enumerate() {
        let seals = index == 0;
        // One key can come from two places.
        let users = counts.remove(key);
        if let Some(users) = users.or(seals.then_some(0)) {
            rows.push(KeyRow { key: key.to_string(), users, source: Some(source.to_string()), seals });
        }
    }
    let strange = counts.into_iter();
    rows.extend(strange.map(|(key, users)| KeyRow {
        key: key.to_string(),
        users,
        source: None,
        seals: false,
    }));
    if form.json {
        let of_key = |row: &KeyRow| json!({"key": row.key, "users": row.users, "from": row.source, "seals": row.seals});
        let value =
            json!({"keys": rows.iter().map(of_key).collect::<Vec<_>>(), "withoutCredentials": unconnected});
        return Ok(output::document(&value)?);
    }
    let mut lines: Vec<_> = rows.into_iter().map(KeyRow::line).collect();
    if unconnected > 0 {
        lines.push([String::new(), format!("{unconnected:5}"), "without credentials".to_owned()]);
    }
    Ok(output::table(Some(["Key", "Users", "From"]), &lines)?)
}

/// A key, and how many users' credentials it seals. `source`: none where it is not known here.
struct KeyRow {
    key: String,
    users: usize,
    source: Option<String>,
    seals: bool,
}

impl KeyRow {
    fn line(self) -> [String; 3] {
        let from = match (self.source, self.seals) {
            (Some(source), true) => format!("{source}, which seals"),
            (Some(source), false) => source,
            (None, _) => "elsewhere: these cannot be opened here".to_owned(),
        };
        [self.key, format!("{:5}", self.users), from]
    }
}

async fn rotate(app: &App, dry_run: bool, form: Output) -> Result<(), Failure> {
    let (mut done, mut current) = (0, 0);
    let mut unreadable = Vec::new();
    for_each_user(app, async |user| {
        let name = user.name();
        match if dry_run { app.store.preview_reencrypt(&user) } else { app.store.reencrypt(user).await? } {
            RotationOutcome::Reencrypted => done += 1,
            RotationOutcome::Current => current += 1,
            RotationOutcome::NoCredentials => {}
            RotationOutcome::Undecryptable => unreadable.push(name),
        }
        Ok(())
    })
    .await?;
    let key = match app.store.keys().first() {
        Some((key, source)) => format!("the key {key} of {source}"),
        None => "no key".to_owned(),
    };
    let done_words = if dry_run { "would be sealed anew" } else { "sealed anew" };
    let words =
        format!("{done} {done_words} under {key}, {current} were already, {} unreadable", unreadable.len());
    let value = json!({"dryRun": dry_run, "sealedAnew": done, "current": current, "unreadable": unreadable});
    output::say_or_document(form.json, words, &value)?;
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
    mut each: impl AsyncFnMut(EncryptedUser) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let (users, next) = app.store.encrypted_users(after).await?;
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
    data_keys::create_key_file(path)
        .map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
    Ok(say(format!("CREDENTIALS_KEY_FILE={}", path.display()))?)
}
