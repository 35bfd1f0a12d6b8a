//! The steps that can follow a state, each with a description.

use call_log::store::Event;

use super::{
    mutant::Mutant,
    scope::Scope,
    state::{Invocation, Lease, ModelState, Phase},
};

/// The actor of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The invocation in this slot.
    Invocation(usize),
    /// The network between an invocation and the CRM.
    Network,
    /// The clock.
    Time,
    /// A user of the CRM, or an operator.
    Person,
}

/// The fairness of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It happens some time, unless another step makes it impossible.
    Progress,
    /// It may never happen.
    Chance,
}

/// A step from one state to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The actor.
    pub actor: Actor,
    /// The action, as the predicate of a sentence about the actor.
    pub what: &'static str,
    /// Says if the step has to happen some time.
    pub nature: Nature,
    /// The event in the table of transitions, if the step writes the item.
    pub event: Option<Event>,
}

/// The protocol within a scope, unchanged or with a mutant.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The bounds.
    pub scope: Scope,
    /// The rule that is broken on purpose.
    pub mutant: Option<Mutant>,
}

/// Collects the states that can follow a state.
pub(super) struct Successors<'a> {
    pub(super) model: &'a Model,
    pub(super) state: &'a ModelState,
    pub(super) out: &'a mut Vec<(Step, ModelState)>,
}

impl Successors<'_> {
    /// Returns `true` if this rule is broken on purpose.
    pub(super) fn has(&self, mutant: Mutant) -> bool {
        self.model.mutant == Some(mutant)
    }

    /// Adds a step and the state after it.
    pub(super) fn push(&mut self, step: Step, change: impl FnOnce(&mut ModelState)) {
        let mut next = *self.state;
        change(&mut next);
        self.out.push((step, next));
    }

    /// Adds a step of an invocation that leaves the item unchanged.
    pub(super) fn step(&mut self, slot: usize, what: &'static str, change: impl FnOnce(&mut Invocation)) {
        self.write(slot, what, None, |next| change(&mut next.invocations[slot]));
    }

    /// Adds a step that takes an invocation to this phase.
    pub(super) fn go(&mut self, slot: usize, what: &'static str, phase: Phase) {
        self.step(slot, what, |invocation| invocation.phase = phase);
    }

    /// Adds a step that ends the work of an invocation.
    pub(super) fn end(&mut self, slot: usize, what: &'static str) {
        self.write(slot, what, None, |next| next.end(slot));
    }

    /// Adds a step of an invocation that may write the item.
    pub(super) fn write(
        &mut self,
        slot: usize,
        what: &'static str,
        event: Option<Event>,
        change: impl FnOnce(&mut ModelState),
    ) {
        let actor = Actor::Invocation(slot);
        self.push(Step { actor, what, nature: Nature::Progress, event }, change);
    }

    /// Returns `true` if the item accepts a write of this invocation.
    pub(super) fn may_write(&self, slot: usize) -> bool {
        self.state.invocations[slot].holds_lease || self.has(Mutant::NoFence)
    }

    /// Returns `true` if no lease makes a claim fail.
    pub(super) fn is_claimable(&self) -> bool {
        match self.state.item.lease {
            Lease::Free => true,
            Lease::Grace => self.has(Mutant::NoGrace) || self.has(Mutant::ClaimIgnoresLease),
            Lease::Held => self.has(Mutant::ClaimIgnoresLease),
        }
    }

    /// Returns `true` if the duplicate sweep is due: by then every write has landed or never will.
    pub(super) fn is_sweep_due(&self) -> bool {
        let has_landed = self.state.pending().next().is_none();
        self.model.scope.has_sweep
            && self.state.item.needs_sweep
            && (has_landed || self.has(Mutant::SweepTooEarly))
    }
}

impl Model {
    /// Replaces the contents of `out` with every step that is possible in this state and the state after it.
    pub fn successors(&self, state: &ModelState, out: &mut Vec<(Step, ModelState)>) {
        out.clear();
        let mut successors = Successors { model: self, state, out };
        successors.environment();
        for slot in 0..state.invocations.len() {
            successors.invocation(slot);
        }
    }
}
