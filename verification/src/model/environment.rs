//! The steps that no invocation takes itself: writes land or are lost, time passes, invocations crash, people act.

use call_log::{
    adapters::Finish,
    store::{Event, State},
};

use super::{
    mutant::Mutant,
    scope::{LateWrites, Scope},
    state::{CrmRecord, CrmWrite, Due, Lease, Method, ModelState, Phase, RECORDS, SLOTS},
    step::{Actor, Nature, Step, Successors},
};

/// The effect of a write in the CRM.
enum Landed {
    /// The write took effect on this record.
    Done(u8),
    /// The record has changed since it was read, or does not exist. The sender goes on in this phase.
    NotDone(Phase),
}

/// Carries out a write in the CRM.
fn land(state: &mut ModelState, write: CrmWrite, scope: &Scope) -> Landed {
    match write.method {
        Method::Post => match state.records.iter().position(|record| *record == CrmRecord::Absent) {
            Some(free) => {
                state.records[free] = CrmRecord::Live(write.body);
                state.record_contacts[free] = write.contact;
                Landed::Done(free as u8)
            }
            None => {
                state.overflow = true;
                Landed::NotDone(Phase::Failed)
            }
        },
        Method::Patch => match state.body(write.record) {
            None => Landed::NotDone(Phase::Deleted),
            Some(body) if scope.has_compare_and_set && body != write.read => Landed::NotDone(Phase::Read),
            Some(_) => {
                state.records[usize::from(write.record)] = CrmRecord::Live(write.body);
                if scope.finish == Finish::AfterEachChange {
                    state.completions[usize::from(write.record)] = 0;
                }
                Landed::Done(write.record)
            }
        },
        Method::Complete => match state.body(write.record) {
            None => Landed::NotDone(Phase::Deleted),
            Some(_) => {
                // The sender has seen no time entry, so it adds one. Closing twice is closing once.
                let completions = &mut state.completions[usize::from(write.record)];
                *completions = match scope.finish {
                    Finish::WithDuration => *completions + 1,
                    _ => 1,
                };
                Landed::Done(write.record)
            }
        },
        Method::Delete => {
            if usize::from(write.record) < RECORDS {
                state.records[usize::from(write.record)] = CrmRecord::Deleted;
            }
            Landed::Done(write.record)
        }
    }
}

impl Successors<'_> {
    /// Adds the steps that no invocation takes itself.
    pub(super) fn environment(&mut self) {
        self.writes_land();
        self.time_passes();
        self.invocations_crash();
        self.people_act();
    }

    fn writes_land(&mut self) {
        let scope = self.model.scope;
        let step = |actor, what| Step { actor, what, nature: Nature::Progress, event: None };
        for index in 0..self.state.abandoned.len() {
            let Some(write) = self.state.abandoned[index] else { continue };
            self.push(step(Actor::Network, "an abandoned write reaches the CRM"), |next| {
                next.abandoned[index] = None;
                land(next, write, &scope);
            });
            let is_lost = step(Actor::Network, "an abandoned write is lost");
            self.push(is_lost, |next| next.abandoned[index] = None);
        }
        for slot in 0..SLOTS {
            let Some(write) = self.state.in_flight(slot) else { continue };
            let arrives = step(Actor::Invocation(slot), "has its write reach the CRM");
            self.push(arrives, |next| match land(next, write, &scope) {
                Landed::Done(record) => {
                    let invocation = &mut next.invocations[slot];
                    invocation.has_landed = true;
                    if write.method == Method::Post {
                        invocation.record = record;
                    }
                }
                Landed::NotDone(phase) => next.invocations[slot].phase = phase,
            });
        }
    }

    fn time_passes(&mut self) {
        let passes = |what| Step { actor: Actor::Time, what, nature: Nature::Progress, event: None };
        let faults = self.state.faults;
        match self.state.item.lease {
            Lease::Free => {}
            Lease::Held => {
                match self.state.invocations.iter().position(|invocation| invocation.holds_lease) {
                    None => self.push(passes("the deadline of the crashed lease holder passes"), |next| {
                        next.item.lease = Lease::Grace;
                    }),
                    Some(slot) if faults.pauses > 0 && !self.state.invocations[slot].is_late => {
                        let pauses = Step {
                            actor: Actor::Invocation(slot),
                            ..passes("pauses until its deadline has passed")
                        };
                        self.push(pauses, |next| {
                            next.faults.pauses -= 1;
                            next.item.lease = Lease::Grace;
                            next.invocations[slot].is_late = true;
                        });
                    }
                    Some(_) => {}
                }
            }
            Lease::Grace => {
                let late_method = match self.model.scope.late {
                    LateWrites::Posts => Method::Post,
                    LateWrites::Patches => Method::Patch,
                };
                if self.state.pending().next().is_none() {
                    self.push(passes("the grace ends"), |next| next.item.lease = Lease::Free);
                } else if faults.late_writes > 0 && self.state.pending().all(|method| method == late_method) {
                    let ends_early =
                        passes("the grace ends while a write may still land: the assumption is broken");
                    self.push(ends_early, |next| {
                        next.faults.late_writes -= 1;
                        next.item.lease = Lease::Free;
                    });
                }
            }
        }
    }

    fn invocations_crash(&mut self) {
        if self.state.faults.crashes == 0 {
            return;
        }
        for slot in 0..SLOTS {
            // A crash before the claim leaves nothing behind.
            let has_claimed = !matches!(
                self.state.invocations[slot].phase,
                Phase::Done | Phase::Start | Phase::Enqueue | Phase::AwaitHolder | Phase::EnqueueFirst
            );
            if !has_claimed {
                continue;
            }
            let actor = Actor::Invocation(slot);
            let forgets_pending = self.has(Mutant::PendingForgotten);
            let crashes = Step { actor, what: "crashes", nature: Nature::Chance, event: None };
            self.push(crashes, |next| {
                next.faults.crashes -= 1;
                next.item.finish_pending &= !forgets_pending;
                next.abandon(slot);
                next.end(slot);
            });
        }
    }

    fn people_act(&mut self) {
        let item = self.state.item;
        let acts = |what, event| Step { actor: Actor::Person, what, nature: Nature::Chance, event };
        if self.state.faults.deletions > 0
            && item.state == Some(State::Logged)
            && self.state.body(item.record).is_some()
        {
            self.push(acts("deletes the record in the CRM", None), |next| {
                next.faults.deletions -= 1;
                next.records[usize::from(item.record)] = CrmRecord::Deleted;
            });
        }
        if !item.given_up || item.due != Due::Never {
            return;
        }
        let rearms = acts("has delivery tried again", Some(Event::Rearm));
        let remembers = !self.has(Mutant::RearmForgetsUnknown);
        match item.state {
            Some(State::DeadLetter) => self.push(rearms, |next| {
                next.item.outcome_unknown &= remembers;
                next.item.state = Some(State::Retry);
                next.item.due = Due::Soon;
                next.item.given_up = false;
            }),
            Some(State::Logged) => self.push(rearms, |next| {
                next.item.due = Due::Soon;
                next.item.given_up = false;
            }),
            _ => {}
        }
    }
}
