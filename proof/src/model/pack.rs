//! A state in 32 bytes, so that many fit into memory.

use shared::store::State;

use super::state::{
    At, Due, Facts, Item, LOGS, Lease, Log, Message, Method, Mishaps, PLACES, SLOTS, STRAYS, Worker, World,
};

/// A packed state: two words of workers, one of the item, one of the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packed(u64, u64, u64, u64);

const STATES: [State; 7] =
    [State::Parked, State::Posting, State::Unknown, State::Retry, State::Logged, State::Dead, State::Gone];
const LEASES: [Lease; 3] = [Lease::Free, Lease::Held, Lease::Grace];
const DUES: [Due; 3] = [Due::Never, Due::Soon, Due::AtAudit];
const METHODS: [Method; 3] = [Method::Post, Method::Patch, Method::Delete];

/// Takes numbers of a few bits each.
#[derive(Default)]
struct Writer(u64);

impl Writer {
    fn put(&mut self, value: u8, bits: u32) {
        debug_assert!(u32::from(value) < 1 << bits && self.0.leading_zeros() >= bits);
        self.0 = self.0 << bits | u64::from(value);
    }

    fn flag(&mut self, flag: bool) {
        self.put(u8::from(flag), 1);
    }
}

/// Gives them back, the last first.
struct Reader(u64);

impl Reader {
    fn take(&mut self, bits: u32) -> u8 {
        let value = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        value as u8
    }

    fn flag(&mut self) -> bool {
        self.take(1) == 1
    }
}

impl World {
    pub fn pack(&self) -> Packed {
        let (mut first, mut second, mut item, mut crm) =
            (Writer::default(), Writer::default(), Writer::default(), Writer::default());
        for worker in &self.workers[..SLOTS / 2] {
            worker.pack(&mut first);
        }
        for worker in &self.workers[SLOTS / 2..] {
            worker.pack(&mut second);
        }
        self.item.pack(&mut item);
        let Mishaps { crashes, pauses, late, stale, deletions } = self.mishaps;
        for left in [crashes, pauses, late, stale, deletions] {
            item.put(left, 2);
        }
        item.flag(self.promised_create);
        item.put(self.promised, 2);
        item.flag(self.overflow);
        for log in self.logs {
            crm.put(
                match log {
                    Log::Unmade => 0,
                    Log::Deleted => 1,
                    Log::Live(body) => 4 + body,
                },
                3,
            );
        }
        for stray in self.strays {
            let message = stray.unwrap_or_default();
            crm.flag(stray.is_some());
            crm.put(message.method as u8, 2);
            crm.put(message.log, 2);
            crm.put(message.body, 2);
            crm.put(message.read, 2);
        }
        Packed(first.0, second.0, item.0, crm.0)
    }
}

impl Packed {
    pub fn unpack(self) -> World {
        let mut world = World::default();
        let (mut first, mut second, mut item, mut crm) =
            (Reader(self.0), Reader(self.1), Reader(self.2), Reader(self.3));
        for slot in (0..SLOTS / 2).rev() {
            world.workers[slot] = Worker::unpack(&mut first);
            world.workers[slot + SLOTS / 2] = Worker::unpack(&mut second);
        }
        world.overflow = item.flag();
        world.promised = item.take(2);
        world.promised_create = item.flag();
        let mishaps = &mut world.mishaps;
        let left = [
            &mut mishaps.deletions,
            &mut mishaps.stale,
            &mut mishaps.late,
            &mut mishaps.pauses,
            &mut mishaps.crashes,
        ];
        for left in left {
            *left = item.take(2);
        }
        world.item = Item::unpack(&mut item);
        for stray in (0..STRAYS).rev() {
            let (read, body, log) = (crm.take(2), crm.take(2), crm.take(2));
            let method = METHODS[usize::from(crm.take(2))];
            world.strays[stray] = crm.flag().then_some(Message { method, log, body, read });
        }
        for log in (0..LOGS).rev() {
            world.logs[log] = match crm.take(3) {
                0 => Log::Unmade,
                1 => Log::Deleted,
                body => Log::Live(body - 4),
            };
        }
        world
    }
}

impl Item {
    fn pack(&self, to: &mut Writer) {
        to.put(self.state.map_or(7, |state| state as u8), 3);
        to.put(self.lease as u8, 2);
        to.flag(self.ambiguous);
        for facts in [self.log, self.noted, self.waiting, self.done] {
            to.put(facts, 2);
        }
        to.put(self.due as u8, 2);
        for flag in [self.audit, self.payload, self.given_up] {
            to.flag(flag);
        }
    }

    fn unpack(from: &mut Reader) -> Item {
        let (given_up, payload, audit) = (from.flag(), from.flag(), from.flag());
        let due = DUES[usize::from(from.take(2))];
        let (done, waiting, noted, log) = (from.take(2), from.take(2), from.take(2), from.take(2));
        let ambiguous = from.flag();
        let lease = LEASES[usize::from(from.take(2))];
        let state = STATES.get(usize::from(from.take(3))).copied();
        Item { state, lease, ambiguous, log, noted, waiting, done, due, audit, payload, given_up }
    }
}

impl Worker {
    fn pack(&self, to: &mut Writer) {
        to.put(self.at as u8, 5);
        for flag in [self.owns, self.is_late, self.was_ambiguous, self.has_landed, self.has_audited] {
            to.flag(flag);
        }
        for facts in [self.seen, self.facts, self.read, self.log] {
            to.put(facts, 2);
        }
        to.put(self.doubles, 3);
    }

    fn unpack(from: &mut Reader) -> Worker {
        let doubles = from.take(3);
        let (log, read, facts, seen): (u8, Facts, Facts, Facts) =
            (from.take(2), from.take(2), from.take(2), from.take(2));
        let (has_audited, has_landed) = (from.flag(), from.flag());
        let (was_ambiguous, is_late, owns) = (from.flag(), from.flag(), from.flag());
        let at: At = PLACES[usize::from(from.take(5))];
        Worker { at, owns, is_late, was_ambiguous, seen, facts, read, log, has_landed, has_audited, doubles }
    }
}
