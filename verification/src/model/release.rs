//! The end of every attempt: the result that it stores, and when the next invocation continues.

use call_log::{
    adapters::Finish,
    store::{Event, State},
};

use super::{
    claims::detail_of,
    mutant::Mutant,
    state::{Due, Item, Lease, NO_DETAILS, NO_RECORD, Phase, UPDATES},
    step::Successors,
};

impl Successors<'_> {
    /// Adds the steps of an invocation that stores its result.
    pub(super) fn release(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        if !self.may_write(slot) {
            if invocation.phase == Phase::Keep && self.has(Mutant::LostLeaseContinues) {
                return self.go(slot, "is refused: it has lost the lease; it continues", Phase::Read);
            }
            return self.end(slot, "is refused: it has lost the lease");
        }
        match invocation.phase {
            Phase::Finish => self.finish(slot),
            Phase::Keep => self.keep(slot),
            Phase::Failed => self.release_failed(slot),
            Phase::OutcomeUnknown => self.release_unknown(slot),
            Phase::Rejected if self.state.item.state == Some(State::Logged) => self.release_rejected(slot),
            Phase::Rejected => self.give_up(slot),
            Phase::Deleted => self.release_deleted(slot),
            _ => {}
        }
    }

    fn finish(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let forgets_all = self.has(Mutant::FinishForgetsQueued);
        let checks = !self.has(Mutant::FinishUnconditionally) && !forgets_all;
        if checks && self.state.item.queued_version != invocation.seen_version {
            return self.go(slot, "is refused the finish: more is queued", Phase::Keep);
        }
        let is_logged = self.state.item.state == Some(State::Logged);
        if checks && is_logged && self.state.item.queued_details & !invocation.details != NO_DETAILS {
            let what = "stores which details are written, and keeps the lease";
            return self.write(slot, what, Some(Event::Keep), |next| {
                next.item.queued_details &= !invocation.details;
                let invocation = &mut next.invocations[slot];
                invocation.details = next.item.queued_details;
                invocation.phase = Phase::Read;
            });
        }
        let flags_sweep = !self.has(Mutant::SweepNeverFlagged);
        let leaves_out = self.has(Mutant::QueuedLeftOut) && self.state.item.state == Some(State::Creating);
        let finishes_early = self.has(Mutant::ReleasedBeforeCompletion)
            && self.model.scope.finish != Finish::None
            && !is_logged;
        self.write(slot, "finishes", Some(Event::Finish), |next| {
            next.remove_holder();
            let item = &mut next.item;
            item.state = Some(State::Logged);
            item.record = invocation.record;
            item.outcome_unknown = false;
            item.applied_version = invocation.seen_version;
            item.queued_details &= if forgets_all || leaves_out { NO_DETAILS } else { !invocation.details };
            item.needs_sweep = !invocation.has_swept
                && (item.needs_sweep || invocation.previous_outcome_unknown && flags_sweep);
            item.finish_pending &= !invocation.has_completed;
            item.due = if item.needs_sweep { Due::AtSweep } else { Due::Never };
            item.has_payload = false;
            item.lease = Lease::Free;
            forget_unused(item);
            if finishes_early {
                item.finish_pending = true;
                item.due = Due::Soon;
                next.invocations[slot].phase = Phase::CheckCompletion;
                return;
            }
            next.end(slot);
        });
    }

    fn keep(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let flags_sweep = !self.has(Mutant::SweepNeverFlagged) && !self.has(Mutant::KeepForgetsSweep);
        let applies_all = self.has(Mutant::KeepAppliesQueued);
        let drops_lease = self.has(Mutant::KeepDropsLease);
        let finish = self.model.scope.finish;
        let was_logged = self.state.item.state == Some(State::Logged);
        self.write(slot, "stores the record's id and keeps the lease", Some(Event::Keep), |next| {
            let item = &mut next.item;
            item.state = Some(State::Logged);
            item.record = invocation.record;
            item.outcome_unknown = false;
            item.needs_sweep = !invocation.has_swept
                && (item.needs_sweep || invocation.previous_outcome_unknown && flags_sweep);
            forget_unused(item);
            item.finish_pending = if was_logged {
                item.finish_pending && !invocation.has_completed
            } else {
                finish != Finish::None
            };
            if applies_all {
                item.applied_version = item.queued_version;
            }
            if drops_lease {
                item.lease = Lease::Free;
            }
            let invocation = &mut next.invocations[slot];
            invocation.previous_outcome_unknown = false;
            invocation.seen_version = item.queued_version;
            invocation.details = item.queued_details;
            invocation.has_completed = false;
            invocation.phase = Phase::Read;
        });
    }

    fn release_failed(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let item = self.state.item;
        let is_logged = item.state == Some(State::Logged);
        let knows_work = invocation.seen_version & !item.applied_version != NO_DETAILS
            || item.has_payload
            || item.finish_pending
            || item.needs_sweep && !invocation.has_swept;
        let forgets_due = self.has(Mutant::NotDueAfterFailure)
            || self.has(Mutant::FailureForgetsArrivals) && is_logged && !knows_work;
        let forgets_unknown = self.has(Mutant::FailureForgetsUnknown);
        let stays_unknown = self.has(Mutant::UnknownStays);
        let drops_payload = self.has(Mutant::FailureDropsPayload);
        let forgets_pending = self.has(Mutant::FailureForgetsPending);
        self.write(slot, "releases the lease: nothing was changed", Some(Event::Failed), |next| {
            next.remove_holder();
            let item = &mut next.item;
            if !is_logged {
                item.state = Some(State::Retry);
                item.outcome_unknown =
                    invocation.previous_outcome_unknown && !forgets_unknown || stays_unknown;
            }
            item.lease = Lease::Free;
            let only_pending = item.finish_pending && item.queued_details == NO_DETAILS;
            item.due = if forgets_due || forgets_pending && only_pending { Due::Never } else { Due::Soon };
            item.has_payload &= !drops_payload;
            forget_unused(item);
            next.end(slot);
        });
        if self.model.scope.gives_up {
            self.give_up(slot);
        }
    }

    /// The CRM will never accept these details. The responses to their callers say so, and the promise ends.
    fn release_rejected(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        // The response to the lease holder's own caller says so as well.
        let rejected = match self.model.scope.rejected {
            NO_DETAILS => invocation.details,
            rejected if UPDATES.contains(&slot) => rejected | detail_of(slot),
            rejected => rejected,
        };
        let forgets_all = self.has(Mutant::RejectionForgetsQueued);
        let is_all = self.state.item.queued_version == invocation.seen_version || forgets_all;
        let what = if is_all {
            "releases the lease, and removes the rejected details"
        } else {
            "releases the lease: more is queued"
        };
        self.write(slot, what, Some(Event::Failed), |next| {
            next.remove_holder();
            let item = &mut next.item;
            if is_all {
                next.promised &= !rejected;
                item.queued_details &= if forgets_all { NO_DETAILS } else { !invocation.details };
            }
            item.due = match item.queued_details {
                NO_DETAILS if item.finish_pending => Due::Soon,
                NO_DETAILS if item.needs_sweep => Due::AtSweep,
                NO_DETAILS => Due::Never,
                _ => Due::Soon,
            };
            item.has_payload = false;
            item.lease = Lease::Free;
            next.end(slot);
        });
    }

    fn give_up(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let forgets_unknown = self.has(Mutant::GiveUpForgetsUnknown);
        // Details that were queued during the attempt have not been tried yet.
        let is_all = self.state.item.queued_version == invocation.seen_version;
        let gives_up_all = self.has(Mutant::ArrivalsGivenUp);
        self.write(slot, "gives up", Some(Event::GivenUp), |next| {
            next.remove_holder();
            let item = &mut next.item;
            let is_logged = item.state == Some(State::Logged);
            if !is_logged {
                item.state = Some(State::DeadLetter);
                item.outcome_unknown = invocation.previous_outcome_unknown && !forgets_unknown;
            }
            item.lease = Lease::Free;
            let is_given_up = is_all || !is_logged;
            item.due = match is_given_up || gives_up_all {
                false => Due::Soon,
                true if is_logged && item.needs_sweep => Due::AtSweep,
                true => Due::Never,
            };
            item.given_up = is_given_up;
            forget_unused(item);
            next.end(slot);
        });
    }

    fn release_unknown(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let forgets_due = self.has(Mutant::NotDueWhenUnknown);
        let forgets_unknown = self.has(Mutant::UnansweredForgetsUnknown);
        let frees_lease = self.has(Mutant::UnansweredPatchFreesLease);
        let what = "starts the grace: the outcome is unknown";
        self.write(slot, what, Some(Event::OutcomeUnknown), |next| {
            next.remove_holder();
            let item = &mut next.item;
            let is_logged = item.state == Some(State::Logged);
            if !is_logged {
                item.state = Some(State::OutcomeUnknown);
                item.outcome_unknown =
                    if forgets_unknown { invocation.previous_outcome_unknown } else { true };
            }
            item.lease = if is_logged && frees_lease { Lease::Free } else { Lease::Grace };
            item.due = if forgets_due { Due::Never } else { Due::Soon };
            next.end(slot);
        });
    }

    fn release_deleted(&mut self, slot: usize) {
        let recreates = self.has(Mutant::DeletedRecreated);
        self.write(slot, "releases the lease: the record was deleted", Some(Event::Deleted), |next| {
            next.remove_holder();
            let item = &mut next.item;
            item.state = Some(State::Deleted);
            item.queued_details = NO_DETAILS;
            item.lease = Lease::Free;
            item.due = Due::Never;
            item.needs_sweep = false;
            item.finish_pending = false;
            item.has_payload = false;
            forget_unused(item);
            if recreates {
                item.state = Some(State::Retry);
                item.record = NO_RECORD;
                item.due = Due::Soon;
                item.has_payload = true;
            }
            next.end(slot);
        });
    }
}

/// Removes the recovery contacts if nothing is searched by them any more, and the contact of a payload that is not kept.
fn forget_unused(item: &mut Item) {
    if !item.outcome_unknown && !item.needs_sweep {
        item.recovery_contacts = NO_DETAILS;
    }
    if !item.has_payload {
        item.payload_contact = 0;
    }
}
