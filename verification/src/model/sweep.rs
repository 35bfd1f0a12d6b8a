//! The duplicate sweep: long after everything has landed, it searches for a second record and deletes it.

use super::{mutant::Mutant, state::Phase, step::Successors};

impl Successors<'_> {
    /// Adds the steps of an invocation in the duplicate sweep.
    pub(super) fn sweep(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        match invocation.phase {
            Phase::SweepRead => {
                self.go(slot, "cannot read the record", Phase::Failed);
                if invocation.is_late {
                } else if self.state.body(invocation.record).is_some() {
                    self.go(slot, "reads the record that the item names", Phase::SweepFind);
                } else {
                    self.go(slot, "reads: the record is gone", Phase::Deleted);
                }
            }
            Phase::SweepFind => {
                self.go(slot, "cannot list the CRM's records", Phase::Failed);
                if !invocation.is_late {
                    self.find_duplicates(slot);
                }
            }
            Phase::CheckDelete => self.check_deadline(slot, Phase::SendDelete),
            Phase::SendDelete => {
                self.go(slot, "sends a DELETE", Phase::AwaitDelete);
                self.go(slot, "does not reach the CRM, or is refused", Phase::Failed);
            }
            Phase::AwaitDelete => {
                if invocation.has_landed {
                    self.step(slot, "gets the response: the duplicate is deleted", |invocation| {
                        invocation.duplicates &= !(1 << invocation.next_duplicate());
                        invocation.has_landed = false;
                        invocation.has_swept = invocation.duplicates == 0;
                        invocation.phase =
                            if invocation.has_swept { Phase::Read } else { Phase::CheckDelete };
                    });
                }
                self.lose_response(slot, Phase::OutcomeUnknown);
            }
            _ => {}
        }
    }

    /// Decides which records are duplicates.
    fn find_duplicates(&mut self, slot: usize) {
        let named = self.state.invocations[slot].record;
        let first = self.state.live().map(|(record, _)| record).next().unwrap_or(named);
        let renames = self.has(Mutant::SweepRenamesFirst);
        let kept = if renames || self.has(Mutant::SweepKeepsFirst) { first } else { named };
        let duplicates = self.state.live_for(self.state.item.recovery_contacts);
        let duplicates =
            duplicates.filter(|record| *record != kept).fold(0, |mask, record| mask | 1 << record);
        let what =
            if duplicates == 0 { "lists: there is no duplicate" } else { "lists, and finds duplicates" };
        self.step(slot, what, |invocation| {
            invocation.duplicates = duplicates;
            invocation.has_swept = duplicates == 0;
            invocation.phase = if duplicates == 0 { Phase::Read } else { Phase::CheckDelete };
            if renames {
                invocation.record = kept;
            }
        });
    }
}
