//! The protocol of most integrations, for contrast: check whether the call was logged, log it, store that it was.

use call_log::store::State;

use super::{
    claims::detail_of,
    state::{Item, NO_DETAILS, Phase, UPDATES},
    step::Successors,
};

impl Successors<'_> {
    /// Adds the steps of an invocation that checks, then acts.
    pub(super) fn naive(&mut self, slot: usize) {
        let invocation = self.state.invocations[slot];
        let is_logged = self.state.item.state == Some(State::Logged);
        match invocation.phase {
            Phase::Start if slot < UPDATES.start && is_logged => {
                self.end(slot, "sees that the call is logged")
            }
            Phase::Start if slot < UPDATES.start => {
                self.write(slot, "sees that the call is not logged", None, |next| {
                    next.promised_create = true;
                    next.invocations[slot].phase = Phase::SendPost;
                })
            }
            Phase::Start if !is_logged => self.end(slot, "is refused: there is no record"),
            Phase::Start => {
                let record = self.state.item.record;
                self.write(slot, "sees which record the call has", None, |next| {
                    next.promised |= detail_of(slot);
                    let invocation = &mut next.invocations[slot];
                    invocation.details = detail_of(slot);
                    invocation.record = record;
                    invocation.phase = Phase::Read;
                });
            }
            Phase::SendPost => self.go(slot, "sends a POST", Phase::AwaitPost),
            Phase::Read => {
                let read = self.state.body(invocation.record).unwrap_or(NO_DETAILS);
                self.step(slot, "reads the record", |invocation| {
                    invocation.read = read;
                    invocation.phase = Phase::SendPatch;
                });
            }
            Phase::SendPatch => self.go(slot, "sends a PATCH", Phase::AwaitPatch),
            Phase::AwaitPost | Phase::AwaitPatch => {
                if invocation.has_landed {
                    self.receive_response(slot, "gets the response", Phase::Finish);
                }
                self.lose_response(slot, Phase::Failed);
            }
            Phase::Finish => self.write(slot, "stores which record the call has", None, |next| {
                next.item = Item { state: Some(State::Logged), record: invocation.record, ..Item::default() };
                next.end(slot);
            }),
            _ => self.end(slot, "answers with an error"),
        }
    }
}
