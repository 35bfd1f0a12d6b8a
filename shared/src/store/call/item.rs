//! A call's item, as it is read. [`super::super::attributes`] says what the attributes mean.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    model::{
        CallDetails, CallDuration, CallLogId, CallTag, ContactId, Direction, ExtensionHash,
        ExtensionIdentity, ExtensionNumber, KnownLog, LogKey, NoteSource, Payload, RecordPart, TenantKey,
        UserId, Zone, user,
    },
    note::Fingerprints,
    store::{
        Error, Store,
        attributes::{
            APPLIED_VERSION, BASE, BASE_FIELDS, BASE_SUBJECT, BROUGHT, CREATOR, DUE_AT, DUE_SHARD,
            EXTENSION_HASH, EXTENSION_NUMBER, FAILING_SINCE, FENCE, FINISH_PENDING, FINISHED_SECONDS,
            FIRST_AT, HAS_NOTE, HISTORY, HOLDER, LEASE_UNTIL, LEFT_OUT, LOG_ID, NEXT_SLOT, NOTE_USER,
            OTHER_LOGS, OUTCOME_UNKNOWN, OWNER, PAYLOAD, PREVIOUS_OUTCOME_UNKNOWN, QUEUED_VERSION, REASON,
            RECOVERY_CRITERIA, SK, STATE, SWEEP_AT, TRIES, UNCONFIRMED, WAITING_SINCE, text,
        },
        item_reader::ItemReader,
        keys::TableItem,
        packing::unpack,
    },
};

/// The maximum number of entries in a history. DynamoDB bills each started KB of an item with each write.
const HISTORY_ENTRIES: usize = 10;
/// The longest text of a history entry, in characters.
const HISTORY_TEXT_CHARS: usize = 100;

/// The time from the creation of the record to the duplicate sweep, if the outcome of an earlier attempt was unknown,
/// in milliseconds. A request of that attempt has taken effect by then.
pub const SWEEP_AFTER_MS: i64 = 15 * 60_000;

/// The values that we last wrote to the CRM record: the base of the three-way merge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Sent", into = "Sent")]
pub struct LastWritten {
    /// Fingerprints of the note's sections, and unconfirmed ones: of what a lease holder that died may have written.
    pub sections: Fingerprints,
    /// The fingerprint of the subject, with a mark if it was generated; `None`: not known.
    pub subject: Option<String>,
    /// Fingerprints of the CRM's own fields, by name: several, separated by spaces, if it is not known which of them an
    /// attempt sent. A field that is absent is not known.
    pub fields: BTreeMap<String, String>,
    /// The user whose note is in the record; `None`: not known. The table has it only if that is not the log's creator.
    pub note_user: Option<UserId>,
}

impl LastWritten {
    fn read(reader: ItemReader<'_>) -> Result<LastWritten, Error> {
        let base = reader.texts(BASE)?;
        let pairs = base.iter().map(|(section, fingerprint)| (section.as_str(), fingerprint.as_str()));
        let unconfirmed = reader.set(UNCONFIRMED)?;
        // Without the attribute, the note of a record is its creator's.
        let note_user =
            if base.is_empty() || reader.text(NOTE_USER)?.is_some() { NOTE_USER } else { CREATOR };
        let mut written = LastWritten {
            sections: Fingerprints::from_pairs(pairs).with_unconfirmed_texts(&unconfirmed),
            subject: reader.text(BASE_SUBJECT)?,
            fields: reader.texts(BASE_FIELDS)?.into_iter().collect(),
            note_user: reader.text(note_user)?.and_then(UserId::new),
        };
        for (name, fingerprint) in
            unconfirmed.iter().filter_map(|text| text.strip_prefix('.')?.split_once(' '))
        {
            written.add_field(name, fingerprint);
        }
        Ok(written)
    }

    /// Adds a fingerprint that a field may have.
    pub(crate) fn add_field(&mut self, name: &str, fingerprint: &str) {
        let known = self.fields.entry(name.to_owned()).or_default();
        if !known.split(' ').any(|one| one == fingerprint) {
            known.push_str(if known.is_empty() { "" } else { " " });
            known.push_str(fingerprint);
        }
    }

