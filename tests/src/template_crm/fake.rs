//! The fake of the Template CRM: as much of its API as call logs need, as strict as its reference.
//!
//! Copy this file to `tests/src/<crm>.rs` and follow `docs/add-a-crm.md`. The comments that begin with "Fill in:" say
//! what to replace. Read each route's page of the API reference again while you write it: the fake has to reject what
//! the CRM rejects, or the suite proves nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use call_log::{
    adapters::{Crm, Recovery},
    model::{Clock, Contact, Credentials},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

// Fill in: in a copy, the adapter comes from the registry: `call_log::adapters::find("<crm>")`.
use super::TemplateCrm;
use crate::{
    fake_crm::{FakeCrm, OwnError, Routes, contact, key_and_token},
    proxy::{Proxy, Target},
};

/// The API key that the fake accepts.
pub const API_KEY: &str = "template-api-key";

/// The account of every user.
const ACCOUNT: &str = "acme-1";

/// A running fake; it stops when it is dropped.
#[derive(Debug)]
pub struct FakeTemplateCrm {
    proxy: Proxy,
    records: Arc<Mutex<Records>>,
}

impl FakeTemplateCrm {
    /// Starts a fake with two persons and no calls.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> FakeTemplateCrm {
        let person = |id: &str, name: &str, phone: &str| Person {
            id: id.to_owned(),
            name: name.to_owned(),
            phone: phone.to_owned(),
        };
        let persons = vec![person("1", "Bob Client", "+12135550111"), person("2", "Solo", "+12135550122")];
        let records = Arc::new(Mutex::new(Records { persons, calls: Vec::new() }));
        FakeTemplateCrm { proxy: Proxy::around(router(records.clone())), records }
    }
}

// Fill in: the facts about the CRM that the suite needs.
impl FakeCrm for FakeTemplateCrm {
    fn adapter(&self) -> &'static dyn Crm {
        &TemplateCrm
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn credentials(&self) -> Vec<Credentials> {
        key_and_token(API_KEY, None)
    }

    fn authorization_header(&self) -> String {
        format!("Bearer {API_KEY}")
    }

    fn account(&self) -> String {
        ACCOUNT.to_owned()
    }

    fn contacts(&self) -> [Contact; 2] {
        ["1", "2"].map(|id| contact(id, None))
    }

    fn routes(&self, _: Recovery) -> Routes {
        let target = |method, path| Target { method, path };
        Routes {
            create: target("POST", "/v1/calls"),
            read: target("GET", "/v1/calls/*"),
            update: target("PATCH", "/v1/calls/*"),
            find: target("GET", "/v1/calls"),
            finish: None,
            find_contacts: target("GET", "/v1/persons"),
            create_contact: target("POST", "/v1/persons"),
        }
    }

    fn errors(&self) -> Vec<OwnError> {
        vec![OwnError::rejection(422, r#"{"error": "there is no such person"}"#, "there is no such person")]
    }

    fn record_count(&self) -> usize {
        lock(&self.records).calls.len()
    }

    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)] {
        &[(Some("acme.template-crm.example"), "https://acme.template-crm.example")]
    }

    fn foreign_hosts(&self) -> &'static [&'static str] {
        &["template-crm.example", "a.b.template-crm.example", "acme.template-crm.example.evil.example"]
    }

    fn keeps_records(&self) -> Option<&'static str> {
        Some("the API does not tell if a record was changed")
    }
}

/// The records of the CRM.
#[derive(Debug)]
struct Records {
    persons: Vec<Person>,
    calls: Vec<Call>,
}

/// A person, as the API returns it.
#[derive(Clone, Debug, Serialize)]
struct Person {
    id: String,
    name: String,
    phone: String,
}

/// The record of a call, as the API returns it.
#[derive(Clone, Debug, Serialize)]
struct Call {
    id: String,
    #[serde(flatten)]
    fields: NewCall,
    #[serde(rename = "createdAt")]
    created_at: DateTime<Utc>,
}

/// The body of a request that creates a person.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    name: String,
    phone: String,
}

/// The body of a request that creates a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewCall {
    person_id: Option<String>,
    title: String,
    text: String,
    direction: String,
    start: Option<DateTime<Utc>>,
    seconds: Option<u64>,
}

/// The body of a request that changes a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallChange {
    title: Option<String>,
    text: Option<String>,
    direction: Option<String>,
    start: Option<DateTime<Utc>>,
    seconds: Option<u64>,
}

