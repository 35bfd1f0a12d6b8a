//! A stand-in for Pipedrive: as much of its API as call logs need, as strict as Pipedrive says it is.
//!
//! It serves tests in this process and whole programs alike (`CRM_BASE_URL_PIPEDRIVE`). What goes wrong on the way
//! is the business of the [`Proxy`] before it.

mod records;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use call_log::model::Clock;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::records::{Crm, Failure, activity_type, known, object, store, success};
use crate::proxy::{Exchange, Fault, Proxy, Target};

/// The user whom every credential belongs to.
pub const USER: u64 = 12345;
/// The credentials that are good from the start.
pub const ACCESS_TOKEN: &str = "pipedrive-access-0";
pub const REFRESH_TOKEN: &str = "pipedrive-refresh-0";
pub const API_KEY: &str = "pipedrive-api-key";
/// The persons from the start: one of organisation 501, and one of none.
pub const BOB: u64 = 77;
pub const SOLO: u64 = 78;

/// The requests that a fault can be queued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    GetPerson,
    SearchPersons,
    CreatePerson,
    ActivityTypes,
    CreateActivity,
    GetActivity,
    UpdateActivity,
    ListActivities,
    DeleteActivity,
    Token,
}

impl Route {
    pub const fn target(self) -> Target {
        let (method, path) = match self {
            Route::GetPerson => ("GET", "/api/v2/persons/*"),
            Route::SearchPersons => ("GET", "/api/v2/persons/search"),
            Route::CreatePerson => ("POST", "/api/v2/persons"),
            Route::ActivityTypes => ("GET", "/v1/activityTypes"),
            Route::CreateActivity => ("POST", "/api/v2/activities"),
            Route::GetActivity => ("GET", "/api/v2/activities/*"),
            Route::UpdateActivity => ("PATCH", "/api/v2/activities/*"),
            Route::DeleteActivity => ("DELETE", "/api/v2/activities/*"),
            Route::ListActivities => ("GET", "/api/v2/activities"),
            Route::Token => ("POST", "/oauth/token"),
        };
        Target { method, path }
    }
}

/// A running stand-in; it stops when it is dropped.
#[derive(Debug)]
pub struct FakePipedrive {
    crm: Arc<Mutex<Crm>>,
    proxy: Proxy,
}

/// The same CRM without a proxy, for who needs neither faults nor records, but connections that stay open.
pub fn server() -> Router {
    router(Arc::new(Mutex::new(Crm::new(Clock::System))))
}

impl FakePipedrive {
    pub fn start() -> FakePipedrive {
        FakePipedrive::with_clock(Clock::System)
    }

    /// A stand-in whose records carry the times of this clock.
    pub fn with_clock(clock: Clock) -> FakePipedrive {
        let crm = Arc::new(Mutex::new(Crm::new(clock)));
        FakePipedrive { proxy: Proxy::around(router(crm.clone())), crm }
    }

    pub fn base_url(&self) -> String {
        self.proxy.base_url()
    }

    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The next request of that kind meets this fault.
    pub fn next(&self, route: Route, fault: Fault) {
        self.proxy.next(route.target(), fault);
    }

    /// Faults that nobody has met yet are forgotten.
    pub fn forget_faults(&self) {
        self.proxy.forget_faults();
    }

    /// From now on every request that no other fault is for meets this one; `None`: all goes well again.
    pub fn outage(&self, fault: Option<Fault>) {
        self.proxy.outage(fault);
    }

    /// From now on every answer says that so much is left of a burst budget of a hundred requests.
    pub fn leave(&self, remaining: u64) {
        self.crm().remaining = remaining;
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Exchange> {
        self.proxy.exchanges()
    }

    /// How many requests of that kind arrived.
    pub fn count(&self, route: Route) -> usize {
        self.proxy.count(route.target())
    }

    /// The activities that are not deleted, in the order of their ids.
    pub fn activities(&self) -> Vec<Value> {
        self.crm().activities.values().filter(|activity| activity["is_deleted"] == false).cloned().collect()
    }

    /// Changes one field of an activity, as its user would on the page.
    pub fn edit(&self, id: u64, field: &str, value: Value) {
        let mut crm = self.crm();
        let now = crm.now();
        let activity = crm.activities.get_mut(&id).expect("an activity to edit");
        activity[field] = value;
        activity["update_time"] = json!(now);
    }

    pub fn edit_note(&self, id: u64, note: &str) {
        self.edit(id, "note", json!(note));
    }

    pub fn delete(&self, id: u64) {
        self.edit(id, "is_deleted", json!(true));
    }

    /// A request that made this activity arrives once more, now.
    pub fn land(&self, activity: &Value) {
        let mut crm = self.crm();
        let id = crm.activities.last_key_value().map_or(5001, |(id, _)| id + 1);
        let mut copy = activity.clone();
        copy["id"] = json!(id);
        copy["add_time"] = json!(crm.now());
        copy["update_time"] = copy["add_time"].clone();
        crm.activities.insert(id, copy);
    }

    pub fn add_person(&self, name: &str, phone: &str, org: Option<u64>) -> u64 {
        self.crm().add_person(name, phone, org)
    }

    /// Replaces the activity types: name, key, and whether it is active.
    pub fn set_types(&self, types: &[(&str, &str, bool)]) {
        self.crm().types =
            types.iter().map(|(name, key, active)| activity_type(name, key, *active)).collect();
    }

    /// From now on HTML and times are rewritten when they are stored, as CRMs do.
    pub fn normalise(&self, on: bool) {
        self.crm().normalise = on;
    }

    /// No access token and no API key is good any more; the refresh token is.
    pub fn end_access(&self) {
        self.crm().access.clear();
    }

    /// How often a refresh token was exchanged.
    pub fn refreshes(&self) -> u64 {
        self.crm().refreshes
    }

    /// The one refresh token that is good.
    pub fn refresh_token(&self) -> String {
        self.crm().refresh.clone()
    }

    fn crm(&self) -> MutexGuard<'_, Crm> {
        lock(&self.crm)
    }
}

