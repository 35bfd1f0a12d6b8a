//! The HTTP client of all adapters: it sends a request within the deadline, and translates the status of the response
//! into an [`Error`] in one place.
//!
//! Nothing here repeats a request, because only delivery knows if a write may be repeated. The HTTP client follows no
//! redirect, because the header with the API key would be sent to the new host too.

use std::time::Duration;

use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, RETRY_AFTER},
};
use serde_json::Value;

use super::{Budgets, Effect, Error, ErrorKind};
use crate::{
    model::{Clock, Credentials, Deadline, OAuthClient, Secret, UserId},
    telemetry::{self, Metric},
};

/// The longest response that is read, in bytes: more than a page with a hundred of the largest notes.
const MAX_RESPONSE: usize = 16 << 20;
/// The longest time that one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// The longest time that one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(9);
/// The part of an invocation's time in which no request may be under way, so that its outcome can still be stored.
const RESERVE: Duration = Duration::from_millis(1_500);
/// The shortest time for which a request is sent at all.
const MIN_TIMEOUT: Duration = Duration::from_millis(250);

/// The HTTP client of the process, which every adapter uses.
pub use reqwest::Client as HttpClient;

/// Access to the CRM of one user, for the time of one invocation.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// The HTTP client, which keeps connections open between requests.
    pub http: &'a HttpClient,
    /// The clock by which the deadline is measured.
    pub clock: &'a Clock,
    /// The burst budgets, which every response updates.
    pub budgets: &'a Budgets,
    /// The end of the invocation. No request is sent that could still be under way then.
    pub deadline: Deadline,
    /// The CRM's base URL for this user, without a slash at its end: `https://acme.pipedrive.com`.
    pub base_url: String,
    /// The credential that is sent with every request.
    pub authorization: Authorization,
    /// The CRM user for whom requests are sent.
    pub user: &'a UserId,
}

/// The credential for a request to a CRM.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// The caller's own `Authorization` header, which is used for this request and never stored.
    Header(Secret),
    /// The credential that is stored for the user.
    Stored(Credentials),
}

