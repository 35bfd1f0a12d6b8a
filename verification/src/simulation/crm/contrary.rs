//! The Contrary CRM in the simulation: its fake has the records, and the state of the CRM has copies with the ground truth.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use bytes::Bytes;
use call_log::{
    adapters::{Effect, ErrorKind, Recovery},
    model::{CallLogId, Clock, ContactId, Credentials, Secret},
};
use chrono::TimeDelta;
use http::{Request, Response, StatusCode, header::IF_MATCH};
use tests::{
    contrary_crm::{
        MemoryContraryCrm,
        adapter::SEARCH_LAG,
        memory::refusal,
        records::{API_KEY, LIMIT, Party, StoredCall, TimeEntry},
    },
    fake_crm::Change,
};

use super::{CrmRecord, CrmState, Defect, Deleter, Edit, Sender, Write, has, with};
use crate::simulation::{
    requests::{CONTACTS, NUMBER},
    scheduler::{self, Position},
};

/// The host of the user's region.
pub(in crate::simulation) const HOST: &str = "eu.contrary-crm.example";
/// The changes that the CRM may make to texts.
const CHANGES: [Change; 4] = [Change::StripsAstral, Change::Composes, Change::CrLf, Change::Trims];

/// The fake of the Contrary CRM, with its clock.
#[derive(Debug)]
pub(super) struct Contrary {
    fake: MemoryContraryCrm,
    clock: Arc<AtomicI64>,
}

impl Contrary {
    /// Returns the fake without calls and with the contacts of the simulation.
    pub(super) fn new(now_ms: i64) -> Contrary {
        let clock = Arc::new(AtomicI64::new(now_ms));
        let fake = MemoryContraryCrm::new(Clock::Manual(clock.clone()));
        let party = |(id, number): (&str, &str)| Party {
            kind: "person".to_owned(),
            id: id.to_owned(),
            name: "Bob Client".to_owned(),
            number: number.to_owned(),
        };
        let numbers = [NUMBER, "+12135550112"];
        fake.records().parties = CONTACTS.into_iter().zip(numbers).map(party).collect();
        Contrary { fake, clock }
    }

    /// Opens a session that ends so many seconds from now. `is_known`: the application knows when it ends.
    fn connect(&self, seconds: i64, is_known: bool) -> Credentials {
        let end = self.fake.records().now() + TimeDelta::seconds(seconds);
        self.fake.connect(end, is_known.then_some(end))
    }

    /// A person has edited this copy of a record. The duration is in a time entry.
    pub(super) fn write(&self, record: &CrmRecord) {
        let mut records = self.fake.records();
        let Ok(position) = records.position(record.id.as_str()) else { return };
        let number = records.number();
        let stored = &mut records.calls[position];
        stored.call.fields.headline.clone_from(&record.subject);
        stored.call.fields.text.clone_from(&record.body);
        stored.version = record.version;
        if let Some(Edit::Duration(seconds)) = record.edits.last() {
            let seconds = seconds.parse().expect("a number of seconds");
            match stored.time.first_mut() {
                Some(entry) => (entry.seconds, entry.changed_by) = (seconds, "person"),
                None => {
                    stored.time.push(TimeEntry { id: format!("t{number}"), seconds, changed_by: "person" })
                }
            }
        }
    }

    /// A person deletes the records.
    pub(super) fn delete(&self) {
        self.fake.records().calls.clear();
    }

    /// Adds a duplicate of the first record, and returns its id.
    pub(super) fn duplicate(&self) -> CallLogId {
        let mut records = self.fake.records();
        let mut duplicate = records.calls[0].clone();
        duplicate.call.id = records.id();
        let id = CallLogId::new(&*duplicate.call.id).expect("a valid record id");
        records.calls.push(duplicate);
        id
    }
}

