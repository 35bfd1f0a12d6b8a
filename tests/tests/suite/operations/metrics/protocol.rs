//! Metrics of delivery: each outcome of a create or an update, and the metrics that count it.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use tests::{
    pipedrive::API_KEY,
    test_app::{INVOCATION_MS, first_log_key, handle},
};

use super::*;
use crate::delivery::altered_crm::AlteredCrm;

const OUTCOMES: &[Metric] = &[
    Created,
    Updated,
    Parked,
    Deferred,
    Ambiguous,
    Reconciled,
    DuplicateFound,
    Deduped,
    LeaseLost,
    Dead,
    Unreadable,
];
/// Metrics with an alarm in the template, and the test that produces each.
const ALARMED: [(Metric, &str); 6] = [
    (Dead, "a_call_that_is_given_up_is_counted_as_a_dead_letter"),
    (DuplicateFound, "a_duplicate_that_landed_late_is_counted"),
    (LoginRefused, "logins_are_counted"),
    (QueueAgeMax, "the_queue_age_is_the_time_since_the_oldest_call_was_queued"),
    (RefreshLost, "renewed_and_lost_grants_are_counted"),
    (Unreadable, "a_user_that_cannot_be_read_is_counted"),
];
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn update(details: Value) -> Value {
    let mut body = json!({"sessionId": "1"});
    body.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
    body
}

async fn logged() -> TestApp {
    let test = TestApp::start().await;
    test.post(&call("1")).await;
    test
}

#[tokio::test]
async fn successful_creates_and_updates_are_counted() {
    let test = TestApp::start().await;
    let work = async || drop(test.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    check("an update before its call", OUTCOMES, work, &[(Parked, 1)]).await;
    check("a create", OUTCOMES, async || drop(test.post(&call("1")).await), &[(Created, 1)]).await;
    check("a repeated create", OUTCOMES, async || drop(test.post(&call("1")).await), &[]).await;
    let work = async || drop(test.patch(&update(json!({"result": "Voicemail"}))).await);
    check("an update", OUTCOMES, work, &[(Updated, 1)]).await;
}

#[tokio::test]
async fn failed_creates_and_their_redrives_are_counted() {
    // Each row: the fault of the request that creates the record, `true` if the search for the record fails, and the
    // metrics of the create and of the later redrive.
    for (fault, of_create, of_redrive) in [
        (Fault::DropBeforeAnswer, &[(Ambiguous, 1), (Deferred, 1)][..], &[(Reconciled, 1), (Created, 1)][..]),
        (Fault::DropBeforeEffect, &[(Ambiguous, 1), (Deferred, 1)], &[(Created, 1)]),
        (Fault::RateLimited { retry_after: None }, &[(Deferred, 1)], &[(Created, 1)]),
        (Fault::Status(422), &[(Created, 1), (Updated, 1)], &[]),
    ] {
        let case = format!("{fault:?}");
        let test = TestApp::start().await;
        test.crm.next(Route::CreateActivity, fault);
        check(&case, OUTCOMES, async || drop(test.post(&call("1")).await), of_create).await;
        // An update of the record that was found is counted as well.
        let expected: BTreeMap<_, _> =
            of_redrive.iter().map(|(metric, count)| (format!("{metric:?}"), *count)).collect();
        let mut counted = only(OUTCOMES, counted(&case, async || drop(test.redrive_for(2).await)).await);
        counted.remove("Updated");
        assert_eq!(counted, expected, "{case}: redrive");
    }
}

#[tokio::test]
async fn an_update_whose_response_was_lost_and_its_redrive_are_counted() {
    let test = logged().await;
    test.crm.next(Route::UpdateActivity, Fault::Status(503));
    test.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
    test.crm.next(Route::GetActivity, Fault::Status(500));
    let work = async || drop(test.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    check("no response", OUTCOMES, work, &[(Ambiguous, 1), (Deferred, 1)]).await;
    check("the redrive", OUTCOMES, async || drop(test.redrive_for(2).await), &[(Updated, 1)]).await;
}

#[tokio::test]
async fn a_duplicate_that_landed_late_is_counted() {
    for (is_edited, expected) in [
        (false, &[(DuplicateFound, 1), (Deduped, 1), (Updated, 1)][..]),
        (true, &[(DuplicateFound, 1), (Updated, 1)]),
    ] {
        let mut test = TestApp::start().await;
        AlteredCrm::showing_edits().install(&mut test.app);
        test.crm.next(Route::CreateActivity, Fault::Status(500));
        test.post(&call("1")).await;
        test.redrive_for(1).await;
        test.crm.land(&test.crm.activities()[0]);
        if is_edited {
            test.pass(1_000);
            test.crm.edit(5002, "subject", json!("Bob, important"));
        }
        let work = async || drop(test.redrive_for(20).await);
        check(&format!("is_edited: {is_edited}"), OUTCOMES, work, expected).await;
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_counted_as_a_dead_letter() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call("1")).await;
    let work = async || {
        for _ in 0..80 {
            test.pass(HOUR);
            test.redrive().await;
        }
    };
    check("a CRM that is down for three days", &[Dead], work, &[(Dead, 1)]).await;

    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: None });
    test.post(&call("1")).await;
    test.crm.always(Route::CreateActivity, Fault::Status(422));
    let work = async || drop(test.redrive_for(2).await);
    check("rejected during a redrive", &[Dead], work, &[(Dead, 1)]).await;
}

