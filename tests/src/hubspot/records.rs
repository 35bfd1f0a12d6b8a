//! The records of the fake, and the checks of the data that it stores.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use call_log::model::Clock;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{ACCESS_TOKEN, API_KEY, BOB, DEAL, OWNER, REFRESH_TOKEN, numbers::national};
use crate::fake_crm::Change;

/// The longest value of a property, in characters.
pub const MAX_TEXT: usize = 65_536;
/// The property with the call tag.
pub const KEY: &str = "rc_call_key";

const STATUSES: [&str; 10] = [
    "BUSY",
    "CALLING_CRM_USER",
    "CANCELED",
    "COMPLETED",
    "CONNECTING",
    "FAILED",
    "IN_PROGRESS",
    "NO_ANSWER",
    "QUEUED",
    "RINGING",
];
const DISPOSITIONS: [&str; 6] = [
    "9d9162e7-6cf3-4944-bf63-4dff82258764",
    "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
    "b2cf5968-551e-4856-9783-52b3da59a7d0",
    "73a0d17f-1163-4015-bdd5-ec830791da20",
    "17b47fee-58de-441e-a44c-c6300d46f273",
];
/// The properties that only HubSpot writes.
const READ_ONLY: [&str; 4] = ["hs_createdate", "hs_lastmodifieddate", "hs_object_id", "hs_body_preview"];

/// The state of the property with the call tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProperty {
    /// The account has none.
    Missing,
    /// It has one that any number of calls can share a value of.
    NotUnique,
    /// Each value is of one call.
    Unique,
}

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Calls.
    Call,
    /// Contacts.
    Contact,
    /// Deals.
    Deal,
}

/// A record, with what the API does not show.
#[derive(Clone, Debug)]
pub struct Object {
    /// The properties with a value.
    pub properties: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub is_archived: bool,
    /// The records that it is linked to.
    pub links: BTreeSet<(Kind, u64)>,
}

/// The records and the state of the fake.
#[derive(Debug)]
pub struct Records {
    clock: Clock,
    /// The time by which tests have advanced the clock.
    pub advanced: TimeDelta,
    pub objects: BTreeMap<(Kind, u64), Object>,
    /// Contacts that were merged, each with the contact that shows them.
    pub merged: BTreeMap<u64, u64>,
    pub key_property: KeyProperty,
    /// The time after which a search shows a record.
    pub lag: TimeDelta,
    /// `true` if a refusal of a second value says which record has it.
    pub names_owner_of_value: bool,
    pub changes: BTreeSet<Change>,
    pub access: BTreeSet<String>,
    pub refresh: String,
    pub refreshes: u64,
    /// The codes that were issued, each with `true` if it was not used yet.
    pub codes: BTreeMap<String, bool>,
    /// `true` if the owner is inactive.
    pub owner_is_inactive: bool,
    /// The scopes that the app lacks.
    pub missing_scopes: BTreeSet<String>,
    /// The requests and searches that are left. `None`: any number.
    pub requests_left: Option<u64>,
    pub searches_left: Option<u64>,
    pub daily_left: u64,
    next: u64,
}

impl Records {
    pub fn new(clock: Clock) -> Records {
        let mut records = Records {
            clock,
            advanced: TimeDelta::zero(),
            objects: BTreeMap::new(),
            merged: BTreeMap::new(),
            key_property: KeyProperty::Unique,
            lag: TimeDelta::seconds(60),
            names_owner_of_value: true,
            changes: BTreeSet::new(),
            access: [ACCESS_TOKEN, API_KEY].map(str::to_owned).into(),
            refresh: REFRESH_TOKEN.to_owned(),
            refreshes: 0,
            codes: BTreeMap::new(),
            owner_is_inactive: false,
            missing_scopes: BTreeSet::new(),
            requests_left: None,
            searches_left: None,
            daily_left: 249_000,
            next: 84_327_110_000,
        };
        for (id, name, phone) in [(BOB, "Bob Client", "+12135550111"), (BOB + 1, "Solo", "(213) 555-0122")] {
            records.put(Kind::Contact, id, person(name, phone));
        }
        records.add_deal(DEAL, BOB, "Roof", false);
        for (id, title) in [(DEAL + 1, "Gutter"), (DEAL + 2, "Porch")] {
            records.add_deal(id, 0, title, false);
        }
        let long_ago = records.now() - TimeDelta::days(1);
        records.objects.values_mut().for_each(|object| object.created_at = long_ago);
        records
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.advanced
    }

    /// Returns a new id.
    pub fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn put(&mut self, kind: Kind, id: u64, properties: BTreeMap<String, String>) {
        let now = self.now();
        let object = Object {
            properties,
            created_at: now,
            // HubSpot computes properties of a new record.
            updated_at: now + TimeDelta::milliseconds(350),
            is_archived: false,
            links: BTreeSet::new(),
        };
        self.objects.insert((kind, id), object);
    }

