//! The end of every attempt: what became of it, and who goes on when.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    CallItem, Error, Event, Lease, State, Store, Written,
    calls::item_key,
    claims::{LOGGED_TTL, told},
    due::shard_of,
    expression::{self, Update},
    number, text,
};
use crate::model::{CallDetails, CallDuration, CallLogId};

/// How long after a log was made it is looked for again, if an attempt before had no answer, in milliseconds: whatever
/// that attempt sent has landed by then.
pub const SWEEP_AFTER_MS: i64 = 15 * 60_000;

/// The answer to finishing.
#[derive(Debug)]
pub enum Finish {
    Released,
    /// More facts have come meanwhile: this invocation still has the lease and writes them too.
    MoreQueued(Box<CallItem>),
    /// The lease ran out and somebody else has it.
    Lost,
}

/// How an attempt ended that did not finish.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    pub event: Event,
    /// When the next attempt may start, in milliseconds since 1970.
    pub lease_expires_at_ms: i64,
    /// When it is tried again without anybody asking; `None`: never.
    pub due_ms: Option<i64>,
    /// An attempt to create may have landed unseen.
    pub outcome_unknown: bool,
    pub reason: &'a str,
    /// The CRM refused the facts that waited, and would again: they are forgotten.
    pub drops_queued: bool,
    /// What the request brought is forgotten too.
    pub drops_payload: bool,
}

impl<'a> Release<'a> {
    /// An attempt that changed nothing.
    pub fn new(event: Event, reason: &'a str) -> Release<'a> {
        Release {
            event,
            lease_expires_at_ms: 0,
            due_ms: None,
            outcome_unknown: false,
            reason,
            drops_queued: false,
            drops_payload: false,
        }
    }
}

impl Store {
    /// The log is in the CRM under this id, with everything in it that was wanted at `seen`: gives the lease back.
    /// If more is wanted meanwhile, keeps it.
    pub async fn finish(
        &self,
        lease: &Lease<'_>,
        log: &CallLogId,
        seen: &CallItem,
        written: &Written,
    ) -> Result<Finish, Error> {
        let what = if seen.log_id.is_some() { "updated" } else { "logged" };
        let update = logged(log, written, seen.sweep_after(lease.now_ms))
            .set("hist", seen.history_with(lease.now_ms, what))
            .value("me", text(lease.holder))
            .value("seen", number(seen.queued_version))
            .set("busy", number(0))
            .set("done", number(seen.queued_version))
            .set("ttl", number(lease.now_ms / 1_000 + LOGGED_TTL))
            .remove("own")
            .remove("pay")
            .remove("told")
            .remove("since")
            .remove("tries");
        let update = due(update, lease, seen.sweep_after(lease.now_ms));
        let update = forget(update, &seen.queued_details)
            .condition("#own = :me AND (attribute_not_exists(#wantv) OR #wantv = :seen)");
        match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(_) => Ok(Finish::Released),
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                match &call.lease_holder {
                    Some(owner) if owner == lease.holder => self.keep(lease, log, seen, written).await,
                    // Our own write whose answer was lost.
                    None if call.log_id.as_ref() == Some(log)
                        && call.applied_version >= seen.queued_version =>
                    {
                        Ok(Finish::Released)
                    }
                    _ => Ok(Finish::Lost),
                }
            }
            expression::Written::Refused(None) => Ok(Finish::Lost),
        }
    }

    /// The log is in the CRM under this id, and there is more to write: keeps the lease.
    pub async fn keep(
        &self,
        lease: &Lease<'_>,
        log: &CallLogId,
        seen: &CallItem,
        written: &Written,
    ) -> Result<Finish, Error> {
        let update = logged(log, written, seen.sweep_after(lease.now_ms))
            .add("told", written.sections.told())
            .returning_item()
            .value("me", text(lease.holder))
            .condition("#own = :me");
        match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(item) => Ok(Finish::MoreQueued(Box::new(self.read_call(&item)?))),
            expression::Written::Refused(_) => Ok(Finish::Lost),
        }
    }

    /// Gives the lease back without success; `claimed`: the item as this invocation knows it.
    pub async fn release(
        &self,
        lease: &Lease<'_>,
        claimed: &CallItem,
        release: Release<'_>,
    ) -> Result<(), Error> {
        let state = claimed
            .state
            .after(release.event)
            .ok_or_else(|| Error::Refused(format!("{:?} in {:?}", release.event, claimed.state)))?;
        let what = match release.event {
            Event::OutcomeUnknown => "no answer",
            Event::GivenUp => "given up",
            Event::Deleted => "deleted in the CRM",
            _ => "failed",
        };
        let what = format!("{what}: {}", release.reason);
        let given_back = |due_ms: Option<i64>| {
            let update = Update::when("#own = :me")
                .value("me", text(lease.holder))
                .set("hist", claimed.history_with(lease.now_ms, &what))
                .set("st", text(state.name()))
                .set("busy", number(release.lease_expires_at_ms))
                .set("amb", AttributeValue::Bool(release.outcome_unknown))
                .set("reason", text(release.reason))
                .remove("own");
            let update = due(update, lease, due_ms.or(claimed.sweep_at).filter(|_| state != State::Deleted));
            let update = match due_ms {
                Some(_) => update.set("tries", number(claimed.tries + 1)),
                None => update.remove("since").remove("tries"),
            };
            let update =
                if release.drops_payload || state == State::Deleted { update.remove("pay") } else { update };
            match (state, release.outcome_unknown || claimed.sweep_at.is_some()) {
                (State::Deleted, _) => forget(update.remove("sought").remove("aud"), &claimed.queued_details),
                (_, true) => update,
                (_, false) => update.remove("sought"),
            }
        };
        let update = given_back(release.due_ms);
        let update = if release.drops_queued { forget(update, &claimed.queued_details) } else { update };
        if state != State::Logged || release.due_ms.is_some() {
            return self.update(item_key(lease.key), update).await.map(drop);
        }
        // Nobody comes back for it: only if nothing else is wanted meanwhile.
        let update = update
            .value("seen", number(claimed.queued_version))
            .condition("#own = :me AND (attribute_not_exists(#wantv) OR #wantv = :seen)");
        if let expression::Written::Refused(_) = self.update(item_key(lease.key), update).await? {
            // More is: all of it stays, for whoever comes next.
            self.update(item_key(lease.key), given_back(Some(lease.now_ms))).await?;
        }
        Ok(())
    }
}

