//! The fake of Pipedrive: as much of its API as call logs need, as strict as its API reference.
//!
//! It serves tests in this process as well as whole programs (`CRM_BASE_URL_PIPEDRIVE`). The [`Proxy`] in front of
//! it causes the faults.

mod conformance;
mod oauth;
mod persons;
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

use self::records::{Failure, Records, activity_type, check_names, object, store, success};
use crate::proxy::{Exchange, Fault, Proxy, Target};

/// The name of the adapter.
pub const PLATFORM: &str = "pipedrive";
/// The variable with the URL of the fake.
pub const BASE_URL_VARIABLE: &str = "CRM_BASE_URL_PIPEDRIVE";
/// The user to whom every credential belongs.
pub const USER: u64 = 12345;
/// The company to which every user belongs.
pub const COMPANY: u64 = 3_151_823;
/// The access token that is valid when the fake starts.
pub const ACCESS_TOKEN: &str = "pipedrive-access-0";
/// The refresh token that is valid when the fake starts.
pub const REFRESH_TOKEN: &str = "pipedrive-refresh-0";
/// The API key that is valid when the fake starts.
pub const API_KEY: &str = "pipedrive-api-key";
/// A person of organisation 501, who exists when the fake starts.
pub const BOB: u64 = 77;
/// A person without an organisation, who exists when the fake starts.
pub const SOLO: u64 = 78;

/// The requests for which faults can be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// "Get details of a person"
    GetPerson,
    /// "Search persons"
    SearchPersons,
    /// "Add a new person"
    CreatePerson,
    /// "Get all deals"
    ListDeals,
    /// "Get all leads" (API v1)
    ListLeads,
    /// "Get all activity types" (API v1)
    ActivityTypes,
    /// "Get current user data" (API v1)
    CurrentUser,
    /// "Get all users" (API v1)
    Users,
    /// "Add a new activity"
    CreateActivity,
    /// "Get details of an activity"
    GetActivity,
    /// "Update an activity"
    UpdateActivity,
    /// "Get all activities"
    ListActivities,
    /// "Delete an activity"
    DeleteActivity,
    /// The exchange of a code or a refresh token for an access token
    Token,
    /// The revocation of a token
    Revoke,
}

impl Route {
    /// Returns the method and the path of the request.
    pub const fn target(self) -> Target {
        let (method, path) = match self {
            Route::GetPerson => ("GET", "/api/v2/persons/*"),
            Route::SearchPersons => ("GET", "/api/v2/persons/search"),
            Route::CreatePerson => ("POST", "/api/v2/persons"),
            Route::ListDeals => ("GET", "/api/v2/deals"),
            Route::ListLeads => ("GET", "/v1/leads"),
            Route::ActivityTypes => ("GET", "/v1/activityTypes"),
            Route::CurrentUser => ("GET", "/v1/users/me"),
            Route::Users => ("GET", "/v1/users"),
            Route::CreateActivity => ("POST", "/api/v2/activities"),
            Route::GetActivity => ("GET", "/api/v2/activities/*"),
            Route::UpdateActivity => ("PATCH", "/api/v2/activities/*"),
            Route::DeleteActivity => ("DELETE", "/api/v2/activities/*"),
            Route::ListActivities => ("GET", "/api/v2/activities"),
            Route::Token => ("POST", "/oauth/token"),
            Route::Revoke => ("POST", "/oauth/revoke"),
        };
        Target { method, path }
    }
}

/// A running fake; it stops when it is dropped.
#[derive(Debug)]
pub struct FakePipedrive {
    records: Arc<Mutex<Records>>,
    proxy: Proxy,
}

/// Returns the fake without a proxy: it has no faults and keeps connections open, as benchmarks need it.
pub fn server() -> Router {
    router(Arc::new(Mutex::new(Records::new(Clock::System))))
}

