//! Circuit breaker: pauses delivery while the CRM is down or rate-limiting, and honours `Retry-After`. There is one for
//! each tenant, or for each user if the CRM's rate limits are for a user
//! ([`LimitScope`](crate::adapters::LimitScope)).
//!
//! The redrive has one breaker for a run. A request reads the state together with its user. While the breaker is open, a request
//! sends the CRM nothing: its work is kept, and the redrive delivers it. So the tenant of a CRM that hangs does not fill the
//! environments of the functions. At the end of a pause, one request goes ahead as a probe.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    adapters::{Crm, ErrorKind},
    delivery::{failure::Failure, services::Services},
    model::{BreakerKey, User},
    store::{self, BreakerState},
};

/// The number of consecutive failures after which a CRM counts as down.
const FAILURES_WHEN_DOWN: i64 = 5;
/// The first pause, in milliseconds. Each pause is twice as long as the one before.
const FIRST_PAUSE_MS: i64 = 60_000;
/// The pause after a daily quota is used up, if the CRM does not say when it is reset, in milliseconds.
const QUOTA_PAUSE_MS: i64 = 3_600_000;
/// The longest pause of a CRM that is down, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 5 * 60_000;
/// The longest pause that a CRM may ask for, in milliseconds.
const LONGEST_REQUESTED_PAUSE_MS: i64 = 24 * 3_600_000;

/// The time for which a request that probes the CRM keeps others away, in milliseconds: as long as a request can take.
const PROBE_MS: i64 = 15_000;

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

    /// Records a failure. Only a failure that other calls with this breaker would meet too counts.
    pub(super) fn record_failure(&self, failure: &Failure, now_ms: i64) {
        if !is_shared(failure) {
            return;
        }
        let least_pause_ms = least_pause_ms(failure);
        let mut state = self.lock();
        state.consecutive_failures += 1;
        let requested_ms =
            failure.retry_after().map(|wait| (wait.as_millis() as i64).min(LONGEST_REQUESTED_PAUSE_MS));
        let Some(pause_ms) = requested_ms.or(least_pause_ms.max(pause_ms(state.consecutive_failures))) else {
            return;
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

/// Returns `true` if other calls with the same breaker would meet the failure too. A rate limit of some requests alone, such as
/// searches, is no such failure.
fn is_shared(failure: &Failure) -> bool {
    match failure.kind() {
        Some(ErrorKind::RateLimited { .. } | ErrorKind::QuotaExceeded { .. }) => failure.bucket().is_none(),
        Some(ErrorKind::Unavailable | ErrorKind::Malformed) => true,
        _ => false,
    }
}

/// Returns the pause after a failure that needs no further failures to open the breaker, in milliseconds.
fn least_pause_ms(failure: &Failure) -> Option<i64> {
    match failure.kind()? {
        ErrorKind::RateLimited { .. } => Some(FIRST_PAUSE_MS),
        ErrorKind::QuotaExceeded { .. } => Some(QUOTA_PAUSE_MS),
        _ => None,
    }
}

/// Returns `true` if a failure shows that the CRM works: it has decided about the data.
fn is_decision(failure: &Failure) -> bool {
    use ErrorKind::{AlreadyExists, Conflict, KeyRefused, NotFound, Rejected};
    let is_decided = |kind: &ErrorKind| {
        matches!(kind, AlreadyExists(_) | Conflict | KeyRefused | NotFound | Rejected { .. })
    };
    failure.kind().is_some_and(is_decided)
}

/// The breaker of one request.
#[derive(Debug)]
pub(crate) struct RequestBreaker<'a> {
    services: &'a Services,
    key: BreakerKey,
    /// The state that was read with the user.
    seen: BreakerState,
}

impl<'a> RequestBreaker<'a> {
    /// Returns the breaker for requests with this user's credential. `seen`: the state of the breaker with the key `key`.
    pub(crate) fn new(
        services: &'a Services,
        crm: &dyn Crm,
        user: &User,
        key: &BreakerKey,
        seen: BreakerState,
    ) -> RequestBreaker<'a> {
        let own = services.breaker_key(crm, user);
        // The credential of a colleague can have a breaker of its own, which was not read.
        let seen = if own == *key { seen } else { BreakerState::default() };
        RequestBreaker { services, key: own, seen }
    }

    /// Returns an error if the CRM gets no requests now. At the end of a pause, the first request may be sent, and keeps the others
    /// away. If the table fails, the request is sent.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let now_ms = self.services.clock.now_ms();
        let pause =
            |until_ms: i64| Err(Failure::Paused(Duration::from_millis((until_ms - now_ms).max(0) as u64)));
        if self.seen.open_until_ms > now_ms {
            return pause(self.seen.open_until_ms);
        }
        if self.seen.consecutive_failures < FAILURES_WHEN_DOWN {
            return Ok(());
        }
        let until_ms = now_ms + PROBE_MS;
        let open = self.services.store.open_breaker(&self.key, self.seen, until_ms);
        match self.services.sync_points.reach("breaker.probe", open).await {
            Ok(false) => pause(until_ms),
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// Stores if the CRM works, as a request has found it. `failure`: why the request failed; `None`: it succeeded. If nothing has
    /// changed, nothing is stored. An error of the table is only logged, because the work itself is done.
    pub(crate) async fn record(&self, failure: Option<&Failure>) {
        let stored = match failure {
            Some(failure) if is_shared(failure) => self.count(failure).await,
            Some(failure) if !is_decision(failure) => Ok(()),
            _ => self.close().await,
        };
        if let Err(error) = stored {
            tracing::warn!(%error, "the state of the CRM could not be stored");
        }
    }

    async fn close(&self) -> Result<(), store::Error> {
        if self.seen == BreakerState::default() {
            return Ok(());
        }
        let (closed, now_ms) = (BreakerState::default(), self.services.clock.now_ms());
        let close = self.services.store.set_breaker(&self.key, closed, now_ms);
        self.services.sync_points.reach("breaker.close", close).await
    }

    async fn count(&self, failure: &Failure) -> Result<(), store::Error> {
        let (store, now_ms) = (&self.services.store, self.services.clock.now_ms());
        let counted =
            self.services.sync_points.reach("breaker.count", store.count_failure(&self.key, now_ms)).await?;
        let failures_before = counted.consecutive_failures - 1;
        let breaker = Breaker::new(BreakerState { consecutive_failures: failures_before, ..counted });
        breaker.record_failure(failure, now_ms);
        let state = breaker.state();
        if !breaker.is_open() || state.open_until_ms <= counted.open_until_ms {
            return Ok(());
        }
        let open = store.open_breaker(&self.key, counted, state.open_until_ms);
        self.services.sync_points.reach("breaker.open", open).await.map(drop)
    }
}

/// Returns the pause of a CRM after this number of failures in a row, if it counts as down: each failed probe doubles it.
fn pause_ms(failures: i64) -> Option<i64> {
    let doublings = u32::try_from(failures - FAILURES_WHEN_DOWN).ok()?.min(8);
    Some((FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS))
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

    fn quota(resets_in: Option<u64>) -> Failure {
        let resets_in = resets_in.map(Duration::from_secs);
        Error::new(ErrorKind::QuotaExceeded { resets_in }, Effect::None, "429").into()
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
            (vec![quota(None)], Some(3_600)),
            (outages(5).into_iter().chain([quota(None)]).collect(), Some(3_600)),
            (vec![quota(Some(7_200))], Some(7_200)),
            (vec![quota(Some(1_000_000))], Some(86_400)),
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
