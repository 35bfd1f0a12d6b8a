//! `call-log redrive`: delivers what is due now, or has a dead letter tried again.

use call_log::{
    model::{CallKey, Deadline, SessionId},
    store::Rearmed,
    telemetry::Trace,
};
use serde_json::json;

use super::{Failure, find_user};
use crate::{arguments::Output, environment, output};

/// How long one look may take, in milliseconds.
const LOOK_MS: i64 = 60_000;

pub(super) async fn run(call: Option<(String, String)>, form: Output) -> Result<(), Failure> {
    match call {
        Some((id, session)) => rearm(&id, &session, form).await,
        None => look(form).await,
    }
}

/// One look at everything that is due.
async fn look(form: Output) -> Result<(), Failure> {
    let app = environment::app().await?;
    let report =
        app.redrive(Deadline(app.clock.now_ms() + LOOK_MS), Trace::new("call-log redrive", None)).await?;
    let words = format!(
        "{} due: {} delivered, {} failed, {} waiting, {} unreadable",
        report.due, report.delivered, report.failed, report.waiting, report.unreadable
    );
    let value = json!({
        "due": report.due,
        "delivered": report.delivered,
        "failed": report.failed,
        "waiting": report.waiting,
        "unreadable": report.unreadable,
    });
    Ok(output::say_or_document(form.json, words, &value)?)
}

/// Has the logs of a session that were given up tried again.
async fn rearm(id: &str, session: &str, form: Output) -> Result<(), Failure> {
    let session = SessionId::new(session).ok_or("a session's id is not empty")?;
    let app = environment::app().await?;
    let user = find_user(&app, id).await?.user;
    let calls = app.store.calls_of_session(&user.key(), &session).await?;
    if calls.is_empty() {
        return Err(format!("nothing is known of session {session} of {id}").into());
    }
    let mut rearmed = 0;
    for (extension, item) in calls {
        let key = CallKey { user: user.key(), session: session.clone(), extension };
        if app.store.rearm(&key, &item, app.clock.now_ms()).await? == Rearmed::Done {
            rearmed += 1;
        }
    }
    if rearmed == 0 {
        return Err(
            format!("nothing of session {session} was given up: see `call-log show {id} {session}`").into()
        );
    }
    let words = format!("{rearmed} log(s) of session {session} will be tried again within a minute");
    let value = json!({"sessionId": session.as_str(), "rearmed": rearmed});
    Ok(output::say_or_document(form.json, words, &value)?)
}
