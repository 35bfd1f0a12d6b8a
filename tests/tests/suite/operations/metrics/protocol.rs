//! What becomes of calls is counted: each situation of the protocol, and the metrics that show it.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::*;

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
/// Metrics that an alarm of the template stands on, and where it is shown that their fault makes them.
const ALARMED: [(Metric, &str); 5] = [
    (Dead, "what_is_given_up_is_a_dead_letter"),
    (DuplicateFound, "what_landed_late_is_counted"),
    (QueueAgeMax, "the_age_of_the_oldest_that_waits_is_its_own"),
    (RefreshLost, "a_grant_that_is_renewed_or_lost_is_counted"),
    (Unreadable, "an_item_that_cannot_be_read_is_counted"),
];
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn update(facts: Value) -> Value {
    let mut body = json!({"sessionId": "1"});
    body.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    body
}

async fn logged() -> TestApp {
    let world = TestApp::start().await;
    world.post(&call("1")).await;
    world
}

#[tokio::test]
async fn what_goes_well_is_counted() {
    let world = TestApp::start().await;
    let work = async || drop(world.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    check("an update before its call", OUTCOMES, work, &[(Parked, 1)]).await;
    check("a create", OUTCOMES, async || drop(world.post(&call("1")).await), &[(Created, 1)]).await;
    check("a repeated create", OUTCOMES, async || drop(world.post(&call("1")).await), &[]).await;
    let work = async || drop(world.patch(&update(json!({"result": "Voicemail"}))).await);
    check("an update", OUTCOMES, work, &[(Updated, 1)]).await;
}

#[tokio::test]
async fn what_goes_wrong_with_a_create_is_counted() {
    // Each row: what happens to the request that makes the log, whether the search for it fails, what a create is
    // counted as, and what the redrive a while later.
    let (create, list) = (Route::CreateActivity, Route::ListActivities);
    for (fault, is_search_down, at_once, later) in [
        (
            Fault::DropBeforeAnswer,
            false,
            &[(Ambiguous, 1), (Reconciled, 1), (Updated, 1), (Created, 1)][..],
            &[][..],
        ),
        (Fault::DropBeforeAnswer, true, &[(Ambiguous, 1), (Deferred, 1)], &[(Reconciled, 1), (Created, 1)]),
        (Fault::DropBeforeEffect, false, &[(Ambiguous, 1), (Deferred, 1)], &[(Created, 1)]),
        (Fault::RateLimited { retry_after: None }, false, &[(Deferred, 1)], &[(Created, 1)]),
        (Fault::Status(422), false, &[], &[]),
    ] {
        let case = format!("{fault:?} {is_search_down}");
        let world = TestApp::start().await;
        world.crm.next(create, fault);
        if is_search_down {
            world.crm.next(list, Fault::Status(500));
        }
        check(&case, OUTCOMES, async || drop(world.post(&call("1")).await), at_once).await;
        // An update of what was found is counted as well.
        let expected: BTreeMap<_, _> =
            later.iter().map(|(metric, count)| (format!("{metric:?}"), *count)).collect();
        let mut counted = only(OUTCOMES, counted(&case, async || drop(world.redrive_for(2).await)).await);
        counted.remove("Updated");
        assert_eq!(counted, expected, "{case}: later");
    }
}

#[tokio::test]
async fn an_update_that_waits_is_counted() {
    let world = logged().await;
    world.crm.next(Route::UpdateActivity, Fault::Status(503));
    world.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
    world.crm.next(Route::GetActivity, Fault::Status(500));
    let work = async || drop(world.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    check("no answer", OUTCOMES, work, &[(Ambiguous, 1), (Deferred, 1)]).await;
    check("later", OUTCOMES, async || drop(world.redrive_for(2).await), &[(Updated, 1)]).await;
}

#[tokio::test]
async fn what_landed_late_is_counted() {
    for (is_edited, expected) in [
        (false, &[(DuplicateFound, 1), (Deduped, 1), (Updated, 1)][..]),
        (true, &[(DuplicateFound, 1), (Updated, 1)]),
    ] {
        let world = TestApp::start().await;
        world.crm.next(Route::CreateActivity, Fault::Status(500));
        world.crm.next(Route::ListActivities, Fault::Status(500));
        world.post(&call("1")).await;
        world.redrive_for(1).await;
        world.crm.land(&world.crm.activities()[0]);
        if is_edited {
            world.pass(1_000);
            world.crm.edit(5002, "subject", json!("Bob, important"));
        }
        let work = async || drop(world.redrive_for(20).await);
        check(&format!("edited {is_edited}"), OUTCOMES, work, expected).await;
    }
}

#[tokio::test]
async fn what_is_given_up_is_a_dead_letter() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call("1")).await;
    let work = async || {
        for _ in 0..80 {
            world.pass(HOUR);
            world.redrive().await;
        }
    };
    check("three days", &[Dead], work, &[(Dead, 1)]).await;

    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: None });
    world.post(&call("1")).await;
    world.crm.next(Route::CreateActivity, Fault::Status(422));
    let work = async || drop(world.redrive_for(2).await);
    check("refused when nobody looks", &[Dead], work, &[(Dead, 1)]).await;
}

#[tokio::test]
async fn the_age_of_the_oldest_that_waits_is_its_own() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call("1")).await;
    world.redrive_for(19).await;
    world.post(&call("2")).await;
    let work = async || drop(world.redrive_for(1).await);
    // However often it was tried meanwhile.
    check("twenty minutes", &[QueueAgeMax], work, &[(QueueAgeMax, 1_200)]).await;
}

#[tokio::test]
async fn a_call_that_cannot_be_read_is_counted_when_it_is_set_aside() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call("1")).await;
    let request = json!({
        "TableName": "calls",
        "Key": {"pk": {"S": "U#pipedrive#12345-pipedrive"}, "sk": {"S": "C#1#"}},
        "UpdateExpression": "SET #state = :nonsense",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":nonsense": {"S": "ARCHIVED"}},
    });
    world.dynamodb.ask("UpdateItem", &request).await;
    let work = async || drop(world.redrive_for(3).await);
    check("a call", &[Unreadable], work, &[(Unreadable, 1)]).await;
}

/// Somebody else has the call when the owner comes back from the CRM.
#[tokio::test]
async fn a_lease_that_is_lost_is_counted() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::Delay(Duration::from_millis(400)));
    world.crm.next(Route::ListActivities, Fault::Delay(Duration::from_millis(900)));
    let work = async || {
        let body = call("1");
        let successor = async {
            while world.crm.count(Route::CreateActivity) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world.pass(HOUR);
            world.post(&call("1")).await;
        };
        tokio::join!(world.post(&body), successor);
    };
    let expected = &[(LeaseLost, 1), (Reconciled, 1), (Created, 2)];
    check("a sleeper", &[LeaseLost, Reconciled, Created], work, expected).await;
    assert_eq!(world.crm.activities().len(), 1);
}

#[tokio::test]
async fn the_moment_in_which_an_edit_could_be_lost_is_measured() {
    let world = logged().await;
    let work = async || drop(world.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    // The test's clock stands still.
    check("an update", &[EditWindow], work, &[(EditWindow, 0)]).await;
    let work = async || drop(world.patch(&update(json!({"aiNote": "Bob asked"}))).await);
    check("nothing to change", &[EditWindow], work, &[]).await;
}

#[test]
fn each_alarm_on_a_metric_of_ours_is_shown_to_fire() {
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