impl Access<'_> {
    /// Sends a `GET` request with a query, and returns the JSON of the response.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`] but [`ErrorKind::Conflict`], always with [`Effect::None`].
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        self.send(Method::GET, path, query, None, None).await.map_err(Error::without_effect)
    }

    /// Sends a `POST` request with a JSON body, and returns the JSON of the response.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`] but [`ErrorKind::NotFound`]: a 404 to a `POST` means that the CRM does not accept its data,
    /// and is [`ErrorKind::Rejected`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(Method::POST, path, &[], Some(body), None).await
    }

    /// Sends a `PATCH` request with a JSON body, and returns the JSON of the response. With a version, the CRM makes
    /// the change only if the record still has that version (`If-Match`, RFC 9110, section 13.1.1).
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`]; [`ErrorKind::Conflict`] if the record has another version.
    pub async fn patch(&self, path: &str, body: &Value, version: Option<&str>) -> Result<Value, Error> {
        self.send(Method::PATCH, path, &[], Some(body), version).await
    }

    /// Sends a `DELETE` request, and returns the JSON of the response, or [`Value::Null`] if there is none (204). With
    /// a version, the CRM deletes the record only if it still has that version.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`]; [`ErrorKind::Conflict`] if the record has another version.
    pub async fn delete(&self, path: &str, version: Option<&str>) -> Result<Value, Error> {
        self.send(Method::DELETE, path, &[], None, version).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Value, Error> {
        let timeout = self.timeout(&method)?;
        let (name, value) = self.credential()?;
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base_url))
            .query(query)
            .headers(telemetry::headers())
            .header(name, value)
            .timeout(timeout);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        let started = self.clock.now_ms();
        let (metric, result) = match request.send().await {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                let bytes = read(response).await;
                self.record_response(&method, path, status, &headers);
                let result = interpret(&method, status, &headers, bytes);
                (metric_of(status, &result), result)
            }
            Err(failure) => (Metric::CrmUnanswered, Err(no_response(&failure))),
        };
        let now_ms = self.clock.now_ms();
        telemetry::count(metric);
        telemetry::record(Metric::CrmLatency, now_ms - started);
        telemetry::add("crm_ms", now_ms - started);
        result.map_err(|error| self.redact(error))
    }

    /// Replaces a rejection message that contains the beginning of the credential.
    fn redact(&self, mut error: Error) -> Error {
        // A quote of fewer characters does not give the secret away.
        const QUOTED: usize = 16;
        let secret = match &self.authorization {
            Authorization::Header(header) => header.expose(),
            Authorization::Stored(Credentials::ApiKey(key)) => key.expose(),
            Authorization::Stored(Credentials::OAuth { access_token, .. }) => access_token.expose(),
        };
        // The CRM may quote the secret without its scheme (`Bearer`).
        let secret = secret.rsplit(' ').next().unwrap_or_default();
        let start = secret.char_indices().nth(QUOTED).map_or(secret, |(end, _)| &secret[..end]);
        if let ErrorKind::Rejected { message } = &mut error.kind
            && !start.is_empty()
            && message.contains(start)
        {
            *message = "The CRM gave a reason that quotes your credentials.".to_owned();
        }
        error
    }

    /// Records the status of a response and the budgets that its headers report.
    fn record_response(&self, method: &Method, path: &str, status: StatusCode, headers: &HeaderMap) {
        let [limit, remaining, reset] = BURST_HEADERS.map(|names| number(headers, names));
        let today = number(headers, DAILY_HEADERS);
        for left in [remaining, today].into_iter().flatten() {
            telemetry::record(Metric::BudgetLeft, left);
        }
        self.budgets.record(&self.base_url, limit, remaining, reset, self.clock.now_ms());
        telemetry::set_field("crm_status", i64::from(status.as_u16()));
        tracing::debug!(
            crm_method = %method,
            crm_route = %route(path),
            crm_status = status.as_u16(),
            rate_limit = limit,
            rate_limit_remaining = remaining,
            rate_limit_reset = reset,
            daily_requests_left = today,
            "the CRM responded"
        );
    }

    /// Returns the time that a request may take. Called directly before the request is sent: a request that could
    /// still be under way when the invocation ends is not sent.
    fn timeout(&self, method: &Method) -> Result<Duration, Error> {
        let wanted = if *method == Method::GET { READ_TIMEOUT } else { WRITE_TIMEOUT };
        let left = self.deadline.remaining(self.clock).saturating_sub(RESERVE);
        if left < MIN_TIMEOUT {
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "no time is left to call the CRM"));
        }
        Ok(wanted.min(left))
    }

    /// Returns the header that carries the credential.
    fn credential(&self) -> Result<(HeaderName, HeaderValue), Error> {
        let (name, text) = match &self.authorization {
            Authorization::Header(header) => ("authorization", header.expose().to_owned()),
            Authorization::Stored(Credentials::ApiKey(key)) => ("x-api-token", key.expose().to_owned()),
            Authorization::Stored(Credentials::OAuth { access_token, .. }) => {
                ("authorization", format!("Bearer {}", access_token.expose()))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Error::new(ErrorKind::Unauthorized, Effect::None, "the credential cannot be sent as a header")
        })?;
        value.set_sensitive(true);
        Ok((HeaderName::from_static(name), value))
    }
}

/// Translates a request that got no response. Only a failed connection proves that nothing was sent.
fn no_response(failure: &reqwest::Error) -> Error {
    if failure.is_connect() || failure.is_builder() {
        Error::new(ErrorKind::Unavailable, Effect::None, "no connection")
    } else if failure.is_timeout() {
        Error::new(ErrorKind::Unavailable, Effect::Unknown, "no response in time")
    } else {
        Error::new(ErrorKind::Unavailable, Effect::Unknown, "the connection was lost")
    }
}

