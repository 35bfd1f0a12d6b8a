//! The state of a call in words, for a person.

use call_log::store::{CallItem, State};

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
        State::Logged if item.is_given_up() => {
            "it is in the CRM, but updates could not be written for too long"
        }
        State::Logged => "it is in the CRM",
        State::DeadLetter => "the CRM rejected it or was unavailable for too long; it can be logged again",
        State::Deleted => "its record was deleted in the CRM",
    }
}
