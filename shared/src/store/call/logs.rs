//! The logs of a call. The item of the first log is also the index of the call: it lists the identities of all logs. A log
//! is added, and learns an identity, only in a write that finds the index unchanged.

use std::collections::BTreeSet;

use super::{
    Basis, CallItem, ClaimCreate, Earlier, Lease, Origin, Purpose, QueuedUpdate, Undo,
    basis::{logs_are_as, other_logs_value, set_identity, with_values},
    claim::{INDEX_TTL_S, as_queued},
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
    /// `seen`. Queued updates that wait for it go with it. Returns `None` if they have changed.
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
    ) -> Result<Option<ClaimCreate>, Error> {
        let (first, slot) = (lease.key.first(), lease.key.slot);
        let mut logs = seen.known_logs();
        let identity = teach(&logs, slot, sender.identity);
        logs.push(KnownLog { slot, identity, creator: Some(sender.user.clone()), owner: None });

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
            let condition = match &version {
                Some(_) => format!("#{HOLDER} = :holder AND #{QUEUED_VERSION} = :version"),
                None => format!("#{HOLDER} = :holder AND attribute_not_exists(#{QUEUED_VERSION})"),
            };
            let mut update = Update::when(condition).value("holder", text(lease.holder));
            if let Some(version) = &version {
                update = update.value("version", version.clone());
            }
            let Some(before) = &undo.before else { return Ok(()) };
            let others: Vec<_> =
                self.read_queue(&current)?.into_iter().filter(|update| update.id != request).collect();
            // An item that did not exist stays as one without updates, until it expires.
            let waits_alone = before.is_empty();
            let is_kept = |name: &&String| {
                [PK, SK, QUEUE, QUEUED_VERSION].contains(&name.as_str())
                    || waits_alone && [STATE, LEASE_UNTIL, TTL].contains(&name.as_str())
            };
            let names: BTreeSet<_> = before.keys().chain(undo.after.keys()).collect();
            for name in names.into_iter().filter(|name| !is_kept(name)) {
                update = update.set_or_remove(name, before.get(name).cloned());
            }
            if waits_alone {
                update = as_queued(update, lease.now_ms);
            }
            update = update.set_or_remove(QUEUE, self.queue_value(lease.key, &others)?);
            let is_done = matches!(self.update(key.clone(), update).await?, WriteOutcome::Written { .. });
            if is_done {
                break;
            }
            match self.get(key.clone()).await? {
                Some(item) if item.get(HOLDER) == Some(&text(lease.holder)) => current = item,
                _ => return Ok(()),
            }
        }
        if lease.key.slot > 0 && undo.before.as_ref().is_some_and(TableItem::is_empty) {
            self.remove_log(lease.key).await?;
        }
        Ok(())
    }

    /// Takes a further log out of the index of its call.
    pub(super) async fn remove_log(&self, key: &LogKey) -> Result<(), Error> {
        for _ in 0..UNDO_ATTEMPTS {
            let Some(seen) = self.call(&key.first()).await? else { return Ok(()) };
            let others: Vec<_> = seen.other_logs.iter().filter(|log| log.slot != key.slot).cloned().collect();
            let unchanged = logs_are_as(&seen);
            let update = with_values(Update::when(unchanged.text), unchanged.values)
                .set_or_remove(OTHER_LOGS, other_logs_value(&others));
            if let WriteOutcome::Written { .. } = self.update(TableKey::log(&key.first()), update).await? {
                break;
            }
        }
        Ok(())
    }
}

/// The write of the index that adds a log, if the index and the queue of the first log are as they were seen. `logs`: the
/// logs of the call then. `now_ms`: milliseconds since 1970.
fn with_log(seen: &CallItem, logs: Vec<KnownLog>, added: &LogKey, now_ms: i64) -> Update {
    let others: Vec<_> = logs.into_iter().filter(|log| log.slot > 0).collect();
    let unchanged = logs_are_as(seen);
    let is_queue_unchanged = match seen.queued_version {
        0 => format!("attribute_not_exists(#{QUEUED_VERSION})"),
        _ => format!("#{QUEUED_VERSION} = :queued"),
    };
    let update =
        with_values(Update::when(format!("{} AND {is_queue_unchanged}", unchanged.text)), unchanged.values);
    let update = match seen.queued_version {
        0 => update,
        version => update.value("queued", number(version)),
    };
    update
        .set_or_remove(OTHER_LOGS, other_logs_value(&others))
        .set(NEXT_SLOT, number(i64::from(added.slot) + 1))
        .set(TTL, number(now_ms / 1_000 + INDEX_TTL_S))
}
