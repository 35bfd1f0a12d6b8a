//! Inputs that the kinds share: hostile texts, JSON, and mutations of valid inputs.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Texts that break keys, URLs, markup, patterns, terminals and JSON.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z0-9 ]{0,8}",
        2 => any::<char>().prop_map(String::from),
        4 => prop::sample::select(vec![
            "#", "%", "%23", "/", "\\", "..", "@", ":", "?", "&", "=", "+", "'", "\"", "<", ">", "<b>", "</div>", "<!--",
            "-->", "\n", "\r\n", "\0", "\u{7f}", "\u{202e}", "\u{2028}", "\u{feff}", "\u{1f600}", "é", "e\u{301}", "null",
            "true", "-1", "1e400", "NaN", "undefined", "0", "https://", "javascript:", "- Note:", "**Result**:", "--- END",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        9 => prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat()),
        1 => ("[a-z#%\u{e9}]", 200_usize..2_000).prop_map(|(text, count)| text.repeat(count)),
    ]
}

/// Any JSON.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        prop::sample::select(vec![
            "id",
            "sessionId",
            "direction",
            "note",
            "user",
            "callLog",
            "logInfo",
            "legs",
            "from",
            "to",
            "data",
            "success",
            "error",
            "message",
            "items",
            "result",
            "duration",
            "startTime",
            "additional_data",
            "next_cursor",
            "phoneNumber",
        ])
        .prop_map(str::to_owned),
        text(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_i64..400).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Mutations of valid JSON: some of its values replaced, or removed.
pub(crate) fn mutated(valid: Value) -> impl Strategy<Value = Value> {
    let mut places = Vec::new();
    collect_places(&valid, String::new(), &mut places);
    let change = (prop::sample::select(places), prop::option::weighted(0.8, json()));
    prop::collection::vec(change, 0..4).prop_map(move |changes| {
        let mut value = valid.clone();
        for (place, new) in changes {
            let (parent, name) = place.rsplit_once('/').unwrap_or_default();
            match (value.pointer_mut(parent), new) {
                (Some(Value::Object(fields)), Some(new)) => drop(fields.insert(name.to_owned(), new)),
                (Some(Value::Object(fields)), None) => drop(fields.remove(name)),
                _ => {}
            }
        }
        value
    })
}

/// Collects the JSON pointers of all fields.
fn collect_places(value: &Value, place: String, places: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    for (name, inner) in fields {
        let place = format!("{place}/{name}");
        places.push(place.clone());
        collect_places(inner, place, places);
    }
}

/// Mutations of valid bytes: some cut out, replaced, repeated or inserted.
pub(crate) fn mutated_bytes(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change =
        (any::<prop::sample::Index>(), 0_usize..12, prop::collection::vec(any::<u8>(), 0..6), any::<bool>());
    prop::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut bytes = valid.clone();
        for (at, length, new, repeats) in changes {
            if bytes.is_empty() {
                break;
            }
            let start = at.index(bytes.len());
            let end = (start + length).min(bytes.len());
            let new = if repeats { bytes[start..end].repeat(2) } else { new };
            bytes.splice(start..end, new);
        }
        bytes
    })
}