type Shared = State<Arc<Mutex<Crm>>>;
type Answer = Result<Json<Value>, Failure>;

fn router(crm: Arc<Mutex<Crm>>) -> Router {
    Router::new()
        .route("/api/v2/persons", post(create_person))
        .route("/api/v2/persons/search", get(search_persons))
        .route("/api/v2/persons/{id}", get(get_person))
        .route("/v1/activityTypes", get(activity_types))
        .route("/api/v2/activities", get(list_activities).post(create_activity))
        .route("/api/v2/activities/{id}", get(get_activity).patch(update_activity).delete(delete_activity))
        .fallback(async || Failure::not_found())
        .layer(middleware::from_fn_with_state(crm.clone(), authorize))
        .route("/oauth/token", post(token))
        .with_state(crm)
}

fn lock(crm: &Mutex<Crm>) -> MutexGuard<'_, Crm> {
    crm.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets in who has a good credential, and says what is left of the budget.
async fn authorize(State(crm): Shared, request: Request, next: Next) -> Response {
    if !lock(&crm).access.contains(shown_credential(request.headers()).unwrap_or_default()) {
        return Failure(StatusCode::UNAUTHORIZED, "unauthorized access".to_owned()).into_response();
    }
    let remaining = lock(&crm).remaining.to_string();
    let budget = [
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", remaining.as_str()),
        ("x-ratelimit-reset", "2"),
        ("x-daily-requests-left", "9999"),
    ];
    (budget, next.run(request).await).into_response()
}

fn shown_credential(headers: &HeaderMap) -> Option<&str> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    header("authorization").and_then(|value| value.strip_prefix("Bearer ")).or_else(|| header("x-api-token"))
}

async fn get_person(State(crm): Shared, Path(id): Path<u64>) -> Answer {
    lock(&crm).persons.get(&id).cloned().map(success).ok_or_else(Failure::not_found)
}

async fn search_persons(State(crm): Shared, Query(query): Query<BTreeMap<String, String>>) -> Answer {
    known(query.keys(), &["term", "fields", "exact_match", "organization_id", "limit", "cursor"])?;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let term = query.get("term").map(|term| digits(term)).filter(|term| term.len() > 1);
    let term = term.ok_or_else(|| Failure::bad("the term must have two characters"))?;
    let exact = query.get("exact_match").is_some_and(|exact| exact == "true");
    let items: Vec<Value> = lock(&crm)
        .persons
        .values()
        .filter_map(|person| {
            let phone = person["phones"][0]["value"].as_str().unwrap_or_default();
            let hit = if exact { digits(phone) == term } else { digits(phone).contains(&term) };
            let item =
                json!({ "id": person["id"], "type": "person", "name": person["name"], "phones": [phone] });
            hit.then(|| json!({ "result_score": 0.5, "item": item }))
        })
        .collect();
    Ok(success(json!({ "items": items })))
}

async fn create_person(State(crm): Shared, body: Bytes) -> Answer {
    let fields = object(&body)?;
    known(fields.keys(), &["name", "phones", "emails", "owner_id", "org_id", "label_ids"])?;
    let fields = Value::Object(fields);
    let (Some(name), Some(phone)) = (fields["name"].as_str(), fields["phones"][0]["value"].as_str()) else {
        return Err(Failure::bad("Validation failed: name, phones"));
    };
    let mut crm = lock(&crm);
    let id = crm.add_person(name, phone, fields["org_id"].as_u64());
    Ok(success(crm.persons[&id].clone()))
}

async fn activity_types(State(crm): Shared) -> Answer {
    Ok(success(json!(lock(&crm).types)))
}

