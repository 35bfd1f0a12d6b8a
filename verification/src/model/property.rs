//! The properties: what must hold in every state, and how everything must end.

use call_log::{adapters::Finish, store::State};

use super::{
    scope::{Protocol, Scope},
    state::ModelState,
};

/// A violated property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// One call has two records.
    Duplicate,
    /// An accepted call has no record.
    LostCreate,
    /// An accepted update is not in the record.
    LostUpdate,
    /// Two writes of one record are on their way at the same time.
    ConcurrentWrites,
    /// The item says that a detail is in the record, and it is not.
    FalselyApplied,
    /// The call is logged, and the item does not name its record.
    NoRecordId,
    /// The record is not completed, and no invocation will complete it.
    NotCompleted,
    /// A record was completed twice.
    CompletedTwice,
    /// A record that a person deleted was created again.
    Recreated,
    /// No good end is reachable.
    Doomed,
    /// The item took a transition that the table does not have.
    UnknownTransition,
    /// The state does not fit into the model.
    Overflow,
}

impl Problem {
    /// Returns a sentence that describes the problem.
    pub fn sentence(self) -> &'static str {
        match self {
            Problem::Duplicate => "one call has two records",
            Problem::LostCreate => "an accepted call has no record",
            Problem::LostUpdate => "an accepted update is not in the record, and no invocation will write it",
            Problem::ConcurrentWrites => "two writes of one record are on their way at the same time",
            Problem::FalselyApplied => "the item says that an update is in the record, and it is not",
            Problem::NoRecordId => "the call is logged, and the item does not name its record",
            Problem::NotCompleted => "the record is not completed, and no invocation will complete it",
            Problem::CompletedTwice => "the record was completed twice",
            Problem::Recreated => "a record that a person deleted was created again",
            Problem::Doomed => "no good end is reachable any more",
            Problem::UnknownTransition => {
                "the item took a transition that the table of transitions does not have"
            }
            Problem::Overflow => "the state does not fit into the model",
        }
    }
}

/// The verdict on an end state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every promise is kept.
    Good,
    /// Delivery was given up with an alarm. Nothing is forgotten: an operator can have it tried again.
    GivenUp,
    /// A promise is broken.
    Bad(Problem),
}

impl Scope {
    /// Returns the property that this state violates, of those that must hold at every moment.
    pub fn problem(&self, state: &ModelState) -> Option<Problem> {
        let item = &state.item;
        if state.overflow {
            return Some(Problem::Overflow);
        }
        if self.protocol == Protocol::CheckThenAct {
            return None;
        }
        if item.state == Some(State::Logged) && usize::from(item.record) >= state.records.len() {
            return Some(Problem::NoRecordId);
        }
        if self.assumptions_hold() {
            if state.live().count() > 1 {
                return Some(Problem::Duplicate);
            }
            if state.completions.iter().any(|completions| *completions > 1) {
                return Some(Problem::CompletedTwice);
            }
            if state.writes_in_flight() > 1 {
                return Some(Problem::ConcurrentWrites);
            }
        }
        let body = state.body(item.record);
        if !self.was_deleted(state)
            && !self.may_overwrite()
            && body.is_some_and(|body| item.applied_version & state.promised & !body != 0)
        {
            return Some(Problem::FalselyApplied);
        }
        None
    }

    /// Returns the verdict on a state in which no step has to happen any more.
    pub fn end(&self, state: &ModelState) -> End {
        let item = &state.item;
        let live = state.live().count();
        if live > 1 {
            return End::Bad(Problem::Duplicate);
        }
        if self.was_deleted(state) {
            return if live == 0 { End::Good } else { End::Bad(Problem::Recreated) };
        }
        match item.state {
            None | Some(State::Queued) if state.promised_create && live == 0 => End::Bad(Problem::LostCreate),
            None | Some(State::Queued) if state.promised & !item.queued_details != 0 => {
                End::Bad(Problem::LostUpdate)
            }
            None | Some(State::Queued) if live > 0 => End::Bad(Problem::NoRecordId),
            None | Some(State::Queued) => End::Good,
            Some(State::Creating | State::OutcomeUnknown | State::Retry | State::Deleted) => {
                End::Bad(Problem::LostCreate)
            }
            Some(State::DeadLetter) if state.promised & !item.queued_details != 0 => {
                End::Bad(Problem::LostUpdate)
            }
            Some(State::DeadLetter) => End::GivenUp,
            Some(State::Logged) => match state.body(item.record) {
                None => End::Bad(Problem::LostCreate),
                Some(body) if state.promised & !body == 0 => match self.finish {
                    Finish::WithDuration | Finish::AfterEachChange if !state.is_complete(item.record) => {
                        End::Bad(Problem::NotCompleted)
                    }
                    _ => End::Good,
                },
                Some(body) if item.given_up && state.promised & !(body | item.queued_details) == 0 => {
                    End::GivenUp
                }
                Some(_) => End::Bad(Problem::LostUpdate),
            },
        }
    }

    /// Returns `true` if a person has deleted the record.
    fn was_deleted(&self, state: &ModelState) -> bool {
        state.faults.deletions < self.faults.deletions
    }
}
