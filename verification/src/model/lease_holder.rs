//! What an owner does in the CRM: make the log, find it, read it, change it.

use super::{
    mutant::Mutant,
    state::{At, NONE, NOTHING},
    step::Successors,
};

impl Successors<'_> {
    /// Makes the log.
    pub fn create(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        // What this attempt is told of first, then what others were.
        let own = self.world.live_for(1 << worker.contact).next().map(|_| 1 << worker.contact);
        let sought = if worker.was_ambiguous { self.world.item.sought } else { NOTHING };
        let mut found = self.world.live_for(own.unwrap_or(sought));
        let found = if self.has(Mutant::AdoptsTheLast) { found.last() } else { found.next() };
        match worker.at {
            At::List => {
                self.go(slot, "cannot list what the CRM has", At::Failed);
                if worker.is_late {
                    return;
                }
                match found {
                    None => self.go(slot, "lists: there is none", At::PostCheck),
                    Some(log) => {
                        self.adopt(slot, log);
                        if self.world.mishaps.stale > 0 {
                            self.write(slot, "lists, and is not shown what there is", None, |next| {
                                next.mishaps.stale -= 1;
                                next.workers[slot].at = At::PostCheck;
                            });
                        }
                    }
                }
            }
            At::PostCheck => self.check(slot, At::PostSend),
            At::PostSend if worker.facts & self.model.scope.refused != NOTHING => {
                self.step(slot, "has what was parked refused, and tries without", |worker| {
                    worker.facts = NOTHING;
                    worker.at = At::PostCheck;
                });
            }
            At::PostSend => {
                self.go(slot, "sends a POST", At::PostWait);
                self.go(slot, "does not reach the CRM, or is turned away", At::Failed);
                if self.model.scope.gives_up {
                    self.go(slot, "has its data refused", At::Refused);
                }
            }
            At::PostWait => {
                if worker.has_landed {
                    // Without what was parked it is not complete.
                    let is_alone = self.model.scope.refused != NOTHING && worker.facts != worker.seen;
                    let at = if is_alone { At::Keep } else { At::Finish };
                    self.answered(slot, "is answered: it is made", at);
                }
                let next = if self.has(Mutant::AmbiguousPostIsFailure) { At::Failed } else { At::ListAgain };
                self.give_up_waiting(slot, next);
            }
            At::ListAgain => {
                self.go(slot, "does not find it in the CRM, or cannot look", At::Unanswered);
                if let Some(log) = found.filter(|_| !worker.is_late) {
                    self.adopt(slot, log);
                }
            }
            _ => {}
        }
    }

    /// Brings the log up to date.
    pub fn change(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let body = self.world.body(worker.log);
        match worker.at {
            At::Get => {
                self.go(slot, "cannot read the log", At::Failed);
                match body {
                    _ if worker.is_late => {}
                    None => self.go(slot, "reads: the log is gone", At::Gone),
                    Some(body) if worker.facts & !body == NOTHING => {
                        self.go(slot, "reads: nothing to change", At::Finish);
                    }
                    Some(body) => {
                        // What is merged with is all but an older value of the same fact.
                        let is_replaced = self.has(Mutant::PatchWithoutGet) || self.model.scope.has_one_fact;
                        let read = if is_replaced { NOTHING } else { body };
                        self.step(slot, "reads the log, and merges", |worker| {
                            worker.read = read;
                            worker.at = At::PatchCheck;
                        });
                    }
                }
            }
            At::PatchCheck => self.check(slot, At::PatchSend),
            At::PatchSend if worker.facts & self.model.scope.refused != NOTHING => {
                self.refused_change(slot);
            }
            At::PatchSend => {
                self.go(slot, "sends a PATCH", At::PatchWait);
                self.go(slot, "does not reach the CRM, or is turned away", At::Failed);
                if self.model.scope.gives_up {
                    self.refused_change(slot);
                }
            }
            At::PatchWait => {
                if worker.has_landed {
                    self.answered(slot, "is answered: it is changed", At::Finish);
                }
                let next = if self.has(Mutant::UnansweredPatchIsDone) { At::Finish } else { At::GetAgain };
                self.give_up_waiting(slot, next);
            }
            At::GetAgain => {
                self.go(slot, "does not see its change, or cannot look", At::Unanswered);
                let shows = body.is_some_and(|body| worker.facts & !body == NOTHING);
                if shows && !worker.is_late {
                    self.go(slot, "sees its change in the log", At::Finish);
                }
            }
            _ => {}
        }
    }

    /// The CRM refuses a change: which of several facts it is for can only be tried.
    fn refused_change(&mut self, slot: usize) {
        let facts = self.world.workers[slot].facts;
        let first = facts & facts.wrapping_neg();
        if facts == first || self.has(Mutant::RefusedTogether) {
            return self.go(slot, "has its data refused", At::Refused);
        }
        self.step(slot, "has its data refused, and tries the first fact alone", |worker| {
            worker.facts = first;
            worker.at = At::Get;
        });
    }

    /// Whether there is time left, as the last step before a write.
    pub fn check(&mut self, slot: usize, send: At) {
        let is_unchecked =
            self.has(Mutant::NoDeadlineCheck) || self.has(Mutant::DeleteUnchecked) && send == At::DeleteSend;
        if self.world.workers[slot].is_late && !is_unchecked {
            self.go(slot, "sees that its deadline has passed", At::Failed);
        } else {
            self.go(slot, "sees that there is time left", send);
        }
    }

    /// The answer comes.
    pub fn answered(&mut self, slot: usize, what: &'static str, at: At) {
        self.step(slot, what, |worker| {
            worker.has_landed = false;
            worker.at = at;
        });
    }

    /// The answer does not come.
    pub fn give_up_waiting(&mut self, slot: usize, at: At) {
        self.write(slot, "gets no answer", None, |next| {
            next.abandon(slot);
            let worker = &mut next.workers[slot];
            worker.has_landed = false;
            worker.at = at;
            if at == At::ListAgain {
                worker.log = NONE;
            }
        });
    }

    /// A log that is there is certainly ours.
    fn adopt(&mut self, slot: usize, log: u8) {
        let at = if self.has(Mutant::AdoptedAsComplete) { At::Finish } else { At::Keep };
        self.step(slot, "lists, and finds it", |worker| {
            worker.log = log;
            worker.at = at;
        });
    }
}
