//! Contacts, found by their telephone numbers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    DEALS,
    wire::{Created, Deal, Found, Linked, Person, equals},
};
use crate::{
    adapters::{
        Access, Choices, ContactChoice, CrmRequest, Error, ErrorKind, NewContact,
        exchange::{Method, PAGE_BYTES},
        phone::{SHARED_DIGITS, digits, is_same_number},
    },
    model::{Contact, ContactId},
};

/// The properties of a contact that are read.
const PROPERTIES: [&str; 4] = ["firstname", "lastname", "phone", "mobilephone"];
/// The properties with the digits of the numbers, without the code of the country.
const NATIONAL: [&str; 2] =
    ["hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number"];
/// The most contacts of a search.
const MOST: usize = 100;
/// The longest code of a country, in digits.
const LONGEST_COUNTRY_CODE: usize = 3;

/// Returns the contacts with a telephone number (guide "Search the CRM", section "Search default searchable properties").
///
/// # Errors
///
/// Those of the request.
pub(super) async fn find(access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
    if digits(phone_number).is_empty() {
        return Ok(Vec::new());
    }
    let found = search(access, &json!({ "filterGroups": phone_filters(phone_number) })).await?;
    let with_number = |person: Person| {
        let numbers = [&person.properties.phone, &person.properties.mobilephone];
        let number = numbers.into_iter().flatten().find(|number| is_same_number(number, phone_number));
        let number = number?.clone();
        contact(access, person, Some(number))
    };
    Ok(found.into_iter().filter_map(with_number).collect())
}

/// Returns the conditions of a search by number: the national digits of either number, or the number as it was written.
fn phone_filters(phone_number: &str) -> Value {
    let all = digits(phone_number);
    let national = all.trim_start_matches('0');
    // A number with a code of its country begins with one to three digits that the national one has not.
    let candidates: BTreeSet<_> = (0..=LONGEST_COUNTRY_CODE)
        .filter_map(|length| national.get(length..))
        .filter(|rest| *rest == national || rest.len() >= SHARED_DIGITS - 1)
        .collect();
    let end = &national[national.len().saturating_sub(SHARED_DIGITS)..];
    let international = format!("+{national}");
    let group = |filter: Value| json!({ "filters": [filter] });
    let in_digits =
        |name: &str| group(json!({ "propertyName": name, "operator": "IN", "values": candidates }));
    let ends = json!({ "propertyName": "phone", "operator": "CONTAINS_TOKEN", "value": format!("*{end}") });
    json!([
        in_digits(NATIONAL[0]),
        in_digits(NATIONAL[1]),
        group(ends),
        group(equals("phone", &international)),
        group(equals("mobilephone", &international)),
    ])
}

/// Returns the contacts whose names contain a text.
///
/// # Errors
///
/// Those of the request.
pub(super) async fn find_by_name(access: &Access<'_>, name: &str) -> Result<Vec<Contact>, Error> {
    let wanted = name.trim().to_lowercase();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let found = search(access, &json!({ "query": name.trim() })).await?;
    let has_name = |person: &Person| {
        person.properties.full_name().is_some_and(|name| name.to_lowercase().contains(&wanted))
    };
    let with_name = found.into_iter().filter(has_name).filter_map(|person| {
        let number = person.properties.phone.clone().or_else(|| person.properties.mobilephone.clone());
        contact(access, person, number)
    });
    Ok(with_name.collect())
}

/// Searches contacts ("Search contacts"). `conditions`: the members of the request that say which ones.
async fn search(access: &Access<'_>, conditions: &Value) -> Result<Vec<Person>, Error> {
    let mut body = json!({ "properties": PROPERTIES, "limit": MOST });
    for (name, value) in conditions.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let found: Found<Person> = access
        .send(search_request("contacts/search", "/crm/v3/objects/contacts/search", body))
        .await?
        .json()?;
    Ok(found.results.into_iter().collect())
}

/// A search. HubSpot counts searches apart, and does not report how many are left.
pub(super) fn search_request(route: &'static str, path: &str, body: Value) -> CrmRequest {
    let request = CrmRequest::read(route, path).method(Method::POST).bucket("search");
    CrmRequest { body: Some(body), most_bytes: PAGE_BYTES, ..request }
}