/// Returns the connection of a user to this thread's CRM that corresponds to one to the CRM of the other kinds: with an API
/// key, which is an open session here, or with a grant, which expires at a known time or has expired.
pub fn connection(credentials: Option<Credentials>) -> Option<Credentials> {
    with(|crm| {
        let Some(contrary) = crm.contrary() else { return credentials };
        Some(match credentials? {
            Credentials::ApiKey(_) => contrary.connect(86_400, false),
            Credentials::OAuth { expires_at: None, .. } => contrary.connect(-1, false),
            Credentials::OAuth { expires_at: Some(end), .. } => {
                let now = contrary.fake.records().now();
                contrary.connect((end - now).num_seconds(), true)
            }
        })
    })
}

impl CrmState {
    /// Returns the Contrary CRM, if this is it, at the present time.
    fn contrary(&self) -> Option<&Contrary> {
        self.contrary.as_ref().inspect(|contrary| contrary.clock.store(self.now_ms, Ordering::SeqCst))
    }

    /// Returns `true` if a grant ends with the loss of the response to its renewal.
    pub(in crate::simulation) fn has_single_use_grants(&self) -> bool {
        self.contrary.is_some()
    }

    /// Draws the connection of the user to the Contrary CRM, and the changes that the CRM makes to texts. Returns `None` for
    /// the CRM of the other kinds.
    pub(in crate::simulation) fn draw_connection(&self, rng: &mut fastrand::Rng) -> Option<Credentials> {
        let contrary = self.contrary()?;
        contrary.fake.records().changes = CHANGES.into_iter().filter(|_| rng.u8(..4) == 0).collect();
        Some(match rng.u8(..5) {
            0 => Credentials::ApiKey(Secret::new(API_KEY)),
            1 => contrary.connect(600, true),
            2 => contrary.connect(300, true),
            3 => contrary.connect(-1, true),
            _ => contrary.connect(-1, false),
        })
    }

    /// Returns `true` if a person cannot change the duration, or if their change may be lost: it is in a time entry, which is
    /// changed without a condition after it was read.
    pub(in crate::simulation) fn keeps_no_duration(&self) -> bool {
        let mut paused = scheduler::paused().into_iter();
        self.contrary.is_some()
            && (self.rejects_completion
                || paused
                    .any(|paused| (paused.step, paused.position) == ("crm.finish_log", Position::InFlight))
                || self.is_on_its_way(Write::Complete))
    }

