//! Runs a route or the redrive as an AWS Lambda function. The only library that knows Lambda.
//!
//! A function's binary names the one route that it serves, so that it links no other handlers.

use std::{
    future::{Future, ready},
    pin::Pin,
};

use bytes::Bytes;
use call_log::{
    api::{Invocation, Route},
    model::Deadline,
    startup::{self, app::App, panics},
    telemetry::Trace,
};
pub use lambda_http::Error;
use lambda_http::{Body, IntoResponse, Request, RequestExt, Response};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Serves a route: one HTTP request per invocation.
///
/// # Errors
///
/// If the process cannot start, or the Runtime API is not reachable.
pub async fn serve(route: &'static Route) -> Result<(), Error> {
    startup::log_to_cloud();
    let app = App::start().await?;
    lambda_http::run(service_fn(|request: Request| handle(&app, route, request))).await
}

async fn handle(app: &App, route: &Route, request: Request) -> Result<TextResponse, Error> {
    let context = request.lambda_context();
    let invocation = Invocation {
        deadline: deadline(&context),
        request_id: context.request_id,
        xray_trace_id: context.xray_trace_id,
    };
    let request = request.map(|body| Bytes::from(body.to_vec()));
    let response = panics::caught(app.handle(route, request, &invocation)).await?;
    Ok(TextResponse(response.map(|body| Body::Text(String::from_utf8_lossy(&body).into_owned()))))
}

/// A response that `lambda_http` passes on as it is. It decodes any other body by its `charset`, which links the tables of
/// all encodings of the Web.
struct TextResponse(Response<Body>);

impl IntoResponse for TextResponse {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

/// Serves the redrive: each invocation delivers the work that is due and returns the counts. Events are ignored.
///
/// # Errors
///
/// If the process cannot start, or the Runtime API is not reachable.
pub async fn serve_redrive() -> Result<(), Error> {
    startup::log_to_cloud();
    let app = App::start().await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<IgnoredAny>| redrive(&app, event.context))).await
}

async fn redrive(app: &App, context: Context) -> Result<Value, Error> {
    let deadline = deadline(&context);
    let trace = Trace::new(context.request_id, context.xray_trace_id);
    let report = panics::caught(app.redrive(deadline, trace)).await??;
    Ok(report.fields().into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect())
}

fn deadline(context: &Context) -> Deadline {
    Deadline(i64::try_from(context.deadline).unwrap_or(i64::MAX))
}
