//! `call-log settings`: shows or changes which sections a user's notes have.

use std::collections::BTreeMap;

use call_log::delivery::settings::{self, SettingsChange};
use serde_json::{Value, json};

use super::find_user;
use crate::{
    arguments::Output,
    environment,
    error::CommandError,
    output::{self, print},
};

pub(super) async fn run(id: &str, changes: &[String], output: Output) -> Result<(), CommandError> {
    let changes: BTreeMap<String, Value> =
        changes.iter().map(|change| read(change)).collect::<Result<_, _>>()?;
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    let crm =
        app.crm(found.user.platform.as_str()).ok_or_else(|| CommandError::UnknownUser(id.to_owned()))?;
    let change = SettingsChange { values: changes, removed: Vec::new() };
    let settings = settings::change(&app, crm, &found.user, None, &change).await?.0;
    if output.json {
        return Ok(output::print_document(&json!(settings))?);
    }
    if settings.is_empty() {
        return Ok(print(format!("User {id} has no settings; the defaults apply."))?);
    }
    let rows: Vec<_> = settings
        .iter()
        .map(|(key, stored)| {
            let value = stored.get("value").unwrap_or(stored);
            [key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]
        })
        .collect();
    Ok(output::print_table(None, &rows)?)
}

/// Reads `KEY=VALUE`. A value that is JSON is read as JSON, any other value as text. An empty value removes the setting.
fn read(change: &str) -> Result<(String, Value), CommandError> {
    let (key, value) = change
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| CommandError::InvalidSetting(change.to_owned()))?;
    let value = match value {
        "" => Value::Null,
        value => json!({"value": serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))}),
    };
    Ok((key.trim().to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_key_and_a_value_as_json_or_text() {
        for (change, expected) in [
            ("addCallLogNote=false", Some(("addCallLogNote", json!({"value": false})))),
            ("logDateFormat=DD/MM/YYYY", Some(("logDateFormat", json!({"value": "DD/MM/YYYY"})))),
            ("a=b=c", Some(("a", json!({"value": "b=c"})))),
            ("a=", Some(("a", Value::Null))),
            ("a", None),
            ("=b", None),
        ] {
            let expected = expected.map(|(key, value)| (key.to_owned(), value));
            assert_eq!(read(change).ok(), expected, "{change}");
        }
    }
}