/// Reads the body of a response. Fails if it is too long or incomplete.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ErrorKind::Unavailable)? {
        if bytes.len() + chunk.len() > MAX_RESPONSE {
            return Err(ErrorKind::Malformed);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Translates the status of a response, for all CRMs, into the JSON of its body or an error.
fn interpret(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    body: Result<Vec<u8>, ErrorKind>,
) -> Result<Value, Error> {
    let json = || serde_json::from_slice::<Value>(body.as_deref().ok()?).ok();
    let failed = |kind, effect| Err(Error::new(kind, effect, format!("status {}", status.as_u16())));
    match status.as_u16() {
        204 => Ok(Value::Null),
        200..=299 => match (json(), &body) {
            (Some(content), _) => Ok(content),
            (None, Err(kind)) => failed(kind.clone(), Effect::Unknown),
            (None, Ok(_)) => failed(ErrorKind::Malformed, Effect::Unknown),
        },
        401 => failed(ErrorKind::Unauthorized, Effect::None),
        // The network in front of the CRM (Cloudflare) has blocked us: we have to wait, no permission is missing.
        403 if json().is_none() && headers.contains_key("cf-ray") => {
            failed(ErrorKind::RateLimited { retry_after: retry_after(headers) }, Effect::None)
        }
        403 => failed(ErrorKind::Forbidden, Effect::None),
        // A POST names no record that could be missing: a 404 means that its data is wrong.
        404 | 410 if *method != Method::POST => failed(ErrorKind::NotFound, Effect::None),
        412 => failed(ErrorKind::Conflict, Effect::None),
        429 => failed(ErrorKind::RateLimited { retry_after: retry_after(headers) }, Effect::None),
        408 => failed(ErrorKind::Unavailable, Effect::Unknown),
        400..=499 => failed(ErrorKind::Rejected { message: rejection_message(json()) }, Effect::None),
        // A redirect is not followed. The write that it responds to may have been carried out.
        300..=399 => failed(ErrorKind::Malformed, Effect::Unknown),
        _ => failed(ErrorKind::Unavailable, Effect::Unknown),
    }
}

/// Returns `Retry-After` in seconds (RFC 9110, section 10.2.3), or else the common header `X-RateLimit-Reset`, unless
/// it is longer than a day.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    seconds(RETRY_AFTER.as_str())
        .or_else(|| seconds("x-ratelimit-reset"))
        .filter(|seconds| *seconds <= 86_400)
        .map(Duration::from_secs)
}

/// Returns the CRM's own words for a rejection, cut to the length that a message can show.
fn rejection_message(body: Option<Value>) -> String {
    let text = body.as_ref().and_then(|body| {
        ["error_info", "error", "message", "detail"].iter().find_map(|field| match body.get(field)? {
            Value::String(text) => Some(text.as_str()),
            Value::Object(inner) => inner.get("message")?.as_str(),
            _ => None,
        })
    });
    text.unwrap_or("The CRM gave no reason.").chars().take(500).collect()
}

/// The headers that report the burst budget: its size, the remainder, and the seconds until it is full again.
const BURST_HEADERS: [[&str; 2]; 3] = [
    ["x-ratelimit-limit", "ratelimit-limit"],
    ["x-ratelimit-remaining", "ratelimit-remaining"],
    ["x-ratelimit-reset", "ratelimit-reset"],
];
/// The headers that report how many requests are left today.
const DAILY_HEADERS: [&str; 2] = ["x-daily-requests-left", "x-daily-ratelimit-token-remaining"];

/// Returns the number in the first of these headers that has one.
fn number(headers: &HeaderMap, names: [&str; 2]) -> Option<i64> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse().ok())
}

/// Returns the metric that counts a response.
fn metric_of(status: StatusCode, result: &Result<Value, Error>) -> Metric {
    match (result, status.as_u16()) {
        (Ok(_), _) => Metric::CrmSuccess,
        (Err(Error { kind: ErrorKind::RateLimited { .. }, .. }), _) => Metric::CrmRateLimited,
        (Err(_), 400..=499) => Metric::CrmRefused,
        // The body was incomplete.
        (Err(Error { kind: ErrorKind::Unavailable, .. }), 200..=299) => Metric::CrmUnanswered,
        (Err(_), _) => Metric::CrmFailed,
    }
}

