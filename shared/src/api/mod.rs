//! The edge: from an HTTP request to a command, and from an outcome to an answer. The only place that knows a status
//! code or a message of ours.
//!
//! The Chrome extension shows a message to its user only when the status is 200. So an outcome that the user can act
//! on is a 200 with `successful: false`; everything else is a plain HTTP error of the same shape.

pub mod wire;

use std::{
    fmt,
    pin::{Pin, pin},
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use tracing::Level;

use crate::{
    adapters::{Crm, ErrorKind},
    api::wire::{Answer, read_create, read_update},
    auth::{
        Caller, Keys,
        caller::{Refused, token_of},
    },
    delivery::{Failure, create, services::Services, update},
    model::{Deadline, UserId},
    store,
    telemetry::{self, CORRELATION_HEADER, Metric, Trace},
};

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// What a caller is told to wait when the table is not available, in seconds.
const RETRY_SECONDS: u32 = 2;

/// What the platform says about the request that it passed on.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// When it must have been answered.
    pub deadline: Deadline,
    /// The name under which the platform logs it.
    pub request_id: String,
    /// X-Ray's header as the platform has it, if it traces.
    pub xray_trace_id: Option<String>,
}

/// One route of the HTTP API.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// The last segment of the path. A stage or a mount point may precede it.
    pub path: &'static str,
    pub handler: Handler,
}

/// Handles a request to a route. It is a function pointer, so that a function's binary links only the handlers of the
/// routes that it names.
pub type Handler = for<'a> fn(&'a Api, Request<Bytes>, &'a Invocation) -> Handling<'a>;

/// A request that is being handled.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Response<Bytes>> + Send + 'a>>;

/// `POST /callLog`: logs a call.
pub const CREATE_CALL_LOG: Route = Route {
    method: "POST",
    path: "/callLog",
    handler: |api, request, invocation| Box::pin(create(api, request, invocation)),
};

/// `PATCH /callLog`: adds to the log of a call.
pub const UPDATE_CALL_LOG: Route = Route {
    method: "PATCH",
    path: "/callLog",
    handler: |api, request, invocation| Box::pin(update(api, request, invocation)),
};

/// What the handlers work with.
#[derive(Debug)]
pub struct Api {
    pub services: Services,
    token_keys: RwLock<Arc<Keys>>,
}

impl Api {
    /// Returns an API on these services that verifies tokens with these keys.
    pub fn new(services: Services, token_keys: Keys) -> Api {
        Api { services, token_keys: RwLock::new(Arc::new(token_keys)) }
    }

    /// Verifies tokens with other keys from now on.
    pub fn use_token_keys(&self, token_keys: Keys) {
        *self.token_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(token_keys);
    }

