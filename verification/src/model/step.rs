//! What can happen next, in words.

use call_log::store::Event;

use super::{
    mutant::Mutant,
    scope::Scope,
    state::{At, Lease, Worker, World},
};

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Worker(usize),
    Network,
    Time,
    Person,
}

/// Whether it has to happen some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// What is possible happens, unless something else does.
    Progress,
    /// It need not happen.
    Chance,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub who: Who,
    pub what: &'static str,
    pub nature: Nature,
    /// What the table of transitions calls it, if the item is written.
    pub event: Option<Event>,
}

/// The protocol within a scope, as it should be or with a fault.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub scope: Scope,
    pub mutant: Option<Mutant>,
}

/// Gathers what can follow a state.
#[derive(Debug)]
pub struct Successors<'a> {
    pub model: &'a Model,
    pub world: &'a World,
    pub out: &'a mut Vec<(Step, World)>,
}

impl Successors<'_> {
    pub fn has(&self, mutant: Mutant) -> bool {
        self.model.mutant == Some(mutant)
    }

    /// One thing that can happen, and what then is.
    pub fn push(&mut self, step: Step, change: impl FnOnce(&mut World)) {
        let mut next = *self.world;
        change(&mut next);
        self.out.push((step, next));
    }

    /// A worker's step that leaves the item alone.
    pub fn step(&mut self, slot: usize, what: &'static str, change: impl FnOnce(&mut Worker)) {
        let step = Step { who: Who::Worker(slot), what, nature: Nature::Progress, event: None };
        self.push(step, |next| change(&mut next.workers[slot]));
    }

    /// A worker goes on.
    pub fn go(&mut self, slot: usize, what: &'static str, at: At) {
        self.step(slot, what, |worker| worker.at = at);
    }

    /// A worker ends.
    pub fn end(&mut self, slot: usize, what: &'static str) {
        let step = Step { who: Who::Worker(slot), what, nature: Nature::Progress, event: None };
        self.push(step, |next| next.end(slot));
    }

    /// A worker writes the item.
    pub fn write(
        &mut self,
        slot: usize,
        what: &'static str,
        event: Option<Event>,
        change: impl FnOnce(&mut World),
    ) {
        self.push(Step { who: Who::Worker(slot), what, nature: Nature::Progress, event }, change);
    }

    /// Whether the item says that this worker may write it.
    pub fn is_owner(&self, slot: usize) -> bool {
        self.world.workers[slot].owns || self.has(Mutant::NoFence)
    }

    /// Whether a claim is not refused by a lease.
    pub fn is_free(&self) -> bool {
        match self.world.item.lease {
            Lease::Free => true,
            Lease::Grace => self.has(Mutant::NoGrace) || self.has(Mutant::TakeoverBeforeBusy),
            Lease::Held => self.has(Mutant::TakeoverBeforeBusy),
        }
    }

    /// Whether it is time for the audit: everything has landed by then, or never will.
    pub fn is_audit_ripe(&self) -> bool {
        let is_settled = self.world.pending().next().is_none();
        self.model.scope.has_audit && self.world.item.audit && (is_settled || self.has(Mutant::AuditTooEarly))
    }
}

impl Model {
    /// Everything that can happen in this state.
    pub fn successors(&self, world: &World, out: &mut Vec<(Step, World)>) {
        out.clear();
        let mut successors = Successors { model: self, world, out };
        successors.surroundings();
        for slot in 0..world.workers.len() {
            successors.worker(slot);
        }
    }
}
