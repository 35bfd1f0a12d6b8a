//! The authorization server of the fake, and what it knows of tokens.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    API_KEY, CLIENT, HUB, Reply, Shared, USER, lock, read,
    records::{Problem, Records},
};

type Form = BTreeMap<String, String>;

/// Reads the form of a request. The secret must not be in the query.
fn form_of(headers: &HeaderMap, query: Option<&str>, body: &Bytes, fields: &[&str]) -> Result<Form, Problem> {
    let is_form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    if !is_form || query.is_some() || headers.contains_key("authorization") {
        return Err(refusal("BAD_REQUEST"));
    }
    let pairs = form_urlencoded::parse(body);
    let form: Form = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    if !form.keys().map(String::as_str).eq(fields.iter().copied()) {
        return Err(refusal("BAD_REQUEST"));
    }
    if [&*form["client_id"], &*form["client_secret"]] != CLIENT {
        return Err(refusal("BAD_CLIENT_ID"));
    }
    Ok(form)
}

/// A refusal, which names its reason as status.
fn refusal(status: &str) -> Problem {
    let mut problem = Problem::new(400, "VALIDATION_ERROR", "missing or invalid data");
    problem.body["status"] = json!(status);
    problem
}

/// Exchanges a code or a refresh token. The refresh token stays the same.
pub(super) async fn token(
    State(records): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Reply {
    let mut records = lock(&records);
    let is_code = String::from_utf8_lossy(&body).contains("grant_type=authorization_code");
    if is_code {
        let fields = ["client_id", "client_secret", "code", "grant_type", "redirect_uri"];
        let form = form_of(&headers, query.as_deref(), &body, &fields)?;
        if records.codes.insert(form["code"].clone(), false) != Some(true) {
            return Err(refusal("BAD_AUTH_CODE"));
        }
    } else {
        let fields = ["client_id", "client_secret", "grant_type", "refresh_token"];
        let form = form_of(&headers, query.as_deref(), &body, &fields)?;
        if form["grant_type"] != "refresh_token" || form["refresh_token"] != records.refresh {
            return Err(refusal("BAD_REFRESH_TOKEN"));
        }
    }
    records.refreshes += 1;
    let access = format!("hubspot-access-{}", records.refreshes);
    records.access.insert(access.clone());
    Ok(Json(json!({
        "token_type": "bearer", "access_token": access, "refresh_token": records.refresh, "expires_in": 1800,
    })))
}

/// Ends the grant of a refresh token, with its access tokens.
pub(super) async fn revoke(
    State(records): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let fields = ["client_id", "client_secret", "token", "token_type_hint"];
    let form = form_of(&headers, query.as_deref(), &body, &fields)?;
    let mut records = lock(&records);
    if form["token"] == records.refresh {
        records.refresh = "revoked".to_owned();
        records.access.retain(|access| access == API_KEY);
    }
    Ok(StatusCode::OK)
}

/// "Retrieve OAuth token metadata". The token is in the path.
pub(super) async fn access_token(State(records): Shared, Path(token): Path<String>) -> Reply {
    is_known(&lock(&records), &token, token != API_KEY)?;
    Ok(Json(json!({
        "token": token, "user": "ada@acme.example", "hub_domain": "acme.example", "scopes": ["oauth"],
        "hub_id": HUB, "app_id": 111_111, "expires_in": 1754, "user_id": USER, "token_type": "access",
    })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenKey {
    token_key: String,
}

/// "Get private app access token info".
pub(super) async fn private_app(State(records): Shared, body: Bytes) -> Reply {
    let TokenKey { token_key } = read(&body)?;
    is_known(&lock(&records), &token_key, token_key == API_KEY)?;
    Ok(Json(json!({ "userId": USER, "hubId": HUB, "appId": 222_222, "scopes": ["oauth"] })))
}

fn is_known(records: &Records, token: &str, is_of_kind: bool) -> Result<(), Problem> {
    match records.access.contains(token) && is_of_kind {
        true => Ok(()),
        false => Err(Problem::new(404, "OBJECT_NOT_FOUND", "The token is not known.")),
    }
}

/// "Retrieve account details".
pub(super) async fn account() -> Json<Value> {
    Json(json!({
        "portalId": HUB, "accountType": "STANDARD", "timeZone": "US/Eastern", "companyCurrency": "USD",
        "additionalCurrencies": [], "utcOffset": "-05:00", "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "app-eu1.hubspot.com", "dataHostingLocation": "eu1",
    }))
}
