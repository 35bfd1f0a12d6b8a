//! Types of JSON values: text, ids, directions, scores, secrets and objects.

use serde_json::{Map, Value};

use crate::{
    model::{Direction, Secret, SessionId},
    note::one_line,
};

/// A type of value: how it is read, and how error messages describe it.
#[derive(Debug)]
pub(super) struct ValueType<T> {
    /// The name of the type, such as `a time`.
    pub(super) name: &'static str,
    /// The accepted values, such as `ISO 8601 or epoch milliseconds`.
    pub(super) expected: &'static str,
    /// `true` if error messages may quote an invalid value to its sender; `false` for texts and secrets.
    pub(super) is_quotable: bool,
    /// Reads a value. `None`: the value counts as absent.
    pub(super) read: fn(&Value) -> Result<Option<T>, InvalidValue>,
}

/// The value is not of its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvalidValue;

/// The longest identifier, in bytes. Identifiers become part of keys in the table, which may have 1,024 bytes. A key has
/// three bytes for each [separator](SEPARATORS).
const MAX_ID: usize = 256;
/// The id that stands for a contact who is not created yet.
pub(super) const CREATE_NEW: &str = "createNewContact";
/// The characters that separate the parts of a key.
const SEPARATORS: [char; 2] = ['#', '%'];
/// The longest quote of an invalid value, in characters.
const MAX_QUOTE: usize = 40;

pub(super) const TEXT: ValueType<String> =
    ValueType { name: "text", expected: "a string", is_quotable: false, read: text };
/// A subject or a name.
pub(super) const LINE: ValueType<String> = ValueType { read: line, ..TEXT };
/// The body of a note. It is not trimmed, and it may be empty.
pub(super) const BODY: ValueType<String> =
    ValueType { read: |value| value.as_str().map(|text| Some(text.to_owned())).ok_or(InvalidValue), ..TEXT };
/// A person's note. A blank one is empty, and not absent.
pub(super) const NOTE: ValueType<String> =
    ValueType { read: |value| Ok(Some(text(value)?.unwrap_or_default())), ..TEXT };
pub(super) const ID: ValueType<String> = ValueType {
    name: "an identifier",
    expected: "a string or a whole number, at most 256 bytes long",
    is_quotable: false,
    read: id,
};
pub(super) const CONTACT_ID: ValueType<String> = ValueType { read: contact_id, ..ID };
pub(super) const SESSION: ValueType<SessionId> = ValueType {
    name: "a session id",
    expected: "RingCentral's id of one call, never 0",
    is_quotable: true,
    read: session,
};
pub(super) const DIRECTION: ValueType<Direction> = ValueType {
    name: "a direction",
    expected: "\"Inbound\" or \"Outbound\"",
    is_quotable: true,
    read: direction,
};
pub(super) const SCORE: ValueType<String> = ValueType { read: |value| Ok(score(value, 3)), ..TEXT };
pub(super) const SECRET: ValueType<Secret> = ValueType {
    name: "a header value",
    expected: "a string of printable ASCII characters",
    is_quotable: false,
    read: secret,
};
pub(super) const OBJECT: ValueType<Map<String, Value>> =
    ValueType { name: "an object", expected: "an object", is_quotable: false, read: object };

impl<T> ValueType<T> {
    /// Returns the invalid value for an error message, or else its JSON type.
    pub(super) fn describe(&self, value: &Value) -> String {
        let quoted = match value {
            Value::String(text) if self.is_quotable => {
                let mut chars = text.chars();
                let mut start: String = chars.by_ref().take(MAX_QUOTE).collect();
                start.extend(chars.next().map(|_| '…'));
                Value::String(start)
            }
            Value::Number(_) | Value::Bool(_) if self.is_quotable => value.clone(),
            _ => return json_type(value).to_owned(),
        };
        quoted.to_string()
    }
}

/// Returns the JSON type of a value, for error messages.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn text(value: &Value) -> Result<Option<String>, InvalidValue> {
    match value {
        Value::String(text) => Ok((!text.trim().is_empty()).then(|| text.clone())),
        Value::Number(_) => Ok(number_text(value)),
        _ => Err(InvalidValue),
    }
}

fn line(value: &Value) -> Result<Option<String>, InvalidValue> {
    Ok(text(value)?.map(|text| one_line(&text)).filter(|line| !line.is_empty()))
}

/// Returns a number without an unnecessary fraction: `87`, not `87.0`.
fn number_text(value: &Value) -> Option<String> {
    whole(value).map(|whole| whole.to_string()).or_else(|| value.is_number().then(|| value.to_string()))
}

/// Returns a number that has no fraction. Floats over 2^53 are rejected, because they do not represent every integer.
fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    number.as_i128().or_else(|| {
        number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0).map(|f| f as i128)
    })
}

fn id(value: &Value) -> Result<Option<String>, InvalidValue> {
    let id = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(_) => whole(value).ok_or(InvalidValue)?.to_string(),
        _ => return Err(InvalidValue),
    };
    let separators = id.matches(SEPARATORS).count();
    if id.len() + 2 * separators > MAX_ID {
        return Err(InvalidValue);
    }
    Ok((!id.is_empty()).then_some(id))
}

/// Reads a contact's id. `false` and zero count as absent, as in App Connect's `if (contactId)`. So do the choices of the form
/// that are no contact.
fn contact_id(value: &Value) -> Result<Option<String>, InvalidValue> {
    match value {
        Value::Bool(false) => Ok(None),
        _ => Ok(id(value)?.filter(|id| !["0", "none", CREATE_NEW].contains(&id.as_str()))),
    }
}

fn session(value: &Value) -> Result<Option<SessionId>, InvalidValue> {
    match id(value)? {
        Some(id) if id == "0" => Err(InvalidValue),
        id => Ok(id.and_then(SessionId::new)),
    }
}

