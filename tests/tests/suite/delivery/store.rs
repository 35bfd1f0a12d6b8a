//! The table when it is not as we left it, or not there.

use serde_json::{Value, json};
use tests::{
    proxy::{Fault, Target},
    test_app::{Answer, TestApp, call},
};

const DYNAMODB: Target = Target { method: "POST", path: "/" };
const USER: &str = "U#pipedrive#12345-pipedrive";

/// An item of the table's user.
fn item(sort: &str, attributes: &Value) -> Value {
    let mut item = json!({"pk": {"S": USER}, "sk": {"S": sort}});
    item.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    item
}

async fn read(world: &TestApp, sort: &str) -> Value {
    let key = item(sort, &json!({}));
    world.dynamodb.ask("GetItem", &json!({"TableName": "calls", "Key": key, "ConsistentRead": true})).await["Item"]
        .clone()
}

async fn write(world: &TestApp, item: &Value) {
    let answer = world.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
    assert_eq!(answer, json!({}));
}

fn check_internal(answer: &Answer, case: &str) {
    let message = "Something went wrong on our side. If it happens again, tell your administrator the request id test-request.";
    assert_eq!((answer.status, answer.message()), (500, message), "{case}");
    assert_eq!(answer.body["returnMessage"]["messageType"], "danger", "{case}");
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_left_as_it_is() {
    let world = TestApp::start().await;
    for attributes in [
        json!({"state": {"S": "FUTURE"}, "lease_until": {"N": "0"}}),
        json!({"state": {"S": "FUTURE"}, "lease_until": {"N": "0"}, "log_id": {"S": "5001"}}),
        json!({"state": {"N": "1"}, "lease_until": {"N": "0"}}),
        json!({"lease_until": {"N": "0"}}),
        json!({}),
        json!({"state": {"S": "RETRY"}, "lease_until": {"S": "0"}}),
        json!({"state": {"S": "LOGGED"}, "lease_until": {"S": "0"}, "log_id": {"S": "5001"}}),
        json!({"state": {"S": "RETRY"}, "lease_until": {"N": "0"}, "fence": {"S": "1"}}),
    ] {
        let item = item("C#1#", &attributes);
        write(&world, &item).await;
        check_internal(&world.post(&call("1")).await, &format!("POST {attributes}"));
        check_internal(
            &world.patch(&json!({"sessionId": "1", "aiNote": "x"})).await,
            &format!("PATCH {attributes}"),
        );
        assert_eq!(read(&world, "C#1#").await, item);
    }
    assert_eq!(world.crm.requests().len(), 0);
}

#[tokio::test]
async fn a_sealed_value_does_not_open_in_another_place() {
    let world = TestApp::start().await;
    assert_eq!(world.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await.body["successful"], true);
    let mut moved = read(&world, "C#1#").await;
    moved["sk"] = json!({"S": "C#2#"});
    write(&world, &moved).await;
    check_internal(&world.post(&call("2")).await, "from another call");
    assert_eq!(world.crm.requests().len(), 0);
}

#[tokio::test]
async fn a_user_who_cannot_be_read_is_not_called_for() {
    let world = TestApp::start().await;
    let mut user = read(&world, "USER").await;
    user["credentials"] = json!({"S": "in clear text"});
    write(&world, &user).await;
    check_internal(&world.post(&call("1")).await, "POST");
    check_internal(&world.patch(&json!({"sessionId": "1", "aiNote": "x"})).await, "PATCH");
    assert_eq!((read(&world, "USER").await, world.crm.requests().len()), (user, 0));
    // The call is free again at once.
    world.app.store.put_user(&world.user).await.unwrap();
    assert_eq!(world.post(&call("1")).await.message(), "Call logged");
}

#[tokio::test]
async fn a_table_that_is_not_available_is_said_so() {
    let world = TestApp::start().await;
    let down = world.app_with(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]).await.unwrap();
    check_unavailable(&world, &down, "down").await;
    let throttled =
        r#"{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#;
    for fault in [
        Fault::Refusal(400, throttled),
        Fault::Refusal(400, r#"{"__type": "com.amazon.coral.availability#ThrottlingException"}"#),
        Fault::Refusal(500, r#"{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}"#),
        Fault::Status(503),
        Fault::DropBeforeEffect,
    ] {
        let (app, dynamodb) = world.proxied_app().await;
        // Each operation is tried three times; a request begins two.
        for _ in 0..12 {
            dynamodb.next(DYNAMODB, fault.clone());
        }
        check_unavailable(&world, &app, &format!("{fault:?}")).await;
    }
    assert_eq!(world.crm.requests().len(), 0);
}

async fn check_unavailable(world: &TestApp, app: &call_log::startup::app::App, case: &str) {
    for (method, body) in [("POST", call("1")), ("PATCH", json!({"sessionId": "1", "aiNote": "x"}))] {
        let answer = world.send(app, method, &body).await;
        assert_eq!(answer.status, 503, "{case} {method}: {}", answer.body);
        assert_eq!(answer.headers.get("retry-after").map(String::as_str), Some("2"), "{case} {method}");
    }
}

#[tokio::test]
async fn a_moment_of_throttling_is_not_noticed() {
    let world = TestApp::start().await;
    let (app, dynamodb) = world.proxied_app().await;
    for _ in 0..2 {
        dynamodb.next(DYNAMODB, Fault::Status(500));
    }
    assert_eq!(world.send(&app, "POST", &call("1")).await.message(), "Call logged");
}

#[tokio::test]
async fn keys_cannot_be_confused() {
    let world = TestApp::start().await;
    let names = [
        ("a", "b"),
        ("a#b", ""),
        ("a", "#b"),
        ("a#", "b"),
        ("a%23b", ""),
        ("a%2523b", ""),
        ("a%", "23b"),
        ("", "a#b"),
    ];
    for (number, (session, extension)) in names.into_iter().enumerate() {
        let session = if session.is_empty() { " " } else { session };
        let mut body = call(session);
        body["logInfo"]["hashedExtensionId"] = json!(extension);
        let answer = world.post(&body).await;
        if session == " " {
            assert_eq!(answer.status, 400);
            continue;
        }
        assert_eq!(
            answer.log_id(),
            Some((5001 + number).to_string().as_str()),
            "{session} {extension}: {}",
            answer.body
        );
    }
    for (session, extensions) in [("a", 2), ("a#b", 1), ("a%23b", 1)] {
        let session = call_log::model::SessionId::new(session).unwrap();
        let logs = world.app.store.calls_of_session(&world.user.key(), &session).await.unwrap();
        assert_eq!(logs.len(), extensions, "{session}");
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_for_a_key_is_refused() {
    let world = TestApp::start().await;
    for body in [call(&"1".repeat(2_000)), {
        let mut body = call("1");
        body["logInfo"]["hashedExtensionId"] = json!("x".repeat(2_000));
        body
    }] {
        let answer = world.post(&body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
}
