//! Leaves a company's CRM alone that is down or has had enough, as long as it asks for or a while.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    adapters::ErrorKind,
    delivery::{grant::Failure, retry},
    store::BreakerState,
};

/// After so many failures in a row a CRM counts as down.
const FAILURES: i64 = 5;
/// How long a CRM that is down is left alone, in milliseconds: at first, and at most.
const REST_MS: (i64, i64) = (60_000, 5 * 60_000);
/// The longest time that a CRM may ask to be left alone, in milliseconds.
const LONGEST_REST_MS: i64 = 24 * 3_600_000;

/// Whether a company's CRM takes requests.
#[derive(Debug)]
pub(super) struct Breaker {
    is_open: AtomicBool,
    rest: Mutex<BreakerState>,
}

impl Breaker {
    pub(super) fn new(rest: BreakerState) -> Breaker {
        Breaker { is_open: AtomicBool::new(false), rest: Mutex::new(rest) }
    }

    /// The CRM was down when it was last asked: one call goes ahead.
    pub(super) fn wants_probe(&self) -> bool {
        self.rest().consecutive_failures >= FAILURES
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// What is to be written down of it.
    pub(super) fn rest(&self) -> BreakerState {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what became of a call.
    pub(super) fn saw(&self, outcome: Option<Result<(), &Failure>>, now_ms: i64) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Some(Ok(())) => *rest = BreakerState::default(),
            Some(Err(failure)) if is_down(failure) => {
                rest.consecutive_failures += 1;
                let asked = retry::retry_after(failure).map(|wait| wait.as_millis() as i64);
                let own = (rest.consecutive_failures >= FAILURES).then(|| rest_ms(rest.consecutive_failures));
                let limited = is_limited(failure).then_some(REST_MS.0);
                if let Some(wait) = asked.or(own).or(limited) {
                    rest.open_until_ms = now_ms + wait.min(LONGEST_REST_MS);
                    // Whatever comes next is a probe.
                    rest.consecutive_failures = rest.consecutive_failures.max(FAILURES);
                    self.is_open.store(true, Ordering::Relaxed);
                }
            }
            // The CRM answered, or was not asked.
            Some(Err(_)) | None => {}
        }
    }
}

/// Twice as long each time.
fn rest_ms(failures: i64) -> i64 {
    let doublings = u32::try_from(failures - FAILURES).unwrap_or(0).min(8);
    (REST_MS.0 << doublings).min(REST_MS.1)
}

/// Whether the same must be expected of the company's other calls.
fn is_down(failure: &Failure) -> bool {
    let down = |kind: &ErrorKind| matches!(kind, ErrorKind::Unavailable | ErrorKind::Malformed);
    is_limited(failure) || matches!(failure, Failure::Crm(error) if down(&error.kind))
}

fn is_limited(failure: &Failure) -> bool {
    matches!(failure, Failure::Crm(error) if matches!(error.kind, ErrorKind::RateLimited { .. }))
}
