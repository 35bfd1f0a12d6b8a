//! The runs: explorations, each with the result that it is expected to show.

use call_log::adapters::Finish;

use super::{
    explore::{Explored, Until, explore},
    property::Problem,
    scope::{LateWrites, Scope},
    step::Model,
};

/// The expected result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At no moment is there a duplicate; nothing is lost; no state is doomed.
    Clean,
    /// There is a duplicate for a while. In the end there is none, nothing is lost, and no state is doomed.
    CleanInTheEnd,
    /// There are end states with this problem: the protocol does not promise otherwise, or another protocol runs.
    Problem(Problem),
}

/// An exploration with its expected result.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The name in the table.
    pub name: &'static str,
    /// The bounds.
    pub scope: Scope,
    /// The expected result.
    pub expected: Expected,
}

const fn run(name: &'static str, scope: Scope, expected: Expected) -> Run {
    Run { name, scope, expected }
}

/// The runs of the command.
pub const RUNS: [Run; 15] = {
    use Expected::{Clean, CleanInTheEnd, Problem as Shows};
    use Finish::{AfterEachChange, WithDuration};
    use Problem::{Duplicate, LostUpdate};
    let late_post = Scope::new(2, 1, 2, 1).one_late(LateWrites::Posts);
    let late_patch = Scope::new(1, 2, 1, 1).one_late(LateWrites::Patches);
    let stale_list = Scope::new(2, 1, 2, 1).one_stale_list();
    [
        run("check, then act", Scope::new(2, 2, 2, 1).naive(), Shows(Duplicate)),
        run("the protocol", Scope::new(2, 2, 2, 1), Clean),
        run("delivery is given up", Scope::new(2, 2, 2, 1).giving_up(), Clean),
        run("a person deletes the record", Scope::new(2, 1, 2, 1).giving_up().one_deletion(), Clean),
        run("one update is rejected", Scope::new(2, 2, 1, 1).rejecting(1), Clean),
        run("both updates bring one detail", Scope::new(2, 2, 2, 1).one_detail(), Clean),
        run("creates name two contacts", Scope::new(3, 1, 1, 1).two_contacts(), Clean),
        run("a completion follows the create", Scope::new(1, 1, 2, 1).completing(WithDuration), Clean),
        run("a completion follows each change", Scope::new(1, 2, 1, 0).completing(AfterEachChange), Clean),
        run("a POST lands late, no sweep", late_post.without_sweep(), Shows(Duplicate)),
        run("a POST lands late", late_post, CleanInTheEnd),
        run("a list is stale, no sweep", stale_list.without_sweep(), Shows(Duplicate)),
        run("a list is stale", stale_list, CleanInTheEnd),
        run("a PATCH lands late, compare-and-set", late_patch.compare_and_set(), Clean),
        run("a PATCH lands late", late_patch, Shows(LostUpdate)),
    ]
};

/// The same runs in smaller scopes, for the tests.
pub const SMALL_RUNS: [Run; 15] = {
    use Expected::{Clean, CleanInTheEnd, Problem as Shows};
    use Finish::{AfterEachChange, WithDuration};
    use Problem::{Duplicate, LostUpdate};
    let late_post = Scope::new(1, 1, 1, 0).one_late(LateWrites::Posts);
    let late_patch = Scope::new(1, 2, 1, 0).one_late(LateWrites::Patches);
    let stale_list = Scope::new(1, 1, 1, 0).one_stale_list();
    [
        run("check, then act", Scope::new(2, 1, 0, 0).naive(), Shows(Duplicate)),
        run("the protocol", Scope::new(2, 1, 1, 1), Clean),
        run("delivery is given up", Scope::new(2, 1, 1, 0).giving_up(), Clean),
        run("a person deletes the record", Scope::new(1, 1, 1, 1).giving_up().one_deletion(), Clean),
        run("one update is rejected", Scope::new(1, 2, 1, 0).rejecting(1), Clean),
        run("both updates bring one detail", Scope::new(1, 2, 1, 0).one_detail(), Clean),
        run("creates name two contacts", Scope::new(3, 1, 1, 0).two_contacts(), Clean),
        run("a completion follows the create", Scope::new(1, 1, 1, 1).completing(WithDuration), Clean),
        run("a completion follows each change", Scope::new(1, 1, 1, 0).completing(AfterEachChange), Clean),
        run("a POST lands late, no sweep", late_post.without_sweep(), Shows(Duplicate)),
        run("a POST lands late", late_post, CleanInTheEnd),
        run("a list is stale, no sweep", stale_list.without_sweep(), Shows(Duplicate)),
        run("a list is stale", stale_list, CleanInTheEnd),
        run("a PATCH lands late, compare-and-set", late_patch.compare_and_set(), Clean),
        run("a PATCH lands late", late_patch, Shows(LostUpdate)),
    ]
};

impl Run {
    /// Explores the scope to the end.
    pub fn explore(&self) -> Explored {
        explore(Model { scope: self.scope, mutant: None }, Until::Exhausted)
    }

    /// Returns `true` if the exploration shows the expected result.
    pub fn is_as_expected(&self, explored: &Explored) -> bool {
        let ends = &explored.ends;
        let is_clean = explored.problem.is_none() && ends.bad() == 0 && explored.doomed == 0;
        match self.expected {
            Expected::Clean => is_clean && explored.duplicates == 0,
            Expected::CleanInTheEnd => is_clean && explored.duplicates > 0,
            Expected::Problem(problem) => ends.with(problem) > 0,
        }
    }
}
