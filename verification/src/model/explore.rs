//! Breadth-first exploration of every reachable state, and of the states from which no good end is reachable.

use call_log::store::{Event, State, TRANSITIONS};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use super::{
    pack::Packed,
    property::{End, Problem},
    state::ModelState,
    step::{Model, Nature},
};

/// When an exploration stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When every reachable state has been explored.
    Exhausted,
    /// At the first problem.
    FirstProblem,
}

/// The number of end states, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// All end states.
    pub all: usize,
    /// End states in which delivery was given up with an alarm.
    pub given_up: usize,
    /// End states with two records.
    pub duplicates: usize,
    /// End states in which an accepted call has no record.
    pub lost_creates: usize,
    /// End states in which an accepted update is not in the record.
    pub lost_updates: usize,
    /// End states with any other problem.
    pub others: usize,
}

impl Ends {
    /// Returns the number of bad end states.
    pub fn bad(&self) -> usize {
        self.duplicates + self.lost_creates + self.lost_updates + self.others
    }

    /// Returns the number of end states with this problem.
    pub fn with(&self, problem: Problem) -> usize {
        match problem {
            Problem::Duplicate => self.duplicates,
            Problem::LostCreate => self.lost_creates,
            Problem::LostUpdate => self.lost_updates,
            _ => self.others,
        }
    }

    fn count(&mut self, end: End) {
        self.all += 1;
        let counter = match end {
            End::Good => return,
            End::GivenUp => &mut self.given_up,
            End::Bad(Problem::Duplicate) => &mut self.duplicates,
            End::Bad(Problem::LostCreate) => &mut self.lost_creates,
            End::Bad(Problem::LostUpdate) => &mut self.lost_updates,
            End::Bad(_) => &mut self.others,
        };
        *counter += 1;
    }
}

/// A transition of the item: the state before, the event, the state after.
pub type Edge = (Option<State>, Event, State);

/// The result of an exploration.
#[derive(Debug)]
pub struct Explored {
    /// The model that was explored.
    pub model: Model,
    states: IndexSet<Packed, FxBuildHasher>,
    /// For each state, the state from which it was first reached.
    parents: Vec<u32>,
    /// The number of transitions between states.
    pub transitions: usize,
    /// The number of end states, by kind.
    pub ends: Ends,
    /// The number of states with more than one record of the call.
    pub duplicates: usize,
    /// The number of steps to the first of them.
    pub steps_to_duplicate: Option<usize>,
    /// The number of states from which no good end is reachable.
    pub doomed: usize,
    /// The first problem, and the number of its state. No shorter trace leads to a problem of this kind.
    pub problem: Option<(Problem, u32)>,
    /// The item's transitions that were taken, each once.
    pub edges: Vec<Edge>,
}

impl Explored {
    /// Returns the number of states that were reached.
    pub fn state_count(&self) -> usize {
        self.states.len()
    }

    /// Returns every state that was reached.
    pub fn states(&self) -> impl Iterator<Item = ModelState> {
        self.states.iter().map(|state| state.unpack())
    }

    /// Returns the states on the path from the start to the state with this number.
    pub fn path(&self, to: u32) -> Vec<ModelState> {
        let mut path = vec![to];
        let mut at = to;
        while at != 0 {
            at = self.parents[at as usize];
            path.push(at);
        }
        path.iter().rev().map(|at| self.states[*at as usize].unpack()).collect()
    }
}

/// Explores the model.
pub fn explore(model: Model, until: Until) -> Explored {
    let mut explored = Explored {
        model,
        states: IndexSet::default(),
        parents: vec![0],
        transitions: 0,
        ends: Ends::default(),
        duplicates: 0,
        steps_to_duplicate: None,
        doomed: 0,
        problem: None,
        edges: Vec::new(),
    };
    explored.states.insert(model.scope.start().pack());
    let mut graph = Graph::default();
    let mut out = Vec::with_capacity(32);
    let mut at = 0;
    while at < explored.states.len() {
        let here = at as u32;
        let state = explored.states[at].unpack();
        explored.check(&state, here);
        model.successors(&state, &mut out);
        if out.iter().all(|(step, _)| step.nature == Nature::Chance) {
            let end = model.scope.end(&state);
            explored.ends.count(end);
            match end {
                End::Good => graph.good.push(here),
                End::GivenUp => {}
                End::Bad(problem) => explored.report(problem, here),
            }
        }
        for (step, next) in &out {
            explored.add_edge(&state, step.event, next, here);
            let (to, is_new) = explored.states.insert_full(next.canonical().pack());
            if is_new {
                explored.parents.push(here);
            }
            graph.edges.push(to as u32);
        }
        graph.ends.push(graph.edges.len());
        if until == Until::FirstProblem && explored.problem.is_some() {
            explored.transitions = graph.edges.len();
            return explored;
        }
        at += 1;
    }
    explored.transitions = graph.edges.len();
    let doomed = graph.doomed();
    explored.doomed = doomed.len();
    if let Some(first) = doomed.first() {
        explored.report(Problem::Doomed, *first);
    }
    explored
}

impl Explored {
    fn report(&mut self, problem: Problem, at: u32) {
        self.problem.get_or_insert((problem, at));
    }

    fn check(&mut self, state: &ModelState, at: u32) {
        if let Some(problem) = self.model.scope.problem(state) {
            self.report(problem, at);
        }
        if state.live().nth(1).is_some() {
            self.duplicates += 1;
            if self.steps_to_duplicate.is_none() {
                self.steps_to_duplicate = Some(self.path(at).len() - 1);
            }
        }
    }

    fn add_edge(&mut self, from: &ModelState, event: Option<Event>, to: &ModelState, at: u32) {
        let (Some(event), Some(after)) = (event, to.item.state) else { return };
        let edge = (from.item.state, event, after);
        if self.edges.contains(&edge) {
            return;
        }
        self.edges.push(edge);
        if !TRANSITIONS.contains(&edge) && self.model.mutant.is_none() {
            self.report(Problem::UnknownTransition, at);
        }
    }
}

/// The edges between the states.
#[derive(Default)]
struct Graph {
    /// The successors of all states, one state after the other.
    edges: Vec<u32>,
    /// For each state, the end of its successors in `edges`.
    ends: Vec<usize>,
    /// The good end states.
    good: Vec<u32>,
}

impl Graph {
    /// Returns the states from which no good end is reachable.
    fn doomed(self) -> Vec<u32> {
        let count = self.ends.len();
        // Counting sort of the edges by their target, so that they can be followed backwards.
        let mut starts = vec![0_u32; count + 1];
        for to in &self.edges {
            starts[*to as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut predecessors = vec![0_u32; self.edges.len()];
        let mut edge = 0;
        for (from, end) in self.ends.iter().enumerate() {
            while edge < *end {
                let start = &mut starts[self.edges[edge] as usize];
                *start -= 1;
                predecessors[*start as usize] = from as u32;
                edge += 1;
            }
        }
        let mut is_saved = vec![false; count];
        let mut stack = self.good;
        for good in &stack {
            is_saved[*good as usize] = true;
        }
        while let Some(at) = stack.pop() {
            let range = starts[at as usize] as usize..starts[at as usize + 1] as usize;
            for from in &predecessors[range] {
                if !std::mem::replace(&mut is_saved[*from as usize], true) {
                    stack.push(*from);
                }
            }
        }
        (0..count as u32).filter(|at| !is_saved[*at as usize]).collect()
    }
}
