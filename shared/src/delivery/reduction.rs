//! Reduction: a record that the CRM rejects is created without the part that it rejects, so that one bad part does not lose
//! the call.
//!
//! A rejection says in words what is wrong, and only a person can read it. So each part is left out on its own first, and then
//! all of them. A call is given up only if the CRM rejects even the barest record.

use crate::{
    adapters::ErrorKind,
    delivery::{
        attempt::Attempt,
        draft::{Draft, LeftOut},
        failure::Failure,
    },
    model::{Contact, RecordPart},
    telemetry::{self, Metric},
};

impl Attempt<'_> {
    /// Returns what is left out of a rejected record, one try after the other. The first try leaves out the queued details only.
    pub(crate) fn reductions(&self, draft: &Draft<'_>) -> Vec<Vec<RecordPart>> {
        let details = &draft.payload.details;
        let can_lack = |part: &RecordPart| match part {
            RecordPart::Form => !draft.record.additional.is_empty(),
            RecordPart::Details => *details != details.barest(),
            RecordPart::Contact => draft.record.contact.is_some(),
            RecordPart::Owner => draft.record.owner.is_some(),
        };
        let parts: Vec<_> = RecordPart::ALL.into_iter().filter(can_lack).collect();
        let without_queued = (!self.claim.item.queue.is_empty()).then(Vec::new);
        let singly = parts.iter().map(|part| vec![*part]);
        let together = (parts.len() > 1).then(|| parts.clone());
        without_queued.into_iter().chain(singly).chain(together).collect()
    }

    /// Returns the draft without these parts. A contact that is left out is looked for by its number, because it may have been
    /// merged with another one.
    pub(crate) async fn reduce<'p>(&mut self, draft: &Draft<'p>, left_out: &[RecordPart]) -> Draft<'p> {
        let contact = match &draft.payload.contact {
            Some(contact) if left_out.contains(&RecordPart::Contact) => self.other_contact(contact).await,
            _ => None,
        };
        self.reduced(draft, left_out, contact)
    }

    /// Returns the one other contact with the number of this one. A search that fails finds none.
    async fn other_contact(&mut self, contact: &Contact) -> Option<Contact> {
        let found = self.grant.find_contacts(contact.phone_number.as_ref()?).await.ok()?;
        let mut others = found.into_iter().filter(|other| other.id != contact.id);
        others.next().filter(|_| others.next().is_none())
    }
}

impl LeftOut {
    /// Returns what a record lacks that the CRM accepted after this failure, and counts it. `None`: it lacks nothing.
    pub(crate) fn of(draft: &Draft<'_>, failure: &Failure) -> Option<LeftOut> {
        let own = draft.payload.contact.as_ref().map(|contact| &contact.id);
        let other = draft.record.contact.as_ref().filter(|other| Some(&other.id) != own);
        // The details are added to the record one by one. Those that are rejected again are known then.
        let is_final = |part: &&RecordPart| **part != RecordPart::Details;
        let parts: Vec<_> = draft.left_out.iter().filter(is_final).copied().collect();
        let left_out = LeftOut {
            other_contact: other.map(|other| other.name.clone().unwrap_or_else(|| other.id.to_string())),
            ..LeftOut::because(parts, failure)
        };
        (!left_out.parts.is_empty()).then_some(left_out)
    }

    /// Returns that a record lacks these parts because of this failure, and counts them.
    pub(crate) fn because(parts: Vec<RecordPart>, failure: &Failure) -> LeftOut {
        parts.iter().for_each(|_| telemetry::count(Metric::LeftOut));
        let reason = match failure.kind() {
            Some(ErrorKind::Rejected { message }) => message.clone(),
            _ => "It has no such contact or deal.".to_owned(),
        };
        LeftOut { parts, other_contact: None, reason }
    }
}

/// Returns `true` if a record without a part of this one may be accepted: the CRM rejected the data, or knows no such contact.
pub(crate) fn is_refusal(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Rejected { .. } | ErrorKind::NotFound)
}
