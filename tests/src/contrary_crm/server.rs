//! The API of the Contrary CRM. These are its routes; this page is the reference.
//!
//! | Request | Does |
//! |---|---|
//! | `POST /login/token` | exchanges a refresh token (form), which then is no longer valid |
//! | `GET /login` | opens a session with an access token; requests carry it as `x-session` |
//! | `PUT /v3/calls/key:{key}` | creates a call whose key the client chooses; with `If-None-Match: *` only |
//! | `POST /v3/calls` | creates a call without a key |
//! | `GET /v3/calls/{id}`, `GET /v3/calls/key:{key}` | returns a call, with its version in `ETag` |
//! | `POST /v3/calls/{id}` | changes a call, if it has the version in `If-Match` |
//! | `DELETE /v3/calls/{id}` | deletes a call, if it has the version in `If-Match` |
//! | `GET`, `POST /v3/calls/{id}/time` | lists the time entries of a call, or adds one |
//! | `POST /v3/calls/{id}/time/{id}` | changes a time entry |
//! | `GET /v3/search/calls` | finds calls by their reference, after some time |
//! | `GET`, `POST /v3/parties` | finds persons and companies by number, or adds one |
//!
//! A create responds with 201, no body, and the new path in `Location`. A change responds with 204. All other responses
//! are JSON: `{"status": "ok", "result": ...}`, or `{"status": "error", "code": ..., "message": [...]}`, which has status
//! 200 if the data is not accepted. Every request names the version of the API.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_types::base64;
use axum::{
    Form, Json, Router,
    body::{self, Body, Bytes},
    extract::{Path, Query, Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{AUTHORIZATION, AsHeaderName, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    adapter::API_VERSION,
    records::{
        API_KEY, CLIENT, CallChange, INTERVAL_MS, NewCall, NewParty, ORGANISATION, Problem, Records,
        SESSION_SECONDS, Time, TimeEntry, read,
    },
};

type Shared = State<Arc<Mutex<Records>>>;
type Reply = Result<Response, Problem>;

pub(super) fn router(records: Arc<Mutex<Records>>) -> Router {
    Router::new()
        .route("/v3/calls", post(create_call))
        .route("/v3/calls/{id}", get(read_call).put(create_keyed_call).post(change_call).delete(delete_call))
        .route("/v3/calls/{id}/time", get(list_time).post(add_time))
        .route("/v3/calls/{id}/time/{entry}", post(change_time))
        .route("/v3/me", get(async || ok(json!({ "organisation": ORGANISATION }))))
        .route("/v3/search/calls", get(search_calls))
        .route("/v3/parties", get(find_parties).post(create_party))
        .layer(middleware::from_fn_with_state(records.clone(), authorize))
        .route("/login", get(log_in))
        .layer(middleware::from_fn(check_request))
        .route("/login/token", post(token))
        .layer(middleware::from_fn(check_response))
        .with_state(records)
}

pub(super) fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the header of a request with the API key.
pub(super) fn basic() -> String {
    format!("Basic {}", base64::encode(format!("{API_KEY}:")))
}

/// Rejects a request without a valid credential, and adds the limits to the response.
async fn authorize(State(records): Shared, request: Request, next: Next) -> Response {
    let is_allowed = {
        let records = lock(&records);
        match header(request.headers(), "x-session") {
            Some(session) => records.sessions.get(session).is_some_and(|end| records.now() < *end),
            None => header(request.headers(), AUTHORIZATION) == Some(&basic()),
        }
    };
    if !is_allowed {
        return Problem::new(StatusCode::UNAUTHORIZED, "NO_SESSION", "Log in.").into_response();
    }
    let (max, remaining) = lock(&records).count_request(request.uri().path().starts_with("/v3/search/"));
    let limits = [
        ("x-limit-max", max.to_string()),
        ("x-limit-remaining", remaining.to_string()),
        ("x-limit-interval-ms", INTERVAL_MS.to_string()),
    ];
    (limits, next.run(request).await).into_response()
}

/// Rejects a request that does not name the version of the API, or whose body is not JSON.
async fn check_request(request: Request, next: Next) -> Response {
    let (name, version) = API_VERSION;
    if header(request.headers(), name) != Some(version) {
        return Problem::invalid("The version of the API is missing.").into_response();
    }
    let has_body = [Method::POST, Method::PUT].contains(request.method());
    if has_body && header(request.headers(), CONTENT_TYPE) != Some("application/json") {
        return Problem::invalid("The body must be JSON.").into_response();
    }
    next.run(request).await
}

/// Checks that a response has a form that the reference describes.
///
/// # Panics
///
/// If it has not: then the fake is wrong, and the test fails because it gets no response.
async fn check_response(request: Request, next: Next) -> Response {
    let is_token = request.uri().path() == "/login/token";
    let (head, content) = next.run(request).await.into_parts();
    let content = body::to_bytes(content, usize::MAX).await.expect("a body in memory");
    let json: Option<Value> = serde_json::from_slice(&content).ok();
    let members: Vec<&str> = json
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let has_form = match (head.status, members.as_slice()) {
        (StatusCode::CREATED, []) => content.is_empty() && head.headers.contains_key(LOCATION),
        (StatusCode::NO_CONTENT, []) => content.is_empty(),
        (StatusCode::OK, ["access_token", "refresh_token", "expires_in"]) => is_token,
        (StatusCode::OK, ["status", "result"]) => json.as_ref().is_some_and(|json| json["status"] == "ok"),
        (_, ["status", "code", "message", rest @ ..]) => {
            json.as_ref().is_some_and(|json| json["status"] == "error" && json["message"][0].is_string())
                && (rest.is_empty() || rest == ["id"])
        }
        _ => false,
    };
    assert!(has_form, "this is no response of the Contrary CRM: {head:?} {content:?}");
    Response::from_parts(head, Body::from(content))
}

fn ok(result: impl Serialize) -> Response {
    Json(json!({ "status": "ok", "result": result })).into_response()
}

fn created(path: String) -> Response {
    (StatusCode::CREATED, [(LOCATION, path)]).into_response()
}

fn changed() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

async fn create_call(State(records): Shared, body: Bytes) -> Reply {
    let id = lock(&records).add_call(None, read::<NewCall>(&body)?)?;
    Ok(created(format!("/v3/calls/{id}")))
}

async fn create_keyed_call(
    State(records): Shared,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let Some(key) = key.strip_prefix("key:") else {
        return Err(Problem::invalid("The client chooses keys, not ids."));
    };
    if header(&headers, IF_NONE_MATCH) != Some("*") {
        return Err(Problem::invalid("If-None-Match is missing."));
    }
    let mut records = lock(&records);
    check_keys(&records)?;
    if let Some(found) = records.calls.iter().find(|stored| stored.key.as_deref() == Some(key)) {
        let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "KEY_EXISTS", "The key is in use.");
        return Err(Problem { id: Some(found.call.id.clone()), ..problem });
    }
    let id = records.add_call(Some(key.to_owned()), read::<NewCall>(&body)?)?;
    Ok(created(format!("/v3/calls/{id}")))
}

fn check_keys(records: &Records) -> Result<(), Problem> {
    match records.keys_are_off {
        true => Err(Problem::new(StatusCode::OK, "KEY_FIELD_OFF", "An administrator has switched keys off.")),
        false => Ok(()),
    }
}

async fn read_call(State(records): Shared, Path(id): Path<String>) -> Reply {
    let records = lock(&records);
    let found = match id.strip_prefix("key:") {
        Some(key) => {
            check_keys(&records)?;
            records.calls.iter().find(|stored| stored.key.as_deref() == Some(key))
        }
        None => records.position(&id).ok().map(|position| &records.calls[position]),
    };
    let stored = found.ok_or_else(Problem::not_found)?;
    Ok(([(ETAG, etag(stored.version))], ok(&stored.call)).into_response())
}

async fn change_call(
    State(records): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let mut records = lock(&records);
    let position = records.position(&id)?;
    check_version(records.calls[position].version, &headers)?;
    let version = records.change_call(position, read::<CallChange>(&body)?)?;
    Ok(([(ETAG, etag(version))], changed()).into_response())
}

async fn delete_call(State(records): Shared, Path(id): Path<String>, headers: HeaderMap) -> Reply {
    let mut records = lock(&records);
    let position = records.position(&id)?;
    check_version(records.calls[position].version, &headers)?;
    records.calls.remove(position);
    Ok(changed())
}

fn etag(version: u64) -> String {
    format!("W/\"{version}\"")
}

fn check_version(version: u64, headers: &HeaderMap) -> Result<(), Problem> {
    match header(headers, IF_MATCH) {
        Some(expected) if expected != etag(version) => {
            Err(Problem::new(StatusCode::CONFLICT, "STALE", "The call has changed."))
        }
        _ => Ok(()),
    }
}

async fn list_time(State(records): Shared, Path(id): Path<String>) -> Reply {
    let records = lock(&records);
    let position = records.position(&id)?;
    Ok(ok(&records.calls[position].time))
}

async fn add_time(State(records): Shared, Path(id): Path<String>, body: Bytes) -> Reply {
    let Time { seconds } = read(&body)?;
    let mut records = lock(&records);
    let position = records.position(&id)?;
    let entry = TimeEntry { id: format!("t{}", records.number()), seconds, changed_by: "integration" };
    let path = format!("/v3/calls/{id}/time/{}", entry.id);
    records.calls[position].time.push(entry);
    Ok(created(path))
}

async fn change_time(
    State(records): Shared,
    Path((id, entry)): Path<(String, String)>,
    body: Bytes,
) -> Reply {
    let Time { seconds } = read(&body)?;
    let mut records = lock(&records);
    let position = records.position(&id)?;
    let found = records.calls[position].time.iter_mut().find(|other| other.id == entry);
    let entry = found.ok_or_else(Problem::not_found)?;
    (entry.seconds, entry.changed_by) = (seconds, "integration");
    Ok(changed())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CallQuery {
    reference: String,
    created_since: DateTime<Utc>,
}

async fn search_calls(State(records): Shared, Query(query): Query<CallQuery>) -> Reply {
    Ok(ok(lock(&records).search(&query.reference, query.created_since)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartyQuery {
    number: String,
}

async fn find_parties(State(records): Shared, Query(query): Query<PartyQuery>) -> Reply {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let wanted = digits(&query.number);
    if wanted.is_empty() {
        return Err(Problem::invalid("A number has digits."));
    }
    let records = lock(&records);
    let found: Vec<_> = records.parties.iter().filter(|party| digits(&party.number) == wanted).collect();
    Ok(ok(found))
}

async fn create_party(State(records): Shared, body: Bytes) -> Reply {
    let party = lock(&records).add_party(read::<NewParty>(&body)?)?;
    Ok(created(format!("/v3/parties/{}/{}", party.kind, party.id)))
}

/// Opens a session with an access token.
async fn log_in(State(records): Shared, headers: HeaderMap) -> Reply {
    let mut records = lock(&records);
    let token = header(&headers, AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if !token.is_some_and(|token| records.access.contains(token)) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "NO_SESSION", "The access token has expired."));
    }
    let session = format!("contrary-session-{}", records.number());
    let end = records.now() + TimeDelta::seconds(SESSION_SECONDS);
    records.sessions.insert(session.clone(), end);
    Ok(ok(json!({ "session": session, "validForSeconds": SESSION_SECONDS })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    grant_type: String,
    refresh_token: String,
    client_id: String,
    client_secret: String,
    audience: String,
}

/// Exchanges a refresh token. Each is valid once.
async fn token(State(records): Shared, headers: HeaderMap, form: Form<TokenForm>) -> Reply {
    let TokenForm { grant_type, refresh_token, client_id, client_secret, audience } = form.0;
    let mut wrong = String::new();
    for (name, is_right) in [
        ("grant_type", grant_type == "refresh_token"),
        ("audience", audience == "calls"),
        ("client", [client_id.as_str(), client_secret.as_str()] == CLIENT),
        ("authorization", !headers.contains_key(AUTHORIZATION)),
    ] {
        if !is_right {
            write!(wrong, " {name}").expect("a text grows");
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::invalid(&format!("These fields are wrong:{wrong}.")));
    }
    let mut records = lock(&records);
    if refresh_token != records.refresh {
        return Err(Problem::new(StatusCode::OK, "GRANT_ENDED", "The refresh token is not valid."));
    }
    let number = records.number();
    let access = format!("contrary-access-{number}");
    records.refresh = format!("contrary-refresh-{number}");
    records.access.insert(access.clone());
    let grant = json!({ "access_token": access, "refresh_token": records.refresh, "expires_in": 60 });
    Ok(Json(grant).into_response())
}