impl FakePipedrive {
    /// Starts a fake on the system's clock.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> FakePipedrive {
        FakePipedrive::with_clock(Clock::System)
    }

    /// Starts a fake whose records carry the times of this clock.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn with_clock(clock: Clock) -> FakePipedrive {
        let records = Arc::new(Mutex::new(Records::new(clock)));
        FakePipedrive { proxy: Proxy::around(router(records.clone())), records }
    }

    /// Returns the base URL, without a slash at its end.
    pub fn base_url(&self) -> String {
        self.proxy.base_url()
    }

    /// Returns the proxy in front of the fake.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Queues a fault for the next request of this kind.
    pub fn next(&self, route: Route, fault: Fault) {
        self.proxy.next(route.target(), fault);
    }

    /// Lets the next request of this kind fail with this fault. A read is sent once more if its connection was lost; then that
    /// fails too.
    pub fn fail(&self, route: Route, fault: Fault) {
        let is_lost = matches!(fault, Fault::DropBeforeEffect | Fault::DropBeforeAnswer);
        let sent = if is_lost && route.target().method == "GET" { 2 } else { 1 };
        (0..sent).for_each(|_| self.next(route, fault.clone()));
    }

    /// Sets the fault of every request of this kind, until faults are forgotten.
    pub fn always(&self, route: Route, fault: Fault) {
        self.proxy.always(route.target(), fault);
    }

    /// Removes the faults of single requests and kinds.
    pub fn forget_faults(&self) {
        self.proxy.forget_faults();
    }

    /// Sets the fault of every request for which none is queued, or ends such an outage (`None`).
    pub fn outage(&self, fault: Option<Fault>) {
        self.proxy.outage(fault);
    }

    /// Refuses every activity that contains this text, as Pipedrive refuses values that an account's rules forbid.
    pub fn refuse(&self, text: &str) {
        self.records().refused = Some(text.to_owned());
    }

    /// Sets the remainder that every response reports, of a burst budget of a hundred requests.
    pub fn leave(&self, remaining: u64) {
        self.records().remaining = remaining;
    }

    /// Returns every request that has arrived, in order.
    pub fn requests(&self) -> Vec<Exchange> {
        self.proxy.exchanges()
    }

    /// Returns the number of requests of this kind that have arrived.
    pub fn count(&self, route: Route) -> usize {
        self.proxy.count(route.target())
    }

    /// Returns the activities that are not deleted, in the order of their ids.
    pub fn activities(&self) -> Vec<Value> {
        let records = self.records();
        records.activities.values().filter(|activity| activity["is_deleted"] == false).cloned().collect()
    }

    /// Changes one field of an activity, as a person does on Pipedrive's page.
    ///
    /// # Panics
    ///
    /// If there is no such activity.
    pub fn edit(&self, id: u64, field: &str, value: Value) {
        let mut records = self.records();
        let now = records.now();
        let activity = records.activities.get_mut(&id).expect("an activity to edit");
        activity[field] = value;
        activity["update_time"] = json!(now);
    }

    /// Changes the note of an activity, as a person does on Pipedrive's page.
    ///
    /// # Panics
    ///
    /// If there is no such activity.
    pub fn edit_note(&self, id: u64, note: &str) {
        self.edit(id, "note", json!(note));
    }

    /// Deletes an activity, as a person does on Pipedrive's page.
    ///
    /// # Panics
    ///
    /// If there is no such activity.
    pub fn delete(&self, id: u64) {
        self.edit(id, "is_deleted", json!(true));
    }

    /// Carries out the request that created this activity once more, now.
    pub fn land(&self, activity: &Value) {
        let mut records = self.records();
        let id = records.activities.last_key_value().map_or(5001, |(id, _)| id + 1);
        let mut copy = activity.clone();
        copy["id"] = json!(id);
        copy["add_time"] = json!(records.now());
        copy["update_time"] = copy["add_time"].clone();
        records.activities.insert(id, copy);
    }

    /// Adds a person and returns the person's id.
    pub fn add_person(&self, name: &str, phone: &str, org: Option<u64>) -> u64 {
        self.records().add_person(name, phone, org)
    }

    /// Adds a deal of a person. Its status is `open`, `won` or `lost`.
    pub fn add_deal(&self, id: u64, person: u64, title: &str, status: &str) {
        let deal = json!({ "id": id, "title": title, "person_id": person, "status": status });
        self.records().deals.push(deal);
    }

    /// Adds a lead of a person.
    pub fn add_lead(&self, id: &str, person: u64, title: &str) {
        self.records().leads.push(json!({ "id": id, "title": title, "person_id": person }));
    }

    /// Returns the number of persons.
    pub fn persons(&self) -> usize {
        self.records().persons.len()
    }

    /// Replaces the users of the company. Each has an id, a name, and an e-mail address, if it is not empty.
    pub fn set_users(&self, users: &[(u64, &str, &str)]) {
        let user = |(id, name, email): &(u64, &str, &str)| {
            let email = (!email.is_empty()).then_some(email);
            json!({ "id": id, "name": name, "email": email, "active_flag": true, "is_deleted": false })
        };
        self.records().users = users.iter().map(user).collect();
    }

    /// Replaces the activity types. Each has a name, a key, and `true` if it is active.
    pub fn set_types(&self, types: &[(&str, &str, bool)]) {
        self.records().types =
            types.iter().map(|(name, key, active)| activity_type(name, key, *active)).collect();
    }

    /// Sets the company to which every credential belongs from now on.
    pub fn move_to(&self, company: u64) {
        self.records().company = company;
    }

    /// Sets if the fake rewrites HTML and times before it stores them, as CRMs do.
    pub fn normalise(&self, on: bool) {
        self.records().normalise = on;
    }

    /// Invalidates all access tokens and API keys. The refresh token stays valid.
    pub fn end_access(&self) {
        self.records().access.clear();
    }

    /// Returns the number of requests to exchange a refresh token.
    pub fn refreshes(&self) -> u64 {
        self.records().refreshes
    }

    /// Returns the OAuth client of each request to exchange a refresh token, as `id:secret`; empty if it had none.
    pub fn clients(&self) -> Vec<String> {
        self.records().clients.clone()
    }

    /// Returns a code, as the page of Pipedrive issues it when a person grants access.
    pub fn issue_code(&self) -> String {
        let code = format!("pipedrive-code-{}", self.records().codes.len());
        self.accept_code(&code);
        code
    }

    /// Accepts a code once.
    pub fn accept_code(&self, code: &str) {
        self.records().codes.insert(code.to_owned(), true);
    }

    /// Adds what the agent's day with the extension expects of the CRM. A test plays the page that issues the code.
    pub fn prepare_day(&self) {
        self.accept_code("an-oauth-code");
        let john = self.add_person("John Smith", "+16504445566", None);
        self.add_deal(412, john, "Roof", "open");
        self.add_deal(413, BOB, "Gutter", "open");
    }

    /// Returns the pages for which codes were exchanged.
    pub fn redirects(&self) -> Vec<String> {
        self.records().redirects.clone()
    }

    /// Returns the only valid refresh token.
    pub fn refresh_token(&self) -> String {
        self.records().refresh.clone()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }
}

