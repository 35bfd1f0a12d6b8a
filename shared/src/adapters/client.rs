//! The HTTP client of all adapters: it sends a request within the deadline, with the credential, and finds out what the
//! response means.
//!
//! A read is repeated once if its connection was lost, because a CRM or a proxy closes idle connections at any moment.
//! Nothing here repeats a write, because only delivery knows if it may be repeated. The HTTP client follows no redirect,
//! because the header with the API key would be sent to the new host too.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{
    RequestBuilder, StatusCode,
    header::{AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    Authentication, Budgets, Crm, CrmRequest, CrmResponse, Effect, Error, ErrorKind, RateLimits,
    exchange::{Intent, Method},
    meaning::interpret,
};
use crate::{
    model::{Clock, Credentials, Deadline, Secret, User},
    telemetry::{self, Metric},
};

/// The longest time that one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// The longest time that one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(9);
/// The part of an invocation's time in which no request may be under way, so that its outcome can still be stored.
const RESERVE: Duration = Duration::from_millis(1_500);
/// The shortest time for which a request is sent at all.
const MIN_TIMEOUT: Duration = Duration::from_millis(250);
/// The reason of an error whose request may have been sent, and whose connection then ended without a response.
const CONNECTION_LOST: &str = "the connection was lost";

/// The HTTP client of the process, which every adapter uses.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    /// The replacement of the network in a simulation.
    transport: Option<Arc<dyn Transport>>,
}

/// A replacement of the network, for a simulation in one process.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Takes a request to a CRM or to its token host, and returns the response. `deadline`: the end of the invocation, for
    /// a request to a CRM.
    ///
    /// # Errors
    ///
    /// If no response arrives: the possible effect of the request.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Option<Deadline>,
    ) -> Result<http::Response<Bytes>, Effect>;
}

/// A response, as it was received.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body, or the reason why it is incomplete.
    pub(super) body: Result<Vec<u8>, ErrorKind>,
}

impl From<reqwest::Client> for HttpClient {
    fn from(client: reqwest::Client) -> HttpClient {
        HttpClient { client, transport: None }
    }
}

impl HttpClient {
    /// The same client, whose requests go to `transport`.
    #[must_use]
    pub fn through(self, transport: Arc<dyn Transport>) -> HttpClient {
        HttpClient { transport: Some(transport), ..self }
    }

    /// Begins a request.
    pub(super) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and receives the response, whose body has at most this many bytes. Only a transport needs the deadline,
    /// because the request has a timeout.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        deadline: Option<Deadline>,
        most: usize,
    ) -> Result<Received, Error> {
        let Some(transport) = &self.transport else {
            let response = request.send().await.map_err(|failure| no_response(&failure))?;
            let (status, headers) = (response.status(), response.headers().clone());
            return Ok(Received { status, headers, body: read(response, most).await });
        };
        let request = request.build().and_then(http::Request::<reqwest::Body>::try_from);
        let request = request.map_err(|failure| no_response(&failure))?;
        let bytes = |body: reqwest::Body| Bytes::copy_from_slice(body.as_bytes().unwrap_or_default());
        let response = transport.send(request.map(bytes), deadline).await;
        let response =
            response.map_err(|effect| Error::new(ErrorKind::Unavailable, effect, "no response"))?;
        let (head, body) = response.into_parts();
        Ok(Received { status: head.status, headers: head.headers, body: Ok(body.into()) })
    }
}

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
    /// The CRM.
    pub crm: &'a dyn Crm,
    /// The CRM's base URL for this user, without a slash at its end: `https://acme.crm.example`.
    pub base_url: String,
    /// The key of the rate limits that requests count towards: see [`Budgets`].
    pub budget: String,
    /// The credential that is sent with every request.
    pub authorization: Authorization,
    /// The CRM user for whom requests are sent.
    pub user: &'a User,
}

/// The credential for a request to a CRM.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// None: the request opens a session.
    None,
    /// The caller's own `Authorization` header, which is used for this request and never stored.
    Header(Secret),
    /// The credential that is stored for the user.
    Stored(Credentials),
}

