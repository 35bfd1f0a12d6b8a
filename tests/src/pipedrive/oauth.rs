//! The authorization server of the fake.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{API_KEY, Shared, lock, records::oauth_client};

fn form_of(headers: &HeaderMap, body: &Bytes) -> BTreeMap<String, String> {
    let is_form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let pairs = form_urlencoded::parse(if is_form { body.as_ref() } else { &[] });
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Ends the grant of a refresh token, with its access tokens (RFC 7009).
pub(super) async fn revoke(State(records): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut records = lock(&records);
    if oauth_client(&headers).is_empty() {
        return StatusCode::UNAUTHORIZED;
    }
    if form_of(&headers, &body).get("token") == Some(&records.refresh) {
        records.refresh = "revoked".to_owned();
        records.access.retain(|access| access == API_KEY);
    }
    StatusCode::OK
}

/// Exchanges a code or a refresh token. Each works once.
pub(super) async fn token(State(records): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut records = lock(&records);
    let form = form_of(&headers, &body);
    let has = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    records.refreshes += 1;
    records.clients.push(oauth_client(&headers));
    let is_valid = match form.get("code") {
        Some(code) => {
            records.redirects.extend(form.get("redirect_uri").cloned());
            let is_known = records.codes.insert(code.clone(), false) == Some(true);
            is_known && has("grant_type", "authorization_code") && !oauth_client(&headers).is_empty()
        }
        None => has("grant_type", "refresh_token") && has("refresh_token", &records.refresh),
    };
    if !is_valid {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    }
    let number = records.refreshes;
    let access = format!("pipedrive-access-{number}");
    records.refresh = format!("pipedrive-refresh-{number}");
    records.access.insert(access.clone());
    Json(json!({
        "access_token": access, "refresh_token": records.refresh, "token_type": "Bearer", "expires_in": 3599,
        "scope": "base", "api_domain": "https://acme.pipedrive.com",
    }))
    .into_response()
}
