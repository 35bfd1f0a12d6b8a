//! The burst budget of each CRM account: how many requests it accepts in a short window, and how many are left.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The number of accounts from which on expired budgets are removed.
const MANY_TENANTS: usize = 1_000;
/// The longest window of a burst budget, in seconds. A longer one belongs to a daily budget.
const LONGEST_WINDOW: i64 = 10;

/// The latest burst budget of each CRM account, by base URL.
#[derive(Debug, Default)]
pub struct Budgets(Mutex<BTreeMap<String, Budget>>);

#[derive(Clone, Copy, Debug)]
struct Budget {
    limit: i64,
    remaining: i64,
    /// The end of the window, in milliseconds since 1970.
    reset_ms: i64,
}

impl Budgets {
    /// Stores the budget that a response reports. Does nothing if the response has no limit or no remainder.
    ///
    /// `reset` is the time until the window ends, in seconds; 2 s if the response does not say it. `now_ms` is the
    /// current time in milliseconds since 1970.
    pub fn record(
        &self,
        base_url: &str,
        limit: Option<i64>,
        remaining: Option<i64>,
        reset: Option<i64>,
        now_ms: i64,
    ) {
        let (Some(limit), Some(remaining)) = (limit, remaining) else { return };
        let reset_ms = now_ms + reset.unwrap_or(2).clamp(0, LONGEST_WINDOW) * 1_000;
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= MANY_TENANTS {
            budgets.retain(|_, budget| now_ms < budget.reset_ms);
        }
        budgets.insert(base_url.to_owned(), Budget { limit, remaining, reset_ms });
    }

    /// Returns the time until at least half of the budget is free again, or `None` if, as far as we know, it is free
    /// now. The redrive waits that long, so that callers have the other half.
    pub(crate) fn until_half_is_free(&self, base_url: &str, now_ms: i64) -> Option<Duration> {
        let budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.get(base_url)?;
        let is_low = budget.remaining * 2 <= budget.limit && now_ms < budget.reset_ms;
        is_low.then(|| Duration::from_millis((budget.reset_ms - now_ms).unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redrive_waits_while_less_than_half_of_the_budget_is_left() {
        for (limit, remaining, reset, now_ms, wait_ms) in [
            (Some(80), Some(41), Some(2), 0, None),
            (Some(80), Some(40), Some(2), 0, Some(2_000)),
            (Some(80), Some(0), Some(2), 1_500, Some(500)),
            (Some(80), Some(0), Some(2), 2_000, None),
            (Some(80), Some(0), None, 0, Some(2_000)),
            (Some(80), Some(0), Some(86_400), 0, Some(10_000)),
            (None, Some(0), Some(2), 0, None),
            (Some(80), None, Some(2), 0, None),
        ] {
            let budgets = Budgets::default();
            budgets.record("https://acme", limit, remaining, reset, 0);
            let wait = budgets.until_half_is_free("https://acme", now_ms);
            assert_eq!(
                wait.map(|wait| wait.as_millis()),
                wait_ms,
                "{limit:?} {remaining:?} {reset:?} {now_ms}"
            );
            assert_eq!(budgets.until_half_is_free("https://other", now_ms), None);
        }
    }
}
