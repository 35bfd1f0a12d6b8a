//! The states of a call log and the transitions between them. The conditions of the writes are made from this table, and the
//! model of the protocol is checked against it.

/// The state of a call log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Updates came before the request to create.
    Queued,
    /// A lease holder creates the record in the CRM, or died while doing so.
    Creating,
    /// The outcome of an attempt to create the record is unknown.
    OutcomeUnknown,
    /// An attempt to create the record failed without effect. Another may succeed.
    Retry,
    /// The record is in the CRM.
    Logged,
    /// The CRM rejected the call log, or delivery took too long. Only a new request or the operator tries again.
    DeadLetter,
    /// The record was in the CRM and was deleted there.
    Deleted,
}

impl State {
    pub(super) const ALL: [State; 7] = [
        State::Queued,
        State::Creating,
        State::OutcomeUnknown,
        State::Retry,
        State::Logged,
        State::DeadLetter,
        State::Deleted,
    ];

    /// Returns the state's name in the table.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "QUEUED",
            State::Creating => "CREATING",
            State::OutcomeUnknown => "OUTCOME_UNKNOWN",
            State::Retry => "RETRY",
            State::Logged => "LOGGED",
            State::DeadLetter => "DEAD_LETTER",
            State::Deleted => "DELETED",
        }
    }
}

/// An event that writes a call's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// An update is queued for a call without an item.
    EnqueueFirst,
    /// An update is queued while another invocation holds the lease, or before the call is logged.
    Enqueue,
    /// An invocation claims the call to create the record.
    ClaimCreate,
    /// An invocation claims the call to change the record, or to look for duplicates of it.
    ClaimUpdate,
    /// The lease holder confirms that the record has everything that was queued, and gives the lease back.
    Finish,
    /// The lease holder confirms that the record exists, and keeps the lease to write more.
    Keep,
    /// The lease holder got no response: its request may have taken effect.
    OutcomeUnknown,
    /// The lease holder's attempt failed without effect.
    Failed,
    /// The CRM rejected the data, or delivery took too long.
    GivenUp,
    /// The record is no longer in the CRM.
    Deleted,
    /// The operator has a call that was given up tried again.
    Rearm,
}

/// All transitions: the state before (`None`: there is no item), the event, the state after.
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
    // A person can restore a deleted record, and a proxy can claim that a record does not exist. So an update looks again.
    (Some(State::Deleted), Event::ClaimUpdate, State::Logged),
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
    /// Returns the state after an event; `None` if the event cannot happen in this state.
    pub fn after(self, event: Event) -> Option<State> {
        state_after(Some(self), event)
    }
}

/// Returns the states in which an event can happen, in the order of the table.
pub(super) fn states_before(event: Event) -> impl Iterator<Item = State> {
    TRANSITIONS.iter().filter(move |(_, by, _)| *by == event).filter_map(|(from, _, _)| *from)
}

/// Returns the state after an event; `None` if the event cannot happen in the state `from`.
pub(super) fn state_after(from: Option<State>, event: Event) -> Option<State> {
    TRANSITIONS.iter().find(|(before, by, _)| (*before, *by) == (from, event)).map(|(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_a_state_leads_to_one_state() {
        for (at, (from, event, _)) in TRANSITIONS.iter().enumerate() {
            let same = |(before, by, _): &&(Option<State>, Event, State)| (before, by) == (from, event);
            assert_eq!(TRANSITIONS.iter().position(|row| same(&row)), Some(at), "{from:?} {event:?}");
        }
    }

    #[test]
    fn a_deleted_call_log_is_never_created_again_and_a_dead_letter_can_be_logged_again() {
        let leads_to = |state| {
            let from = TRANSITIONS.iter().filter(move |(from, _, to)| *from == Some(state) && *to != state);
            from.map(|(_, event, to)| (*event, *to)).collect::<Vec<_>>()
        };
        assert_eq!(leads_to(State::Deleted), [(Event::ClaimUpdate, State::Logged)]);
        assert!(!leads_to(State::DeadLetter).is_empty());
    }
}
