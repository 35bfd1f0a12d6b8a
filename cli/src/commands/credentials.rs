//! `call-log credentials`: which key encrypts the users' credentials, and the rotation of that key.

use std::{collections::BTreeMap, path::Path};

use call_log::{
    startup::{app::App, data_keys},
    store::{EncryptedUser, KeyName, RotationOutcome},
};
use serde_json::json;

use crate::{
    arguments::{Credentials, Output},
    environment,
    error::CommandError,
    output::{self, print},
};

pub(super) async fn run(command: Credentials) -> Result<(), CommandError> {
    match command {
        Credentials::Status { output } => status(&environment::app().await?, output).await,
        Credentials::Rotate { dry_run, output } => rotate(&environment::app().await?, dry_run, output).await,
        Credentials::NewKeyFile { path } => new_key_file(&path),
    }
}

async fn status(app: &App, output: Output) -> Result<(), CommandError> {
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
    for (index, (key, source)) in app.store.keys().iter().enumerate() {
        let encrypts = index == 0;
        // Two variables may hold the same key: the first one takes its count.
        let users = counts.remove(key);
        if let Some(users) = users.or(encrypts.then_some(0)) {
            rows.push(KeyRow { key: key.to_string(), users, source: Some(source.to_string()), encrypts });
        }
    }
    rows.extend(counts.into_iter().map(|(key, users)| KeyRow {
        key: key.to_string(),
        users,
        source: None,
        encrypts: false,
    }));
    if output.json {
        let row = |row: &KeyRow| json!({"key": row.key, "users": row.users, "source": row.source, "encrypts": row.encrypts});
        let value =
            json!({"keys": rows.iter().map(row).collect::<Vec<_>>(), "withoutCredentials": unconnected});
        return Ok(output::print_document(&value)?);
    }
    let mut lines: Vec<_> = rows.into_iter().map(KeyRow::line).collect();
    if unconnected > 0 {
        lines.push([String::new(), format!("{unconnected:5}"), "without credentials".to_owned()]);
    }
    Ok(output::print_table(Some(["Key", "Users", "Source"]), &lines)?)
}

/// A key, and the number of users whose credentials it encrypts.
struct KeyRow {
    key: String,
    users: usize,
    /// The variable that holds the key. `None`: the environment does not have the key.
    source: Option<String>,
    /// This is the key that encrypts what is stored from now on.
    encrypts: bool,
}

impl KeyRow {
    fn line(self) -> [String; 3] {
        let source = match (self.source, self.encrypts) {
            (Some(source), true) => format!("{source}; encrypts"),
            (Some(source), false) => format!("{source}; only decrypts"),
            (None, _) => "unknown; cannot be decrypted here".to_owned(),
        };
        [self.key, format!("{:5}", self.users), source]
    }
}

async fn rotate(app: &App, dry_run: bool, output: Output) -> Result<(), CommandError> {
    let (mut encrypted, mut current) = (0, 0);
    let mut undecryptable = Vec::new();
    for_each_user(app, async |user| {
        let name = user.name();
        match if dry_run { app.store.preview_reencrypt(&user) } else { app.store.reencrypt(user).await? } {
            RotationOutcome::Reencrypted => encrypted += 1,
            RotationOutcome::Current => current += 1,
            RotationOutcome::NoCredentials => {}
            RotationOutcome::Undecryptable => undecryptable.push(name),
        }
        Ok(())
    })
    .await?;
    let key = match app.store.keys().first() {
        Some((key, source)) => format!("key {key} ({source})"),
        None => "no key".to_owned(),
    };
    let verb = if dry_run { "would be encrypted" } else { "encrypted" };
    let text = format!(
        "{encrypted} {verb} with {key}, {current} already are, {} cannot be decrypted",
        undecryptable.len()
    );
    let value = json!({
        "dryRun": dry_run,
        "encrypted": encrypted,
        "alreadyEncrypted": current,
        "undecryptable": undecryptable,
    });
    output::print_either(output.json, text, &value)?;
    if undecryptable.is_empty() { Ok(()) } else { Err(CommandError::Undecryptable(undecryptable)) }
}

/// Calls `each` for every user of the table.
async fn for_each_user(
    app: &App,
    mut each: impl AsyncFnMut(EncryptedUser) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
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

fn new_key_file(path: &Path) -> Result<(), CommandError> {
    data_keys::create_key_file(path).map_err(|error| CommandError::KeyFile(path.to_owned(), error))?;
    Ok(print(format!("CREDENTIALS_KEY_FILE={}", path.display()))?)
}
