//! The clock, passed in so that tests can set the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};

/// A source of the current time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Milliseconds since 1970-01-01T00:00:00Z, set by a test through a clone of the `Arc`.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the time in milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system's clock")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Clock::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
            }
            Clock::Manual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// Returns the time, to the millisecond.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default()
    }
}

/// The time by which an invocation must have responded, in milliseconds since 1970-01-01T00:00:00Z. No request that
/// changes the CRM starts unless it can end before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub i64);

impl Deadline {
    /// Returns the time left; zero if the deadline has passed.
    pub fn remaining(self, clock: &Clock) -> Duration {
        Duration::from_millis((self.0 - clock.now_ms()).max(0) as u64)
    }
}
