//! Runs a route or the redrive as an AWS Lambda function. The only library that knows Lambda.
//!
//! A function's binary names the routes that it serves, so that it links no other handlers.

mod event;

use std::{
    future::{Future, ready},
    pin::Pin,
};

use bytes::Bytes;
use call_log::{
    api::{self, Invocation, Route},
    model::Deadline,
    startup::{
        self,
        app::{App, Background},
        panics,
    },
    telemetry::Trace,
};
pub use lambda_http::Error;
use lambda_http::{
    Adapter, Body, IntoResponse, Request, RequestExt, Response, Service, request::RequestContext,
};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

/// Serves routes: one HTTP request per invocation.
///
/// # Errors
///
/// If the process cannot start, or the Runtime API is not reachable.
pub async fn serve(routes: &'static [&'static Route]) -> Result<(), Error> {
    startup::log_to_cloud();
    let app = App::start().await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| receive(&app, routes, event))).await
}

/// Handles an event. An event that is no HTTP request gets a 400, because anyone can send one, without a token, and failed
/// invocations roll a deployment back.
async fn receive(
    app: &App,
    routes: &[&Route],
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Error> {
    let mut adapter = Adapter::from(service_fn(|request: Request| handle(app, routes, request)));
    let LambdaEvent { payload, context } = event;
    let invocation = invocation(&context, None);
    let response = match event::read(&payload) {
        Some(request) => to_raw_value(&adapter.call(LambdaEvent::new(request, context)).await?),
        None => {
            let (head, body) = api::reject_unreadable(&app.api, &invocation).await.into_parts();
            let headers = head.headers.iter();
            let headers: Map<_, _> = headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
                .collect();
            // The fields that the responses to all kinds of events have.
            to_raw_value(&json!({
                "statusCode": head.status.as_u16(), "headers": headers, "body": String::from_utf8_lossy(&body),
                "isBase64Encoded": false,
            }))
        }
    };
    Ok(response?)
}

fn invocation(context: &Context, url: Option<String>) -> Invocation {
    Invocation {
        url,
        deadline: deadline(context),
        request_id: context.request_id.clone(),
        xray_trace_id: context.xray_trace_id.clone(),
    }
}

/// Returns the address of the API as API Gateway knows it: its domain, and its stage unless that is the default one.
fn url(context: &RequestContext) -> Option<String> {
    match context {
        RequestContext::ApiGatewayV2(context) => {
            let domain = context.domain_name.as_deref()?;
            let stage = context.stage.as_deref().filter(|stage| *stage != "$default");
            Some(format!("https://{domain}{}", stage.map(|stage| format!("/{stage}")).unwrap_or_default()))
        }
        _ => None,
    }
}

async fn handle(app: &App, routes: &[&Route], request: Request) -> Result<TextResponse, Error> {
    let url = request.request_context_ref().and_then(url);
    let invocation = invocation(&request.lambda_context(), url);
    let request = request.map(|body| Bytes::from(body.to_vec()));
    let response = panics::caught(app.handle(routes, request, &invocation)).await?;
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
    let background = Background::start().await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<IgnoredAny>| redrive(&background, event.context)))
        .await
}

async fn redrive(background: &Background, context: Context) -> Result<Value, Error> {
    let deadline = deadline(&context);
    let trace = Trace::new(context.request_id, context.xray_trace_id);
    let report = panics::caught(background.redrive(deadline, trace)).await??;
    Ok(report.fields().into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect())
}

fn deadline(context: &Context) -> Deadline {
    Deadline(i64::try_from(context.deadline).unwrap_or(i64::MAX))
}