/// Returns the path without identifiers, for log lines. A segment with a digit is an identifier, unless it is the
/// version of the API.
fn route(path: &str) -> String {
    let is_name = |segment: &&str| {
        !segment.bytes().any(|byte| byte.is_ascii_digit()) || matches!(*segment, "v1" | "v2")
    };
    path.split('/').filter(is_name).collect::<Vec<_>>().join("/")
}

/// Returns the account label of a host `<label>.<domain>`, such as `acme` of `acme.pipedrive.com`, or `None` if the
/// host is not exactly one DNS label in lower case followed by the domain. For [`Crm::base_url`](super::Crm::base_url)
/// of CRMs that have a host per account.
///
/// ```
/// use call_log::adapters::client::account_label;
///
/// assert_eq!(account_label("acme.pipedrive.com", "pipedrive.com"), Some("acme"));
/// assert_eq!(account_label("evil.com/.pipedrive.com", "pipedrive.com"), None);
/// ```
pub fn account_label<'a>(hostname: &'a str, domain: &str) -> Option<&'a str> {
    let label = hostname.strip_suffix(domain)?.strip_suffix('.')?;
    let is_label = (1..=63).contains(&label.len())
        && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    is_label.then_some(label)
}

/// A renewed OAuth grant (RFC 6749, section 5.1).
#[derive(Debug)]
pub struct RenewedGrant {
    /// The new access token.
    pub access_token: Secret,
    /// The new refresh token, if the provider rotates refresh tokens.
    pub refresh_token: Option<Secret>,
    /// The lifetime of the access token, in seconds.
    pub expires_in: Option<u64>,
}

/// The reasons for which a grant was not renewed.
#[derive(Debug)]
pub enum RenewalError {
    /// The provider rejected the refresh token (`invalid_grant`). It will never work again.
    Rejected,
    /// The request may have renewed the grant, but its response was lost, malformed or a server error.
    OutcomeUnknown,
    /// There was no connection, so the request was not sent.
    NotSent,
    /// The grant was not renewed for another reason, with the status of the response.
    Failed(u16),
}

/// Exchanges a refresh token (RFC 6749, section 6). `client` is sent with HTTP Basic.
///
/// # Errors
///
/// See [`RenewalError`].
pub async fn renew_grant(
    http: &HttpClient,
    url: &str,
    client: Option<&OAuthClient>,
    refresh_token: &Secret,
) -> Result<RenewedGrant, RenewalError> {
    let mut request = http
        .post(url)
        .form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())])
        .headers(telemetry::headers())
        .timeout(READ_TIMEOUT);
    if let Some(client) = client {
        request = request.basic_auth(&client.id, Some(client.secret.expose()));
    }
    let response = request.send().await.map_err(|failure| match no_response(&failure).effect {
        Effect::None => RenewalError::NotSent,
        Effect::Unknown => RenewalError::OutcomeUnknown,
    })?;
    let status = response.status();
    let json: Option<Value> = read(response).await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let field = |name: &str| json.as_ref()?.get(name).cloned();
    let text = |name: &str| field(name)?.as_str().map(Secret::new);
    if status.is_success() {
        return Ok(RenewedGrant {
            access_token: text("access_token").ok_or(RenewalError::OutcomeUnknown)?,
            refresh_token: text("refresh_token"),
            expires_in: field("expires_in").and_then(|seconds| seconds.as_u64()),
        });
    }
    match text("error") {
        Some(error) if error.expose() == "invalid_grant" => Err(RenewalError::Rejected),
        _ if status.is_server_error() => Err(RenewalError::OutcomeUnknown),
        _ => Err(RenewalError::Failed(status.as_u16())),
    }
}

/// Returns the URL with another scheme and host, or `None` if it is not a URL.
pub(crate) fn with_base_url(url: &str, base_url: &str) -> Option<String> {
    Some(format!("{base_url}{}", reqwest::Url::parse(url).ok()?.path()))
}
