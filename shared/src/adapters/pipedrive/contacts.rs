//! Persons, found by their telephone numbers.

use super::wire::{FoundPerson, Hits, data};
use crate::{
    adapters::{Access, CrmRequest, Error},
    model::{Contact, ContactId},
};

/// The number of digits at the end of a telephone number that its national and its international form have in common.
const SHARED_DIGITS: usize = 8;

/// Returns the persons with a telephone number (API reference, "Search persons").
///
/// # Errors
///
/// Those of the request.
pub(super) async fn find(access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
    let wanted = digits(phone_number);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let request = CrmRequest::read("persons/search", "/api/v2/persons/search")
        .query("term", &wanted[wanted.len().saturating_sub(SHARED_DIGITS)..])
        .query("fields", "phone")
        .query("limit", "100")
        .page();
    let found: Hits = data(&access.send(request).await?)?;
    let persons = found.items.into_iter().filter_map(|hit| hit.item);
    Ok(persons.filter_map(|person| person_with_number(person, phone_number)).collect())
}

/// Converts a search result to a contact, if one of the person's numbers is the wanted one.
fn person_with_number(person: FoundPerson, wanted: &str) -> Option<Contact> {
    let phone = person.phones.into_iter().find(|phone| is_same_number(phone, wanted))?;
    Some(Contact {
        id: ContactId::new(person.id.0.to_string())?,
        kind: Some("contact".to_owned()),
        name: person.name,
        phone_number: Some(phone),
    })
}

/// Returns `true` if two texts are the same telephone number: in full, or one of them without the country code or with
/// a trunk prefix `0`.
fn is_same_number(one: &str, other: &str) -> bool {
    let (first, second) = (digits(one), digits(other));
    if one.trim_start().starts_with('+') && other.trim_start().starts_with('+') {
        return first == second;
    }
    let (first, second) = (first.trim_start_matches('0'), second.trim_start_matches('0'));
    let (short, long) = if first.len() < second.len() { (first, second) } else { (second, first) };
    short == long || (short.len() >= SHARED_DIGITS && long.ends_with(short))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
