//! Recovery: how a create finds the record of an attempt whose response was lost.
//!
//! The table has the *recovery criteria* of each attempt whose outcome is not known: its contact, its times, the call tag,
//! the way in which it was sent, and what was sent. Each attempt is looked for in its own way. A record with the call tag is
//! certainly the call's, and is adopted at once. A record without a tag is adopted by [`proof`](super::proof) only, once
//! every lease is over under which another call can have created it. An attempt that was sent without any way to find it is
//! not looked for.

use crate::{
    adapters::{CallFacts, CallLog, Effect, Error, ErrorKind, NewCallLog, Recovery},
    delivery::{
        attempt::Attempt,
        draft::{Draft, Record, add_fields},
        failure::Failure,
        proof::{SoughtAttempt, Verdict, sent_subject},
    },
    model::{CallLogId, CallTag, Contact, RecordPart},
    note::{Content, Fingerprints},
    store::{LastWritten, RecoveryCriteria},
    telemetry::{self, Metric},
};

/// The result of the search for the record of an earlier attempt.
#[derive(Debug)]
pub(crate) enum Search {
    /// The record is in the CRM.
    Found(Box<Record>),
    /// There is no record that may be the call's.
    Nothing,
    /// A record may be the call's. This will be known at this time, in milliseconds since 1970.
    Later(i64),
}

