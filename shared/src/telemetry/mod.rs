//! Per-request telemetry: metrics and log fields, emitted as one line when the request ends ([`logging`] writes it).
//!
//! Code that runs inside [`instrument`] can set fields and count metrics without passing anything along. Outside of it,
//! these functions do nothing. The telemetry is a task-local and not a tracing span: the crate has no detached tasks that
//! would lose it, requests to CRMs need its ids, and a registry of spans would cost every request more.

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

pub(crate) use self::metric::MetricValues;
pub use self::{
    metric::Metric,
    trace::{CORRELATION_HEADER, Trace, session_hash},
};
use crate::model::{Clock, LogKey, Platform, SessionId};

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "CallLog";
/// The target of the event at the end of each piece of work.
pub(crate) const ENDED: &str = "ended";

const SESSION_HASH: &str = "session_hash";

/// `true` after this process has begun its first work.
static IS_WARM: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static CURRENT: RefCell<Telemetry>;
}

/// The telemetry of the current work.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) trace: Trace,
    /// In the order in which the fields were set first.
    pub(crate) fields: Vec<(&'static str, Value)>,
    pub(crate) metrics: MetricValues,
    /// The level of the line at the end.
    level: Level,
}

/// The value of a field.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A fixed text, such as the name of a state.
    Name(&'static str),
    /// Any text.
    Text(String),
    /// A number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
}

/// Adds 1 to a metric.
pub fn count(metric: Metric) {
    record(metric, 1);
}

/// Adds a value, in the metric's unit.
pub fn record(metric: Metric, value: i64) {
    with_current_mut(|telemetry| telemetry.metrics.add(metric, value));
}

/// Sets the state of the call before and after a change. Of several changes the line has the first `from` and the last
/// `to`.
pub fn state(from: &'static str, to: &'static str) {
    with_current_mut(|telemetry| {
        if !telemetry.fields.iter().any(|(name, _)| *name == "state_from") {
            telemetry.set("state_from", from.into());
        }
        telemetry.set("state_to", to.into());
    });
}

/// Sets the number of this attempt at the call: its fence counter.
pub fn attempt(fence: i64) {
    set_field("attempt", fence);
}

/// Sets the call that the work is about.
pub fn call(key: &LogKey) {
    session(&key.call.tenant.platform, &key.call.session);
}

/// Sets the session that the work is about. The line has only a hash of it: an operator who knows the call can find its
/// lines, but the lines do not identify the call. The hash has no key, because a session is not secret.
pub fn session(platform: &Platform, session: &SessionId) {
    with_current_mut(|telemetry| {
        telemetry.set(SESSION_HASH, trace::session_hash(platform, session).into());
    });
}

/// Sets a field of the line, or replaces its value.
pub fn set_field(name: &'static str, value: impl Into<Value>) {
    with_current_mut(|telemetry| telemetry.set(name, value.into()));
}

/// Adds to a field of the line that has a number.
pub(crate) fn add(name: &'static str, value: i64) {
    with_current_mut(|telemetry| {
        let before = telemetry.fields.iter().find_map(|(known, before)| match before {
            Value::Number(before) if *known == name => Some(*before),
            _ => None,
        });
        telemetry.set(name, before.unwrap_or(0).saturating_add(value).into());
    });
}

/// Sets the reason why the work did not succeed. The line has at least this level.
pub fn failed(level: Level, reason: impl fmt::Display) {
    let reason = reason.to_string();
    with_current_mut(|telemetry| {
        telemetry.set("reason", reason.into());
        // `ERROR` is the smallest level.
        telemetry.level = telemetry.level.min(level);
    });
}

/// Returns the headers with the ids of the current work, for requests to CRMs.
pub(crate) fn headers() -> HeaderMap {
    with_current(|telemetry| telemetry.trace.headers()).unwrap_or_default()
}

/// Completes `work` and returns its output, and emits its line at the end. `route` is the kind of work, `message` the
/// line's message. Pass large work pinned, so that it is not copied. Work inside of work has its own line and metrics.
pub async fn instrument<F: Future>(
    clock: &Clock,
    route: &'static str,
    message: &'static str,
    trace: Trace,
    work: F,
) -> F::Output {
    let is_cold = !IS_WARM.swap(true, Ordering::Relaxed);
    let mut telemetry = Telemetry {
        trace,
        fields: Vec::with_capacity(16),
        metrics: MetricValues::default(),
        level: Level::INFO,
    };
    telemetry.set("route", route.into());
    telemetry.set("cold_start", is_cold.into());
    if is_cold {
        telemetry.metrics.add(Metric::ColdStart, 1);
    }
    CURRENT
        .scope(RefCell::new(telemetry), async {
            let mut end = EmitOnDrop { clock, started_ms: clock.now_ms(), message, is_complete: false };
            let output = work.await;
            end.is_complete = true;
            output
        })
        .await
}

/// Emits the line when the work has completed, and also if it panicked or was cancelled.
struct EmitOnDrop<'a> {
    clock: &'a Clock,
    started_ms: i64,
    message: &'static str,
    is_complete: bool,
}

impl Drop for EmitOnDrop<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            set_field("outcome", "Unfinished");
            failed(Level::ERROR, "the work panicked or was cancelled");
        }
        set_field("duration_ms", self.clock.now_ms() - self.started_ms);
        let message = self.message;
        match with_current(|telemetry| telemetry.level) {
            Some(Level::ERROR) => tracing::error!(target: ENDED, "{message}"),
            Some(Level::WARN) => tracing::warn!(target: ENDED, "{message}"),
            _ => tracing::info!(target: ENDED, "{message}"),
        }
    }
}

impl Telemetry {
    /// Returns the fields of a line: all for the line at the end, only the call's hash for others.
    pub(crate) fn fields_of_line(&self, is_end: bool) -> impl Iterator<Item = &(&'static str, Value)> {
        self.fields.iter().filter(move |(name, _)| is_end || *name == SESSION_HASH)
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }
}

/// Changes the telemetry of the current work, if there is work.
fn with_current_mut(change: impl FnOnce(&mut Telemetry)) {
    let _ = CURRENT.try_with(|telemetry| change(&mut telemetry.borrow_mut()));
}

/// Reads the telemetry of the current work. Returns `None` if there is no work, or if the telemetry is being changed.
pub(crate) fn with_current<T>(read: impl FnOnce(&Telemetry) -> T) -> Option<T> {
    CURRENT.try_with(|telemetry| telemetry.try_borrow().ok().map(|telemetry| read(&telemetry))).ok().flatten()
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
