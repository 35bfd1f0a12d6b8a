//! Proof: whether a record without a call tag is the one that an attempt without a response has created.
//!
//! Two calls can look alike: one session that two extensions log, two sessions of the same second, a redial within a minute.
//! So a record is the call's only if nothing speaks for another call: it was created while the attempt could create one, it
//! has the content that the attempt sent, no other log's item names it, and no other log may have created it. If this is in
//! doubt, the call is logged again: a second record of our own is better than another call's record.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    adapters::{CallLog, NewCallLog},
    delivery::{attempt::Attempt, failure::Failure, lease},
    model::CallLogId,
    note::{self, Section, fingerprint, is_subject},
    store::{self, LastWritten, RecoveryCriteria},
    telemetry::{self, Metric},
};

/// The difference between the clocks of a CRM and of our hosts that is allowed for.
pub(crate) const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// The delay until the redrive decides about a record that a person may have edited, in milliseconds.
const EDITED_DELAY_MS: i64 = 60_000;
/// The most unsettled calls that are compared with an edited record.
const MAX_RIVALS: usize = 200;

/// The sections that say no more than contact and start.
const NO_EVIDENCE: [Section; 2] = [Section::ContactNumber, Section::DateTime];
/// The sections that a person may have edited.
const EDITABLE: [Section; 2] = [Section::AgentNote, Section::Subject];

/// An attempt whose record is looked for.
#[derive(Debug)]
pub(crate) struct SoughtAttempt {
    /// The record, as far as a search needs it.
    pub(crate) search: NewCallLog,
    /// The content of each record that the attempt may have created.
    pub(crate) sent: Vec<LastWritten>,
    /// The time until which it can have created one, in milliseconds since 1970.
    pub(crate) until_ms: i64,
}

/// The result of the comparison of a record with what an attempt sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// The attempt cannot have created it.
    None,
    /// It differs, or too little of it could be compared. It may be the attempt's.
    Doubtful,
    /// Everything is equal that a person would not edit, and the record was changed.
    Edited,
    /// Everything is equal, and the record was not changed.
    Equal,
}

/// The log that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This log owns it from now on.
    Own,
    /// This will be known at this time, in milliseconds since 1970.
    Later(i64),
    /// It may be this log's or another's.
    Doubtful,
    /// Another log owns it, or this log's attempts cannot have created it.
    Foreign,
}

