//! What every CRM needs to speak HTTP: sending with a deadline, and turning an answer into meaning in one place.
//!
//! Nothing here repeats a request: whether a write may be repeated is for the use-cases to decide. Redirects are
//! off (see `startup::transport`), because the credential would follow them.

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

/// The longest answer that is read, in bytes: more than a page of a hundred of the largest notes.
const MAX_ANSWER: usize = 16 << 20;
/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(9);
/// What is kept back of an invocation's time, so that the outcome can still be written down.
const RESERVE: Duration = Duration::from_millis(1_500);

/// The HTTP client of the process.
pub use reqwest::Client as HttpClient;

/// What an adapter needs to call its CRM for one user.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    pub http: &'a reqwest::Client,
    pub clock: &'a Clock,
    pub budgets: &'a Budgets,
    pub deadline: Deadline,
    /// `https://acme.pipedrive.com`, without a slash at its end.
    pub base_url: String,
    pub authorization: Authorization,
    pub user: &'a UserId,
}

/// What is sent to prove that we may.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// The caller's own `Authorization` header, for this request.
    Header(Secret),
    /// The stored credential.
    Stored(Credentials),
}

impl Access<'_> {
    /// Reads. A failure changed nothing.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        let sent = self.send(Method::GET, path, query, None, None).await;
        sent.map_err(|error| self.discreet(error.harmless()))
    }

    /// A refusal that quotes the credential, or begins to, is not passed on in the CRM's words.
    fn discreet(&self, mut error: Error) -> Error {
        const TELLING: usize = 16;
        let secret = match &self.authorization {
            Authorization::Header(header) => header.expose(),
            Authorization::Stored(Credentials::ApiKey(key)) => key.expose(),
            Authorization::Stored(Credentials::OAuth { access_token, .. }) => access_token.expose(),
        };
        // The scheme is no secret, and a quote may be without it.
        let secret = secret.rsplit(' ').next().unwrap_or_default();
        let start = secret.char_indices().nth(TELLING).map_or(secret, |(end, _)| &secret[..end]);
        if let ErrorKind::Rejected { message } = &mut error.kind
            && !start.is_empty()
            && message.contains(start)
        {
            *message = "It gave a reason that quotes your credentials.".to_owned();
        }
        error
    }

    /// Writes.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(Method::POST, path, &[], Some(body), None).await.map_err(|error| self.discreet(error))
    }

    /// Writes; with a version, only when the CRM still has that one.
    pub(super) async fn patch(
        &self,
        path: &str,
        body: &Value,
        version: Option<&str>,
    ) -> Result<Value, Error> {
        self.send(Method::PATCH, path, &[], Some(body), version).await.map_err(|error| self.discreet(error))
    }

    /// Removes; with a version, only when the CRM still has that one.
    pub(super) async fn delete(&self, path: &str, version: Option<&str>) -> Result<Value, Error> {
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
        let (class, result) = match request.send().await {
            Ok(answer) => {
                let (status, headers) = (answer.status(), answer.headers().clone());
                let bytes = read(answer).await;
                self.record(&method, path, status, &headers);
                let result = meaning(&method, status, &headers, bytes);
                (class(status, &result), result)
            }
            Err(failure) => (Metric::CrmUnanswered, Err(unanswered(&failure))),
        };
        let now_ms = self.clock.now_ms();
        telemetry::count(class);
        telemetry::record(Metric::CrmLatency, now_ms - started);
        telemetry::add("crm_ms", now_ms - started);
        result
    }

    /// What an answer says beside its content: its status, and what is left of the budget.
    fn record(&self, method: &Method, path: &str, status: StatusCode, headers: &HeaderMap) {
        let [limit, remaining, reset] = BURST.map(|names| number(headers, names));
        let today = number(headers, TODAY);
        for left in [remaining, today].into_iter().flatten() {
            telemetry::record(Metric::BudgetLeft, left);
        }
        self.budgets.saw(&self.base_url, limit, remaining, reset, self.clock.now_ms());
        telemetry::set_field("crm_status", i64::from(status.as_u16()));
        tracing::debug!(
            crm_method = %method,
            crm_route = %route(path),
            crm_status = status.as_u16(),
            rate_limit = limit,
            rate_limit_remaining = remaining,
            rate_limit_reset = reset,
            daily_requests_left = today,
            "CRM answered"
        );
    }

    /// The time that a request may take. Checked as the last step before it is sent: a request that could still be
    /// under way when the invocation ends is not begun.
    fn timeout(&self, method: &Method) -> Result<Duration, Error> {
        let wanted = if *method == Method::GET { READ_TIMEOUT } else { WRITE_TIMEOUT };
        let left = self.deadline.remaining(self.clock).saturating_sub(RESERVE);
        let least = Duration::from_millis(250);
        if left < least {
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "no time left to call the CRM"));
        }
        Ok(wanted.min(left))
    }

    fn credential(&self) -> Result<(HeaderName, HeaderValue), Error> {
        let (name, text) = match &self.authorization {
            Authorization::Header(header) => ("authorization", header.expose().to_owned()),
            Authorization::Stored(Credentials::ApiKey(key)) => ("x-api-token", key.expose().to_owned()),
            Authorization::Stored(Credentials::OAuth { access_token, .. }) => {
                ("authorization", format!("Bearer {}", access_token.expose()))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Error::new(ErrorKind::Unauthorized, Effect::None, "the credential is not a header value")
        })?;
        value.set_sensitive(true);
        Ok((HeaderName::from_static(name), value))
    }
}

