//! The fake of HubSpot: as much of its API as call logs need, as strict as its API reference.
//!
//! It serves tests in this process as well as whole programs (`CRM_BASE_URL_HUBSPOT`). The [`Proxy`] in front of it causes the
//! faults. A request that HubSpot's reference does not have is refused.

mod conformance;
mod numbers;
mod oauth;
mod objects;
mod properties;
pub mod records;
mod search;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use call_log::model::Clock;
use chrono::TimeDelta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::records::{KeyProperty, Kind, Problem, Records};
use crate::proxy::{Fault, Proxy, Target};

/// The variable with the URL of the fake.
pub const BASE_URL_VARIABLE: &str = "CRM_BASE_URL_HUBSPOT";
/// The account ("hub") to which every credential belongs.
pub const HUB: u64 = 62_515;
/// The user to whom every credential belongs.
pub const USER: u64 = 123_456;
/// The same user as an owner of records.
pub const OWNER: u64 = 11_349_275_740;
/// The access token that is valid when the fake starts.
pub const ACCESS_TOKEN: &str = "hubspot-access-0";
/// The only refresh token.
pub const REFRESH_TOKEN: &str = "hubspot-refresh-0";
/// The token of a private app, which does not expire.
pub const API_KEY: &str = "pat-eu1-0c0ffee0-private";
/// Our client id and secret.
pub const CLIENT: [&str; 2] = ["hubspot-client", "hubspot-client-secret"];
/// A contact with a deal, who exists when the fake starts. The next number is another contact.
pub const BOB: u64 = 501;
/// A deal of [`BOB`]. The next two numbers are deals of others.
pub const DEAL: u64 = 412;

/// The requests for which faults can be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// "Create a call"
    CreateCall,
    /// "Read a call", by its id or by its key
    GetCall,
    /// "Update a call"
    UpdateCall,
    /// "Search calls"
    SearchCalls,
    /// "Search contacts"
    SearchContacts,
    /// "Create a contact"
    CreateContact,
    /// "Read a contact"
    GetContact,
    /// "Read a property"
    GetProperty,
    /// "Create a property"
    CreateProperty,
    /// "Create the default association"
    LinkDeal,
    /// "Delete all associations between two records"
    UnlinkDeal,
    /// The exchange of a code or a refresh token
    Token,
    /// "Retrieve OAuth token metadata"
    TokenInfo,
    /// "Get private app access token info"
    PrivateApp,
}

impl Route {
    /// Returns the method and the path of the request.
    pub const fn target(self) -> Target {
        let (method, path) = match self {
            Route::CreateCall => ("POST", "/crm/v3/objects/calls"),
            Route::GetCall => ("GET", "/crm/v3/objects/calls/*"),
            Route::UpdateCall => ("PATCH", "/crm/v3/objects/calls/*"),
            Route::SearchCalls => ("POST", "/crm/v3/objects/calls/search"),
            Route::SearchContacts => ("POST", "/crm/v3/objects/contacts/search"),
            Route::CreateContact => ("POST", "/crm/v3/objects/contacts"),
            Route::GetContact => ("GET", "/crm/v3/objects/contacts/*"),
            Route::GetProperty => ("GET", "/crm/v3/properties/calls/*"),
            Route::CreateProperty => ("POST", "/crm/v3/properties/calls"),
            Route::LinkDeal => ("PUT", "/crm/v4/objects/calls/*/associations/default/deals/*"),
            Route::UnlinkDeal => ("DELETE", "/crm/v4/objects/calls/*/associations/deals/*"),
            Route::Token => ("POST", "/oauth/2026-03/token"),
            Route::TokenInfo => ("GET", "/oauth/v1/access-tokens/*"),
            Route::PrivateApp => ("POST", "/oauth/v2/private-apps/get/access-token-info"),
        };
        Target { method, path }
    }
}

/// A running fake; it stops when it is dropped.
#[derive(Debug)]
pub struct FakeHubSpot {
    records: Arc<Mutex<Records>>,
    proxy: Proxy,
}

