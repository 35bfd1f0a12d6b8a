//! A JSON value with a limit on its number of parts. A part takes up to a hundred times its length in memory, so a limit on the
//! length of the JSON alone would not limit its memory.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The most values that are read. A call with 200 legs has a few thousand.
pub(super) const MOST_VALUES: usize = 50_000;

/// Reads one value. What exceeds the limit is parsed, so that it is known to be JSON, and left out.
pub(super) struct Bounded<'b> {
    /// The number of values that can still be read, and the one that is left out first.
    left: &'b Cell<usize>,
}

impl<'b> Bounded<'b> {
    pub(super) fn new(left: &'b Cell<usize>) -> Bounded<'b> {
        Bounded { left }
    }

    /// Counts a value. Returns `None` if it is one too many.
    fn next(&self) -> Option<Bounded<'b>> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        (left > 0).then_some(Bounded { left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(seed) = self.next() {
            match list.next_element_seed(seed)? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(seed) = self.next() {
            match fields.next_key::<String>()? {
                Some(name) => object.insert(name, fields.next_value_seed(seed)?),
                None => return Ok(Value::Object(object)),
            };
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(object))
    }
}
