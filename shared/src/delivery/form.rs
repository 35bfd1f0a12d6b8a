//! The choices of a form that a record shows. Their fingerprint is kept with those of the CRM's own fields.

use serde_json::{Map, Value};

use crate::{
    note::fingerprint,
    store::{CallItem, LastWritten},
};

/// The name of the fingerprint.
const FIELD: &str = "choices";
/// The most combinations of a record's values that are compared with what was written last.
const MOST_COMBINATIONS: usize = 1_000;

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

/// Returns those of the choices that a record does not show, or shows beside one of [`replaced`].
pub(crate) fn differing(
    choices: &Map<String, Value>,
    shown: &Map<String, Value>,
    replaced: &Map<String, Value>,
) -> Map<String, Value> {
    let is_shown = |(key, value): (&String, &Value)| match shown.get(key) {
        Some(Value::Array(all)) => all.contains(value),
        shown => shown == Some(value),
    };
    let differs = |pair: &(&String, &Value)| !is_shown(*pair) || replaced.contains_key(pair.0);
    choices.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns the choices that we made last, if the record still shows them and other ones are made now. What a person added to a
/// field with several values is not among them.
pub(crate) fn replaced(
    choices: &Map<String, Value>,
    shown: &Map<String, Value>,
    before: &LastWritten,
) -> Map<String, Value> {
    let mut combinations = vec![Map::new()];
    for (key, value) in shown {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        combinations = combinations
            .iter()
            .flat_map(|others| values.iter().map(|value| with(others, key, value)))
            .take(MOST_COMBINATIONS)
            .collect();
    }
    // What was written last may also be known as these choices, which an attempt may have sent.
    let differs = |(key, value): (&String, &Value)| choices.get(key).is_some_and(|chosen| chosen != value);
    let is_ours = |shown: &Map<String, Value>| {
        shown.iter().any(differs) && before.is_field(FIELD, &text(shown)) == Some(true)
    };
    let mut ours = combinations.into_iter().find(is_ours).unwrap_or_default();
    ours.retain(|key, value| differs((key, value)));
    ours
}

fn with(others: &Map<String, Value>, key: &str, value: &Value) -> Map<String, Value> {
    let mut combination = others.clone();
    combination.insert(key.to_owned(), value.clone());
    combination
}

fn text(choices: &Map<String, Value>) -> String {
    let mut pairs: Vec<_> = choices.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort_unstable();
    fingerprint(&pairs.join("\n"))
}