/// What is the same whenever a log is known to be in the CRM; `audit_ms`: when it is looked for again.
fn logged(log: &CallLogId, written: &Written, audit_ms: Option<i64>) -> Update {
    let base: HashMap<_, _> =
        written.sections.iter().map(|(key, hash)| (key.to_owned(), text(hash))).collect();
    let update = Update::default()
        .set("st", text(State::Logged.name()))
        .set("crm", text(log.as_str()))
        .set("amb", AttributeValue::Bool(false))
        .set("base", AttributeValue::M(base))
        .remove("pamb")
        .remove("reason");
    let update = match audit_ms {
        // What it is found by stays until then.
        Some(audit_ms) => update.set("aud", number(audit_ms)),
        None => update.remove("aud").remove("sought"),
    };
    let update = match &written.subject {
        Some(subject) => update.set("b_subject", text(subject)),
        None => update,
    };
    match written.duration {
        Some(CallDuration::Seconds(seconds)) => update.set("b_duration", number(seconds as i64)),
        Some(CallDuration::Pending) => update.set("b_duration", number(-1)),
        None => update,
    }
}

/// In the index of what is due, or out of it.
fn due(update: Update, lease: &Lease<'_>, due_ms: Option<i64>) -> Update {
    match due_ms {
        Some(due_ms) => update.set("dq", text(shard_of(lease.key))).set("due", number(due_ms)),
        None => update.remove("dq").remove("due"),
    }
}

/// Takes the facts away that waited.
fn forget(update: Update, wanted: &CallDetails) -> Update {
    told(wanted).fold(update, |update, (name, _)| update.remove(&format!("w_{name}")))
}
