//! The records of the fake, and the checks of the data that it stores.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_types::base64;
use axum::{
    Json,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use call_log::model::Clock;
use chrono::{NaiveDate, SecondsFormat};
use serde_json::{Map, Value, json};

use super::{ACCESS_TOKEN, API_KEY, BOB, COMPANY, REFRESH_TOKEN, USER};

/// The largest note, in bytes.
const MAX_NOTE: usize = 100_000;

/// The records and the state of the fake.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) clock: Clock,
    pub(super) persons: BTreeMap<u64, Value>,
    pub(super) activities: BTreeMap<u64, Value>,
    pub(super) deals: Vec<Value>,
    pub(super) leads: Vec<Value>,
    pub(super) types: Vec<Value>,
    pub(super) users: Vec<Value>,
    pub(super) access: BTreeSet<String>,
    pub(super) refresh: String,
    pub(super) refreshes: u64,
    /// The OAuth client of each exchange of a refresh token, as `id:secret`.
    pub(super) clients: Vec<String>,
    /// The codes that were issued, each with `true` if it was not used yet.
    pub(super) codes: BTreeMap<String, bool>,
    /// The pages for which codes were exchanged.
    pub(super) redirects: Vec<String>,
    /// The remainder of a burst budget of a hundred requests.
    pub(super) remaining: u64,
    pub(super) normalise: bool,
    pub(super) company: u64,
    /// A text that no activity may have.
    pub(super) refused: Option<String>,
}

/// Returns the OAuth client of a request as `id:secret` (HTTP Basic, RFC 6749, section 2.3.1), or an empty text.
pub(super) fn oauth_client(headers: &HeaderMap) -> String {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let encoded = header.and_then(|value| value.strip_prefix("Basic "));
    let client = encoded.and_then(|encoded| base64::decode(encoded).ok()).unwrap_or_default();
    String::from_utf8_lossy(&client).into_owned()
}

impl Records {
    pub(super) fn new(clock: Clock) -> Records {
        let mut records = Records {
            clock,
            persons: BTreeMap::new(),
            activities: BTreeMap::new(),
            deals: Vec::new(),
            leads: Vec::new(),
            types: vec![
                activity_type("Meeting", "meeting", true),
                activity_type("Old call", "old_call", false),
                activity_type("Call", "call", true),
            ],
            users: vec![
                json!({ "id": USER, "name": "Ada Agent", "email": "ada@acme.example", "active_flag": true, "is_deleted": false }),
                json!({ "id": 1, "name": "Left", "email": "left@acme.example", "active_flag": false, "is_deleted": false }),
                json!({ "id": 2, "name": "Gone", "email": "gone@acme.example", "active_flag": true, "is_deleted": true }),
            ],
            access: [ACCESS_TOKEN, API_KEY].map(str::to_owned).into(),
            refresh: REFRESH_TOKEN.to_owned(),
            refreshes: 0,
            codes: BTreeMap::new(),
            redirects: Vec::new(),
            clients: Vec::new(),
            remaining: 99,
            normalise: false,
            company: COMPANY,
            refused: None,
        };
        records.add_person("Bob Client", "+12135550111", Some(501));
        records.add_person("Solo", "(213) 555-0122", None);
        records
    }

