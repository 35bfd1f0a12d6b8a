//! How much is explored: who comes, what may go wrong and how often, and which runs are made.

use std::fmt::{self, Display, Formatter};

use super::state::{At, CallDetails, Due, Item, Mishaps, NONE, NOTHING, REDRIVES, UPDATES, Worker, World};

/// How a log is made exactly once, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The one of `docs/exactly-once.md`.
    Leases,
    /// Look whether it was logged, log it, write down that it was: what most integrations do.
    CheckThenAct,
}

/// Which writes may land later than the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    Posts,
    Patches,
}

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub protocol: Protocol,
    pub creates: usize,
    pub updates: usize,
    pub redrives: usize,
    pub mishaps: Mishaps,
    pub late: Late,
    /// The CRM refuses a change of what has changed since it was read.
    pub has_compare_and_set: bool,
    /// The CRM may refuse the data, and what fails may be given up; a person can have it tried again.
    pub gives_up: bool,
    /// CallDetails that the CRM never takes, nor a change with one of them.
    pub refused: CallDetails,
    /// Both updates bring the same fact, each another value.
    pub has_one_fact: bool,
    /// One of the creates names another contact.
    pub has_two_contacts: bool,
    /// Late logs are looked for.
    pub has_audit: bool,
}

impl Scope {
    /// Creates, updates, crashes, pauses; two redrives.
    pub const fn new(creates: usize, updates: usize, crashes: u8, pauses: u8) -> Scope {
        Scope {
            protocol: Protocol::Leases,
            creates,
            updates,
            redrives: 2,
            mishaps: Mishaps { crashes, pauses, late: 0, stale: 0, deletions: 0 },
            late: Late::Posts,
            has_compare_and_set: false,
            gives_up: false,
            refused: NOTHING,
            has_one_fact: false,
            has_two_contacts: false,
            has_audit: true,
        }
    }

    pub const fn naive(mut self) -> Scope {
        self.protocol = Protocol::CheckThenAct;
        self.redrives = 0;
        self
    }

    pub const fn one_late(mut self, late: Late) -> Scope {
        self.mishaps.late = 1;
        self.late = late;
        self
    }

    pub const fn one_stale_list(mut self) -> Scope {
        self.mishaps.stale = 1;
        self
    }

    pub const fn one_deletion(mut self) -> Scope {
        self.mishaps.deletions = 1;
        self
    }

    pub const fn compare_and_set(mut self) -> Scope {
        self.has_compare_and_set = true;
        self
    }

    pub const fn giving_up(mut self) -> Scope {
        self.gives_up = true;
        self
    }

    pub const fn one_fact(mut self) -> Scope {
        self.has_one_fact = true;
        self
    }

    pub const fn two_contacts(mut self) -> Scope {
        self.has_two_contacts = true;
        self
    }

    pub const fn refusing(mut self, facts: CallDetails) -> Scope {
        self.refused = facts;
        self
    }

    pub const fn without_audit(mut self) -> Scope {
        self.has_audit = false;
        self
    }

    /// Whether all that the protocol rests on holds.
    pub fn assumptions_hold(&self) -> bool {
        self.mishaps.late == 0 && self.mishaps.stale == 0
    }

    /// Whether a late change may overwrite a newer one.
    pub fn may_overwrite(&self) -> bool {
        self.mishaps.late > 0 && self.late == Late::Patches && !self.has_compare_and_set
    }

    /// What is known when this comes, too: a newer value takes the older one's place.
    pub fn overlay(&self, older: CallDetails, newer: CallDetails) -> CallDetails {
        if self.has_one_fact && newer != NOTHING { newer } else { older | newer }
    }

    /// Before anything happens.
    pub fn start(&self) -> World {
        let mut world = World {
            item: Item { log: NONE, due: Due::Never, ..Item::default() },
            mishaps: self.mishaps,
            ..World::default()
        };
        let starting = Worker { at: At::Start, log: NONE, ..Worker::default() };
        for (slot, worker) in world.workers.iter_mut().enumerate() {
            let comes = match slot {
                0..3 => slot < self.creates,
                3..5 => slot - UPDATES.start < self.updates,
                _ => slot - REDRIVES.start < self.redrives,
            };
            *worker = if comes { starting } else { Worker { log: NONE, ..Worker::default() } };
            worker.contact = if comes && self.has_two_contacts && slot == 1 { 1 } else { 0 };
        }
        world.canonical()
    }
}

/// Creates, updates, crashes, pauses.
impl Display for Scope {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Mishaps { crashes, pauses, .. } = self.mishaps;
        write!(to, "({},{},{crashes},{pauses})", self.creates, self.updates)
    }
}
