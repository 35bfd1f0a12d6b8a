//! AWS Lambda function, called once a minute: delivers what could not be delivered when it was asked for.

use call_log::{
    delivery::redrive,
    model::Deadline,
    startup::{app::App, panics},
    telemetry::{Trace, logging},
};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::to_cloud();
    let app = App::start().await?;
    run(service_fn(|event: LambdaEvent<IgnoredAny>| handle(&app, event))).await
}

/// Whatever the event says, it means: look what is due.
async fn handle(app: &App, event: LambdaEvent<IgnoredAny>) -> Result<Value, Error> {
    let context = event.context;
    let deadline = Deadline(i64::try_from(context.deadline).unwrap_or(i64::MAX));
    let trace = Trace::new(context.request_id, context.xray_trace_id);
    let report = panics::caught(redrive::run(app, deadline, trace)).await??;
    Ok(report.fields().into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect())
}