    pub(super) fn now(&self) -> String {
        self.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    pub(super) fn add_person(&mut self, name: &str, phone: &str, org: Option<u64>) -> u64 {
        let id = self.persons.last_key_value().map_or(BOB, |(id, _)| id + 1);
        let phones = json!([{ "value": phone, "primary": true, "label": "work" }]);
        let person = json!({
            "id": id, "name": name, "owner_id": USER, "org_id": org, "phones": phones, "emails": [],
            "is_deleted": false, "add_time": self.now(), "update_time": self.now(),
        });
        self.persons.insert(id, person);
        id
    }

    /// Checks fields, and returns them as they are stored.
    pub(super) fn accept(&self, fields: Map<String, Value>) -> Result<Map<String, Value>, Failure> {
        let sent = Value::Object(fields.clone()).to_string();
        if self.refused.as_ref().is_some_and(|refused| sent.contains(refused)) {
            return Err(Failure::bad("Validation failed: a value"));
        }
        let stored = fields.into_iter().map(|(name, value)| {
            self.check(&name, &value)?;
            let value = if self.normalise { rewritten(&name, value) } else { value };
            Ok((name, value))
        });
        stored.collect()
    }

    fn check(&self, name: &str, value: &Value) -> Result<(), Failure> {
        let text = value.as_str();
        let good = match name {
            "person_id" => {
                let words =
                    "'person_id' is a read-only field. Add a primary participant to set 'person_id' instead.";
                return Err(Failure(StatusCode::BAD_REQUEST, words.to_owned()));
            }
            "subject" | "location" | "public_description" => value.is_string(),
            "note" => text.map_or(value.is_null(), |note| note.len() <= MAX_NOTE),
            "type" => {
                self.types.iter().any(|known| known["key_string"] == *value && known["active_flag"] == true)
            }
            "owner_id" => value.as_u64().is_some_and(|id| id > 0),
            "deal_id" | "org_id" | "project_id" => value.is_null() || value.as_u64().is_some_and(|id| id > 0),
            "lead_id" => value.is_null() || text.is_some_and(is_uuid),
            "due_date" => text.is_some_and(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok()),
            "due_time" => text.is_some_and(|time| clock_time(time).is_some_and(|(hours, _)| hours < 24)),
            "duration" => text.is_some_and(|time| clock_time(time).is_some()),
            "done" | "busy" => value.is_boolean(),
            "participants" => {
                value.as_array().is_some_and(|list| list.iter().all(|entry| self.is_participant(entry)))
            }
            _ => false,
        };
        if good { Ok(()) } else { Err(Failure::bad(format!("Validation failed: {name}"))) }
    }

    fn is_participant(&self, entry: &Value) -> bool {
        entry["person_id"].as_u64().is_some_and(|id| self.persons.contains_key(&id))
            && entry.get("primary").is_none_or(Value::is_boolean)
            && entry
                .as_object()
                .is_some_and(|fields| fields.keys().all(|key| key == "person_id" || key == "primary"))
    }
}

/// Stores checked fields, and the fields that Pipedrive derives from them.
pub(super) fn store(activity: &mut Value, fields: Map<String, Value>) {
    for (name, value) in fields {
        activity[name] = value;
    }
    let participants = activity["participants"].as_array().cloned().unwrap_or_default();
    let primary = participants.iter().find(|participant| participant["primary"] == true);
    activity["person_id"] = primary.map_or(Value::Null, |participant| participant["person_id"].clone());
    if !activity["deal_id"].is_null() {
        activity["lead_id"] = Value::Null;
    }
}

pub(super) fn activity_type(name: &str, key: &str, active: bool) -> Value {
    json!({ "name": name, "key_string": key, "active_flag": active, "is_custom_flag": false })
}

/// Returns a value as a CRM may rewrite it: HTML with other tags, times with seconds.
fn rewritten(name: &str, value: Value) -> Value {
    match (name, value.as_str()) {
        ("note", Some(note)) => {
            let note = note.replace("<b>", "<strong>").replace("</b>", "</strong>").replace("<br>", "<br/>");
            json!(note.trim_end())
        }
        ("due_time" | "duration", Some(time)) => json!(format!("{time}:00")),
        _ => value,
    }
}

/// Parses `HH:MM` as hours and minutes.
fn clock_time(text: &str) -> Option<(u32, u32)> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() >= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) || minutes.len() > 2 {
        return None;
    }
    Some((hours.parse().ok()?, minutes.parse().ok().filter(|minutes| *minutes < 60)?))
}

fn is_uuid(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// Rejects a name that Pipedrive does not know.
pub(super) fn check_names<'a>(
    names: impl IntoIterator<Item = &'a String>,
    known: &[&str],
) -> Result<(), Failure> {
    match names.into_iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Failure::bad(format!("Validation failed: {name} is not allowed"))),
        None => Ok(()),
    }
}

pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::bad("the body is not a JSON object"))
}

pub(super) fn success(data: Value) -> Json<Value> {
    Json(json!({ "success": true, "data": data }))
}

/// A rejection in Pipedrive's form and words.
#[derive(Debug)]
pub(super) struct Failure(pub(super) StatusCode, pub(super) String);

impl Failure {
    pub(super) fn bad(words: impl Into<String>) -> Failure {
        Failure(StatusCode::BAD_REQUEST, words.into())
    }

    pub(super) fn not_found() -> Failure {
        Failure(StatusCode::NOT_FOUND, "The requested entity was not found".to_owned())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "success": false, "error": self.1, "code": "ERR_BAD_REQUEST" })))
            .into_response()
    }
}
