//! The bounds of an exploration: which invocations come, which faults happen, and how often.

use std::fmt::{self, Display, Formatter};

use call_log::adapters::Finish;

use super::state::{
    Details, Due, Faults, Invocation, Item, ModelState, NO_DETAILS, NO_RECORD, Phase, REDRIVES, UPDATES,
};

/// The way in which a record is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of `docs/exactly-once.md`.
    Leases,
    /// The protocol of most integrations: check whether the call was logged, log it, store that it was.
    CheckThenAct,
}

/// The writes that may land after the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateWrites {
    /// POSTs.
    Posts,
    /// PATCHes.
    Patches,
}

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The protocol.
    pub protocol: Protocol,
    /// The number of create requests.
    pub creates: usize,
    /// The number of update requests.
    pub updates: usize,
    /// The number of redrives.
    pub redrives: usize,
    /// The faults that may happen.
    pub faults: Faults,
    /// The writes that may land after the grace, if any may.
    pub late: LateWrites,
    /// The further request that completes a record.
    pub finish: Finish,
    /// The CRM refuses to change a record that has changed since it was read.
    pub has_compare_and_set: bool,
    /// The CRM may reject the data, delivery may be given up, and an operator may have it tried again.
    pub gives_up: bool,
    /// The details that the CRM rejects, alone and together with others.
    pub rejected: Details,
    /// Both updates bring the same detail, each with a value of its own.
    pub has_one_detail: bool,
    /// One of the creates names another contact.
    pub has_two_contacts: bool,
    /// The duplicate sweep runs.
    pub has_sweep: bool,
}

impl Scope {
    /// Returns a scope with so many creates, updates, crashes and pauses, and with two redrives.
    pub const fn new(creates: usize, updates: usize, crashes: u8, pauses: u8) -> Scope {
        Scope {
            protocol: Protocol::Leases,
            creates,
            updates,
            redrives: 2,
            faults: Faults { crashes, pauses, late_writes: 0, stale_lists: 0, deletions: 0 },
            late: LateWrites::Posts,
            finish: Finish::None,
            has_compare_and_set: false,
            gives_up: false,
            rejected: NO_DETAILS,
            has_one_detail: false,
            has_two_contacts: false,
            has_sweep: true,
        }
    }

    /// Uses the protocol of most integrations.
    pub const fn naive(mut self) -> Scope {
        self.protocol = Protocol::CheckThenAct;
        self.redrives = 0;
        self
    }

    /// Lets one write land after the grace.
    pub const fn one_late(mut self, late: LateWrites) -> Scope {
        self.faults.late_writes = 1;
        self.late = late;
        self
    }

    /// Lets one list not show an existing record.
    pub const fn one_stale_list(mut self) -> Scope {
        self.faults.stale_lists = 1;
        self
    }

    /// Lets a person delete the record.
    pub const fn one_deletion(mut self) -> Scope {
        self.faults.deletions = 1;
        self
    }

    /// Gives the CRM a compare-and-set.
    pub const fn compare_and_set(mut self) -> Scope {
        self.has_compare_and_set = true;
        self
    }

    /// Lets a further request complete each record.
    pub const fn completing(mut self, finish: Finish) -> Scope {
        self.finish = finish;
        self
    }

    /// Lets delivery be given up.
    pub const fn giving_up(mut self) -> Scope {
        self.gives_up = true;
        self
    }

    /// Lets both updates bring the same detail.
    pub const fn one_detail(mut self) -> Scope {
        self.has_one_detail = true;
        self
    }

    /// Lets one of the creates name another contact.
    pub const fn two_contacts(mut self) -> Scope {
        self.has_two_contacts = true;
        self
    }

    /// Lets the CRM reject these details.
    pub const fn rejecting(mut self, details: Details) -> Scope {
        self.rejected = details;
        self
    }

    /// Leaves out the duplicate sweep.
    pub const fn without_sweep(mut self) -> Scope {
        self.has_sweep = false;
        self
    }

    /// Returns `true` if every assumption of the protocol holds.
    pub fn assumptions_hold(&self) -> bool {
        self.faults.late_writes == 0 && self.faults.stale_lists == 0
    }

    /// Returns `true` if a late PATCH may overwrite a newer detail.
    pub fn may_overwrite(&self) -> bool {
        self.faults.late_writes > 0 && self.late == LateWrites::Patches && !self.has_compare_and_set
    }

    /// Returns both sets of details; a newer value takes the place of an older one.
    pub fn overlay(&self, older: Details, newer: Details) -> Details {
        if self.has_one_detail && newer != NO_DETAILS { newer } else { older | newer }
    }

    /// Returns the state before the first step.
    pub fn start(&self) -> ModelState {
        let mut state = ModelState {
            item: Item { record: NO_RECORD, due: Due::Never, ..Item::default() },
            faults: self.faults,
            ..ModelState::default()
        };
        for (slot, invocation) in state.invocations.iter_mut().enumerate() {
            let comes = match slot {
                0..3 => slot < self.creates,
                3..5 => slot - UPDATES.start < self.updates,
                _ => slot - REDRIVES.start < self.redrives,
            };
            *invocation = Invocation {
                phase: if comes { Phase::Start } else { Phase::Done },
                record: NO_RECORD,
                contact: u8::from(comes && self.has_two_contacts && slot == 1),
                ..Invocation::default()
            };
        }
        state.canonical()
    }
}

/// Writes the numbers of creates, updates, crashes and pauses.
impl Display for Scope {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Faults { crashes, pauses, .. } = self.faults;
        write!(to, "({},{},{crashes},{pauses})", self.creates, self.updates)
    }
}
