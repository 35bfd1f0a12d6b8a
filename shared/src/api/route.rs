//! Routes: which requests are admitted, by which handler, and with one response and one log line each.

use std::{fmt, future::ready, pin::Pin};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ALLOW, AUTHORIZATION},
};
use tracing::Level;

use crate::{
    adapters::Crm,
    api::{
        Api,
        answer::{Answer, RefusalForm},
        outcome::{log_store_error, not_connected, unavailable, variant},
        wire::{InputError, ResponseBody},
    },
    auth::{Caller, TokenError, caller::token_of},
    model::{Deadline, NamedExtension, Sender, UserId},
    store,
    telemetry::{self, CORRELATION_HEADER, Metric, Trace},
};

/// The data of a request that come from the platform, not from the caller.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// When the response must be complete.
    pub deadline: Deadline,
    /// The id under which the platform logs the request.
    pub request_id: String,
    /// X-Ray's header, if the platform traces the request.
    pub xray_trace_id: Option<String>,
    /// The address at which the platform serves us, without a slash at its end, if it says it. It is never taken from a header,
    /// which the sender writes.
    pub url: Option<String>,
}

/// A route of the HTTP API.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The end of the path. A stage or a mount point may precede it.
    pub path: &'static str,
    /// The callers who are admitted.
    pub callers: Callers,
    /// The route's name in log lines and metrics.
    name: &'static str,
    handler: Handler,
}

/// The callers that a route admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Those with a valid token.
    Known,
    /// All.
    All,
}

impl Callers {
    /// Returns the largest body that a request of these callers may have, in bytes.
    pub const fn max_body(self) -> usize {
        match self {
            Callers::Known => 1 << 20,
            Callers::All => 64 << 10,
        }
    }

    fn max_body_in_words(self) -> &'static str {
        match self {
            Callers::Known => "1 MiB",
            Callers::All => "64 KiB",
        }
    }
}

/// Handles a request to a route. It is a function pointer, so that a function's binary links only the handlers of the routes
/// that it names.
pub(super) type Handler = for<'a> fn(&'a Api, Request<Bytes>, &'a Invocation) -> HandlerFuture<'a>;

/// The future of a [`Handler`].
pub(super) type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, Rejection>> + Send + 'a>>;

/// A request that is not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    #[error("the request cannot be read: check its path, query and headers")]
    Unreadable,
    #[error("there is nothing at this path: call logs are at /callLog")]
    NotFound,
    /// The methods that the path has.
    #[error("this path accepts only {0}")]
    Method(String),
    /// The largest body of the route.
    #[error("the body is over {0}: shorten its texts and send it again")]
    TooLarge(&'static str),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Invalid(#[from] InputError),
    #[error("the CRM is unknown here: ask your administrator which CRMs this server connects")]
    UnknownCrm,
    #[error(
        "the sign-in came back to another page: press Connect again, or ask your administrator to compare the manifest with this server"
    )]
    ForeignPage,
    /// Neither the configuration nor the platform says it.
    #[error("the address of this server is not known: set PUBLIC_URL")]
    NoUrl,
    #[error("the user in the body is not the token's user: leave out `user.id`, or send that user's token")]
    OtherUser,
    /// The token names a CRM that does not exist. The response is the same as to a user who is not connected.
    #[error("the CRM is unknown")]
    NotConnected,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Returns the response to a request that is not HTTP, such as one whose query is no part of a URI.
pub async fn reject_unreadable(api: &Api, invocation: &Invocation) -> Response<Bytes> {
    let rejected = ready(Err(Rejection::Unreadable));
    let trace = trace_of(&HeaderMap::new(), invocation);
    respond(api, "unreadable", (RefusalForm::Json, trace), invocation, rejected).await
}

/// Handles a request by the one of these routes that has its path and method.
pub async fn dispatch(
    api: &Api,
    routes: &[&Route],
    request: Request<Bytes>,
    invocation: &Invocation,
) -> Response<Bytes> {
    let path = request.uri().path();
    let form = RefusalForm::of(request.headers(), request.uri());
    let trace = trace_of(request.headers(), invocation);
    let Some(route) = route_of(routes, request.method(), path) else {
        let methods: Vec<_> =
            routes.iter().filter(|route| route.is_at(path)).map(|route| route.method).collect();
        let rejection = match methods.as_slice() {
            [] => Rejection::NotFound,
            methods => Rejection::Method(methods.join(", ")),
        };
        return respond(api, "unrouted", (form, trace), invocation, ready(Err(rejection))).await;
    };
    match route.callers {
        Callers::Known => {
            let work = (route.handler)(api, request, invocation);
            respond(api, route.name, (form, trace), invocation, work).await
        }
        Callers::All => {
            let work = async {
                check_size(&request, Callers::All)?;
                (route.handler)(api, request, invocation).await
            };
            respond(api, route.name, (RefusalForm::Text, trace), invocation, work).await
        }
    }
}

/// Returns the route with this method and path, if there is one.
pub fn route_of<'a>(routes: &[&'a Route], method: &Method, path: &str) -> Option<&'a Route> {
    routes.iter().copied().find(|route| route.is_at(path) && method == route.method)
}

impl Route {
    /// Returns a route whose requests need a token.
    pub(super) const fn with_token(
        method: &'static str,
        path: &'static str,
        name: &'static str,
        handler: Handler,
    ) -> Route {
        Route { method, path, callers: Callers::Known, name, handler }
    }

    /// Returns a route whose requests need no token.
    pub(super) const fn open(
        method: &'static str,
        path: &'static str,
        name: &'static str,
        handler: Handler,
    ) -> Route {
        Route { method, path, callers: Callers::All, name, handler }
    }

