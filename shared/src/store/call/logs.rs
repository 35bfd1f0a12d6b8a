//! The logs of a call. The item of the first log is also the index of the call: it lists the identities of all logs. A log
//! is added, and learns an identity, only in a write that finds the index unchanged.

use std::collections::BTreeSet;

use super::{
    Basis, CallItem, ClaimCreate, Earlier, Enqueued, Lease, Origin, Purpose, Queued, QueuedUpdate, State,
    Undo,
    basis::{logs_are_as, other_logs_value, set_identity, with_values},
    claim::{INDEX_TTL_S, QUEUED_TTL_S, as_queued},
    queue::CACHED_NOTE_TTL_S,
};
use crate::{
    model::{ExtensionIdentity, KnownLog, LogKey, Match, Payload, UserId, match_log, teach},
    note::Fingerprints,
    store::{
        Error, Store,
        attributes::{
            HOLDER, LEASE_UNTIL, NEXT_SLOT, OTHER_LOGS, PK, QUEUE, QUEUED_VERSION, SK, STATE, TTL,
            UNCONFIRMED, number, text,
        },
        expression::{Update, WriteOutcome},
        keys::{TableItem, TableKey},
    },
};

/// The maximum number of attempts to take a claim back while other requests change the item.
const UNDO_ATTEMPTS: usize = 5;