impl Authorization {
    /// Returns the secret without its scheme, such as `Bearer`, for CRMs that take it elsewhere than in the header.
    pub fn secret(&self) -> Option<&str> {
        let secret = match self {
            Authorization::None => return None,
            Authorization::Header(header) => header.expose(),
            Authorization::Stored(credentials) => secret_of(credentials).expose(),
        };
        secret.rsplit(' ').next()
    }
}

impl Access<'_> {
    /// Sends a request, and returns the response if the CRM did what it was asked for. A read whose connection was lost
    /// is sent once more, on another connection.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`]. A request that reads always has [`Effect::None`].
    pub async fn send(&self, request: CrmRequest) -> Result<CrmResponse, Error> {
        match self.send_once(&request).await {
            Err(error) if request.intent == Intent::Read && error.reason == CONNECTION_LOST => {
                self.send_once(&request).await
            }
            result => result,
        }
    }

    async fn send_once(&self, request: &CrmRequest) -> Result<CrmResponse, Error> {
        let timeout = self.timeout(request.intent)?;
        let outgoing = self
            .http
            .request(request.method.clone(), &format!("{}{}", self.base_url, request.path))
            .query(&request.query)
            .headers(telemetry::headers())
            .timeout(timeout);
        let mut outgoing = self.authorize(outgoing)?;
        for (name, value) in &request.headers {
            outgoing = outgoing.header(*name, value);
        }
        if let Some(body) = &request.body {
            outgoing = outgoing.json(body);
        }
        let started = self.clock.now_ms();
        let (metric, result) = match self.http.send(outgoing, Some(self.deadline), request.most_bytes).await {
            Ok(Received { status, mut headers, body }) => {
                // A response without a date counts as sent now (RFC 9110, section 6.6.1).
                headers.entry(DATE).or_insert_with(|| self.date());
                let limits = self.crm.rate_limits(&headers);
                self.record_response(request, status, &limits);
                let (body, incomplete) = match body {
                    Ok(body) => (body, None),
                    Err(kind) => (Vec::new(), Some(kind)),
                };
                let response = CrmResponse { intent: request.intent, status, headers, body };
                let result = match self.crm.classify(&response) {
                    Some(error) => Err(error),
                    None => {
                        interpret(&response, &limits, incomplete.as_ref(), self.crm.is_own_error(&response))
                    }
                };
                (metric_of(status, &result), result.map(|()| response))
            }
            Err(failure) => (Metric::CrmUnanswered, Err(failure)),
        };
        let now_ms = self.clock.now_ms();
        telemetry::count(metric);
        telemetry::record(Metric::CrmLatency, now_ms - started);
        telemetry::add("crm_ms", now_ms - started);
        result.map_err(|error| {
            let error = Error { bucket: request.bucket, ..self.redact(error) };
            match request.intent {
                Intent::Read => error.without_effect(),
                Intent::Create | Intent::Update => error,
            }
        })
    }

    /// Replaces a rejection message that contains the beginning of the credential.
    fn redact(&self, mut error: Error) -> Error {
        // A quote of fewer characters does not give the secret away.
        const QUOTED: usize = 16;
        let Some(secret) = self.authorization.secret() else { return error };
        let start = secret.char_indices().nth(QUOTED).map_or(secret, |(end, _)| &secret[..end]);
        if let ErrorKind::Rejected { message } | ErrorKind::Forbidden { message } = &mut error.kind
            && !start.is_empty()
            && message.contains(start)
        {
            *message = "The CRM gave a reason that quotes your credentials.".to_owned();
        }
        error
    }

    /// Returns the time as an HTTP date (RFC 9110, section 5.6.7).
    fn date(&self) -> HeaderValue {
        let date = self.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        HeaderValue::from_str(&date).expect("a date is ASCII text")
    }

    /// Records the status of a response and the budgets that it reports.
    fn record_response(&self, request: &CrmRequest, status: StatusCode, limits: &RateLimits) {
        let left = [limits.burst, limits.daily].into_iter().flatten();
        for allowance in left {
            telemetry::record(Metric::BudgetLeft, allowance.remaining);
        }
        self.budgets.record(&self.budget, request.bucket, limits, self.clock.now_ms());
        telemetry::set_field("crm_status", i64::from(status.as_u16()));
        tracing::debug!(
            crm_method = %request.method,
            crm_route = request.route,
            crm_status = status.as_u16(),
            rate_limit = limits.burst.map(|burst| burst.limit),
            rate_limit_remaining = limits.burst.map(|burst| burst.remaining),
            rate_limit_reset = limits.burst.and_then(|burst| burst.resets_in).map(|time| time.as_secs()),
            daily_requests_left = limits.daily.map(|daily| daily.remaining),
            "the CRM responded"
        );
    }

    /// Returns the time that a request may take. Called directly before the request is sent: a request that could
    /// still be under way when the invocation ends is not sent.
    fn timeout(&self, intent: Intent) -> Result<Duration, Error> {
        let wanted = match intent {
            Intent::Read => READ_TIMEOUT,
            Intent::Create | Intent::Update => WRITE_TIMEOUT,
        };
        let left = self.deadline.remaining(self.clock).saturating_sub(RESERVE);
        if left < MIN_TIMEOUT {
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "no time is left to call the CRM"));
        }
        Ok(wanted.min(left))
    }

    /// Adds the credential to a request.
    fn authorize(&self, request: RequestBuilder) -> Result<RequestBuilder, Error> {
        let (name, text) = match &self.authorization {
            Authorization::None => return Ok(request),
            Authorization::Header(header) => (AUTHORIZATION, header.expose().to_owned()),
            Authorization::Stored(credentials) => {
                let secret = secret_of(credentials).expose();
                match self.crm.authentication(credentials) {
                    Authentication::Scheme(scheme) => (AUTHORIZATION, format!("{scheme} {secret}")),
                    Authentication::Header(name) => (HeaderName::from_static(name), secret.to_owned()),
                    Authentication::Basic => return Ok(request.basic_auth(secret, None::<&str>)),
                }
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Error::new(ErrorKind::Unauthorized, Effect::None, "the credential cannot be sent as a header")
        })?;
        value.set_sensitive(true);
        Ok(request.header(name, value))
    }
}

