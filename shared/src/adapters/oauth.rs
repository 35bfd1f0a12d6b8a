//! OAuth grants (RFC 6749): what an adapter declares about its authorization server; and the requests that obtain a grant,
//! renew it and end it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Crm, Effect, HttpClient,
    client::Received,
    exchange::{Method, RECORD_BYTES},
    json::number,
};
use crate::{
    model::{Credentials, OAuthClient, Secret},
    telemetry,
};

/// The longest time that one request to an authorization server may take.
const TIMEOUT: Duration = Duration::from_secs(6);
/// The longest time that a request to end a grant may take. A person waits for it.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest validity that is believed of a token, in seconds.
const LONGEST_VALIDITY_SECONDS: i64 = 365 * 86_400;

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
    /// The server takes a proof key for a code (RFC 7636).
    pub has_pkce: bool,
    /// Further form fields of token requests.
    pub extra: Vec<(&'static str, String)>,
}

impl OAuth {
    /// Returns the address of the page where a person grants access, for our client (RFC 6749, section 4.1.1). `verifier`: the
    /// proof key, which is sent only to servers that take one.
    pub fn authorize_url(&self, client_id: &str, redirect_uri: &str, state: &str, verifier: &str) -> String {
        let scope = self.scopes.join(" ");
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([("response_type", "code"), ("client_id", client_id)]);
        query.extend_pairs([("redirect_uri", redirect_uri), ("state", state)]);
        if !scope.is_empty() {
            query.append_pair("scope", &scope);
        }
        if self.has_pkce {
            query.extend_pairs([("code_challenge", &*challenge), ("code_challenge_method", "S256")]);
        }
        format!("{}?{}", self.authorize_url, query.finish())
    }
}

/// The way in which our client id and secret are sent (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// HTTP Basic.
    Basic,
    /// The form fields `client_id` and `client_secret`.
    Form,
}

/// The code of a person who granted access (RFC 6749, section 4.1.2).
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// The code. It works once.
    pub code: Secret,
    /// The page to which it was sent.
    pub redirect_uri: String,
    /// The proof key, if the code was asked for with one.
    pub verifier: Option<Secret>,
}

/// A grant, as the authorization server issued it (RFC 6749, section 5.1).
#[derive(Debug)]
pub struct IssuedGrant {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token. A renewal has one only if the provider rotates refresh tokens.
    pub refresh_token: Option<Secret>,
    /// The lifetime of the access token, in seconds. `None`: not known; it ends when the CRM rejects it.
    pub expires_in: Option<u64>,
    /// The host of the API, as the response names it. See [`Crm::api_host`].
    pub api_host: Option<String>,
}

impl IssuedGrant {
    /// Returns the credentials of this grant, which was issued now.
    pub fn credentials(self, now: DateTime<Utc>) -> Credentials {
        Credentials::OAuth {
            expires_at: end_after(now, self.expires_in),
            access_token: self.access_token,
            refresh_token: self.refresh_token,
        }
    }
}

/// Returns the time at which a token expires that is valid for this number of seconds. `None`: its validity is not known.
pub fn end_after(now: DateTime<Utc>, seconds: Option<u64>) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(seconds?).unwrap_or(0).min(LONGEST_VALIDITY_SECONDS);
    Some(now + TimeDelta::seconds(seconds))
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

/// The reasons for which a grant was not issued.
#[derive(Debug)]
pub enum GrantError {
    /// The provider rejected the code or the refresh token. It will never work again.
    Rejected,
    /// The request may have issued a grant, but its response was lost, malformed or a server error.
    OutcomeUnknown,
    /// There was no connection, so the request was not sent.
    NotSent,
    /// The grant was not issued for another reason, with the status of the response. A refresh token still works.
    Failed(u16),
}

/// Exchanges a code for a grant (RFC 6749, section 4.1.3).
///
/// # Errors
///
/// See [`GrantError`].
pub async fn exchange_code(
    http: &HttpClient,
    crm: &dyn Crm,
    oauth: &OAuth,
    client: &OAuthClient,
    code: &AuthorizationCode,
) -> Result<IssuedGrant, GrantError> {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code.code.expose()),
        ("redirect_uri", &code.redirect_uri),
    ];
    if let Some(verifier) = &code.verifier
        && oauth.has_pkce
    {
        form.push(("code_verifier", verifier.expose()));
    }
    request_grant(http, crm, oauth, Some(client), form).await
}

/// Exchanges a refresh token (RFC 6749, section 6).
///
/// # Errors
///
/// See [`GrantError`].
pub async fn renew_grant(
    http: &HttpClient,
    crm: &dyn Crm,
    oauth: &OAuth,
    client: Option<&OAuthClient>,
    refresh_token: &Secret,
) -> Result<IssuedGrant, GrantError> {
    let form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
    request_grant(http, crm, oauth, client, form).await
}

/// Ends a grant (RFC 7009): the refresh token, with which the server also ends its access tokens. Returns the status of the
/// response, or `None` if there was none. There is nothing to revoke without a refresh token or an endpoint.
pub async fn revoke_grant(
    http: &HttpClient,
    oauth: &OAuth,
    client: Option<&OAuthClient>,
    refresh_token: &Secret,
) -> Option<u16> {
    let form = vec![("token", refresh_token.expose()), ("token_type_hint", "refresh_token")];
    let url = oauth.revoke_url.as_ref()?;
    let received = post(http, oauth, url, client, form, REVOCATION_TIMEOUT).await;
    received.ok().map(|received| received.status.as_u16())
}

async fn request_grant(
    http: &HttpClient,
    crm: &dyn Crm,
    oauth: &OAuth,
    client: Option<&OAuthClient>,
    mut form: Vec<(&str, &str)>,
) -> Result<IssuedGrant, GrantError> {
    form.extend(oauth.extra.iter().map(|(name, value)| (*name, value.as_str())));
    let received = post(http, oauth, &oauth.token_url, client, form, TIMEOUT).await;
    let Received { status, body, .. } = received.map_err(|error| match error.effect {
        Effect::None => GrantError::NotSent,
        Effect::Unknown => GrantError::OutcomeUnknown,
    })?;
    let body = body.unwrap_or_default();
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| json.get(name)?.as_str().map(Secret::new);
    if crm.is_grant_refused(&json) {
        return Err(GrantError::Rejected);
    }
    if let Some(access_token) = text("access_token").filter(|_| status.is_success()) {
        return Ok(IssuedGrant {
            access_token,
            refresh_token: text("refresh_token"),
            expires_in: json.get("expires_in").and_then(number),
            api_host: crm.api_host(&json),
        });
    }
    // Some authorization servers report an error with 200.
    let is_failure = status.is_success() && json.get("error").is_some();
    Err(match is_failure || status.is_redirection() || status.is_client_error() {
        true => GrantError::Failed(status.as_u16()),
        false => GrantError::OutcomeUnknown,
    })
}

/// Sends a form to an endpoint of an authorization server, with our client's id and secret.
async fn post(
    http: &HttpClient,
    oauth: &OAuth,
    url: &str,
    client: Option<&OAuthClient>,
    mut form: Vec<(&str, &str)>,
    timeout: Duration,
) -> Result<Received, super::Error> {
    let mut request = http.request(Method::POST, url).headers(telemetry::headers()).timeout(timeout);
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
    http.send(request.form(&form), None, RECORD_BYTES).await
}