/// A request without an answer: had it been sent?
fn unanswered(failure: &reqwest::Error) -> Error {
    if failure.is_connect() || failure.is_builder() {
        Error::new(ErrorKind::Unavailable, Effect::None, "no connection")
    } else if failure.is_timeout() {
        Error::new(ErrorKind::Unavailable, Effect::Unknown, "no answer in time")
    } else {
        Error::new(ErrorKind::Unavailable, Effect::Unknown, "the connection broke")
    }
}

/// Reads an answer's body, unless it is too long or breaks off.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| ErrorKind::Unavailable)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(ErrorKind::Malformed);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The one place where a CRM's status becomes meaning.
fn meaning(
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
            (Some(answer), _) => Ok(answer),
            (None, Err(kind)) => failed(kind.clone(), Effect::Unknown),
            (None, Ok(_)) => failed(ErrorKind::Malformed, Effect::Unknown),
        },
        401 => failed(ErrorKind::Unauthorized, Effect::None),
        // A block by the network in front of the CRM (Cloudflare's page) is a matter of waiting, not of permission.
        403 if json().is_none() && headers.contains_key("cf-ray") => {
            failed(ErrorKind::RateLimited { retry_after: retry_after(headers) }, Effect::None)
        }
        403 => failed(ErrorKind::Forbidden, Effect::None),
        // A request to make something has only its data to be wrong about.
        404 | 410 if *method != Method::POST => failed(ErrorKind::NotFound, Effect::None),
        412 => failed(ErrorKind::Conflict, Effect::None),
        429 => failed(ErrorKind::RateLimited { retry_after: retry_after(headers) }, Effect::None),
        408 => failed(ErrorKind::Unavailable, Effect::Unknown),
        400..=499 => failed(ErrorKind::Rejected { message: own_words(json()) }, Effect::None),
        // A redirect is not followed, and may well be the answer to a write that was done.
        300..=399 => failed(ErrorKind::Malformed, Effect::Unknown),
        _ => failed(ErrorKind::Unavailable, Effect::Unknown),
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3), or what common rate-limit headers say.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    seconds(RETRY_AFTER.as_str())
        .or_else(|| seconds("x-ratelimit-reset"))
        .filter(|seconds| *seconds <= 86_400)
        .map(Duration::from_secs)
}

