//! What becomes of an attempt that failed: who goes on, when, and until when.

use std::time::Duration;

use crate::{
    adapters::{Crm, Effect, Error, ErrorKind, Recovery},
    delivery::{grant::Failure, lease::GRACE_MS},
    model::{CallKey, hash::stable_hash},
    store::{CallItem, Event, Release, State},
};

/// How long after its first, second, ... failure something is tried again at the latest, in milliseconds. The last
/// counts for all that follow: whoever comes back after a long outage finds everything delivered within it.
const BACK_OFF_MS: [i64; 4] = [5_000, 30_000, 2 * 60_000, 10 * 60_000];
/// How long it is tried while the CRM does not take it, in milliseconds.
const PATIENCE_MS: i64 = 72 * 3_600_000;
/// How long it is tried while the user's session has ended, in milliseconds: it takes a person to connect again.
pub(crate) const PATIENCE_WITH_PEOPLE_MS: i64 = 30 * 86_400_000;

/// How the lease of a failed attempt is given back.
pub(crate) fn release<'a>(
    crm: &dyn Crm,
    call: &CallKey,
    item: &CallItem,
    failure: &Failure,
    reason: &'a str,
    now_ms: i64,
) -> Release<'a> {
    let is_made = item.state == State::Logged;
    if failure.effect() == Effect::Unknown {
        // Whatever was sent may still land.
        let lease_expires_at_ms = now_ms + grace_ms(crm);
        let release = Release {
            lease_expires_at_ms,
            outcome_unknown: !is_made,
            ..Release::new(Event::OutcomeUnknown, reason)
        };
        return if !is_made && crm.recovery() == Recovery::None {
            // Nobody can find out what became of it. Never twice: a person has to look.
            Release { event: Event::GivenUp, ..release }
        } else {
            Release { due_ms: waits(item).then_some(lease_expires_at_ms), ..release }
        };
    }
    let release = Release { outcome_unknown: item.outcome_unknown, ..Release::new(Event::Failed, reason) };
    match failure {
        Failure::Crm(Error { kind: ErrorKind::NotFound, .. }) if is_made => {
            Release { event: Event::Deleted, ..release }
        }
        Failure::Crm(Error { kind: ErrorKind::Rejected { .. }, .. }) if is_made => {
            Release { drops_queued: true, drops_payload: true, ..release }
        }
        Failure::Crm(error) if !is_made && is_final(&error.kind) => {
            Release { event: Event::GivenUp, ..release }
        }
        _ if !waits(item) => release,
        _ if now_ms - item.waiting_since.unwrap_or(now_ms) >= patience_ms(failure) => {
            Release { event: Event::GivenUp, ..release }
        }
        _ => Release { due_ms: Some(next_try_ms(call, item, failure, now_ms)), ..release },
    }
}

/// How long after its sender's deadline, or a lost answer, a request may still land and be seen, in milliseconds.
pub(crate) fn grace_ms(crm: &dyn Crm) -> i64 {
    match crm.recovery() {
        Recovery::LaggingSearch(lag) => GRACE_MS.max(lag.as_millis() as i64),
        _ => GRACE_MS,
    }
}

/// What the caller is to do, when a CRM says so.
pub(crate) fn retry_after(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Crm(Error { kind: ErrorKind::RateLimited { retry_after }, .. }) => *retry_after,
        _ => None,
    }
}

/// Whether there is anything to try again with. A create whose payload is too long to keep is its sender's.
fn waits(item: &CallItem) -> bool {
    item.payload.is_some()
        || (item.state == State::Logged && (item.has_undelivered() || item.sweep_at.is_some()))
}

/// Whether the same data would be refused again.
fn is_final(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Rejected { .. } | ErrorKind::NotFound | ErrorKind::Conflict)
}

fn patience_ms(failure: &Failure) -> i64 {
    match failure {
        Failure::SessionEnded => PATIENCE_WITH_PEOPLE_MS,
        _ => PATIENCE_MS,
    }
}

/// When it is tried again: anywhere within the back-off ("full jitter"), so that what failed together does not come
/// back together; never before the CRM wants it.
fn next_try_ms(call: &CallKey, item: &CallItem, failure: &Failure, now_ms: i64) -> i64 {
    let step = usize::try_from(item.tries).unwrap_or(0).min(BACK_OFF_MS.len() - 1);
    let back_off = 1_000 + scatter(call, item.tries, BACK_OFF_MS[step]);
    let wanted = retry_after(failure).map_or(0, |wait| wait.as_millis() as i64);
    now_ms + back_off.max(wanted)
}

/// A number below `bound` that differs from call to call and from try to try, and can be foretold by a test.
fn scatter(call: &CallKey, tries: i64, bound: i64) -> i64 {
    let (user, session) = (call.user.id.as_str(), call.session.as_str());
    let hash = stable_hash([tries.to_be_bytes().as_slice(), user.as_bytes(), session.as_bytes()]);
    (hash % bound.unsigned_abs().max(1)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Platform, SessionId, UserId, UserKey};

    #[test]
    fn tries_are_scattered_over_the_whole_back_off() {
        let call = |session: usize| CallKey {
            user: UserKey {
                platform: Platform::new("pipedrive").unwrap(),
                id: UserId::new("7-pipedrive").unwrap(),
            },
            session: SessionId::new(session.to_string()).unwrap(),
            extension: None,
        };
        for (tries, bound) in (0..).zip(BACK_OFF_MS) {
            let waits: Vec<_> = (0..1_000).map(|session| scatter(&call(session), tries, bound)).collect();
            assert!(waits.iter().all(|wait| (0..bound).contains(wait)));
            for tenth in 0..10 {
                let part = bound / 10 * tenth..bound / 10 * (tenth + 1);
                let count = waits.iter().filter(|wait| part.contains(wait)).count();
                assert!((50..200).contains(&count), "{count} of 1000 in {part:?}");
            }
        }
    }
}
