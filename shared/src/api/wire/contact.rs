//! The contact of a call.

use super::{fields::Fields, value};
use crate::model::{CallDetails, Contact, ContactId};

/// Returns the contact's number: the one that the request names, or else the other party's.
pub(super) fn read_contact_number(top: &Fields<'_>, details: &CallDetails) -> Option<String> {
    let given = top.part("contactInfo").words("phoneNumber");
    given.or_else(|| details.other_party()?.phone_number.clone())
}

/// Returns the contact's name.
pub(super) fn read_contact_name(top: &Fields<'_>) -> Option<String> {
    top.part("contactInfo").fact("name", &value::LINE).or_else(|| top.fact("contactName", &value::LINE))
}

/// Returns the contact, or `None` if the request names none.
pub(super) fn read_contact(top: &Fields<'_>, details: &CallDetails) -> Option<Contact> {
    let info = top.part("contactInfo");
    let id = info.fact("id", &value::CONTACT_ID).or_else(|| top.fact("contactId", &value::CONTACT_ID));
    let kind = info.words("type").or_else(|| top.words("contactType"));
    let (name, phone_number) = (details.contact_name.clone(), details.contact_number.clone());
    ContactId::new(id?).map(|id| Contact { id, kind, name, phone_number })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{Direction, Party};

    fn check<T: std::fmt::Debug + PartialEq>(body: Value, field: fn(Contact) -> T, expected: Option<T>) {
        let top = Fields::of(body.as_object().unwrap());
        let contact_name = read_contact_name(&top);
        let contact = read_contact(&top, &CallDetails { contact_name, ..CallDetails::default() });
        assert_eq!(contact.map(field), expected, "{body}");
    }

    #[test]
    fn a_contact_is_read_in_both_dialects() {
        let id = |contact: Contact| contact.id.to_string();
        for no_contact in [
            json!(null),
            json!(""),
            json!(0),
            json!("0"),
            json!(false),
            json!("none"),
            json!("createNewContact"),
        ] {
            check(json!({"contactId": no_contact, "contactName": "Bob"}), id, None);
            check(json!({"contactInfo": {"id": no_contact, "name": "Bob"}}), id, None);
            check(json!({"contactInfo": {"id": no_contact}, "contactId": 77}), id, Some("77".to_owned()));
        }
        check(json!({}), id, None);
        check(json!({"contactInfo": {"id": "1"}, "contactId": 77}), id, Some("1".to_owned()));
        let words = |contact: Contact| (contact.kind.unwrap_or_default(), contact.name.unwrap_or_default());
        let expected = Some(("lead".to_owned(), "Bob".to_owned()));
        check(json!({"contactId": 1, "contactType": "lead", "contactName": "Bob"}), words, expected.clone());
        check(json!({"contactInfo": {"id": 1, "type": "lead", "name": "Bob"}}), words, expected.clone());
        check(
            json!({"contactInfo": {"id": 1, "type": "", "name": "Bob"}, "contactType": "lead"}),
            words,
            expected,
        );
    }

    #[test]
    fn the_number_is_the_named_one_or_the_other_partys() {
        let party = |number: &str| Some(Party { phone_number: Some(number.to_owned()), ..Party::default() });
        let call = |direction| CallDetails {
            direction,
            from: party("+1"),
            to: party("+2"),
            ..CallDetails::default()
        };
        let named = json!({"contactInfo": {"phoneNumber": "+3"}});
        for (body, details, expected) in [
            (json!({}), call(Some(Direction::Inbound)), Some("+1")),
            (json!({}), call(Some(Direction::Outbound)), Some("+2")),
            (json!({}), call(None), None),
            (json!({}), CallDetails { from: None, ..call(Some(Direction::Inbound)) }, None),
            (json!({"contactInfo": {"phoneNumber": " "}}), call(Some(Direction::Inbound)), Some("+1")),
            (named, call(Some(Direction::Inbound)), Some("+3")),
        ] {
            let number = read_contact_number(&Fields::of(body.as_object().unwrap()), &details);
            assert_eq!(number.as_deref(), expected, "{body} {details:?}");
        }
    }
}
