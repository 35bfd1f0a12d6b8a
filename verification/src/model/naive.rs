//! For contrast: look whether it was logged, log it, write down that it was.

use call_log::store::State;

use super::{
    claims::fact,
    state::{At, Item, NOTHING, UPDATES},
    step::Successors,
};

impl Successors<'_> {
    pub fn naive(&mut self, slot: usize) {
        let worker = self.world.workers[slot];
        let is_logged = self.world.item.state == Some(State::Logged);
        match worker.at {
            At::Start if slot < UPDATES.start && is_logged => self.end(slot, "sees that it is logged"),
            At::Start if slot < UPDATES.start => {
                self.write(slot, "sees that it is not logged", None, |next| {
                    next.promised_create = true;
                    next.workers[slot].at = At::PostSend;
                })
            }
            At::Start if !is_logged => self.end(slot, "is refused: there is no log"),
            At::Start => {
                let log = self.world.item.log;
                self.write(slot, "sees where the log is", None, |next| {
                    next.promised |= fact(slot);
                    let worker = &mut next.workers[slot];
                    worker.facts = fact(slot);
                    worker.log = log;
                    worker.at = At::Get;
                });
            }
            At::PostSend => self.go(slot, "sends a POST", At::PostWait),
            At::Get => {
                let read = self.world.body(worker.log).unwrap_or(NOTHING);
                self.step(slot, "reads the log", |worker| {
                    worker.read = read;
                    worker.at = At::PatchSend;
                });
            }
            At::PatchSend => self.go(slot, "sends a PATCH", At::PatchWait),
            At::PostWait | At::PatchWait => {
                if worker.has_landed {
                    self.answered(slot, "is answered", At::Finish);
                }
                self.give_up_waiting(slot, At::Failed);
            }
            At::Finish => self.write(slot, "writes down where the log is", None, |next| {
                next.item = Item { state: Some(State::Logged), log: worker.log, ..Item::default() };
                next.end(slot);
            }),
            _ => self.end(slot, "answers with an error"),
        }
    }
}
