//! The records of the fake, and the checks of the data that it stores.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use call_log::model::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use icu_normalizer::ComposingNormalizer;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::adapter::{MAX_BODY, MAX_SUBJECT, SEARCH_LAG};
use crate::fake_crm::Change;

/// The API key that the fake accepts.
pub const API_KEY: &str = "contrary-api-key";
/// The organisation of every user.
pub(super) const ORGANISATION: &str = "a2f1c3d4-0000-4000-8000-000000000007";
/// The session that is open when the fake starts.
pub const SESSION: &str = "contrary-session-0";
/// The refresh token that is valid when the fake starts.
pub const REFRESH_TOKEN: &str = "contrary-refresh-0";

/// Our client id and secret.
pub const CLIENT: [&str; 2] = ["contrary-client", "contrary-client-secret"];
/// The number of requests that a user may send in [`INTERVAL_MS`].
pub const LIMIT: i64 = 1_000;
/// The number of searches that a user may send in [`INTERVAL_MS`].
const SEARCH_LIMIT: i64 = 500;
/// The window of both limits, in milliseconds.
pub const INTERVAL_MS: u64 = 10_000;
/// The lifetime of a session that a login opens, in seconds.
pub const SESSION_SECONDS: i64 = 600;

/// The records and the state of the fake.
#[derive(Debug)]
pub struct Records {
    clock: Clock,
    /// The time by which tests have advanced the clock.
    pub advanced: TimeDelta,
    pub parties: Vec<Party>,
    pub calls: Vec<StoredCall>,
    /// Sessions with the time when each ends.
    pub sessions: BTreeMap<String, DateTime<Utc>>,
    /// Access tokens, which open sessions and are good for nothing else.
    pub access: BTreeSet<String>,
    /// The only refresh token that is valid.
    pub refresh: String,
    pub keys_are_off: bool,
    pub changes: BTreeSet<Change>,
    /// The numbers of requests and of searches in this window.
    pub used: [i64; 2],
    next: u64,
}

/// A person or a company. A person can have the id of a company.
#[derive(Clone, Debug, Serialize)]
pub struct Party {
    pub kind: String,
    pub id: String,
    pub name: String,
    pub number: String,
}

/// A call with what the API does not show.
#[derive(Clone, Debug)]
pub struct StoredCall {
    pub call: Call,
    pub key: Option<String>,
    pub version: u64,
    pub created_at: DateTime<Utc>,
    pub time: Vec<TimeEntry>,
}

/// A call, as the API returns it.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    pub id: String,
    #[serde(flatten)]
    pub fields: NewCall,
}

/// A time entry, as the API returns it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeEntry {
    pub id: String,
    pub seconds: u64,
    pub changed_by: &'static str,
}

/// The body of a request that creates a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCall {
    pub party: Option<PartyId>,
    pub headline: String,
    pub text: String,
    pub way: Option<Way>,
    pub outcome: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    /// Any text, which need not be unique.
    pub reference: Option<String>,
}

/// The direction of a call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    In,
    Out,
}

/// A reference to a party.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyId {
    pub kind: String,
    pub id: String,
}

/// The body of a request that changes a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallChange {
    pub headline: Option<String>,
    pub text: Option<String>,
    pub way: Option<Way>,
    pub outcome: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
}

/// The body of a request that creates or changes a time entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    pub seconds: u64,
}

/// The body of a request that creates a party.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewParty {
    pub kind: String,
    pub name: String,
    pub number: String,
}

/// An error: a status, a code, a sentence, and the id of the record that is in the way of a create.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub id: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, message: &str) -> Problem {
        Problem { status, code, message: message.to_owned(), id: None }
    }

    /// Data that is not accepted. The status of this error is 200.
    pub fn invalid(message: &str) -> Problem {
        Problem::new(StatusCode::OK, "INVALID_DATA", message)
    }

    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such record.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({ "status": "error", "code": self.code, "message": [self.message] });
        if let Some(id) = self.id {
            body["id"] = json!(id);
        }
        (self.status, Json(body)).into_response()
    }
}

impl Records {
    pub fn new(clock: Clock) -> Records {
        let mut records = Records {
            sessions: [(SESSION.to_owned(), clock.now() + TimeDelta::days(365))].into(),
            clock,
            advanced: TimeDelta::zero(),
            parties: Vec::new(),
            calls: Vec::new(),
            access: BTreeSet::new(),
            refresh: REFRESH_TOKEN.to_owned(),
            keys_are_off: false,
            changes: BTreeSet::new(),
            used: [0, 0],
            next: 0,
        };
        for (kind, name, number) in
            [("person", "Bob Client", "+12135550111"), ("company", "Solo Ltd.", "+12135550122")]
        {
            let new = NewParty { kind: kind.to_owned(), name: name.to_owned(), number: number.to_owned() };
            records.add_party(new).expect("the parties are valid");
        }
        records
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.advanced
    }

