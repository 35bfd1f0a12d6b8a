//! Metrics of faults: each fault, and the metrics that count it.

mod lines;
mod protocol;

use std::{collections::BTreeMap, time::Duration};

use call_log::{
    model::Clock,
    telemetry::{Metric, Trace, instrument, record},
};
use serde_json::json;
use tests::{
    dynamodb::REQUEST as DYNAMODB,
    log::{Log, check_metrics, endings, values},
    pipedrive::{REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{TestApp, call, grant},
};

use Metric::*;

/// Metrics of a CRM's responses.
const CRM: &[Metric] = &[CrmSuccess, CrmRefused, CrmRateLimited, CrmFailed, CrmUnanswered];
const REFRESH: &[Metric] = &[RefreshCount, RefreshLost];

/// Returns the metrics that `work` wrote on this thread, combined over its lines.
///
/// `QueueAgeMax` is the maximum of its values, `BudgetLeft` the minimum, and every other metric the sum.
async fn counted(case: &str, work: impl AsyncFnOnce()) -> BTreeMap<String, i64> {
    let log = Log::capture();
    work().await;
    let lines = log.take();
    let mut counted = BTreeMap::new();
    for line in endings(&lines) {
        check_metrics(line);
        for (name, values) in values(line) {
            for value in values {
                let known = counted.entry(name.clone());
                let joined = known.and_modify(|known: &mut i64| match name.as_str() {
                    "QueueAgeMax" => *known = value.max(*known),
                    "BudgetLeft" => *known = value.min(*known),
                    _ => *known += value,
                });
                joined.or_insert(value);
            }
        }
    }
    assert!(!counted.is_empty(), "{case}: no metrics were written: {lines:#?}");
    counted
}

fn only(among: &[Metric], mut counted: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    counted.retain(|name, _| among.iter().any(|metric| *name == format!("{metric:?}")));
    counted
}

/// Panics unless `work` writes exactly the expected metrics of those in `among`.
async fn check(case: &str, among: &[Metric], work: impl AsyncFnOnce(), expected: &[(Metric, i64)]) {
    let counted = only(among, counted(case, work).await);
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(metric, value)| (format!("{metric:?}"), *value)).collect();
    assert_eq!(counted, expected, "{case}");
}

