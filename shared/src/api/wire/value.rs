//! What a JSON value can mean.

use serde_json::{Map, Value};

use crate::model::{Direction, Secret, SessionId};

/// How a value is read, and what its sender is told when it cannot be.
#[derive(Debug)]
pub(super) struct Kind<T> {
    /// `a time`
    pub(super) what: &'static str,
    /// `ISO 8601 or epoch milliseconds`
    pub(super) form: &'static str,
    /// Whether a wrong value may be shown. Not when it could be a secret, or what a person wrote.
    pub(super) public: bool,
    pub(super) read: fn(&Value) -> Result<Option<T>, Unreadable>,
}

/// The value means nothing of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

/// The longest identifier. It becomes part of a key in the table, which has room for 1024 bytes.
const MAX_ID: usize = 256;
/// The longest piece of a wrong value that is shown, in characters.
const MAX_SHOWN: usize = 40;

pub(super) const TEXT: Kind<String> = Kind { what: "text", form: "a string", public: false, read: text };
/// A body is taken as it is, an empty one too.
pub(super) const BODY: Kind<String> =
    Kind { read: |value| value.as_str().map(|text| Some(text.to_owned())).ok_or(Unreadable), ..TEXT };
pub(super) const ID: Kind<String> = Kind {
    what: "an identifier",
    form: "a string or a whole number, at most 256 bytes long",
    public: false,
    read: id,
};
pub(super) const CONTACT_ID: Kind<String> = Kind { read: contact_id, ..ID };
pub(super) const SESSION: Kind<SessionId> =
    Kind { what: "a session id", form: "RingCentral's id of one call, never 0", public: true, read: session };
pub(super) const DIRECTION: Kind<Direction> =
    Kind { what: "a direction", form: "\"Inbound\" or \"Outbound\"", public: true, read: direction };
pub(super) const SCORE: Kind<String> = Kind { read: |value| Ok(score(value, 3)), ..TEXT };
pub(super) const SECRET: Kind<Secret> = Kind {
    what: "text that fits a header",
    form: "a string of printable ASCII characters",
    public: false,
    read: secret,
};
pub(super) const OBJECT: Kind<Map<String, Value>> =
    Kind { what: "an object", form: "an object", public: false, read: object };

impl<T> Kind<T> {
    /// What the sender is shown of a wrong value.
    pub(super) fn shown(&self, value: &Value) -> String {
        let shown = match value {
            Value::String(text) if self.public => {
                let mut chars = text.chars();
                let mut start: String = chars.by_ref().take(MAX_SHOWN).collect();
                start.extend(chars.next().map(|_| '…'));
                Value::String(start)
            }
            Value::Number(_) | Value::Bool(_) if self.public => value.clone(),
            _ => return kind_of(value).to_owned(),
        };
        shown.to_string()
    }
}

/// What kind of value it is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn text(value: &Value) -> Result<Option<String>, Unreadable> {
    match value {
        Value::String(text) => Ok((!text.trim().is_empty()).then(|| text.clone())),
        Value::Number(_) => Ok(number_text(value)),
        _ => Err(Unreadable),
    }
}

/// A number as people write it: `87`, not `87.0`.
fn number_text(value: &Value) -> Option<String> {
    whole(value).map(|whole| whole.to_string()).or_else(|| value.is_number().then(|| value.to_string()))
}

/// A number without a fraction. Beyond 2^53 a float no longer tells which number was meant.
fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    number.as_i128().or_else(|| {
        number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0).map(|f| f as i128)
    })
}

fn id(value: &Value) -> Result<Option<String>, Unreadable> {
    let id = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(_) => whole(value).ok_or(Unreadable)?.to_string(),
        _ => return Err(Unreadable),
    };
    if id.len() > MAX_ID {
        return Err(Unreadable);
    }
    Ok((!id.is_empty()).then_some(id))
}

/// As JavaScript asks `if (contactId)`, and App Connect for zero in either form.
fn contact_id(value: &Value) -> Result<Option<String>, Unreadable> {
    match value {
        Value::Bool(false) => Ok(None),
        _ => Ok(id(value)?.filter(|id| id != "0")),
    }
}

fn session(value: &Value) -> Result<Option<SessionId>, Unreadable> {
    match id(value)? {
        Some(id) if id == "0" => Err(Unreadable),
        id => Ok(id.and_then(SessionId::new)),
    }
}

fn direction(value: &Value) -> Result<Option<Direction>, Unreadable> {
    let word = value.as_str().ok_or(Unreadable)?.trim();
    match word {
        "" => Ok(None),
        _ if word.eq_ignore_ascii_case("inbound") => Ok(Some(Direction::Inbound)),
        _ if word.eq_ignore_ascii_case("outbound") => Ok(Some(Direction::Outbound)),
        _ => Err(Unreadable),
    }
}

/// A score is sent as a number, as text, or in an object whose shape nobody documents: then it is what a name says,
/// or the only scalar there is. Never a failure, and never `[object Object]`.
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

fn secret(value: &Value) -> Result<Option<Secret>, Unreadable> {
    let text = value.as_str().ok_or(Unreadable)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then(|| Some(Secret::new(text))).ok_or(Unreadable)
}

fn object(value: &Value) -> Result<Option<Map<String, Value>>, Unreadable> {
    match value {
        Value::Object(object) => Ok(Some(object.clone())),
        Value::Bool(false) => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        _ => Err(Unreadable),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Debug;

    use serde_json::json;

    use super::*;

    /// `Err`: the value is refused, and this is what its sender is shown of it.
    pub(in crate::api::wire) fn check<T: Debug>(
        kind: &Kind<T>,
        value: Value,
        show: impl Fn(T) -> String,
        expected: Result<Option<&str>, &str>,
    ) {
        let shown = kind.shown(&value);
        let read = (kind.read)(&value).map(|found| found.map(show)).map_err(|_| shown.as_str());
        assert_eq!(read.as_ref().map(Option::as_deref).map_err(|shown| *shown), expected, "{value}");
    }

    #[test]
    fn texts_and_scores() {
        let long = "🦀".repeat(1 << 18);
        for (kind, value, expected) in [
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
            check(kind, value, |text| text, expected);
        }
    }

    #[test]
    fn identifiers() {
        for (kind, value, expected) in [
            (&ID, json!(4503991004_i64), Ok(Some("4503991004"))),
            (&ID, json!(77.0), Ok(Some("77"))),
            (&ID, json!(u64::MAX), Ok(Some("18446744073709551615"))),
            (&ID, json!(" 12345-pipedrive "), Ok(Some("12345-pipedrive"))),
            (&ID, json!(""), Ok(None)),
            (&ID, json!("x".repeat(256)), Ok(Some("x".repeat(256).leak() as &str))),
            (&ID, json!("x".repeat(257)), Err("a string")),
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
            check(kind, value, |text| text, expected);
        }
        check(&SESSION, json!(" 0 "), |id| id.to_string(), Err("\" 0 \""));
        check(&SESSION, json!(0), |id| id.to_string(), Err("0"));
        check(&SESSION, json!(-0.0), |id| id.to_string(), Err("-0.0"));
    }
}
