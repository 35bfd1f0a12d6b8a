//! A CRM record before it is created, and after.

use std::collections::BTreeMap;

use crate::{
    adapters::{CallFacts, Capabilities, Crm, NewCallLog, Recovery},
    delivery::{
        attempt::Attempt,
        authors::merge_all,
        form,
        subject::{self, Subject},
    },
    model::{CallDetails, CallLogId, CallTag, Contact, Payload, RecordPart, Zone},
    note::{self, Content, Merged, Section, fingerprint},
    store::{AuthoredNote, LastWritten},
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
    /// The parts that the record lacks.
    pub(crate) left_out: Vec<RecordPart>,
}

/// The parts that a record lacks, because the CRM did not accept them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The parts.
    pub parts: Vec<RecordPart>,
    /// The name of the contact to whom the record belongs instead, if it is another one.
    pub other_contact: Option<String>,
    /// The reason in the CRM's own words.
    pub reason: String,
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
    /// The parts that it lacks, because the CRM did not accept them.
    pub(crate) left_out: Option<LeftOut>,
}

impl Attempt<'_> {
    /// Composes a record with these details for the contact of the payload, to be sent in this way.
    pub(crate) fn draft<'p>(
        &self,
        payload: &'p Payload,
        details: CallDetails,
        recovery: Recovery,
    ) -> Draft<'p> {
        let notes = self.claim.item.notes(Some(&payload.details));
        let (composed, subject, mut written) =
            self.compose(&details, &notes, payload.contact.as_ref(), self.zone);
        // Choices that wait are all choices of the form, and newer.
        let additional = match details.choices.is_empty() {
            true => payload.additional.clone(),
            false => details.choices.clone(),
        };
        form::settle(&mut written, &self.claim.crm.chosen(&additional));
        add_fields(&mut written, self.claim.crm, &self.sent_facts(&details));
        let shortened = composed.shortened();
        let caller = self.claim.crm.owner_id(&self.grant.user().user);
        // An earlier attempt may have decided otherwise.
        let mut earlier_owners: Vec<_> = self.ownership.other.clone().into_iter().collect();
        let owner = match &self.ownership.owner {
            Some(owner) => {
                earlier_owners.extend(caller);
                owner.crm_id.clone()
            }
            None => caller,
        };
        let record = NewCallLog {
            tag: CallTag::of(self.claim.lease.key),
            recovery,
            subject,
            body: composed.body,
            contact: payload.contact.clone(),
            owner,
            earlier_owners,
            facts: CallFacts::of(&details),
            first_attempt: self.claim.item.first_at.unwrap_or_default(),
            additional,
        };
        Draft { payload, details, record, written, shortened, left_out: Vec::new() }
    }

    /// Returns the facts that a record with these details is created with. A CRM that requires a start gets the time of the first
    /// attempt if the start is not known.
    pub(crate) fn sent_facts(&self, details: &CallDetails) -> CallFacts {
        let facts = CallFacts::of(details);
        let first_attempt = self.claim.item.first_at.filter(|_| self.claim.crm.requires_start());
        CallFacts { start: facts.start.or(first_attempt), ..facts }
    }

    /// Returns a draft of the same record without these parts, and without the queued details. `contact`: another contact of
    /// the same person.
    pub(crate) fn reduced<'p>(
        &self,
        draft: &Draft<'p>,
        left_out: &[RecordPart],
        contact: Option<Contact>,
    ) -> Draft<'p> {
        let (payload, lacks) = (draft.payload, |part| left_out.contains(&part));
        let details = match lacks(RecordPart::Details) {
            true => payload.details.barest(),
            false => payload.details.clone(),
        };
        let mut reduced =
            Draft { left_out: left_out.to_vec(), ..self.draft(payload, details, draft.record.recovery) };
        let record = &mut reduced.record;
        if lacks(RecordPart::Form) {
            record.additional.clear();
            form::forget(&mut reduced.written);
        }
        if lacks(RecordPart::Contact) {
            record.contact = contact;
        }
        if lacks(RecordPart::Owner) {
            record.owner = None;
        }
        reduced
    }

    /// Composes the note and the subject of a record with these details, for which these people wrote the notes. Returns them
    /// with the fingerprints of the record.
    pub(crate) fn compose(
        &self,
        details: &CallDetails,
        notes: &[AuthoredNote],
        contact: Option<&Contact>,
        zone: Zone,
    ) -> (Merged, String, LastWritten) {
        let crm = self.claim.crm;
        let settings = &self.grant.user().user.settings;
        let content = |details: &CallDetails| Content::new(details, settings, zone);
        let Capabilities { format, limits, .. } = crm.capabilities();
        let first = notes.first().filter(|_| notes.len() > 1 && details.firm_note().is_some());
        let alone = first.map(|first| CallDetails { note: Some(first.text.clone()), ..details.clone() });
        let mut composed = note::compose_within(format, &content(alone.as_ref().unwrap_or(details)), &limits);
        if let Some(first) = first {
            let note_user = Some(first.user.clone());
            let before = LastWritten { sections: composed.base, note_user, ..LastWritten::default() };
            composed = merge_all(crm, &composed.body, &before, (details, &notes[1..]), content).merged;
        }
        let subject = Subject::new(details, contact.and_then(|contact| contact.name.as_deref()), &limits);
        let mut written = LastWritten {
            sections: composed.base.clone(),
            subject: Some(subject.base()),
            note_user: notes.last().map(|last| last.user.clone()),
            ..LastWritten::default()
        };
        add_fields(&mut written, crm, &CallFacts::of(details));
        (composed, subject.text, written)
    }
}

/// Adds the fingerprints of the CRM's own fields that a record with these facts has.
pub(crate) fn add_fields(written: &mut LastWritten, crm: &dyn Crm, facts: &CallFacts) {
    for (name, text) in crm.fields(facts) {
        written.add_field(name, &fingerprint(&text));
    }
}

/// Returns the fingerprints of what a lease holder may write into the CRM's own fields, and as generated subject, because of
/// these details, by the names of the fields.
pub(crate) fn queued_fields(crm: &dyn Crm, details: &CallDetails) -> BTreeMap<String, String> {
    let fields = crm.fields(&CallFacts::of(details)).into_iter().filter(|(_, text)| !text.is_empty());
    let fields = fields.map(|(name, text)| (name.to_owned(), fingerprint(&text)));
    let subject = subject::queued(details, &crm.capabilities().limits);
    fields.chain(subject).chain(form::queued(&details.choices)).collect()
}