    /// Returns `true` if this is the fingerprint, or one of the fingerprints, of a field; `None` if none is known.
    pub(crate) fn is_field(&self, name: &str, fingerprint: &str) -> Option<bool> {
        self.fields.get(name).map(|known| known.split(' ').any(|one| one == fingerprint))
    }
}

/// The form of [`LastWritten`] in [`RecoveryCriteria`].
#[derive(Serialize, Deserialize)]
struct Sent {
    #[serde(rename = "s")]
    sections: BTreeMap<String, String>,
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    unconfirmed: Vec<String>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(rename = "f", default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, String>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    note_user: Option<UserId>,
}

impl From<Sent> for LastWritten {
    fn from(sent: Sent) -> LastWritten {
        let pairs = sent.sections.iter().map(|(section, hash)| (section.as_str(), hash.as_str()));
        let sections = Fingerprints::from_pairs(pairs).with_unconfirmed_texts(&sent.unconfirmed);
        LastWritten { sections, subject: sent.subject, fields: sent.fields, note_user: sent.note_user }
    }
}

impl From<LastWritten> for Sent {
    fn from(written: LastWritten) -> Sent {
        let owned = |(section, hash): (&str, &str)| (section.to_owned(), hash.to_owned());
        Sent {
            sections: written.sections.iter().map(owned).collect(),
            unconfirmed: written.sections.unconfirmed_texts(),
            subject: written.subject,
            fields: written.fields,
            note_user: written.note_user,
        }
    }
}

/// Returns the fingerprint of one of the CRM's own fields as a text of [`UNCONFIRMED`]. No section has such a name.
pub(super) fn unconfirmed_field(name: &str, fingerprint: &str) -> String {
    format!(".{name} {fingerprint}")
}

/// Criteria that find the record of an attempt whose outcome is unknown. A later request for the same call may name
/// another contact, time or zone, so the criteria of each differing attempt are kept. Their names in the table are short,
/// so that the item of a usual call has less than 1 KB. Earlier versions wrote the names in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryCriteria {
    /// The record's contact. Absent: the record has none.
    #[serde(rename = "c", alias = "contact", default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactId>,
    /// The start of the call.
    #[serde(rename = "s", alias = "start", default, skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<Utc>>,
    /// The zone that the request named, in which the note was written.
    #[serde(
        rename = "z",
        alias = "zone",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "user::deserialize_known_zone"
    )]
    pub zone: Option<Zone>,
    /// The direction of the call.
    #[serde(rename = "d", alias = "direction", default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The duration of the call.
    #[serde(rename = "t", alias = "duration", default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<CallDuration>,
    /// The result of the call.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The identity of the call log, as it was sent. Absent: an earlier version stored the criteria.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<CallTag>,
    /// The name of the way in which the attempt can be found. Absent: an earlier version stored the criteria.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// The CRM's id of the record's owner, if a mapping decided it, which can change.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The parts of the record that the attempt left out.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<RecordPart>,
    /// The attempt was sent with the authorization that its request brought.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_authorization: bool,
    /// The time until which the attempt can have created its record, in milliseconds since 1970. Absent: the attempt has not
    /// ended, or it died.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// The content of each record that the attempt may have created. Empty: the attempt has not ended, or it died before it
    /// could store its content.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<LastWritten>,
}

/// The way of a record that is read by its key: a second one is impossible.
const BY_KEY: &str = "key";
/// The way of a record that cannot be found.
const NOT_FOUND: &str = "none";

impl RecoveryCriteria {
    /// Returns the criteria of an attempt with this payload, which is sent in the way with this name.
    pub(crate) fn of(key: &LogKey, payload: &Payload, way: &str) -> RecoveryCriteria {
        RecoveryCriteria {
            contact: payload.contact.as_ref().map(|contact| contact.id.clone()),
            start: payload.details.start,
            zone: payload.zone,
            direction: payload.details.direction,
            duration: payload.details.duration,
            result: payload.details.result.clone(),
            tag: Some(CallTag::of(key)),
            way: Some(way.to_owned()),
            owner: None,
            left_out: Vec::new(),
            has_authorization: payload.has_authorization,
            until_ms: None,
            sent: Vec::new(),
        }
    }