    fn token_keys(&self) -> Arc<Keys> {
        self.token_keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `POST /callLog`
async fn create(api: &Api, request: Request<Bytes>, invocation: &Invocation) -> Response<Bytes> {
    let result = pin!(async {
        let caller = admit(api, &request, &Method::POST)?;
        let command = read_create(request.body())?;
        same_user(&caller, command.user.as_ref())?;
        telemetry::session(&caller.platform, &caller.user, &command.session);
        let Some(crm) = api.services.crm(caller.platform.as_str()) else { return Ok(not_connected()) };
        telemetry::set_field("crm", crm.platform());
        let key = caller.call(&command.session, command.extension.as_ref());
        let outcome = create::run(&api.services, crm, key, command, invocation.deadline).await?;
        telemetry::set_field("outcome", variant(&outcome));
        Ok(created(crm, outcome))
    });
    answer(api, "create", request.headers(), invocation, result).await
}

/// `PATCH /callLog`
async fn update(api: &Api, request: Request<Bytes>, invocation: &Invocation) -> Response<Bytes> {
    let result = pin!(async {
        let caller = admit(api, &request, &Method::PATCH)?;
        let command = read_update(request.body())?;
        same_user(&caller, command.user.as_ref())?;
        telemetry::session(&caller.platform, &caller.user, &command.session);
        let Some(crm) = api.services.crm(caller.platform.as_str()) else { return Ok(not_connected()) };
        telemetry::set_field("crm", crm.platform());
        let key = caller.call(&command.session, command.extension.as_ref());
        let outcome = update::run(&api.services, crm, key, command, invocation.deadline).await?;
        telemetry::set_field("outcome", variant(&outcome));
        Ok(updated(crm, outcome))
    });
    answer(api, "update", request.headers(), invocation, result).await
}

/// Carries out a request, answers it, and tells the log what became of it. What carries it out is large, and is lent so
/// that it is not moved from hand to hand.
async fn answer(
    api: &Api,
    route: &'static str,
    headers: &HeaderMap,
    invocation: &Invocation,
    result: impl Future<Output = Result<(StatusCode, Answer), Refusal>>,
) -> Response<Bytes> {
    let trace = Trace::new(&*invocation.request_id, invocation.xray_trace_id.clone()).following(headers);
    let correlation_id = HeaderValue::from_str(&trace.correlation_id);
    let work = async {
        let started_ms = api.services.clock.now_ms();
        let mut response = respond(result.await, invocation);
        if let Ok(id) = correlation_id {
            response.headers_mut().insert(CORRELATION_HEADER, id);
        }
        telemetry::set_field("status", i64::from(response.status().as_u16()));
        telemetry::record(Metric::Latency, api.services.clock.now_ms() - started_ms);
        response
    };
    telemetry::instrument(&api.services.clock, route, "answered", trace, work).await
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("There is nothing at this path. Call logs are at /callLog.")]
    NotFound,
    #[error("POST logs a call, PATCH updates its log. This takes {0}.")]
    Method(Method),
    #[error("The body is over 1 MiB.")]
    TooLarge,
    #[error("{0}")]
    Token(#[from] Refused),
    #[error("{0}")]
    Invalid(#[from] wire::Invalid),
    #[error("The user in the body is not the user of the token.")]
    OtherUser,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Refusal {
    /// The reason without what was sent.
    fn for_log(&self) -> String {
        match self {
            Refusal::Invalid(invalid) => invalid.for_log().to_owned(),
            refusal => refusal.to_string(),
        }
    }
}

/// Lets a request in: the right place, the right verb, a valid token, a body of a reasonable size.
fn admit(api: &Api, request: &Request<Bytes>, method: &Method) -> Result<Caller, Refusal> {
    // A stage or a mount point may stand before it.
    let path = request.uri().path().trim_end_matches('/');
    if path.rsplit('/').next() != Some("callLog") {
        return Err(Refusal::NotFound);
    }
    if request.method() != method {
        return Err(Refusal::Method(method.clone()));
    }
    let caller = authenticate(api, request.headers(), request.uri())?;
    if request.body().len() > MAX_BODY {
        return Err(Refusal::TooLarge);
    }
    Ok(caller)
}

/// Who sent the request, by its token.
pub fn authenticate(api: &Api, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Refused> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let query = uri.query().unwrap_or_default();
    let query_token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "jwtToken");
    let token =
        token_of(header, query_token.as_ref().map(|(_, token)| token.as_ref())).ok_or(Refused::Missing)?;
    api.token_keys().verify(token, api.services.clock.now())
}

fn same_user(caller: &Caller, named: Option<&UserId>) -> Result<(), Refusal> {
    if named.is_some_and(|user| *user != caller.user) { Err(Refusal::OtherUser) } else { Ok(()) }
}

fn created(crm: &dyn Crm, outcome: create::Outcome) -> (StatusCode, Answer) {
    use create::Outcome;
    let name = crm.display_name();
    match outcome {
        Outcome::Logged(log) => ok(Answer::success("Call logged", 2000).with_log_id(&log)),
        Outcome::AlreadyLogged(log) => ok(Answer::success("Call already logged", 3000).with_log_id(&log)),
        Outcome::BeingLogged => ok(Answer::success("The call is being logged.", 3000)),
        Outcome::Unsettled { wait_ms, is_deferred } => {
            let seconds = wait_ms.div_euclid(1_000) + 1;
            let next = if is_deferred {
                format!(
                    "In {seconds} seconds it is looked for, and logged if it is not there. You need not do anything."
                )
            } else {
                format!(
                    "Log it again in {seconds} seconds: it is looked for first, so that it is never logged twice."
                )
            };
            ok(Answer::warning(format!("{name} is not answering"), 5000).with_detail(
                "What happens next",
                format!("An attempt to log this call had no answer. {next}"),
            ))
        }
        Outcome::NoContact { number } => {
            let number = number.as_deref().unwrap_or("unknown");
            ok(Answer::warning(format!("Contact not found for number {number}"), 5000))
        }
        Outcome::NotConnected => not_connected(),
        Outcome::Failed { failure, is_deferred } => failed(name, failure, "The call", is_deferred),
    }
}

fn updated(crm: &dyn Crm, outcome: update::Outcome) -> (StatusCode, Answer) {
    use update::Outcome;
    let name = crm.display_name();
    match outcome {
        Outcome::Updated { log, body } => {
            ok(Answer::success("Call log updated.", 2000).with_log_id(&log).with_updated_note(body))
        }
        Outcome::UpdatedByOther { log } => ok(Answer::success("Call log updated.", 2000).with_log_id(&log)),
        Outcome::Queued { log } => {
            ok(Answer::success("The update will be added in a moment.", 3000).with_log_id(&log))
        }
        Outcome::WaitingForCall => {
            telemetry::count(Metric::Parked);
            ok(Answer::success("The update will be added when the call is logged.", 3000))
        }
        Outcome::Deleted => ok(Answer::warning(format!("The call log was deleted in {name}."), 5000)),
        Outcome::NotConnected => not_connected(),
        Outcome::Failed { failure, is_deferred } => failed(name, failure, "The update", is_deferred),
    }
}

fn not_connected() -> (StatusCode, Answer) {
    telemetry::set_field("outcome", "NotConnected");
    ok(Answer::warning("User not found. Please connect to your CRM.", 5000))
}

/// What a CRM's failure means to the person at the other end. `what`: what they sent; deferred: it is delivered later.
fn failed(crm: &str, failure: Failure, what: &str, is_deferred: bool) -> (StatusCode, Answer) {
    let next = match (&failure, is_deferred) {
        (Failure::SessionEnded, true) => {
            format!("{what} is kept, and follows when you have connected again.")
        }
        (_, true) => format!("{what} follows as soon as {crm} takes it. You need not do anything."),
        (_, false) => {
            format!("{what} is not in {crm} yet. Send it again in a minute: nothing is ever logged twice.")
        }
    };
    if is_deferred {
        telemetry::count(Metric::Deferred);
    }
    let error = match failure {
        Failure::Crm(error) => error,
        Failure::SessionEnded => {
            telemetry::failed(Level::WARN, &failure);
            let answer = Answer::warning("User session expired. Please connect again.", 5000)
                .with_error_code("CRM_SESSION_REVOKED");
            return (StatusCode::UNAUTHORIZED, answer.with_detail("What happens next", next));
        }
        Failure::Store(error) => {
            tell(Level::ERROR, &error);
            return unavailable();
        }
    };
    telemetry::failed(Level::WARN, &error);
    let unanswered = || {
        Answer::warning(format!("{crm} is not answering"), 5000)
            .with_detail("What happens next", next.clone())
    };
    ok(match error.kind {
        ErrorKind::Unauthorized | ErrorKind::Forbidden => Answer::warning("Authorization error", 5000).with_detail(
            "What to do",
            format!(
                "{crm} did not accept your authorization. Check that your {crm} account may log calls, then \
                 disconnect and connect it again."
            ),
        ),
        ErrorKind::RateLimited { retry_after } => {
            let when = match retry_after {
                Some(wait) if wait.as_secs() <= 1 => "in a second".to_owned(),
                Some(wait) => format!("in {} seconds", wait.as_secs()),
                None => "in a minute".to_owned(),
            };
            Answer::warning("Rate limit exceeded", 5000)
                .with_detail("What to do", format!("{crm} takes no more requests at the moment. Try again {when}."))
                .with_detail("What happens next", next)
        }
        ErrorKind::Rejected { message } => Answer::warning(format!("{crm} refused the call log"), 5000)
            .with_detail(format!("{crm} says"), message),
        ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unavailable | ErrorKind::Malformed => unanswered(),
    })
}

fn ok(answer: Answer) -> (StatusCode, Answer) {
    (StatusCode::OK, answer)
}

fn unavailable() -> (StatusCode, Answer) {
    let message = "The service is busy. Please try again in a moment.";
    (StatusCode::SERVICE_UNAVAILABLE, Answer::warning(message, 5000))
}

fn respond(result: Result<(StatusCode, Answer), Refusal>, invocation: &Invocation) -> Response<Bytes> {
    let mut allow = None;
    let (status, answer) = match result {
        Ok(answered) => answered,
        Err(Refusal::Store(error @ store::Error::TooLarge)) => {
            tell(Level::INFO, &error);
            let message = "The update is too long: its texts may have about 350 kB.";
            (StatusCode::PAYLOAD_TOO_LARGE, Answer::warning(message, 5000))
        }
        Err(Refusal::Store(error @ store::Error::Unavailable(_))) => {
            tell(Level::WARN, &error);
            unavailable()
        }
        Err(Refusal::Store(error)) => {
            tell(Level::ERROR, &error);
            let message = format!("Something went wrong here. The request was {}.", invocation.request_id);
            (StatusCode::INTERNAL_SERVER_ERROR, Answer::danger(message, 5000))
        }
        Err(refusal) => {
            let status = match &refusal {
                Refusal::NotFound => StatusCode::NOT_FOUND,
                Refusal::Method(method) => {
                    allow = HeaderValue::from_str(method.as_str()).ok();
                    StatusCode::METHOD_NOT_ALLOWED
                }
                Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Refusal::Token(_) => StatusCode::UNAUTHORIZED,
                Refusal::OtherUser => StatusCode::FORBIDDEN,
                Refusal::Invalid(_) | Refusal::Store(_) => StatusCode::BAD_REQUEST,
            };
            telemetry::set_field("outcome", variant(&refusal));
            telemetry::failed(Level::INFO, refusal.for_log());
            (status, Answer::warning(refusal.to_string(), 5000))
        }
    };
    let mut response = Response::new(Bytes::from(serde_json::to_vec(&answer).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(allow) = allow {
        headers.insert(ALLOW, allow);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    response
}

/// Tells the log of a table that failed.
fn tell(level: Level, error: &store::Error) {
    if matches!(error, store::Error::Unreadable(..)) {
        telemetry::count(Metric::Unreadable);
    }
    telemetry::set_field("outcome", variant(error));
    telemetry::failed(level, error);
}

/// A value's name for the log: the variant, without what it holds.
fn variant(value: &impl fmt::Debug) -> String {
    /// Takes a text's first word, and no more of it: the rest may be a whole note.
    struct FirstWord(String);
    impl fmt::Write for FirstWord {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.find(|letter: char| !letter.is_alphanumeric());
            self.0.push_str(&text[..end.unwrap_or(text.len())]);
            end.map_or(Ok(()), |_| Err(fmt::Error))
        }
    }
    let mut word = FirstWord(String::new());
    let _ = fmt::write(&mut word, format_args!("{value:?}"));
    word.0
}
