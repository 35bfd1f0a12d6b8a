//! The lease on a call: its holder's name, its end, and how another invocation waits for it.

use std::time::Duration;

use crate::{
    adapters::Crm,
    delivery::services::Services,
    model::{Deadline, LogKey, UserId},
    store::{self, CallItem, Lease},
    telemetry::{self, Metric},
};

/// The time in which a request may still reach the CRM after its sender stopped waiting, in milliseconds.
/// `docs/exactly-once.md` says what rests on it.
const GRACE_MS: i64 = 30_000;

/// The number of times that a request claims a call, if other invocations change the item meanwhile. Each time, another
/// invocation has taken and given back the lease, or has added a log.
pub(crate) const MAX_CLAIMS: usize = 8;
/// The longest time of an invocation, in milliseconds.
const LONGEST_INVOCATION_MS: i64 = 30_000;
/// The time after which the table's indexes show a write, in milliseconds. It is also the difference between the clocks of a
/// CRM and of our hosts that is allowed for in the age of a record.
const INDEX_LAG_MS: i64 = 60_000;

/// The pauses between reads of the item while another invocation holds the lease: about three seconds in all.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(600),
    Duration::from_millis(800),
    Duration::from_millis(850),
];

/// Returns the time after which a request whose sender stopped waiting has no effect any more that the CRM's searches do
/// not show, in milliseconds. It is a sum, because a request may arrive at the end of the grace period, and a search shows
/// its record one lag later.
pub(crate) fn grace_ms(crm: &dyn Crm) -> i64 {
    GRACE_MS + crm.capabilities().search_lag().as_millis() as i64
}

/// Returns the age at which the table's index certainly names the log that a record belongs to, in milliseconds. The lease
/// under which the record was created is over then, so its holder does not store the record's id any more.
pub(crate) fn settled_age_ms(crm: &dyn Crm) -> i64 {
    longest_ms(crm) + INDEX_LAG_MS
}

/// Returns the longest time of a lease, in milliseconds.
pub(crate) fn longest_ms(crm: &dyn Crm) -> i64 {
    LONGEST_INVOCATION_MS + grace_ms(crm)
}

/// Returns a lease until every request of an invocation with this deadline has reached the CRM or never will, and until
/// the CRM's searches show its effect.
pub(crate) fn new<'a>(
    crm: &dyn Crm,
    key: &'a LogKey,
    user: &'a UserId,
    holder: &'a str,
    now_ms: i64,
    deadline: Deadline,
) -> Lease<'a> {
    Lease { key, user, holder, now_ms, until_ms: deadline.0 + grace_ms(crm) }
}

/// Reads the item again until `is_settled` holds, the lease expires, or about three seconds are over. Returns the item as
/// it was last read.
pub(crate) async fn wait_until(
    services: &Services,
    key: &LogKey,
    mut item: CallItem,
    deadline: Deadline,
    is_settled: impl Fn(&CallItem) -> bool,
) -> Result<CallItem, store::Error> {
    for pause in PAUSES {
        let is_expired = item.lease_expires_at <= services.clock.now_ms();
        if is_settled(&item) || is_expired || deadline.remaining(&services.clock) < pause * 2 {
            break;
        }
        services.sync_points.reach("wait.pause", tokio::time::sleep(pause)).await;
        match services.sync_points.reach("wait.look", services.store.call(key)).await? {
            Some(now) => item = now,
            None => break,
        }
    }
    Ok(item)
}

/// Counts and logs that this invocation lost its lease. The next lease holder finds what this one did.
pub(crate) fn lost(what: &str) {
    telemetry::count(Metric::LeaseLost);
    tracing::warn!("{what}");
}
