//! The end of an attempt: the lease holder confirms what is in the CRM, or says when the next attempt may start.

use super::{
    CallItem, Event, LastWritten, Lease, State, basis::set_identity, due::shard_of, item::history_value,
};
use crate::{
    model::{CallLogId, UserId},
    store::{
        Error, Store,
        attributes::{
            APPLIED_VERSION, BASE, BASE_FIELDS, BASE_SUBJECT, DUE_AT, DUE_SHARD, DUE_USER, FAILING_SINCE,
            FINISH_PENDING, FINISHED_SECONDS, HAS_NOTE, HISTORY, HOLDER, LEASE_UNTIL, LEFT_OUT, LOG_ID,
            NOTE_USER, OUTCOME_UNKNOWN, OWNER, PAYLOAD, PREVIOUS_OUTCOME_UNKNOWN, QUEUE, QUEUED_VERSION,
            REASON, RECORD, RECOVERY_CRITERIA, STATE, SWEEP_AT, TRIES, UNCONFIRMED, WAITING_SINCE, boolean,
            number, text, texts,
        },
        expression::{Update, WriteOutcome},
        keys::{TableKey, record_partition},
    },
};

/// The outcome of finishing.
#[derive(Debug)]
pub enum Finish {
    /// The lease is given back.
    Released,
    /// More details were queued meanwhile. This invocation keeps the lease and writes them too.
    MoreQueued(Box<CallItem>),
    /// The lease has run out and another invocation has claimed the call.
    Lost,
}

/// The end of an attempt without success.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// The outcome of the attempt.
    pub event: Event,
    /// When the next attempt may start, in milliseconds since 1970.
    pub lease_expires_at_ms: i64,
    /// When the redrive tries again, in milliseconds since 1970; `None`: never.
    pub due_ms: Option<i64>,
    /// Since when attempts have failed because the CRM did not accept the work, in milliseconds since 1970; `None`: this
    /// one failed for another reason.
    pub failing_since_ms: Option<i64>,
    /// An attempt to create the record may have taken effect without our knowing.
    pub outcome_unknown: bool,
    /// Why the attempt failed, for the operator.
    pub reason: &'a str,
    /// The CRM rejected the queued details and would reject them again: they are removed.
    pub drops_queued: bool,
    /// The payload is removed.
    pub drops_payload: bool,
    /// The user whose credential delivers it next, if that is another one.
    pub next_user: Option<&'a UserId>,
}

impl<'a> Release<'a> {
    /// The end of an attempt that changed nothing and is not tried again.
    pub fn new(event: Event, reason: &'a str) -> Release<'a> {
        Release {
            event,
            lease_expires_at_ms: 0,
            due_ms: None,
            failing_since_ms: None,
            outcome_unknown: false,
            reason,
            drops_queued: false,
            drops_payload: false,
            next_user: None,
        }
    }
}

impl Store {
    /// Confirms that the record `log` has everything that was queued when the item was `seen`, and gives the lease
    /// back. If more was queued meanwhile, keeps the lease.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn finish(
        &self,
        lease: &Lease<'_>,
        log: &CallLogId,
        seen: &CallItem,
        written: &LastWritten,
    ) -> Result<Finish, Error> {
        let what = if seen.log_id.is_some() { "updated" } else { "logged" };
        let sweep_at = seen.sweep_after(lease.now_ms);
        let update = self
            .confirmed(lease, log, seen, written, sweep_at)?
            .set(HISTORY, history_value(&seen.history, lease.now_ms, what))
            .set(LEASE_UNTIL, number(0))
            .set(APPLIED_VERSION, number(seen.queued_version))
            .remove(HOLDER)
            .remove(PAYLOAD)
            .remove(HAS_NOTE)
            .remove(UNCONFIRMED)
            .remove(WAITING_SINCE)
            .remove(FAILING_SINCE)
            .remove(TRIES);
        let update = self.remove_queued(due(update, lease, sweep_at), lease, seen)?;
        let update = if_holder_and_queue_unchanged(update, lease, seen);
        match self.update(TableKey::log(lease.key), update).await? {
            WriteOutcome::Written { .. } => Ok(Finish::Released),
            WriteOutcome::ConditionFailed(Some(item)) => {
                let call = self.read_call(&item)?;
                match &call.lease_holder {
                    Some(holder) if holder == lease.holder => self.keep(lease, log, seen, written).await,
                    // Our own write, which the SDK repeated because the response was lost.
                    None if call.log_id.as_ref() == Some(log)
                        && call.applied_version >= seen.queued_version =>
                    {
                        Ok(Finish::Released)
                    }
                    _ => Ok(Finish::Lost),
                }
            }
            WriteOutcome::ConditionFailed(None) => Ok(Finish::Lost),
        }
    }

