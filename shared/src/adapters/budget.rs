//! Rate limits: how many requests a CRM accepts in a short window and in a day, and how many are left.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::DateTime;

use super::exchange::HeaderMap;

/// The number of budgets from which on expired ones are removed.
const MANY_BUDGETS: usize = 1_000;
/// The window of a burst budget if the response does not say when it ends.
const USUAL_WINDOW: Duration = Duration::from_secs(2);
/// The longest window of a burst budget. It bounds the pause of the redrive.
const LONGEST_WINDOW: Duration = Duration::from_secs(60);
/// The time for which a daily budget is known if the response does not say when it ends.
const USUAL_DAY: Duration = Duration::from_secs(3_600);
/// The largest number of seconds in a header that is a time span: a year. A larger one is a Unix time.
const LONGEST_SPAN_S: i64 = 365 * 86_400;
/// The share of a daily budget, in per cent, from which on the redrive leaves the rest to live requests and to the
/// company's other software.
const DAILY_SHARE: i64 = 80;

/// The rate limits that a response reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// The limit in a short window.
    pub burst: Option<Allowance>,
    /// The limit in a day.
    pub daily: Option<Allowance>,
}

/// One rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The number of requests that the CRM accepts in the window, if it says so.
    pub limit: Option<i64>,
    /// The number of requests that are left.
    pub remaining: i64,
    /// The time until the window ends, if the CRM says so.
    pub resets_in: Option<Duration>,
}

impl RateLimits {
    /// Reads the headers that many CRMs share: `X-RateLimit-*` or `RateLimit-*` for the burst budget, and Pipedrive's for
    /// the daily one.
    pub fn from_common_headers(headers: &HeaderMap) -> RateLimits {
        let number = |names: [&str; 2]| -> Option<i64> {
            names.iter().find_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse().ok())
        };
        RateLimits {
            burst: number(["x-ratelimit-remaining", "ratelimit-remaining"]).map(|remaining| Allowance {
                limit: number(["x-ratelimit-limit", "ratelimit-limit"]),
                remaining,
                resets_in: time_until(headers, "x-ratelimit-reset")
                    .or_else(|| time_until(headers, "ratelimit-reset")),
            }),
            daily: number(["x-daily-requests-left", "x-daily-ratelimit-token-remaining"])
                .map(|remaining| Allowance { limit: None, remaining, resets_in: None }),
        }
    }
}

/// Returns the time until the moment that a header names, counted from the response's `Date`. The header is a number of
/// seconds, an HTTP date (RFC 9110, section 5.6.7), or a Unix time in seconds.
pub fn time_until(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text: &str| Some(DateTime::parse_from_rfc2822(text).ok()?.timestamp());
    let sent_at = || date(text("date")?);
    let value = text(name)?;
    let seconds = match value.parse::<i64>() {
        Ok(span) if span <= LONGEST_SPAN_S => span,
        Ok(time) => time - sent_at()?,
        Err(_) => date(value)? - sent_at()?,
    };
    Some(Duration::from_secs(seconds.max(0).unsigned_abs()))
}