impl FakeHubSpot {
    /// Starts a fake on the system's clock.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> FakeHubSpot {
        let records = Arc::new(Mutex::new(Records::new(Clock::System)));
        FakeHubSpot { proxy: Proxy::around(router(records.clone())), records }
    }

    /// Returns the base URL, without a slash at its end.
    pub fn base_url(&self) -> String {
        self.proxy.base_url()
    }

    /// Queues a fault for the next request of this kind.
    pub fn next(&self, route: Route, fault: Fault) {
        self.proxy.next(route.target(), fault);
    }

    /// Returns the number of requests of this kind that have arrived.
    pub fn count(&self, route: Route) -> usize {
        self.proxy.count(route.target())
    }

    /// Accepts a code once.
    pub fn accept_code(&self, code: &str) {
        self.records().codes.insert(code.to_owned(), true);
    }

    /// Sets the time after which searches show a record.
    pub fn lag(&self, time: TimeDelta) {
        self.records().lag = time;
    }

    /// Adds a contact, which searches show at once, and returns its id.
    pub fn add_contact(&self, name: &str, phone: &str) -> u64 {
        let mut records = self.records();
        let id = records.id();
        records.put(Kind::Contact, id, records::person(name, phone));
        let long_ago = records.now() - TimeDelta::days(1);
        records.find_mut(Kind::Contact, id).expect("a contact").created_at = long_ago;
        id
    }

    /// Sets a property of a contact or a call, as a person does on HubSpot's page.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub fn edit(&self, kind: Kind, id: u64, name: &str, value: &str) {
        let mut records = self.records();
        let now = records.now();
        let object = records.find_mut(kind, id).expect("a record to edit");
        object.properties.insert(name.to_owned(), value.to_owned());
        object.updated_at = now;
    }

    /// Moves a record to the recycle bin.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub fn archive(&self, kind: Kind, id: u64) {
        self.records().find_mut(kind, id).expect("a record to archive").is_archived = true;
    }

    /// Merges a contact into another one.
    pub fn merge(&self, from: u64, into: u64) {
        self.records().merged.insert(from, into);
    }

    /// Links a call to a deal, as a person does on HubSpot's page.
    ///
    /// # Panics
    ///
    /// If there is no such call.
    pub fn link(&self, call: u64, deal: u64) {
        self.records().find_mut(Kind::Call, call).expect("a call").links.insert((Kind::Deal, deal));
    }

    /// Adds a deal of a contact.
    pub fn add_deal(&self, id: u64, contact: u64, title: &str, is_closed: bool) {
        self.records().add_deal(id, contact, title, is_closed);
    }

    /// Returns the ids of the records of a kind that a call is linked to.
    ///
    /// # Panics
    ///
    /// If there is no such call.
    pub fn links(&self, call: u64, kind: Kind) -> Vec<u64> {
        let mut records = self.records();
        let links = &records.find_mut(Kind::Call, call).expect("a call").links;
        links.iter().filter(|(linked, _)| *linked == kind).map(|(_, id)| *id).collect()
    }

    /// Returns the properties of a call.
    ///
    /// # Panics
    ///
    /// If there is no such call.
    pub fn properties(&self, call: u64) -> std::collections::BTreeMap<String, String> {
        self.records().find(Kind::Call, call).expect("a call").1.properties.clone()
    }

    /// The records, which a test may change as a person or an administrator does.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }
}

type Shared = State<Arc<Mutex<Records>>>;
type Reply = Result<Json<Value>, Problem>;

