//! Every state that can be reached, breadth first, and from which of them a good end can be.

use call_log::store::{Event, State, TRANSITIONS};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use super::{
    pack::Packed,
    property::{End, Problem},
    state::World,
    step::{Model, Nature},
};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Everything is seen.
    Exhausted,
    /// Something is wrong.
    Wrong,
}

/// How often each kind of bad end was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub all: usize,
    pub given_up: usize,
    pub duplicates: usize,
    pub lost_creates: usize,
    pub lost_updates: usize,
    pub others: usize,
}

impl Ends {
    pub fn bad(&self) -> usize {
        self.duplicates + self.lost_creates + self.lost_updates + self.others
    }

    /// How many have this.
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

/// A transition of the item.
pub type Edge = (Option<State>, Event, State);

/// What an exploration saw.
#[derive(Debug)]
pub struct Explored {
    pub model: Model,
    states: IndexSet<Packed, FxBuildHasher>,
    /// From which state each was first reached.
    parents: Vec<u32>,
    pub transitions: usize,
    pub ends: Ends,
    /// States with more than one log of the call.
    pub duplicates: usize,
    /// How few steps lead to the first of them.
    pub steps_to_duplicate: Option<usize>,
    pub doomed: usize,
    /// The first that was found, and where: nothing shorter leads to one of its kind.
    pub problem: Option<(Problem, u32)>,
    /// The item's transitions that were taken, each once.
    pub edges: Vec<Edge>,
}

impl Explored {
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// Every state that was seen.
    pub fn worlds(&self) -> impl Iterator<Item = World> {
        self.states.iter().map(|state| state.unpack())
    }

    /// The states on the way to this one, the first first.
    pub fn path(&self, to: u32) -> Vec<World> {
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
        let world = explored.states[at].unpack();
        explored.look(&world, here);
        model.successors(&world, &mut out);
        if out.iter().all(|(step, _)| step.nature == Nature::Chance) {
            let end = model.scope.end(&world);
            explored.ends.count(end);
            match end {
                End::Good => graph.good.push(here),
                End::GivenUp => {}
                End::Bad(problem) => explored.found(problem, here),
            }
        }
        for (step, next) in &out {
            explored.take(&world, step.event, next, here);
            let (to, is_new) = explored.states.insert_full(next.canonical().pack());
            if is_new {
                explored.parents.push(here);
            }
            graph.edges.push(to as u32);
        }
        graph.ends.push(graph.edges.len());
        if until == Until::Wrong && explored.problem.is_some() {
            explored.transitions = graph.edges.len();
            return explored;
        }
        at += 1;
    }
    explored.transitions = graph.edges.len();
    let doomed = graph.doomed();
    explored.doomed = doomed.len();
    if let Some(first) = doomed.first() {
        explored.found(Problem::Doomed, *first);
    }
    explored
}

impl Explored {
    fn found(&mut self, problem: Problem, at: u32) {
        self.problem.get_or_insert((problem, at));
    }

    fn look(&mut self, world: &World, at: u32) {
        if let Some(problem) = self.model.scope.problem(world) {
            self.found(problem, at);
        }
        if world.live().nth(1).is_some() {
            self.duplicates += 1;
            if self.steps_to_duplicate.is_none() {
                self.steps_to_duplicate = Some(self.path(at).len() - 1);
            }
        }
    }

    /// The item goes from one state to another.
    fn take(&mut self, from: &World, event: Option<Event>, to: &World, at: u32) {
        let (Some(event), Some(after)) = (event, to.item.state) else { return };
        let edge = (from.item.state, event, after);
        if self.edges.contains(&edge) {
            return;
        }
        self.edges.push(edge);
        if !TRANSITIONS.contains(&edge) && self.model.mutant.is_none() {
            self.found(Problem::NotInTheTable, at);
        }
    }
}

/// Which state follows which.
#[derive(Default)]
struct Graph {
    /// The states that follow, of all states one after the other.
    edges: Vec<u32>,
    /// Where each state's end.
    ends: Vec<usize>,
    good: Vec<u32>,
}

impl Graph {
    /// The states from which no good end can be reached.
    fn doomed(self) -> Vec<u32> {
        let count = self.ends.len();
        // The same edges by where they lead: counted, then filled in from behind.
        let mut starts = vec![0_u32; count + 1];
        for to in &self.edges {
            starts[*to as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut before = vec![0_u32; self.edges.len()];
        let mut edge = 0;
        for (from, end) in self.ends.iter().enumerate() {
            while edge < *end {
                let start = &mut starts[self.edges[edge] as usize];
                *start -= 1;
                before[*start as usize] = from as u32;
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
            for from in &before[range] {
                if !std::mem::replace(&mut is_saved[*from as usize], true) {
                    stack.push(*from);
                }
            }
        }
        (0..count as u32).filter(|at| !is_saved[*at as usize]).collect()
    }
}
