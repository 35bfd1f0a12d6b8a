//! Persons, found by their telephone numbers.

use super::{
    DEALS, LEADS,
    wire::{Deal, FoundPerson, Hits, Lead, data},
};
use crate::{
    adapters::{
        Access, Choices, ContactChoice, CrmRequest, Error,
        json::Few,
        phone::{SHARED_DIGITS, digits, is_same_number},
    },
    model::{Contact, ContactId},
};

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

/// Returns the persons whose names contain a text (API reference, "Search persons").
///
/// # Errors
///
/// Those of the request.
pub(super) async fn find_by_name(access: &Access<'_>, name: &str) -> Result<Vec<Contact>, Error> {
    // A shorter term is rejected.
    if name.trim().chars().count() < 2 {
        return Ok(Vec::new());
    }
    let request = CrmRequest::read("persons/search", "/api/v2/persons/search")
        .query("term", name.trim())
        .query("fields", "name")
        .query("limit", "20")
        .page();
    let found: Hits = data(&access.send(request).await?)?;
    let persons = found.items.into_iter().filter_map(|hit| hit.item);
    let contact = |person: FoundPerson| {
        Some(Contact {
            id: ContactId::new(person.id.0.to_string())?,
            kind: Some("contact".to_owned()),
            name: person.name,
            phone_number: person.phones.into_iter().next(),
        })
    };
    Ok(persons.filter_map(contact).collect())
}

/// Returns the open deals and the leads of a person (API reference, "Get all deals", "Get all leads"; API v2 has no leads). Leads
/// that Pipedrive does not show are left out, because not every company uses them.
///
/// # Errors
///
/// Those of the request for deals.
pub(super) async fn choices(access: &Access<'_>, contact: &Contact) -> Result<Choices, Error> {
    let person = contact.id.as_str();
    let deals = CrmRequest::read("deals", "/api/v2/deals")
        .query("person_id", person)
        .query("status", "open")
        .query("limit", "50")
        .page();
    let leads = CrmRequest::read("leads", "/v1/leads").query("person_id", person).query("limit", "50").page();
    let (deals, leads) = tokio::join!(access.send(deals), access.send(leads));
    let Few(deals) = data::<Few<Deal>>(&deals?)?;
    let leads =
        leads.and_then(|leads| data::<Few<Lead>>(&leads)).map_or_else(|_| Vec::new(), |Few(leads)| leads);
    let deals = deals.into_iter().map(|deal| ContactChoice { value: deal.id.0.into(), title: deal.title });
    let leads = leads.into_iter().map(|lead| ContactChoice { value: lead.id.into(), title: lead.title });
    let fields: [(_, Vec<_>); 2] = [(DEALS, deals.collect()), (LEADS, leads.collect())];
    Ok(fields.into_iter().filter(|(_, choices)| !choices.is_empty()).collect())
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
