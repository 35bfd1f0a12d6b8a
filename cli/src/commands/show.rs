//! `call-log show`: shows the state and history of one call.

use call_log::{
    model::{CallLogId, ExtensionIdentity, LogKey, SessionId, User, UserId},
    startup::app::App,
    store::CallItem,
    telemetry::session_hash,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{calls_of_session, find_user, session_id};
use crate::{
    arguments::Output,
    environment,
    error::CommandError,
    output::{self, print},
    state_words::meaning,
};

pub(super) async fn run(id: &str, session: &str, output: Output) -> Result<(), CommandError> {
    let session = session_id(session)?;
    let app = environment::app().await?;
    let user = find_user(&app, id).await?.user;
    let logs = logs_of_session(&app, &user, &session).await?;
    if logs.is_empty() {
        return Err(CommandError::UnknownCall { user: id.to_owned(), session: session.to_string() });
    }
    let now_ms = app.clock.now_ms();
    if output.json {
        let logs = logs.iter().map(|log| document(log, now_ms));
        return Ok(output::print_document(&logs.collect())?);
    }
    for log in &logs {
        print(describe(&user, log, now_ms))?;
    }
    Ok(())
}

/// A call log, with what the item of the call's first log knows of it.
struct Log {
    key: LogKey,
    identity: ExtensionIdentity,
    creator: Option<UserId>,
    owner: Option<UserId>,
    item: CallItem,
}

/// Reads the logs of a session that the user can reach, with their identities.
async fn logs_of_session(app: &App, user: &User, session: &SessionId) -> Result<Vec<Log>, CommandError> {
    let mut logs = Vec::new();
    for (key, item) in calls_of_session(app, user, session).await? {
        let of_first = app.store.call(&key.first()).await?;
        let known = of_first.map(|first| first.known_logs()).unwrap_or_default();
        let known = known.into_iter().find(|log| log.slot == key.slot);
        let (identity, creator) =
            known.map_or((item.identity.clone(), item.creator.clone()), |log| (log.identity, log.creator));
        let owner = item.owner.clone();
        logs.push(Log { key, identity, creator, owner, item });
    }
    Ok(logs)
}

/// Describes a call log for a person.
fn describe(user: &User, Log { key, identity, creator, owner, item }: &Log, now_ms: i64) -> String {
    let session = &key.call.session;
    let extension = match (&identity.number, &identity.hash) {
        (Some(number), _) => format!(", extension {number}"),
        (None, Some(hash)) => format!(", extension {hash}"),
        (None, None) => String::new(),
    };
    let mut lines = vec![format!("Session {session}{extension}")];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<9}{text}"));
    line("State", format!("{}: {}", item.state.name(), meaning(item, now_ms)));
    if let Some(log) = &item.log_id {
        line("Record", log.to_string());
    }
    if let Some(creator) = creator {
        line("Creator", creator.to_string());
    }
    if let Some(owner) = owner {
        line("Owner", owner.to_string());
    }
    if !item.left_out.is_empty() {
        let parts: Vec<_> = item.left_out.iter().map(|part| part.name()).collect();
        line("Lacks", format!("{}, because the CRM did not accept it", parts.join(", ")));
    }
    if let Some(user) = &item.written.note_user {
        line("Note of", user.to_string());
    }
    if let Some(first) = item.first_at {
        line("First", format!("attempt at {}", time(first.timestamp_millis())));
    }
    line("Claims", item.fence.to_string());
    if item.lease_expires_at > now_ms {
        line("Lease", format!("until {}", time(item.lease_expires_at)));
    }
    if item.queued_version > item.applied_version {
        line("Queued", format!("{} update(s)", item.queued_version - item.applied_version));
    }
    if let Some(since) = item.waiting_since {
        line("Waiting", format!("since {}; {} failed attempt(s)", time(since), item.tries));
    }
    match item.due_at {
        Some(due) if item.sweep_at == Some(due) => {
            line("Next", format!("duplicate sweep at {}", time(due)));
        }
        Some(due) => line("Next", format!("attempt at {}", time(due))),
        None if item.is_given_up() => {
            line("Next", format!("none; `call-log redrive {} {session}` starts delivery again", user.id));
        }
        None => {}
    }
    if let Some(reason) = &item.reason {
        line("Reason", reason.clone());
    }
    for entry in &item.history {
        line("", format!("{}  {}", time(entry.at_ms), entry.what));
    }
    line("Hash", format!("{} (session_hash of the log lines)", session_hash(&user.platform, session)));
    lines.join("\n")
}

/// Describes a call log for a script.
fn document(Log { key, identity, creator, owner, item }: &Log, now_ms: i64) -> Value {
    let (session, history) = (&key.call.session, item.history.iter());
    json!({
        "sessionId": session.as_str(),
        "extension": {"hash": identity.hash, "number": identity.number},
        "creator": creator.as_ref().map(UserId::as_str),
        "owner": owner.as_ref().map(UserId::as_str),
        "noteUser": item.written.note_user.as_ref().map(UserId::as_str),
        "leftOut": item.left_out.iter().map(|part| part.name()).collect::<Vec<_>>(),
        "state": item.state.name(),
        "meaning": meaning(item, now_ms),
        "logId": item.log_id.as_ref().map(CallLogId::as_str),
        "firstAttemptAt": item.first_at.map(|first| time(first.timestamp_millis())),
        "claims": item.fence,
        "leaseExpiresAt": (item.lease_expires_at > now_ms).then(|| time(item.lease_expires_at)),
        "queuedUpdates": item.queued_version - item.applied_version,
        "waitingSince": item.waiting_since.map(time),
        "failedAttempts": item.tries,
        "nextAttemptAt": item.due_at.map(time),
        "isDeadLetter": item.is_given_up(),
        "reason": item.reason,
        "history": history.map(|entry| json!({"at": time(entry.at_ms), "what": entry.what})).collect::<Vec<_>>(),
        "sessionHash": session_hash(&key.call.tenant.platform, session),
    })
}

pub(super) fn time(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