/// The words in which a CRM refused, cut to what a message can show.
fn own_words(answer: Option<Value>) -> String {
    let text = answer.as_ref().and_then(|answer| {
        ["error_info", "error", "message", "detail"].iter().find_map(|field| match answer.get(field)? {
            Value::String(text) => Some(text.as_str()),
            Value::Object(inner) => inner.get("message")?.as_str(),
            _ => None,
        })
    });
    text.unwrap_or("It gave no reason.").chars().take(500).collect()
}

/// The headers that tell of the burst budget: its size, what is left of it, when it is whole again.
const BURST: [[&str; 2]; 3] = [
    ["x-ratelimit-limit", "ratelimit-limit"],
    ["x-ratelimit-remaining", "ratelimit-remaining"],
    ["x-ratelimit-reset", "ratelimit-reset"],
];
/// The headers that tell how many requests are left today.
const TODAY: [&str; 2] = ["x-daily-requests-left", "x-daily-ratelimit-token-remaining"];

/// The number in the first of these headers that has one.
fn number(headers: &HeaderMap, names: [&str; 2]) -> Option<i64> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse().ok())
}

/// What an answer is counted as.
fn class(status: StatusCode, result: &Result<Value, Error>) -> Metric {
    match (result, status.as_u16()) {
        (Ok(_), _) => Metric::CrmSuccess,
        (Err(Error { kind: ErrorKind::RateLimited { .. }, .. }), _) => Metric::CrmRateLimited,
        (Err(_), 400..=499) => Metric::CrmRefused,
        // The body broke off.
        (Err(Error { kind: ErrorKind::Unavailable, .. }), 200..=299) => Metric::CrmUnanswered,
        (Err(_), _) => Metric::CrmFailed,
    }
}

/// A path without identifiers: a step with a digit in it is one, unless it is the API's version.
fn route(path: &str) -> String {
    let names_route =
        |step: &&str| !step.bytes().any(|byte| byte.is_ascii_digit()) || matches!(*step, "v1" | "v2");
    path.split('/').filter(names_route).collect::<Vec<_>>().join("/")
}

/// A renewed OAuth grant (RFC 6749, section 5.1).
#[derive(Debug)]
pub struct RenewedGrant {
    pub access_token: Secret,
    /// Present when the provider rotates refresh tokens.
    pub refresh_token: Option<Secret>,
    /// Seconds.
    pub expires_in: Option<u64>,
}

/// Why a grant was not renewed.
#[derive(Debug)]
pub enum RenewalError {
    /// `invalid_grant`: this refresh token will never work again.
    Refused,
    /// Nobody knows whether it was renewed.
    Unanswered,
    /// There was no connection to ask over.
    Unsent,
    /// It was not renewed, for a reason that is not the user's: the status.
    Failed(u16),
}

/// Exchanges a refresh token (RFC 6749, section 6).
pub async fn renew_grant(
    http: &reqwest::Client,
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
    let answer = request.send().await.map_err(|failure| match unanswered(&failure).effect {
        Effect::None => RenewalError::Unsent,
        Effect::Unknown => RenewalError::Unanswered,
    })?;
    let status = answer.status();
    let json: Option<Value> = read(answer).await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let field = |name: &str| json.as_ref()?.get(name).cloned();
    let text = |name: &str| field(name)?.as_str().map(Secret::new);
    if status.is_success() {
        return Ok(RenewedGrant {
            access_token: text("access_token").ok_or(RenewalError::Unanswered)?,
            refresh_token: text("refresh_token"),
            expires_in: field("expires_in").and_then(|seconds| seconds.as_u64()),
        });
    }
    match text("error") {
        Some(error) if error.expose() == "invalid_grant" => Err(RenewalError::Refused),
        _ if status.is_server_error() => Err(RenewalError::Unanswered),
        _ => Err(RenewalError::Failed(status.as_u16())),
    }
}

/// Returns the URL with another scheme and host, or `None` if it is not a URL.
pub(crate) fn with_base_url(url: &str, base_url: &str) -> Option<String> {
    Some(format!("{base_url}{}", reqwest::Url::parse(url).ok()?.path()))
}
