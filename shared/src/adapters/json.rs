//! Values that CRMs write in more than one way, for the types of an adapter's responses.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A positive number that may be written as text, such as an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Value")]
pub struct Number(pub u64);

impl TryFrom<Value> for Number {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Number, &'static str> {
        number(&value).map(Number).ok_or("expected a positive number")
    }
}

/// Reads a positive number, which may be written as text.
pub fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

/// Deserializes a value, or `None` from a value of another type. For fields without which a response is still usable.
///
/// # Errors
///
/// If the input is not JSON.
pub fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Deserializes a field that is there, also if it is null. With `#[serde(default)]`, `None` is a missing field.
///
/// # Errors
///
/// If the value is neither null nor of the type.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
