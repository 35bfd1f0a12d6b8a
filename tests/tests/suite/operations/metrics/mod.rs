//! What goes wrong is counted: a fault, and the metrics that show it.

mod lines;
mod protocol;

use std::{collections::BTreeMap, time::Duration};

use call_log::{
    model::Clock,
    telemetry::{Metric, Trace, instrument, record},
};
use serde_json::json;
use tests::{
    log::{Log, check_metrics, endings, values},
    pipedrive::{REFRESH_TOKEN, Route},
    proxy::{Fault, Target},
    test_app::{TestApp, call, grant},
};

use Metric::*;

/// What a CRM's answers are counted as.
const CRM: &[Metric] = &[CrmSuccess, CrmRefused, CrmRateLimited, CrmFailed, CrmUnanswered];
const REFRESH: &[Metric] = &[RefreshCount, RefreshLost];
/// Every request to DynamoDB.
const DYNAMODB: Target = Target { method: "POST", path: "/" };

/// What was counted on this thread while `work` was done: added up over its lines, the greatest of a maximum and the
/// least of a minimum.
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
    assert!(!counted.is_empty(), "{case}: nothing was counted: {lines:#?}");
    counted
}

fn only(among: &[Metric], mut counted: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    counted.retain(|name, _| among.iter().any(|metric| *name == format!("{metric:?}")));
    counted
}

/// Fails unless, of the metrics `among`, `work` makes exactly these.
async fn check(case: &str, among: &[Metric], work: impl AsyncFnOnce(), expected: &[(Metric, i64)]) {
    let counted = only(among, counted(case, work).await);
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(metric, value)| (format!("{metric:?}"), *value)).collect();
    assert_eq!(counted, expected, "{case}");
}

#[tokio::test]
async fn what_a_crm_answers_is_counted() {
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
        let world = TestApp::start().await;
        world.crm.next(Route::CreateActivity, fault.clone());
        let counted = only(CRM, counted("a create", async || drop(world.post(&call("1")).await)).await);
        // Every other request does what it should.
        let mut expected = BTreeMap::from([("CrmSuccess".to_owned(), world.crm.requests().len() as i64 - 1)]);
        *expected.entry(format!("{metric:?}")).or_default() += 1;
        assert_eq!(counted, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_budget_is_shown_by_what_is_left_of_it() {
    let world = TestApp::start().await;
    let work = async || drop(world.post(&call("1")).await);
    check("a create", &[BudgetLeft], work, &[(BudgetLeft, 99)]).await;
}

#[tokio::test]
async fn a_grant_that_is_renewed_or_lost_is_counted() {
    // Each row: what happens to the two requests for a new grant, one after the other.
    for (faults, expected) in [
        (vec![], &[(RefreshCount, 1)][..]),
        (vec![Fault::DropBeforeAnswer], &[(RefreshLost, 1)]),
        (vec![Fault::DropBeforeEffect], &[(RefreshCount, 1)]),
        (vec![Fault::Status(500), Fault::Status(500)], &[(RefreshLost, 1)]),
        (vec![Fault::Status(400)], &[]),
        (vec![Fault::Refusal(400, r#"{"error": "invalid_grant"}"#)], &[]),
    ] {
        let world = ending_grant(0).await;
        let case = format!("{faults:?}");
        for fault in faults {
            world.crm.next(Route::Token, fault);
        }
        check(&case, REFRESH, async || drop(world.post(&call("1")).await), expected).await;
    }
}

/// The CRM has rotated the token, and the table is away when the new one is to be stored.
#[tokio::test]
async fn a_grant_that_cannot_be_stored_is_lost() {
    let world = ending_grant(0).await;
    let (app, dynamodb) = world.proxied_app().await;
    world.crm.next(Route::Token, Fault::Delay(Duration::from_millis(300)));
    let work = async || {
        let body = call("1");
        let request = world.send(&app, "POST", &body);
        let outage = async {
            while world.crm.count(Route::Token) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for _ in 0..200 {
                dynamodb.next(DYNAMODB, Fault::Status(400));
            }
        };
        tokio::join!(request, outage);
    };
    check("a table that refuses", REFRESH, work, &[(RefreshCount, 1), (RefreshLost, 1)]).await;
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_counted() {
    let world = TestApp::start().await;
    let items = world.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let item = &items["Items"][0];
    let request = json!({
        "TableName": "calls",
        "Key": {"pk": item["pk"], "sk": item["sk"]},
        "UpdateExpression": "SET hostname = :nonsense",
        "ExpressionAttributeValues": {":nonsense": {"L": []}},
    });
    world.dynamodb.ask("UpdateItem", &request).await;
    check("a user", &[Unreadable], async || drop(world.post(&call("1")).await), &[(Unreadable, 1)]).await;
}

/// The way from a value to CloudWatch, for every metric there is: added up, the extreme, or each by itself.
#[tokio::test]
async fn every_metric_comes_out_as_it_is_meant() {
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
        // The first work of this process is a cold start of its own.
        assert!(shown == expected || (metric == ColdStart && shown == [16]), "{metric:?}: {line}");
    }
}

#[tokio::test]
async fn a_line_has_no_more_values_than_cloudwatch_takes() {
    let log = Log::capture();
    let work = async { (0..1_000).for_each(|value| record(CrmLatency, value)) };
    instrument(&Clock::System, "test", "tested", Trace::new("r", None), work).await;
    let lines = log.take();
    check_metrics(endings(&lines)[0]);
    assert_eq!(values(&lines[0])["CrmLatency"].len(), 100);
}

/// What is said on the way says of which request and which call.
#[tokio::test]
async fn a_line_in_between_has_the_ids() {
    let world = ending_grant(5 * 60_000).await;
    for fault in [Fault::Status(500), Fault::Status(500)] {
        world.crm.next(Route::Token, fault);
    }
    let log = Log::capture();
    world.post(&call("1")).await;
    let lines = log.take();
    let (between, ended): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["route"].is_null());
    assert_eq!((between.is_empty(), ended.len()), (false, 1), "{lines:#?}");
    for line in between {
        for field in ["request_id", "correlation_id", "session_hash"] {
            assert!(line[field].is_string() && line[field] == ended[0][field], "{field} of {line}");
        }
        assert!(line["_aws"].is_null() && line["outcome"].is_null(), "{line}");
    }
}

/// Whatever ends, ends with a line: also what panics, and what nobody waits for any more.
#[tokio::test]
async fn what_does_not_come_to_its_end_says_so() {
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

/// Who operates it can look up each metric, each field, and each alarm.
#[test]
fn the_page_has_every_metric_and_alarm() {
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

/// A world whose user's grant ends after so many milliseconds.
async fn ending_grant(ends_in: i64) -> TestApp {
    TestApp::with_credentials(grant(ends_in, REFRESH_TOKEN)).await
}
