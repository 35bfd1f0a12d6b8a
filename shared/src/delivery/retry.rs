//! Retry policy: whether and when the redrive repeats an attempt that failed, and for how long.

use crate::{
    adapters::{Effect, ErrorKind},
    delivery::{attempt::Claim, failure::Failure, lease},
    model::{LogKey, UserId, hash::stable_hash},
    store::{self, Event, Release, State},
};

/// The longest random delay before the next attempt, after the first, second, ... failure, in milliseconds. The last one
/// applies to all further failures, so after a long outage everything is delivered within it.
const BACK_OFF_MS: [i64; 4] = [5_000, 30_000, 2 * 60_000, 10 * 60_000];
/// The delay before the next attempt to which the random delay is added, in milliseconds.
const SHORTEST_DELAY_MS: i64 = 1_000;
/// The delay before the next attempt after the record kept changing while it was written, in milliseconds. It is short,
/// because the CRM is well.
const CONFLICT_DELAY_MS: i64 = 5_000;
/// The delay before the next attempt after a daily quota was used up, if the CRM does not say when it is reset, in
/// milliseconds.
const QUOTA_DELAY_MS: i64 = 3_600_000;
/// The longest delay before the next attempt that a CRM may ask for because of a daily quota, in milliseconds.
const LONGEST_QUOTA_DELAY_MS: i64 = 86_400_000;
/// The time for which work is retried while the CRM does not accept it, in milliseconds.
const RETRY_WINDOW_MS: i64 = 72 * 3_600_000;
/// The longest time for which work waits, in milliseconds. It is longer than [`RETRY_WINDOW_MS`] because a person may have
/// to connect again, or because a daily quota does not suffice.
pub(crate) const LONGEST_WAIT_MS: i64 = 30 * 86_400_000;

/// An attempt that failed and whose lease was given back.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// The event that the failure was for the item.
    pub(crate) event: Event,
    /// The redrive will try again.
    pub(crate) is_deferred: bool,
}