impl Attempt<'_> {
    /// Looks for the record that an earlier attempt has created.
    ///
    /// Finding no record proves nothing while a request may still reach the CRM or a search may not show its record yet.
    pub(crate) async fn find_record(&mut self, draft: &Draft<'_>) -> Result<Search, Failure> {
        self.add_composed(draft);
        match self.find_by_tag(draft).await? {
            Some(record) => Ok(Search::Found(Box::new(record))),
            None => self.find_by_content(draft).await,
        }
    }

    /// Returns the record with the call's tag that this attempt or an earlier one has created, if the CRM shows one.
    pub(crate) async fn find_by_tag(&mut self, draft: &Draft<'_>) -> Result<Option<Record>, Failure> {
        let is_own = !self.claim.item.outcome_unknown;
        let found = self.find_tag(draft).await?;
        Ok(found.map(|id| self.recovered(id, draft, is_own, &self.all_sent())))
    }

    /// Returns the record that the CRM already has under the key of the draft. `id`: the record, if the CRM has named it.
    /// Then it is not read, because the user may not be permitted to.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if the CRM names no record and shows none.
    pub(crate) async fn existing_record(
        &mut self,
        id: Option<CallLogId>,
        draft: &Draft<'_>,
    ) -> Result<Record, Failure> {
        let id = match id {
            Some(id) => {
                telemetry::count(Metric::Reconciled);
                Some(id)
            }
            None => self.find_tag(draft).await.ok().flatten(),
        };
        let hidden = "the call is in the CRM, but its record is not visible";
        let id = id.ok_or_else(|| Error::new(ErrorKind::AlreadyExists(None), Effect::None, hidden))?;
        Ok(self.recovered(id, draft, false, &self.all_sent()))
    }

    /// Looks for a record with the call's tag, in the way of each attempt. Of several records it returns the oldest; the
    /// duplicate sweep removes the others.
    async fn find_tag(&mut self, draft: &Draft<'_>) -> Result<Option<CallLogId>, Failure> {
        let since = self.created_since();
        for log in self.tag_searches(draft) {
            let found = match self.grant.find_records(&log, since).await {
                // No record has a key that the CRM does not take.
                Err(failure) if failure.kind() == Some(&ErrorKind::KeyRefused) => {
                    // Unless the administrator removed the key after an attempt was sent with it.
                    if self.claim.item.outcome_unknown {
                        telemetry::count(Metric::DuplicatePossible);
                    }
                    continue;
                }
                found => found?,
            };
            if found.len() > 1 {
                tracing::warn!(duplicates = found.len() - 1, "the CRM has more than one record of this call");
            }
            if let Some(id) = found.into_iter().next() {
                telemetry::count(Metric::Reconciled);
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Returns the records with a tag to look for: this attempt's, and those of earlier attempts that are found in another
    /// way. A unique key comes first.
    fn tag_searches(&self, draft: &Draft<'_>) -> Vec<NewCallLog> {
        let mut searches = vec![draft.record.clone()];
        let earlier = self.claim.item.recovery_criteria.iter().filter(|_| self.claim.item.outcome_unknown);
        searches.extend(earlier.map(|criteria| self.sought_record(criteria, &draft.record)));
        let mut seen = Vec::new();
        searches.retain(|log| {
            let place = (log.recovery, log.tag.clone());
            log.recovery.is_by_tag() && !seen.contains(&place) && {
                seen.push(place);
                true
            }
        });
        searches.sort_by_key(|log| log.recovery != Recovery::ByKey);
        searches
    }

    /// Looks for the record of each attempt without a tag whose outcome is not known. Of several records that are certainly
    /// the call's it returns the oldest; the duplicate sweep looks for the others.
    async fn find_by_content(&mut self, draft: &Draft<'_>) -> Result<Search, Failure> {
        let attempts = self.sought_attempts(&draft.record)?;
        let (mut later, mut is_doubtful) = (None, false);
        for (id, found_by) in self.candidates(&attempts).await? {
            let Some(record) = self.read_candidate(&id).await? else { continue };
            let compared = found_by.iter().map(|index| (self.compare(&record, &attempts[*index]), *index));
            let Some((likeness, index)) = compared.max_by_key(|(likeness, _)| *likeness) else { continue };
            match self.judge(&id, &record, &attempts[index].search, likeness).await? {
                Verdict::Own => {
                    telemetry::count(Metric::Reconciled);
                    let subject = sent_subject(&record, &attempts[index]);
                    let mut record = self.recovered(id, draft, false, &attempts[index].sent);
                    record.written.subject = subject;
                    return Ok(Search::Found(Box::new(record)));
                }
                Verdict::Later(at_ms) => later = later.into_iter().chain([at_ms]).min(),
                Verdict::Doubtful => is_doubtful = true,
                Verdict::Foreign => {}
            }
        }
        if let Some(at_ms) = later {
            return Ok(Search::Later(at_ms));
        }
        if is_doubtful {
            telemetry::count(Metric::DuplicatePossible);
            tracing::warn!(
                "a record in the CRM may be the call's; this is in doubt, and the call is logged again"
            );
        }
        Ok(Search::Nothing)
    }

    /// Returns the attempts without a tag whose outcome is not known.
    ///
    /// # Errors
    /// Fails if another credential is needed to look for one of them.
    fn sought_attempts(&self, draft: &NewCallLog) -> Result<Vec<SoughtAttempt>, Failure> {
        let mut attempts = Vec::new();
        for criteria in self.claim.item.recovery_criteria.iter().filter(|_| self.claim.item.outcome_unknown) {
            let search = self.sought_record(criteria, draft);
            if !search.recovery.is_by_content() {
                continue;
            }
            if criteria.has_authorization != self.grant.is_of_caller() {
                let reason = "an earlier attempt got no response, and its record can be looked for only with the \
                              authorization of that attempt; it may be in the CRM";
                return Err(Error::new(
                    ErrorKind::Forbidden { message: String::new() },
                    Effect::None,
                    reason,
                )
                .into());
            }
            let until_ms = criteria.until_ms.unwrap_or_else(|| self.died_until_ms());
            attempts.push(SoughtAttempt { search, sent: criteria.sent.clone(), until_ms });
        }
        Ok(attempts)
    }

    /// Returns the records that the searches for these attempts find, oldest first, each with the indexes of the attempts.
    pub(crate) async fn candidates(
        &mut self,
        attempts: &[SoughtAttempt],
    ) -> Result<Vec<(CallLogId, Vec<usize>)>, Failure> {
        let since = self.created_since();
        let mut searched: Vec<(&NewCallLog, Vec<CallLogId>)> = Vec::new();
        let mut candidates: Vec<(CallLogId, Vec<usize>)> = Vec::new();
        for (index, attempt) in attempts.iter().enumerate() {
            let known = searched.iter().position(|(log, _)| is_same_search(log, &attempt.search));
            let at = match known {
                Some(at) => at,
                None => {
                    let found = match self.grant.find_records(&attempt.search, since).await {
                        // No record is found by a key that the CRM no longer takes.
                        Err(failure) if failure.kind() == Some(&ErrorKind::KeyRefused) => Vec::new(),
                        found => found?,
                    };
                    searched.push((&attempt.search, found));
                    searched.len() - 1
                }
            };
            for id in &searched[at].1 {
                match candidates.iter_mut().find(|(known, _)| known == id) {
                    Some((_, found_by)) => found_by.push(index),
                    None => candidates.push((id.clone(), vec![index])),
                }
            }
        }
        Ok(candidates)
    }

    /// Reads a record that a search has found. Returns `None` if it is gone.
    pub(crate) async fn read_candidate(&mut self, id: &CallLogId) -> Result<Option<CallLog>, Failure> {
        match self.grant.read_record(id).await {
            Err(failure) if failure.kind() == Some(&ErrorKind::NotFound) => Ok(None),
            record => record.map(Some),
        }
    }

    /// Returns the record that an attempt would have created, as far as a search needs it. `like`: a record of the same call.
    pub(crate) fn sought_record(&self, criteria: &RecoveryCriteria, like: &NewCallLog) -> NewCallLog {
        // A mapping may have named another owner than now, or none.
        let caller = || self.claim.crm.owner_id(&self.grant.user().user);
        let sent = criteria.owner.clone().or_else(|| self.ownership.is_mapped.then(caller).flatten());
        let owner = sent.or_else(|| like.owner.clone());
        let earlier_owners = like.owner.iter().chain(&like.earlier_owners).cloned().collect();
        NewCallLog {
            tag: criteria.tag.clone().unwrap_or_else(|| CallTag::of(self.claim.lease.key)),
            recovery: self.way_of(criteria),
            contact: criteria.contact.clone().map(Contact::of),
            owner: owner.filter(|_| !criteria.left_out.contains(&RecordPart::Owner)),
            earlier_owners,
            facts: CallFacts::of(&criteria.details()),
            ..like.clone()
        }
    }

    /// Returns the contents that earlier attempts have sent, or may have sent before they died.
    fn all_sent(&self) -> Vec<LastWritten> {
        self.claim.item.recovery_criteria.iter().flat_map(|criteria| criteria.sent.clone()).collect()
    }

    /// Returns the record with the content that it may have. `is_own`: this attempt has created it. Otherwise it is not
    /// known which attempt did: an earlier one may have sent fewer details, or others. `sent`: what the attempts sent that
    /// may have created it.
    fn recovered(&self, id: CallLogId, draft: &Draft<'_>, is_own: bool, sent: &[LastWritten]) -> Record {
        let settings = &self.grant.user().user.settings;
        let least = Content::new(&draft.payload.details, settings, self.zone).fingerprints();
        let sent_sections = sent.iter().map(|sent| &sent.sections);
        let sections =
            Fingerprints::unconfirmed([&draft.written.sections, &least].into_iter().chain(sent_sections));
        let written = match is_own {
            true => LastWritten { sections, ..draft.written.clone() },
            false => self.possibly_written(sections, draft, sent),
        };
        Record { id, written, shortened: Vec::new(), missing: Some(draft.details.clone()), left_out: None }
    }

    /// Returns what the record has if any of the attempts created it, or a lease holder that died changed it.
    fn possibly_written(
        &self,
        sections: Fingerprints,
        draft: &Draft<'_>,
        sent: &[LastWritten],
    ) -> LastWritten {
        let item = &self.claim.item;
        let note_user = draft.written.note_user.clone();
        let fields = item.written.fields.clone();
        let mut written = LastWritten { sections, subject: None, fields, note_user };
        for (name, known) in sent.iter().flat_map(|sent| &sent.fields) {
            known.split(' ').for_each(|fingerprint| written.add_field(name, fingerprint));
        }
        let earlier = item.recovery_criteria.iter().map(RecoveryCriteria::details);
        for sent in [draft.details.clone(), draft.payload.details.clone()].into_iter().chain(earlier) {
            add_fields(&mut written, self.claim.crm, &self.sent_facts(&sent));
            let with_queued = sent.overlay(&item.queued_details());
            add_fields(&mut written, self.claim.crm, &self.sent_facts(&with_queued));
        }
        written
    }
}

/// Returns `true` if both searches find the same records.
fn is_same_search(one: &NewCallLog, other: &NewCallLog) -> bool {
    let place = |log: &NewCallLog| {
        let contact = log.contact.as_ref().map(|contact| contact.id.clone());
        (contact, log.owner.clone(), log.facts.start, log.facts.direction)
    };
    (one.recovery, &one.tag) == (other.recovery, &other.tag)
        && (one.recovery.is_by_tag() || place(one) == place(other))
}
