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
use crate::model::{Facts, LogId, TalkTime};

/// How long after a log was made it is looked for again, if an attempt before had no answer, in milliseconds: whatever
/// that attempt sent has landed by then.
pub const AUDIT_AFTER_MS: i64 = 15 * 60_000;

/// The answer to finishing.
#[derive(Debug)]
pub enum Finish {
    Released,
    /// More facts have come meanwhile: this invocation still has the lease and writes them too.
    MoreWanted(Box<CallItem>),
    /// The lease ran out and somebody else has it.
    Lost,
}

/// How an attempt ended that did not finish.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    pub event: Event,
    /// When the next attempt may start, in milliseconds since 1970.
    pub busy_until_ms: i64,
    /// When it is tried again without anybody asking; `None`: never.
    pub due_ms: Option<i64>,
    /// An attempt to create may have landed unseen.
    pub is_ambiguous: bool,
    pub reason: &'a str,
    /// The CRM refused the facts that waited, and would again: they are forgotten.
    pub drops_wanted: bool,
    /// What the request brought is forgotten too.
    pub drops_payload: bool,
}

impl<'a> Release<'a> {
    /// An attempt that changed nothing.
    pub fn new(event: Event, reason: &'a str) -> Release<'a> {
        Release {
            event,
            busy_until_ms: 0,
            due_ms: None,
            is_ambiguous: false,
            reason,
            drops_wanted: false,
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
        log: &LogId,
        seen: &CallItem,
        written: &Written,
    ) -> Result<Finish, Error> {
        let what = if seen.log.is_some() { "updated" } else { "logged" };
        let update = logged(log, written, seen.audit_after(lease.now_ms))
            .set("hist", seen.history_with(lease.now_ms, what))
            .value("me", text(lease.owner))
            .value("seen", number(seen.wanted_version))
            .set("busy", number(0))
            .set("done", number(seen.wanted_version))
            .set("ttl", number(lease.now_ms / 1_000 + LOGGED_TTL))
            .remove("own")
            .remove("pay")
            .remove("told")
            .remove("since")
            .remove("tries");
        let update = due(update, lease, seen.audit_after(lease.now_ms));
        let update = forget(update, &seen.wanted)
            .condition("#own = :me AND (attribute_not_exists(#wantv) OR #wantv = :seen)");
        match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(_) => Ok(Finish::Released),
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                match &call.owner {
                    Some(owner) if owner == lease.owner => self.keep(lease, log, seen, written).await,
                    // Our own write whose answer was lost.
                    None if call.log.as_ref() == Some(log) && call.done >= seen.wanted_version => {
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
        log: &LogId,
        seen: &CallItem,
        written: &Written,
    ) -> Result<Finish, Error> {
        let update = logged(log, written, seen.audit_after(lease.now_ms))
            .add("told", written.sections.told())
            .returning_item()
            .value("me", text(lease.owner))
            .condition("#own = :me");
        match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(item) => Ok(Finish::MoreWanted(Box::new(self.read_call(&item)?))),
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
            Event::Unanswered => "no answer",
            Event::GivenUp => "given up",
            Event::Deleted => "deleted in the CRM",
            _ => "failed",
        };
        let what = format!("{what}: {}", release.reason);
        let given_back = |due_ms: Option<i64>| {
            let update = Update::when("#own = :me")
                .value("me", text(lease.owner))
                .set("hist", claimed.history_with(lease.now_ms, &what))
                .set("st", text(state.name()))
                .set("busy", number(release.busy_until_ms))
                .set("amb", AttributeValue::Bool(release.is_ambiguous))
                .set("reason", text(release.reason))
                .remove("own");
            let update = due(update, lease, due_ms.or(claimed.audit_at).filter(|_| state != State::Gone));
            let update = match due_ms {
                Some(_) => update.set("tries", number(claimed.tries + 1)),
                None => update.remove("since").remove("tries"),
            };
            let update =
                if release.drops_payload || state == State::Gone { update.remove("pay") } else { update };
            match (state, release.is_ambiguous || claimed.audit_at.is_some()) {
                (State::Gone, _) => forget(update.remove("sought").remove("aud"), &claimed.wanted),
                (_, true) => update,
                (_, false) => update.remove("sought"),
            }
        };
        let update = given_back(release.due_ms);
        let update = if release.drops_wanted { forget(update, &claimed.wanted) } else { update };
        if state != State::Logged || release.due_ms.is_some() {
            return self.update(item_key(lease.key), update).await.map(drop);
        }
        // Nobody comes back for it: only if nothing else is wanted meanwhile.
        let update = update
            .value("seen", number(claimed.wanted_version))
            .condition("#own = :me AND (attribute_not_exists(#wantv) OR #wantv = :seen)");
        if let expression::Written::Refused(_) = self.update(item_key(lease.key), update).await? {
            // More is: all of it stays, for whoever comes next.
            self.update(item_key(lease.key), given_back(Some(lease.now_ms))).await?;
        }
        Ok(())
    }
}

/// What is the same whenever a log is known to be in the CRM; `audit_ms`: when it is looked for again.
fn logged(log: &LogId, written: &Written, audit_ms: Option<i64>) -> Update {
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
        Some(TalkTime::Seconds(seconds)) => update.set("b_duration", number(seconds as i64)),
        Some(TalkTime::Pending) => update.set("b_duration", number(-1)),
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
fn forget(update: Update, wanted: &Facts) -> Update {
    told(wanted).fold(update, |update, (name, _)| update.remove(&format!("w_{name}")))
}