/// Returns the API of these records, without a proxy.
pub fn router(records: Arc<Mutex<Records>>) -> Router {
    Router::new()
        .route("/crm/v3/objects/calls", post(objects::create_call))
        .route(
            "/crm/v3/objects/calls/{id}",
            get(objects::read_call).patch(objects::update_call).delete(objects::archive_call),
        )
        .route("/crm/v3/objects/contacts", post(objects::create_contact))
        .route("/crm/v3/objects/contacts/{id}", get(objects::read_contact))
        .route("/crm/v3/objects/deals/batch/read", post(objects::read_deals))
        .route("/crm/v3/objects/calls/search", post(search::calls))
        .route("/crm/v3/objects/contacts/search", post(search::contacts))
        .route("/crm/v4/objects/contacts/{id}/associations/deals", get(objects::deals_of_contact))
        .route("/crm/v4/objects/calls/{id}/associations/default/deals/{deal}", put(objects::link_deal))
        .route("/crm/v4/objects/calls/{id}/associations/deals/{deal}", delete(objects::unlink_deal))
        .route("/crm/v3/properties/calls", post(properties::create))
        .route("/crm/v3/properties/calls/groups", get(properties::groups))
        .route("/crm/v3/properties/calls/{name}", get(properties::read))
        .route("/crm/v3/owners/", get(properties::owners))
        .route("/crm/v3/owners/{id}", get(properties::owner))
        .route("/account-info/v3/details", get(oauth::account))
        .route("/oauth/v1/access-tokens/{token}", get(oauth::access_token))
        .route("/oauth/v2/private-apps/get/access-token-info", post(oauth::private_app))
        .fallback(async || Problem::not_found())
        .layer(middleware::from_fn_with_state(records.clone(), authorize))
        .route("/oauth/2026-03/token", post(oauth::token))
        .route("/oauth/2026-03/token/revoke", post(oauth::revoke))
        .with_state(records)
}

fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the scope that a request needs.
fn scope(method: &Method, path: &str) -> &'static str {
    let is_read = *method == Method::GET || path.ends_with("/search") || path.ends_with("/batch/read");
    match path.split('/').find(|step| ["calls", "contacts", "deals", "owners", "properties"].contains(step)) {
        Some("owners") => "crm.objects.owners.read",
        Some("deals") => "crm.objects.deals.read",
        Some("properties") if is_read => "crm.schemas.contacts.read",
        Some("properties") => "crm.schemas.contacts.write",
        Some(_) if is_read => "crm.objects.contacts.read",
        Some(_) => "crm.objects.contacts.write",
        None => "oauth",
    }
}

/// Rejects a request without a valid credential, without its scope, beyond a limit or without JSON, and adds the limits to the
/// response, except to that of a search.
async fn authorize(State(records): Shared, request: Request, next: Next) -> Response {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let path = request.uri().path().to_owned();
    let is_search = path.ends_with("/search");
    let has_body = [Method::POST, Method::PATCH].contains(request.method());
    let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let scope = scope(request.method(), &path);
    let left = {
        let mut records = lock(&records);
        if !records.access.contains(token) {
            let words = "Authentication credentials not found.";
            return Problem::new(401, "INVALID_AUTHENTICATION", words).into_response();
        }
        if records.missing_scopes.contains(scope) {
            return Problem::missing_scope(scope).into_response();
        }
        if has_body && !is_json {
            return Problem::bad("Unable to infer the type of the body.").into_response();
        }
        let limits = if is_search { &mut records.searches_left } else { &mut records.requests_left };
        if *limits == Some(0) {
            let policy = if is_search { "SECONDLY" } else { "TEN_SECONDLY_ROLLING" };
            return Problem::too_many(policy).into_response();
        }
        *limits = limits.map(|left| left - 1);
        if records.daily_left == 0 {
            return Problem::too_many("DAILY").into_response();
        }
        [records.requests_left.unwrap_or(109).to_string(), records.daily_left.to_string()]
    };
    let response = next.run(request).await;
    if is_search {
        return response;
    }
    let limits = [
        ("x-hubspot-ratelimit-max", "110"),
        ("x-hubspot-ratelimit-remaining", &left[0]),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ("x-hubspot-ratelimit-daily", "250000"),
        ("x-hubspot-ratelimit-daily-remaining", &left[1]),
    ];
    (limits, response).into_response()
}

/// Reads the body of a request.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(&format!("Invalid input JSON: {error}")))
}
