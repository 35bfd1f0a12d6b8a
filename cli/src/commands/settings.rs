//! `call-log settings`: what a user wants in their notes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Failure, find_user, say};
use crate::{arguments::Output, environment, output};

pub(super) async fn run(id: &str, changes: &[String], form: Output) -> Result<(), Failure> {
    let changes: BTreeMap<String, Value> =
        changes.iter().map(|change| read(change)).collect::<Result<_, _>>()?;
    let app = environment::app().await?;
    let mut found = find_user(&app, id).await?;
    if !changes.is_empty() {
        app.store.change_settings(&found.user.key(), &changes).await?;
        found = find_user(&app, id).await?;
    }
    let settings = &found.user.settings.0;
    if form.json {
        return Ok(output::document(&json!(settings))?);
    }
    if settings.is_empty() {
        return Ok(say(format!("{id} has no settings of their own: everything is as by default."))?);
    }
    let rows: Vec<_> = settings
        .iter()
        .map(|(key, stored)| {
            let value = stored.get("value").unwrap_or(stored);
            [key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]
        })
        .collect();
    Ok(output::table(None, &rows)?)
}

/// `KEY=VALUE`, the value as JSON where it is some, else as text.
fn read(change: &str) -> Result<(String, Value), Failure> {
    let (key, value) = change
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| format!("{change} is not KEY=VALUE, as in addCallLogResult=false"))?;
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
    fn changes_are_read() {
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
