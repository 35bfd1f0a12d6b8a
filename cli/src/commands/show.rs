//! `call-log show`: the state of one call.

use chrono::{DateTime, Utc};
use shared::{
    model::{Extension, SessionId},
    store::{CallItem, State},
};

use super::{Failure, find_user, say};
use crate::environment;

pub(super) async fn run(id: &str, session: &str) -> Result<(), Failure> {
    let session = SessionId::new(session).ok_or("a session's id is not empty")?;
    let app = environment::app().await?;
    let found = find_user(&app, id).await?;
    let calls = app.store.calls_of_session(&found.user.platform, &found.user.id, &session).await?;
    if calls.is_empty() {
        return Err(format!("nothing is known of session {session} of {id}").into());
    }
    for (extension, item) in calls {
        say(describe(&session, extension.as_ref(), &item, app.clock.now_ms()))?;
    }
    Ok(())
}

fn describe(session: &SessionId, extension: Option<&Extension>, item: &CallItem, now_ms: i64) -> String {
    let whose = extension.map_or(String::new(), |extension| format!(", extension {extension}"));
    let mut lines = vec![
        format!("Session {session}{whose}"),
        format!("  State    {}: {}", item.state.name(), meaning(item, now_ms)),
    ];
    if let Some(log) = &item.log {
        lines.push(format!("  Log      {log}"));
    }
    if let Some(first) = item.first_at {
        lines.push(format!("  First    {}", first.to_rfc3339()));
    }
    lines.push(format!("  Claims   {}", item.fence));
    if item.busy_until > now_ms {
        let until = DateTime::<Utc>::from_timestamp_millis(item.busy_until).unwrap_or_default();
        lines.push(format!("  Busy     until {}", until.to_rfc3339()));
    }
    if item.wanted_version > item.done {
        lines.push(format!("  Waiting  {} update(s) to be written", item.wanted_version - item.done));
    }
    if let Some(reason) = &item.reason {
        lines.push(format!("  Reason   {reason}"));
    }
    lines.join("\n")
}

/// A state in words.
fn meaning(item: &CallItem, now_ms: i64) -> &'static str {
    match item.state {
        State::Parked => "updates wait for the call to be logged",
        State::Posting if item.busy_until > now_ms => "it is being logged",
        State::Posting => "whoever logged it died over it; the next attempt looks for the log first",
        State::Unknown => "an attempt had no answer; the next attempt looks for the log first",
        State::Retry => "an attempt failed without effect; the next one may succeed",
        State::Logged if item.owner.is_some() && item.busy_until > now_ms => {
            "it is in the CRM and being updated"
        }
        State::Logged => "it is in the CRM",
        State::Dead => "the CRM refused the data; it can be logged again with other data",
        State::Gone => "it was in the CRM and has been deleted there",
    }
}
