//! The recordings of simulated calls. They come some seconds after their calls, as a telephone system's do.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::to_bytes;
use call_log::model::User;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::functions::Functions;

/// The interval in which due recordings are looked for.
const TICK: Duration = Duration::from_millis(200);
/// The longest time until a recording comes, in milliseconds.
const LONGEST_DELAY_MS: i64 = 60_000;
/// The time for which a recording waits for a person who edits the note, in milliseconds.
const HOLD_MS: i64 = 3_000;
/// The number of recordings that can be to come at the same time, and of results that are kept.
const MAX_RECORDINGS: usize = 1_000;
const MAX_RESULTS: usize = 50;
/// The largest response that is read, in bytes.
const MAX_RESPONSE: usize = 1 << 20;

/// A recording that is to come.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewRecording {
    /// The body of the update that brings it.
    event: Value,
    /// The id of the call's record, if the call is logged.
    log_id: Option<String>,
    /// The time until it comes, in milliseconds.
    delay_ms: i64,
}

/// A recording, as the page shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recording {
    session_id: String,
    log_id: Option<String>,
    /// When it comes, in milliseconds since 1970.
    due: i64,
    progress: Progress,
    #[serde(skip)]
    event: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Progress {
    Coming,
    Sending,
    /// The update was refused. A person can send it again.
    Failed,
}

/// The response to an update with a recording.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    /// Numbers grow, so that the page shows each result once.
    number: u64,
    session_id: String,
    response: Value,
}

#[derive(Debug, Default)]
pub(super) struct Recordings {
    /// By the id of the session.
    coming: Mutex<BTreeMap<String, Recording>>,
    results: Mutex<VecDeque<Sent>>,
}

impl Recordings {
    /// Adds a recording. One of the same call replaces the earlier one.
    ///
    /// # Errors
    /// A sentence, if the event names no session, or if too many recordings are to come.
    pub(super) fn add(&self, new: NewRecording, now_ms: i64) -> Result<(), &'static str> {
        let Some(session_id) = new.event["sessionId"].as_str().map(str::to_owned) else {
            return Err("The event of a recording needs the text `sessionId`.");
        };
        let mut coming = lock(&self.coming);
        if coming.len() >= MAX_RECORDINGS {
            return Err("Too many recordings are to come. Wait until some have come.");
        }
        let due = now_ms + new.delay_ms.clamp(0, LONGEST_DELAY_MS);
        let NewRecording { event, log_id, .. } = new;
        let progress = Progress::Coming;
        coming.insert(session_id.clone(), Recording { session_id, log_id, due, progress, event });
        Ok(())
    }

    /// Lets a recording that is not due yet wait for a person who edits the note.
    pub(super) fn hold(&self, session: &str, now_ms: i64) {
        let mut coming = lock(&self.coming);
        let is_to_come =
            |recording: &&mut Recording| recording.progress == Progress::Coming && recording.due > now_ms;
        if let Some(recording) = coming.get_mut(session).filter(is_to_come) {
            recording.due = recording.due.max(now_ms + HOLD_MS);
        }
    }

    /// Lets a recording come now. Returns `false` if there is none.
    pub(super) fn send_now(&self, session: &str, now_ms: i64) -> bool {
        let mut coming = lock(&self.coming);
        let waiting = coming.get_mut(session).filter(|recording| recording.progress != Progress::Sending);
        waiting.map(|recording| (recording.due, recording.progress) = (now_ms, Progress::Coming)).is_some()
    }

    /// Returns the recordings that are to come, or failed.
    pub(super) fn coming(&self) -> Vec<Recording> {
        lock(&self.coming).values().cloned().collect()
    }

    /// Returns the last results.
    pub(super) fn results(&self) -> Vec<Sent> {
        lock(&self.results).iter().cloned().collect()
    }

    /// Sends each recording when it is due. It never ends.
    pub(super) async fn play(&self, functions: &Functions, user: &User) {
        let mut ticks = tokio::time::interval(TICK);
        let mut sending = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let due = self.start_due(functions.app.clock.now_ms());
                    sending.extend(due.into_iter().map(|(session, event)| self.send(functions, user, session, event)));
                }
                Some(()) = sending.next() => {}
            }
        }
    }

    /// Returns the recordings that are due, by the ids of their sessions. From now on they are being sent.
    fn start_due(&self, now_ms: i64) -> Vec<(String, Value)> {
        let mut coming = lock(&self.coming);
        let due = coming.values_mut().filter(|each| each.progress == Progress::Coming && each.due <= now_ms);
        due.map(|recording| {
            recording.progress = Progress::Sending;
            (recording.session_id.clone(), recording.event.clone())
        })
        .collect()
    }

    async fn send(&self, functions: &Functions, user: &User, session: String, event: Value) {
        let response = functions.send(user, "PATCH", "/callLog", event.to_string().into()).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_RESPONSE).await.unwrap_or_default();
        let response: Value = serde_json::from_slice(&body).unwrap_or_default();
        // An update that has to wait is stored, and is no failure.
        let is_taken = status.is_success() && response["returnMessage"]["messageType"] != "danger";
        let mut coming = lock(&self.coming);
        match coming.get_mut(&session) {
            Some(recording) if !is_taken => recording.progress = Progress::Failed,
            _ => drop(coming.remove(&session)),
        }
        drop(coming);
        let mut results = lock(&self.results);
        let number = results.back().map_or(1, |last| last.number + 1);
        results.push_back(Sent { number, session_id: session, response });
        if results.len() > MAX_RESULTS {
            results.pop_front();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
