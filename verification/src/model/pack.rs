//! A state in 40 bytes, so that many fit into memory.

use call_log::store::State;

use super::state::{
    At, CallDetails, Due, Item, LOGS, Lease, Log, Message, Method, Mishaps, PLACES, SLOTS, Worker, World,
};

/// A packed state: four words of workers, the last of them with the item, and one of the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packed([u64; 4], u64);

const STATES: [State; 7] = [
    State::Queued,
    State::Creating,
    State::OutcomeUnknown,
    State::Retry,
    State::Logged,
    State::DeadLetter,
    State::Deleted,
];
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
        let mut words = [0; SLOTS.div_ceil(2)];
        for (word, pair) in words.iter_mut().zip(self.workers.chunks(2)) {
            let mut to = Writer(*word);
            pair.iter().for_each(|worker| worker.pack(&mut to));
            *word = to.0;
        }
        let mut item = Writer(words[3]);
        self.item.pack(&mut item);
        let Mishaps { crashes, pauses, late, stale, deletions } = self.mishaps;
        for left in [crashes, pauses, late, stale, deletions] {
            item.put(left, 2);
        }
        item.flag(self.promised_create);
        item.put(self.promised, 2);
        item.flag(self.overflow);
        words[3] = item.0;

        let mut crm = Writer::default();
        for (log, contact) in self.logs.iter().zip(self.contacts) {
            crm.put(contact, 1);
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
            for (value, bits) in [
                (message.method as u8, 2),
                (message.log, 2),
                (message.body, 2),
                (message.read, 2),
                (message.contact, 1),
            ] {
                crm.put(value, bits);
            }
        }
        Packed(words, crm.0)
    }
}

impl Packed {
    pub fn unpack(self) -> World {
        let mut world = World::default();
        let Packed(mut words, crm) = self;

        let mut item = Reader(words[3]);
        world.overflow = item.flag();
        world.promised = item.take(2);
        world.promised_create = item.flag();
        let mishaps = &mut world.mishaps;
        for left in [
            &mut mishaps.deletions,
            &mut mishaps.stale,
            &mut mishaps.late,
            &mut mishaps.pauses,
            &mut mishaps.crashes,
        ] {
            *left = item.take(2);
        }
        world.item = Item::unpack(&mut item);
        words[3] = item.0;
        for (word, pair) in words.into_iter().zip(world.workers.chunks_mut(2)) {
            let mut from = Reader(word);
            pair.iter_mut().rev().for_each(|worker| *worker = Worker::unpack(&mut from));
        }

        let mut crm = Reader(crm);
        for stray in world.strays.iter_mut().rev() {
            let (contact, read, body, log) = (crm.take(1), crm.take(2), crm.take(2), crm.take(2));
            let method = METHODS[usize::from(crm.take(2))];
            *stray = crm.flag().then_some(Message { method, log, body, read, contact });
        }
        for at in (0..LOGS).rev() {
            world.logs[at] = match crm.take(3) {
                0 => Log::Unmade,
                1 => Log::Deleted,
                body => Log::Live(body - 4),
            };
            world.contacts[at] = crm.take(1);
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
        to.put(self.contact, 1);
        to.put(self.sought, 2);
    }

    fn unpack(from: &mut Reader) -> Item {
        let (sought, contact) = (from.take(2), from.take(1));
        let (given_up, payload, audit) = (from.flag(), from.flag(), from.flag());
        let due = DUES[usize::from(from.take(2))];
        let (done, waiting, noted, log) = (from.take(2), from.take(2), from.take(2), from.take(2));
        let ambiguous = from.flag();
        let lease = LEASES[usize::from(from.take(2))];
        let state = STATES.get(usize::from(from.take(3))).copied();
        Item {
            state,
            lease,
            ambiguous,
            log,
            noted,
            waiting,
            done,
            due,
            audit,
            payload,
            contact,
            sought,
            given_up,
        }
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
        to.put(self.contact, 1);
    }

    fn unpack(from: &mut Reader) -> Worker {
        let (contact, doubles) = (from.take(1), from.take(3));
        let (log, read, facts, seen): (u8, CallDetails, CallDetails, CallDetails) =
            (from.take(2), from.take(2), from.take(2), from.take(2));
        let (has_audited, has_landed) = (from.flag(), from.flag());
        let (was_ambiguous, is_late, owns) = (from.flag(), from.flag(), from.flag());
        let at: At = PLACES[usize::from(from.take(5))];
        Worker {
            at,
            owns,
            is_late,
            was_ambiguous,
            seen,
            facts,
            read,
            log,
            has_landed,
            has_audited,
            doubles,
            contact,
        }
    }
}
