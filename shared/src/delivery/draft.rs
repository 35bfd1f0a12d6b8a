//! A CRM record before it is created, and after.

use std::collections::BTreeMap;

use crate::{
    adapters::{CallFacts, Fields, NewCallLog},
    delivery::grant::Grant,
    model::{CallDetails, CallKey, CallLogId, CallTag, Contact, Direction, Payload, Zone},
    note::{self, Content, fingerprint, subject_fingerprint},
    store::LastWritten,
};

/// A record to create.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// The content of the create.
    pub(crate) payload: &'a Payload,
    /// The details that the record will have.
    pub(crate) details: CallDetails,
    pub(crate) record: NewCallLog,
    /// The content that the record will have, to store with its id.
    pub(crate) written: LastWritten,
}

/// A record that is in the CRM.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: CallLogId,
    /// The content that it certainly or possibly has.
    pub(crate) written: LastWritten,
    /// Details that it may lack. `None`: it has everything that was known when it was created.
    pub(crate) missing: Option<CallDetails>,
}

impl<'a> Draft<'a> {
    /// Composes a record with these details for the contact of the payload.
    pub(crate) fn new(
        grant: &Grant<'_>,
        key: &CallKey,
        payload: &'a Payload,
        details: CallDetails,
        zone: Zone,
    ) -> Draft<'a> {
        let content = Content::new(&details, &grant.user().user.settings, zone);
        let record = NewCallLog {
            tag: CallTag::of(key),
            recovery: grant.crm().capabilities().recovery[0],
            subject: subject(&details, &payload.contact),
            body: note::compose(grant.crm().capabilities().format, &content),
            contact: payload.contact.clone(),
            facts: CallFacts::of(&details),
            additional: payload.additional.clone(),
        };
        let written = LastWritten {
            sections: content.fingerprints(),
            subject: Some(subject_fingerprint(&record.subject)),
            fields: field_fingerprints(&grant.crm().fields(&record.facts)),
        };
        Draft { payload, details, record, written }
    }
}

/// Returns the fingerprints of the CRM's own fields.
pub(crate) fn field_fingerprints(fields: &Fields) -> BTreeMap<String, String> {
    fields.iter().map(|(name, text)| ((*name).to_owned(), fingerprint(text))).collect()
}

/// Returns the custom subject, or one that names the other party.
fn subject(details: &CallDetails, contact: &Contact) -> String {
    if let Some(subject) = &details.subject {
        return subject.clone();
    }
    let party = details.other_party();
    let name = [
        contact.name.as_deref(),
        party.and_then(|party| party.name.as_deref()),
        details.contact_number.as_deref(),
    ];
    let name = name.into_iter().flatten().next().unwrap_or("unknown");
    match details.direction {
        Some(Direction::Inbound) => format!("Inbound Call from {name}"),
        _ => format!("Outbound Call to {name}"),
    }
}