    /// Returns a new number.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Returns a new id.
    pub fn id(&mut self) -> String {
        format!("c0ffee00-{:04x}-4000-8000-00000000cafe", self.number())
    }

    /// Counts a request towards its limit, and returns the limit and the requests that are left.
    pub fn count_request(&mut self, is_search: bool) -> (i64, i64) {
        let (used, limit) = match is_search {
            true => (&mut self.used[1], SEARCH_LIMIT),
            false => (&mut self.used[0], LIMIT),
        };
        *used += 1;
        (limit, limit - *used % limit)
    }

    pub fn add_party(&mut self, new: NewParty) -> Result<Party, Problem> {
        if !["person", "company"].contains(&new.kind.as_str()) || new.name.is_empty() || new.number.is_empty()
        {
            return Err(Problem::invalid("A party has a kind, a name and a number."));
        }
        let party = Party { kind: new.kind, id: self.id(), name: new.name, number: new.number };
        self.parties.push(party.clone());
        Ok(party)
    }

    /// Stores a new call and returns its id.
    pub fn add_call(&mut self, key: Option<String>, fields: NewCall) -> Result<String, Problem> {
        if let Some(PartyId { kind, id }) = &fields.party
            && !self.parties.iter().any(|party| party.kind == *kind && party.id == *id)
        {
            return Err(Problem::invalid(&format!("There is no such {kind}.")));
        }
        let id = self.id();
        let fields = NewCall {
            headline: self.stored(&fields.headline, MAX_SUBJECT)?,
            text: self.stored(&fields.text, MAX_BODY)?,
            ..fields
        };
        let call = Call { id: id.clone(), fields };
        let created_at = self.now();
        self.calls.push(StoredCall { call, key, version: 1, created_at, time: Vec::new() });
        Ok(id)
    }

    pub fn change_call(&mut self, position: usize, change: CallChange) -> Result<u64, Problem> {
        let text = |text: Option<String>, max| text.map(|text| self.stored(&text, max)).transpose();
        let (headline, text) = (text(change.headline, MAX_SUBJECT)?, text(change.text, MAX_BODY)?);
        let stored = &mut self.calls[position];
        let fields = &mut stored.call.fields;
        fields.headline = headline.unwrap_or_else(|| fields.headline.clone());
        fields.text = text.unwrap_or_else(|| fields.text.clone());
        fields.way = change.way.or(fields.way);
        fields.outcome = change.outcome.or_else(|| fields.outcome.clone());
        fields.started_at = change.started_at.or(fields.started_at);
        stored.version += 1;
        Ok(stored.version)
    }

    /// Returns a text as it is stored, with the changes that are switched on.
    fn stored(&self, text: &str, max_utf16: usize) -> Result<String, Problem> {
        if text.encode_utf16().count() > max_utf16 {
            return Err(Problem::invalid(&format!("A text here has at most {max_utf16} characters.")));
        }
        let mut text = text.to_owned();
        for change in &self.changes {
            text = match change {
                Change::StripsAstral => text.chars().filter(|char| *char <= '\u{ffff}').collect(),
                Change::Composes => ComposingNormalizer::new_nfc().normalize(&text).into_owned(),
                Change::CrLf => text.replace("\r\n", "\n").replace('\n', "\r\n"),
                Change::Trims => text.trim().to_owned(),
                Change::RewritesMarkup => unreachable!("the fake does not declare this change"),
            };
        }
        Ok(text)
    }

    pub fn position(&self, id: &str) -> Result<usize, Problem> {
        self.calls.iter().position(|stored| stored.call.id == id).ok_or_else(Problem::not_found)
    }

    /// Returns the calls with this reference that the search already shows, oldest first.
    pub fn search(&self, reference: &str, created_since: DateTime<Utc>) -> Vec<&Call> {
        let lag = TimeDelta::from_std(SEARCH_LAG).expect("a short time");
        let is_hit = |stored: &&StoredCall| {
            stored.call.fields.reference.as_deref() == Some(reference)
                && stored.created_at >= created_since
                && stored.created_at + lag <= self.now()
        };
        self.calls.iter().filter(is_hit).map(|stored| &stored.call).collect()
    }
}

/// Reads the body of a request.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::invalid(&format!("The body is not valid: {error}")))
}
