//! The Example CRM's HTTP API: the part of a CRM's API that call logs need.

use std::convert::Infallible;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, Request, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, ETAG, IF_MATCH},
    },
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    ExampleCrm,
    record::{Activity, ActivityChange, NewActivity, NewContact},
    store::Rejection,
    trouble,
};

/// The largest request body that is read, in bytes.
const MAX_BODY: usize = 4 << 20;

/// Returns the CRM's routes, below `/example-crm/v1`.
pub fn router(crm: ExampleCrm) -> Router {
    let routes = Router::new()
        .route("/contacts", get(list_contacts).post(create_contact))
        .route("/contacts/{id}", get(read_contact))
        .route("/activities", get(list_activities).post(create_activity))
        .route("/activities/{id}", get(read_activity).patch(change_activity).delete(delete_activity))
        .route("/users/me", get(async || Json(user())))
        .route("/users", get(async || Json(json!({ "users": [user()] }))))
        .route("/events", get(events))
        .fallback(async || Failure::not_found())
        .method_not_allowed_fallback(async || {
            Failure(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here".to_owned())
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(crm.clone(), authorize))
        .layer(middleware::from_fn_with_state(crm.clone(), trouble::meet))
        .with_state(crm);
    Router::new().nest("/example-crm/v1", routes)
}

/// Returns the only user, whose key it is.
fn user() -> Value {
    json!({ "id": "12345", "name": "Ada Agent", "email": "ada@example.com" })
}

/// Rejects a request without the key.
async fn authorize(State(crm): State<ExampleCrm>, request: Request, next: Next) -> Response {
    if key_of(&request).as_deref() == Some(crm.key.expose()) {
        next.run(request).await
    } else {
        Failure(StatusCode::UNAUTHORIZED, "the key is missing or wrong".to_owned()).into_response()
    }
}

/// Returns the key in `Authorization: Bearer` or in `x-api-token`. For `/events` also the key in the query, because a
/// browser's `EventSource` cannot send such headers.
fn key_of(request: &Request) -> Option<String> {
    #[derive(Deserialize)]
    struct Token {
        access_token: String,
    }
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    if let Some(value) = header(AUTHORIZATION.as_str()) {
        let (scheme, token) = value.trim().split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    if let Some(token) = header("x-api-token") {
        return Some(token.to_owned());
    }
    let token = Query::<Token>::try_from_uri(request.uri()).ok()?;
    (request.uri().path() == "/events").then_some(token.0.access_token)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContactQuery {
    phone_number: Option<String>,
    name: Option<String>,
}

async fn list_contacts(
    State(crm): State<ExampleCrm>,
    query: Result<Query<ContactQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let ContactQuery { phone_number, name } = query?.0;
    let contacts = crm.store.contacts(phone_number.as_deref(), name.as_deref());
    Ok(Json(json!({ "contacts": contacts })).into_response())
}

async fn read_contact(
    State(crm): State<ExampleCrm>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let contact = crm.store.contact(&id?.0).ok_or_else(Failure::not_found)?;
    Ok(Json(contact).into_response())
}

async fn create_contact(
    State(crm): State<ExampleCrm>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let contact = crm.store.add_contact(read_json::<NewContact>(body)?)?;
    Ok((StatusCode::CREATED, Json(contact)).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActivityQuery {
    contact_id: Option<String>,
    since: Option<String>,
}

async fn list_activities(
    State(crm): State<ExampleCrm>,
    query: Result<Query<ActivityQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let ActivityQuery { contact_id, since } = query?.0;
    let since = since.filter(|text| !text.is_empty()).map(|text| instant(&text)).transpose()?;
    let activities = crm.store.activities(contact_id.as_deref().filter(|id| !id.is_empty()), since);
    Ok(Json(json!({ "activities": activities })).into_response())
}

async fn read_activity(
    State(crm): State<ExampleCrm>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    crm.store
        .activity(&id?.0)
        .map(|activity| response(StatusCode::OK, activity))
        .ok_or_else(Failure::not_found)
}

async fn create_activity(
    State(crm): State<ExampleCrm>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let activity = crm.store.add_activity(read_json::<NewActivity>(body)?)?;
    Ok(response(StatusCode::CREATED, activity))
}

async fn change_activity(
    State(crm): State<ExampleCrm>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let change = read_json::<ActivityChange>(body)?;
    let activity = crm.store.change_activity(&id?.0, |version| matches(&headers, version), change)?;
    Ok(response(StatusCode::OK, activity))
}

/// Returns `true` if there is no `If-Match` header, or if it contains this version (RFC 9110, section 13.1.1).
fn matches(headers: &HeaderMap, version: u64) -> bool {
    match headers.get(IF_MATCH).map(|value| value.to_str()) {
        None => true,
        Some(Ok(tags)) => tags
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_matches('"') == version.to_string()),
        Some(Err(_)) => false,
    }
}

async fn delete_activity(
    State(crm): State<ExampleCrm>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    crm.store.delete_activity(&id?.0, |version| matches(&headers, version))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends every change as an event. A listener that falls behind is disconnected, so that it connects and reads all
/// records again.
async fn events(State(crm): State<ExampleCrm>) -> impl IntoResponse {
    let changes = futures_util::stream::unfold(crm.store.listen(), async |mut listener| {
        let change = listener.recv().await.ok()?;
        let event = Event::default().event("change").json_data(&change).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), listener))
    });
    Sse::new(changes).keep_alive(KeepAlive::default())
}

/// Returns a response with the activity as its body, and the version also in the header `ETag`.
fn response(status: StatusCode, activity: Activity) -> Response {
    (status, [(ETAG, format!("\"{}\"", activity.version))], Json(activity)).into_response()
}

fn read_json<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Failure> {
    serde_json::from_slice(&body?).map_err(|error| Failure(StatusCode::BAD_REQUEST, error.to_string()))
}

/// Parses a time of the query. An unescaped `+` of its offset was decoded as a space.
fn instant(text: &str) -> Result<DateTime<Utc>, Failure> {
    text.replace(' ', "+")
        .parse()
        .map_err(|_| Failure(StatusCode::BAD_REQUEST, format!("{text:?} is not an RFC 3339 time")))
}

/// A failed request: the status and the reason.
#[derive(Debug)]
pub(super) struct Failure(pub(super) StatusCode, pub(super) String);

impl Failure {
    fn not_found() -> Failure {
        Failure(StatusCode::NOT_FOUND, "there is no such record".to_owned())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Failure {
        match rejection {
            Rejection::NotFound => Failure::not_found(),
            Rejection::VersionDiffers => {
                Failure(StatusCode::PRECONDITION_FAILED, "the record has another version".to_owned())
            }
            Rejection::Invalid(reason) => Failure(StatusCode::UNPROCESSABLE_ENTITY, reason),
            Rejection::NotSaved(error) => {
                tracing::error!(%error, "the Example CRM's file cannot be written");
                Failure(StatusCode::INTERNAL_SERVER_ERROR, "the change cannot be saved".to_owned())
            }
        }
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Failure {
        Failure(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Failure {
        Failure(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Failure {
        Failure(rejection.status(), rejection.body_text())
    }
}
