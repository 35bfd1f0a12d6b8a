//! Import of call logs that another system wrote. It only creates items, so that no request meets a state that the
//! transitions do not lead to.

use super::{
    Error, State, Store,
    attributes::{
        BASE, FIRST_AT, HISTORY, LEASE_UNTIL, LOG_ID, OUTCOME_UNKNOWN, PK, STATE, TTL, boolean, number, text,
        texts,
    },
    call::{claim::LOGGED_TTL_S, item::history_value},
    expression::{Update, WriteOutcome},
    keys::TableKey,
};
use crate::{
    model::{CallKey, CallLogId},
    note::Fingerprints,
};

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
    /// Stores that a call is logged in the CRM in this record, unless the table has an item of the call. What was
    /// written to the record is not known, so the first update keeps every text that it would otherwise replace.
    /// `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the table has an item that cannot be read.
    pub async fn import_call(&self, key: &CallKey, log: &CallLogId, now_ms: i64) -> Result<Imported, Error> {
        let update = Update::when(format!("attribute_not_exists(#{PK})"))
            .set(STATE, text(State::Logged.name()))
            .set(LOG_ID, text(log.as_str()))
            .set(LEASE_UNTIL, number(0))
            .set(OUTCOME_UNKNOWN, boolean(false))
            .set(BASE, texts(Fingerprints::unknown().iter()))
            .set(FIRST_AT, number(now_ms))
            .set(HISTORY, history_value(&[], now_ms, "imported"))
            .set(TTL, number(now_ms / 1_000 + LOGGED_TTL_S));
        match self.update(TableKey::call(key), update).await? {
            WriteOutcome::Written(_) => Ok(Imported::Done),
            WriteOutcome::ConditionFailed(Some(item)) => {
                let call = self.read_call(&item)?;
                // Equal also after our own write, which the SDK repeated because the response was lost.
                Ok(if call.log_id.as_ref() == Some(log) {
                    Imported::AlreadyThere
                } else {
                    Imported::Conflicting(call.state, call.log_id)
                })
            }
            WriteOutcome::ConditionFailed(None) => {
                Err(Error::Unavailable("the condition failed, but DynamoDB returned no item".to_owned()))
            }
        }
    }
}
