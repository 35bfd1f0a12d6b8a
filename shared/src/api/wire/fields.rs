//! Fields: looks for a field in several objects, and names it by its path in errors.
//!
//! A fact that cannot be read must not lose the call: [`Fields::fact`] and its like leave it out and keep the error, which
//! [`Fields::unread`] returns. What makes the request impossible is read by [`Fields::get`] and [`Fields::require`].

use std::{cell::RefCell, rc::Rc};

use serde_json::{Map, Value};

use super::{
    InputError,
    json::ReadObject,
    value::{self, ValueType},
};

/// The objects that are searched for a field. The first one that has it takes precedence.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    places: Vec<Place<'a>>,
    /// The errors of the fields that were left out, of these objects and of all that belong to the same input.
    unread: Rc<RefCell<Vec<InputError>>>,
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
        Fields { places: vec![Place { path: String::new(), object }], unread: Rc::default() }
    }

    /// Returns the fields of an input. What was left out of it counts as a field that was left out.
    pub(super) fn of_input(input: &'a ReadObject) -> Self {
        let fields = Fields::of(&input.fields);
        fields.unread.borrow_mut().extend(input.left_out.clone());
        fields
    }

    fn with_places(&self, places: Vec<Place<'a>>) -> Fields<'a> {
        Fields { places, unread: self.unread.clone() }
    }

    /// Returns the errors of the fields that were left out, each once.
    pub(super) fn unread(&self) -> Vec<InputError> {
        self.unread.borrow().clone()
    }

    /// Returns the value, or leaves it out and keeps the error.
    fn or_unread<T: Default>(&self, read: Result<T, InputError>) -> T {
        read.unwrap_or_else(|error| {
            let mut unread = self.unread.borrow_mut();
            if !unread.contains(&error) {
                unread.push(error);
            }
            T::default()
        })
    }

    /// Returns the fields of the objects with this name in all places.
    pub(super) fn inside(&self, name: &str) -> Result<Fields<'a>, InputError> {
        let places = self.places.iter().map(|place| place.inside(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.with_places(places.into_iter().flatten().collect()))
    }

    /// Returns the fields of the objects with this name, without what is none.
    pub(super) fn part(&self, name: &str) -> Fields<'a> {
        let places = self.places.iter().filter_map(|place| self.or_unread(place.inside(name)));
        self.with_places(places.collect())
    }

    /// Returns the fields of the first objects in the list with this name, at most this many, without what is none. `null`
    /// items are left out.
    pub(super) fn list(&self, name: &str, most: usize) -> Vec<Fields<'a>> {
        let found = self.places.iter().find_map(|place| {
            let items = self.or_unread(place.list(name))?;
            Some((place, items))
        });
        let Some((place, items)) = found else { return Vec::new() };
        let items = items.iter().enumerate().filter(|(_, item)| !item.is_null()).take(most);
        let items = items.filter_map(|(position, item)| self.or_unread(place.item(name, position, item)));
        items.map(|place| self.with_places(vec![place])).collect()
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
            if let Some(found) = place.get(name, value_type)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the field's value, or `None` if it is absent, empty or invalid in all objects.
    pub(super) fn fact<T>(&self, name: &str, value_type: &ValueType<T>) -> Option<T> {
        self.places.iter().find_map(|place| self.or_unread(place.get(name, value_type)))
    }

    /// Returns the field's value as text, or `None` if it is absent, empty or invalid in all objects.
    pub(super) fn words(&self, name: &str) -> Option<String> {
        self.fact(name, &value::TEXT)
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
    fn get<T>(&self, name: &str, value_type: &ValueType<T>) -> Result<Option<T>, InputError> {
        let Some(value) = self.object.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
        (value_type.read)(value)
            .map_err(|_| self.invalid(name, value_type.name, value_type.expected, value_type.describe(value)))
    }

    /// Returns the object with this name. What counts as absent in JavaScript is absent.
    fn inside(&self, name: &str) -> Result<Option<Place<'a>>, InputError> {
        match self.object.get(name) {
            Some(Value::Object(object)) => Ok(Some(Place { path: format!("{}{name}.", self.path), object })),
            None | Some(Value::Null | Value::Bool(false)) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(other) => Err(self.invalid(name, "an object", "an object", value::json_type(other))),
        }
    }

    fn list(&self, name: &str) -> Result<Option<&'a [Value]>, InputError> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.invalid(name, "a list", "a list", value::json_type(other))),
        }
    }

    fn item(&self, list: &str, position: usize, item: &'a Value) -> Result<Option<Place<'a>>, InputError> {
        let name = format!("{list}[{position}]");
        match item {
            Value::Object(object) => Ok(Some(Place { path: format!("{}{name}.", self.path), object })),
            other => Err(self.invalid(&name, "an object", "an object", value::json_type(other))),
        }
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