/// Returns the secret that requests carry.
fn secret_of(credentials: &Credentials) -> &Secret {
    match credentials {
        Credentials::ApiKey(key) => key,
        Credentials::OAuth { access_token, .. } => access_token,
    }
}

/// Translates a request that got no response. Only a failed connection proves that nothing was sent.
fn no_response(failure: &reqwest::Error) -> Error {
    if failure.is_connect() || failure.is_builder() {
        Error::new(ErrorKind::Unavailable, Effect::None, "no connection")
    } else if failure.is_timeout() {
        Error::new(ErrorKind::Unavailable, Effect::Unknown, "no response in time")
    } else {
        Error::new(ErrorKind::Unavailable, Effect::Unknown, CONNECTION_LOST)
    }
}

/// Reads the body of a response, at most this many bytes. Fails if it is longer or incomplete.
async fn read(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ErrorKind::Unavailable)? {
        if bytes.len() + chunk.len() > most {
            return Err(ErrorKind::Malformed);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Returns the metric that counts a response.
fn metric_of(status: StatusCode, result: &Result<(), Error>) -> Metric {
    match (result, status.as_u16()) {
        (Ok(()), _) => Metric::CrmSuccess,
        (Err(Error { kind: ErrorKind::RateLimited { .. } | ErrorKind::QuotaExceeded { .. }, .. }), _) => {
            Metric::CrmRateLimited
        }
        // The body was incomplete.
        (Err(Error { kind: ErrorKind::Unavailable, .. }), 200..=299) => Metric::CrmUnanswered,
        (Err(Error { kind: ErrorKind::Unavailable | ErrorKind::Malformed, .. }), 200..=399) => {
            Metric::CrmFailed
        }
        (Err(_), 200..=499) => Metric::CrmRefused,
        (Err(_), _) => Metric::CrmFailed,
    }
}

/// Returns the URL with another scheme and host, or `None` if it is not a URL.
pub(crate) fn with_base_url(url: &str, base_url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{base_url}{}{query}", url.path()))
}