#[tokio::test]
async fn every_response_of_a_crm_is_counted() {
    for (fault, metric) in [
        (Fault::Delay(Duration::ZERO), CrmSuccess),
        (Fault::Status(401), CrmRefused),
        (Fault::Refusal(422, r#"{"error": "no"}"#), CrmRefused),
        (Fault::RateLimited { retry_after: None }, CrmRateLimited),
        (Fault::Blocked, CrmRateLimited),
        (Fault::Status(500), CrmFailed),
        (Fault::Html, CrmFailed),
        (Fault::DropBeforeEffect, CrmUnanswered),
        (Fault::Truncated, CrmUnanswered),
    ] {
        let test = TestApp::start().await;
        test.crm.next(Route::CreateActivity, fault.clone());
        let counted = only(CRM, counted("a create", async || drop(test.post(&call("1")).await)).await);
        // Every other request succeeds.
        let mut expected = BTreeMap::from([("CrmSuccess".to_owned(), test.crm.requests().len() as i64 - 1)]);
        *expected.entry(format!("{metric:?}")).or_default() += 1;
        assert_eq!(counted, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn the_remaining_rate_limit_of_a_crm_is_a_metric() {
    let test = TestApp::start().await;
    let work = async || drop(test.post(&call("1")).await);
    check("a create", &[BudgetLeft], work, &[(BudgetLeft, 99)]).await;
}

#[tokio::test]
async fn renewed_and_lost_grants_are_counted() {
    // Each row: the faults of the first and the second request for a new grant, and the expected metrics.
    for (faults, expected) in [
        (vec![], &[(RefreshCount, 1)][..]),
        (vec![Fault::DropBeforeAnswer], &[(RefreshLost, 1)]),
        (vec![Fault::DropBeforeEffect], &[(RefreshCount, 1)]),
        (vec![Fault::Status(500), Fault::Status(500)], &[(RefreshLost, 1)]),
        (vec![Fault::Status(400)], &[]),
        (vec![Fault::Refusal(400, r#"{"error": "invalid_grant"}"#)], &[]),
    ] {
        let test = expiring_grant(0).await;
        let case = format!("{faults:?}");
        for fault in faults {
            test.crm.next(Route::Token, fault);
        }
        check(&case, REFRESH, async || drop(test.post(&call("1")).await), expected).await;
    }
}

/// The CRM has replaced the token, and the table rejects the write of the new one.
#[tokio::test]
async fn a_renewed_grant_that_cannot_be_stored_is_counted_as_lost() {
    let test = expiring_grant(0).await;
    let (app, dynamodb) = test.proxied_app().await;
    test.crm.next(Route::Token, Fault::Delay(Duration::from_millis(300)));
    let work = async || {
        let body = call("1");
        let request = test.send(&app, "POST", &body);
        let outage = async {
            while test.crm.count(Route::Token) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for _ in 0..200 {
                dynamodb.next(DYNAMODB, Fault::Status(400));
            }
        };
        tokio::join!(request, outage);
    };
    check("a table that rejects the grant", REFRESH, work, &[(RefreshCount, 1), (RefreshLost, 1)]).await;
}

#[tokio::test]
async fn a_user_that_cannot_be_read_is_counted() {
    let test = TestApp::start().await;
    let items = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let item = &items["Items"][0];
    let request = json!({
        "TableName": "calls",
        "Key": {"pk": item["pk"], "sk": item["sk"]},
        "UpdateExpression": "SET hostname = :nonsense",
        "ExpressionAttributeValues": {":nonsense": {"L": []}},
    });
    test.dynamodb.ask("UpdateItem", &request).await;
    check("a user", &[Unreadable], async || drop(test.post(&call("1")).await), &[(Unreadable, 1)]).await;
}

/// A line has the sum, the maximum, the minimum or all values of a metric.
#[tokio::test]
async fn a_line_combines_the_values_of_each_metric_as_intended() {
    for metric in Metric::ALL {
        let log = Log::capture();
        let work = async {
            for value in [7, 3, 5] {
                record(metric, value);
            }
        };
        instrument(&Clock::System, "test", "tested", Trace::new("r", None), work).await;
        let lines = log.take();
        let line = endings(&lines)[0];
        check_metrics(line);
        let expected = match metric {
            QueueAgeMax => vec![7],
            BudgetLeft => vec![3],
            CrmLatency | EditWindow | Latency => vec![7, 3, 5],
            _ => vec![15],
        };
        let shown = values(line)[&format!("{metric:?}")].clone();
        // The first work of this process adds a cold start.
        assert!(shown == expected || (metric == ColdStart && shown == [16]), "{metric:?}: {line}");
    }
}

#[tokio::test]
async fn a_line_has_at_most_the_hundred_values_that_cloudwatch_accepts() {
    let log = Log::capture();
    let work = async { (0..1_000).for_each(|value| record(CrmLatency, value)) };
    instrument(&Clock::System, "test", "tested", Trace::new("r", None), work).await;
    let lines = log.take();
    check_metrics(endings(&lines)[0]);
    assert_eq!(values(&lines[0])["CrmLatency"].len(), 100);
}

#[tokio::test]
async fn lines_written_during_a_request_have_the_ids_of_request_and_call() {
    let test = expiring_grant(5 * 60_000).await;
    for fault in [Fault::Status(500), Fault::Status(500)] {
        test.crm.next(Route::Token, fault);
    }
    let log = Log::capture();
    test.post(&call("1")).await;
    let lines = log.take();
    let (during, ended): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["route"].is_null());
    assert_eq!((during.is_empty(), ended.len()), (false, 1), "{lines:#?}");
    for line in during {
        for field in ["request_id", "correlation_id", "session_hash"] {
            assert!(line[field].is_string() && line[field] == ended[0][field], "{field} of {line}");
        }
        assert!(line["_aws"].is_null() && line["outcome"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn work_that_panics_or_is_cancelled_is_logged_as_unfinished() {
    let log = Log::capture();
    let dropped =
        instrument(&Clock::System, "test", "tested", Trace::new("r", None), std::future::pending::<()>());
    assert!(tokio::time::timeout(Duration::from_millis(5), dropped).await.is_err());
    let panics = async { panic!("as expected") };
    #[expect(clippy::disallowed_methods, reason = "nothing freezes a test")]
    let panicked = tokio::spawn(async move {
        instrument(&Clock::System, "test", "tested", Trace::new("r", None), panics).await
    });
    assert!(panicked.await.is_err_and(|error| error.is_panic()));
    let lines = log.take();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in endings(&lines) {
        let shown = [&line["outcome"], &line["level"], &line["request_id"]];
        assert_eq!(shown, ["Unfinished", "ERROR", "r"], "{line}");
    }
}

#[test]
fn the_operations_page_describes_every_metric_and_alarm() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operate.md");
    let page = std::fs::read_to_string(page).unwrap();
    for metric in Metric::ALL {
        assert!(page.contains(&format!("`{metric:?}`")), "{metric:?} is not in docs/operate.md");
    }
    for alarm in [
        "duplicate-found",
        "undelivered",
        "dead-letters",
        "errors",
        "p99",
        "throttles",
        "lost-refresh",
        "unreadable",
        "redrive-silent",
    ] {
        assert_eq!(page.matches(&format!("\n### {alarm}\n")).count(), 1, "{alarm} is not in docs/operate.md");
    }
}

/// Starts an app whose user has a grant that expires in this number of milliseconds.
async fn expiring_grant(expires_in_ms: i64) -> TestApp {
    TestApp::with_credentials(grant(expires_in_ms, REFRESH_TOKEN)).await
}
