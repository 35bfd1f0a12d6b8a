//! Trouble: how the Example CRM fails, so that a person can watch what call-log does then. Only requests of call-log meet
//! it. The page goes on to show what is in the CRM.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        Method, StatusCode,
        header::{RETRY_AFTER, USER_AGENT},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{ExampleCrm, api::Failure};

/// The delay of a slow response: longer than a person likes to wait, shorter than the time limit of a request.
const DELAY: Duration = Duration::from_secs(4);
/// The pause that a busy CRM asks for, in seconds.
const PAUSE: &str = "10";

/// The CRM's treatment of requests of call-log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// It responds at once.
    #[default]
    None,
    /// Each response has status 503.
    Down,
    /// Each response takes 4 seconds.
    Slow,
    /// Each response has status 429, and asks for a pause of 10 seconds.
    Busy,
    /// Writes take effect, and their responses are lost.
    Lost,
    /// Writes take effect, and the function that sent them is killed before it has the response.
    Killed,
}

/// Lets a request of call-log meet the trouble.
pub(super) async fn meet(State(crm): State<ExampleCrm>, request: Request, next: Next) -> Response {
    let of_call_log = |agent: &str| agent.starts_with("call-log/");
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let is_write = request.method() != Method::GET;
    match crm.trouble() {
        _ if !agent.is_some_and(of_call_log) => next.run(request).await,
        Trouble::None => next.run(request).await,
        Trouble::Down => {
            Failure(StatusCode::SERVICE_UNAVAILABLE, "the CRM is down".to_owned()).into_response()
        }
        Trouble::Busy => {
            let failure = Failure(StatusCode::TOO_MANY_REQUESTS, "too many requests".to_owned());
            ([(RETRY_AFTER, PAUSE)], failure).into_response()
        }
        Trouble::Slow => {
            tokio::time::sleep(DELAY).await;
            next.run(request).await
        }
        Trouble::Lost if is_write => {
            let response = next.run(request).await;
            (response.status(), broken_body()).into_response()
        }
        Trouble::Killed if is_write => {
            let response = next.run(request).await;
            crm.kill_functions();
            // Another process may have sent the request. It is not killed, and its response is lost.
            (response.status(), broken_body()).into_response()
        }
        Trouble::Lost | Trouble::Killed => next.run(request).await,
    }
}

/// A body that breaks off at its beginning, and the connection with it.
fn broken_body() -> Body {
    let end: Result<Bytes, _> = Err(io::Error::from(io::ErrorKind::ConnectionReset));
    Body::from_stream(stream::iter([end]))
}

impl ExampleCrm {
    /// Returns how requests of call-log are treated now.
    pub fn trouble(&self) -> Trouble {
        *self.trouble.borrow()
    }

    /// Treats requests of call-log in this way from now on.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }

    fn kill_functions(&self) {
        self.kills.notify_waiters();
    }

    /// Carries out the work of a function, unless the function is killed meanwhile: `None`. Its work ends where it is then,
    /// as if its process had ended.
    pub async fn unless_killed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut killed = std::pin::pin!(self.kills.notified());
        killed.as_mut().enable();
        tokio::select! {
            biased;
            () = killed => None,
            result = work => Some(result),
        }
    }
}
