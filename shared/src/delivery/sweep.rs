//! Duplicate sweep: long after every request has arrived, looks for a second record that an attempt without a response
//! may have created, and removes it. A record that a person has changed is never removed.

use std::collections::BTreeSet;

use serde_json::Map;

use crate::{
    adapters::{CallFacts, CallLog, ErrorKind, NewCallLog, Recovery},
    delivery::{attempt::Attempt, failure::Failure, ways},
    model::{CallDetails, CallLogId, CallTag, Contact},
    note::{self, Content},
    store::RecoveryCriteria,
    telemetry::{self, Metric},
};

impl Attempt<'_> {
    /// Removes duplicates of the call's record if the sweep is due.
    pub(crate) async fn sweep_if_due(&mut self) -> Result<(), Failure> {
        let now_ms = self.grant.now_ms();
        let is_due = self.claim.item.sweep_at.is_some_and(|sweep_at| sweep_at <= now_ms);
        if let Some(kept) = self.claim.item.log_id.clone().filter(|_| is_due) {
            self.remove_duplicates(&kept).await?;
            // The lease's end removes it from the stored item. If it were removed there now, a crash would lose the sweep.
            self.claim.item.sweep_at = None;
        }
        Ok(())
    }

    /// Removes each record of this call that is certainly ours, is not `kept`, and is as it was created.
    async fn remove_duplicates(&mut self, kept: &CallLogId) -> Result<(), Failure> {
        // This comes first: if a person has deleted the call's record, no other record is a duplicate of it.
        let current = self.grant.read_record(kept).await?;
        let since = self.created_since();
        let mut found = BTreeSet::new();
        for criteria in &self.claim.item.recovery_criteria {
            let record = self.expected_record(criteria, &current);
            if record.recovery == Recovery::None {
                continue;
            }
            match self.grant.find_records(&record, since).await {
                // No record is found by a key that the CRM no longer takes.
                Err(failure) if failure.kind() == Some(&ErrorKind::KeyRefused) => {}
                records => found.extend(records?),
            }
        }
        for duplicate in found.into_iter().filter(|found| found != kept) {
            telemetry::count(Metric::DuplicateFound);
            telemetry::set_field("log_id", kept.as_str().to_owned());
            if self.grant.delete_record(&duplicate).await? {
                telemetry::count(Metric::Deduped);
                tracing::warn!("a second record of the call arrived late and was removed");
            } else {
                tracing::warn!("a second record of the call was changed by a person and stays");
            }
        }
        Ok(())
    }

    /// Returns the record that the attempt without a response would have created, as far as the search needs it.
    fn expected_record(&self, criteria: &RecoveryCriteria, current: &CallLog) -> NewCallLog {
        let details = CallDetails {
            session: Some(self.claim.lease.key.call.session.clone()),
            start: criteria.start,
            ..CallDetails::default()
        };
        let capabilities = self.claim.crm.capabilities();
        let zone = self.grant.zone(criteria.zone);
        let content = Content::new(&details, &self.grant.user().user.settings, zone);
        NewCallLog {
            tag: criteria.tag.clone().unwrap_or_else(|| CallTag::of(self.claim.lease.key)),
            recovery: ways::named(self.claim.crm, criteria.way.as_deref()),
            subject: current.subject.clone().unwrap_or_default(),
            body: note::compose_within(capabilities.format, &content, &capabilities.limits).body,
            contact: Contact { id: criteria.contact.clone(), kind: None, name: None, phone_number: None },
            facts: CallFacts::of(&criteria.details()),
            first_attempt: self.claim.item.first_at.unwrap_or_default(),
            additional: Map::new(),
        }
    }
}
