//! Duplicate sweep: long after every request has arrived, looks for a second record that an attempt without a response
//! may have created, and removes it if it is certainly a leftover of this call. Any other record stays.

use serde_json::Map;

use crate::{
    adapters::{CallFacts, CallLog, NewCallLog, Recovery},
    delivery::{
        attempt::Attempt,
        failure::Failure,
        proof::{Likeness, SoughtAttempt, Verdict},
    },
    model::{CallLogId, CallTag},
    store::RecoveryCriteria,
    telemetry::{self, Metric},
};

/// The time in which a call that looks alike and is not logged yet will be, in milliseconds. The record may be that call's.
const RIVAL_DELAY_MS: i64 = 15 * 60_000;

impl Attempt<'_> {
    /// Removes duplicates of the call's record if the sweep is due. Only the redrive does it: no caller waits for it, and
    /// where records have no call tag, it has to read the index of unsettled calls.
    pub(crate) async fn sweep_if_due(&mut self) -> Result<(), Failure> {
        let now_ms = self.grant.now_ms();
        let is_due = self.claim.item.sweep_at.is_some_and(|sweep_at| sweep_at <= now_ms);
        if let Some(kept) = self.claim.item.log_id.clone().filter(|_| is_due) {
            // The lease's end stores this. If it were stored now, a crash would lose the sweep.
            self.claim.item.sweep_at = self.remove_duplicates(&kept).await?;
        }
        Ok(())
    }

    /// Removes each record that is certainly a leftover of this call, is not `kept`, and is as it was created. Returns when
    /// the next sweep is due, in milliseconds since 1970; `None`: no other one.
    async fn remove_duplicates(&mut self, kept: &CallLogId) -> Result<Option<i64>, Failure> {
        // This comes first: if a person has deleted the call's record, no other record is a duplicate of it.
        self.grant.read_record(kept).await?;
        let criteria = self.claim.item.recovery_criteria.iter();
        let attempts: Vec<_> = criteria
            .map(|criteria| self.swept_attempt(criteria))
            .filter(|attempt| attempt.search.recovery != Recovery::None)
            .collect();
        let mut later: Option<i64> = None;
        for (duplicate, found_by) in self.candidates(&attempts).await? {
            if duplicate == *kept {
                continue;
            }
            let Some(record) = self.read_candidate(&duplicate).await? else { continue };
            let attempts: Vec<_> = found_by.iter().map(|index| &attempts[*index]).collect();
            match self.classify(&duplicate, &record, &attempts).await? {
                Verdict::Foreign => continue,
                Verdict::Later(at_ms) => {
                    later = later.into_iter().chain([at_ms]).min();
                    continue;
                }
                Verdict::Own if self.grant.delete_record(&duplicate).await? => {
                    telemetry::count(Metric::Deduped);
                    tracing::warn!("a second record of the call arrived late and was removed");
                }
                Verdict::Own | Verdict::Doubtful => {
                    tracing::warn!("a record that may be a second one of the call stays");
                }
            }
            telemetry::count(Metric::DuplicateFound);
            telemetry::set_field("log_id", kept.as_str().to_owned());
        }
        Ok(later)
    }

    /// Returns an attempt, as far as its search needs it. Its record may have been created at any time since.
    fn swept_attempt(&self, criteria: &RecoveryCriteria) -> SoughtAttempt {
        let any = NewCallLog {
            tag: CallTag::of(self.claim.lease.key),
            recovery: Recovery::None,
            subject: String::new(),
            body: String::new(),
            contact: None,
            owner: self.claim.crm.owner_id(&self.grant.user().user),
            earlier_owners: Vec::new(),
            facts: CallFacts::default(),
            first_attempt: self.claim.item.first_at.unwrap_or_default(),
            additional: Map::new(),
        };
        let search = self.sought_record(criteria, &any);
        SoughtAttempt { search, sent: criteria.sent.clone(), until_ms: self.grant.now_ms() }
    }

    /// Decides which log a record belongs to, beside the one that is kept. [`Verdict::Own`]: the record is certainly a leftover of
    /// this call, and may be deleted. `attempts`: the attempts whose searches found it.
    async fn classify(
        &mut self,
        id: &CallLogId,
        record: &CallLog,
        attempts: &[&SoughtAttempt],
    ) -> Result<Verdict, Failure> {
        if attempts.iter().any(|attempt| attempt.search.recovery.is_by_tag()) {
            let is_as_sent = attempts.iter().any(|attempt| self.is_as_sent(record, attempt));
            return Ok(if is_as_sent { Verdict::Own } else { Verdict::Doubtful });
        }
        let compared = attempts.iter().map(|attempt| (self.compare(record, attempt), *attempt));
        let Some((likeness, attempt)) = compared.max_by_key(|(likeness, _)| *likeness) else {
            return Ok(Verdict::Foreign);
        };
        if likeness == Likeness::None {
            return Ok(Verdict::Foreign);
        }
        if self.has_rival(&attempt.search).await? {
            return Ok(Verdict::Later(self.grant.now_ms() + RIVAL_DELAY_MS));
        }
        // Only a record that is proven to be unchanged may be deleted.
        let is_certain = likeness == Likeness::Equal && self.claim.crm.capabilities().shows_edits;
        let likeness = if is_certain { likeness } else { likeness.min(Likeness::Doubtful) };
        self.judge(id, record, &attempt.search, likeness).await
    }
}