impl Claim<'_> {
    /// Gives the lease back after a failure, as the retry policy says.
    pub(crate) async fn fail(&self, step: &'static str, failure: Failure) -> Result<Failed, store::Error> {
        let reason = failure.to_string();
        let release = self.release_after(&failure, &reason);
        let (event, is_deferred) = (release.event, release.due_ms.is_some());
        self.release(step, release).await?;
        Ok(Failed { failure, event, is_deferred })
    }

    /// Gives the lease back until this time, in milliseconds since 1970, because the record of an earlier attempt may be in the
    /// CRM. Returns `true` if the redrive will look for it again.
    pub(crate) async fn postpone(&self, step: &'static str, until_ms: i64) -> Result<bool, store::Error> {
        let is_deferred = self.is_retryable();
        let release = Release {
            lease_expires_at_ms: until_ms,
            due_ms: is_deferred.then_some(until_ms),
            failing_since_ms: self.item.failing_since,
            outcome_unknown: true,
            ..Release::new(Event::OutcomeUnknown, "a record in the CRM may be that of an earlier attempt")
        };
        self.release(step, release).await?;
        Ok(is_deferred)
    }

    fn release_after<'r>(&'r self, failure: &Failure, reason: &'r str) -> Release<'r> {
        let now_ms = self.services.clock.now_ms();
        let is_logged = self.item.state == State::Logged;
        let failing_since_ms = match failure.is_uncounted() {
            true => None,
            false => Some(self.item.failing_since.unwrap_or(now_ms)),
        };
        if failure.effect() == Effect::Unknown {
            // The request may still reach the CRM.
            let lease_expires_at_ms = now_ms + lease::grace_ms(self.crm);
            let release = Release {
                lease_expires_at_ms,
                outcome_unknown: !is_logged,
                failing_since_ms,
                ..Release::new(Event::OutcomeUnknown, reason)
            };
            return Release { due_ms: self.is_retryable().then_some(lease_expires_at_ms), ..release };
        }
        // The CRM has the record and does not show it. The next attempt looks for it again.
        let is_hidden = !is_logged && matches!(failure.kind(), Some(ErrorKind::AlreadyExists(_)));
        let event = if is_hidden { Event::OutcomeUnknown } else { Event::Failed };
        let release = Release {
            outcome_unknown: self.item.outcome_unknown || is_hidden,
            failing_since_ms,
            ..Release::new(event, reason)
        };
        let has_lasted = |since_ms: Option<i64>, window_ms| now_ms - since_ms.unwrap_or(now_ms) >= window_ms;
        match failure.kind() {
            Some(ErrorKind::NotFound) if is_logged => Release { event: Event::Deleted, ..release },
            Some(ErrorKind::Rejected { .. }) if is_logged => {
                Release { drops_queued: true, drops_payload: true, ..release }
            }
            Some(kind) if !is_logged && is_permanent(kind) => Release { event: Event::GivenUp, ..release },
            _ if !self.is_retryable() => release,
            // The next attempt merges with what has changed, so this is never permanent.
            Some(ErrorKind::Conflict) => Release { due_ms: Some(now_ms + CONFLICT_DELAY_MS), ..release },
            _ if has_lasted(failing_since_ms, RETRY_WINDOW_MS)
                || has_lasted(self.item.waiting_since, LONGEST_WAIT_MS) =>
            {
                Release { event: Event::GivenUp, ..release }
            }
            _ => Release {
                due_ms: Some(self.next_attempt_ms(failure, now_ms)),
                next_user: self.next_user(failure),
                ..release
            },
        }
    }

    /// Returns the next user whose updates are queued, if the CRM does not let this one write: the next attempt uses that
    /// user's credential.
    fn next_user(&self, failure: &Failure) -> Option<&UserId> {
        let queue = &self.item.queue;
        if self.item.state != State::Logged || !failure.is_of_user() {
            return None;
        }
        let mut users = queue.iter().map(|update| &update.user).collect::<Vec<_>>();
        users.dedup();
        let own = users.iter().rposition(|user| *user == self.lease.user).map_or(0, |own| own + 1);
        users.rotate_left(own);
        users.into_iter().find(|user| *user != self.lease.user)
    }

    /// Returns `true` if the item has everything that the redrive needs. It lacks the payload of a create that was too
    /// long to store: then the caller has to send the call again.
    fn is_retryable(&self) -> bool {
        let item = &self.item;
        item.payload.is_some()
            || (item.state == State::Logged
                && (item.has_undelivered() || item.finish_pending || item.sweep_at.is_some()))
    }

    /// Returns the time of the next attempt: after a random delay ("full jitter"), so that work that failed together is
    /// not repeated together, but never earlier than the CRM asks. After a daily quota was used up: when it is reset, else
    /// in an hour and a random delay.
    fn next_attempt_ms(&self, failure: &Failure, now_ms: i64) -> i64 {
        let tries = self.item.tries;
        if let Some(ErrorKind::QuotaExceeded { resets_in }) = failure.kind() {
            let longest_delay_ms = BACK_OFF_MS[BACK_OFF_MS.len() - 1];
            return now_ms
                + match resets_in {
                    Some(wait) => (wait.as_millis() as i64).min(LONGEST_QUOTA_DELAY_MS),
                    None => QUOTA_DELAY_MS + scatter(self.lease.key, tries, longest_delay_ms),
                };
        }
        let step = usize::try_from(tries).unwrap_or(0).min(BACK_OFF_MS.len() - 1);
        let delay_ms = SHORTEST_DELAY_MS + scatter(self.lease.key, tries, BACK_OFF_MS[step]);
        let requested_ms = failure.retry_after().map_or(0, |wait| wait.as_millis() as i64);
        now_ms + delay_ms.max(requested_ms)
    }
}

/// Returns `true` if the CRM would reject the same create again.
fn is_permanent(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Rejected { .. })
}

/// Returns a number below `bound` that depends on the call and on the try. It is not random, so tests can predict it.
fn scatter(log: &LogKey, tries: i64, bound: i64) -> i64 {
    let (account, session) = (log.call.tenant.account.as_bytes(), log.call.session.as_str().as_bytes());
    let hash = stable_hash([tries.to_be_bytes().as_slice(), account, session]);
    (hash % bound.unsigned_abs().max(1)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CallKey, Platform, SessionId, TenantKey};

    #[test]
    fn delays_are_spread_over_the_whole_back_off() {
        let tenant = TenantKey { platform: Platform::new("example").unwrap(), account: "acme".to_owned() };
        let call = |session: usize| {
            let session = SessionId::new(session.to_string()).unwrap();
            CallKey { tenant: tenant.clone(), session, header_user: None }.log(0)
        };
        for (tries, bound) in (0..).zip(BACK_OFF_MS) {
            let delays: Vec<_> = (0..1_000).map(|session| scatter(&call(session), tries, bound)).collect();
            assert!(delays.iter().all(|delay| (0..bound).contains(delay)));
            for tenth in 0..10 {
                let part = bound / 10 * tenth..bound / 10 * (tenth + 1);
                let count = delays.iter().filter(|delay| part.contains(delay)).count();
                assert!((50..200).contains(&count), "{count} of 1000 in {part:?}");
            }
        }
    }
}
