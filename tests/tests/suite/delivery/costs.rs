//! The numbers that determine the cost of an invocation: operations, round trips, capacity units and connections. None
//! depends on a clock.

use tests::{
    cost::{US_EAST_1, per_million, total},
    metered::{self, Counted, Metered, units},
    proxy::Exchange,
};

use super::*;

fn names(exchanges: &[Exchange]) -> Vec<String> {
    let mut names: Vec<_> = exchanges.iter().map(|one| format!("{} {}", one.method, one.name())).collect();
    // The first two are concurrent, and their responses come in any order.
    let concurrent = names.len().min(2);
    names[..concurrent].sort();
    names
}

#[tokio::test]
async fn a_create_takes_two_round_trips_to_dynamodb_besides_the_requests_to_the_crm() {
    let metered = Metered::warm().await;
    let Counted { dynamodb, crm, .. } = metered.send("POST", &call("2")).await;
    assert_eq!(names(&dynamodb), ["POST BatchGetItem", "POST UpdateItem", "POST UpdateItem"]);
    assert_eq!(
        crm.iter().map(|one| format!("{} {}", one.method, one.name())).collect::<Vec<_>>(),
        ["GET /api/v2/persons/77", "POST /api/v2/activities"]
    );
    // The claim adds the item to the index of due calls, in case the lease holder dies; the finish removes it. Pipedrive's
    // records have no call tag, so the finish adds the item to the index of records.
    // The reads are those of the user, of the state of the CRM, and of the tenant's settings, which need not exist.
    assert_eq!((units(&dynamodb, true), units(&dynamodb, false)), (3.0, 5.0));
}

#[tokio::test]
async fn an_update_takes_two_round_trips_to_dynamodb_besides_the_requests_to_the_crm() {
    let metered = Metered::warm().await;
    let update =
        json!({"sessionId": "1", "recordingLink": "https://media.example/1", "note": "Wants two quotes"});
    let Counted { dynamodb, crm, .. } = metered.send("PATCH", &update).await;
    assert_eq!(names(&dynamodb), ["POST BatchGetItem", "POST UpdateItem", "POST UpdateItem"]);
    assert_eq!(crm.iter().map(|one| one.method.as_str()).collect::<Vec<_>>(), ["GET", "PATCH"]);
    // The user, the state of the CRM, and the tenant's settings.
    assert_eq!(units(&dynamodb, true), 3.0);
    assert!(units(&dynamodb, false) <= 4.0, "{dynamodb:?}");
}

#[tokio::test]
async fn a_repeated_create_sends_requests_only_to_dynamodb() {
    let metered = Metered::warm().await;
    let Counted { dynamodb, crm, .. } = metered.send("POST", &call("1")).await;
    assert_eq!(names(&dynamodb), ["POST BatchGetItem", "POST UpdateItem"]);
    assert_eq!(crm.len(), 0);
}

#[tokio::test]
async fn connections_are_reused_between_requests() {
    let metered = Metered::warm().await;
    for session in ["2", "3", "4", "5"] {
        metered.send("POST", &call(session)).await;
    }
    assert_eq!(metered.dynamodb.connections(), 2, "one for each concurrent request");
    assert_eq!(metered.crm.connections(), 1);
}

#[tokio::test]
async fn a_million_creates_cost_at_most_7_25_dollars() {
    let bill = per_million(&metered::create().await.used(), &US_EAST_1);
    assert!(total(&bill) <= 7.25, "{bill:?}");
}

#[tokio::test]
async fn the_bill_has_every_case_and_each_costs_something() {
    let cases = metered::cases().await;
    assert_eq!(cases.len(), 9);
    for (name, used) in cases {
        let bill = per_million(&used, &US_EAST_1);
        assert!(bill.iter().all(|position| position.per_million >= 0.0), "{name}: {bill:?}");
        assert!(total(&bill) > 0.5, "{name}: {bill:?}");
    }
}

#[tokio::test]
async fn a_successful_request_takes_three_operations_and_a_repeated_create_two() {
    let test = TestApp::start().await;
    let (app, dynamodb) = test.proxied_app().await;
    let mut before = (0, 0);
    for (method, body, message, operations, requests) in [
        ("PATCH", update(json!({"aiNote": "Bob asked"})), QUEUED_UNTIL_LOGGED, 3, 0),
        // The requests read the person, read the activity types, and create the activity.
        ("POST", call(SESSION), LOGGED, 3, 3),
        ("POST", call(SESSION), ALREADY_LOGGED, 2, 0),
        // The requests read the activity and change it.
        ("PATCH", update(json!({"result": "Voicemail"})), UPDATED, 3, 2),
        ("PATCH", update(json!({"result": "Voicemail"})), UPDATED, 3, 1),
        ("POST", call("4503991005"), LOGGED, 3, 2),
    ] {
        check(&test.send(&app, method, &body).await, message, method);
        let now = (dynamodb.count(DYNAMODB), test.crm.requests().len());
        assert_eq!((now.0 - before.0, now.1 - before.1), (operations, requests), "{method} {message}");
        before = now;
    }
}
