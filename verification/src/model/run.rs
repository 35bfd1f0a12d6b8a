//! The explorations that are made, and what each has to show.

use super::{
    explore::{Explored, Until, explore},
    property::Problem,
    scope::{Late, Scope},
    step::Model,
};

/// What a run has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No duplicate, not for a moment; nothing lost; nothing doomed.
    Clean,
    /// A duplicate for a while; none in the end, nothing lost, nothing doomed.
    CleanInTheEnd,
    /// It ends with this: what the protocol does not promise, or another's fault.
    Wrong(Problem),
}

/// An exploration.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub name: &'static str,
    pub scope: Scope,
    pub expected: Expected,
}

const fn run(name: &'static str, scope: Scope, expected: Expected) -> Run {
    Run { name, scope, expected }
}

/// Those of the command.
pub const RUNS: [Run; 13] = {
    use Expected::{Clean, CleanInTheEnd, Wrong};
    use Problem::{Duplicate, LostUpdate};
    let late_post = Scope::new(2, 1, 2, 1).one_late(Late::Posts);
    let late_patch = Scope::new(1, 2, 1, 1).one_late(Late::Patches);
    let stale_list = Scope::new(2, 1, 2, 1).one_stale_list();
    [
        run("check, then act", Scope::new(2, 2, 2, 1).naive(), Wrong(Duplicate)),
        run("the protocol", Scope::new(2, 2, 2, 1), Clean),
        run("and something is given up", Scope::new(2, 2, 2, 1).giving_up(), Clean),
        run("and a person deletes the log", Scope::new(2, 1, 2, 1).giving_up().one_deletion(), Clean),
        run("one update's data is refused", Scope::new(2, 2, 1, 1).refusing(1), Clean),
        run("a newer value of a fact comes", Scope::new(2, 2, 2, 1).one_fact(), Clean),
        run("requests name two contacts", Scope::new(3, 1, 1, 1).two_contacts(), Clean),
        run("a POST lands late, no audit", late_post.without_audit(), Wrong(Duplicate)),
        run("a POST lands late", late_post, CleanInTheEnd),
        run("a list is stale, no audit", stale_list.without_audit(), Wrong(Duplicate)),
        run("a list is stale", stale_list, CleanInTheEnd),
        run("a PATCH lands late, compare-and-set", late_patch.compare_and_set(), Clean),
        run("a PATCH lands late", late_patch, Wrong(LostUpdate)),
    ]
};

/// The same in small, for the tests.
pub const SMALL_RUNS: [Run; 13] = {
    use Expected::{Clean, CleanInTheEnd, Wrong};
    use Problem::{Duplicate, LostUpdate};
    let late_post = Scope::new(1, 1, 1, 0).one_late(Late::Posts);
    let late_patch = Scope::new(1, 2, 1, 0).one_late(Late::Patches);
    let stale_list = Scope::new(1, 1, 1, 0).one_stale_list();
    [
        run("check, then act", Scope::new(2, 1, 0, 0).naive(), Wrong(Duplicate)),
        run("the protocol", Scope::new(2, 1, 1, 1), Clean),
        run("and something is given up", Scope::new(2, 1, 1, 0).giving_up(), Clean),
        run("and a person deletes the log", Scope::new(1, 1, 1, 1).giving_up().one_deletion(), Clean),
        run("one update's data is refused", Scope::new(1, 2, 1, 0).refusing(1), Clean),
        run("a newer value of a fact comes", Scope::new(1, 2, 1, 0).one_fact(), Clean),
        run("requests name two contacts", Scope::new(3, 1, 1, 0).two_contacts(), Clean),
        run("a POST lands late, no audit", late_post.without_audit(), Wrong(Duplicate)),
        run("a POST lands late", late_post, CleanInTheEnd),
        run("a list is stale, no audit", stale_list.without_audit(), Wrong(Duplicate)),
        run("a list is stale", stale_list, CleanInTheEnd),
        run("a PATCH lands late, compare-and-set", late_patch.compare_and_set(), Clean),
        run("a PATCH lands late", late_patch, Wrong(LostUpdate)),
    ]
};

impl Run {
    pub fn explore(&self) -> Explored {
        explore(Model { scope: self.scope, mutant: None }, Until::Exhausted)
    }

    /// Whether the run shows what it has to.
    pub fn shows(&self, explored: &Explored) -> bool {
        let ends = &explored.ends;
        let is_clean = explored.problem.is_none() && ends.bad() == 0 && explored.doomed == 0;
        match self.expected {
            Expected::Clean => is_clean && explored.duplicates == 0,
            Expected::CleanInTheEnd => is_clean && explored.duplicates > 0,
            Expected::Wrong(problem) => ends.with(problem) > 0,
        }
    }
}
