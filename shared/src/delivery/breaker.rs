//! Circuit breaker: pauses delivery while the CRM is down or rate-limiting, and honours `Retry-After`. There is one for
//! each tenant, or for each user if the CRM's rate limits are for a user
//! ([`LimitScope`](crate::adapters::LimitScope)).
//!
//! Only the redrive uses it. Requests of callers always reach the CRM.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::{adapters::ErrorKind, delivery::failure::Failure, store::BreakerState};

/// The number of consecutive failures after which a CRM counts as down.
const FAILURES_WHEN_DOWN: i64 = 5;
/// The first pause, in milliseconds. Each pause is twice as long as the one before.
const FIRST_PAUSE_MS: i64 = 60_000;
/// The longest pause that the CRM did not ask for, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 5 * 60_000;
/// The longest pause that a CRM may ask for, in milliseconds.
const LONGEST_REQUESTED_PAUSE_MS: i64 = 24 * 3_600_000;

/// One circuit breaker during one run of the redrive.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<BreakerState>,
    is_open: AtomicBool,
}

impl Breaker {
    /// Returns a closed breaker that continues from the stored state.
    pub(super) fn new(stored: BreakerState) -> Breaker {
        Breaker { state: Mutex::new(stored), is_open: AtomicBool::new(false) }
    }

    /// Returns `true` if the CRM was down when it was last asked. Then one call goes first, as a probe.
    pub(super) fn needs_probe(&self) -> bool {
        self.state().consecutive_failures >= FAILURES_WHEN_DOWN
    }

    /// Returns `true` if the breaker has opened during this run.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Returns the state to store for the next run.
    pub(super) fn state(&self) -> BreakerState {
        *self.lock()
    }

    /// Records that the CRM did what it was asked for.
    pub(super) fn record_success(&self) {
        *self.lock() = BreakerState::default();
    }

    /// Records a failure. Only a failure that other calls with this breaker would meet too counts. So a rate limit of some
    /// requests alone, such as searches, does not.
    pub(super) fn record_failure(&self, failure: &Failure, now_ms: i64) {
        let is_rate_limit =
            matches!(failure.kind(), Some(ErrorKind::RateLimited { .. })) && failure.bucket().is_none();
        let is_outage = matches!(failure.kind(), Some(ErrorKind::Unavailable | ErrorKind::Malformed));
        if !is_rate_limit && !is_outage {
            return;
        }
        let mut state = self.lock();
        state.consecutive_failures += 1;
        let pause_ms = match failure.retry_after() {
            Some(wait) => (wait.as_millis() as i64).min(LONGEST_REQUESTED_PAUSE_MS),
            None if state.consecutive_failures >= FAILURES_WHEN_DOWN => pause_ms(state.consecutive_failures),
            None if is_rate_limit => FIRST_PAUSE_MS,
            None => return,
        };
        state.open_until_ms = now_ms + pause_ms;
        // The first call after the pause is a probe.
        state.consecutive_failures = state.consecutive_failures.max(FAILURES_WHEN_DOWN);
        self.is_open.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the pause of a CRM that is down: each failed probe doubles it.
fn pause_ms(failures: i64) -> i64 {
    let doublings = u32::try_from(failures - FAILURES_WHEN_DOWN).unwrap_or(0).min(8);
    (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::adapters::{Effect, Error};

    fn limited(retry_after: Option<u64>) -> Failure {
        let retry_after = retry_after.map(Duration::from_secs);
        Error::new(ErrorKind::RateLimited { retry_after }, Effect::None, "429").into()
    }

    fn searches_limited() -> Failure {
        let kind = ErrorKind::RateLimited { retry_after: Some(Duration::from_secs(7)) };
        Error { bucket: Some("search"), ..Error::new(kind, Effect::None, "429") }.into()
    }

    /// Returns the pause after these failures in seconds, or `None` if the breaker stays closed.
    fn pause_after(failures: &[Failure]) -> Option<i64> {
        let breaker = Breaker::new(BreakerState::default());
        failures.iter().for_each(|failure| breaker.record_failure(failure, 0));
        breaker.is_open().then(|| breaker.state().open_until_ms / 1_000)
    }

    #[test]
    fn the_pause_follows_from_the_failures() {
        let outages = |count| (0..count).map(|_| Failure::unavailable("down")).collect::<Vec<_>>();
        for (failures, pause) in [
            (outages(4), None),
            (outages(5), Some(60)),
            (outages(6), Some(120)),
            (outages(7), Some(240)),
            (outages(50), Some(300)),
            (vec![limited(None)], Some(60)),
            (vec![limited(Some(7))], Some(7)),
            (vec![limited(Some(1_000_000))], Some(86_400)),
            (vec![searches_limited(), searches_limited()], None),
            (vec![Failure::SessionEnded, Failure::SessionEnded], None),
        ] {
            assert_eq!(pause_after(&failures), pause, "{failures:?}");
        }
    }

    #[test]
    fn one_success_closes_the_breaker_for_the_next_run() {
        let breaker = Breaker::new(BreakerState::default());
        breaker.record_failure(&limited(None), 0);
        assert!(breaker.needs_probe());
        breaker.record_success();
        assert_eq!(breaker.state(), BreakerState::default());
        assert!(!breaker.needs_probe());
    }
}
