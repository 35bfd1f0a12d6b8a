//! `call-log show`: the state of one call.

use call_log::{
    model::{CallLogId, Extension, SessionId, User},
    store::{CallItem, State},
    telemetry::session_hash,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Failure, find_user, say};
use crate::{arguments::Output, environment, output};

pub(super) async fn run(id: &str, session: &str, form: Output) -> Result<(), Failure> {
    let session = SessionId::new(session).ok_or("a session's id is not empty")?;
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    let calls = app.store.calls_of_session(&found.user.key(), &session).await?;
    if calls.is_empty() {
        return Err(format!("nothing is known of session {session} of {id}").into());
    }
    if form.json {
        let logs = calls.iter().map(|(extension, item)| {
            document(&found.user, &session, extension.as_ref(), item, app.clock.now_ms())
        });
        return Ok(output::document(&logs.collect())?);
    }
    for (extension, item) in calls {
        say(describe(&found.user, &session, extension.as_ref(), &item, app.clock.now_ms()))?;
    }
    Ok(())
}

/// Everything that is known of one call log, for a person.
fn describe(
    user: &User,
    session: &SessionId,
    extension: Option<&Extension>,
    item: &CallItem,
    now_ms: i64,
) -> String {
    let whose = extension.map_or(String::new(), |extension| format!(", extension {extension}"));
    let mut lines = vec![format!("Session {session}{whose}")];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<9}{text}"));
    line("State", format!("{}: {}", item.state.name(), meaning(item, now_ms)));
    if let Some(log) = &item.log_id {
        line("Log", log.to_string());
    }
    if let Some(first) = item.first_at {
        line("First", time(first.timestamp_millis()));
    }
    line("Claims", item.fence.to_string());
    if item.lease_expires_at > now_ms {
        line("Busy", format!("until {}", time(item.lease_expires_at)));
    }
    if item.queued_version > item.applied_version {
        line("Waiting", format!("{} update(s) to be written", item.queued_version - item.applied_version));
    }
    if let Some(since) = item.waiting_since {
        line("Since", format!("{}; tried {} time(s) in vain", time(since), item.tries));
    }
    match item.due_at {
        Some(due) if item.sweep_at == Some(due) => {
            line("Next", format!("{}: whether a second log has landed late", time(due)));
        }
        Some(due) => line("Next", format!("{}: it is tried again", time(due))),
        None if is_dead(item) => {
            line("Next", format!("nothing: `call-log redrive {} {session}` has it tried again", user.id));
        }
        None => {}
    }
    if let Some(reason) = &item.reason {
        line("Reason", reason.clone());
    }
    for moment in &item.history {
        line("", format!("{}  {}", time(moment.at_ms), moment.what));
    }
    line("Log lines", format!(" with session_hash {}", session_hash(&user.key(), session)));
    lines.join("\n")
}

/// The same, for a script.
fn document(
    user: &User,
    session: &SessionId,
    extension: Option<&Extension>,
    item: &CallItem,
    now_ms: i64,
) -> Value {
    let moments = item.history.iter();
    json!({
        "sessionId": session.as_str(),
        "extension": extension.map(Extension::as_str),
        "state": item.state.name(),
        "meaning": meaning(item, now_ms),
        "logId": item.log_id.as_ref().map(CallLogId::as_str),
        "firstAt": item.first_at.map(|first| time(first.timestamp_millis())),
        "claims": item.fence,
        "busyUntil": (item.lease_expires_at > now_ms).then(|| time(item.lease_expires_at)),
        "updatesWaiting": item.queued_version - item.applied_version,
        "waitingSince": item.waiting_since.map(time),
        "tries": item.tries,
        "nextAt": item.due_at.map(time),
        "isGivenUp": is_dead(item),
        "reason": item.reason,
        "history": moments.map(|moment| json!({"at": time(moment.at_ms), "what": moment.what})).collect::<Vec<_>>(),
        "sessionHash": session_hash(&user.key(), session),
    })
}

fn time(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whether something waits that nobody tries any more.
pub(super) fn is_dead(item: &CallItem) -> bool {
    match item.state {
        State::DeadLetter => item.payload.is_some(),
        State::Logged => item.due_at.is_none() && item.has_undelivered(),
        _ => false,
    }
}

/// A state in words.
fn meaning(item: &CallItem, now_ms: i64) -> &'static str {
    match item.state {
        State::Queued => "updates wait for the call to be logged",
        State::Creating if item.lease_expires_at > now_ms => "it is being logged",
        State::Creating => "whoever logged it died over it; the next attempt looks for the log first",
        State::OutcomeUnknown => "an attempt had no answer; the next attempt looks for the log first",
        State::Retry => "an attempt failed without effect; the next one may succeed",
        State::Logged if item.lease_holder.is_some() && item.lease_expires_at > now_ms => {
            "it is in the CRM and being updated"
        }
        State::Logged if is_dead(item) => "it is in the CRM, but updates could not be written for too long",
        State::Logged => "it is in the CRM",
        State::DeadLetter => "the CRM refused it, or did not take it for too long; it can be logged again",
        State::Deleted => "it was in the CRM and has been deleted there",
    }
}