#[tokio::test]
async fn the_queue_age_is_the_time_since_the_oldest_call_was_queued() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call("1")).await;
    test.redrive_for(19).await;
    test.post(&call("2")).await;
    let work = async || drop(test.redrive_for(1).await);
    // Failed attempts do not change the age.
    check("twenty minutes", &[QueueAgeMax], work, &[(QueueAgeMax, 1_200)]).await;
}

#[tokio::test]
async fn a_call_that_cannot_be_read_is_counted_by_the_redrive() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call("1")).await;
    let request = json!({
        "TableName": "calls",
        "Key": first_log_key("1"),
        "UpdateExpression": "SET #state = :nonsense",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":nonsense": {"S": "ARCHIVED"}},
    });
    test.dynamodb.ask("UpdateItem", &request).await;
    let work = async || drop(test.redrive_for(3).await);
    check("a call", &[Unreadable], work, &[(Unreadable, 1)]).await;
}

#[tokio::test]
async fn logins_are_counted() {
    let test = TestApp::start().await;
    let app = test.app_with(&[("ALLOWED_TENANTS", "*")]).await.unwrap();
    let log_in = async |key: &str| {
        let body = json!({"platform": "pipedrive", "apiKey": key}).to_string();
        let request = http::Request::builder().method("POST").uri("/apiKeyLogin").body(body.into()).unwrap();
        drop(handle(&app, request, INVOCATION_MS).await);
    };
    let counted = &[LoginCount, LoginRefused];
    check("a login", counted, async || log_in(API_KEY).await, &[(LoginCount, 1)]).await;
    check("a refused login", counted, async || log_in("wrong").await, &[(LoginRefused, 1)]).await;
}

/// Another invocation has the lease when the CRM's response arrives at the first one.
#[tokio::test]
async fn a_lost_lease_is_counted() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Delay(Duration::from_millis(400)));
    test.crm.next(Route::ListActivities, Fault::Delay(Duration::from_millis(900)));
    let work = async || {
        let body = call("1");
        let successor = async {
            while test.crm.count(Route::CreateActivity) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            test.pass(HOUR);
            test.post(&call("1")).await;
        };
        tokio::join!(test.post(&body), successor);
    };
    let expected = &[(LeaseLost, 1), (Reconciled, 1), (Created, 2)];
    check("a create that outlasts its lease", &[LeaseLost, Reconciled, Created], work, expected).await;
    assert_eq!(test.crm.activities().len(), 1);
}

#[tokio::test]
async fn the_time_in_which_an_edit_could_be_overwritten_is_measured() {
    let test = logged().await;
    let work = async || drop(test.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    // The test's clock does not advance during the update.
    check("an update", &[EditWindow], work, &[(EditWindow, 0)]).await;
    let work = async || drop(test.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    check("an update that changes nothing", &[EditWindow], work, &[]).await;
}

#[test]
fn every_metric_with_an_alarm_has_a_test_that_produces_it() {
    let template =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    let mut lines = template.lines().map(str::trim);
    let mut alarmed = BTreeSet::new();
    while let Some(line) = lines.next() {
        if line == "Namespace: CallLog" {
            let name = lines.next().and_then(|line| line.strip_prefix("MetricName: "));
            alarmed.insert(name.expect("a metric's name follows its namespace").to_owned());
        }
    }
    assert_eq!(alarmed, ALARMED.iter().map(|(metric, _)| format!("{metric:?}")).collect());
    let sources = [include_str!("mod.rs"), include_str!("protocol.rs")].concat();
    for (metric, test) in ALARMED {
        assert!(sources.contains(&format!("async fn {test}()")), "{metric:?}: {test}");
    }
}
