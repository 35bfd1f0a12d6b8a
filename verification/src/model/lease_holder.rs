//! The steps of a lease holder in the CRM: it creates, finds, reads and changes the record.

use call_log::adapters::Finish;

use super::{
    mutant::Mutant,
    state::{NO_DETAILS, Phase},
    step::Successors,
};

impl Successors<'_> {
    /// Adds the steps of an invocation that creates the record.
    pub(super) fn create(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        // The search uses the contact of this attempt first, then those of earlier attempts.
        let own = self.state.live_for(1 << invocation.contact).next().map(|_| 1 << invocation.contact);
        let earlier =
            if invocation.previous_outcome_unknown { self.state.item.recovery_contacts } else { NO_DETAILS };
        let mut found = self.state.live_for(own.unwrap_or(earlier));
        let found = if self.has(Mutant::AdoptsTheLast) { found.last() } else { found.next() };
        match invocation.phase {
            Phase::Find => {
                self.go(slot, "cannot list the CRM's records", Phase::Failed);
                if invocation.is_late {
                    return;
                }
                match found {
                    None => self.go(slot, "lists: there is no record", Phase::CheckPost),
                    Some(record) => {
                        self.adopt(slot, record);
                        if self.state.faults.stale_lists > 0 {
                            self.write(slot, "lists, and the list is stale", None, |next| {
                                next.faults.stale_lists -= 1;
                                next.invocations[slot].phase = Phase::CheckPost;
                            });
                        }
                    }
                }
            }
            Phase::CheckPost => self.check_deadline(slot, Phase::SendPost),
            Phase::SendPost if invocation.details & self.model.scope.rejected != NO_DETAILS => {
                self.step(slot, "has its queued details rejected, and tries without them", |invocation| {
                    invocation.details = NO_DETAILS;
                    invocation.phase = Phase::CheckPost;
                });
            }
            Phase::SendPost => {
                self.go(slot, "sends a POST", Phase::AwaitPost);
                self.go(slot, "does not reach the CRM, or is refused", Phase::Failed);
                if self.model.scope.gives_up {
                    self.go(slot, "has its data rejected", Phase::Rejected);
                }
            }
            Phase::AwaitPost => {
                if invocation.has_landed {
                    // Without the queued details the record is not complete.
                    let is_incomplete = self.model.scope.rejected != NO_DETAILS
                        && invocation.details != invocation.seen_version;
                    let keeps = is_incomplete
                        || self.model.scope.finish != Finish::None
                            && !self.has(Mutant::ReleasedBeforeCompletion);
                    let phase = if keeps { Phase::Keep } else { Phase::Finish };
                    self.receive_response(slot, "gets the response: the record is created", phase);
                }
                let counts_as_failure = self.has(Mutant::UnansweredPostIsFailure);
                self.lose_response(
                    slot,
                    if counts_as_failure { Phase::Failed } else { Phase::OutcomeUnknown },
                );
            }
            _ => {}
        }
    }

    /// Adds the steps of an invocation that brings the record up to date.
    pub(super) fn change(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let body = self.state.body(invocation.record);
        match invocation.phase {
            Phase::Read => {
                self.go(slot, "cannot read the record", Phase::Failed);
                match body {
                    _ if invocation.is_late => {}
                    None => self.go(slot, "reads: the record is gone", Phase::Deleted),
                    Some(body) if invocation.details & !body == NO_DETAILS => {
                        let phase = self.after_change(slot);
                        self.go(slot, "reads: there is nothing to change", phase);
                    }
                    Some(_) if self.reopens_unnoticed() => self.mark_pending(slot),
                    Some(body) => {
                        // The merge keeps everything except an older value of the same detail.
                        let replaces = self.has(Mutant::PatchWithoutRead) || self.model.scope.has_one_detail;
                        let read = if replaces { NO_DETAILS } else { body };
                        self.step(slot, "reads the record, and merges", |invocation| {
                            invocation.read = read;
                            invocation.phase = Phase::CheckPatch;
                        });
                    }
                }
            }
            Phase::CheckPatch => self.check_deadline(slot, Phase::SendPatch),
            Phase::SendPatch if invocation.details & self.model.scope.rejected != NO_DETAILS => {
                self.reject_change(slot);
            }
            Phase::SendPatch => {
                self.go(slot, "sends a PATCH", Phase::AwaitPatch);
                self.go(slot, "does not reach the CRM, or is refused", Phase::Failed);
                if self.model.scope.gives_up {
                    self.reject_change(slot);
                }
            }
            Phase::AwaitPatch => {
                if invocation.has_landed {
                    let phase = self.after_change(slot);
                    self.receive_response(slot, "gets the response: the record is changed", phase);
                }
                let counts_as_done = self.has(Mutant::UnansweredPatchIsDone);
                self.lose_response(slot, if counts_as_done { Phase::Finish } else { Phase::ReadAfterPatch });
            }
            Phase::ReadAfterPatch => {
                self.go(slot, "does not see its change, or cannot read", Phase::OutcomeUnknown);
                let is_visible = body.is_some_and(|body| invocation.details & !body == NO_DETAILS);
                if is_visible && !invocation.is_late {
                    let phase = self.after_change(slot);
                    self.go(slot, "sees its change in the record", phase);
                }
            }
            _ => {}
        }
    }

    /// Adds the steps of an invocation that completes the record.
    pub(super) fn complete(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        match invocation.phase {
            Phase::CheckCompletion => self.check_deadline(slot, Phase::SendCompletion),
            Phase::SendCompletion => {
                self.go(slot, "does not reach the CRM, or is refused", Phase::Failed);
                if self.state.is_complete(invocation.record) {
                    return self.step(slot, "sees that the record is complete", |invocation| {
                        invocation.has_completed = true;
                        invocation.phase = Phase::Finish;
                    });
                }
                self.go(slot, "sends the completion", Phase::AwaitCompletion);
            }
            Phase::AwaitCompletion => {
                let counts_as_done = self.has(Mutant::UnansweredCompletionIsDone);
                if invocation.has_landed {
                    self.step(slot, "gets the response: the record is completed", |invocation| {
                        invocation.has_landed = false;
                        invocation.has_completed = true;
                        invocation.phase = Phase::Finish;
                    });
                }
                self.lose_response(slot, if counts_as_done { Phase::Finish } else { Phase::OutcomeUnknown });
                if counts_as_done && let Some((_, next)) = self.out.last_mut() {
                    next.invocations[slot].has_completed = true;
                }
            }
            _ => {}
        }
    }

    /// Returns the phase of an invocation whose record has all details.
    fn after_change(&self, slot: usize) -> Phase {
        let invocation = self.state.invocations[slot];
        let completes = self.state.item.finish_pending && !invocation.has_completed;
        if completes { Phase::CheckCompletion } else { Phase::Finish }
    }

    /// Returns `true` if a change would reopen the record before the item says that its completion is pending.
    fn reopens_unnoticed(&self) -> bool {
        self.model.scope.finish == Finish::AfterEachChange
            && !self.state.item.finish_pending
            && !self.has(Mutant::ReopenedUnnoticed)
    }

    /// Adds the step that stores that the record has to be completed after the change.
    fn mark_pending(&mut self, slot: usize) {
        if self.may_write(slot) {
            self.write(slot, "stores that it will reopen the record", None, |next| {
                next.item.finish_pending = true
            });
        } else {
            self.end(slot, "is refused: it has lost the lease");
        }
    }

    /// The CRM rejects a change. Which of several details it rejects can only be found out by trying each.
    fn reject_change(&mut self, slot: usize) {
        let details = self.state.invocations[slot].details;
        let first = details & details.wrapping_neg();
        if details == first || self.has(Mutant::RejectedTogether) {
            return self.go(slot, "has its data rejected", Phase::Rejected);
        }
        self.step(slot, "has its data rejected, and tries the first detail alone", |invocation| {
            invocation.details = first;
            invocation.phase = Phase::Read;
        });
    }

    /// Checks the deadline, as the last step before a write.
    pub(super) fn check_deadline(&mut self, slot: usize, send: Phase) {
        let is_unchecked = self.has(Mutant::NoDeadlineCheck)
            || self.has(Mutant::DeleteWithoutDeadlineCheck) && send == Phase::SendDelete;
        if self.state.invocations[slot].is_late && !is_unchecked {
            self.go(slot, "sees that its deadline has passed", Phase::Failed);
        } else {
            self.go(slot, "sees that there is time left", send);
        }
    }

    /// Adds the step in which the response to a write arrives.
    pub(super) fn receive_response(&mut self, slot: usize, what: &'static str, phase: Phase) {
        self.step(slot, what, |invocation| {
            invocation.has_landed = false;
            invocation.phase = phase;
        });
    }

    /// Adds the step in which an invocation stops waiting for the response to its write.
    pub(super) fn lose_response(&mut self, slot: usize, phase: Phase) {
        self.write(slot, "gets no response", None, |next| {
            next.abandon(slot);
            let invocation = &mut next.invocations[slot];
            invocation.has_landed = false;
            invocation.phase = phase;
        });
    }

    /// Adopts a record that was found: in the model every record belongs to the call.
    fn adopt(&mut self, slot: usize, record: u8) {
        let phase = if self.has(Mutant::AdoptedAsComplete) { Phase::Finish } else { Phase::Keep };
        self.step(slot, "lists, and finds the record", |invocation| {
            invocation.record = record;
            invocation.phase = phase;
        });
    }
}