    /// Returns `true` if both attempts are looked for in the same way with the same credential.
    pub(crate) fn is_like(&self, other: &RecoveryCriteria) -> bool {
        let bare =
            |one: &RecoveryCriteria| RecoveryCriteria { until_ms: None, sent: Vec::new(), ..one.clone() };
        bare(self) == bare(other)
    }

    /// Returns what the attempt knew of the call, as far as CRMs have fields for it.
    pub(crate) fn details(&self) -> CallDetails {
        CallDetails {
            direction: self.direction,
            start: self.start,
            duration: self.duration,
            result: self.result.clone(),
            ..CallDetails::default()
        }
    }
}

/// An event in the history of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// The event, for the operator: `logged`, `failed: rate limited (status 429)`.
    pub what: String,
}

impl HistoryEntry {
    fn read(text: &str) -> Option<HistoryEntry> {
        let (at_ms, what) = text.split_once(' ')?;
        Some(HistoryEntry { at_ms: at_ms.parse().ok()?, what: what.to_owned() })
    }
}

/// Returns a history with one more entry as [`HISTORY`]. Only the last entries are kept.
pub(in crate::store) fn history_value(history: &[HistoryEntry], at_ms: i64, what: &str) -> AttributeValue {
    let what: String = what.chars().take(HISTORY_TEXT_CHARS).collect();
    let kept = &history[history.len().saturating_sub(HISTORY_ENTRIES - 1)..];
    let entries = kept.iter().map(|entry| (entry.at_ms, entry.what.as_str())).chain([(at_ms, what.as_str())]);
    AttributeValue::L(entries.map(|(at_ms, what)| text(format!("{at_ms} {what}"))).collect())
}

/// A call's item. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct CallItem {
    /// The state of the call log.
    pub state: State,
    /// The invocation that holds the lease.
    pub lease_holder: Option<String>,
    /// The end of the lease. Until then no other invocation may claim the call.
    pub lease_expires_at: i64,
    /// The count of claims.
    pub fence: i64,
    /// The CRM's id of the record.
    pub log_id: Option<CallLogId>,
    /// An attempt to create the record, before the present one if there is a holder, may have taken effect without
    /// our knowing.
    pub outcome_unknown: bool,
    /// Criteria that find the records of such attempts.
    pub recovery_criteria: Vec<RecoveryCriteria>,
    /// The tenant in whose CRM the record is, if other logs may have to find out which log the record belongs to. The lease
    /// holder sets it, and the first write of the record's id stores it.
    pub indexed_in: Option<TenantKey>,
    /// The time of the first attempt to create the record.
    pub first_at: Option<DateTime<Utc>>,
    /// The extension whose log this is, as far as it is known. The queued updates may name it, too.
    pub identity: ExtensionIdentity,
    /// The extension as the item has it.
    pub stored_identity: ExtensionIdentity,
    /// The user whose create made the log.
    pub creator: Option<UserId>,
    /// The create that made the log has a note, which may be empty. Only until the call is logged.
    pub has_note: bool,
    /// The user who owns the record, if that is not the creator.
    pub owner: Option<UserId>,
    /// The parts that the record lacks, because the CRM did not accept them.
    pub left_out: Vec<RecordPart>,
    /// The further logs of the call. Empty, unless this is the first one.
    pub other_logs: Vec<KnownLog>,
    /// The slot of the next further log. Only of the first log.
    pub next_slot: u32,
    /// The updates of this log that are not known to be in the CRM, in the order of their arrival. Those that
    /// [`CallItem::to_write`] leaves out are never written.
    pub queue: Vec<QueuedUpdate>,
    /// The updates that wait for other logs of the call, which do not exist yet.
    pub waiting: Vec<QueuedUpdate>,
    /// The names of the details that creates and updates have brought, and hashes of the notes.
    pub brought: BTreeSet<String>,
    /// The count of queued updates.
    pub queued_version: i64,
    /// The `queued_version` up to which all queued details are in the CRM.
    pub applied_version: i64,
    /// The values that we last wrote to the record.
    pub written: LastWritten,
    /// The record may have to be completed by a further request. The end of the lease stores this value.
    pub finish_pending: bool,
    /// The duration of the call, in seconds, with which the record was last completed. The end of the lease stores this
    /// value.
    pub finished_seconds: Option<u64>,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// The values of a create that may not be in the CRM yet, encrypted: [`Store::payload`] decrypts it.
    pub payload: Option<Vec<u8>>,
    /// When the redrive takes the call up; `None`: never.
    pub due_at: Option<i64>,
    /// When to look for a duplicate that an attempt with unknown outcome may have made; `None`: there is none.
    pub sweep_at: Option<i64>,
    /// The count of failed attempts since `waiting_since`.
    pub tries: i64,
    /// Since when something waits to be in the CRM.
    pub waiting_since: Option<i64>,
    /// Since when attempts have failed because the CRM did not accept the work.
    pub failing_since: Option<i64>,
    /// The last events, the latest last.
    pub history: Vec<HistoryEntry>,
}

