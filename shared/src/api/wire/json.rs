//! Parses bytes as a JSON object.

use std::{borrow::Cow, cell::Cell};

use serde::de::DeserializeSeed;
use serde_json::{Deserializer, Map, Value};

use super::{
    InputError,
    bounded::{Bounded, MOST_VALUES},
    value,
};

/// A JSON object as it was read.
#[derive(Debug)]
pub(super) struct ReadObject {
    pub(super) fields: Map<String, Value>,
    /// The error of what was left out, because there was too much.
    pub(super) left_out: Option<InputError>,
}

/// Parses bytes as a JSON object. `subject` is the word for the bytes in errors, such as `body`.
pub(super) fn read_object(bytes: &[u8], subject: &str) -> Result<ReadObject, InputError> {
    // Some senders begin a text with a byte order mark, which JSON does not permit (RFC 8259, section 8.1).
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(InputError::new(format!("the {subject} is empty: expected a JSON object")));
    }
    match read_value(&without_lone_surrogates(bytes)) {
        Ok((Value::Object(fields), is_whole)) => {
            let too_many = || format!("the {subject} has too many values: only {MOST_VALUES} are read");
            Ok(ReadObject { fields, left_out: (!is_whole).then(|| InputError::new(too_many())) })
        }
        Ok((other, _)) => Err(InputError::new(format!(
            "the {subject} is not an object: expected a JSON object, got {}",
            value::json_type(&other)
        ))),
        // serde_json has no error kind for this, and its message does not help a sender.
        Err(error) if error.to_string().starts_with("recursion limit exceeded") => Err(InputError::new(
            format!("the {subject} is nested too deeply: expected fewer than 128 levels"),
        )),
        Err(error) => Err(InputError::new(format!("the {subject} is not JSON: {error}"))),
    }
}

/// Parses bytes as JSON. Returns `false` if there was too much to read all of it.
fn read_value(bytes: &[u8]) -> Result<(Value, bool), serde_json::Error> {
    let left = Cell::new(MOST_VALUES);
    let mut json = Deserializer::from_slice(bytes);
    let value = Bounded::new(&left).deserialize(&mut json)?;
    json.end()?;
    Ok((value, left.get() > 0))
}

/// Replaces incomplete surrogate pairs with U+FFFD. JavaScript sends one, such as `\ud83d`, if it cuts a text in the
/// middle of an emoji, and that must not lose the call. JSON has no backslash outside of strings.
fn without_lone_surrogates(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Cow::Borrowed(bytes);
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += found;
        at += match escaped_unit(&text, at) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(escaped_unit(&text, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                text.to_mut()[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            Some(_) => 6,
        };
    }
    text
}

/// Returns the UTF-16 unit of an escape `\uXXXX` at this position.
fn escaped_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_parsed_as_an_object_or_explained() {
        let deep = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let check = |bytes: &[u8], expected: Result<&str, &str>| {
            let read = read_object(bytes, "body").map(|read| Value::Object(read.fields).to_string());
            let read = read.as_deref().map_err(|error| error.message.as_str());
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(bytes));
        };
        check(b"{}", Ok("{}"));
        check(b" {\"a\": 1, \"a\": 2} ", Ok(r#"{"a":2}"#));
        check(b"\xef\xbb\xbf{}", Ok("{}"));
        check(b"\xef\xbb\xbf", Err("the body is empty: expected a JSON object"));
        check(b"", Err("the body is empty: expected a JSON object"));
        check(b" \n", Err("the body is empty: expected a JSON object"));
        check(b"[]", Err("the body is not an object: expected a JSON object, got a list"));
        check(b"\"{}\"", Err("the body is not an object: expected a JSON object, got a string"));
        check(b"null", Err("the body is not an object: expected a JSON object, got null"));
        check(b"{\n\"a\": x}", Err("the body is not JSON: expected value at line 2 column 6"));
        check(b"{\"a\"", Err("the body is not JSON: EOF while parsing an object at line 1 column 4"));
        check(b"{} {}", Err("the body is not JSON: trailing characters at line 1 column 4"));
        check(b"{\"a\": 1e400}", Err("the body is not JSON: number out of range at line 1 column 11"));
        check(b"{\"a\": NaN}", Err("the body is not JSON: expected value at line 1 column 7"));
        check(
            b"{\"a\": \"\xff\"}",
            Err("the body is not JSON: invalid unicode code point at line 1 column 8"),
        );
        check(deep(100).as_bytes(), Ok(&deep(100)));
        check(deep(200).as_bytes(), Err("the body is nested too deeply: expected fewer than 128 levels"));
        check(&[b'['; 1 << 20], Err("the body is nested too deeply: expected fewer than 128 levels"));
    }

    #[test]
    fn what_exceeds_the_limit_is_left_out() {
        let list = |count: usize, more: &str| format!(r#"{{"a":[{}0],"b":7{more}}}"#, "0,".repeat(count));
        for (json, is_whole, has_b) in [
            (list(1_000, ""), true, true),
            (list(MOST_VALUES - 10, ""), true, true),
            (list(MOST_VALUES, ""), false, false),
            (list(500_000, ""), false, false),
            (format!(r#"{{"b":7,"a":[{}0]}}"#, "[0],".repeat(MOST_VALUES)), false, true),
        ] {
            let read = read_object(json.as_bytes(), "body").unwrap();
            let found = (read.left_out.is_none(), read.fields.contains_key("b"));
            assert_eq!(found, (is_whole, has_b), "{} bytes", json.len());
        }
        let error = read_object(list(MOST_VALUES, ", x").as_bytes(), "body").unwrap_err();
        assert!(error.message.starts_with("the body is not JSON"), "{}", error.message);
        let cut = read_object(list(MOST_VALUES, "").as_bytes(), "body").unwrap().left_out.unwrap();
        assert_eq!(cut.message, "the body has too many values: only 50000 are read");
    }

    #[test]
    fn only_incomplete_surrogate_pairs_are_replaced() {
        let check = |text: &str, expected: &str| {
            let read = read_object(format!(r#"{{"a":"{text}"}}"#).as_bytes(), "body").unwrap();
            assert_eq!(read.fields["a"], expected, "{text}");
        };
        check(r"\ud83d\ude00", "😀");
        check(r"cut \ud83d", "cut \u{fffd}");
        check(r"cut \uD83D.", "cut \u{fffd}.");
        check(r"\ude00\ud83d", "\u{fffd}\u{fffd}");
        check(r"\ud83d\ud83d\ude00", "\u{fffd}😀");
        check(r"\ud83dude00", "\u{fffd}ude00");
        check(r"\\ud83d", r"\ud83d");
        check(r"\\\ud83d", "\\\u{fffd}");
        check(r"\u0041\n", "A\n");
    }
}
