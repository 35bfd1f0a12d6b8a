//! A call log's item, as it is read.
//!
//! `st` is one of [`State`]'s names. `own` names the invocation that may touch the CRM; until `busy` (milliseconds)
//! nobody else may start to, not even when the owner is gone, because a request of its own may still land. `amb`: an
//! attempt to create may have landed unseen. `pamb`: the value of `amb` before the present claim. `w_*`: facts that
//! wait, sealed; `wantv` counts their arrivals. `sought`: what the attempt that may have landed is looked for by.
//! `told`: fingerprints of what was told since the last end of all work. `pay`: what a request brought, sealed, until the call is logged. `dq` and `due`: the index of what is due, and when;
//! `since` and `tries`: for how long and how often it was tried. `aud`: when a log that came late is looked for. `hist`: what
//! happened to it, for the operator.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Error, Item, Reader, SWEEP_AFTER_MS, Store, text};
use crate::{
    model::{CallDetails, CallDuration, CallLogId, ContactId, Direction, Payload, Zone},
    note::Fingerprints,
};

/// How many moments of a history are kept: each begun KB of an item is paid for with each write.
const HISTORY: usize = 10;
/// The longest text of a moment, in characters.
const LONGEST_MOMENT: usize = 100;

/// Where a call log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Updates came before the call.
    Queued,
    /// Somebody creates it in the CRM, or died over it.
    Creating,
    /// An attempt to create it ended without an answer.
    OutcomeUnknown,
    /// An attempt failed without effect; another may succeed.
    Retry,
    /// It is in the CRM.
    Logged,
    /// The CRM refused the data: only a new request may try again.
    DeadLetter,
    /// It was in the CRM and has been deleted there.
    Deleted,
}

impl State {
    const ALL: [State; 7] = [
        State::Queued,
        State::Creating,
        State::OutcomeUnknown,
        State::Retry,
        State::Logged,
        State::DeadLetter,
        State::Deleted,
    ];

    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "QUEUED",
            State::Creating => "CREATING",
            State::OutcomeUnknown => "OUTCOME_UNKNOWN",
            State::Retry => "RETRY",
            State::Logged => "LOGGED",
            State::DeadLetter => "DEAD_LETTER",
            State::Deleted => "DELETED",
        }
    }
}

/// What we last wrote into the CRM's log: the base of the three-way merge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Fingerprints of the note's sections, and of what was told of them since.
    pub sections: Fingerprints,
    /// The subject's own fingerprint.
    pub subject: Option<String>,
    pub duration: Option<CallDuration>,
}

/// What an attempt without an answer is looked for by. A retry may name another contact, or another time or zone.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryCriteria {
    pub contact: ContactId,
    pub start: Option<DateTime<Utc>>,
    /// The request's own.
    pub zone: Option<Zone>,
    pub direction: Option<Direction>,
}

impl RecoveryCriteria {
    /// What an attempt with this payload is looked for by.
    pub(crate) fn of(payload: &Payload) -> RecoveryCriteria {
        RecoveryCriteria {
            contact: payload.contact.id.clone(),
            start: payload.facts.start,
            zone: payload.zone,
            direction: payload.facts.direction,
        }
    }

    pub(super) fn to_json(all: &[RecoveryCriteria]) -> String {
        let each = all.iter().map(|sought| {
            json!({
                "contact": sought.contact.as_str(),
                "start": sought.start.map(|start| start.timestamp_millis()),
                "zone": sought.zone.map(|zone| zone.name()),
                "direction": sought.direction,
            })
        });
        Value::Array(each.collect()).to_string()
    }

    /// Those of several attempts, or the one that earlier versions wrote.
    fn read_all(json: &str) -> Option<Vec<RecoveryCriteria>> {
        match serde_json::from_str(json).ok()? {
            Value::Array(all) => all.iter().map(RecoveryCriteria::read).collect(),
            one => Some(vec![RecoveryCriteria::read(&one)?]),
        }
    }

    fn read(json: &Value) -> Option<RecoveryCriteria> {
        Some(RecoveryCriteria {
            contact: json.get("contact")?.as_str().and_then(ContactId::new)?,
            start: json.get("start").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis),
            zone: json.get("zone").and_then(Value::as_str).and_then(Zone::parse),
            direction: json.get("direction").and_then(|word| serde_json::from_value(word.clone()).ok()),
        })
    }
}

/// Something that happened to a call log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// For a person: `logged`, `failed: unavailable (no answer in time)`.
    pub what: String,
}

impl HistoryEntry {
    fn read(text: &str) -> Option<HistoryEntry> {
        let (at_ms, what) = text.split_once(' ')?;
        Some(HistoryEntry { at_ms: at_ms.parse().ok()?, what: what.to_owned() })
    }
}

