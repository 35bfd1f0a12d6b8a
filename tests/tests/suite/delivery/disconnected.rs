//! Work of a person who has disconnected: it waits until the same person connects again, and is dropped after 30 days.

use call_log::{
    login::disconnect::disconnect,
    model::{User, UserId},
};
use serde_json::json;
use tests::{
    pipedrive::{API_KEY, Route},
    proxy::Fault,
    test_app::{TestApp, api_key, call, close_breaker, send_from_extension},
};

const DAY_MS: i64 = 86_400_000;

async fn leave(test: &TestApp) {
    let crm = test.app.crm("pipedrive").unwrap();
    disconnect(&test.app, crm, &test.user.key()).await.unwrap();
}

async fn return_to(test: &TestApp) {
    let user = User { credentials: Some(api_key(API_KEY)), ..test.user.clone() };
    test.app.store.connect_user(&user, Some("Ada Agent"), test.now_ms()).await.unwrap();
}

/// Starts with a call that the CRM could not take, and whose user has disconnected.
async fn deferred() -> TestApp {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(500)));
    test.post(&call("1")).await;
    test.crm.outage(None);
    close_breaker(&test.app, &test.user).await;
    leave(&test).await;
    test
}

#[tokio::test]
async fn a_create_waits_for_the_same_person() {
    let test = deferred().await;
    let asked = test.crm.requests().len();
    test.redrive_for(30).await;
    assert_eq!(test.crm.requests().len(), asked, "nothing is sent for a person who has left");
    return_to(&test).await;
    test.redrive_for(1).await;
    assert_eq!(test.crm.activities().len(), 1);
}

#[tokio::test]
async fn the_time_of_the_disconnection_does_not_count_as_a_failure() {
    let test = deferred().await;
    test.pass(29 * DAY_MS);
    test.redrive().await;
    return_to(&test).await;
    // The CRM is down for a while when the person returns.
    test.crm.outage(Some(Fault::Status(500)));
    test.redrive_for(5).await;
    test.crm.outage(None);
    close_breaker(&test.app, &test.user).await;
    test.redrive_for(15).await;
    assert_eq!(test.crm.activities().len(), 1, "the call is no dead letter");
}

#[tokio::test]
async fn work_is_dropped_after_thirty_days() {
    let test = deferred().await;
    test.pass(30 * DAY_MS);
    test.redrive_for(2).await;
    return_to(&test).await;
    test.redrive_for(20).await;
    assert_eq!(test.crm.activities().len(), 0);
    // The call can be logged again.
    assert_eq!(test.post(&call("1")).await.message(), "Call logged");
}

#[tokio::test]
async fn a_colleague_does_not_write_an_update_of_a_person_who_has_left() {
    let test = TestApp::start().await;
    let colleague = User { id: UserId::new("54321-pipedrive").unwrap(), ..test.user.clone() };
    test.app.store.put_user(&colleague).await.unwrap();
    let token = test.app.issue_token(&colleague, 1);
    // The colleague made the log; the update of the other person is due.
    send_from_extension(&test.app, "POST", "/callLog", &token, &call("1")).await;
    test.crm.always(Route::GetActivity, Fault::Status(500));
    test.patch(&json!({"sessionId": "1", "note": "A word of the person who leaves"})).await;
    test.crm.forget_faults();
    close_breaker(&test.app, &test.user).await;
    leave(&test).await;
    test.redrive_for(30).await;
    let note = |test: &TestApp| test.crm.activities()[0]["note"].as_str().unwrap().to_owned();
    assert!(!note(&test).contains("A word"), "{}", note(&test));
    return_to(&test).await;
    test.redrive_for(1).await;
    assert!(note(&test).contains("A word"), "{}", note(&test));
}
