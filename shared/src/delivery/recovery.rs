//! Recovery: how a create finds the record of an attempt whose response was lost.
//!
//! The table has the *recovery criteria* of each attempt whose outcome is not known: its contact, its times, the call tag
//! and the way in which it was sent. Each attempt is looked for in its own way: by its key, in a list, or by a search. An
//! attempt that was sent without any way to find it is not looked for.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    adapters::{CallFacts, Capabilities, Effect, Error, ErrorKind, NewCallLog, Recovery},
    delivery::{
        attempt::Attempt,
        draft::{Draft, Record, add_fields},
        failure::Failure,
        ways,
    },
    model::{CallDetails, CallLogId, CallTag, Contact, Payload},
    note::{self, Content, Fingerprints, Format},
    store::{self, LastWritten, RecoveryCriteria},
    telemetry::{self, Metric},
};

/// The difference between the clocks of a CRM and of our hosts that is allowed for.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

impl Attempt<'_> {
    /// Returns the record that this attempt or an earlier one created, if the CRM shows one.
    ///
    /// Finding no record proves nothing while a request may still reach the CRM or a search may not show its record yet.
    pub(crate) async fn find_record(&mut self, draft: &Draft<'_>) -> Result<Option<Record>, Failure> {
        let found = self.find(draft).await?;
        let is_own = !self.claim.item.outcome_unknown;
        Ok(found.map(|id| self.recovered(id, draft, is_own)))
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
            None => self.find(draft).await.ok().flatten(),
        };
        let hidden = "the call is in the CRM, but its record is not visible";
        let id = id.ok_or_else(|| Error::new(ErrorKind::AlreadyExists(None), Effect::None, hidden))?;
        Ok(self.recovered(id, draft, false))
    }

    /// Stores the criteria by which a later attempt finds the record that this attempt is about to create. Attempts whose
    /// outcome is not known may have had other criteria, which stay. Returns `false` if another invocation has taken the
    /// lease.
    pub(crate) async fn record_criteria(
        &mut self,
        payload: &Payload,
        way: Recovery,
    ) -> Result<bool, store::Error> {
        let (item, lease) = (&mut self.claim.item, &self.claim.lease);
        let own = RecoveryCriteria::of(lease.key, payload, way.name());
        if item.recovery_criteria.contains(&own) {
            return Ok(true);
        }
        let mut criteria = match item.outcome_unknown {
            true => item.recovery_criteria.clone(),
            false => Vec::new(),
        };
        criteria.push(own);
        let services = self.claim.services;
        let record = services.store.record_criteria(lease, &criteria);
        let is_recorded = services.sync_points.reach("create.seek", record).await?;
        item.recovery_criteria = criteria;
        Ok(is_recorded)
    }

    /// Returns `true` if an earlier attempt may have created a record that cannot be looked for.
    pub(crate) fn has_untraceable_attempt(&self) -> bool {
        let item = &self.claim.item;
        let way = |criteria: &RecoveryCriteria| ways::named(self.claim.crm, criteria.way.as_deref());
        item.outcome_unknown && item.recovery_criteria.iter().any(|earlier| way(earlier) == Recovery::None)
    }

    /// Returns the earliest time at which an attempt can have created a record of this call, by the CRM's clock.
    pub(crate) fn created_since(&self) -> DateTime<Utc> {
        self.claim.item.first_at.unwrap_or(DateTime::UNIX_EPOCH) - CLOCK_SKEW
    }

    /// Looks for the record of each attempt whose outcome is not known. Of several records it returns the oldest; the
    /// duplicate sweep removes the others.
    async fn find(&mut self, draft: &Draft<'_>) -> Result<Option<CallLogId>, Failure> {
        let since = self.created_since();
        for log in self.searches(draft) {
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

    /// Returns the records to look for: this attempt's, and those of earlier attempts that are found in another way. The
    /// ones with a key come first, because a key is certain.
    fn searches(&self, draft: &Draft<'_>) -> Vec<NewCallLog> {
        let format = self.claim.crm.capabilities().format;
        let mut searches = vec![draft.record.clone()];
        if self.claim.item.outcome_unknown {
            for criteria in &self.claim.item.recovery_criteria {
                let earlier = self.earlier_record(criteria, draft);
                if !searches.iter().any(|log| is_same_search(format, log, &earlier)) {
                    searches.push(earlier);
                }
            }
        }
        searches.retain(|log| log.recovery != Recovery::None);
        searches.sort_by_key(|log| log.recovery != Recovery::ByKey);
        searches
    }

    /// Returns the record that an earlier attempt would have created, as far as a search needs it.
    fn earlier_record(&self, criteria: &RecoveryCriteria, draft: &Draft<'_>) -> NewCallLog {
        let crm = self.claim.crm;
        let Capabilities { format, limits, .. } = crm.capabilities();
        let details = CallDetails { start: criteria.start, ..draft.details.clone() };
        let zone = self.grant.zone(criteria.zone);
        let content = Content::new(&details, &self.grant.user().user.settings, zone);
        NewCallLog {
            tag: criteria.tag.clone().unwrap_or_else(|| CallTag::of(self.claim.lease.key)),
            recovery: ways::named(crm, criteria.way.as_deref()),
            body: note::compose_within(format, &content, &limits).body,
            contact: Contact { id: criteria.contact.clone(), ..draft.record.contact.clone() },
            facts: CallFacts::of(&criteria.details()),
            ..draft.record.clone()
        }
    }

    /// Returns the record with the content that it may have. `is_own`: this attempt has created it. Otherwise it is not
    /// known which attempt did: an earlier one may have sent fewer details, or others.
    fn recovered(&self, id: CallLogId, draft: &Draft<'_>, is_own: bool) -> Record {
        let settings = &self.grant.user().user.settings;
        let least = Content::new(&draft.payload.details, settings, self.zone).fingerprints();
        let sections = Fingerprints::unconfirmed([&draft.written.sections, &least]);
        let written = match is_own {
            true => LastWritten { sections, ..draft.written.clone() },
            false => self.possibly_written(sections, draft),
        };
        Record { id, written, shortened: Vec::new(), missing: Some(draft.details.clone()) }
    }

    /// Returns what the record has if any of the attempts created it, or a lease holder that died changed it.
    fn possibly_written(&self, sections: Fingerprints, draft: &Draft<'_>) -> LastWritten {
        let item = &self.claim.item;
        let note_user = draft.written.note_user.clone();
        let fields = item.written.fields.clone();
        let mut written = LastWritten { sections, subject: None, fields, note_user };
        let earlier = item.recovery_criteria.iter().map(RecoveryCriteria::details);
        for sent in [draft.details.clone(), draft.payload.details.clone()].into_iter().chain(earlier) {
            add_fields(&mut written, self.claim.crm, &CallFacts::of(&sent));
            let with_queued = sent.overlay(&item.queued_details());
            add_fields(&mut written, self.claim.crm, &CallFacts::of(&with_queued));
        }
        written
    }
}

/// Returns `true` if both searches find the same records. Adapters compare the duration only if the body does not identify
/// the call (see [`NewCallLog::matches_body`]).
fn is_same_search(format: Format, one: &NewCallLog, other: &NewCallLog) -> bool {
    if (one.recovery, &one.tag) != (other.recovery, &other.tag) {
        return false;
    }
    let place = |log: &NewCallLog| (log.contact.id.clone(), log.facts.start, log.facts.direction);
    let is_same_body =
        || one.matches_body(format, &other.body).unwrap_or(one.facts.duration == other.facts.duration);
    one.recovery == Recovery::ByKey || (place(one) == place(other) && is_same_body())
}