/// A call log's item.
#[derive(Clone, Debug, PartialEq)]
pub struct CallItem {
    pub state: State,
    pub lease_holder: Option<String>,
    /// Milliseconds since 1970.
    pub lease_expires_at: i64,
    /// How often it was claimed.
    pub fence: i64,
    pub log_id: Option<CallLogId>,
    /// An attempt before the present one may have landed unseen.
    pub outcome_unknown: bool,
    /// What that attempt is looked for by; without one, the present attempt's own.
    pub recovery_criteria: Vec<RecoveryCriteria>,
    /// When it was first tried.
    pub first_at: Option<DateTime<Utc>>,
    /// CallDetails that wait to be written.
    pub queued_details: CallDetails,
    pub queued_version: i64,
    /// The `queued_version` that is in the CRM.
    pub applied_version: i64,
    pub written: Written,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// What a request brought and may not be in the CRM yet, sealed: [`Store::payload`] opens it.
    pub payload: Option<Vec<u8>>,
    /// When it is tried again without anybody asking, in milliseconds since 1970.
    pub due_at: Option<i64>,
    /// When a log of ours that came late is looked for, in milliseconds since 1970.
    pub sweep_at: Option<i64>,
    /// How often an attempt has failed since `waiting_since`.
    pub tries: i64,
    /// Since when something waits to be in the CRM, in milliseconds since 1970.
    pub waiting_since: Option<i64>,
    /// What happened to it, the latest last; of a long history only the end.
    pub history: Vec<HistoryEntry>,
}

impl CallItem {
    /// Whether something waits to be written. What the CRM refused has come, and does not wait any more.
    pub fn waits(&self) -> bool {
        let is_wanted =
            self.queued_version > self.applied_version && self.queued_details != CallDetails::default();
        is_wanted || self.payload.is_some()
    }

    /// The history with one more moment, as the table has it.
    pub(super) fn history_with(&self, at_ms: i64, what: &str) -> AttributeValue {
        let what: String = what.chars().take(LONGEST_MOMENT).collect();
        let kept = self.history.len().saturating_sub(HISTORY - 1);
        let moments = self.history[kept..].iter().map(|moment| (moment.at_ms, moment.what.as_str()));
        let moments = moments.chain([(at_ms, what.as_str())]);
        AttributeValue::L(moments.map(|(at_ms, what)| text(format!("{at_ms} {what}"))).collect())
    }

    /// When a late log is looked for once this one is in the CRM.
    pub(super) fn sweep_after(&self, now_ms: i64) -> Option<i64> {
        self.sweep_at.or(self.outcome_unknown.then_some(now_ms + SWEEP_AFTER_MS))
    }
}

impl Store {
    pub(super) fn read_call(&self, item: &Item) -> Result<CallItem, Error> {
        let (reader, vault) = (Reader { item }, self.vault());
        let state = reader.text("st")?;
        let state = State::ALL.into_iter().find(|known| Some(known.name()) == state.as_deref());
        let mut wanted = Map::new();
        for attribute in item.keys() {
            if let Some(name) = attribute.strip_prefix("w_")
                && let Some(json) = reader.sealed(&vault, attribute)?
            {
                wanted.insert(
                    name.to_owned(),
                    serde_json::from_str(&json).map_err(|_| reader.wrong(attribute))?,
                );
            }
        }
        let sought = match reader.sealed(&vault, "sought")? {
            Some(json) => RecoveryCriteria::read_all(&json).ok_or_else(|| reader.wrong("sought"))?,
            None => Vec::new(),
        };
        let base = reader.texts("base")?;
        Ok(CallItem {
            state: state.ok_or_else(|| reader.wrong("st"))?,
            lease_holder: reader.text("own")?,
            lease_expires_at: reader.number("busy")?.unwrap_or(0),
            fence: reader.number("fence")?.unwrap_or(0),
            log_id: reader.text("crm")?.and_then(CallLogId::new),
            outcome_unknown: if reader.text("own")?.is_some() {
                reader.flag("pamb")?
            } else {
                reader.flag("amb")?
            },
            recovery_criteria: sought,
            first_at: reader.number("first_at")?.and_then(DateTime::from_timestamp_millis),
            queued_details: serde_json::from_value(Value::Object(wanted)).map_err(|_| reader.wrong("w_*"))?,
            queued_version: reader.number("wantv")?.unwrap_or(0),
            applied_version: reader.number("done")?.unwrap_or(0),
            written: Written {
                sections: Fingerprints::from_pairs(
                    base.iter().map(|(key, hash)| (key.as_str(), hash.as_str())),
                )
                .with_told(&reader.set("told")?),
                subject: reader.text("b_subject")?,
                duration: match reader.number("b_duration")? {
                    Some(seconds) if seconds < 0 => Some(CallDuration::Pending),
                    seconds => seconds.map(|seconds| CallDuration::Seconds(seconds as u64)),
                },
            },
            reason: reader.text("reason")?,
            payload: reader.bytes("pay")?,
            due_at: if item.contains_key("dq") { reader.number("due")? } else { None },
            sweep_at: reader.number("aud")?,
            tries: reader.number("tries")?.unwrap_or(0),
            waiting_since: reader.number("since")?,
            history: reader.list("hist")?.iter().filter_map(|text| HistoryEntry::read(text)).collect(),
        })
    }
}