    /// Confirms that the record `log` exists and keeps the lease, because there is more to write. Returns
    /// [`Finish::MoreQueued`], or [`Finish::Lost`].
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn keep(
        &self,
        lease: &Lease<'_>,
        log: &CallLogId,
        seen: &CallItem,
        written: &LastWritten,
    ) -> Result<Finish, Error> {
        let update = self
            .confirmed(lease, log, seen, written, seen.sweep_after(lease.now_ms))?
            .add(UNCONFIRMED, written.sections.unconfirmed_texts())
            .returning_item()
            .condition(format!("#{HOLDER} = :holder"))
            .value("holder", text(lease.holder));
        match self.update(TableKey::log(lease.key), update).await? {
            WriteOutcome::Written { after, .. } => Ok(Finish::MoreQueued(Box::new(self.read_call(&after)?))),
            WriteOutcome::ConditionFailed(_) => Ok(Finish::Lost),
        }
    }

    /// Stores that the record has to be completed after a change that this invocation is about to make. Returns `false` if
    /// the lease has run out and another invocation has claimed the call.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn mark_finish_pending(&self, lease: &Lease<'_>) -> Result<bool, Error> {
        let update = Update::when(format!("#{HOLDER} = :holder"))
            .value("holder", text(lease.holder))
            .set(FINISH_PENDING, boolean(true));
        let outcome = self.update(TableKey::log(lease.key), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }

    /// Gives the lease back without success. `claimed`: the item as this invocation knows it. If the lease has run out
    /// and another invocation has claimed the call, nothing changes.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Rejected`] if the event cannot happen in the item's state.
    pub async fn release(
        &self,
        lease: &Lease<'_>,
        claimed: &CallItem,
        release: Release<'_>,
    ) -> Result<(), Error> {
        let state = claimed.state.after(release.event).ok_or_else(|| {
            Error::Rejected(format!("{:?} is not possible in state {:?}", release.event, claimed.state))
        })?;
        let update = given_back(lease, claimed, release, state, release.due_ms);
        let drops_queued = release.drops_queued || state == State::Deleted;
        let update = if drops_queued { self.remove_queued(update, lease, claimed)? } else { update };
        // The criteria say what the attempt has sent.
        let update = match state {
            State::OutcomeUnknown => {
                update.set(RECOVERY_CRITERIA, self.encrypt_criteria(lease.key, &claimed.recovery_criteria)?)
            }
            _ => update,
        };
        let is_over = drops_queued || (state == State::Logged && release.due_ms.is_none());
        if !is_over {
            return self.update(TableKey::log(lease.key), update).await.map(drop);
        }
        // No attempt follows, so this must not happen if more details were queued meanwhile.
        let update = if_holder_and_queue_unchanged(update, lease, claimed);
        if let WriteOutcome::ConditionFailed(_) = self.update(TableKey::log(lease.key), update).await? {
            // Then everything stays queued and is due at once.
            let update = given_back(lease, claimed, release, state, Some(lease.now_ms));
            self.update(TableKey::log(lease.key), update).await?;
        }
        Ok(())
    }

    /// Removes the updates of the log from its queue. Those of other logs stay. The log keeps the identity that its updates
    /// named.
    fn remove_queued(&self, update: Update, lease: &Lease<'_>, seen: &CallItem) -> Result<Update, Error> {
        let update = match seen.identity == seen.stored_identity {
            true => update,
            false => set_identity(update, &seen.identity),
        };
        Ok(update.set_or_remove(QUEUE, self.queue_value(lease.key, &seen.waiting)?))
    }
}

impl Store {
    /// The part of a write that confirms that a record exists. `sweep_at_ms`: when to look for a duplicate.
    fn confirmed(
        &self,
        lease: &Lease<'_>,
        log: &CallLogId,
        seen: &CallItem,
        written: &LastWritten,
        sweep_at_ms: Option<i64>,
    ) -> Result<Update, Error> {
        let mut update = finish_step(Update::default(), seen)
            .set(STATE, text(State::Logged.name()))
            .set(LOG_ID, text(log.as_str()))
            .set(OUTCOME_UNKNOWN, boolean(false))
            .set(BASE, texts(written.sections.iter()))
            .remove(PREVIOUS_OUTCOME_UNKNOWN)
            .remove(REASON);
        update = match sweep_at_ms {
            // The sweep needs the recovery criteria, with what the attempts have sent.
            Some(sweep_at_ms) => update
                .set(SWEEP_AT, number(sweep_at_ms))
                .set(RECOVERY_CRITERIA, self.encrypt_criteria(lease.key, &seen.recovery_criteria)?),
            None => update.remove(SWEEP_AT).remove(RECOVERY_CRITERIA),
        };
        if let Some(tenant) = &seen.indexed_in {
            update = update.set(RECORD, text(record_partition(tenant, log)));
        }
        if let Some(subject) = &written.subject {
            update = update.set(BASE_SUBJECT, text(subject));
        }
        let note_user = written.note_user.as_ref().filter(|user| seen.creator.as_ref() != Some(*user));
        update = update.set_or_remove(NOTE_USER, note_user.map(|user| text(user.as_str())));
        if let Some(owner) = &seen.owner {
            update = update.set(OWNER, text(owner.as_str()));
        }
        if !seen.left_out.is_empty() {
            let names: Vec<_> = seen.left_out.iter().map(|part| part.name()).collect();
            update = update.set(LEFT_OUT, text(names.join(" ")));
        }
        if !written.fields.is_empty() {
            let fields =
                written.fields.iter().map(|(name, fingerprint)| (name.as_str(), fingerprint.as_str()));
            update = update.set(BASE_FIELDS, texts(fields));
        }
        Ok(update)
    }
}

