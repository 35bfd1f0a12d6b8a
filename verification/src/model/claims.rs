//! The start of every invocation: it claims the item, or queues its details for the lease holder.

use call_log::store::{Event, State};

use super::{
    mutant::Mutant,
    scope::{Protocol, Scope},
    state::{
        Contact, Details, Due, Invocation, Item, Lease, ModelState, NO_DETAILS, NO_RECORD, Phase, UPDATES,
    },
    step::Successors,
};

/// Returns the detail that the update in this slot brings.
pub(super) fn detail_of(slot: usize) -> Details {
    1 << (slot - UPDATES.start)
}

impl Successors<'_> {
    /// Adds the steps of the invocation in this slot.
    pub(super) fn invocation(&mut self, slot: usize) {
        let is_naive = self.model.scope.protocol == Protocol::CheckThenAct;
        match self.state.invocations[slot].phase {
            Phase::Done => {}
            _ if is_naive => self.naive(slot),
            Phase::Start if slot < UPDATES.start => self.claim_create(slot),
            Phase::Start if slot < UPDATES.end => self.claim_update(slot),
            Phase::Start => self.redrive(slot),
            Phase::Enqueue => self.enqueue(slot),
            Phase::AwaitHolder => self.await_holder(slot),
            Phase::EnqueueFirst => self.enqueue_first(slot),
            Phase::SweepRead
            | Phase::SweepFind
            | Phase::CheckDelete
            | Phase::SendDelete
            | Phase::AwaitDelete => self.sweep(slot),
            Phase::Read
            | Phase::CheckPatch
            | Phase::SendPatch
            | Phase::AwaitPatch
            | Phase::ReadAfterPatch => self.change(slot),
            Phase::CheckCompletion | Phase::SendCompletion | Phase::AwaitCompletion => self.complete(slot),
            Phase::Find | Phase::CheckPost | Phase::SendPost | Phase::AwaitPost => self.create(slot),
            Phase::Finish
            | Phase::Keep
            | Phase::Failed
            | Phase::OutcomeUnknown
            | Phase::Rejected
            | Phase::Deleted => self.release(slot),
        }
    }

    fn claim_create(&mut self, slot: usize) {
        match self.state.item.state {
            Some(State::Logged | State::Deleted) => self.end(slot, "answers with the record's id"),
            _ if !self.is_claimable() => self.end(slot, "answers that the call is being logged"),
            _ => {
                let contact = self.state.invocations[slot].contact;
                let claim = self.create_claim(contact);
                self.write(slot, "claims the call to create its record", Some(Event::ClaimCreate), |next| {
                    claim(next, slot);
                    next.item.has_payload = true;
                    next.item.payload_contact = contact;
                    next.promised_create = true;
                });
            }
        }
    }

    /// A redrive finds the call in the index of due items.
    fn redrive(&mut self, slot: usize) {
        let item = self.state.item;
        if !self.is_claimable() || item.due == Due::Never {
            return;
        }
        match item.state {
            Some(State::Creating | State::OutcomeUnknown | State::Retry) if item.has_payload => {
                let claim = self.create_claim(item.payload_contact);
                let claims = !self.has(Mutant::RedriveWithoutClaim);
                let event = claims.then_some(Event::ClaimCreate);
                self.write(slot, "claims the due call to create its record", event, |next| {
                    claim(next, slot);
                    if !claims {
                        next.item = item;
                        next.invocations[slot].holds_lease = false;
                    }
                });
            }
            Some(State::Logged) => {
                let has_work = item.queued_details != NO_DETAILS
                    || item.has_payload
                    || item.needs_sweep
                    || item.finish_pending;
                let is_due = match item.due {
                    Due::Soon => true,
                    Due::AtSweep => self.is_sweep_due(),
                    Due::Never => false,
                };
                if is_due && has_work {
                    let claim = self.update_claim(NO_DETAILS);
                    let what = "claims the due call to change its record";
                    self.write(slot, what, Some(Event::ClaimUpdate), |next| claim(next, slot));
                }
                if is_due && item.finish_pending && self.has(Mutant::CompletionWithoutClaim) {
                    let what = "completes the record of the due call without a claim";
                    self.step(slot, what, |invocation| {
                        invocation.record = item.record;
                        invocation.phase = Phase::CheckCompletion;
                    });
                }
                if is_due && (!has_work || self.has(Mutant::SettleWithWork)) {
                    let what = "settles the item: there is nothing to do";
                    self.write(slot, what, None, |next| next.item.due = Due::Never);
                }
            }
            _ => {}
        }
    }

    fn claim_update(&mut self, slot: usize) {
        match self.state.item.state {
            None => self.go(slot, "finds no item", Phase::EnqueueFirst),
            Some(State::Logged | State::Deleted) if self.is_claimable() => {
                let scope = self.model.scope;
                let claim = self.update_claim(detail_of(slot));
                let what = "queues its detail and claims the call to change its record";
                self.write(slot, what, Some(Event::ClaimUpdate), |next| {
                    claim(next, slot);
                    next.promised = scope.overlay(next.promised, detail_of(slot));
                });
            }
            Some(State::Creating) if self.has(Mutant::UpdateClaimsWhileCreating) => {
                let claim = self.update_claim(detail_of(slot));
                let what = "queues its detail and claims the call while its record is created";
                self.write(slot, what, None, |next| {
                    claim(next, slot);
                    next.promised |= detail_of(slot);
                    next.invocations[slot].phase = Phase::Finish;
                });
            }
            Some(_) => self.go(slot, "is refused the claim", Phase::Enqueue),
        }
    }

    fn enqueue(&mut self, slot: usize) {
        let Item { state, lease, .. } = self.state.item;
        // The details of a logged call are queued only while a lease holder is there to write them.
        let has_writer =
            lease != Lease::Free || state != Some(State::Logged) || self.has(Mutant::EnqueueWithoutHolder);
        let is_accepted = state.is_some_and(|state| state != State::Deleted) && has_writer;
        if self.has(Mutant::EnqueueLost) {
            self.write(slot, "answers that its detail is queued", None, |next| {
                next.promised |= detail_of(slot);
                next.end(slot);
            });
        } else if is_accepted {
            let scope = self.model.scope;
            self.write(slot, "queues its detail for the lease holder", Some(Event::Enqueue), |next| {
                queue(next, &scope, detail_of(slot));
                next.invocations[slot].phase = Phase::AwaitHolder;
            });
        } else {
            self.go(slot, "finds that the item has changed", Phase::Start);
        }
    }

    /// Waits until the lease holder has written the detail, or has released the lease without writing it.
    fn await_holder(&mut self, slot: usize) {
        self.end(slot, "stops waiting");
        let item = self.state.item;
        let is_left =
            item.state == Some(State::Logged) && item.applied_version & detail_of(slot) == NO_DETAILS;
        if is_left && item.queued_details != NO_DETAILS && self.is_claimable() {
            let again = if self.has(Mutant::QueuedAgain) { detail_of(slot) } else { NO_DETAILS };
            let claim = self.update_claim(again);
            let what = "claims the call to write the details that were left";
            self.write(slot, what, Some(Event::ClaimUpdate), |next| claim(next, slot));
        }
    }

    fn enqueue_first(&mut self, slot: usize) {
        if self.state.item.state.is_some() && !self.has(Mutant::EnqueueFirstOverwrites) {
            return self.go(slot, "finds that there is an item now", Phase::Start);
        }
        let scope = self.model.scope;
        self.write(slot, "queues its detail in a new item", Some(Event::EnqueueFirst), |next| {
            next.item = Item { state: Some(State::Queued), record: NO_RECORD, ..Item::default() };
            queue(next, &scope, detail_of(slot));
            next.end(slot);
        });
    }

    /// Returns the write of a claim that creates the record.
    fn create_claim(&self, contact: Contact) -> impl FnOnce(&mut ModelState, usize) + use<> {
        let finds_first = !self.has(Mutant::PostWithoutFind);
        let sets_unknown = !self.has(Mutant::UnknownNotSetAtClaim);
        let forgets_earlier = self.has(Mutant::OnlyLastCriteria);
        let keeps_first = self.has(Mutant::OnlyFirstCriteria);
        let takes_queued = !self.has(Mutant::QueuedLeftOut);
        let stays_due = !self.has(Mutant::DueRemovedAtClaim);
        move |next, slot| {
            next.remove_holder();
            let item = &mut next.item;
            let previous_outcome_unknown = item.outcome_unknown;
            item.state = Some(State::Creating);
            item.lease = Lease::Held;
            item.recovery_contacts = match item.recovery_contacts {
                first if keeps_first && first != NO_DETAILS => first,
                _ if forgets_earlier => 1 << contact,
                earlier => earlier | 1 << contact,
            };
            item.outcome_unknown |= sets_unknown;
            item.due = if stays_due { Due::Soon } else { Due::Never };
            item.given_up = false;
            next.invocations[slot] = Invocation {
                phase: if previous_outcome_unknown && finds_first { Phase::Find } else { Phase::CheckPost },
                holds_lease: true,
                previous_outcome_unknown,
                seen_version: item.queued_version,
                details: if takes_queued { item.queued_details } else { NO_DETAILS },
                record: NO_RECORD,
                contact,
                ..Invocation::default()
            };
        }
    }

    /// Returns the write of a claim that changes the record.
    fn update_claim(&self, detail: Details) -> impl FnOnce(&mut ModelState, usize) + use<> {
        let scope = self.model.scope;
        let sweeps = self.is_sweep_due();
        let keeps_flag = !self.has(Mutant::SweepFlagClearedAtClaim);
        let stays_due = !self.has(Mutant::DueRemovedAtClaim);
        move |next, slot| {
            next.remove_holder();
            let item = &mut next.item;
            item.queued_version |= detail;
            item.queued_details = scope.overlay(item.queued_details, detail);
            item.state = Some(State::Logged);
            item.lease = Lease::Held;
            item.due = if stays_due { Due::Soon } else { Due::Never };
            item.given_up = false;
            item.needs_sweep &= !sweeps || keeps_flag;
            next.invocations[slot] = Invocation {
                phase: if sweeps { Phase::SweepRead } else { Phase::Read },
                holds_lease: true,
                seen_version: item.queued_version,
                details: item.queued_details,
                record: item.record,
                ..Invocation::default()
            };
        }
    }
}

/// Queues a detail and promises its caller that it will be in the record.
fn queue(state: &mut ModelState, scope: &Scope, detail: Details) {
    state.item.queued_version |= detail;
    state.item.queued_details = scope.overlay(state.item.queued_details, detail);
    state.promised = scope.overlay(state.promised, detail);
}
