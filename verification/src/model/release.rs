//! The end of every attempt: what became of it, and who goes on when.

use call_log::store::{Event, State};

use super::{
    claims::fact,
    mutant::Mutant,
    state::{At, Due, Item, Lease, NONE, NOTHING, UPDATES},
    step::Successors,
};

impl Successors<'_> {
    pub fn release(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        if !self.is_owner(slot) {
            if worker.at == At::Keep && self.has(Mutant::LostLeaseGoesOn) {
                return self.go(slot, "is refused: it no longer owns the item; it goes on", At::Get);
            }
            return self.end(slot, "is refused: it no longer owns the item");
        }
        match worker.at {
            At::Finish => self.finish(slot),
            At::Keep => self.keep(slot),
            At::Failed => self.failed(slot),
            At::Unanswered => self.unanswered(slot),
            At::Refused if self.world.item.state == Some(State::Logged) => self.refused(slot),
            At::Refused => self.give_up(slot),
            At::Gone => self.gone(slot),
            _ => {}
        }
    }

    fn finish(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let forgets_all = self.has(Mutant::FinishForgetsAll);
        let looks = !self.has(Mutant::ReleaseIgnoresNewWants) && !forgets_all;
        if looks && self.world.item.noted != worker.seen {
            return self.go(slot, "is refused the finish: more is wanted", At::Keep);
        }
        let is_made = self.world.item.state == Some(State::Logged);
        if looks && is_made && self.world.item.waiting & !worker.facts != NOTHING {
            return self.write(
                slot,
                "notes what is written, and keeps the lease",
                Some(Event::Keep),
                |next| {
                    next.item.waiting &= !worker.facts;
                    let worker = &mut next.workers[slot];
                    worker.facts = next.item.waiting;
                    worker.at = At::Get;
                },
            );
        }
        let is_flagged = !self.has(Mutant::AuditNeverFlagged);
        let leaves_out = self.has(Mutant::ParkedLeftOut) && self.world.item.state == Some(State::Creating);
        self.write(slot, "finishes", Some(Event::Finish), |next| {
            next.disown();
            let item = &mut next.item;
            item.state = Some(State::Logged);
            item.log = worker.log;
            item.ambiguous = false;
            item.done = worker.seen;
            item.waiting &= if forgets_all || leaves_out { NOTHING } else { !worker.facts };
            item.audit = !worker.has_audited && (item.audit || worker.was_ambiguous && is_flagged);
            item.due = if item.audit { Due::AtAudit } else { Due::Never };
            item.payload = false;
            item.lease = Lease::Free;
            tidy(item);
            next.end(slot);
        });
    }

    fn keep(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let is_flagged = !self.has(Mutant::AuditNeverFlagged) && !self.has(Mutant::KeepForgetsAudit);
        let says_done = self.has(Mutant::DoneTooFar);
        let lets_go = self.has(Mutant::KeepDropsLease);
        self.write(slot, "stores the log's id and keeps the lease", Some(Event::Keep), |next| {
            let item = &mut next.item;
            item.state = Some(State::Logged);
            item.log = worker.log;
            item.ambiguous = false;
            item.audit = !worker.has_audited && (item.audit || worker.was_ambiguous && is_flagged);
            tidy(item);
            if says_done {
                item.done = item.noted;
            }
            if lets_go {
                item.lease = Lease::Free;
            }
            let worker = &mut next.workers[slot];
            worker.was_ambiguous = false;
            worker.seen = item.noted;
            worker.facts = item.waiting;
            worker.at = At::Get;
        });
    }

    fn failed(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let item = self.world.item;
        let is_made = item.state == Some(State::Logged);
        let knows = worker.seen & !item.done != NOTHING || item.payload || item.audit && !worker.has_audited;
        let forgets_due = self.has(Mutant::DueMissingAfterFailure)
            || self.has(Mutant::ForgottenWhatCame) && is_made && !knows;
        let forgets_ambiguity = self.has(Mutant::AmbiguityLostOnFailure);
        let stays_ambiguous = self.has(Mutant::AmbiguityStays);
        let drops_payload = self.has(Mutant::PayloadDroppedOnFailure);
        self.write(slot, "lets go: nothing was changed", Some(Event::Failed), |next| {
            next.disown();
            let item = &mut next.item;
            if !is_made {
                item.state = Some(State::Retry);
                item.ambiguous = worker.was_ambiguous && !forgets_ambiguity || stays_ambiguous;
            }
            item.lease = Lease::Free;
            item.due = if forgets_due { Due::Never } else { Due::Soon };
            item.payload &= !drops_payload;
            tidy(item);
            next.end(slot);
        });
        if self.model.scope.gives_up {
            self.give_up(slot);
        }
    }

    /// The CRM does not take these facts, and never will: whoever brought them is told so.
    fn refused(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        // The owner's caller is told, too.
        let told = match self.model.scope.refused {
            NOTHING => worker.facts,
            refused if UPDATES.contains(&slot) => refused | fact(slot),
            refused => refused,
        };
        let forgets_all = self.has(Mutant::RefusalForgetsAll);
        let is_all = self.world.item.noted == worker.seen || forgets_all;
        let what = if is_all { "lets go, and forgets what was refused" } else { "lets go: more is wanted" };
        self.write(slot, what, Some(Event::Failed), |next| {
            next.disown();
            let item = &mut next.item;
            if is_all {
                next.promised &= !told;
                item.waiting &= if forgets_all { NOTHING } else { !worker.facts };
            }
            item.due = match item.waiting {
                NOTHING if item.audit => Due::AtAudit,
                NOTHING => Due::Never,
                _ => Due::Soon,
            };
            item.payload = false;
            item.lease = Lease::Free;
            next.end(slot);
        });
    }

    fn give_up(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let forgets_ambiguity = self.has(Mutant::AmbiguityLostWhenGivenUp);
        // What came meanwhile has not been tried for long.
        let is_all = self.world.item.noted == worker.seen;
        let gives_up_all = self.has(Mutant::GivenUpWithWhatCame);
        self.write(slot, "gives up", Some(Event::GivenUp), |next| {
            next.disown();
            let item = &mut next.item;
            let is_made = item.state == Some(State::Logged);
            if !is_made {
                item.state = Some(State::DeadLetter);
                item.ambiguous = worker.was_ambiguous && !forgets_ambiguity;
            }
            item.lease = Lease::Free;
            let is_given_up = is_all || !is_made;
            item.due = match is_given_up || gives_up_all {
                false => Due::Soon,
                true if is_made && item.audit => Due::AtAudit,
                true => Due::Never,
            };
            item.given_up = is_given_up;
            tidy(item);
            next.end(slot);
        });
    }

    fn unanswered(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let forgets_due = self.has(Mutant::DueMissingWhenUnanswered);
        let forgets_ambiguity = self.has(Mutant::AmbiguityLostWhenUnanswered);
        let lets_patch_go = self.has(Mutant::AmbiguousPatchLetsGo);
        self.write(slot, "lets go: nobody knows", Some(Event::OutcomeUnknown), |next| {
            next.disown();
            let item = &mut next.item;
            let is_made = item.state == Some(State::Logged);
            if !is_made {
                item.state = Some(State::OutcomeUnknown);
                item.ambiguous = if forgets_ambiguity { worker.was_ambiguous } else { true };
            }
            item.lease = if is_made && lets_patch_go { Lease::Free } else { Lease::Grace };
            item.due = if forgets_due { Due::Never } else { Due::Soon };
            next.end(slot);
        });
    }

    fn gone(&mut self, slot: usize) {
        let recreates = self.has(Mutant::GoneRecreated);
        self.write(slot, "lets go: the log was deleted", Some(Event::Deleted), |next| {
            next.disown();
            let item = &mut next.item;
            *item = Item { state: Some(State::Deleted), waiting: NOTHING, ..*item };
            item.lease = Lease::Free;
            item.due = Due::Never;
            item.audit = false;
            item.payload = false;
            tidy(item);
            if recreates {
                *item = Item { state: Some(State::Retry), log: NONE, due: Due::Soon, payload: true, ..*item };
            }
            next.end(slot);
        });
    }
}

/// What nothing is looked for by any more is forgotten, and so is whom a payload named that is no longer kept.
fn tidy(item: &mut Item) {
    if !item.ambiguous && !item.audit {
        item.sought = NOTHING;
    }
    if !item.payload {
        item.contact = 0;
    }
}
