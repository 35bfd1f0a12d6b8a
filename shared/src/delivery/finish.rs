//! The finish step: the further request that completes a record, for CRMs that need one (a time entry, closing a call).
//!
//! The item says that the step is pending from before the record needs it until it is done, so that it is not forgotten if
//! the lease holder dies. The adapter's step can be repeated: it looks at the record first.

use crate::{
    adapters::{CallFacts, Effect, ErrorKind, Finish},
    delivery::{attempt::Attempt, failure::Failure},
    model::{CallDetails, CallLogId},
    store::HistoryEntry,
    telemetry::{self, Metric},
};

impl Attempt<'_> {
    /// Adds these details to what this invocation knows of the call. A duration that is pending displaces no duration.
    pub(crate) fn learn(&mut self, details: &CallDetails) {
        let (newer, known) = (CallFacts::of(details), std::mem::take(&mut self.facts));
        let is_newer = newer.seconds().is_some() || known.duration.is_none();
        self.facts = CallFacts {
            direction: newer.direction.or(known.direction),
            start: newer.start.or(known.start),
            duration: if is_newer { newer.duration } else { known.duration },
            result: newer.result.or(known.result),
            from: newer.from.or(known.from),
            to: newer.to.or(known.to),
            recording: newer.recording.or(known.recording),
        };
    }

    /// Returns `true` if the CRM has a step that completes a record.
    pub(crate) fn has_finish(&self) -> bool {
        self.claim.crm.capabilities().finish != Finish::None
    }

    /// Returns `true` if the record has to be completed now.
    pub(crate) fn needs_finish(&self) -> bool {
        let item = &self.claim.item;
        match self.claim.crm.capabilities().finish {
            Finish::None => false,
            Finish::WithDuration => {
                self.facts.seconds().is_some_and(|seconds| item.finished_seconds != Some(seconds))
            }
            Finish::AfterEachChange => item.finish_pending,
        }
    }

    /// Completes the record. The end of the lease stores that this is done. If the CRM refuses it permanently, the record
    /// stays as it is, and the history of the call says so.
    ///
    /// # Errors
    /// Fails if the step has to be repeated. It stays pending.
    pub(crate) async fn finish_record(&mut self, record: &CallLogId) -> Result<(), Failure> {
        self.claim.item.finish_pending = true;
        match self.grant.finish_record(record, &self.facts).await {
            Ok(()) => {}
            Err(failure) if is_permanent(&failure) => {
                telemetry::count(Metric::FinishDropped);
                telemetry::set_field("finish_dropped", failure.to_string());
                let what = format!("not completed: {failure}");
                self.claim.item.history.push(HistoryEntry { at_ms: self.grant.now_ms(), what });
            }
            Err(failure) => {
                if failure.effect() == Effect::Unknown {
                    telemetry::count(Metric::Ambiguous);
                }
                return Err(failure);
            }
        }
        let item = &mut self.claim.item;
        item.finish_pending = false;
        item.finished_seconds = self.facts.seconds().or(item.finished_seconds);
        Ok(())
    }
}

/// Returns `true` if the CRM would refuse the same step again: it does not accept the data, the record or a part of it is
/// gone, or the user lacks a right.
fn is_permanent(failure: &Failure) -> bool {
    matches!(
        failure.kind(),
        Some(
            ErrorKind::Rejected { .. }
                | ErrorKind::NotFound
                | ErrorKind::Forbidden { .. }
                | ErrorKind::KeyRefused
        )
    )
}
