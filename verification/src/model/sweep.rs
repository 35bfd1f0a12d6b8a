//! Looking, long after everything has landed, for a second log, and removing it.

use super::{mutant::Mutant, state::At, step::Successors};

impl Successors<'_> {
    pub fn audit(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        match worker.at {
            At::AuditGet => {
                self.go(slot, "cannot read the log", At::Failed);
                if worker.is_late {
                } else if self.world.body(worker.log).is_some() {
                    self.go(slot, "reads the log that the item names", At::AuditList);
                } else {
                    self.go(slot, "reads: the log is gone", At::Gone);
                }
            }
            At::AuditList => {
                self.go(slot, "cannot list what the CRM has", At::Failed);
                if !worker.is_late {
                    self.compare(slot);
                }
            }
            At::DeleteCheck => self.check(slot, At::DeleteSend),
            At::DeleteSend => {
                self.go(slot, "sends a DELETE", At::DeleteWait);
                self.go(slot, "does not reach the CRM, or is turned away", At::Failed);
            }
            At::DeleteWait => {
                if worker.has_landed {
                    self.step(slot, "is answered: it is deleted", |worker| {
                        worker.doubles &= !(1 << worker.double());
                        worker.has_landed = false;
                        worker.has_audited = worker.doubles == 0;
                        worker.at = if worker.has_audited { At::Get } else { At::DeleteCheck };
                    });
                }
                self.give_up_waiting(slot, At::Unanswered);
            }
            _ => {}
        }
    }

    /// Which logs there are too many.
    fn compare(&mut self, slot: usize) {
        let named = self.world.workers[slot].log;
        let first = self.world.live().map(|(log, _)| log).next().unwrap_or(named);
        let moves = self.has(Mutant::AuditMovesToSmallest);
        let kept = if moves || self.has(Mutant::AuditKeepsSmallest) { first } else { named };
        let doubles = self.world.live_for(self.world.item.sought).filter(|log| *log != kept);
        let doubles = doubles.fold(0, |mask, log| mask | 1 << log);
        let what = if doubles == 0 { "lists: there is no other" } else { "lists, and finds more than one" };
        self.step(slot, what, |worker| {
            worker.doubles = doubles;
            worker.has_audited = doubles == 0;
            worker.at = if doubles == 0 { At::Get } else { At::DeleteCheck };
            if moves {
                worker.log = kept;
            }
        });
    }
}