/// The write that gives a lease back without success; the redrive tries again at `due_ms`.
fn given_back(
    lease: &Lease<'_>,
    claimed: &CallItem,
    release: Release<'_>,
    state: State,
    due_ms: Option<i64>,
) -> Update {
    let what = match release.event {
        Event::OutcomeUnknown => "outcome unknown",
        Event::GivenUp => "given up",
        Event::Deleted => "deleted in the CRM",
        _ => "failed",
    };
    let what = format!("{what}: {}", release.reason);
    let is_deleted = state == State::Deleted;
    let mut update = Update::when(format!("#{HOLDER} = :holder"))
        .value("holder", text(lease.holder))
        .set(HISTORY, history_value(&claimed.history, lease.now_ms, &what))
        .set(STATE, text(state.name()))
        .set(LEASE_UNTIL, number(release.lease_expires_at_ms))
        .set(OUTCOME_UNKNOWN, boolean(release.outcome_unknown))
        .set(REASON, text(release.reason))
        .remove(HOLDER);
    update = finish_step(update, claimed);
    update = due(update, lease, due_ms.or(claimed.sweep_at).filter(|_| !is_deleted));
    if let Some(user) = release.next_user {
        update = update.set(DUE_USER, text(user.as_str()));
    }
    update = match due_ms {
        Some(_) => update.set(TRIES, number(claimed.tries + 1)),
        None => update.remove(WAITING_SINCE).remove(TRIES),
    };
    update = match release.failing_since_ms.filter(|_| due_ms.is_some()) {
        Some(since_ms) => update.set(FAILING_SINCE, number(since_ms)),
        None => update.remove(FAILING_SINCE),
    };
    if release.drops_payload || is_deleted {
        update = update.remove(PAYLOAD);
    }
    if is_deleted {
        update = update.remove(SWEEP_AT);
    }
    // The criteria are needed for recovery and for the duplicate sweep. The redrive sends a kept payload again, and its
    // attempt has the same criteria.
    let is_resent = state != State::Logged && claimed.payload.is_some() && !release.drops_payload;
    if is_deleted || !release.outcome_unknown && claimed.sweep_at.is_none() && !is_resent {
        update = update.remove(RECOVERY_CRITERIA);
    }
    update
}

/// Stores what is known of the step that completes the record.
fn finish_step(update: Update, item: &CallItem) -> Update {
    let update = match item.finish_pending {
        true => update.set(FINISH_PENDING, boolean(true)),
        false => update.remove(FINISH_PENDING),
    };
    match item.finished_seconds {
        Some(seconds) => update.set(FINISHED_SECONDS, number(i64::try_from(seconds).unwrap_or(i64::MAX))),
        None => update,
    }
}

/// Puts the call into the index of due calls, or takes it out.
fn due(update: Update, lease: &Lease<'_>, due_ms: Option<i64>) -> Update {
    match due_ms {
        Some(due_ms) => update.set(DUE_SHARD, shard_of(lease.key)).set(DUE_AT, number(due_ms)),
        None => update.remove(DUE_SHARD).remove(DUE_AT),
    }
}

/// Makes the update happen only if this invocation holds the lease and nothing was queued since the item was `seen`.
pub(super) fn if_holder_and_queue_unchanged(update: Update, lease: &Lease<'_>, seen: &CallItem) -> Update {
    let is_unchanged = format!("attribute_not_exists(#{QUEUED_VERSION}) OR #{QUEUED_VERSION} = :seen");
    update
        .condition(format!("#{HOLDER} = :holder AND ({is_unchanged})"))
        .value("holder", text(lease.holder))
        .value("seen", number(seen.queued_version))
}