impl CallItem {
    /// Returns `true` if a queued update or a payload has not been delivered to the CRM. Details that the CRM rejected
    /// are dropped, so they do not count.
    pub fn has_undelivered(&self) -> bool {
        let has_queued = self.queued_version > self.applied_version && !self.queue.is_empty();
        has_queued || self.payload.is_some()
    }

    /// Returns the time of the last event in the history, in milliseconds since 1970.
    pub fn last_event_ms(&self) -> Option<i64> {
        self.history.iter().map(|entry| entry.at_ms).max()
    }

    /// Returns `true` if something is undelivered and no attempt is scheduled.
    pub fn is_given_up(&self) -> bool {
        match self.state {
            State::DeadLetter => self.payload.is_some(),
            State::Logged => self.due_at.is_none() && self.has_undelivered(),
            _ => false,
        }
    }

    /// Returns `true` if there is a log: a record, or a create that is kept or under way. Queued updates alone are none.
    pub fn is_log(&self) -> bool {
        let is_under_way = self.state == State::Creating && self.lease_holder.is_some();
        let is_unknown = self.outcome_unknown && self.state != State::Queued;
        self.log_id.is_some() || self.payload.is_some() || is_unknown || is_under_way
    }

    /// Returns when to look for a duplicate once the record is in the CRM; `None` if there can be none, or none can be
    /// found. If all attempts had a key, the CRM has refused the second one.
    pub(super) fn sweep_after(&self, now_ms: i64) -> Option<i64> {
        let all_are = |way| {
            let mut criteria = self.recovery_criteria.iter();
            !self.recovery_criteria.is_empty() && criteria.all(|one| one.way.as_deref() == Some(way))
        };
        let needs_sweep = self.outcome_unknown && !all_are(BY_KEY) && !all_are(NOT_FOUND);
        self.sweep_at.or(needs_sweep.then_some(now_ms + SWEEP_AFTER_MS))
    }
}

/// An update that waits to be written into a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuedUpdate {
    /// The id of the request. The SDK may repeat a write, so that one update is in the list twice.
    #[serde(rename = "i")]
    pub id: String,
    /// The user who sent it.
    #[serde(rename = "u")]
    pub user: UserId,
    /// The extension that the request named.
    #[serde(rename = "x", default, skip_serializing_if = "ExtensionIdentity::is_none")]
    pub identity: ExtensionIdentity,
    /// The log that it is for. `None`: it was queued before the call had a log that it matched.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// The kind of request that brought it.
    #[serde(rename = "n", default, skip_serializing_if = "is_other")]
    pub source: NoteSource,
    /// The details.
    #[serde(rename = "d")]
    pub details: CallDetails,
}

