//! Values that CRMs write in more than one way, for the types of an adapter's responses.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// The most elements of a list in a response. The requests ask for fewer.
const MOST_ELEMENTS: usize = 1_000;

/// A list of a response, with at most 1,000 elements. A longer one is an error, because elements that are not read could
/// be those that are looked for, and all of them could need more memory than there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<T>, D::Error> {
        struct Elements<T>(Vec<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST_ELEMENTS} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Few<T>, A::Error> {
                while self.0.len() < MOST_ELEMENTS
                    && let Some(element) = list.next_element()?
                {
                    self.0.push(element);
                }
                match self.0.len() == MOST_ELEMENTS && list.next_element::<IgnoredAny>()?.is_some() {
                    true => Err(A::Error::custom("the list is too long")),
                    false => Ok(Few(self.0)),
                }
            }
        }
        deserializer.deserialize_seq(Elements(Vec::new()))
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A positive number that may be written as text, such as an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a positive number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                text.trim().parse().map(Number).map_err(|_| E::custom("not a positive number"))
            }
        }
        deserializer.deserialize_any(Written)
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
pub fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    // A value of another type can be large, so it is not read as JSON of any type.
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
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

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn a_number_may_be_a_text() {
        for (json, expected) in [
            ("7", Some(7)),
            (r#"" 7 ""#, Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("-7", None),
            ("7.5", None),
            (r#""x""#, None),
            ("null", None),
            ("[7]", None),
        ] {
            assert_eq!(from_str::<Number>(json).ok(), expected.map(Number), "{json}");
        }
    }

    #[test]
    fn a_list_has_at_most_a_thousand_elements() {
        for (count, is_read) in [(0, true), (1, true), (1_000, true), (1_001, false), (50_000, false)] {
            let read = from_str::<Few<u8>>(&json!(vec![7; count]).to_string());
            assert_eq!(read.ok().map(|list| list.0.len()), is_read.then_some(count));
        }
        assert!(from_str::<Few<u8>>("{}").is_err());
        assert!(from_str::<Few<u8>>("[1,").is_err());
    }

    #[test]
    fn a_value_of_another_type_is_read_as_none() {
        #[derive(Deserialize)]
        struct Record {
            #[serde(default, deserialize_with = "lenient")]
            id: Option<Number>,
        }
        for (json, expected) in [
            (r#"{"id": 7}"#, Some(7)),
            (r#"{"id": [[7], {"a": 0}]}"#, None),
            (r#"{"id": null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(from_str::<Record>(json).unwrap().id, expected.map(Number), "{json}");
        }
        assert!(from_str::<Record>(r#"{"id": [}"#).is_err());
    }
}