fn direction(value: &Value) -> Result<Option<Direction>, InvalidValue> {
    let word = value.as_str().ok_or(InvalidValue)?.trim();
    match word {
        "" => Ok(None),
        _ if word.eq_ignore_ascii_case("inbound") => Ok(Some(Direction::Inbound)),
        _ if word.eq_ignore_ascii_case("outbound") => Ok(Some(Direction::Outbound)),
        _ => Err(InvalidValue),
    }
}

/// Reads a score, which is a number, text, or an object of an undocumented shape. Of an object it is a field with a known
/// name, or else the only scalar. Anything else counts as absent.
fn score(value: &Value, depth: u8) -> Option<String> {
    let Value::Object(fields) = value else { return text(value).ok().flatten() };
    let inside = |value: &Value| depth.checked_sub(1).and_then(|depth| score(value, depth));
    let named =
        ["score", "value", "aiScore", "overallScore"].iter().find_map(|name| inside(fields.get(*name)?));
    named.or_else(|| {
        let mut scalars = fields.values().filter_map(|value| text(value).ok().flatten());
        scalars.next().filter(|_| scalars.next().is_none())
    })
}

fn secret(value: &Value) -> Result<Option<Secret>, InvalidValue> {
    let text = value.as_str().ok_or(InvalidValue)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then(|| Some(Secret::new(text))).ok_or(InvalidValue)
}

fn object(value: &Value) -> Result<Option<Map<String, Value>>, InvalidValue> {
    match value {
        Value::Object(object) => Ok(Some(object.clone())),
        Value::Bool(false) => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        _ => Err(InvalidValue),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Debug;

    use serde_json::json;

    use super::*;

    /// Reads a value. `Err` is the description of an invalid value.
    pub(in crate::api::wire) fn check<T: Debug>(
        value_type: &ValueType<T>,
        value: Value,
        show: impl Fn(T) -> String,
        expected: Result<Option<&str>, &str>,
    ) {
        let description = value_type.describe(&value);
        let read = (value_type.read)(&value).map(|found| found.map(show)).map_err(|_| description.as_str());
        assert_eq!(read.as_ref().map(Option::as_deref).map_err(|text| *text), expected, "{value}");
    }

    #[test]
    fn texts_and_scores_are_read_or_described() {
        let long = "🦀".repeat(1 << 18);
        for (value_type, value, expected) in [
            (&TEXT, json!(" a "), Ok(Some(" a "))),
            (&TEXT, json!(87), Ok(Some("87"))),
            (&TEXT, json!(87.0), Ok(Some("87"))),
            (&TEXT, json!(8.75), Ok(Some("8.75"))),
            (&TEXT, json!(" \n\t"), Ok(None)),
            (&TEXT, json!("\u{202e}עברית"), Ok(Some("\u{202e}עברית"))),
            (&TEXT, json!(long), Ok(Some(long.as_str()))),
            (&TEXT, json!(true), Err("a boolean")),
            (&TEXT, json!({"secret": "s3cr3t"}), Err("an object")),
            (&SCORE, json!(87), Ok(Some("87"))),
            (&SCORE, json!("87"), Ok(Some("87"))),
            (&SCORE, json!({"score": 87, "max": 100}), Ok(Some("87"))),
            (&SCORE, json!({"score": {"value": 87.5}}), Ok(Some("87.5"))),
            (&SCORE, json!({"rating": "good"}), Ok(Some("good"))),
            (&SCORE, json!({"low": 1, "high": 2}), Ok(None)),
            (&SCORE, json!({"score": {"score": {"score": {"score": {"score": 1}}}}}), Ok(None)),
            (&SCORE, json!({}), Ok(None)),
            (&SCORE, json!([87]), Ok(None)),
            (&SCORE, json!(true), Ok(None)),
        ] {
            check(value_type, value, |text| text, expected);
        }
    }

    #[test]
    fn identifiers_are_read_or_described() {
        for (value_type, value, expected) in [
            (&ID, json!(4503991004_i64), Ok(Some("4503991004"))),
            (&ID, json!(77.0), Ok(Some("77"))),
            (&ID, json!(u64::MAX), Ok(Some("18446744073709551615"))),
            (&ID, json!(" 12345-example "), Ok(Some("12345-example"))),
            (&ID, json!(""), Ok(None)),
            (&ID, json!("x".repeat(256)), Ok(Some("x".repeat(256).leak() as &str))),
            (&ID, json!("x".repeat(257)), Err("a string")),
            (&ID, json!("#%".repeat(42)), Ok(Some("#%".repeat(42).leak() as &str))),
            (&ID, json!("#%".repeat(43)), Err("a string")),
            (&ID, json!(1e22), Err("a number")),
            (&ID, json!(7.5), Err("a number")),
            (&ID, json!(true), Err("a boolean")),
            (&CONTACT_ID, json!(77), Ok(Some("77"))),
            (&CONTACT_ID, json!("00"), Ok(Some("00"))),
            (&CONTACT_ID, json!(0), Ok(None)),
            (&CONTACT_ID, json!(-0.0), Ok(None)),
            (&CONTACT_ID, json!("0"), Ok(None)),
            (&CONTACT_ID, json!(false), Ok(None)),
            (&CONTACT_ID, json!(true), Err("a boolean")),
        ] {
            check(value_type, value, |text| text, expected);
        }
        check(&SESSION, json!(" 0 "), |id| id.to_string(), Err("\" 0 \""));
        check(&SESSION, json!(0), |id| id.to_string(), Err("0"));
        check(&SESSION, json!(-0.0), |id| id.to_string(), Err("-0.0"));
    }
}
