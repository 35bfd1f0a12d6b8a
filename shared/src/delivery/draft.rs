//! A log before it is made: from what a request brought to what the CRM is sent.

use crate::{
    adapters::NewCallLog,
    delivery::grant::Grant,
    model::{CallDetails, Contact, Direction, Payload, Zone},
    note::{self, Content, subject_fingerprint},
    store::LastWritten,
};

/// A log to be made, and what will then be known of it.
pub(crate) struct Draft {
    pub(crate) log: NewCallLog,
    pub(crate) written: LastWritten,
}

impl Draft {
    pub(crate) fn new(grant: &Grant<'_>, facts: &CallDetails, payload: &Payload, zone: Zone) -> Draft {
        let content = Content::new(facts, &grant.user().user.settings, zone);
        let log = NewCallLog {
            subject: subject(facts, &payload.contact),
            body: note::compose(grant.crm().format(), &content),
            contact: payload.contact.clone(),
            direction: facts.direction.unwrap_or(Direction::Outbound),
            start: facts.start,
            duration: facts.duration,
            result: facts.result.clone(),
            additional: payload.additional.clone(),
        };
        let written = LastWritten {
            sections: content.fingerprints(),
            subject: Some(subject_fingerprint(&log.subject)),
            duration: log.duration,
        };
        Draft { log, written }
    }
}

/// The custom subject, or who called whom.
fn subject(facts: &CallDetails, contact: &Contact) -> String {
    if let Some(subject) = &facts.subject {
        return subject.clone();
    }
    let party = facts.other_party();
    let name = [
        contact.name.as_deref(),
        party.and_then(|party| party.name.as_deref()),
        facts.contact_number.as_deref(),
    ];
    let name = name.into_iter().flatten().next().unwrap_or("unknown");
    match facts.direction {
        Some(Direction::Inbound) => format!("Inbound Call from {name}"),
        _ => format!("Outbound Call to {name}"),
    }
}
