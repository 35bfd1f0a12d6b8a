//! What the use-cases share of the protocol: who owns a call for a while, how long a request may still land, and how
//! one waits for the other.

use std::time::Duration;

use crate::{
    delivery::services::Services,
    model::{CallKey, Deadline, hash::hex},
    store::{self, CallItem},
    telemetry::{self, Metric},
};

/// How long after its sender's deadline a request may still land in a CRM, in milliseconds.
pub(crate) const GRACE_MS: i64 = 30_000;

/// How far apart one looks whether another invocation is done; about three seconds in all.
const LOOKS: [Duration; 7] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(600),
    Duration::from_millis(800),
    Duration::from_millis(850),
];

/// A name that no other invocation has: 128 random bits.
pub(crate) fn new_owner() -> String {
    let mut bytes = [0; 16];
    // Without randomness two invocations could take each other for themselves.
    getrandom::fill(&mut bytes).expect("the system has randomness");
    hex(&bytes)
}

/// Looks at the item until it is as wanted, for a few seconds at most; the item as last seen.
pub(crate) async fn wait_until(
    services: &Services,
    key: &CallKey,
    mut item: CallItem,
    deadline: Deadline,
    is_settled: impl Fn(&CallItem) -> bool,
) -> Result<CallItem, store::Error> {
    for look in LOOKS {
        let is_abandoned = item.lease_expires_at <= services.clock.now_ms();
        if is_settled(&item) || is_abandoned || deadline.remaining(&services.clock) < look * 2 {
            break;
        }
        services.sync_points.reach("wait.pause", tokio::time::sleep(look)).await;
        match services.sync_points.reach("wait.look", services.store.call(key)).await? {
            Some(now) => item = now,
            None => break,
        }
    }
    Ok(item)
}

/// Somebody else has the call by now. What this invocation did is found by them.
pub(crate) fn lost(what: &str) {
    telemetry::count(Metric::LeaseLost);
    tracing::warn!("{what}");
}
