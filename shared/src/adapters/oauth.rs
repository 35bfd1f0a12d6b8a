//! OAuth grants: what an adapter declares about its authorization server, and the renewal of a grant.

use std::time::Duration;

use serde_json::Value;

use super::{
    Crm, Effect, HttpClient,
    client::Received,
    exchange::{Method, RECORD_BYTES},
    json::number,
};
use crate::{
    model::{OAuthClient, Secret},
    telemetry,
};

/// The longest time that one renewal may take.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(6);

/// The authorization server of a user's tenant (RFC 6749).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// The page where a person grants access.
    pub authorize_url: String,
    /// The endpoint that exchanges codes and refresh tokens.
    pub token_url: String,
    /// The endpoint that ends a grant (RFC 7009), if there is one.
    pub revoke_url: Option<String>,
    /// The way in which our client id and secret are sent.
    pub client_authentication: ClientAuthentication,
    /// The scopes that we ask for.
    pub scopes: Vec<String>,
    /// Further form fields of token requests.
    pub extra: Vec<(&'static str, String)>,
}

/// The way in which our client id and secret are sent (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// HTTP Basic.
    Basic,
    /// The form fields `client_id` and `client_secret`.
    Form,
}

/// A renewed grant (RFC 6749, section 5.1).
#[derive(Debug)]
pub struct RenewedGrant {
    /// The new access token.
    pub access_token: Secret,
    /// The new refresh token, if the provider rotates refresh tokens.
    pub refresh_token: Option<Secret>,
    /// The lifetime of the access token, in seconds. `None`: not known; it ends when the CRM rejects it.
    pub expires_in: Option<u64>,
    /// The host of the API, as the response names it. See [`Crm::api_host`].
    pub api_host: Option<String>,
}

/// A session of a CRM whose API takes a session token instead of the access token.
#[derive(Debug)]
pub struct Session {
    /// The token that requests carry.
    pub token: Secret,
    /// The lifetime of the session, in seconds. `None`: not known; it ends when the CRM rejects it.
    pub expires_in: Option<u64>,
    /// The host of the API for this session, if the response names one: a host or a URL, as in [`Crm::api_host`].
    pub api_host: Option<String>,
}

/// The reasons for which a grant was not renewed.
#[derive(Debug)]
pub enum RenewalError {
    /// The provider rejected the refresh token. It will never work again.
    Rejected,
    /// The request may have renewed the grant, but its response was lost, malformed or a server error.
    OutcomeUnknown,
    /// There was no connection, so the request was not sent.
    NotSent,
    /// The grant was not renewed for another reason, with the status of the response. The refresh token still works.
    Failed(u16),
}

/// Exchanges a refresh token (RFC 6749, section 6).
///
/// # Errors
///
/// See [`RenewalError`].
pub async fn renew_grant(
    http: &HttpClient,
    crm: &dyn Crm,
    oauth: &OAuth,
    client: Option<&OAuthClient>,
    refresh_token: &Secret,
) -> Result<RenewedGrant, RenewalError> {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
    form.extend(oauth.extra.iter().map(|(name, value)| (*name, value.as_str())));
    let request = http.request(Method::POST, &oauth.token_url);
    let mut request = request.headers(telemetry::headers()).timeout(RENEWAL_TIMEOUT);
    if let Some(client) = client {
        match oauth.client_authentication {
            ClientAuthentication::Basic => {
                request = request.basic_auth(&client.id, Some(client.secret.expose()));
            }
            ClientAuthentication::Form => {
                form.extend([("client_id", &*client.id), ("client_secret", client.secret.expose())]);
            }
        }
    }
    let response = http.send(request.form(&form), None, RECORD_BYTES).await;
    let Received { status, body, .. } = response.map_err(|error| match error.effect {
        Effect::None => RenewalError::NotSent,
        Effect::Unknown => RenewalError::OutcomeUnknown,
    })?;
    let body = body.unwrap_or_default();
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| json.get(name)?.as_str().map(Secret::new);
    if crm.is_grant_refused(&json) {
        return Err(RenewalError::Rejected);
    }
    if let Some(access_token) = text("access_token").filter(|_| status.is_success()) {
        return Ok(RenewedGrant {
            access_token,
            refresh_token: text("refresh_token"),
            expires_in: json.get("expires_in").and_then(number),
            api_host: crm.api_host(&json),
        });
    }
    // Some authorization servers report an error with 200.
    let is_failure = status.is_success() && json.get("error").is_some();
    Err(match is_failure || status.is_redirection() || status.is_client_error() {
        true => RenewalError::Failed(status.as_u16()),
        false => RenewalError::OutcomeUnknown,
    })
}
