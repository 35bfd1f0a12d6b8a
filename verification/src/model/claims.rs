//! The beginning of every invocation: taking the right to touch the CRM, or noting facts for whoever has it.

use call_log::store::{Event, State};

use super::{
    mutant::Mutant,
    scope::{Protocol, Scope},
    state::{At, CallDetails, Contact, Due, Item, Lease, NONE, NOTHING, UPDATES, Worker, World},
    step::Successors,
};

/// The fact that an update's slot brings.
pub fn fact(slot: usize) -> CallDetails {
    1 << (slot - UPDATES.start)
}

impl Successors<'_> {
    pub fn worker(&mut self, slot: usize) {
        let is_naive = self.model.scope.protocol == Protocol::CheckThenAct;
        match self.world.workers[slot].at {
            At::Done => {}
            _ if is_naive => self.naive(slot),
            At::Start if slot < UPDATES.start => self.claim_create(slot),
            At::Start if slot < UPDATES.end => self.claim_update(slot),
            At::Start => self.redrive(slot),
            At::Enqueue => self.enqueue(slot),
            At::Look => self.look(slot),
            At::Park => self.park(slot),
            At::AuditGet | At::AuditList | At::DeleteCheck | At::DeleteSend | At::DeleteWait => {
                self.audit(slot)
            }
            At::Get | At::PatchCheck | At::PatchSend | At::PatchWait | At::GetAgain => self.change(slot),
            At::List | At::PostCheck | At::PostSend | At::PostWait | At::ListAgain => self.create(slot),
            At::Finish | At::Keep | At::Failed | At::Unanswered | At::Refused | At::Gone => {
                self.release(slot)
            }
        }
    }

    fn claim_create(&mut self, slot: usize) {
        let item = self.world.item;
        match item.state {
            Some(State::Logged | State::Deleted) => self.end(slot, "is told the log's id"),
            _ if !self.is_free() => self.end(slot, "is told that it is being logged"),
            _ => {
                let contact = self.world.workers[slot].contact;
                let take = self.taking_to_create(contact);
                self.write(slot, "claims the right to create", Some(Event::ClaimCreate), |next| {
                    take(next, slot);
                    next.item.payload = true;
                    next.item.contact = contact;
                    next.promised_create = true;
                });
            }
        }
    }

    /// A redrive finds the call in the index of what is due.
    fn redrive(&mut self, slot: usize) {
        let item = self.world.item;
        if !self.is_free() || item.due == Due::Never {
            return;
        }
        match item.state {
            Some(State::Creating | State::OutcomeUnknown | State::Retry) if item.payload => {
                let take = self.taking_to_create(item.contact);
                let claims = !self.has(Mutant::RedriveWithoutClaim);
                let event = claims.then_some(Event::ClaimCreate);
                self.write(slot, "claims the right to create what is due", event, |next| {
                    take(next, slot);
                    if !claims {
                        next.item = item;
                        next.workers[slot].owns = false;
                    }
                });
            }
            Some(State::Logged) => {
                let is_wanted = item.waiting != NOTHING || item.payload || item.audit;
                let is_due = match item.due {
                    Due::Soon => true,
                    Due::AtAudit => self.is_audit_ripe(),
                    Due::Never => false,
                };
                if is_due && is_wanted {
                    let take = self.taking_to_update(NOTHING);
                    self.write(
                        slot,
                        "claims the right to change what is due",
                        Some(Event::ClaimUpdate),
                        |next| {
                            take(next, slot);
                        },
                    );
                }
                if is_due && (!is_wanted || self.has(Mutant::SetAsideUnseen)) {
                    self.write(slot, "sets aside what needs nothing", None, |next| {
                        next.item.due = Due::Never
                    });
                }
            }
            _ => {}
        }
    }

    fn claim_update(&mut self, slot: usize) {
        let item = self.world.item;
        match item.state {
            None => self.go(slot, "finds nothing known of the call", At::Park),
            Some(State::Deleted) => self.end(slot, "is told that the log was deleted"),
            Some(State::Logged) if self.is_free() => {
                let scope = self.model.scope;
                let take = self.taking_to_update(fact(slot));
                self.write(
                    slot,
                    "notes its fact and claims the right to change",
                    Some(Event::ClaimUpdate),
                    |next| {
                        take(next, slot);
                        next.promised = scope.overlay(next.promised, fact(slot));
                    },
                );
            }
            Some(State::Creating) if self.has(Mutant::UpdateClaimsWhilePosting) => {
                let take = self.taking_to_update(fact(slot));
                self.write(slot, "notes its fact and claims what is being created", None, |next| {
                    take(next, slot);
                    next.promised |= fact(slot);
                    next.workers[slot].at = At::Finish;
                });
            }
            Some(_) => self.go(slot, "is refused the claim", At::Enqueue),
        }
    }

    fn enqueue(&mut self, slot: usize) {
        let Item { state, lease, .. } = self.world.item;
        let has_taker =
            lease != Lease::Free || state != Some(State::Logged) || self.has(Mutant::EnqueueWhenFree);
        let is_noted = state.is_some_and(|state| state != State::Deleted) && has_taker;
        if self.has(Mutant::EnqueueLost) {
            self.write(slot, "answers that its fact is noted", None, |next| {
                next.promised |= fact(slot);
                next.end(slot);
            });
        } else if is_noted {
            let scope = self.model.scope;
            self.write(slot, "notes its fact for whoever is at it", Some(Event::Enqueue), |next| {
                note(next, &scope, fact(slot));
                next.workers[slot].at = At::Look;
            });
        } else {
            self.go(slot, "finds the item changed", At::Start);
        }
    }

    /// Whether the owner has written it, or let go without.
    fn look(&mut self, slot: usize) {
        self.end(slot, "waits no longer");
        let item = self.world.item;
        let is_left = item.state == Some(State::Logged) && item.done & fact(slot) == NOTHING;
        if is_left && item.waiting != NOTHING && self.is_free() {
            let again = if self.has(Mutant::NotedAgain) { fact(slot) } else { NOTHING };
            let take = self.taking_to_update(again);
            self.write(slot, "claims the right to change what was left", Some(Event::ClaimUpdate), |next| {
                take(next, slot);
            });
        }
    }

    fn park(&mut self, slot: usize) {
        if self.world.item.state.is_some() && !self.has(Mutant::ParkOverwrites) {
            return self.go(slot, "finds an item by now", At::Start);
        }
        let scope = self.model.scope;
        self.write(slot, "parks its fact", Some(Event::EnqueueFirst), |next| {
            next.item = Item { state: Some(State::Queued), log: NONE, ..Item::default() };
            note(next, &scope, fact(slot));
            next.end(slot);
        });
    }

    /// What a claim to create writes.
    fn taking_to_create(&self, contact: Contact) -> impl FnOnce(&mut World, usize) + use<> {
        let looks_first = !self.has(Mutant::RepostBlindly);
        let says_ambiguous = !self.has(Mutant::AmbiguityNotSetAtClaim);
        let forgets_sought = self.has(Mutant::SoughtForgotten);
        let keeps_first = self.has(Mutant::SoughtIsTheFirst);
        let takes_parked = !self.has(Mutant::ParkedLeftOut);
        let stays_due = !self.has(Mutant::DueRemovedAtClaim);
        move |next, slot| {
            next.disown();
            let item = &mut next.item;
            let was_ambiguous = item.ambiguous;
            item.state = Some(State::Creating);
            item.lease = Lease::Held;
            item.sought = match item.sought {
                first if keeps_first && first != NOTHING => first,
                _ if forgets_sought => 1 << contact,
                others => others | 1 << contact,
            };
            item.ambiguous |= says_ambiguous;
            item.due = if stays_due { Due::Soon } else { Due::Never };
            item.given_up = false;
            next.workers[slot] = Worker {
                at: if was_ambiguous && looks_first { At::List } else { At::PostCheck },
                owns: true,
                was_ambiguous,
                seen: item.noted,
                facts: if takes_parked { item.waiting } else { NOTHING },
                log: NONE,
                contact,
                ..Worker::default()
            };
        }
    }

    /// What a claim to update writes.
    fn taking_to_update(&self, fact: CallDetails) -> impl FnOnce(&mut World, usize) + use<> {
        let scope = self.model.scope;
        let audits = self.is_audit_ripe();
        let keeps_flag = !self.has(Mutant::AuditFlagClearedAtStart);
        let stays_due = !self.has(Mutant::DueRemovedAtClaim);
        move |next, slot| {
            next.disown();
            let item = &mut next.item;
            item.noted |= fact;
            item.waiting = scope.overlay(item.waiting, fact);
            item.lease = Lease::Held;
            item.due = if stays_due { Due::Soon } else { Due::Never };
            item.given_up = false;
            item.audit &= !audits || keeps_flag;
            next.workers[slot] = Worker {
                at: if audits { At::AuditGet } else { At::Get },
                owns: true,
                seen: item.noted,
                facts: item.waiting,
                log: item.log,
                ..Worker::default()
            };
        }
    }
}

/// A fact that waits, and that its caller was told does.
fn note(world: &mut World, scope: &Scope, fact: CallDetails) {
    world.item.noted |= fact;
    world.item.waiting = scope.overlay(world.item.waiting, fact);
    world.promised = scope.overlay(world.promised, fact);
}