    /// Returns `true` if a path is the route's, below a stage or a mount point.
    fn is_at(&self, path: &str) -> bool {
        path.trim_end_matches('/').ends_with(self.path)
    }
}

/// Returns the caller of a request if token and size of the body are valid.
pub(super) fn admit(api: &Api, request: &Request<Bytes>) -> Result<Caller, Rejection> {
    let caller = authenticate(api, request.headers(), request.uri())?;
    check_size(request, Callers::Known)?;
    Ok(caller)
}

fn check_size(request: &Request<Bytes>, callers: Callers) -> Result<(), Rejection> {
    let is_too_large = request.body().len() > callers.max_body();
    if is_too_large { Err(Rejection::TooLarge(callers.max_body_in_words())) } else { Ok(()) }
}

/// Returns the caller that the token of a request identifies. The token is in the header `Authorization`, or else in the
/// query parameter `jwtToken`.
///
/// # Errors
///
/// If the token is missing or not valid.
pub fn authenticate(api: &Api, headers: &HeaderMap, uri: &Uri) -> Result<Caller, TokenError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let query = uri.query().unwrap_or_default();
    let query_token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "jwtToken");
    let token =
        token_of(header, query_token.as_ref().map(|(_, token)| token.as_ref())).ok_or(TokenError::Missing)?;
    api.token_keys().verify(token, api.services.clock.now())
}

/// Returns the CRM of a caller, and the caller as the sender of a request for this extension.
pub(super) fn sender(
    api: &Api,
    caller: &Caller,
    extension: &NamedExtension,
) -> Result<(&'static dyn Crm, Sender), Rejection> {
    let crm = api.services.crm(caller.user.platform.as_str()).ok_or(Rejection::NotConnected)?;
    telemetry::set_field("crm", crm.platform());
    Ok((crm, caller.sender(api.hash_key().identity(extension))))
}

/// Rejects a body that names another user than the token. A body that names no user is accepted.
pub(super) fn check_user(caller: &Caller, named: Option<&UserId>) -> Result<(), Rejection> {
    if named.is_some_and(|user| *user != caller.user.id) { Err(Rejection::OtherUser) } else { Ok(()) }
}

/// Returns the trace of a request, which continues the one that its headers name.
fn trace_of(headers: &HeaderMap, invocation: &Invocation) -> Trace {
    Trace::new(&*invocation.request_id, invocation.xray_trace_id.clone()).following(headers)
}

/// Completes `work` and returns its response, with one log line for the request.
async fn respond(
    api: &Api,
    name: &'static str,
    (form, trace): (RefusalForm, Trace),
    invocation: &Invocation,
    work: impl Future<Output = Result<Answer, Rejection>>,
) -> Response<Bytes> {
    let correlation_id = HeaderValue::from_str(&trace.correlation_id);
    let work = async {
        let started_ms = api.services.clock.now_ms();
        let answer = work.await.unwrap_or_else(|rejection| {
            let answer = Answer::from(rejected(&rejection, invocation));
            match rejection {
                Rejection::Method(methods) => answer.with(ALLOW, methods),
                _ => answer,
            }
        });
        let mut response = answer.into_response(form);
        if let Ok(id) = correlation_id {
            response.headers_mut().insert(CORRELATION_HEADER, id);
        }
        telemetry::set_field("status", i64::from(response.status().as_u16()));
        telemetry::record(Metric::Latency, api.services.clock.now_ms() - started_ms);
        response
    };
    telemetry::instrument(&api.services.clock, name, "answered", trace, work).await
}

/// Logs a rejection and returns its response.
pub(super) fn rejected(rejection: &Rejection, invocation: &Invocation) -> (StatusCode, ResponseBody) {
    let status = match rejection {
        Rejection::Store(error) => return store_failed(error, invocation),
        Rejection::NotConnected => return not_connected(),
        Rejection::NotFound => StatusCode::NOT_FOUND,
        Rejection::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        Rejection::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Rejection::Token(_) => StatusCode::UNAUTHORIZED,
        Rejection::OtherUser => StatusCode::FORBIDDEN,
        Rejection::NoUrl => StatusCode::INTERNAL_SERVER_ERROR,
        Rejection::Unreadable | Rejection::Invalid(_) | Rejection::UnknownCrm | Rejection::ForeignPage => {
            StatusCode::BAD_REQUEST
        }
    };
    telemetry::set_field("outcome", variant(rejection));
    match rejection {
        // The message may quote a value of the body, which must not be in the log.
        Rejection::Invalid(error) => telemetry::failed(Level::INFO, error.without_value()),
        rejection => telemetry::failed(Level::INFO, rejection),
    }
    (status, ResponseBody::warning(sentence(rejection), 5000))
}

/// Logs an error of the table and returns its response.
fn store_failed(error: &store::Error, invocation: &Invocation) -> (StatusCode, ResponseBody) {
    match error {
        store::Error::TooLarge => {
            log_store_error(Level::INFO, error);
            let message =
                "The update is too long to store. Shorten its texts to about 350 kB and send it again.";
            (StatusCode::PAYLOAD_TOO_LARGE, ResponseBody::warning(message, 5000))
        }
        store::Error::Unavailable(_) => {
            log_store_error(Level::WARN, error);
            unavailable()
        }
        _ => {
            log_store_error(Level::ERROR, error);
            let message = format!(
                "Something went wrong on our side. If it happens again, tell your administrator the request id {}.",
                invocation.request_id
            );
            (StatusCode::INTERNAL_SERVER_ERROR, ResponseBody::danger(message, 5000))
        }
    }
}

/// Returns the message for an error: its text as a sentence.
fn sentence(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