/// The latest rate limits that each CRM has reported, by a key that names the platform and whose requests are counted: an
/// account's or a user's.
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
    /// Stores the rate limits that a response reports. A limit without a size says nothing about its share, and is
    /// ignored. `now_ms` is the current time in milliseconds since 1970.
    ///
    /// A request with a `bucket` of its own says nothing about other requests.
    pub fn record(&self, key: &str, bucket: Option<&str>, limits: &RateLimits, now_ms: i64) {
        let mut budgets = self.lock();
        if budgets.len() >= MANY_BUDGETS {
            budgets.retain(|_, budget| now_ms < budget.reset_ms);
        }
        let windows = [
            (bucket.unwrap_or(BURST), limits.burst, USUAL_WINDOW, LONGEST_WINDOW),
            (DAILY, limits.daily, USUAL_DAY, Duration::from_secs(86_400)),
        ];
        for (window, allowance, usual, longest) in windows {
            if let Some(Allowance { limit: Some(limit), remaining, resets_in }) = allowance {
                let resets_in = resets_in.unwrap_or(usual).min(longest);
                let reset_ms = now_ms + resets_in.as_millis() as i64;
                budgets.insert(budget_key(key, window), Budget { limit, remaining, reset_ms });
            }
        }
    }

    /// Returns the time until at least half of the burst budget is free again, or `None` if, as far as we know, it is
    /// free now. The redrive waits that long, so that callers have the other half.
    pub(crate) fn until_half_is_free(&self, key: &str, now_ms: i64) -> Option<Duration> {
        let budget = self.current(key, BURST, now_ms)?;
        let is_low = budget.remaining * 2 <= budget.limit;
        is_low.then(|| Duration::from_millis((budget.reset_ms - now_ms).unsigned_abs()))
    }

    /// Returns `true` if so much of the daily budget is used that the redrive leaves the rest to others.
    pub(crate) fn is_day_nearly_used(&self, key: &str, now_ms: i64) -> bool {
        self.current(key, DAILY, now_ms)
            .is_some_and(|budget| (budget.limit - budget.remaining) * 100 >= budget.limit * DAILY_SHARE)
    }

    fn current(&self, key: &str, window: &str, now_ms: i64) -> Option<Budget> {
        self.lock().get(&budget_key(key, window)).copied().filter(|budget| now_ms < budget.reset_ms)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Budget>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const BURST: &str = "burst";
const DAILY: &str = "daily";

fn budget_key(key: &str, window: &str) -> String {
    format!("{key} {window}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(limit: Option<i64>, remaining: i64, seconds: Option<u64>) -> Option<Allowance> {
        Some(Allowance { limit, remaining, resets_in: seconds.map(Duration::from_secs) })
    }

    #[test]
    fn the_redrive_waits_while_less_than_half_of_the_budget_is_left() {
        for (burst, now_ms, wait_ms) in [
            (limits(Some(80), 41, Some(2)), 0, None),
            (limits(Some(80), 40, Some(2)), 0, Some(2_000)),
            (limits(Some(80), 0, Some(2)), 1_500, Some(500)),
            (limits(Some(80), 0, Some(2)), 2_000, None),
            (limits(Some(80), 0, None), 0, Some(2_000)),
            (limits(Some(80), 0, Some(86_400)), 0, Some(60_000)),
            (limits(None, 0, Some(2)), 0, None),
            (None, 0, None),
        ] {
            let budgets = Budgets::default();
            budgets.record("acme", None, &RateLimits { burst, daily: None }, 0);
            let wait = budgets.until_half_is_free("acme", now_ms);
            assert_eq!(wait.map(|wait| wait.as_millis()), wait_ms, "{burst:?} {now_ms}");
            assert_eq!(budgets.until_half_is_free("other", now_ms), None);
        }
    }

    #[test]
    fn a_header_names_a_moment_as_seconds_or_as_a_time() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (value, date, seconds) in [
            ("120", Some(date), Some(120)),
            (" 0 ", None, Some(0)),
            ("-5", None, Some(0)),
            ("31536000", None, Some(31_536_000)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(date), Some(120)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(date), Some(0)),
            ("784111897", Some(date), Some(120)),
            ("784111000", Some(date), Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
            ("784111897", None, None),
            ("784111897", Some("today"), None),
            ("tomorrow", Some(date), None),
            ("", Some(date), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-reset", value.parse().unwrap());
            headers.insert("x-ratelimit-remaining", "5".parse().unwrap());
            if let Some(date) = date {
                headers.insert("date", date.parse().unwrap());
            }
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(time_until(&headers, "x-ratelimit-reset"), expected, "{value:?} {date:?}");
            let burst = RateLimits::from_common_headers(&headers).burst.unwrap();
            assert_eq!(burst.resets_in, expected, "{value:?} {date:?}");
        }
    }

    #[test]
    fn a_search_has_a_budget_of_its_own() {
        let budgets = Budgets::default();
        let spent = RateLimits { burst: limits(Some(5), 0, Some(1)), daily: None };
        budgets.record("acme", Some("search"), &spent, 0);
        assert_eq!(budgets.until_half_is_free("acme", 0), None);
    }

    #[test]
    fn the_redrive_leaves_a_fifth_of_a_day_to_others() {
        for (daily, now_ms, is_used) in [
            (limits(Some(1_000), 201, Some(3_600)), 0, false),
            (limits(Some(1_000), 200, Some(3_600)), 0, true),
            (limits(Some(1_000), 200, Some(3_600)), 3_600_000, false),
            (limits(None, 0, Some(3_600)), 0, false),
        ] {
            let budgets = Budgets::default();
            budgets.record("acme", None, &RateLimits { burst: None, daily }, 0);
            assert_eq!(budgets.is_day_nearly_used("acme", now_ms), is_used, "{daily:?} {now_ms}");
        }
    }
}
