//! What is told of one piece of work: its numbers, which become metrics, and its circumstances. Both become one log
//! line when it ends (see [`crate::telemetry::logging`]).
//!
//! Whatever runs inside [`instrument`] may count, record and note, however deep, without being handed anything; outside of
//! it nothing happens. It goes along with the work as a task-local, not as a tracing span: there are no detached tasks
//! here that it could miss, the CRM's requests need its ids too, and a registry of spans costs every request more.

pub mod logging;
mod metric;
mod trace;

use std::{
    cell::RefCell,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use http::HeaderMap;
use serde::Serialize;
use tracing::Level;

pub(crate) use self::metric::Measured;
pub use self::{
    metric::Metric,
    trace::{CORRELATION_HEADER, Trace, session_hash},
};
use crate::model::{CallKey, Clock, SessionId, UserKey};

/// Where CloudWatch keeps the metrics.
pub const NAMESPACE: &str = "CallLog";
/// The target of the event that a piece of work ends with.
pub(crate) const ENDED: &str = "ended";

const SESSION_HASH: &str = "session_hash";

/// Whether this process has begun a piece of work before.
static IS_WARM: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static WORK: RefCell<Work>;
}

/// What is known of the piece of work that is being done.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) trace: Trace,
    /// In the order in which they were noted first.
    pub(crate) fields: Vec<(&'static str, Value)>,
    pub(crate) measured: Measured,
    level: Level,
}

/// What a field of a line may hold.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Value {
    Name(&'static str),
    Text(String),
    Number(i64),
    Flag(bool),
}

/// Counts one.
pub fn count(metric: Metric) {
    record(metric, 1);
}

/// Records a value, in the metric's unit.
pub fn record(metric: Metric, value: i64) {
    with_current_mut(|work| work.measured.add(metric, value));
}

/// The state that the call was in and the one it is in now. Of several changes the line shows the first `from` and the
/// last `to`.
pub fn state(from: &'static str, to: &'static str) {
    with_current_mut(|work| {
        if !work.fields.iter().any(|(name, _)| *name == "state_from") {
            work.set("state_from", from.into());
        }
        work.set("state_to", to.into());
    });
}

/// Which attempt at the call this is, by its fence counter.
pub fn attempt(fence: i64) {
    set_field("attempt", fence);
}

/// The call that the work is about.
pub fn call(key: &CallKey) {
    session(&key.user, &key.session);
}

/// The session that the work is about. The line has a hash of it, by which the lines of one call are found by whoever
/// knows the call, and nobody reads from a line whose it was. It needs no key: it keeps no secret, because whoever can
/// guess user and session knows them.
pub fn session(user: &UserKey, session: &SessionId) {
    with_current_mut(|work| work.set(SESSION_HASH, trace::session_hash(user, session).into()));
}

/// A field of the line; noted again it is replaced.
pub fn set_field(name: &'static str, value: impl Into<Value>) {
    with_current_mut(|work| work.set(name, value.into()));
}

/// Adds to a field of the line that is a number.
pub(crate) fn add(name: &'static str, value: i64) {
    with_current_mut(|work| {
        let before = work.fields.iter().find_map(|(known, before)| match before {
            Value::Number(before) if *known == name => Some(*before),
            _ => None,
        });
        work.set(name, before.unwrap_or(0).saturating_add(value).into());
    });
}

/// Why the work did not succeed; the line gets at least this level.
pub fn failed(level: Level, reason: impl fmt::Display) {
    let reason = reason.to_string();
    with_current_mut(|work| {
        work.set("reason", reason.into());
        // `ERROR` is the least of the levels.
        work.level = work.level.min(level);
    });
}

/// The headers by which a request to somebody else says that it is part of the work.
pub(crate) fn headers() -> HeaderMap {
    with_current(|work| work.trace.headers()).unwrap_or_default()
}

/// Does a piece of work, and writes its line when it has ended: `message` says that it has, `route` which kind it is.
/// Large work is better lent (`pin!`) than given. Work inside of work has a line and metrics of its own.
pub async fn instrument<F: Future>(
    clock: &Clock,
    route: &'static str,
    message: &'static str,
    trace: Trace,
    work: F,
) -> F::Output {
    let is_cold = !IS_WARM.swap(true, Ordering::Relaxed);
    let mut line =
        Work { trace, fields: Vec::with_capacity(16), measured: Measured::default(), level: Level::INFO };
    line.set("route", route.into());
    line.set("cold_start", is_cold.into());
    if is_cold {
        line.measured.add(Metric::ColdStart, 1);
    }
    WORK.scope(RefCell::new(line), async {
        let mut ending = Ending { clock, started_ms: clock.now_ms(), message, is_complete: false };
        let output = work.await;
        ending.is_complete = true;
        output
    })
    .await
}

/// Writes the line when the work has ended, or has ended early: it panicked, or nobody waits for it any more.
struct Ending<'a> {
    clock: &'a Clock,
    started_ms: i64,
    message: &'static str,
    is_complete: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            set_field("outcome", "Unfinished");
            failed(Level::ERROR, "it panicked, or was dropped");
        }
        set_field("duration_ms", self.clock.now_ms() - self.started_ms);
        let message = self.message;
        match with_current(|work| work.level) {
            Some(Level::ERROR) => tracing::error!(target: ENDED, "{message}"),
            Some(Level::WARN) => tracing::warn!(target: ENDED, "{message}"),
            _ => tracing::info!(target: ENDED, "{message}"),
        }
    }
}

impl Work {
    /// What a line shows of it: its last one all, the others only which call it is about.
    pub(crate) fn shown(&self, is_end: bool) -> impl Iterator<Item = &(&'static str, Value)> {
        self.fields.iter().filter(move |(name, _)| is_end || *name == SESSION_HASH)
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }
}

fn with_current_mut(with: impl FnOnce(&mut Work)) {
    // No work is being done: nobody would read it.
    let _ = WORK.try_with(|work| with(&mut work.borrow_mut()));
}

/// The work that is being done, unless it is just being changed.
pub(crate) fn with_current<T>(with: impl FnOnce(&Work) -> T) -> Option<T> {
    WORK.try_with(|work| work.try_borrow().ok().map(|work| with(&work))).ok().flatten()
}

impl From<&'static str> for Value {
    fn from(name: &'static str) -> Value {
        Value::Name(name)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Flag(flag)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Name(name) => write!(out, "{name:?}"),
            Value::Text(text) => write!(out, "{text:?}"),
            Value::Number(number) => write!(out, "{number}"),
            Value::Flag(flag) => write!(out, "{flag}"),
        }
    }
}
