//! The state of a call in words, for a person.

use call_log::store::{CallItem, State};

/// Returns `true` if something is undelivered and no attempt is scheduled.
pub(crate) fn is_dead(item: &CallItem) -> bool {
    match item.state {
        State::DeadLetter => item.payload.is_some(),
        State::Logged => item.due_at.is_none() && item.has_undelivered(),
        _ => false,
    }
}

/// Explains the state of a call.
pub(crate) fn meaning(item: &CallItem, now_ms: i64) -> &'static str {
    match item.state {
        State::Queued => "updates wait for the call to be logged",
        State::Creating if item.lease_expires_at > now_ms => "an invocation is logging it",
        State::Creating => "its lease expired before it was logged; the next attempt searches the CRM first",
        State::OutcomeUnknown => "an attempt got no response; the next attempt searches the CRM first",
        State::Retry => "an attempt failed without effect; the next one may succeed",
        State::Logged if item.lease_holder.is_some() && item.lease_expires_at > now_ms => {
            "it is in the CRM and is being updated"
        }
        State::Logged if is_dead(item) => "it is in the CRM, but updates could not be written for too long",
        State::Logged => "it is in the CRM",
        State::DeadLetter => "the CRM rejected it or was unavailable for too long; it can be logged again",
        State::Deleted => "its record was deleted in the CRM",
    }
}
