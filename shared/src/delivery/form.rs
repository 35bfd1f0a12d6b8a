//! The choices of a form that a record shows. Their fingerprint is kept with those of the CRM's own fields.

use serde_json::{Map, Value};

use crate::{
    note::fingerprint,
    store::{CallItem, LastWritten},
};

/// The name of the fingerprint.
const FIELD: &str = "choices";

/// Returns `true` if these choices are the last ones that were sent for a record.
pub(crate) fn shows(item: &CallItem, choices: &Map<String, Value>) -> bool {
    // A choice that the CRM rejected is known as one that may have been written.
    item.log_id.is_some()
        && item.reason.is_none()
        && item.written.is_field(FIELD, &text(choices)) == Some(true)
        && item.written.fields.get(FIELD).is_some_and(|known| !known.contains(' '))
}

/// Returns the name and the fingerprint of what a lease holder may write because of these choices. `None`: it writes nothing.
pub(crate) fn queued(choices: &Map<String, Value>) -> Option<(String, String)> {
    (!choices.is_empty()).then(|| (FIELD.to_owned(), text(choices)))
}

/// Keeps that a record has these choices.
pub(crate) fn settle(written: &mut LastWritten, choices: &Map<String, Value>) {
    if let Some((name, fingerprint)) = queued(choices) {
        written.fields.insert(name, fingerprint);
    }
}

/// Forgets that a record has choices.
pub(crate) fn forget(written: &mut LastWritten) {
    written.fields.remove(FIELD);
}

/// Returns those of the choices that a record does not show.
pub(crate) fn differing(choices: &Map<String, Value>, shown: &Map<String, Value>) -> Map<String, Value> {
    let differs = |(key, value): &(&String, &Value)| shown.get(*key) != Some(*value);
    choices.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn text(choices: &Map<String, Value>) -> String {
    let mut pairs: Vec<_> = choices.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort_unstable();
    fingerprint(&pairs.join("\n"))
}
