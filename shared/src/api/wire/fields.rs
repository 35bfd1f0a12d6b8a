//! Fields: looks for a field in several objects, and names it by its path in errors.

use serde_json::{Map, Value};

use super::{
    InputError,
    value::{self, ValueType},
};

/// The objects that are searched for a field. The first one that has it takes precedence.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    places: Vec<Place<'a>>,
}

/// An object and its path in the input: empty, or with a dot at the end.
#[derive(Clone, Debug)]
struct Place<'a> {
    path: String,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Returns the fields of the top-level object.
    pub(super) fn of(object: &'a Map<String, Value>) -> Self {
        Fields::at(String::new(), object)
    }

    fn at(path: String, object: &'a Map<String, Value>) -> Self {
        Fields { places: vec![Place { path, object }] }
    }

    /// Returns the fields of the objects with this name in all places.
    pub(super) fn inside(&self, name: &str) -> Result<Fields<'a>, InputError> {
        let mut places = Vec::new();
        for place in &self.places {
            match place.object.get(name) {
                Some(Value::Object(object)) => {
                    places.push(Place { path: format!("{}{name}.", place.path), object });
                }
                // These count as absent in JavaScript.
                None | Some(Value::Null | Value::Bool(false)) => {}
                Some(Value::String(text)) if text.trim().is_empty() => {}
                Some(other) => {
                    return Err(place.invalid(name, "an object", "an object", value::json_type(other)));
                }
            }
        }
        Ok(Fields { places })
    }

    /// Returns the fields of each object in the list with this name. `null` items are left out.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Fields<'a>>, InputError> {
        for place in &self.places {
            match place.object.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::Array(items)) => return place.items(name, items),
                Some(other) => return Err(place.invalid(name, "a list", "a list", value::json_type(other))),
            }
        }
        Ok(Vec::new())
    }

    /// Returns fields that are searched for here, then in `later`.
    pub(super) fn or(mut self, later: Fields<'a>) -> Self {
        self.places.extend(later.places);
        self
    }

    /// Returns `true` if there is no object to search.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the field's value, or `None` if it is absent or empty in all objects.
    pub(super) fn get<T>(&self, name: &str, value_type: &ValueType<T>) -> Result<Option<T>, InputError> {
        for place in &self.places {
            let Some(value) = place.object.get(name).filter(|value| !value.is_null()) else { continue };
            match (value_type.read)(value) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(_) => {
                    let got = value_type.describe(value);
                    return Err(place.invalid(name, value_type.name, value_type.expected, got));
                }
            }
        }
        Ok(None)
    }

    /// Returns the field's value, or an error if it is absent or empty.
    pub(super) fn require<T>(&self, name: &str, value_type: &ValueType<T>) -> Result<T, InputError> {
        self.get(name, value_type)?.ok_or_else(|| self.missing(name, value_type.expected))
    }

    /// Returns the field's value, or `None` if it is absent or invalid.
    pub(super) fn lenient<T>(&self, name: &str, value_type: &ValueType<T>) -> Option<T> {
        self.get(name, value_type).ok().flatten()
    }

    /// Returns the field's value as text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, InputError> {
        self.get(name, &value::TEXT)
    }

    /// Returns an error for a missing field, with the path where it usually is: in the innermost object.
    pub(super) fn missing(&self, name: &str, expected: &str) -> InputError {
        let path = self.places.last().map_or("", |place| &place.path);
        InputError::new(format!("`{path}{name}` is missing: expected {expected}"))
    }
}

impl<'a> Place<'a> {
    fn items(&self, name: &str, items: &'a [Value]) -> Result<Vec<Fields<'a>>, InputError> {
        let item = |(position, item): (usize, &'a Value)| {
            let name = format!("{name}[{position}]");
            match item {
                Value::Object(object) => Ok(Fields::at(format!("{}{name}.", self.path), object)),
                other => Err(self.invalid(&name, "an object", "an object", value::json_type(other))),
            }
        };
        items.iter().enumerate().filter(|(_, item)| !item.is_null()).map(item).collect()
    }

    fn invalid(
        &self,
        name: &str,
        type_name: &str,
        expected: &str,
        got: impl std::fmt::Display,
    ) -> InputError {
        InputError::with_value(format!("`{}{name}` is not {type_name}: expected {expected}", self.path), got)
    }
}
