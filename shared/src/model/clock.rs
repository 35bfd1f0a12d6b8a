//! The clock, passed in so that tests own the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};

/// Tells the time.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// Milliseconds since 1970, moved by whoever holds the other end.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Clock::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
            }
            Clock::Manual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default()
    }
}

/// When an invocation must have answered, in milliseconds since 1970. Nothing that changes the CRM starts unless it
/// can end before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub i64);

impl Deadline {
    /// The time that is left; zero when it has passed.
    pub fn remaining(self, clock: &Clock) -> Duration {
        Duration::from_millis((self.0 - clock.now_ms()).max(0) as u64)
    }
}
