//! What must never be, and how everything must end.

use call_log::store::State;

use super::{
    scope::{Protocol, Scope},
    state::World,
};

/// What is wrong with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Duplicate,
    LostCreate,
    LostUpdate,
    /// Two writes of one log on their way at once.
    TwoAtOnce,
    /// Something is said to be in the CRM that is not, and that was not refused.
    SaidTooMuch,
    /// It is logged, and nobody knows where.
    NoId,
    /// A log that a person deleted was made again.
    MadeAgain,
    /// From here no good end can be reached.
    Doomed,
    /// The item went where the table of transitions does not lead.
    NotInTheTable,
    /// The model is too small for this.
    Overflow,
}

impl Problem {
    pub fn sentence(self) -> &'static str {
        match self {
            Problem::Duplicate => "there are two logs of one call",
            Problem::LostCreate => "a call that was accepted has no log",
            Problem::LostUpdate => "an update that was accepted is not in the log, and nobody will write it",
            Problem::TwoAtOnce => "two writes of one log are on their way at once",
            Problem::SaidTooMuch => "an update is said to be in the log, and is not",
            Problem::NoId => "the call is said to be logged, and its log's id is not known",
            Problem::MadeAgain => "a log that a person deleted was made again",
            Problem::Doomed => "no good end can be reached any more",
            Problem::NotInTheTable => "the item went where the table of transitions does not lead",
            Problem::Overflow => "the model has no room for this state",
        }
    }
}

/// How things ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Good,
    /// It was given up, with an alarm, and nothing is forgotten: a person can have it tried again.
    GivenUp,
    Bad(Problem),
}

impl Scope {
    /// What must not be true of any state, not for a moment.
    pub fn problem(&self, world: &World) -> Option<Problem> {
        let item = &world.item;
        if world.overflow {
            return Some(Problem::Overflow);
        }
        if self.protocol == Protocol::CheckThenAct {
            return None;
        }
        if item.state == Some(State::Logged) && usize::from(item.log) >= world.logs.len() {
            return Some(Problem::NoId);
        }
        if self.assumptions_hold() {
            if world.live().count() > 1 {
                return Some(Problem::Duplicate);
            }
            if world.writes_under_way() > 1 {
                return Some(Problem::TwoAtOnce);
            }
        }
        let is_deleted = world.mishaps.deletions < self.mishaps.deletions;
        let body = world.body(item.log);
        if !is_deleted
            && !self.may_overwrite()
            && body.is_some_and(|body| item.done & world.promised & !body != 0)
        {
            return Some(Problem::SaidTooMuch);
        }
        None
    }

    /// What a state is in which nothing more happens by itself.
    pub fn end(&self, world: &World) -> End {
        let item = &world.item;
        let live = world.live().count();
        let is_deleted = world.mishaps.deletions < self.mishaps.deletions;
        if live > 1 {
            return End::Bad(Problem::Duplicate);
        }
        if is_deleted {
            return if live == 0 { End::Good } else { End::Bad(Problem::MadeAgain) };
        }
        match item.state {
            None | Some(State::Queued) if world.promised_create && live == 0 => End::Bad(Problem::LostCreate),
            None | Some(State::Queued) if world.promised & !item.waiting != 0 => {
                End::Bad(Problem::LostUpdate)
            }
            None | Some(State::Queued) if live > 0 => End::Bad(Problem::NoId),
            None | Some(State::Queued) => End::Good,
            Some(State::Creating | State::OutcomeUnknown | State::Retry | State::Deleted) => {
                End::Bad(Problem::LostCreate)
            }
            Some(State::DeadLetter) if world.promised & !item.waiting != 0 => End::Bad(Problem::LostUpdate),
            Some(State::DeadLetter) => End::GivenUp,
            Some(State::Logged) => match world.body(item.log) {
                None => End::Bad(Problem::LostCreate),
                Some(body) if world.promised & !body == 0 => End::Good,
                Some(body) if item.given_up && world.promised & !(body | item.waiting) == 0 => End::GivenUp,
                Some(_) => End::Bad(Problem::LostUpdate),
            },
        }
    }
}
