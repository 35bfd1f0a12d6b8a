//! Recovery criteria: what is stored of each attempt to create a record, until its outcome is known.
//!
//! The criteria of the first attempt are stored with its claim, before its content is known. After a lost response, the
//! content that was sent is stored with the end of the attempt. If the invocation dies, its successor composes the content
//! again, from the payload and the queued details that the item has.

use crate::{
    adapters::Recovery,
    delivery::{attempt::Attempt, draft::Draft, lease, ways},
    model::{CallDetails, RecordPart},
    store::{self, LastWritten, RecoveryCriteria},
};

/// The number of contents that are composed for an attempt that died, each with one queued update less than the one before.
const MAX_QUEUES: usize = 8;

impl Attempt<'_> {
    /// Stores the criteria by which a later attempt finds the record of this draft, which is about to be sent. Attempts whose
    /// outcome is not known may have had other criteria, which stay. Returns `false` if another invocation has taken the
    /// lease.
    pub(crate) async fn record_criteria(&mut self, draft: &Draft<'_>) -> Result<bool, store::Error> {
        let own = self.criteria_of(draft);
        let (item, lease) = (&mut self.claim.item, &self.claim.lease);
        if item.recovery_criteria.iter().any(|stored| stored.sent.is_empty() && stored.is_like(&own)) {
            return Ok(true);
        }
        let mut criteria = match item.outcome_unknown {
            true => item.recovery_criteria.clone(),
            false => Vec::new(),
        };
        match criteria.iter_mut().find(|stored| stored.sent == own.sent && stored.is_like(&own)) {
            Some(same) => same.until_ms = own.until_ms,
            None => criteria.push(own),
        }
        let services = self.claim.services;
        let record = services.store.record_criteria(lease, &criteria, None);
        let is_recorded = services.sync_points.reach("create.seek", record).await?;
        item.recovery_criteria = criteria;
        Ok(is_recorded)
    }

    /// Adds the content of this draft, whose response was lost, to its criteria. The end of the attempt stores them.
    pub(crate) fn add_sent(&mut self, draft: &Draft<'_>) {
        let until_ms = self.grant.now_ms() + lease::grace_ms(self.claim.crm);
        let own = self.criteria_of(draft);
        let is_own = |stored: &&mut RecoveryCriteria| {
            (stored.sent.is_empty() || stored.sent == own.sent) && stored.is_like(&own)
        };
        if let Some(stored) = self.claim.item.recovery_criteria.iter_mut().find(is_own) {
            stored.until_ms = stored.until_ms.max(Some(until_ms));
            stored.sent = own.sent;
        }
    }

    /// Adds to the criteria of attempts that died what they may have sent.
    pub(crate) fn add_composed(&mut self, draft: &Draft<'_>) {
        let until_ms = self.died_until_ms();
        let mut criteria = std::mem::take(&mut self.claim.item.recovery_criteria);
        for died in criteria.iter_mut().filter(|criteria| criteria.sent.is_empty()) {
            died.sent = self.possibly_sent(died, draft);
            died.until_ms = died.until_ms.or(Some(until_ms));
        }
        self.claim.item.recovery_criteria = criteria;
    }

    /// Returns the time until which an attempt that died can have created its record, in milliseconds since 1970. Its lease
    /// was over when this invocation claimed the call.
    pub(crate) fn died_until_ms(&self) -> i64 {
        let (item, now_ms) = (&self.claim.item, self.claim.lease.now_ms);
        // This is the second claim, so the attempt was the first one.
        let first = item.first_at.filter(|_| item.fence <= 2);
        first.map_or(now_ms, |first| now_ms.min(first.timestamp_millis() + lease::longest_ms(self.claim.crm)))
    }

    /// Returns `true` if an earlier attempt may have created a record that cannot be looked for.
    pub(crate) fn has_untraceable_attempt(&self) -> bool {
        let item = &self.claim.item;
        item.outcome_unknown
            && item.recovery_criteria.iter().any(|earlier| self.way_of(earlier) == Recovery::None)
    }

    /// Returns the way in which an attempt was sent.
    pub(crate) fn way_of(&self, criteria: &RecoveryCriteria) -> Recovery {
        ways::named(self.claim.crm, criteria.way.as_deref())
    }

    fn criteria_of(&self, draft: &Draft<'_>) -> RecoveryCriteria {
        let lease = &self.claim.lease;
        let full = RecoveryCriteria::of(lease.key, draft.payload, draft.record.recovery.name());
        let has_details = !draft.left_out.contains(&RecordPart::Details);
        RecoveryCriteria {
            contact: draft.record.contact.as_ref().map(|contact| contact.id.clone()),
            duration: full.duration.filter(|_| has_details),
            result: full.result.clone().filter(|_| has_details),
            owner: draft.record.owner.clone().filter(|_| self.ownership.is_mapped),
            left_out: draft.left_out.clone(),
            until_ms: Some(lease.until_ms),
            sent: vec![draft.written.clone()],
            ..full
        }
    }

    /// Returns the contents that an attempt may have sent before its invocation died: with the details that were queued then,
    /// or without them if the CRM rejected them. It is not known which ones came later. An attempt that left parts out was sent
    /// without the queued details.
    fn possibly_sent(&self, criteria: &RecoveryCriteria, draft: &Draft<'_>) -> Vec<LastWritten> {
        let mut item = self.claim.item.clone();
        let alone = CallDetails {
            direction: criteria.direction,
            start: criteria.start,
            duration: criteria.duration,
            result: criteria.result.clone(),
            ..match criteria.left_out.contains(&RecordPart::Details) {
                true => draft.payload.details.barest(),
                false => draft.payload.details.clone(),
            }
        };
        let longest = if criteria.left_out.is_empty() { item.queue.len() } else { 0 };
        let lengths = (0..=longest).rev().filter(|length| *length == 0 || longest - length < MAX_QUEUES);
        let mut sent = Vec::new();
        for length in lengths {
            item.queue.truncate(length);
            let details = alone.clone().overlay(&item.queued_details());
            let notes = item.notes(Some(&draft.payload.details));
            let zone = self.grant.zone(criteria.zone);
            let (_, _, mut written) = self.compose(&details, &notes, draft.payload.contact.as_ref(), zone);
            written.sections = written.sections.with_unconfirmed_of(&item.written.sections);
            for (name, known) in &item.written.fields {
                known.split(' ').for_each(|fingerprint| written.add_field(name, fingerprint));
            }
            if !sent.contains(&written) {
                sent.push(written);
            }
        }
        sent
    }
}
