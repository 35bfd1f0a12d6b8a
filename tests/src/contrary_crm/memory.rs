//! A Contrary CRM without a socket, as the simulation sees it.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::{self, Body},
    http::{Request, Response, StatusCode},
    response::IntoResponse,
};
use bytes::Bytes;
use call_log::{
    adapters::ErrorKind,
    model::{Clock, Credentials, Secret},
};
use chrono::{DateTime, Utc};
use tower_service::Service;

use super::{
    records::{Problem, Records},
    server::{lock, router},
};

/// A Contrary CRM in this process. It responds in the call that sends the request, and knows the time only from its clock.
#[derive(Debug)]
pub struct MemoryContraryCrm {
    router: Router,
    records: Arc<Mutex<Records>>,
}

impl MemoryContraryCrm {
    /// Returns a fake with a person, a company and no calls.
    pub fn new(clock: Clock) -> MemoryContraryCrm {
        let records = Arc::new(Mutex::new(Records::new(clock)));
        MemoryContraryCrm { router: router(records.clone()), records }
    }

    /// Carries out a request.
    pub fn carry_out(&self, request: Request<Bytes>) -> Response<Bytes> {
        let mut router = self.router.clone();
        at_once(async move {
            let response = router.call(request.map(Body::from)).await;
            whole(response.unwrap_or_else(|never: Infallible| match never {})).await
        })
    }

    /// The records, which a test may change as a person does.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    /// Opens a session that lasts until then, and returns it with the only refresh token that is valid from now on.
    /// `expires_at`: what is known of the end of the session.
    pub fn connect(&self, end: DateTime<Utc>, expires_at: Option<DateTime<Utc>>) -> Credentials {
        let mut records = self.records();
        let number = records.number();
        let session = format!("contrary-session-{number}");
        records.sessions.insert(session.clone(), end);
        records.refresh = format!("contrary-refresh-{number}");
        Credentials::OAuth {
            access_token: Secret::new(session),
            refresh_token: Some(Secret::new(&*records.refresh)),
            expires_at,
        }
    }
}

/// Returns the response that means this error. Most have status 200.
pub fn refusal(kind: &ErrorKind) -> Response<Bytes> {
    let (status, code) = match kind {
        ErrorKind::RateLimited { .. } => (StatusCode::OK, "TOO_MANY_REQUESTS"),
        ErrorKind::Unavailable => (StatusCode::OK, "UNABLE_TO_LOCK"),
        ErrorKind::Rejected { .. } => (StatusCode::OK, "INVALID_DATA"),
        ErrorKind::KeyRefused => (StatusCode::OK, "KEY_FIELD_OFF"),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, "NO_SESSION"),
        ErrorKind::Forbidden { .. } => (StatusCode::FORBIDDEN, "NOT_PERMITTED"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "STALE"),
        other => panic!("the Contrary CRM never says: {other}"),
    };
    at_once(whole(Problem::new(status, code, "It is refused.").into_response()))
}

async fn whole(response: Response<Body>) -> Response<Bytes> {
    let (head, content) = response.into_parts();
    let content = body::to_bytes(content, usize::MAX).await.expect("a body in memory");
    Response::from_parts(head, content)
}

/// Returns the result of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("the fake waits for nothing"),
    }
}
