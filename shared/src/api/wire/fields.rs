//! Where a field can stand.

use serde_json::{Map, Value};

use super::{
    Invalid,
    value::{self, Kind},
};

/// The objects in which a field can stand; the first that has it wins.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    places: Vec<Place<'a>>,
}

/// An object, and the path by which its sender knows it: empty, or ending in a dot.
#[derive(Clone, Debug)]
struct Place<'a> {
    path: String,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The top level.
    pub(super) fn of(object: &'a Map<String, Value>) -> Self {
        Fields::at(String::new(), object)
    }

    fn at(path: String, object: &'a Map<String, Value>) -> Self {
        Fields { places: vec![Place { path, object }] }
    }

    /// The objects of that name in all places.
    pub(super) fn inside(&self, name: &str) -> Result<Fields<'a>, Invalid> {
        let mut places = Vec::new();
        for place in &self.places {
            match place.object.get(name) {
                Some(Value::Object(object)) => {
                    places.push(Place { path: format!("{}{name}.", place.path), object });
                }
                // What JavaScript takes for no object.
                None | Some(Value::Null | Value::Bool(false)) => {}
                Some(Value::String(text)) if text.trim().is_empty() => {}
                Some(other) => {
                    return Err(place.wrong(name, "an object", "an object", value::kind_of(other)));
                }
            }
        }
        Ok(Fields { places })
    }

    /// The objects of a list of that name, each on its own; `null` among them is left out.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Fields<'a>>, Invalid> {
        for place in &self.places {
            match place.object.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::Array(items)) => return place.items(name, items),
                Some(other) => return Err(place.wrong(name, "a list", "a list", value::kind_of(other))),
            }
        }
        Ok(Vec::new())
    }

    /// These places, and then those.
    pub(super) fn or(mut self, later: Fields<'a>) -> Self {
        self.places.extend(later.places);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The field, unless it is absent or empty everywhere.
    pub(super) fn get<T>(&self, name: &str, kind: &Kind<T>) -> Result<Option<T>, Invalid> {
        for place in &self.places {
            let Some(value) = place.object.get(name).filter(|value| !value.is_null()) else { continue };
            match (kind.read)(value) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(_) => return Err(place.wrong(name, kind.what, kind.form, kind.shown(value))),
            }
        }
        Ok(None)
    }

    /// The field, which must be there.
    pub(super) fn require<T>(&self, name: &str, kind: &Kind<T>) -> Result<T, Invalid> {
        self.get(name, kind)?.ok_or_else(|| self.missing(name, kind.form))
    }

    /// The field, or nothing when it is unreadable.
    pub(super) fn lenient<T>(&self, name: &str, kind: &Kind<T>) -> Option<T> {
        self.get(name, kind).ok().flatten()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Invalid> {
        self.get(name, &value::TEXT)
    }

    /// That a field is missing where it is usually sent: in the innermost place.
    pub(super) fn missing(&self, name: &str, form: &str) -> Invalid {
        let path = self.places.last().map_or("", |place| &place.path);
        Invalid::new(format!("`{path}{name}` is missing: expected {form}"))
    }
}

impl<'a> Place<'a> {
    fn items(&self, name: &str, items: &'a [Value]) -> Result<Vec<Fields<'a>>, Invalid> {
        let item = |(position, item): (usize, &'a Value)| {
            let name = format!("{name}[{position}]");
            match item {
                Value::Object(object) => Ok(Fields::at(format!("{}{name}.", self.path), object)),
                other => Err(self.wrong(&name, "an object", "an object", value::kind_of(other))),
            }
        };
        items.iter().enumerate().filter(|(_, item)| !item.is_null()).map(item).collect()
    }

    fn wrong(&self, name: &str, what: &str, form: &str, got: impl std::fmt::Display) -> Invalid {
        Invalid::with_value(format!("`{}{name}` is not {what}: expected {form}", self.path), got)
    }
}
