//! A CRM record before it is created, and after.

use crate::{
    adapters::{CallFacts, Capabilities, Crm, NewCallLog, Recovery},
    delivery::attempt::Attempt,
    model::{CallDetails, CallLogId, CallTag, Contact, Direction, Payload},
    note::{self, Content, Section, fingerprint, subject_fingerprint},
    store::LastWritten,
};

/// A record to create.
#[derive(Debug)]
pub(crate) struct Draft<'p> {
    /// The content of the create.
    pub(crate) payload: &'p Payload,
    /// The details that the record will have.
    pub(crate) details: CallDetails,
    pub(crate) record: NewCallLog,
    /// The content that the record will have, to store with its id.
    pub(crate) written: LastWritten,
    /// The sections that the body does not show in full, because the CRM accepts only shorter ones.
    pub(crate) shortened: Vec<Section>,
}

/// A record that is in the CRM.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: CallLogId,
    /// The content that it certainly or possibly has.
    pub(crate) written: LastWritten,
    /// The sections that this attempt did not write in full.
    pub(crate) shortened: Vec<Section>,
    /// Details that it may lack. `None`: it has everything that was known when it was created.
    pub(crate) missing: Option<CallDetails>,
}

impl Attempt<'_> {
    /// Composes a record with these details for the contact of the payload, to be sent in this way.
    pub(crate) fn draft<'p>(
        &self,
        payload: &'p Payload,
        details: CallDetails,
        recovery: Recovery,
    ) -> Draft<'p> {
        let (crm, item) = (self.claim.crm, &self.claim.item);
        let content = Content::new(&details, &self.grant.user().user.settings, self.zone);
        let Capabilities { format, limits, .. } = crm.capabilities();
        let composed = note::compose_within(format, &content, &limits);
        let shortened = composed.shortened();
        let record = NewCallLog {
            tag: CallTag::of(self.claim.lease.key),
            recovery,
            subject: limits.cut_subject(&subject(&details, &payload.contact)).into_owned(),
            body: composed.body,
            contact: payload.contact.clone(),
            facts: CallFacts::of(&details),
            first_attempt: item.first_at.unwrap_or_default(),
            additional: payload.additional.clone(),
        };
        let mut written = LastWritten {
            sections: composed.base,
            subject: Some(subject_fingerprint(&record.subject)),
            ..LastWritten::default()
        };
        add_fields(&mut written, crm, &record.facts);
        Draft { payload, details, record, written, shortened }
    }
}

/// Adds the fingerprints of the CRM's own fields that a record with these facts has.
pub(crate) fn add_fields(written: &mut LastWritten, crm: &dyn Crm, facts: &CallFacts) {
    for (name, text) in crm.fields(facts) {
        written.add_field(name, &fingerprint(&text));
    }
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
