//! AWS Lambda function: `PATCH /callLog`.

use bytes::Bytes;
use call_log::{
    api::{self, Invocation},
    model::Deadline,
    startup::{app::App, panics},
    telemetry::logging,
};
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::to_cloud();
    let app = App::start().await?;
    run(service_fn(|request: Request| handle(&app, request))).await
}

async fn handle(app: &App, request: Request) -> Result<Response<Body>, Error> {
    let context = request.lambda_context();
    let invocation = Invocation {
        deadline: Deadline(i64::try_from(context.deadline).unwrap_or(i64::MAX)),
        request_id: context.request_id,
        xray_trace_id: context.xray_trace_id,
    };
    let request = request.map(|body| Bytes::from(body.to_vec()));
    let response = panics::caught(api::update(app, request, &invocation)).await?;
    Ok(response.map(|body| Body::Text(String::from_utf8_lossy(&body).into_owned())))
}
