//! States packed into 40 bytes, so that tens of millions fit into memory.

use call_log::store::State;

use super::state::{
    CrmRecord, CrmWrite, Details, Due, Faults, Invocation, Item, Lease, Method, ModelState, PHASES, Phase,
    RECORDS, SLOTS,
};

/// A packed state: four words for the invocations, of which the last also holds the item, and one for the CRM.
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
const DUES: [Due; 3] = [Due::Never, Due::Soon, Due::AtSweep];
const METHODS: [Method; 4] = [Method::Post, Method::Patch, Method::Delete, Method::Complete];

/// Packs numbers of a few bits each into one word.
#[derive(Default)]
struct BitWriter(u64);

impl BitWriter {
    fn put(&mut self, value: u8, bits: u32) {
        debug_assert!(u32::from(value) < 1 << bits && self.0.leading_zeros() >= bits);
        self.0 = self.0 << bits | u64::from(value);
    }

    fn flag(&mut self, flag: bool) {
        self.put(u8::from(flag), 1);
    }
}

/// Unpacks the numbers of one word, the last one first.
struct BitReader(u64);

impl BitReader {
    fn take(&mut self, bits: u32) -> u8 {
        let value = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        value as u8
    }

    fn flag(&mut self) -> bool {
        self.take(1) == 1
    }
}

impl ModelState {
    /// Packs the state.
    pub fn pack(&self) -> Packed {
        let mut words = [0; SLOTS.div_ceil(2)];
        for (word, pair) in words.iter_mut().zip(self.invocations.chunks(2)) {
            let mut to = BitWriter(*word);
            pair.iter().for_each(|invocation| invocation.pack(&mut to));
            *word = to.0;
        }
        let mut item = BitWriter(words[3]);
        self.item.pack(&mut item);
        let Faults { crashes, pauses, late_writes, stale_lists, deletions } = self.faults;
        for left in [crashes, pauses, late_writes, stale_lists, deletions] {
            item.put(left, 2);
        }
        item.flag(self.promised_create);
        item.put(self.promised, 2);
        item.flag(self.overflow);
        words[3] = item.0;

        let mut crm = BitWriter::default();
        for ((record, contact), completions) in
            self.records.iter().zip(self.record_contacts).zip(self.completions)
        {
            crm.put(completions, 2);
            crm.put(contact, 1);
            crm.put(
                match record {
                    CrmRecord::Absent => 0,
                    CrmRecord::Deleted => 1,
                    CrmRecord::Live(body) => 4 + body,
                },
                3,
            );
        }
        for slot in self.abandoned {
            let write = slot.unwrap_or_default();
            crm.flag(slot.is_some());
            for (value, bits) in [
                (write.method as u8, 2),
                (write.record, 2),
                (write.body, 2),
                (write.read, 2),
                (write.contact, 1),
            ] {
                crm.put(value, bits);
            }
        }
        Packed(words, crm.0)
    }
}

impl Packed {
    /// Unpacks the state.
    pub fn unpack(self) -> ModelState {
        let mut state = ModelState::default();
        let Packed(mut words, crm) = self;

        let mut item = BitReader(words[3]);
        state.overflow = item.flag();
        state.promised = item.take(2);
        state.promised_create = item.flag();
        let faults = &mut state.faults;
        for left in [
            &mut faults.deletions,
            &mut faults.stale_lists,
            &mut faults.late_writes,
            &mut faults.pauses,
            &mut faults.crashes,
        ] {
            *left = item.take(2);
        }
        state.item = Item::unpack(&mut item);
        words[3] = item.0;
        for (word, pair) in words.into_iter().zip(state.invocations.chunks_mut(2)) {
            let mut from = BitReader(word);
            pair.iter_mut().rev().for_each(|invocation| *invocation = Invocation::unpack(&mut from));
        }

        let mut crm = BitReader(crm);
        for slot in state.abandoned.iter_mut().rev() {
            let (contact, read, body, record) = (crm.take(1), crm.take(2), crm.take(2), crm.take(2));
            let method = METHODS[usize::from(crm.take(2))];
            *slot = crm.flag().then_some(CrmWrite { method, record, body, read, contact });
        }
        for number in (0..RECORDS).rev() {
            state.records[number] = match crm.take(3) {
                0 => CrmRecord::Absent,
                1 => CrmRecord::Deleted,
                body => CrmRecord::Live(body - 4),
            };
            state.record_contacts[number] = crm.take(1);
            state.completions[number] = crm.take(2);
        }
        state
    }
}

impl Item {
    fn pack(&self, to: &mut BitWriter) {
        to.put(self.state.map_or(7, |state| state as u8), 3);
        to.put(self.lease as u8, 2);
        to.flag(self.outcome_unknown);
        for details in [self.record, self.queued_version, self.queued_details, self.applied_version] {
            to.put(details, 2);
        }
        to.put(self.due as u8, 2);
        for flag in [self.finish_pending, self.needs_sweep, self.has_payload, self.given_up] {
            to.flag(flag);
        }
        to.put(self.payload_contact, 1);
        to.put(self.recovery_contacts, 2);
    }

    fn unpack(from: &mut BitReader) -> Item {
        let (recovery_contacts, payload_contact) = (from.take(2), from.take(1));
        let (given_up, has_payload, needs_sweep) = (from.flag(), from.flag(), from.flag());
        let finish_pending = from.flag();
        let due = DUES[usize::from(from.take(2))];
        let (applied_version, queued_details, queued_version, record) =
            (from.take(2), from.take(2), from.take(2), from.take(2));
        let outcome_unknown = from.flag();
        let lease = LEASES[usize::from(from.take(2))];
        let state = STATES.get(usize::from(from.take(3))).copied();
        Item {
            state,
            lease,
            outcome_unknown,
            record,
            queued_version,
            queued_details,
            applied_version,
            due,
            finish_pending,
            needs_sweep,
            has_payload,
            payload_contact,
            recovery_contacts,
            given_up,
        }
    }
}

impl Invocation {
    fn pack(&self, to: &mut BitWriter) {
        to.put(self.phase as u8, 5);
        for flag in [
            self.holds_lease,
            self.is_late,
            self.previous_outcome_unknown,
            self.has_landed,
            self.has_swept,
            self.has_completed,
        ] {
            to.flag(flag);
        }
        for details in [self.seen_version, self.details, self.read, self.record] {
            to.put(details, 2);
        }
        to.put(self.duplicates, 3);
        to.put(self.contact, 1);
    }

    fn unpack(from: &mut BitReader) -> Invocation {
        let (contact, duplicates) = (from.take(1), from.take(3));
        let (record, read, details, seen_version): (u8, Details, Details, Details) =
            (from.take(2), from.take(2), from.take(2), from.take(2));
        let (has_completed, has_swept, has_landed) = (from.flag(), from.flag(), from.flag());
        let (previous_outcome_unknown, is_late, holds_lease) = (from.flag(), from.flag(), from.flag());
        let phase: Phase = PHASES[usize::from(from.take(5))];
        Invocation {
            phase,
            holds_lease,
            is_late,
            previous_outcome_unknown,
            seen_version,
            details,
            read,
            record,
            has_landed,
            has_swept,
            has_completed,
            duplicates,
            contact,
        }
    }
}