    pub fn add_deal(&mut self, id: u64, contact: u64, title: &str, is_closed: bool) {
        let properties = [("dealname", title.to_owned()), ("hs_is_closed", is_closed.to_string())];
        self.put(Kind::Deal, id, properties.map(|(name, value)| (name.to_owned(), value)).into());
        if let Some(contact) = self.objects.get_mut(&(Kind::Contact, contact)) {
            contact.links.insert((Kind::Deal, id));
        }
    }

    /// Returns a record that is not archived. A contact that was merged is shown as the other one.
    pub fn find(&self, kind: Kind, id: u64) -> Result<(u64, &Object), Problem> {
        let id = match kind {
            Kind::Contact => self.merged.get(&id).copied().unwrap_or(id),
            _ => id,
        };
        let found = self.objects.get(&(kind, id)).filter(|object| !object.is_archived);
        found.map(|object| (id, object)).ok_or_else(Problem::not_found)
    }

    pub fn find_mut(&mut self, kind: Kind, id: u64) -> Result<&mut Object, Problem> {
        let found = self.objects.get_mut(&(kind, id)).filter(|object| !object.is_archived);
        found.ok_or_else(Problem::not_found)
    }

    /// Returns the id of the call that has this value of the unique property.
    pub fn with_key(&self, value: &str) -> Option<u64> {
        let has_key = |object: &Object| object.properties.get(KEY).is_some_and(|key| key == value);
        let mut found =
            self.objects.iter().filter(|((kind, _), object)| *kind == Kind::Call && has_key(object));
        found.next().map(|((_, id), _)| *id)
    }

    /// Checks properties and returns them as they are stored. An empty text clears a property.
    pub fn accept(&self, kind: Kind, sent: &Map<String, Value>) -> Result<BTreeMap<String, String>, Problem> {
        let mut stored = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, value) in sent {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => {
                    wrong.push(Wrong::new(name, "INVALID_STRING", format!("{value} is no text")));
                    continue;
                }
            };
            match self.check(kind, name, &text) {
                Ok(text) => _ = stored.insert(name.clone(), text),
                Err((code, message)) => wrong.push(Wrong::new(name, code, message)),
            }
        }
        if wrong.is_empty() { Ok(stored) } else { Err(Problem::invalid(&wrong)) }
    }

    /// Returns a value as it is stored.
    fn check(&self, kind: Kind, name: &str, text: &str) -> Result<String, (&'static str, String)> {
        let invalid = |code| Err((code, format!("{text} was not a valid value of {name}")));
        if READ_ONLY.contains(&name) {
            return Err((
                "READ_ONLY_VALUE",
                format!("\"{name}\" is a read only property; its value cannot be set"),
            ));
        }
        if text.chars().count() > MAX_TEXT {
            return Err(("STRING_TOO_LONG", format!("{name} has more than {MAX_TEXT} characters")));
        }
        if text.is_empty() {
            return Ok(String::new());
        }
        match (kind, name) {
            (Kind::Call, "hs_timestamp") => match text.parse::<DateTime<Utc>>() {
                Ok(time) => Ok(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                Err(_) => invalid("INVALID_DATE"),
            },
            (Kind::Call, "hs_call_body") => Ok(self.stored(text)),
            (
                Kind::Call,
                "hs_call_title" | "hs_call_from_number" | "hs_call_to_number" | "hs_call_external_id",
            ) => Ok(text.to_owned()),
            (Kind::Call, "hs_call_duration") if text.parse::<u64>().is_err() => invalid("INVALID_LONG"),
            (Kind::Call, "hs_call_direction") if !["INBOUND", "OUTBOUND"].contains(&text) => {
                invalid("INVALID_OPTION")
            }
            (Kind::Call, "hs_call_status") if !STATUSES.contains(&text) => invalid("INVALID_OPTION"),
            (Kind::Call, "hs_call_disposition") if !DISPOSITIONS.contains(&text) => invalid("INVALID_OPTION"),
            (Kind::Call, "hs_call_recording_url") => {
                let is_file = text.ends_with(".mp3") || text.ends_with(".wav");
                if text.starts_with("https://") && is_file {
                    Ok(text.to_owned())
                } else {
                    invalid("INVALID_URL")
                }
            }
            (Kind::Call | Kind::Contact, "hubspot_owner_id") => {
                let is_active = text == OWNER.to_string() && !self.owner_is_inactive;
                if is_active { Ok(text.to_owned()) } else { invalid("INVALID_OWNER_ID") }
            }
            (Kind::Call, KEY) if self.key_property != KeyProperty::Missing => Ok(text.to_owned()),
            (
                Kind::Call,
                "hs_call_duration" | "hs_call_direction" | "hs_call_status" | "hs_call_disposition",
            )
            | (Kind::Contact, "firstname" | "lastname" | "phone" | "mobilephone" | "email") => {
                Ok(text.to_owned())
            }
            _ => Err(("PROPERTY_DOESNT_EXIST", format!("Property \"{name}\" does not exist"))),
        }
    }

    /// Returns a body as it is stored, with the changes that are switched on.
    fn stored(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for change in &self.changes {
            text = match change {
                // The editor of HubSpot's pages writes these when a person saves a call for the first time.
                Change::RewritesMarkup => {
                    let text = text.replace("<b>", "<strong>").replace("</b>", "</strong>");
                    let text = text.replace("<br>", "<br/>").replace("<ul>", "<ul style=\"\">");
                    let text = text.replace("<a target=\"_blank\"", "<a rel=\"noopener\" target=\"_blank\"");
                    format!("<div style=\"\" dir=\"auto\" data-top-level=\"true\">{text}</div>")
                }
                Change::Trims => text.trim().to_owned(),
                other => unreachable!("the fake does not declare {other:?}"),
            };
        }
        text
    }

    /// Returns the value of a property, also of one that is computed.
    pub fn value(&self, id: u64, object: &Object, name: &str) -> Option<String> {
        let of = |name: &str| object.properties.get(name).filter(|value| !value.is_empty());
        match name {
            "hs_object_id" => Some(id.to_string()),
            "hs_createdate" => Some(timestamp(object.created_at)),
            "hs_lastmodifieddate" => Some(timestamp(object.updated_at)),
            "hs_searchable_calculated_phone_number" => of("phone").map(|phone| national(phone)),
            "hs_searchable_calculated_mobile_number" => of("mobilephone").map(|phone| national(phone)),
            name => of(name).cloned(),
        }
    }

    /// Returns a record as the API shows it, with these properties.
    pub fn shown(&self, id: u64, object: &Object, names: &[String]) -> Value {
        let defaults = ["hs_object_id", "hs_createdate", "hs_lastmodifieddate"].map(str::to_owned);
        let properties: Map<String, Value> = names
            .iter()
            .chain(&defaults)
            .map(|name| (name.clone(), json!(self.value(id, object, name))))
            .collect();
        json!({
            "id": id.to_string(), "properties": properties, "createdAt": timestamp(object.created_at),
            "updatedAt": timestamp(object.updated_at), "archived": object.is_archived,
        })
    }
}

pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns the properties of a person.
pub fn person(name: &str, phone: &str) -> BTreeMap<String, String> {
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    [("firstname", first), ("lastname", last), ("phone", phone)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A property whose value is wrong.
#[derive(Debug)]
pub struct Wrong {
    name: String,
    code: &'static str,
    message: String,
}

impl Wrong {
    pub fn new(name: &str, code: &'static str, message: String) -> Wrong {
        Wrong { name: name.to_owned(), code, message }
    }
}

/// An error in HubSpot's form.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub body: Value,
}

impl Problem {
    pub fn new(status: u16, category: &str, message: &str) -> Problem {
        let status = StatusCode::from_u16(status).expect("a status");
        let body = json!({
            "status": "error", "message": message, "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
            "category": category,
        });
        Problem { status, body }
    }

    pub fn bad(message: &str) -> Problem {
        Problem::new(400, "VALIDATION_ERROR", message)
    }

    pub fn not_found() -> Problem {
        Problem::new(404, "OBJECT_NOT_FOUND", "resource not found")
    }

    /// Values that are wrong.
    pub fn invalid(wrong: &[Wrong]) -> Problem {
        let list: Vec<_> = wrong
            .iter()
            .map(|wrong| {
                json!({ "isValid": false, "message": wrong.message, "error": wrong.code, "name": wrong.name })
            })
            .collect();
        let errors: Vec<_> = wrong
            .iter()
            .map(|wrong| {
                json!({ "message": wrong.message, "code": wrong.code, "context": { "propertyName": [wrong.name] } })
            })
            .collect();
        let mut problem = Problem::bad(&format!("Property values were not valid: {}", json!(list)));
        problem.body["errors"] = json!(errors);
        problem
    }

    /// A scope that the app lacks.
    pub fn missing_scope(scope: &str) -> Problem {
        let message = "This app hasn't been granted all required scopes to make this call. Read more about required scopes.";
        let mut problem = Problem::new(403, "MISSING_SCOPES", message);
        problem.body["errors"] = json!([{
            "message": "One or more of the following scopes are required.",
            "context": { "requiredGranularScopes": [scope] },
        }]);
        problem
    }

    /// Too many requests.
    pub fn too_many(policy: &str) -> Problem {
        let mut problem = Problem::new(429, "RATE_LIMITS", "You have reached your limit.");
        problem.body["errorType"] = json!("RATE_LIMIT");
        problem.body["policyName"] = json!(policy);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