impl Store {
    /// Adds a log to a call and claims it, unless the logs of the call have changed since the item of the first one was
    /// `seen`. Queued updates that wait for it go with it. Returns `None` if they have changed. `owner`: the user who will own
    /// the record, if that is not the sender.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn add_log(
        &self,
        lease: &Lease<'_>,
        seen: &CallItem,
        payload: &Payload,
        way: &str,
        sender: Origin<'_>,
        owner: Option<&UserId>,
    ) -> Result<Option<ClaimCreate>, Error> {
        let (first, slot) = (lease.key.first(), lease.key.slot);
        let mut logs = seen.known_logs();
        let identity = teach(&logs, slot, sender.identity);
        logs.push(KnownLog { slot, identity, creator: Some(sender.user.clone()), owner: owner.cloned() });

        // The updates of the existing logs stay theirs, whatever logs there will be.
        let mut staying: Vec<_> =
            seen.queue.iter().map(|update| QueuedUpdate { slot: Some(0), ..update.clone() }).collect();
        let mut moving = Vec::new();
        for update in &seen.waiting {
            match match_log(&logs, &update.identity, Some(&update.user)) {
                Match::Log(found) if found == slot => {
                    let learned = teach(&logs, slot, &update.identity);
                    logs.iter_mut()
                        .filter(|log| log.slot == slot)
                        .for_each(|log| log.identity = learned.clone());
                    moving.push(QueuedUpdate { slot: Some(slot), ..update.clone() });
                }
                _ => staying.push(update.clone()),
            }
        }
        let mut index = with_log(seen, logs, lease.key, lease.now_ms);
        if !(seen.queue.is_empty() && seen.waiting.is_empty()) {
            // The lease holder of the first log must not put back what moves.
            let queue = self.queue_value(&first, &staying)?;
            index = index.set_or_remove(QUEUE, queue).increment(QUEUED_VERSION);
        }

        let purpose = Purpose::Request { payload, way, sender, basis: Basis::Further };
        let kept = self.encrypt_payload(lease.key, payload)?;
        let mut claim = self.create_update(lease, purpose, kept)?;
        if let Some(queue) = self.queue_value(lease.key, &moving)? {
            let unconfirmed =
                moving.iter().flat_map(|update| Fingerprints::of_queued(&update.details).unconfirmed_texts());
            claim = claim.set(QUEUE, queue).increment(QUEUED_VERSION).add(UNCONFIRMED, unconfirmed.collect());
        }
        let key = TableKey::log(lease.key);
        let mut after = claim.applied(&TableItem::new());
        after.extend(key.clone().into_item());
        if !self.update_all([(TableKey::log(&first), index), (key, claim)]).await? {
            return Ok(None);
        }
        let item = Box::new(self.read_call(&after)?);
        let undo = Undo { before: Some(TableItem::new()), after };
        Ok(Some(ClaimCreate::Claimed { item, earlier: Earlier::None, undo }))
    }

    /// Queues details for a log that does not exist yet in the item of the call's first log. A cached note takes the place of
    /// the one that its user has cached before. `seen`: that item, if there is one; none of its logs is meant. `now_ms`:
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::TooLarge`] if the details do not fit into an item.
    pub async fn enqueue_first(
        &self,
        key: &LogKey,
        queued: Queued<'_>,
        seen: Option<&CallItem>,
        now_ms: i64,
    ) -> Result<Enqueued, Error> {
        let is_note = queued.source.is_cached_note();
        let ttl_s = if is_note { CACHED_NOTE_TTL_S } else { QUEUED_TTL_S };
        let Some(seen) = seen else {
            let update = as_queued(Update::when(format!("attribute_not_exists(#{PK})")), now_ms, ttl_s);
            return self.write_queue(key, self.queue(key, update, queued, None)?).await;
        };
        let update = match is_note {
            true => self.replace_cached_note(key, queued, seen)?,
            false => {
                let unchanged = logs_are_as(seen);
                let update = with_values(Update::when(unchanged.text), unchanged.values);
                self.queue(key, update, queued, None)?
            }
        };
        // An item of queued updates alone is kept as long as the one that waits the longest.
        let is_alone = seen.state == State::Queued && seen.other_logs.is_empty();
        let is_longest = !is_note || seen.waiting.iter().all(|update| update.source.is_cached_note());
        let update = match is_alone && is_longest {
            true => update.set(TTL, number(now_ms / 1_000 + ttl_s)),
            false => update,
        };
        let update = update.and(format!("#{STATE} = :state")).value("state", text(seen.state.name()));
        self.write_queue(key, update).await
    }

    /// Returns the write that lets a cached note wait for a log that does not exist yet, in place of the earlier one of the
    /// same user.
    fn replace_cached_note(
        &self,
        key: &LogKey,
        queued: Queued<'_>,
        seen: &CallItem,
    ) -> Result<Update, Error> {
        let note = queued.entry(None);
        let is_replaced = |update: &QueuedUpdate| update.source.is_cached_note() && update.user == note.user;
        let waiting = seen.waiting.iter().filter(|update| !is_replaced(update));
        let queue = self.queue_value(key, seen.queue.iter().chain(waiting).chain([&note]))?;
        Ok(if_unchanged(seen).set_or_remove(QUEUE, queue).increment(QUEUED_VERSION))
    }

    /// Adds a log with this item, unless the logs of the call have changed since the item of the first one was `seen`.
    /// Returns `false` if they have.
    pub(in crate::store) async fn add_imported_log(
        &self,
        key: &LogKey,
        seen: &CallItem,
        identity: &ExtensionIdentity,
        creator: &UserId,
        item: Update,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let mut logs = seen.known_logs();
        let identity = teach(&logs, key.slot, identity);
        logs.push(KnownLog { slot: key.slot, identity, creator: Some(creator.clone()), owner: None });
        let index = with_log(seen, logs, key, now_ms);
        self.update_all([(TableKey::log(&key.first()), index), (TableKey::log(key), item)]).await
    }

    /// Stores what a request teaches a further log, unless the logs of the call have changed since the item of the first one
    /// was `seen`. Returns `false` if they have.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn teach_log(
        &self,
        key: &LogKey,
        seen: &CallItem,
        identity: &ExtensionIdentity,
    ) -> Result<bool, Error> {
        let mut logs = seen.known_logs();
        let learned = teach(&logs, key.slot, identity);
        let Some(log) = logs.iter_mut().find(|log| log.slot == key.slot) else { return Ok(false) };
        if log.identity == learned {
            return Ok(true);
        }
        log.identity = learned;
        let unchanged = logs_are_as(seen);
        let update = with_values(Update::when(unchanged.text), unchanged.values);
        let update = match key.slot {
            0 => set_identity(update, &logs[0].identity),
            _ => {
                let others: Vec<_> = logs.into_iter().filter(|log| log.slot > 0).collect();
                update.set_or_remove(OTHER_LOGS, other_logs_value(&others))
            }
        };
        let outcome = self.update(TableKey::log(&key.first()), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }

    /// Takes a claim back as if it had never been made, except for what other requests have queued since. It does nothing
    /// if another invocation holds the lease, or if it is not known what the item was before: then the call is due when the
    /// lease ends, as after a crash.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn undo(&self, lease: &Lease<'_>, undo: &Undo, request: &str) -> Result<(), Error> {
        let key = TableKey::log(lease.key);
        let mut current = undo.after.clone();
        for _ in 0..UNDO_ATTEMPTS {
            let version = current.get(QUEUED_VERSION).cloned();
            let is_queue_unchanged = match &version {
                Some(_) => format!("#{QUEUED_VERSION} = :version"),
                None => format!("attribute_not_exists(#{QUEUED_VERSION})"),
            };
            // The item with the index of the call stays as long as its other logs.
            let (has_index, ttl_s) = match current.contains_key(OTHER_LOGS) {
                true => (format!("attribute_exists(#{OTHER_LOGS})"), INDEX_TTL_S),
                false => (format!("attribute_not_exists(#{OTHER_LOGS})"), QUEUED_TTL_S),
            };
            let condition = format!("#{HOLDER} = :holder AND {is_queue_unchanged} AND {has_index}");
            let mut update = Update::when(condition).value("holder", text(lease.holder));
            if let Some(version) = &version {
                update = update.value("version", version.clone());
            }
            let Some(before) = &undo.before else { return Ok(()) };
            let mut others: Vec<_> =
                self.read_queue(&current)?.into_iter().filter(|update| update.id != request).collect();
            // What was queued for a log that ends with the claim waits for another one.
            let is_end = before.is_empty() || !self.read_call(before)?.is_log();
            if is_end {
                others.iter_mut().for_each(|update| update.slot = None);
            }
            // An item that did not exist stays as one without updates, until it expires.
            let waits_alone = before.is_empty();
            let is_kept = |name: &&String| {
                [PK, SK, QUEUE, QUEUED_VERSION, OTHER_LOGS, NEXT_SLOT].contains(&name.as_str())
                    || waits_alone && [STATE, LEASE_UNTIL, TTL].contains(&name.as_str())
            };
            let names: BTreeSet<_> = before.keys().chain(undo.after.keys()).collect();
            for name in names.into_iter().filter(|name| !is_kept(name)) {
                update = update.set_or_remove(name, before.get(name).cloned());
            }
            if waits_alone {
                update = as_queued(update, lease.now_ms, ttl_s);
            }
            let is_done = match is_end && lease.key.slot > 0 {
                true => self.end_log(lease.key, update.remove(QUEUE), &others).await?,
                false => {
                    let update = update.set_or_remove(QUEUE, self.queue_value(lease.key, &others)?);
                    matches!(self.update(key.clone(), update).await?, WriteOutcome::Written { .. })
                }
            };
            if is_done {
                break;
            }
            match self.get(key.clone()).await? {
                Some(item) if item.get(HOLDER) == Some(&text(lease.holder)) => current = item,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Carries out the write that ends a further log, takes the log out of the index of its call, and lets these updates of it
    /// wait in the item of the first log. Returns `false` if nothing was written: a condition of the write does not hold, or
    /// the item of the first log keeps changing.
    pub(super) async fn end_log(
        &self,
        log: &LogKey,
        end: Update,
        updates: &[QueuedUpdate],
    ) -> Result<bool, Error> {
        let first = log.first();
        for _ in 0..UNDO_ATTEMPTS {
            let Some(seen) = self.call(&first).await? else { return Ok(false) };
            let others: Vec<_> =
                seen.other_logs.iter().filter(|other| other.slot != log.slot).cloned().collect();
            let index = if_unchanged(&seen).set_or_remove(OTHER_LOGS, other_logs_value(&others));
            let queue = seen.queue.iter().chain(&seen.waiting).chain(updates);
            let index = match updates.is_empty() {
                true => index,
                false => {
                    index.set_or_remove(QUEUE, self.queue_value(&first, queue)?).increment(QUEUED_VERSION)
                }
            };
            if self.update_all([(TableKey::log(&first), index), (TableKey::log(log), end.clone())]).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The write of the index that adds a log, if the index and the queue of the first log are as they were seen. `logs`: the
/// logs of the call then. `now_ms`: milliseconds since 1970.
fn with_log(seen: &CallItem, logs: Vec<KnownLog>, added: &LogKey, now_ms: i64) -> Update {
    let others: Vec<_> = logs.into_iter().filter(|log| log.slot > 0).collect();
    if_unchanged(seen)
        .set_or_remove(OTHER_LOGS, other_logs_value(&others))
        .set(NEXT_SLOT, number(i64::from(added.slot) + 1))
        .set(TTL, number(now_ms / 1_000 + INDEX_TTL_S))
}

/// A write that happens only if the index and the queue of the first log are as they were seen.
fn if_unchanged(seen: &CallItem) -> Update {
    let unchanged = logs_are_as(seen);
    let is_queue_unchanged = match seen.queued_version {
        0 => format!("attribute_not_exists(#{QUEUED_VERSION})"),
        _ => format!("#{QUEUED_VERSION} = :queued"),
    };
    // The end of a lease takes updates out of the queue without counting that.
    let has_queue = !(seen.queue.is_empty() && seen.waiting.is_empty());
    let is_holder_unchanged = match (has_queue, &seen.lease_holder) {
        (false, _) => String::new(),
        (true, None) => format!(" AND attribute_not_exists(#{HOLDER})"),
        (true, Some(_)) => format!(" AND #{HOLDER} = :seen_holder"),
    };
    let condition = format!("{} AND {is_queue_unchanged}{is_holder_unchanged}", unchanged.text);
    let mut update = with_values(Update::when(condition), unchanged.values);
    if seen.queued_version > 0 {
        update = update.value("queued", number(seen.queued_version));
    }
    match seen.lease_holder.as_deref().filter(|_| has_queue) {
        Some(holder) => update.value("seen_holder", text(holder)),
        None => update,
    }
}
