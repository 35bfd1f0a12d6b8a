//! Daily quotas: when the next attempt is, how long work waits, and what the redrive leaves to others.

use call_log::{
    adapters::{Effect, Error, ErrorKind, RateLimits, budget::Allowance, meaning::retry_after},
    delivery::redrive::Report,
    store::State,
};

use super::{altered_crm::AlteredCrm, redrive::item, *};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The time after which the daily quota of the tests is reset.
const RESETS_IN: Duration = Duration::from_secs(6 * 3_600);

/// Starts an app whose CRM says with 429 that the quota of the day is used up.
async fn start() -> TestApp {
    let mut test = TestApp::start().await;
    let classify = |response: &call_log::adapters::CrmResponse| {
        let kind = ErrorKind::QuotaExceeded { resets_in: retry_after(&response.headers) };
        (response.status == 429).then(|| Error::new(kind, Effect::None, "status 429"))
    };
    AlteredCrm { classify, ..AlteredCrm::default() }.install(&mut test.app);
    test
}

fn used_up(resets_in: Option<Duration>) -> Option<Fault> {
    Some(Fault::RateLimited { retry_after: resets_in.map(|wait| wait.as_secs()) })
}

/// Runs the redrive every six hours for this time.
async fn redrive_for(test: &TestApp, time_ms: i64) {
    for _ in 0..time_ms / (6 * HOUR) {
        test.pass(6 * HOUR);
        test.redrive().await;
    }
}

#[tokio::test]
async fn the_next_attempt_is_when_the_quota_is_reset_or_else_after_an_hour() {
    for (resets_in, next, words) in [
        (Some(RESETS_IN), 6 * HOUR..=6 * HOUR, "The next try is in 6 hours."),
        (Some(Duration::from_secs(90)), 90_000..=90_000, "The next try is in 2 minutes."),
        (None, HOUR..=HOUR + 600_000, "The next try is in about an hour."),
    ] {
        let test = start().await;
        test.crm.outage(used_up(resets_in));
        let response = test.post(&call(SESSION)).await;
        assert_eq!(response.message(), RATE_LIMITED);
        assert!(response.body.to_string().contains(words), "{words}: {}", response.body);
        let due_in = item(&test).await.due_at.unwrap() - test.now_ms();
        assert!(next.contains(&due_in), "{due_in} for {resets_in:?}");
        test.pass(*next.start() - 1_000);
        assert_eq!(test.redrive().await, Report::default(), "{resets_in:?}: nothing is due yet");
        test.crm.outage(None);
        test.pass(next.end() - next.start() + 1_000);
        assert_eq!(test.redrive().await.delivered, 1, "{resets_in:?}");
    }
}

#[tokio::test]
async fn a_redrive_sends_one_request_until_the_quota_is_reset() {
    let test = start().await;
    test.crm.outage(Some(Fault::Status(503)));
    for session in ["1", "2", "3"] {
        test.post(&call(session)).await;
    }
    test.crm.outage(used_up(Some(RESETS_IN)));
    test.pass(60_000);
    let before = test.crm.requests().len();
    // The calls that are delivered at the same time as the first one are refused too.
    test.redrive().await;
    let refused = test.crm.requests().len() - before;
    assert!((1..=3).contains(&refused), "{refused}");
    for _ in 0..5 {
        test.pass(HOUR);
        test.redrive().await;
    }
    assert_eq!(test.crm.requests().len(), before + refused, "no request before the reset");
    test.crm.outage(None);
    test.pass(HOUR);
    assert_eq!(test.redrive().await.delivered, 3);
}

#[tokio::test]
async fn the_time_under_a_quota_does_not_count_towards_three_days() {
    let test = start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call(SESSION)).await;
    redrive_for(&test, 2 * DAY).await;
    test.crm.outage(used_up(Some(RESETS_IN)));
    redrive_for(&test, 10 * DAY).await;
    assert_eq!(item(&test).await.state, State::Retry, "under the quota");
    test.crm.outage(Some(Fault::Status(503)));
    redrive_for(&test, 3 * DAY).await;
    assert_eq!(item(&test).await.state, State::Retry, "three days after the quota");
    redrive_for(&test, DAY).await;
    assert_eq!(item(&test).await.state, State::DeadLetter, "four days after the quota");
}

#[tokio::test]
async fn a_call_waits_for_a_quota_for_a_month_at_most() {
    let test = start().await;
    test.crm.outage(used_up(None));
    test.post(&call(SESSION)).await;
    redrive_for(&test, 29 * DAY).await;
    assert_eq!(item(&test).await.state, State::Retry, "within the month");
    redrive_for(&test, 2 * DAY).await;
    assert_eq!(item(&test).await.state, State::DeadLetter, "after it");
}

#[tokio::test]
async fn a_redrive_leaves_a_fifth_of_a_daily_budget_to_others() {
    for (left, delivered) in [(21, 6), (20, 4)] {
        let mut test = TestApp::start().await;
        let rate_limits = |headers: &call_log::adapters::HeaderMap| RateLimits {
            burst: None,
            daily: RateLimits::from_common_headers(headers)
                .burst
                .map(|budget| Allowance { resets_in: Some(RESETS_IN), ..budget }),
        };
        AlteredCrm { rate_limits, ..AlteredCrm::default() }.install(&mut test.app);
        for session in 1..=6 {
            test.crm.next(Route::CreateActivity, Fault::Status(401));
            test.post(&call(&session.to_string())).await;
        }
        test.crm.leave(left);
        test.pass(10_000);
        // Four calls are delivered at the same time, before the CRM reports its budget.
        let report = test.redrive().await;
        assert_eq!((report.delivered, report.failed), (delivered, 0), "{left} left");
        let requests = test.crm.requests().len();
        test.pass(RESETS_IN.as_millis() as i64 - 1_000);
        assert_eq!(test.redrive().await.waiting, 6 - delivered, "{left} left");
        assert_eq!(test.crm.requests().len(), requests, "{left} left: what waits is not touched");
        test.crm.leave(100);
        test.pass(1_000);
        assert_eq!(test.redrive().await.delivered, 6 - delivered, "{left} left");
    }
}
