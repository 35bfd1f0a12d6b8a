//! Which state a call log goes to when something happens to it: the table that the conditions of the writes are made
//! from, and that the model of the protocol is checked against.

use super::State;

/// What happens to a call log's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// An update comes that nothing is known of.
    EnqueueFirst,
    /// An update comes while somebody is at the log, or before there is one.
    Enqueue,
    /// Somebody takes the right to create it.
    ClaimCreate,
    /// Somebody takes the right to change it, or to look after it.
    ClaimUpdate,
    /// It is in the CRM as wanted.
    Finish,
    /// It is in the CRM, and its owner goes on to bring it up to date.
    Keep,
    /// The owner got no answer: it may have an effect, or not.
    OutcomeUnknown,
    /// The owner failed without effect.
    Failed,
    /// The CRM refused the data, or it was tried for too long.
    GivenUp,
    /// It is no longer in the CRM.
    Deleted,
    /// A person wants what was given up tried again.
    Rearm,
}

/// Every transition there is: from (nothing: no item), by, to.
pub const TRANSITIONS: &[(Option<State>, Event, State)] = &[
    (None, Event::EnqueueFirst, State::Queued),
    (Some(State::Queued), Event::Enqueue, State::Queued),
    (Some(State::Creating), Event::Enqueue, State::Creating),
    (Some(State::OutcomeUnknown), Event::Enqueue, State::OutcomeUnknown),
    (Some(State::Retry), Event::Enqueue, State::Retry),
    (Some(State::Logged), Event::Enqueue, State::Logged),
    (Some(State::DeadLetter), Event::Enqueue, State::DeadLetter),
    (None, Event::ClaimCreate, State::Creating),
    (Some(State::Queued), Event::ClaimCreate, State::Creating),
    (Some(State::Creating), Event::ClaimCreate, State::Creating),
    (Some(State::OutcomeUnknown), Event::ClaimCreate, State::Creating),
    (Some(State::Retry), Event::ClaimCreate, State::Creating),
    (Some(State::DeadLetter), Event::ClaimCreate, State::Creating),
    (Some(State::Logged), Event::ClaimUpdate, State::Logged),
    (Some(State::Creating), Event::Finish, State::Logged),
    (Some(State::Logged), Event::Finish, State::Logged),
    (Some(State::Creating), Event::Keep, State::Logged),
    (Some(State::Logged), Event::Keep, State::Logged),
    (Some(State::Creating), Event::OutcomeUnknown, State::OutcomeUnknown),
    (Some(State::Logged), Event::OutcomeUnknown, State::Logged),
    (Some(State::Creating), Event::Failed, State::Retry),
    (Some(State::Logged), Event::Failed, State::Logged),
    (Some(State::Creating), Event::GivenUp, State::DeadLetter),
    (Some(State::Logged), Event::GivenUp, State::Logged),
    (Some(State::Logged), Event::Deleted, State::Deleted),
    (Some(State::DeadLetter), Event::Rearm, State::Retry),
    (Some(State::Logged), Event::Rearm, State::Logged),
];

impl State {
    /// Where it goes from here when this happens; `None`: it cannot happen here.
    pub fn after(self, event: Event) -> Option<State> {
        state_after(Some(self), event)
    }
}

/// The states in which this can happen, in the table's order.
pub(super) fn states_before(event: Event) -> impl Iterator<Item = State> {
    TRANSITIONS.iter().filter(move |(_, by, _)| *by == event).filter_map(|(from, _, _)| *from)
}

/// Where it goes from there; `None`: it cannot happen there.
pub(super) fn state_after(from: Option<State>, event: Event) -> Option<State> {
    TRANSITIONS.iter().find(|(before, by, _)| (*before, *by) == (from, event)).map(|(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_leads_to_one_state() {
        for (at, (from, event, _)) in TRANSITIONS.iter().enumerate() {
            let same = |(before, by, _): &&(Option<State>, Event, State)| (before, by) == (from, event);
            assert_eq!(TRANSITIONS.iter().position(|row| same(&row)), Some(at), "{from:?} {event:?}");
        }
    }

    #[test]
    fn what_was_deleted_stays_so() {
        let leaves = |state| TRANSITIONS.iter().any(|(from, _, to)| *from == Some(state) && *to != state);
        assert!(!leaves(State::Deleted));
        assert!(leaves(State::DeadLetter), "a person can log it again");
    }
}