type Shared = State<Arc<Mutex<Records>>>;
type Parameters = Query<BTreeMap<String, String>>;

// Fill in: the routes of the CRM that the adapter uses.
fn router(records: Arc<Mutex<Records>>) -> Router {
    Router::new()
        .route("/v1/calls", get(list_calls).post(create_call))
        .route("/v1/calls/{id}", get(read_call).patch(update_call))
        .route("/v1/me", get(read_user))
        .route("/v1/persons", get(find_persons).post(create_person))
        .layer(middleware::from_fn(authorize))
        .with_state(records)
}

async fn read_user() -> Json<Value> {
    let host = "acme.template-crm.example";
    Json(json!({ "id": "7", "name": "Ada Agent", "account": ACCOUNT, "host": host }))
}

fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rejects a request without the API key.
async fn authorize(request: Request, next: Next) -> Response {
    if credential(request.headers()) == Some(API_KEY) {
        next.run(request).await
    } else {
        failure(StatusCode::UNAUTHORIZED, "the API key is missing or wrong")
    }
}

/// Returns the API key, or the OAuth access token, of a request.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    header("authorization").and_then(|value| value.strip_prefix("Bearer ")).or_else(|| header("x-api-token"))
}

async fn create_call(State(records): Shared, Json(new): Json<NewCall>) -> Response {
    let mut records = lock(&records);
    if new.person_id.as_ref().is_some_and(|id| records.persons.iter().all(|person| person.id != *id)) {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "there is no such person");
    }
    let id = (5001 + records.calls.len()).to_string();
    let call = Call { id, fields: new, created_at: Clock::System.now() };
    records.calls.push(call.clone());
    (StatusCode::CREATED, Json(call)).into_response()
}

async fn read_call(State(records): Shared, Path(id): Path<String>) -> Response {
    match lock(&records).calls.iter().find(|call| call.id == id) {
        Some(call) => Json(call).into_response(),
        None => failure(StatusCode::NOT_FOUND, "there is no such call"),
    }
}

async fn update_call(
    State(records): Shared,
    Path(id): Path<String>,
    Json(change): Json<CallChange>,
) -> Response {
    let mut records = lock(&records);
    let Some(call) = records.calls.iter_mut().find(|call| call.id == id) else {
        return failure(StatusCode::NOT_FOUND, "there is no such call");
    };
    if let Some(title) = change.title {
        call.fields.title = title;
    }
    if let Some(text) = change.text {
        call.fields.text = text;
    }
    if let Some(direction) = change.direction {
        call.fields.direction = direction;
    }
    call.fields.start = change.start.or(call.fields.start);
    call.fields.seconds = change.seconds.or(call.fields.seconds);
    Json(&*call).into_response()
}

/// Returns a person's calls, or with an empty `personId` the calls of no person, oldest first.
async fn list_calls(State(records): Shared, Query(query): Parameters) -> Response {
    let since = query.get("createdSince").map(|text| text.parse::<DateTime<Utc>>()).transpose();
    let (Some(person), Ok(since)) = (query.get("personId"), since) else {
        return failure(StatusCode::BAD_REQUEST, "personId is required, and createdSince must be a time");
    };
    let records = lock(&records);
    let is_listed = |call: &&Call| {
        call.fields.person_id.as_deref().unwrap_or_default() == *person
            && since.is_none_or(|since| call.created_at >= since)
    };
    let calls: Vec<_> = records.calls.iter().filter(is_listed).collect();
    Json(json!({ "calls": calls })).into_response()
}

async fn find_persons(State(records): Shared, Query(query): Parameters) -> Response {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let wanted = query.get("phone").map(|phone| digits(phone)).unwrap_or_default();
    let records = lock(&records);
    let has_number = |person: &&Person| !wanted.is_empty() && digits(&person.phone) == wanted;
    let persons: Vec<_> = records.persons.iter().filter(has_number).collect();
    Json(json!({ "persons": persons })).into_response()
}

async fn create_person(State(records): Shared, Json(new): Json<NewPerson>) -> Response {
    let mut records = lock(&records);
    let id = (1 + records.persons.len()).to_string();
    let person = Person { id, name: new.name, phone: new.phone };
    records.persons.push(person.clone());
    (StatusCode::CREATED, Json(person)).into_response()
}

/// Fill in: the form of the CRM's errors. The adapter shows the text in `error` to the user.
fn failure(status: StatusCode, message: &str) -> Response {
    let body: Value = json!({ "error": message });
    (status, Json(body)).into_response()
}