type Shared = State<Arc<Mutex<Records>>>;
type Reply = Result<Json<Value>, Failure>;

fn router(records: Arc<Mutex<Records>>) -> Router {
    Router::new()
        .route("/api/v2/persons", post(persons::create))
        .route("/api/v2/persons/search", get(persons::search))
        .route("/api/v2/persons/{id}", get(persons::read))
        .route("/api/v2/deals", get(persons::deals))
        .route("/v1/leads", get(persons::leads))
        .route("/v1/activityTypes", get(activity_types))
        .route("/v1/users/me", get(current_user))
        .route("/v1/users", get(users))
        .route("/api/v2/activities", get(list_activities).post(create_activity))
        .route("/api/v2/activities/{id}", get(get_activity).patch(update_activity).delete(delete_activity))
        .fallback(async || Failure::not_found())
        .layer(middleware::from_fn_with_state(records.clone(), authorize))
        .route("/oauth/token", post(oauth::token))
        .route("/oauth/revoke", post(oauth::revoke))
        .with_state(records)
}

fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rejects a request without a valid credential, and adds the budget to the response.
async fn authorize(State(records): Shared, request: Request, next: Next) -> Response {
    if !lock(&records).access.contains(shown_credential(request.headers()).unwrap_or_default()) {
        return Failure(StatusCode::UNAUTHORIZED, "unauthorized access".to_owned()).into_response();
    }
    let remaining = lock(&records).remaining.to_string();
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

async fn activity_types(State(records): Shared) -> Reply {
    Ok(success(json!(lock(&records).types)))
}

async fn current_user(State(records): Shared) -> Reply {
    let user = json!({
        "id": USER, "name": "Ada Agent", "company_id": lock(&records).company, "company_name": "Acme",
        "company_domain": "acme", "timezone_name": "America/Los_Angeles", "timezone_offset": "-08:00",
    });
    Ok(success(user))
}

async fn users(State(records): Shared) -> Reply {
    Ok(success(json!(lock(&records).users)))
}

async fn create_activity(State(records): Shared, body: Bytes) -> Reply {
    let mut records = lock(&records);
    let fields = records.accept(object(&body)?)?;
    let id = records.activities.last_key_value().map_or(5001, |(id, _)| id + 1);
    let mut activity = json!({
        "id": id, "subject": "Call", "type": "call", "owner_id": USER, "creator_user_id": USER, "is_deleted": false,
        "add_time": records.now(), "update_time": records.now(), "deal_id": null, "lead_id": null, "person_id": null,
        "org_id": null, "project_id": null, "due_date": null, "due_time": null, "duration": null, "busy": false,
        "done": false, "location": null, "participants": [], "attendees": [], "public_description": null,
        "priority": null, "note": null,
    });
    store(&mut activity, fields);
    records.activities.insert(id, activity.clone());
    Ok(success(activity))
}

async fn get_activity(State(records): Shared, Path(id): Path<u64>) -> Reply {
    let records = lock(&records);
    let found = records.activities.get(&id).filter(|activity| activity["is_deleted"] == false);
    found.cloned().map(success).ok_or_else(Failure::not_found)
}

async fn update_activity(State(records): Shared, Path(id): Path<u64>, body: Bytes) -> Reply {
    let mut records = lock(&records);
    let fields = records.accept(object(&body)?)?;
    let now = records.now();
    let found = records.activities.get_mut(&id).filter(|activity| activity["is_deleted"] == false);
    let activity = found.ok_or_else(Failure::not_found)?;
    store(activity, fields);
    activity["update_time"] = json!(now);
    Ok(success(activity.clone()))
}

async fn delete_activity(State(records): Shared, Path(id): Path<u64>) -> Reply {
    let mut records = lock(&records);
    let now = records.now();
    let found = records.activities.get_mut(&id).filter(|activity| activity["is_deleted"] == false);
    let activity = found.ok_or_else(Failure::not_found)?;
    activity["is_deleted"] = json!(true);
    activity["update_time"] = json!(now);
    Ok(success(json!({ "id": id })))
}

async fn list_activities(State(records): Shared, Query(query): Query<BTreeMap<String, String>>) -> Reply {
    let names =
        ["person_id", "owner_id", "done", "updated_since", "sort_by", "sort_direction", "limit", "cursor"];
    check_names(query.keys(), &names)?;
    let number = |name: &str, default: u64| match query.get(name) {
        Some(text) => text.parse::<u64>().map_err(|_| Failure::bad(name)),
        None => Ok(default),
    };
    let (person, owner, limit) = (number("person_id", 0)?, number("owner_id", 0)?, number("limit", 100)?);
    let time = |text: &str| text.parse::<DateTime<Utc>>().ok();
    let since =
        query.get("updated_since").map(|text| time(text).ok_or_else(|| Failure::bad("updated_since")));
    let since = since.transpose()?;
    let records = lock(&records);
    let mut found: Vec<&Value> = records
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
