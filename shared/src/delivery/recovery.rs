//! Recovery: how a create finds the record of an attempt whose response was lost.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    adapters::{CallFacts, NewCallLog, Recovery},
    delivery::{
        attempt::Attempt,
        draft::{Draft, Record, field_fingerprints},
        failure::Failure,
    },
    model::{CallDetails, CallLogId, Contact, Payload},
    note::{self, Content, Fingerprints},
    store::{self, LastWritten, RecoveryCriteria},
    telemetry::{self, Metric},
};

/// The difference between the clocks of a CRM and of our hosts that is allowed for.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

impl Attempt<'_> {
    /// Returns the record that this attempt or an earlier one created, if the CRM shows one. Of several records it is
    /// always the oldest; the duplicate sweep removes the others.
    ///
    /// Finding no record proves nothing while a request may still reach the CRM.
    pub(crate) async fn find_record(&mut self, draft: &Draft<'_>) -> Result<Option<Record>, Failure> {
        if draft.record.recovery == Recovery::None {
            return Ok(None);
        }
        let since = self.created_since();
        let mut found = self.grant.find_records(&draft.record, since).await?;
        if self.claim.item.outcome_unknown {
            for criteria in &self.claim.item.recovery_criteria {
                if found.is_empty()
                    && let Some(earlier) = self.earlier_record(criteria, draft)
                {
                    found = self.grant.find_records(&earlier, since).await?;
                }
            }
        }
        if found.len() > 1 {
            tracing::warn!(duplicates = found.len() - 1, "the CRM has more than one record of this call");
        }
        let Some(id) = found.into_iter().next() else { return Ok(None) };
        telemetry::count(Metric::Reconciled);
        Ok(Some(self.recovered(id, draft)))
    }

    /// Stores the criteria by which a later attempt finds the record that this attempt is about to create. Earlier
    /// attempts may have had other criteria, which stay. Returns `false` if another invocation has taken the lease.
    pub(crate) async fn record_criteria(&self, payload: &Payload) -> Result<bool, store::Error> {
        let mut criteria = self.claim.item.recovery_criteria.clone();
        let own = RecoveryCriteria::of(payload);
        if criteria.contains(&own) {
            return Ok(true);
        }
        criteria.push(own);
        let services = self.claim.services;
        let record = services.store.record_criteria(&self.claim.lease, &criteria);
        services.sync_points.reach("create.seek", record).await
    }

    /// Returns the earliest time at which an attempt can have created a record of this call, by the CRM's clock.
    pub(crate) fn created_since(&self) -> DateTime<Utc> {
        self.claim.item.first_at.unwrap_or(DateTime::UNIX_EPOCH) - CLOCK_SKEW
    }

    /// Returns the record that an earlier attempt would have created, or `None` if it is found as this draft is.
    fn earlier_record(&self, criteria: &RecoveryCriteria, draft: &Draft<'_>) -> Option<NewCallLog> {
        let record = &draft.record;
        let zone = self.grant.zone(criteria.zone);
        let facts = CallFacts {
            direction: criteria.direction,
            start: criteria.start,
            duration: criteria.duration,
            result: None,
        };
        let own = CallFacts { result: None, ..record.facts.clone() };
        if (&criteria.contact, &facts, zone) == (&record.contact.id, &own, self.zone) {
            return None;
        }
        let details = CallDetails { start: criteria.start, ..draft.details.clone() };
        let content = Content::new(&details, &self.grant.user().user.settings, zone);
        Some(NewCallLog {
            body: note::compose(self.claim.crm.capabilities().format, &content),
            contact: Contact { id: criteria.contact.clone(), ..record.contact.clone() },
            facts,
            ..record.clone()
        })
    }

    /// Returns the record with the content that it may have. Which attempt created it is not known: an earlier one may
    /// have sent fewer details, or others.
    fn recovered(&self, id: CallLogId, draft: &Draft<'_>) -> Record {
        let settings = &self.grant.user().user.settings;
        let least = Content::new(&draft.payload.details, settings, self.zone).fingerprints();
        let is_own = !self.claim.item.outcome_unknown;
        let written = LastWritten {
            sections: Fingerprints::unconfirmed([&draft.written.sections, &least]),
            subject: draft.written.subject.clone().filter(|_| is_own),
            fields: match is_own {
                true => draft.written.fields.clone(),
                false => field_fingerprints(&self.claim.crm.fields(&CallFacts::of(&draft.payload.details))),
            },
        };
        Record { id, written, missing: Some(draft.details.clone()) }
    }
}
