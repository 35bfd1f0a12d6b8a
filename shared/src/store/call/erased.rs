//! The traces of a person in call logs: the logs that the person made, and the person's part in those of others.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{CallItem, QueuedUpdate, State, basis::other_logs_value, moved::as_seen};
use crate::{
    model::{KnownLog, LogKey, UserId},
    store::{
        Error, Store,
        attributes::{
            DUE_USER, NOTE_USER, OTHER_LOGS, OWNER, OWNING_LOG, QUEUE, QUEUED_VERSION, STATE, text,
        },
        erasure::Trace,
        expression::{Update, WriteOutcome},
        keys::{TableItem, TableKey},
    },
};

impl Store {
    /// Returns the person's trace in the item of a call log.
    pub(in crate::store) fn trace_in_log(
        &self,
        log: &LogKey,
        raw: &TableItem,
        person: &UserId,
    ) -> Result<Trace, Error> {
        let item = self.read_call(raw)?;
        let is_named = [OWNER, NOTE_USER, DUE_USER].iter().any(|name| raw.get(*name) == Some(&id(person)));
        let is_listed = item.other_logs.iter().any(|other| names(other, person));
        let has_queued = item.queue.iter().chain(&item.waiting).any(|update| update.user == *person);
        Ok(match log.call.header_user.as_ref() == Some(person) || item.creator.as_ref() == Some(person) {
            true => Trace::Whole,
            false if is_named || is_listed || has_queued => Trace::Part,
            false => Trace::None,
        })
    }

    /// Removes a log that the person made. What other users have queued in the item, and the list of the call's other logs,
    /// stay. Returns `false`, and changes nothing, if an invocation holds the lease.
    pub(in crate::store) async fn erase_log(
        &self,
        log: &LogKey,
        raw: &TableItem,
        person: &UserId,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let item = self.read_call(raw)?;
        let staying = of_others(&item, person);
        let names: BTreeSet<_> = raw.keys().map(String::as_str).collect();
        if item.state != State::Queued {
            let seen = as_seen(&item, now_ms);
            if !self.free_slot(log, &names, &[], seen, staying.clone(), now_ms).await? {
                return Ok(false);
            }
        }
        if let Some(record) = &item.log_id {
            let own = text(TableKey::log(log).text());
            let is_own = Update::when(format!("#{OWNING_LOG} = :own")).value("own", own);
            self.delete(TableKey::record(&log.call.tenant, record), is_own).await?;
        }
        if log.slot == 0 && !(item.other_logs.is_empty() && staying.is_empty()) {
            return self.erase_part(log, person, now_ms).await;
        }
        let is_free = Update::when(format!("#{STATE} = :queued AND attribute_not_exists(#{OTHER_LOGS})"))
            .value("queued", text(State::Queued.name()));
        self.delete(TableKey::log(log), is_free).await
    }

    /// Removes the person from a log that another user made, or from the list of a call's logs. Returns `false`, and changes
    /// nothing, if an invocation holds the lease.
    pub(in crate::store) async fn erase_part(
        &self,
        log: &LogKey,
        person: &UserId,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let Some(raw) = self.get(TableKey::log(log)).await? else { return Ok(true) };
        let item = self.read_call(&raw)?;
        let seen = as_seen(&item, now_ms);
        let staying = of_others(&item, person);
        if item.state == State::Queued && staying.is_empty() && item.other_logs.is_empty() {
            return self.delete(TableKey::log(log), seen).await;
        }
        let mut update = match staying.len() == item.queue.len() + item.waiting.len() {
            true => seen,
            false => match item.state {
                State::Queued => {
                    let queue = self.queue_value(log, &staying)?;
                    seen.set_or_remove(QUEUE, queue).increment(QUEUED_VERSION)
                }
                _ => self.staying(log, &item, seen, &staying, person, now_ms)?,
            },
        };
        // The redrive uses the credential of the log's creator if it has none of this user.
        for name in [OWNER, NOTE_USER, DUE_USER].iter().filter(|name| raw.get(**name) == Some(&id(person))) {
            update = update.set(name, id(&erased()));
        }
        if item.other_logs.iter().any(|other| names(other, person)) {
            let others: Vec<_> = item.other_logs.iter().map(|other| without(other, person)).collect();
            update = update.set_or_remove(OTHER_LOGS, other_logs_value(&others));
        }
        if update.is_empty() {
            return Ok(true);
        }
        Ok(matches!(self.update(TableKey::log(log), update).await?, WriteOutcome::Written { .. }))
    }
}

/// The user in place of one who was erased, where an item has to name one.
fn erased() -> UserId {
    UserId::new("erased").expect("it is not blank")
}

fn id(user: &UserId) -> AttributeValue {
    text(user.as_str())
}

fn of_others(item: &CallItem, person: &UserId) -> Vec<QueuedUpdate> {
    item.queue.iter().chain(&item.waiting).filter(|update| update.user != *person).cloned().collect()
}

fn names(log: &KnownLog, person: &UserId) -> bool {
    [&log.creator, &log.owner].into_iter().flatten().any(|user| user == person)
}

fn without(log: &KnownLog, person: &UserId) -> KnownLog {
    let replaced = |user: &Option<UserId>| {
        user.as_ref().map(|user| if user == person { erased() } else { user.clone() })
    };
    KnownLog { creator: replaced(&log.creator), owner: replaced(&log.owner), ..log.clone() }
}
