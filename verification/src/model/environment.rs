//! What happens by itself: writes land or are lost, time passes, invocations die, people act.

use call_log::store::{Event, State};

use super::{
    mutant::Mutant,
    scope::Late,
    state::{At, Due, LOGS, Lease, Log, Message, Method, SLOTS, World},
    step::{Nature, Step, Successors, Who},
};

/// What a write met in the CRM.
enum Landed {
    /// It had its effect; on this log.
    Done(u8),
    /// The log has changed since it was read, or there is none.
    Refused(At),
}

/// A write reaches the CRM.
fn land(world: &mut World, message: Message, has_compare_and_set: bool) -> Landed {
    match message.method {
        Method::Post => match world.logs.iter().position(|log| *log == Log::Unmade) {
            Some(free) => {
                world.logs[free] = Log::Live(message.body);
                world.contacts[free] = message.contact;
                Landed::Done(free as u8)
            }
            None => {
                world.overflow = true;
                Landed::Refused(At::Failed)
            }
        },
        Method::Patch => match world.body(message.log) {
            None => Landed::Refused(At::Gone),
            Some(body) if has_compare_and_set && body != message.read => Landed::Refused(At::Get),
            Some(_) => {
                world.logs[usize::from(message.log)] = Log::Live(message.body);
                Landed::Done(message.log)
            }
        },
        Method::Delete => {
            if usize::from(message.log) < LOGS {
                world.logs[usize::from(message.log)] = Log::Deleted;
            }
            Landed::Done(message.log)
        }
    }
}

impl Successors<'_> {
    pub fn surroundings(&mut self) {
        self.writes_land();
        self.time_passes();
        self.invocations_die();
        self.people_act();
    }

    fn writes_land(&mut self) {
        let has_compare_and_set = self.model.scope.has_compare_and_set;
        let happens = |what| Step { who: Who::Network, what, nature: Nature::Progress, event: None };
        for at in 0..self.world.strays.len() {
            let Some(message) = self.world.strays[at] else { continue };
            self.push(happens("a write that nobody waits for reaches the CRM"), |next| {
                next.strays[at] = None;
                land(next, message, has_compare_and_set);
            });
            self.push(happens("a write that nobody waits for is lost"), |next| next.strays[at] = None);
        }
        for slot in 0..SLOTS {
            let Some(message) = self.world.in_flight(slot) else { continue };
            let arrives = Step { who: Who::Worker(slot), ..happens("has its write reach the CRM") };
            self.push(arrives, |next| match land(next, message, has_compare_and_set) {
                Landed::Done(log) => {
                    let worker = &mut next.workers[slot];
                    worker.has_landed = true;
                    if message.method == Method::Post {
                        worker.log = log;
                    }
                }
                Landed::Refused(at) => next.workers[slot].at = at,
            });
        }
    }

    fn time_passes(&mut self) {
        let passes = |what| Step { who: Who::Time, what, nature: Nature::Progress, event: None };
        match self.world.item.lease {
            Lease::Free => {}
            Lease::Held => match self.world.workers.iter().position(|worker| worker.owns) {
                None => self.push(passes("the dead owner's deadline passes"), |next| {
                    next.item.lease = Lease::Grace;
                }),
                Some(slot) if self.world.mishaps.pauses > 0 && !self.world.workers[slot].is_late => {
                    let sleeps =
                        Step { who: Who::Worker(slot), ..passes("sleeps until its deadline has passed") };
                    self.push(sleeps, |next| {
                        next.mishaps.pauses -= 1;
                        next.item.lease = Lease::Grace;
                        next.workers[slot].is_late = true;
                    });
                }
                Some(_) => {}
            },
            Lease::Grace => {
                let kind = match self.model.scope.late {
                    Late::Posts => Method::Post,
                    Late::Patches => Method::Patch,
                };
                if self.world.pending().next().is_none() {
                    self.push(passes("the grace is over"), |next| next.item.lease = Lease::Free);
                } else if self.world.mishaps.late > 0 && self.world.pending().all(|method| method == kind) {
                    let early =
                        passes("the grace is over, and a write may still land: the assumption is broken");
                    self.push(early, |next| {
                        next.mishaps.late -= 1;
                        next.item.lease = Lease::Free;
                    });
                }
            }
        }
    }

    fn invocations_die(&mut self) {
        if self.world.mishaps.crashes == 0 {
            return;
        }
        for slot in 0..SLOTS {
            // Nobody misses one that has claimed nothing.
            if matches!(self.world.workers[slot].at, At::Done | At::Start | At::Enqueue | At::Look | At::Park)
            {
                continue;
            }
            let dies = Step { who: Who::Worker(slot), what: "dies", nature: Nature::Chance, event: None };
            self.push(dies, |next| {
                next.mishaps.crashes -= 1;
                next.abandon(slot);
                next.end(slot);
            });
        }
    }

    fn people_act(&mut self) {
        let item = self.world.item;
        let acts = |what, event| Step { who: Who::Person, what, nature: Nature::Chance, event };
        if self.world.mishaps.deletions > 0
            && item.state == Some(State::Logged)
            && self.world.body(item.log).is_some()
        {
            self.push(acts("deletes the log in the CRM", None), |next| {
                next.mishaps.deletions -= 1;
                next.logs[usize::from(item.log)] = Log::Deleted;
            });
        }
        if !item.given_up || item.due != Due::Never {
            return;
        }
        let rearms = acts("has what was given up tried again", Some(Event::Rearm));
        let remembers = !self.has(Mutant::RearmForgetsAmbiguity);
        match item.state {
            Some(State::DeadLetter) => self.push(rearms, |next| {
                next.item.ambiguous &= remembers;
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