/// Creates a contact ("Create a contact").
///
/// # Errors
///
/// Those of the request.
pub(super) async fn create(access: &Access<'_>, new: &NewContact) -> Result<Contact, Error> {
    let (first, last) = new.name.trim().split_once(char::is_whitespace).unwrap_or((new.name.trim(), ""));
    let mut properties = json!({ "firstname": first, "phone": new.phone_number });
    if !last.trim().is_empty() {
        properties["lastname"] = json!(last.trim());
    }
    if let Some(owner) = &access.user.account.owner_id {
        properties["hubspot_owner_id"] = json!(owner);
    }
    let body = json!({ "properties": properties, "associations": [] });
    let response = access.send(CrmRequest::create("contacts", "/crm/v3/objects/contacts", body)).await?;
    let Created { id } = response.json()?;
    Ok(Contact {
        id: ContactId::new(id.0.to_string()).ok_or_else(|| response.malformed())?,
        kind: kind(access),
        name: Some(new.name.clone()),
        phone_number: Some(new.phone_number.clone()),
    })
}

/// Returns the contact that a contact was merged into, or `None` if it was not merged. HubSpot shows it under the earlier id.
pub(super) async fn merged_into(access: &Access<'_>, id: u64) -> Result<Option<u64>, Error> {
    let request = CrmRequest::read("contacts/{id}", format!("/crm/v3/objects/contacts/{id}"));
    match access.send(request).await {
        Ok(response) => Ok(Some(response.json::<Created>()?.id.0).filter(|now| *now != id)),
        Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the open deals of a contact: the ids ("Associations v4"), then their names ("Read a batch of deals").
///
/// # Errors
///
/// Those of the requests.
pub(super) async fn choices(access: &Access<'_>, contact: &Contact) -> Result<Choices, Error> {
    let id = number(contact)?;
    let path = format!("/crm/v4/objects/contacts/{id}/associations/deals");
    let request = CrmRequest::read("contacts/{id}/associations/deals", path).query("limit", "100").page();
    let linked: Found<Linked> = access.send(request).await?.json()?;
    let inputs: Vec<_> =
        linked.results.into_iter().map(|deal| json!({ "id": deal.to_object_id.0.to_string() })).collect();
    if inputs.is_empty() {
        return Ok(Choices::new());
    }
    let body =
        json!({ "inputs": inputs, "properties": ["dealname", "hs_is_closed"], "propertiesWithHistory": [] });
    let request = CrmRequest::read("deals/batch/read", "/crm/v3/objects/deals/batch/read");
    let request = CrmRequest { body: Some(body), ..request.method(Method::POST).page() };
    let deals: Found<Deal> = access.send(request).await?.json()?;
    let open =
        deals.results.into_iter().filter(|deal| deal.properties.hs_is_closed.as_deref() != Some("true"));
    let choice = |deal: Deal| {
        let title = deal.properties.dealname.unwrap_or_else(|| format!("Deal {}", deal.id.0));
        ContactChoice { value: deal.id.0.into(), title }
    };
    let choices: Vec<_> = open.map(choice).collect();
    Ok([(DEALS, choices)].into_iter().filter(|(_, choices)| !choices.is_empty()).collect())
}

/// Returns the number of a contact.
pub(super) fn number(contact: &Contact) -> Result<u64, Error> {
    let id = &contact.id;
    let not_a_number = |_| Error::rejected(format!("The contact id \"{id}\" is not a number."));
    id.as_str().trim().parse().map_err(not_a_number)
}

fn contact(access: &Access<'_>, person: Person, phone_number: Option<String>) -> Option<Contact> {
    Some(Contact {
        id: ContactId::new(person.id.0.to_string())?,
        kind: kind(access),
        name: person.properties.full_name(),
        phone_number,
    })
}

/// Returns the type of a contact for the extension. Its pages are addressed with the number of the account, and the type is the
/// only part of an address that we can choose for each account. HubSpot has one kind of contacts.
fn kind(access: &Access<'_>) -> Option<String> {
    Some(access.user.account.id.clone().unwrap_or_else(|| "contact".to_owned()))
}