fn is_other(source: &NoteSource) -> bool {
    *source == NoteSource::Other
}

impl Store {
    pub(in crate::store) fn read_call(&self, item: &TableItem) -> Result<CallItem, Error> {
        let (reader, keyring) = (ItemReader(item), self.keyring());
        let state = reader.text(STATE)?;
        let state = State::ALL.into_iter().find(|known| Some(known.name()) == state.as_deref());
        let slot = reader.key()?.log_key().ok_or_else(|| reader.unreadable(SK))?.slot;
        let recovery_criteria = match reader.encrypted(&keyring, RECOVERY_CRITERIA)? {
            Some(packed) => unpack(&packed).ok_or_else(|| reader.unreadable(RECOVERY_CRITERIA))?,
            None => Vec::new(),
        };
        let lease_holder = reader.text(HOLDER)?;
        let identity = ExtensionIdentity {
            hash: reader.text(EXTENSION_HASH)?.and_then(ExtensionHash::new),
            number: reader.text(EXTENSION_NUMBER)?.and_then(ExtensionNumber::new),
        };
        let mut call = CallItem {
            state: state.ok_or_else(|| reader.unreadable(STATE))?,
            lease_expires_at: reader.number(LEASE_UNTIL)?.unwrap_or(0),
            fence: reader.number(FENCE)?.unwrap_or(0),
            log_id: reader.text(LOG_ID)?.and_then(CallLogId::new),
            outcome_unknown: reader.boolean(match lease_holder {
                Some(_) => PREVIOUS_OUTCOME_UNKNOWN,
                None => OUTCOME_UNKNOWN,
            })?,
            lease_holder,
            recovery_criteria,
            indexed_in: None,
            first_at: reader.number(FIRST_AT)?.and_then(DateTime::from_timestamp_millis),
            identity: identity.clone(),
            stored_identity: identity,
            creator: reader.text(CREATOR)?.and_then(UserId::new),
            has_note: reader.boolean(HAS_NOTE)?,
            owner: reader.text(OWNER)?.and_then(UserId::new),
            left_out: reader
                .text(LEFT_OUT)?
                .iter()
                .flat_map(|names| names.split(' '))
                .filter_map(RecordPart::named)
                .collect(),
            other_logs: match reader.text(OTHER_LOGS)? {
                Some(json) => serde_json::from_str(&json).map_err(|_| reader.unreadable(OTHER_LOGS))?,
                None => Vec::new(),
            },
            next_slot: reader.number(NEXT_SLOT)?.and_then(|slot| slot.try_into().ok()).unwrap_or(1),
            queue: self.read_queue(item)?,
            waiting: Vec::new(),
            brought: reader.set(BROUGHT)?.into_iter().collect(),
            queued_version: reader.number(QUEUED_VERSION)?.unwrap_or(0),
            applied_version: reader.number(APPLIED_VERSION)?.unwrap_or(0),
            written: LastWritten::read(reader)?,
            finish_pending: reader.boolean(FINISH_PENDING)?,
            finished_seconds: reader.number(FINISHED_SECONDS)?.and_then(|seconds| seconds.try_into().ok()),
            reason: reader.text(REASON)?,
            payload: reader.bytes(PAYLOAD)?,
            due_at: if item.contains_key(DUE_SHARD) { reader.number(DUE_AT)? } else { None },
            sweep_at: reader.number(SWEEP_AT)?,
            tries: reader.number(TRIES)?.unwrap_or(0),
            waiting_since: reader.number(WAITING_SINCE)?,
            failing_since: reader.number(FAILING_SINCE)?,
            history: reader.list(HISTORY)?.iter().filter_map(|text| HistoryEntry::read(text)).collect(),
        };
        call.sort_queue(slot);
        let waited = call.to_write().filter(|update| update.slot.is_none());
        let sections = waited.fold(call.written.sections.clone(), |sections, update| {
            sections.with_unconfirmed_of(&Fingerprints::of_queued(&update.details))
        });
        call.written.sections = sections;
        Ok(call)
    }
}
