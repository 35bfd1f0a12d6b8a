//! The log of a call that a request is about, as far as the request has learned it. At first it is taken for the first log;
//! if the write is rejected, the item that comes back says more.

use crate::{
    model::{Match, Sender, match_log},
    store::{Basis, CallItem},
};

/// Where a request tries to write.
#[derive(Debug)]
pub(crate) enum Place {
    /// The first log, if the request is about it. Nothing was read.
    Unread,
    /// The first log, whose item was read and is this one.
    First(Box<CallItem>),
    /// A further log.
    Further(u32),
    /// A log that has to be added. The item of the first log is this one.
    Missing(Box<CallItem>),
}

/// The log that a request is about, by the item of the call's first log.
#[derive(Debug)]
pub(crate) enum Found {
    /// The first log, whose item is this one.
    First(Box<CallItem>),
    /// A further log, and the item of the first one.
    Further(u32, Box<CallItem>),
    /// There is no such log. The item is the first log's, or has only queued updates.
    Missing(Box<CallItem>),
    /// Several logs could be meant. The oldest one has this slot.
    Several(u32, Box<CallItem>),
}

impl Place {
    /// Returns the slot of the log.
    pub(crate) fn slot(&self) -> u32 {
        match self {
            Place::Unread | Place::First(_) => 0,
            Place::Further(slot) => *slot,
            Place::Missing(first) => first.next_slot,
        }
    }

    /// Returns the ground on which the request is about the log.
    pub(crate) fn basis(&self) -> Basis<'_> {
        match self {
            Place::Unread => Basis::Unread,
            Place::First(item) => Basis::Seen(item),
            Place::Further(_) | Place::Missing(_) => Basis::Further,
        }
    }
}

/// Returns the log that a request is about. `first`: the item of the call's first log.
pub(crate) fn find(sender: &Sender, first: Box<CallItem>) -> Found {
    match match_log(&first.known_logs(), &sender.identity, Some(&sender.user.id)) {
        Match::Log(0) => Found::First(first),
        Match::Log(slot) => Found::Further(slot, first),
        Match::NoLog => Found::Missing(first),
        Match::Several(slot) => Found::Several(slot, first),
    }
}

/// Returns `true` if the item of a log is still the one that the request is about. The first log of a call can end before it
/// has a record, and its place is then taken by the log of another extension.
pub(crate) fn is_same_log(sender: &Sender, slot: u32, item: &CallItem) -> bool {
    let found = || match_log(&item.known_logs(), &sender.identity, Some(&sender.user.id));
    slot > 0 || matches!(found(), Match::Log(0) | Match::Several(0))
}