async fn create_activity(State(crm): Shared, body: Bytes) -> Answer {
    let mut crm = lock(&crm);
    let fields = crm.accept(object(&body)?)?;
    let id = crm.activities.last_key_value().map_or(5001, |(id, _)| id + 1);
    let mut activity = json!({
        "id": id, "subject": "Call", "type": "call", "owner_id": USER, "creator_user_id": USER, "is_deleted": false,
        "add_time": crm.now(), "update_time": crm.now(), "deal_id": null, "lead_id": null, "person_id": null,
        "org_id": null, "project_id": null, "due_date": null, "due_time": null, "duration": null, "busy": false,
        "done": false, "location": null, "participants": [], "attendees": [], "public_description": null,
        "priority": null, "note": null,
    });
    store(&mut activity, fields);
    crm.activities.insert(id, activity.clone());
    Ok(success(activity))
}

async fn get_activity(State(crm): Shared, Path(id): Path<u64>) -> Answer {
    let crm = lock(&crm);
    let found = crm.activities.get(&id).filter(|activity| activity["is_deleted"] == false);
    found.cloned().map(success).ok_or_else(Failure::not_found)
}

async fn update_activity(State(crm): Shared, Path(id): Path<u64>, body: Bytes) -> Answer {
    let mut crm = lock(&crm);
    let fields = crm.accept(object(&body)?)?;
    let now = crm.now();
    let found = crm.activities.get_mut(&id).filter(|activity| activity["is_deleted"] == false);
    let activity = found.ok_or_else(Failure::not_found)?;
    store(activity, fields);
    activity["update_time"] = json!(now);
    Ok(success(activity.clone()))
}

async fn delete_activity(State(crm): Shared, Path(id): Path<u64>) -> Answer {
    let mut crm = lock(&crm);
    let now = crm.now();
    let found = crm.activities.get_mut(&id).filter(|activity| activity["is_deleted"] == false);
    let activity = found.ok_or_else(Failure::not_found)?;
    activity["is_deleted"] = json!(true);
    activity["update_time"] = json!(now);
    Ok(success(json!({ "id": id })))
}

async fn list_activities(State(crm): Shared, Query(query): Query<BTreeMap<String, String>>) -> Answer {
    let names =
        ["person_id", "owner_id", "done", "updated_since", "sort_by", "sort_direction", "limit", "cursor"];
    known(query.keys(), &names)?;
    let number = |name: &str, default: u64| match query.get(name) {
        Some(text) => text.parse::<u64>().map_err(|_| Failure::bad(name)),
        None => Ok(default),
    };
    let (person, owner, limit) = (number("person_id", 0)?, number("owner_id", 0)?, number("limit", 100)?);
    let time = |text: &str| text.parse::<DateTime<Utc>>().ok();
    let since =
        query.get("updated_since").map(|text| time(text).ok_or_else(|| Failure::bad("updated_since")));
    let since = since.transpose()?;
    let crm = lock(&crm);
    let mut found: Vec<&Value> = crm
        .activities
        .values()
        .filter(|activity| person == 0 || activity["person_id"] == person)
        .filter(|activity| owner == 0 || activity["owner_id"] == owner)
        .filter(|activity| query.get("done").is_none_or(|done| activity["done"] == (done == "true")))
        .filter(|activity| since.is_none() || activity["update_time"].as_str().and_then(time) >= since)
        .collect();
    let sort_by = query.get("sort_by").map_or("id", String::as_str);
    if !["id", "update_time", "add_time", "due_date"].contains(&sort_by) || !(1..=500).contains(&limit) {
        return Err(Failure::bad("sort_by, limit"));
    }
    found.sort_by_key(|activity| (activity[sort_by].to_string(), activity["id"].as_u64()));
    if query.get("sort_direction").is_some_and(|direction| direction == "desc") {
        found.reverse();
    }
    let cursor =
        query.get("cursor").map(|cursor| cursor.strip_prefix("after-").and_then(|at| at.parse().ok()));
    let from: usize = cursor.map_or(Some(0), |from| from).ok_or_else(|| Failure::bad("cursor"))?;
    let to = from + limit as usize;
    let next = (to < found.len()).then(|| format!("after-{to}"));
    let page: Vec<&Value> = found.into_iter().skip(from).take(limit as usize).collect();
    Ok(Json(json!({ "success": true, "data": page, "additional_data": { "next_cursor": next } })))
}

/// Exchanges a refresh token; each is good once.
async fn token(State(crm): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut crm = lock(&crm);
    let form = String::from_utf8_lossy(&body).into_owned();
    let is_form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let has = |pair: String| form.split('&').any(|given| given == pair);
    crm.refreshes += 1;
    if !is_form
        || !has("grant_type=refresh_token".to_owned())
        || !has(format!("refresh_token={}", crm.refresh))
    {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    }
    let number = crm.refreshes;
    let access = format!("pipedrive-access-{number}");
    crm.refresh = format!("pipedrive-refresh-{number}");
    crm.access.insert(access.clone());
    Json(json!({
        "access_token": access, "refresh_token": crm.refresh, "token_type": "Bearer", "expires_in": 3599,
        "scope": "base", "api_domain": "https://acme.pipedrive.com",
    }))
    .into_response()
}
