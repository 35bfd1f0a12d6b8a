//! The functions on this machine: each request is an invocation, and the redrive runs at a fixed interval. The Example CRM
//! can kill them.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode},
    response::IntoResponse,
};
use call_log::{
    api::{self, Invocation},
    model::{Deadline, User},
    startup::app::App,
    telemetry::Trace,
};
use serde_json::json;

use crate::{environment, example_crm::ExampleCrm};

/// The time limit of one request, in milliseconds; the same as in template.yaml.
pub(crate) const REQUEST_MS: i64 = 25_000;
/// The interval between two runs of the redrive.
const REDRIVE_INTERVAL: Duration = Duration::from_secs(10);

/// The functions. Clones share the app.
#[derive(Clone, Debug)]
pub(crate) struct Functions {
    pub(crate) app: Arc<App>,
    pub(crate) crm: ExampleCrm,
}

impl Functions {
    /// Handles a request as the function of its route does.
    pub(crate) async fn handle(&self, request: Request<Bytes>) -> Response<Body> {
        let invocation = Invocation {
            deadline: Deadline(self.app.clock.now_ms() + REQUEST_MS),
            request_id: environment::random_secret()[..32].to_owned(),
            xray_trace_id: None,
            url: None,
        };
        let routes = api::all_routes();
        let work = self.app.handle(&routes, request, &invocation);
        match self.crm.unless_killed(work).await {
            Some(response) => response.map(Body::from),
            // What API Gateway responds when a function ends without a response.
            None => {
                let body = json!({
                    "message": "Internal Server Error",
                    "error": "The function was killed after the CRM had carried out its request. What it left open is \
                              finished later.",
                });
                (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
            }
        }
    }

    /// Sends a body to a route of the functions as a user's extension does.
    pub(crate) async fn send(&self, user: &User, method: &str, path: &str, body: Bytes) -> Response<Body> {
        let token = self.app.issue_token(user, 1);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body);
        self.handle(request.expect("the request is valid")).await
    }

    /// Runs the redrive at a fixed interval, as the schedule does for its function. It never ends.
    pub(crate) async fn run_redrive(self) {
        let mut ticks = tokio::time::interval(REDRIVE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let deadline = Deadline(self.app.clock.now_ms() + 2 * REQUEST_MS);
            let work = self.app.redrive(deadline, Trace::new("redrive", None));
            if let Some(Err(error)) = self.crm.unless_killed(work).await {
                tracing::warn!(%error, "the redrive failed");
            }
        }
    }
}
