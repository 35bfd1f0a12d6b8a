//! `call-log redrive`: delivers what is due now, or schedules dead letters for delivery.

use call_log::{model::Deadline, store::Rearmed, telemetry::Trace};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{calls_of_session, find_user, session_id};
use crate::{arguments::Output, environment, error::CommandError, output};

/// The time limit of a run, in milliseconds.
const RUN_MS: i64 = 60_000;
/// The number of calls that are scheduled at the same time.
const AT_ONCE: usize = 16;

pub(super) async fn run(call: Option<(String, String)>, output: Output) -> Result<(), CommandError> {
    match call {
        Some((id, session)) => rearm(&id, &session, output).await,
        None => deliver(output).await,
    }
}

/// Delivers everything that is due.
async fn deliver(output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let deadline = Deadline(app.clock.now_ms() + RUN_MS);
    let report = app.redrive(deadline, Trace::new("call-log redrive", None)).await?;
    let text = format!(
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
    Ok(output::print_either(output.json, text, &value)?)
}

/// Schedules all calls that were given up at this time or later.
pub(super) async fn rearm_since(since: DateTime<Utc>, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let now_ms = app.clock.now_ms();
    let mut given_up = app.store.survey(now_ms).await?.given_up;
    given_up.retain(|(_, item)| item.last_event_ms().is_none_or(|at| at >= since.timestamp_millis()));
    let found = given_up.len();
    let rearmed = stream::iter(&given_up).map(|(key, item)| app.store.rearm(key, item, now_ms));
    let outcomes: Vec<_> = rearmed.buffer_unordered(AT_ONCE).try_collect().await?;
    let rearmed = outcomes.into_iter().filter(|outcome| *outcome == Rearmed::Done).count();
    let text = format!("{rearmed} of {found} calls that were given up will be delivered within minutes");
    Ok(output::print_either(output.json, text, &json!({"found": found, "rearmed": rearmed}))?)
}

/// Schedules the dead letters of a session for delivery.
async fn rearm(id: &str, session: &str, output: Output) -> Result<(), CommandError> {
    let session = session_id(session)?;
    let app = environment::app().await?;
    let user = find_user(&app, id).await?.user;
    let calls = calls_of_session(&app, &user, &session).await?;
    if calls.is_empty() {
        return Err(CommandError::UnknownCall { user: id.to_owned(), session: session.to_string() });
    }
    let mut rearmed = 0;
    for (key, item) in calls {
        if app.store.rearm(&key, &item, app.clock.now_ms()).await? == Rearmed::Done {
            rearmed += 1;
        }
    }
    if rearmed == 0 {
        return Err(CommandError::NoDeadLetter { user: id.to_owned(), session: session.to_string() });
    }
    let text = format!("{rearmed} dead letter(s) of session {session} will be delivered within a minute");
    let value = json!({"sessionId": session.as_str(), "rearmed": rearmed});
    Ok(output::print_either(output.json, text, &value)?)
}
