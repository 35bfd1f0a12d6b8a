//! Work that is never written. That of users who have moved to another CRM account: a record belongs to the account in which the
//! call was reported, and the user's credential reaches only the new one. And creates for which there is no contact.

use std::collections::BTreeSet;

use super::{
    CallItem, Lease, QueuedUpdate, State,
    claim::{INDEX_TTL_S, QUEUED_TTL_S, as_queued},
    due::shard_of,
    release::if_holder_and_queue_unchanged,
};
use crate::{
    model::{LogKey, UserId},
    store::{
        Error, Store,
        attributes::{
            DUE_AT, DUE_SHARD, DUE_USER, FENCE, FIRST_AT, HOLDER, LEASE_UNTIL, NEXT_SLOT, OTHER_LOGS,
            OUTCOME_UNKNOWN, PK, QUEUE, QUEUED_VERSION, RECOVERY_CRITERIA, SK, STATE, TTL, WAITING_SINCE,
            number, text,
        },
        expression::{Update, WriteOutcome},
        keys::TableKey,
    },
};

/// The attributes by which another create looks for the record of an attempt whose outcome is unknown.
const ATTEMPTS: &[&str] = &[FENCE, OUTCOME_UNKNOWN, RECOVERY_CRITERIA, FIRST_AT];

impl Store {
    /// Discards the create and the updates that wait in a log for a user who has moved. What other users have queued stays. It
    /// does nothing while there is a lease. Returns the number of requests that were discarded. `now_ms`: milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn discard_moved(&self, log: &LogKey, moved: &UserId, now_ms: i64) -> Result<usize, Error> {
        let Some(raw) = self.get(TableKey::log(log)).await? else { return Ok(0) };
        let item = self.read_call(&raw)?;
        let (gone, staying): (Vec<_>, Vec<_>) =
            item.queue.iter().chain(&item.waiting).cloned().partition(|update| update.user == *moved);
        let has_record = matches!(item.state, State::Logged | State::Deleted);
        let is_create_gone = item.is_log() && !has_record && item.creator.as_ref() == Some(moved);
        let seen = as_seen(&item, now_ms);
        let names: BTreeSet<_> = raw.keys().map(String::as_str).collect();
        let is_done = match is_create_gone {
            true => self.free_slot(log, &names, ATTEMPTS, seen, staying, now_ms).await?,
            false => {
                let update = self.staying(log, &item, seen, &staying, moved, now_ms)?;
                matches!(self.update(TableKey::log(log), update).await?, WriteOutcome::Written { .. })
            }
        };
        Ok(if is_done { gone.len() + usize::from(is_create_gone) } else { 0 })
    }

    /// Ends the log of a create that this invocation has claimed, because no record can be created. What is queued waits for
    /// another create. It does nothing if more was queued meanwhile, or if another invocation holds the lease.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn end_create(&self, lease: &Lease<'_>, claimed: &CallItem) -> Result<(), Error> {
        let Some(raw) = self.get(TableKey::log(lease.key)).await? else { return Ok(()) };
        let names: BTreeSet<_> = raw.keys().map(String::as_str).collect();
        let kept = if claimed.outcome_unknown { ATTEMPTS } else { &[FENCE] };
        let seen = if_holder_and_queue_unchanged(Update::default(), lease, claimed);
        let staying = claimed.queue.iter().chain(&claimed.waiting).cloned().collect();
        self.free_slot(lease.key, &names, kept, seen, staying, lease.now_ms).await.map(drop)
    }

    /// Ends a log, so that its slot is free. Of the item's attributes, `names`, those stay that let what stays wait for another
    /// create, and `kept`.
    pub(super) async fn free_slot(
        &self,
        log: &LogKey,
        names: &BTreeSet<&str>,
        kept: &[&str],
        seen: Update,
        staying: Vec<QueuedUpdate>,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let staying: Vec<_> =
            staying.into_iter().map(|update| QueuedUpdate { slot: None, ..update }).collect();
        let waiting = [PK, SK, STATE, LEASE_UNTIL, TTL, OTHER_LOGS, NEXT_SLOT, QUEUE, QUEUED_VERSION];
        // The item with the index of the call stays as long as its other logs.
        let ttl_s = if names.contains(OTHER_LOGS) { INDEX_TTL_S } else { QUEUED_TTL_S };
        let mut update = as_queued(seen, now_ms, ttl_s).increment(QUEUED_VERSION);
        for name in names.iter().filter(|name| !waiting.contains(name) && !kept.contains(name)) {
            update = update.remove(name);
        }
        if log.slot > 0 {
            return self.end_log(log, update.remove(QUEUE), &staying).await;
        }
        let update = update.set_or_remove(QUEUE, self.queue_value(log, &staying)?);
        Ok(matches!(self.update(TableKey::log(log), update).await?, WriteOutcome::Written { .. }))
    }

    /// Returns the write that leaves what stays in a log that stays. It is due for the next user, if there is work left.
    pub(super) fn staying(
        &self,
        log: &LogKey,
        item: &CallItem,
        seen: Update,
        staying: &[QueuedUpdate],
        moved: &UserId,
        now_ms: i64,
    ) -> Result<Update, Error> {
        let others =
            staying.iter().map(|update| &update.user).chain(&item.creator).find(|user| *user != moved);
        let has_work = !staying.is_empty()
            || item.payload.is_some()
            || item.outcome_unknown
            || item.finish_pending
            || item.sweep_at.is_some();
        let update = seen.increment(QUEUED_VERSION).set_or_remove(QUEUE, self.queue_value(log, staying)?);
        Ok(match others.filter(|_| has_work) {
            Some(user) => update
                .set(DUE_USER, text(user.as_str()))
                .set(DUE_SHARD, shard_of(log))
                .set(DUE_AT, number(now_ms)),
            None => update
                .set(LEASE_UNTIL, number(0))
                .remove(HOLDER)
                .remove(DUE_SHARD)
                .remove(DUE_AT)
                .remove(WAITING_SINCE),
        })
    }
}

/// Returns a write that happens only if the item is as it was seen, and there is no lease.
pub(super) fn as_seen(item: &CallItem, now_ms: i64) -> Update {
    let fence = match item.fence {
        0 => format!("attribute_not_exists(#{FENCE})"),
        _ => format!("#{FENCE} = :fence"),
    };
    let queued = match item.queued_version {
        0 => format!("attribute_not_exists(#{QUEUED_VERSION})"),
        _ => format!("#{QUEUED_VERSION} = :queued"),
    };
    let mut update =
        Update::when(format!("#{LEASE_UNTIL} <= :now AND {fence} AND {queued}")).value("now", number(now_ms));
    for (name, version) in [("fence", item.fence), ("queued", item.queued_version)] {
        if version > 0 {
            update = update.value(name, number(version));
        }
    }
    update
}