impl Attempt<'_> {
    /// Returns the earliest time at which an attempt can have created a record of this call, by the CRM's clock.
    pub(crate) fn created_since(&self) -> DateTime<Utc> {
        self.claim.item.first_at.unwrap_or(DateTime::UNIX_EPOCH) - CLOCK_SKEW
    }

    /// Compares a record with what an attempt sent.
    pub(crate) fn compare(&self, record: &CallLog, attempt: &SoughtAttempt) -> Likeness {
        let latest = DateTime::from_timestamp_millis(attempt.until_ms).unwrap_or(DateTime::UNIX_EPOCH);
        let Some(created_at) = record.created_at else { return Likeness::Doubtful };
        if created_at < self.created_since() || created_at > latest + CLOCK_SKEW {
            return Likeness::None;
        }
        if record.is_changed == Some(false) {
            return if self.is_as_sent(record, attempt) { Likeness::Equal } else { Likeness::Doubtful };
        }
        let cleaned = self.claim.services.cleaning.of(&self.claim.lease.key.call.tenant);
        let is_compared = |section: &Section| !cleaned.contains(section) && !EDITABLE.contains(section);
        let differs = self.differing_sections(record, attempt).iter().any(is_compared);
        let mut sent = attempt.sent.iter().flat_map(|sent| sent.sections.sent_sections());
        let has_evidence = sent.any(|section| is_compared(&section) && !NO_EVIDENCE.contains(&section));
        if differs || !has_evidence { Likeness::Doubtful } else { Likeness::Edited }
    }

    /// Returns `true` if a record has exactly what an attempt sent, as far as the tenant's CRM shows it unchanged.
    pub(crate) fn is_as_sent(&self, record: &CallLog, attempt: &SoughtAttempt) -> bool {
        let cleaned = self.claim.services.cleaning.of(&self.claim.lease.key.call.tenant);
        !attempt.sent.is_empty()
            && self.differing_sections(record, attempt).iter().all(|section| cleaned.contains(section))
            && has_subject(record, attempt)
            && has_fields(record, attempt)
    }

    fn differing_sections(&self, record: &CallLog, attempt: &SoughtAttempt) -> Vec<Section> {
        let sent: Vec<_> = attempt.sent.iter().map(|sent| sent.sections.clone()).collect();
        note::differing_sections(self.claim.crm.capabilities().format, &record.body, &sent)
    }

    /// Decides which log a record belongs to. If it is this one, makes it the owner. `likeness`: the best of the comparisons
    /// with this log's attempts. `search`: the record that the attempt would have created.
    pub(crate) async fn judge(
        &mut self,
        id: &CallLogId,
        record: &CallLog,
        search: &NewCallLog,
        likeness: Likeness,
    ) -> Result<Verdict, Failure> {
        let (services, key) = (self.claim.services, self.claim.lease.key);
        let tenant = &key.call.tenant;
        if likeness == Likeness::None {
            return Ok(Verdict::Foreign);
        }
        let is_of_other = services.store.is_record_of_other(tenant, id, key);
        if services.sync_points.reach("recovery.owner", is_of_other).await? {
            return Ok(Verdict::Foreign);
        }
        let Some(created_at) = record.created_at else { return Ok(Verdict::Doubtful) };
        let now_ms = self.grant.now_ms();
        let settled_ms = created_at.timestamp_millis() + lease::settled_age_ms(self.claim.crm);
        if now_ms < settled_ms {
            return Ok(Verdict::Later(settled_ms));
        }
        if likeness == Likeness::Doubtful {
            return Ok(Verdict::Doubtful);
        }
        if likeness == Likeness::Edited {
            // Only the redrive reads the index of unsettled calls. Without the payload it cannot deliver the call.
            match (self.claim.is_redrive, &self.claim.item.payload) {
                (false, Some(_)) => return Ok(Verdict::Later(now_ms + EDITED_DELAY_MS)),
                (false, None) => return Ok(Verdict::Doubtful),
                (true, _) if self.has_rival(search).await? => return Ok(Verdict::Doubtful),
                (true, _) => {}
            }
        }
        let owns = services.store.own_record(tenant, id, key, now_ms);
        Ok(match services.sync_points.reach("recovery.own", owns).await? {
            true => Verdict::Own,
            false => Verdict::Foreign,
        })
    }

    /// Returns `true` if another log, which is not logged yet, may have created a record with this contact and start.
    pub(crate) async fn has_rival(&self, search: &NewCallLog) -> Result<bool, Failure> {
        let (services, key) = (self.claim.services, self.claim.lease.key);
        let unsettled = services.store.unsettled(self.grant.now_ms());
        let (unsettled, unreadable) = services.sync_points.reach("recovery.unsettled", unsettled).await?;
        (0..unreadable).for_each(|_| telemetry::count(Metric::Unreadable));
        let others = unsettled.into_iter().map(|due| due.key);
        let others: Vec<_> =
            others.filter(|other| other != key && other.call.tenant == key.call.tenant).collect();
        if others.len() > MAX_RIVALS {
            return Ok(true);
        }
        for other in others {
            let item = services.store.call(&other);
            let item = match services.sync_points.reach("recovery.rival", item).await {
                Err(store::Error::Unreadable(..)) => return Ok(true),
                item => item?,
            };
            let Some(item) = item.filter(|item| item.log_id.is_none()) else { continue };
            if item.recovery_criteria.iter().any(|criteria| is_similar(criteria, search)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns `true` if an attempt with these criteria may create a record with this contact and start.
fn is_similar(criteria: &RecoveryCriteria, search: &NewCallLog) -> bool {
    let is_near = match (criteria.start, search.facts.start) {
        // CRMs keep times in minutes.
        (Some(one), Some(other)) => (one - other).abs() < TimeDelta::minutes(1),
        _ => true,
    };
    criteria.contact.as_ref() == search.contact.as_ref().map(|contact| &contact.id) && is_near
}

/// Returns `true` if a record has a subject that was sent.
fn has_subject(record: &CallLog, attempt: &SoughtAttempt) -> bool {
    let theirs = record.subject.as_deref().unwrap_or_default();
    attempt.sent.iter().any(|sent| {
        sent.subject.as_ref().is_none_or(|known| is_subject(known, theirs))
            || sent.sections.is_unconfirmed(Section::Subject, theirs)
    })
}

/// Returns the fingerprint of the subject that was sent. `None`: it is not known which one, and the record's subject is ours.
pub(crate) fn sent_subject(record: &CallLog, attempt: &SoughtAttempt) -> Option<String> {
    let theirs = record.subject.as_deref().unwrap_or_default();
    let mut known = attempt.sent.iter().filter_map(|sent| sent.subject.as_ref());
    let is_unconfirmed =
        || attempt.sent.iter().any(|sent| sent.sections.is_unconfirmed(Section::Subject, theirs));
    match known.clone().find(|known| is_subject(known, theirs)) {
        Some(same) => Some(same.clone()),
        None if is_unconfirmed() => None,
        None => known.next().cloned(),
    }
}

/// Returns `true` if each of the CRM's own fields of a record has a value that was sent.
fn has_fields(record: &CallLog, attempt: &SoughtAttempt) -> bool {
    record.fields.iter().all(|(name, theirs)| {
        let hash = fingerprint(theirs);
        attempt.sent.iter().any(|sent| sent.is_field(name, &hash).unwrap_or(theirs.is_empty()))
    })
}