    /// Exchanges a refresh token.
    pub(super) fn exchange_token(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, Effect> {
        let host = self.tokens.clone().unwrap_or_default();
        if self.contrary.is_none() {
            return host.exchange(request.body());
        }
        host.meet_next(|| self.carry_out_http(request), || refusal(&ErrorKind::Unauthorized))
    }

    /// The Contrary CRM carries out a request.
    pub(super) fn carry_out_http(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        let contrary = self.contrary().expect("only the Contrary CRM speaks HTTP");
        let mut records = contrary.fake.records();
        records.keys_are_off = self.refuses_key;
        if let Some(left) = self.burst_budget {
            records.used[0] = LIMIT - LIMIT * left / 100;
        }
        drop(records);
        let mut request = request.clone();
        let is_by_key = request.uri().path().contains("/key:");
        let reads_key = is_by_key && request.method() == http::Method::GET;
        if has(Defect::VersionNotSent) {
            request.headers_mut().remove(IF_MATCH);
        }
        if reads_key && has(Defect::KeyNotRead) {
            return refusal(&ErrorKind::NotFound);
        }
        let lists_time = request.uri().path().ends_with("/time") && request.method() == http::Method::GET;
        let mut response = contrary.fake.carry_out(request);
        if lists_time && has(Defect::FinishRepeatedBlindly) {
            *response.body_mut() = Bytes::from_static(br#"{"status": "ok", "result": []}"#);
        }
        if self.hides_existing && response.status() == StatusCode::PRECONDITION_FAILED {
            *response.body_mut() = Bytes::new();
        }
        self.hides_keyed |= reads_key && self.refuses_key;
        response
    }

    /// Copies the records of the Contrary CRM. `sender` has sent the request that it has just carried out; `None`: a person
    /// has changed it.
    pub(super) fn copy_records(&mut self, sender: Option<&Sender>) {
        let Some(contrary) = &self.contrary else { return };
        let stored = contrary.fake.records().calls.clone();
        let mut touched = Vec::new();
        for stored in &stored {
            let known = self.records.iter().position(|record| record.id.as_str() == stored.call.id);
            let (position, what) = match (known, sender) {
                (Some(position), _) => (position, "changed or completed"),
                (None, Some(sender)) => {
                    self.records.push(created(stored, sender, self.now_ms));
                    (self.records.len() - 1, "created")
                }
                (None, None) => continue,
            };
            let now_ms = self.now_ms;
            if copy(&mut self.records[position], stored, now_ms) {
                touched.push((self.records[position].id.clone(), what));
            }
        }
        for record in self.records.iter_mut().filter(|record| record.deleted_by.is_none()) {
            if !stored.iter().any(|stored| stored.call.id == record.id.as_str()) {
                record.deleted_by = Some(Deleter::Sweep);
                touched.push((record.id.clone(), "deleted"));
            }
        }
        for (id, what) in touched {
            sender.into_iter().for_each(|sender| self.check_owner(sender, &id, what));
        }
    }
}

/// Returns a copy of a call that was just created. The rest is copied later.
fn created(stored: &StoredCall, sender: &Sender, now_ms: i64) -> CrmRecord {
    let fields = &stored.call.fields;
    let (tag, sent_as) = match (&stored.key, &fields.reference) {
        (Some(key), _) => (key.clone(), Recovery::ByKey),
        (None, reference) => (reference.clone().unwrap_or_default(), Recovery::LaggingSearch(SEARCH_LAG)),
    };
    CrmRecord {
        id: CallLogId::new(&*stored.call.id).expect("a valid record id"),
        account: sender.account,
        call: sender.call.clone(),
        created_by: Some(sender.clone()),
        created_at: now_ms,
        tag,
        sent_as,
        contact: fields.party.as_ref().and_then(|party| ContactId::new(&*party.id)),
        direction: String::new(),
        start: fields.started_at,
        subject: String::new(),
        body: String::new(),
        duration: String::new(),
        version: 0,
        changed_at: now_ms,
        entries: Vec::new(),
        is_closed: false,
        deleted_by: None,
        edits: Vec::new(),
    }
}

/// Copies what can change of a call. Returns `true` if something has changed.
fn copy(record: &mut CrmRecord, stored: &StoredCall, now_ms: i64) -> bool {
    let entries: Vec<_> = stored.time.iter().map(|entry| entry.seconds.to_string()).collect();
    if record.version == stored.version && record.entries == entries {
        return false;
    }
    let fields = &stored.call.fields;
    record.duration = match record.edited_duration() {
        Some(_) => entries.first().cloned().unwrap_or_default(),
        None => duration_in(&fields.text),
    };
    record.subject.clone_from(&fields.headline);
    record.body.clone_from(&fields.text);
    record.entries = entries;
    (record.version, record.changed_at) = (stored.version, now_ms);
    true
}

/// Returns the duration that a note shows, in seconds, or an empty text if it is pending.
fn duration_in(note: &str) -> String {
    let line = note.lines().find(|line| line.contains("Duration")).unwrap_or_default();
    let words: Vec<_> =
        line.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let part = |pair: &[&str]| {
        let factor = match pair[1].trim_end_matches('s') {
            "hour" => 3_600,
            "minute" => 60,
            "second" => 1,
            _ => return None,
        };
        Some(pair[0].parse::<u64>().ok()? * factor)
    };
    let parts: Vec<u64> = words.windows(2).filter_map(part).collect();
    if parts.is_empty() { String::new() } else { parts.iter().sum::<u64>().to_string() }
}
