//! Import of call logs that another system wrote. It only creates items, so that no request meets a state that the
//! transitions do not lead to.

use super::{
    CallItem, Error, State, Store,
    attributes::{
        BASE, CREATOR, FIRST_AT, HISTORY, LEASE_UNTIL, LOG_ID, OUTCOME_UNKNOWN, PK, STATE, TTL, boolean,
        number, text, texts,
    },
    call::{basis::set_identity, claim::ttl_s, item::history_value},
    expression::{Update, WriteOutcome},
    keys::TableKey,
};
use crate::{
    model::{CallKey, CallLogId, ExtensionIdentity, LogKey, Match, UserId, match_log},
    note::Fingerprints,
};

/// The maximum number of attempts while other requests change the call.
const ATTEMPTS: usize = 5;

/// The outcome of importing a call log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The call log is now in the table.
    Done,
    /// The table already had the call with the same record.
    AlreadyThere,
    /// The table has the call in this state, with another record or none. It stays as it is.
    Conflicting(State, Option<CallLogId>),
}

impl Store {
    /// Stores that a call is logged in the CRM in this record, for the extension with this identity, unless the table has
    /// that log. What was written to the record is not known, so the first update keeps every text that it would otherwise
    /// replace. `creator`: the user who logged the call. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the table has an item that cannot be read.
    pub async fn import_call(
        &self,
        call: &CallKey,
        identity: &ExtensionIdentity,
        creator: &UserId,
        log: &CallLogId,
        now_ms: i64,
    ) -> Result<Imported, Error> {
        for _ in 0..ATTEMPTS {
            let seen = self.call(&call.log(0)).await?;
            let is_written = match (self.compared(call, seen.as_ref(), identity, creator, log).await?, &seen)
            {
                (Imported::Done, None) => {
                    let update = set_identity(imported(&call.log(0), creator, log, now_ms), identity);
                    let outcome = self.update(TableKey::log(&call.log(0)), update).await?;
                    matches!(outcome, WriteOutcome::Written { .. })
                }
                (Imported::Done, Some(seen)) => {
                    let key = call.log(seen.next_slot);
                    let item = imported(&key, creator, log, now_ms);
                    self.add_imported_log(&key, seen, identity, creator, item, now_ms).await?
                }
                (outcome, _) => return Ok(outcome),
            };
            if is_written {
                return Ok(Imported::Done);
            }
        }
        Err(Error::Unavailable("other requests keep changing the call".to_owned()))
    }

    /// Returns what [`import_call`](Store::import_call) would return, and writes nothing.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the table has an item that cannot be read.
    pub async fn would_import_call(
        &self,
        call: &CallKey,
        identity: &ExtensionIdentity,
        creator: &UserId,
        log: &CallLogId,
    ) -> Result<Imported, Error> {
        let seen = self.call(&call.log(0)).await?;
        self.compared(call, seen.as_ref(), identity, creator, log).await
    }

    /// Compares a call log with those in the table. `first`: the item of the call's first log.
    async fn compared(
        &self,
        call: &CallKey,
        first: Option<&CallItem>,
        identity: &ExtensionIdentity,
        creator: &UserId,
        log: &CallLogId,
    ) -> Result<Imported, Error> {
        let Some(first) = first else { return Ok(Imported::Done) };
        let (state, log_id) = match match_log(&first.known_logs(), identity, Some(creator)) {
            Match::NoLog if first.is_log() => return Ok(Imported::Done),
            Match::NoLog | Match::Log(0) | Match::Several(0) => (first.state, first.log_id.clone()),
            Match::Log(slot) | Match::Several(slot) => match self.call(&call.log(slot)).await? {
                Some(item) => (item.state, item.log_id),
                None => (State::Queued, None),
            },
        };
        Ok(match log_id.as_ref() == Some(log) {
            true => Imported::AlreadyThere,
            false => Imported::Conflicting(state, log_id),
        })
    }
}

/// The write of a log's item that does not exist yet.
fn imported(key: &LogKey, creator: &UserId, log: &CallLogId, now_ms: i64) -> Update {
    Update::when(format!("attribute_not_exists(#{PK})"))
        .set(STATE, text(State::Logged.name()))
        .set(LOG_ID, text(log.as_str()))
        .set(CREATOR, text(creator.as_str()))
        .set(LEASE_UNTIL, number(0))
        .set(OUTCOME_UNKNOWN, boolean(false))
        .set(BASE, texts(Fingerprints::unknown().iter()))
        .set(FIRST_AT, number(now_ms))
        .set(HISTORY, history_value(&[], now_ms, "imported"))
        .set(TTL, number(now_ms / 1_000 + ttl_s(key)))
}
