//! Queued updates: what callers brought and no lease holder has confirmed yet. Each keeps its user and the extension that it
//! named, because updates of several users or for several logs can wait in one item.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{CallItem, QueuedUpdate};
use crate::{
    model::{CallDetails, KnownLog, LogKey, Match, NoteSource, UserId, match_log, teach},
    store::{
        Error, Store,
        attributes::QUEUE,
        item_reader::ItemReader,
        keys::{TableItem, TableKey},
        packing::{pack, unpack},
    },
};

/// The time that a cached note waits for a call that is never logged, in seconds.
pub(super) const CACHED_NOTE_TTL_S: i64 = 86_400;

impl CallItem {
    /// Returns the logs of the call, as the item of its first log knows them, in the order of their slots.
    pub fn known_logs(&self) -> Vec<KnownLog> {
        let first = KnownLog {
            slot: 0,
            identity: self.identity.clone(),
            creator: self.creator.clone(),
            owner: self.owner.clone(),
        };
        self.is_log().then_some(first).into_iter().chain(self.other_logs.iter().cloned()).collect()
    }

    /// Sorts the queued updates of an item: this log's own, and the positions of those that wait for other logs. The log
    /// learns the extension that its updates name.
    pub(super) fn sort_queue(&mut self, slot: u32) {
        let mut own = Vec::new();
        for update in std::mem::take(&mut self.queue) {
            if self.is_of_log(slot, &update) {
                let logs = if slot == 0 { self.known_logs() } else { Vec::new() };
                self.identity = match slot {
                    0 => teach(&logs, 0, &update.identity),
                    _ => self.identity.clone(),
                };
                own.push(update);
            } else {
                self.waiting.push(update);
            }
        }
        self.queue = own;
    }

    fn is_of_log(&self, slot: u32, update: &QueuedUpdate) -> bool {
        if slot > 0 || update.slot.is_some() {
            return slot > 0 || update.slot == Some(0);
        }
        self.is_log() && match_log(&self.known_logs(), &update.identity, Some(&update.user)) == Match::Log(0)
    }

    /// Returns the queued updates of this log without the cached notes that are not written: their user has sent another note
    /// with a create, or later; or they had waited for a day when the log was made.
    pub fn to_write(&self) -> impl Iterator<Item = &QueuedUpdate> {
        let is_written = |(at, update): &(usize, &QueuedUpdate)| {
            let NoteSource::CachedNote(sent_ms) = update.source else { return true };
            let is_newer = |later: &QueuedUpdate| later.user == update.user && later.has_note();
            let is_of_creator = self.creator.as_ref() == Some(&update.user);
            let is_late = self
                .first_at
                .is_some_and(|made| made.timestamp_millis() - sent_ms >= CACHED_NOTE_TTL_S * 1_000);
            !(is_late || self.has_note && is_of_creator || self.queue[at + 1..].iter().any(is_newer))
        };
        self.queue.iter().enumerate().filter(is_written).map(|(_, update)| update)
    }

    /// Returns `true` if a note is to be written that this user has cached.
    pub fn has_cached_note(&self, user: &UserId) -> bool {
        self.to_write().any(|update| update.source.is_cached_note() && update.user == *user)
    }

    /// Returns the details of all queued updates of this log, the newer ones over the older ones.
    pub fn queued_details(&self) -> CallDetails {
        self.to_write().fold(CallDetails::default(), |details, update| details.overlay(&update.details))
    }
}

impl QueuedUpdate {
    /// Returns `true` if the request has a note, which may be empty unless it is an update.
    fn has_note(&self) -> bool {
        self.source != NoteSource::Other || self.details.firm_note().is_some()
    }
}

/// A note and the user who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoredNote {
    /// The user.
    pub user: UserId,
    /// The text.
    pub text: String,
}

impl CallItem {
    /// Returns the notes that wait to be written, in the order of their arrival: the last one of each run of notes of the
    /// same user. `create`: the details that the creator of the log brought, if they are not in the record yet.
    pub fn notes(&self, create: Option<&CallDetails>) -> Vec<AuthoredNote> {
        let created = self.creator.as_ref().zip(create);
        let queued = self.to_write().map(|update| (&update.user, &update.details));
        let mut notes: Vec<AuthoredNote> = Vec::new();
        for (user, text) in
            created.into_iter().chain(queued).filter_map(|(user, from)| Some((user, from.firm_note()?)))
        {
            notes.pop_if(|last| last.user == *user);
            notes.push(AuthoredNote { user: user.clone(), text: text.to_owned() });
        }
        notes
    }
}

impl Store {
    /// Returns an update as an entry of [`QUEUE`].
    pub(super) fn queue_entry(&self, log: &LogKey, update: &QueuedUpdate) -> Result<AttributeValue, Error> {
        let packed = pack(update).map_err(|error| Error::Rejected(error.to_string()))?;
        self.encrypt(&TableKey::log(log), QUEUE, &packed)
    }

    /// Returns the value of [`QUEUE`] with these updates; `None` if there are none.
    pub(super) fn queue_value<'u>(
        &self,
        log: &LogKey,
        updates: impl IntoIterator<Item = &'u QueuedUpdate>,
    ) -> Result<Option<AttributeValue>, Error> {
        let entries = updates.into_iter().map(|update| self.queue_entry(log, update));
        let entries = entries.collect::<Result<Vec<_>, Error>>()?;
        Ok((!entries.is_empty()).then_some(AttributeValue::L(entries)))
    }

    /// Reads the queued updates of an item, each once.
    pub(super) fn read_queue(&self, item: &TableItem) -> Result<Vec<QueuedUpdate>, Error> {
        let reader = ItemReader(item);
        let Some(stored) = item.get(QUEUE) else { return Ok(Vec::new()) };
        let (entries, key) = (stored.as_l().map_err(|_| reader.unreadable(QUEUE))?, reader.key()?);
        let mut updates: Vec<QueuedUpdate> = Vec::with_capacity(entries.len());
        for entry in entries {
            let ciphertext = entry.as_b().map(Blob::as_ref).map_err(|_| reader.unreadable(QUEUE))?;
            let packed = self.decrypt(&key, QUEUE, ciphertext).map_err(|_| reader.undecryptable(QUEUE))?;
            let update: QueuedUpdate = unpack(&packed).ok_or_else(|| reader.unreadable(QUEUE))?;
            if !updates.iter().any(|known| known.id == update.id) {
                updates.push(update);
            }
        }
        Ok(updates)
    }
}
