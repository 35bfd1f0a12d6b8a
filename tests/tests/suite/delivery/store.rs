//! Damaged items, an unavailable table, and the keys of items.

use call_log::model::CallKey;
use serde_json::{Value, json};
use tests::{
    dynamodb::REQUEST as DYNAMODB,
    messages::LOGGED,
    proxy::Fault,
    test_app::{Response, TestApp, call, first_log_key},
};

use crate::harness::with;

/// Returns the item of a session with these attributes.
fn item(session: &str, attributes: &Value) -> Value {
    let mut item = first_log_key(session);
    item.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    item
}

async fn read(test: &TestApp, session: &str) -> Value {
    let key = first_log_key(session);
    test.dynamodb.ask("GetItem", &json!({"TableName": "calls", "Key": key, "ConsistentRead": true})).await["Item"]
        .clone()
}

async fn write(test: &TestApp, item: &Value) {
    let response = test.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
    assert_eq!(response, json!({}));
}

fn check_internal(response: &Response, case: &str) {
    let message = "Something went wrong on our side. If it happens again, tell your administrator the request id test-request.";
    assert_eq!((response.status, response.message()), (500, message), "{case}");
    assert_eq!(response.body["returnMessage"]["messageType"], "danger", "{case}");
}

#[tokio::test]
async fn an_item_that_cannot_be_read_fails_the_request_and_is_not_changed() {
    let test = TestApp::start().await;
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
        let item = item("1", &attributes);
        write(&test, &item).await;
        check_internal(&test.post(&call("1")).await, &format!("POST {attributes}"));
        check_internal(
            &test.patch(&json!({"sessionId": "1", "aiNote": "x"})).await,
            &format!("PATCH {attributes}"),
        );
        assert_eq!(read(&test, "1").await, item);
    }
    assert_eq!(test.crm.requests().len(), 0);
}

#[tokio::test]
async fn an_encrypted_value_cannot_be_decrypted_in_another_item() {
    let test = TestApp::start().await;
    assert_eq!(test.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await.body["successful"], true);
    let mut moved = read(&test, "1").await;
    moved["pk"] = first_log_key("2")["pk"].clone();
    write(&test, &moved).await;
    check_internal(&test.post(&call("2")).await, "a value of another call");
    assert_eq!(test.crm.requests().len(), 0);
}

#[tokio::test]
async fn no_request_is_sent_to_the_crm_for_a_user_who_cannot_be_read() {
    let test = TestApp::start().await;
    let key = json!({"pk": {"S": "U#pipedrive#12345-pipedrive"}, "sk": {"S": "USER"}});
    let request = json!({"TableName": "calls", "Key": key, "ConsistentRead": true});
    let read = async || test.dynamodb.ask("GetItem", &request).await["Item"].take();
    let mut user = read().await;
    user["credentials"] = json!({"S": "in clear text"});
    write(&test, &user).await;
    check_internal(&test.post(&call("1")).await, "POST");
    check_internal(&test.patch(&json!({"sessionId": "1", "aiNote": "x"})).await, "PATCH");
    assert_eq!((read().await, test.crm.requests().len()), (user, 0));
    // The failed requests have left no lease.
    test.app.store.put_user(&test.user).await.unwrap();
    assert_eq!(test.post(&call("1")).await.message(), LOGGED);
}

#[tokio::test]
async fn an_unavailable_table_is_reported_as_a_503() {
    let test = TestApp::start().await;
    let down = test.app_with(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]).await.unwrap();
    check_unavailable(&test, &down, "down").await;
    let throttled =
        r#"{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#;
    for fault in [
        Fault::Refusal(400, throttled),
        Fault::Refusal(400, r#"{"__type": "com.amazon.coral.availability#ThrottlingException"}"#),
        Fault::Refusal(500, r#"{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}"#),
        Fault::Status(503),
        Fault::DropBeforeEffect,
    ] {
        let (app, dynamodb) = test.proxied_app().await;
        // Each operation is tried three times; a request starts two.
        for _ in 0..12 {
            dynamodb.next(DYNAMODB, fault.clone());
        }
        check_unavailable(&test, &app, &format!("{fault:?}")).await;
    }
    assert_eq!(test.crm.requests().len(), 0);
}

async fn check_unavailable(test: &TestApp, app: &call_log::startup::app::App, case: &str) {
    for (method, body) in [("POST", call("1")), ("PATCH", json!({"sessionId": "1", "aiNote": "x"}))] {
        let response = test.send(app, method, &body).await;
        assert_eq!(response.status, 503, "{case} {method}: {}", response.body);
        assert_eq!(response.headers.get("retry-after").map(String::as_str), Some("2"), "{case} {method}");
    }
}

#[tokio::test]
async fn two_failures_of_dynamodb_are_retried_and_the_call_is_logged() {
    let test = TestApp::start().await;
    let (app, dynamodb) = test.proxied_app().await;
    for _ in 0..2 {
        dynamodb.next(DYNAMODB, Fault::Status(500));
    }
    assert_eq!(test.send(&app, "POST", &call("1")).await.message(), LOGGED);
}

#[tokio::test]
async fn different_ids_never_have_the_same_table_key() {
    let test = TestApp::start().await;
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
        let response = test.post(&body).await;
        if session == " " {
            assert_eq!(response.status, 400);
            continue;
        }
        assert_eq!(
            response.log_id(),
            Some((5001 + number).to_string().as_str()),
            "{session} {extension}: {}",
            response.body
        );
    }
    for (session, extensions) in [("a", 2), ("a#b", 1), ("a%23b", 1)] {
        let session = call_log::model::SessionId::new(session).unwrap();
        let call = CallKey { tenant: test.user.tenant(), session: session.clone(), header_user: None };
        let logs = test.app.store.logs_of_call(&call).await.unwrap();
        assert_eq!(logs.len(), extensions, "{session}");
    }
}

#[tokio::test]
async fn a_session_id_that_is_too_long_for_a_table_key_is_a_400() {
    let test = TestApp::start().await;
    let long = 256;
    // In a key, `#` and `%` take three bytes.
    for (id, status) in [
        ("1".repeat(long), 200),
        ("1".repeat(long + 1), 400),
        ("#".repeat(long / 3), 200),
        ("#".repeat(long / 3 + 1), 400),
        ("%".repeat(long), 400),
        ("é".repeat(long / 2 + 1), 400),
    ] {
        let response = test.post(&call(&id)).await;
        assert_eq!(response.status, status, "{id}: {}", response.body);
        // An extension that cannot be a key is left out.
        let extension = with(call("1"), json!({"logInfo": {"hashedExtensionId": id, "rcExtensionId": id}}));
        let response = test.post(&extension).await;
        assert_eq!(response.status, 200, "{id}: {}", response.body);
        assert_eq!(response.body.to_string().contains("Left out"), status == 400, "{id}: {}", response.body);
    }
}
