//! The queries, bodies and responses of requests about contacts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InputError, ReturnMessage, json, query::Query, value::CREATE_NEW};
use crate::{
    adapters::NewContact,
    delivery::contacts::FoundContact,
    model::{is_extension_number, is_number},
    note::one_line,
};

/// The longest name of a request, in characters.
const LONGEST: usize = 200;

/// A request for the contacts with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactQuery {
    /// The number, as RingCentral writes it.
    pub number: String,
    /// The number of an extension of the company, which no contact has.
    pub is_extension: bool,
    /// Contacts that were found before do not count.
    pub is_fresh: bool,
}

/// Reads the query of `GET /contact`: `phoneNumber`, `isExtension`, `isForceRefreshAccountData`.
///
/// # Errors
///
/// If there is no number.
pub fn read_contact_query(query: &str) -> Result<ContactQuery, InputError> {
    let query = Query::of(query);
    let given = query.get("phoneNumber").map(str::to_owned).unwrap_or_default();
    // The extension does not escape the plus, which then reads as a space.
    let number = match given.strip_prefix(' ') {
        Some(digits) => format!("+{}", digits.trim()),
        None => given.trim().to_owned(),
    };
    if !is_number(&number) {
        return Err(InputError::new("`phoneNumber` is missing: expected a telephone number"));
    }
    let is_extension = query.is_true("isExtension") || is_extension_number(&number);
    Ok(ContactQuery { number, is_extension, is_fresh: query.is_true("isForceRefreshAccountData") })
}

/// Reads the query of `GET /custom/contact/search`: `name`.
///
/// # Errors
///
/// If there is no name, or it is too long.
pub fn read_contact_name(query: &str) -> Result<String, InputError> {
    let query = Query::of(query);
    let name = one_line(query.get("name").unwrap_or_default());
    if name.is_empty() || name.chars().count() > LONGEST {
        return Err(InputError::new(
            "`name` is missing: expected the name of a contact, at most 200 characters",
        ));
    }
    Ok(name)
}

/// Reads the body of `POST /contact`.
///
/// # Errors
///
/// If the body is not a JSON object, or the name or the number is missing.
pub fn read_new_contact(body: &[u8]) -> Result<NewContact, InputError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        phone_number: Value,
        new_contact_name: Value,
        new_contact_type: Value,
    }
    let fields = json::read_object(body, "body")?.fields;
    let body: Body = serde_json::from_value(fields.into()).unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) => one_line(text),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let (name, phone_number) = (text(&body.new_contact_name), text(&body.phone_number));
    if name.is_empty() || name.chars().count() > LONGEST {
        return Err(InputError::new("`newContactName` is missing: expected a name, at most 200 characters"));
    }
    if !is_number(&phone_number) {
        return Err(InputError::new("`phoneNumber` is missing: expected a telephone number"));
    }
    let kind = Some(text(&body.new_contact_type)).filter(|kind| !kind.is_empty());
    Ok(NewContact { name, phone_number, kind })
}

/// The response to a request for contacts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactsBody {
    /// `true` unless the user is not connected.
    pub successful: bool,
    /// The contacts. After a request by number, the last one stands for a new contact.
    pub contact: Vec<ContactEntry>,
    /// The message for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_message: Option<ReturnMessage>,
}

/// A contact, or the entry that stands for a new one.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactEntry {
    /// The CRM's id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The kind of contact.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The choices for the fields of the form.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_info: BTreeMap<&'static str, Vec<ChoiceEntry>>,
    /// It stands for a new contact.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_new_contact: bool,
}

/// A choice of a form.
#[derive(Debug, Serialize)]
pub struct ChoiceEntry {
    /// The value.
    #[serde(rename = "const")]
    pub value: Value,
    /// The words that people see.
    pub title: String,
}

impl ContactEntry {
    /// The entry that stands for a new contact. The extension's form fails without it.
    pub fn new_one() -> ContactEntry {
        ContactEntry {
            id: CREATE_NEW.to_owned(),
            name: "Create new contact...".to_owned(),
            is_new_contact: true,
            ..ContactEntry::default()
        }
    }
}

impl From<FoundContact> for ContactEntry {
    fn from(FoundContact { contact, choices }: FoundContact) -> ContactEntry {
        let entries = choices.into_iter().map(|(field, choices)| {
            let entry =
                choices.into_iter().map(|choice| ChoiceEntry { value: choice.value, title: choice.title });
            (field, entry.collect())
        });
        ContactEntry {
            id: contact.id.to_string(),
            name: contact.name.unwrap_or_else(|| "Unnamed contact".to_owned()),
            kind: contact.kind,
            phone: contact.phone_number,
            additional_info: entries.collect(),
            is_new_contact: false,
        }
    }
}

/// The response to a request to create a contact.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedBody {
    /// Always `true`.
    pub successful: bool,
    /// The contact.
    pub contact: ContactEntry,
    /// The message for the user.
    pub return_message: ReturnMessage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_the_query() {
        for (query, expected) in [
            ("phoneNumber=+12135550111", Some(("+12135550111", false))),
            ("phoneNumber=%2B12135550111&isExtension=false", Some(("+12135550111", false))),
            ("phoneNumber=2135550111", Some(("2135550111", false))),
            ("phoneNumber=101", Some(("101", true))),
            ("phoneNumber=+12135550111&isExtension=true", Some(("+12135550111", true))),
            ("phoneNumber=anonymous", None),
            ("phoneNumber=", None),
            ("", None),
        ] {
            let read = read_contact_query(query).ok();
            let read = read.as_ref().map(|query| (query.number.as_str(), query.is_extension));
            assert_eq!(read, expected, "{query}");
        }
        assert!(read_contact_query("phoneNumber=%2B1&isForceRefreshAccountData=true").unwrap().is_fresh);
        assert!(read_contact_query(&format!("phoneNumber={}", "1".repeat(201))).is_err());
    }

    #[test]
    fn a_new_contact_needs_a_name_and_a_number() {
        let read = |body: &str| read_new_contact(body.as_bytes()).map_err(|error| error.message);
        let contact = |name: &str, kind: Option<&str>| NewContact {
            name: name.to_owned(),
            phone_number: "+12135550177".to_owned(),
            kind: kind.map(str::to_owned),
        };
        let body =
            r#"{"phoneNumber": "+12135550177", "newContactName": " Eve\nNew ", "newContactType": "lead"}"#;
        assert_eq!(read(body), Ok(contact("Eve New", Some("lead"))));
        let body =
            r#"{"phoneNumber": "+12135550177", "newContactName": "Eve", "newContactType": "", "x": [1]}"#;
        assert_eq!(read(body), Ok(contact("Eve", None)));
        let name = "`newContactName` is missing: expected a name, at most 200 characters";
        let number = "`phoneNumber` is missing: expected a telephone number";
        for (body, error) in [
            (r#"{"phoneNumber": "+1"}"#, name),
            (r#"{"phoneNumber": "+1", "newContactName": {"a": 1}}"#, name),
            (r#"{"newContactName": "Eve"}"#, number),
            (r#"{"newContactName": "Eve", "phoneNumber": "anonymous"}"#, number),
            ("[]", "the body is not an object: expected a JSON object, got a list"),
        ] {
            assert_eq!(read(body), Err(error.to_owned()), "{body}");
        }
    }
}
