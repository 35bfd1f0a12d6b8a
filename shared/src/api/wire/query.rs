//! The parameters of a query.

use std::borrow::Cow;

/// The parameters of a query. Of several with one name, the first counts.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(super) fn of(query: &'a str) -> Query<'a> {
        Query(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// Returns the value of a parameter, unless it is blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())?;
        (!value.trim().is_empty()).then_some(value)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}
