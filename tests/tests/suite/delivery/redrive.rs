//! The redrive: delivers calls and updates whose requests failed.

use call_log::{
    delivery::redrive::Report,
    model::{CallDetails, Credentials, Secret},
    store::{Change, Lease, Rearmed, State},
};

use super::*;

const HOUR: i64 = 3_600_000;

/// Starts an app whose user has an OAuth grant.
async fn with_oauth() -> TestApp {
    TestApp::with_credentials(Credentials::OAuth {
        access_token: Secret::new(tests::pipedrive::ACCESS_TOKEN),
        refresh_token: Some(Secret::new(tests::pipedrive::REFRESH_TOKEN)),
        expires_at: None,
    })
    .await
}

pub(super) async fn item(test: &TestApp) -> call_log::store::CallItem {
    item_of(test, SESSION).await
}

/// Returns the item of the user's call with this session id.
pub(super) async fn item_of(test: &TestApp, session: &str) -> call_log::store::CallItem {
    let call = CallKey { session: SessionId::new(session).unwrap(), ..session_key(test).call };
    test.app.store.call(&call.log(0)).await.unwrap().unwrap()
}

/// Asserts that the call is in the CRM once with its note, and that nothing is left to deliver.
pub(super) async fn check_settled(test: &TestApp, case: &str) {
    check_text(&note(test), &["Wants a quote"], &[]);
    let item = item(test).await;
    assert_eq!(
        (item.state, item.lease_holder.as_deref(), item.lease_expires_at),
        (State::Logged, None, 0),
        "{case}"
    );
    assert!(item.payload.is_none() && !item.has_undelivered(), "{case}: {item:?}");
    let again = test.post(&call(SESSION)).await;
    assert_eq!(
        (again.message(), again.log_id()),
        (ALREADY_LOGGED, Some("5001")),
        "{case}: a retry returns the id"
    );
}

/// The key of the tests' call in the table.
fn raw_key() -> Value {
    first_log_key(SESSION)
}

/// Reads the call's item without decoding it.
async fn raw_item(test: &TestApp) -> Value {
    let body = json!({"TableName": "calls", "Key": raw_key(), "ConsistentRead": true});
    test.dynamodb.ask("GetItem", &body).await["Item"].clone()
}

/// Changes the item so that this version cannot read it.
async fn damage(test: &TestApp) {
    let body = json!({
        "TableName": "calls", "Key": raw_key(), "UpdateExpression": "SET #state = :later",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":later": {"S": "OF A LATER VERSION"}},
    });
    test.dynamodb.ask("UpdateItem", &body).await;
}

/// Asserts that a redrive delivers the call after a create that failed with this fault and a search that failed too.
async fn check_delivered(fault: Fault, message: &str, minutes: u32) {
    let case = format!("{fault:?}");
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, fault);
    test.crm.next(Route::ListActivities, Fault::Status(500));
    let response = test.post(&call(SESSION)).await;
    assert_eq!((response.status, response.message()), (200, message), "{case}");
    assert_eq!(test.redrive().await, Report::default(), "{case}: nothing is due yet");
    let reports = test.redrive_for(minutes).await;
    assert_eq!(reports.iter().map(|report| report.delivered).sum::<usize>(), 1, "{case}: {reports:?}");
    check_settled(&test, &case).await;
}

#[tokio::test]
async fn a_redrive_logs_a_call_whose_create_failed() {
    check_delivered(Fault::Status(503), NOT_ANSWERING, 2).await;
    check_delivered(Fault::DropBeforeEffect, NOT_ANSWERING, 2).await;
    check_delivered(Fault::DropBeforeAnswer, NOT_ANSWERING, 2).await;
    check_delivered(Fault::NoId, NOT_ANSWERING, 2).await;
    check_delivered(Fault::Truncated, NOT_ANSWERING, 2).await;
    check_delivered(Fault::RateLimited { retry_after: Some(90) }, RATE_LIMITED, 2).await;
    check_delivered(Fault::RateLimited { retry_after: None }, RATE_LIMITED, 1).await;
    check_delivered(Fault::Blocked, RATE_LIMITED, 1).await;
    check_delivered(Fault::Status(401), UNAUTHORIZED, 1).await;
}

#[tokio::test]
async fn an_attempt_without_a_response_is_settled_within_two_minutes() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the response is lost");
    test.redrive_for(1).await;
    let waiting = item(&test).await;
    assert_eq!((waiting.state, waiting.due_at), (State::OutcomeUnknown, Some(test.now_ms() + 60_000)));
    test.redrive_for(1).await;
    check_settled(&test, "two minutes later").await;
    assert_eq!(attempts(&test), (1, 2), "a second search and no second create");
}

#[tokio::test]
async fn a_redrive_logs_the_call_of_a_lease_holder_that_died() {
    for (case, route, after_ms) in
        [("before the post", Route::GetPerson, LEASE), ("after the post", Route::CreateActivity, SETTLED)]
    {
        let test = TestApp::start().await;
        let other = test.another_app().await;
        test.crm.next(route, SLOW);
        let dying = start(&other, &test.user, "POST", call(SESSION));
        match route {
            Route::CreateActivity => wait_for_activity(&test).await,
            route => wait_for_requests(&test, route, 1).await,
        }
        dying.abort();
        test.pass(after_ms);
        assert_eq!(test.redrive().await.delivered, 1, "{case}");
        check_settled(&test, case).await;
    }
}

#[tokio::test]
async fn a_redrive_writes_an_update_that_failed() {
    for fault in [Fault::Status(503), Fault::DropBeforeAnswer, Fault::RateLimited { retry_after: Some(30) }] {
        let test = logged().await;
        let case = format!("{fault:?}");
        test.crm.next(Route::UpdateActivity, fault);
        test.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
        test.crm.next(Route::GetActivity, Fault::Status(500));
        let response = test.patch(&update(json!({"aiNote": "Bob asked"}))).await;
        assert_eq!(response.body["successful"], false, "{case}: {}", response.body);
        test.redrive_for(2).await;
        check_text(&note(&test), &["Bob asked", "Wants a quote"], &[]);
        let item = item(&test).await;
        assert!(!item.has_undelivered() && item.due_at.is_none(), "{case}: {item:?}");
    }
}

#[tokio::test]
async fn a_redrive_writes_queued_updates_with_their_call() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call(SESSION)).await;
    let later = test.patch(&update(json!({"aiNote": "Bob asked"}))).await;
    check(&later, QUEUED_UNTIL_LOGGED, "while the call is not logged");
    test.crm.outage(None);
    test.redrive_for(2).await;
    check_text(&note(&test), &["Wants a quote", "Bob asked"], &[]);
    assert_eq!(test.crm.count(Route::UpdateActivity), 0, "the create contains the update");
}

#[tokio::test]
async fn everything_is_delivered_once_a_user_with_an_ended_session_connects_again() {
    let test = with_oauth().await;
    check(&test.post(&call(SESSION)).await, LOGGED, "before the session ends");
    test.crm.end_access();
    test.crm.next(Route::Token, Fault::Refusal(400, r#"{"error": "invalid_grant"}"#));
    for (method, body) in
        [("POST", call("2")), ("PATCH", update(json!({"aiNote": "Bob asked"}))), ("POST", call("3"))]
    {
        let response = test.send(&test.app, method, &body).await;
        assert_eq!((response.status, response.message()), (401, SESSION_ENDED), "{method}");
    }
    let requests = test.crm.requests().len();
    let reports = test.redrive_for(90).await;
    assert!(reports.iter().skip(1).all(|report| report.waiting == 3), "{reports:?}");
    assert_eq!(test.crm.requests().len(), requests, "no request is sent for a user who has to connect again");
    let mut user = test.user.clone();
    user.credentials = Some(Credentials::OAuth {
        access_token: Secret::new("an expired token"),
        refresh_token: Some(Secret::new(test.crm.refresh_token())),
        expires_at: None,
    });
    test.app.store.put_user(&user).await.unwrap();
    assert_eq!(test.redrive().await.delivered, 3);
    let notes: Vec<_> =
        test.crm.activities().iter().map(|activity| activity["note"].as_str().unwrap().to_owned()).collect();
    assert_eq!(notes.len(), 3);
    check_text(&notes[0], &["Bob asked"], &[]);
}

#[tokio::test]
async fn a_call_waits_a_month_at_most_for_its_user_to_connect_again() {
    for is_removed in [false, true] {
        let test = with_oauth().await;
        test.crm.end_access();
        test.crm.next(Route::Token, Fault::Refusal(400, r#"{"error": "invalid_grant"}"#));
        assert_eq!(test.post(&call(SESSION)).await.status, 401);
        if is_removed {
            test.app.store.remove_user(&test.user.key()).await.unwrap();
        }
        test.pass(29 * 24 * HOUR);
        assert_eq!(test.redrive().await.waiting, 1, "removed {is_removed}: within the month");
        test.pass(2 * 24 * HOUR);
        test.redrive().await;
        assert_eq!(test.redrive().await, Report::default(), "removed {is_removed}: after it");
        let expected = if is_removed { State::Retry } else { State::DeadLetter };
        assert_eq!(item(&test).await.state, expected, "removed {is_removed}");
    }
}

#[tokio::test]
async fn a_crm_that_is_down_gets_at_most_one_request_a_minute() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    for session in 0..20 {
        test.post(&call(&format!("90{session}"))).await;
    }
    test.redrive_for(10).await;
    let mut before = test.crm.requests().len();
    for minute in 0..240 {
        test.redrive_for(1).await;
        let now = test.crm.requests().len();
        assert!(now - before <= 1, "{} requests in minute {minute}", now - before);
        before = now;
    }
    test.crm.outage(None);
    let reports = test.redrive_for(15).await;
    assert_eq!(reports.iter().map(|report| report.delivered).sum::<usize>(), 20, "{reports:?}");
    assert_eq!(test.crm.activities().len(), 20);
}

#[tokio::test]
async fn a_redrive_sends_no_request_before_retry_after_has_passed() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::RateLimited { retry_after: Some(1_800) }));
    for session in ["1", "2"] {
        test.post(&call(session)).await;
    }
    test.redrive_for(31).await;
    let before = test.crm.requests().len();
    test.redrive_for(28).await;
    assert_eq!(test.crm.requests().len(), before, "no request for half an hour");
    test.crm.outage(None);
    test.redrive_for(3).await;
    assert_eq!(test.crm.activities().len(), 2);
}

#[tokio::test]
async fn a_redrive_leaves_half_of_the_burst_budget_to_live_traffic() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Status(401));
    test.post(&call(SESSION)).await;
    test.crm.leave(50);
    test.post(&call("2")).await;
    test.pass(60_000);
    let started = std::time::Instant::now();
    test.crm.leave(50);
    test.redrive().await;
    assert_eq!(test.crm.activities().len(), 2);
    // The test's clock does not advance by itself. The window of a minute ago has passed, so the redrive does not wait.
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_call_that_fails_for_three_days_is_a_dead_letter_until_an_operator_rearms_it() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call(SESSION)).await;
    for _ in 0..71 {
        test.pass(HOUR);
        test.redrive().await;
    }
    assert_eq!(item(&test).await.state, State::Retry, "three days have not passed");
    for _ in 0..3 {
        test.pass(HOUR);
        test.redrive().await;
    }
    let dead = item(&test).await;
    assert_eq!((dead.state, dead.due_at), (State::DeadLetter, None), "{dead:?}");
    assert!(dead.payload.is_some(), "an operator can rearm it");
    let before = test.crm.requests().len();
    test.crm.outage(None);
    test.redrive_for(30).await;
    assert_eq!(test.crm.requests().len(), before, "a dead letter is not tried again");
    let rearmed = test.app.store.rearm(&session_key(&test), &dead, test.now_ms()).await.unwrap();
    assert_eq!(rearmed, Rearmed::Done);
    test.redrive_for(1).await;
    check_settled(&test, "rearmed").await;
    let now = item(&test).await;
    let rearmed = test.app.store.rearm(&session_key(&test), &now, test.now_ms()).await.unwrap();
    assert_eq!(rearmed, Rearmed::Nothing, "a logged call is not rearmed");
}

#[tokio::test]
async fn a_redrive_removes_an_unreadable_item_from_the_index_and_changes_nothing_else() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call(SESSION)).await;
    test.crm.outage(None);
    damage(&test).await;
    let before = raw_item(&test).await;
    let reports = test.redrive_for(3).await;
    assert_eq!(reports.iter().map(|report| report.unreadable).sum::<usize>(), 1, "{reports:?}");
    assert_eq!(reports[2].due, 0, "the item is not read again");
    let mut after = raw_item(&test).await;
    for name in ["due_shard", "due_at"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_redrive_reports_items_with_keys_of_another_version_once() {
    let test = TestApp::start().await;
    for (partition, sort) in [("U#pipedrive#12345-pipedrive", "C#1#"), ("C#pipedrive#31#1", "LOG#0")] {
        let item = json!({
            "pk": {"S": partition}, "sk": {"S": sort}, "state": {"S": "RETRY"}, "lease_until": {"N": "0"},
            "due_shard": {"S": "D#1"}, "due_at": {"N": "1"},
        });
        let put = test.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
        assert_eq!(put, json!({}));
    }
    let reports = test.redrive_for(2).await;
    assert_eq!(reports.iter().map(|report| report.unreadable).collect::<Vec<_>>(), [2, 0], "{reports:?}");
    assert_eq!(test.crm.requests().len(), 0);
}

#[tokio::test]
async fn the_payload_of_a_request_is_stored_encrypted_and_only_until_the_call_is_logged() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    test.post(&call(SESSION)).await;
    let item = raw_item(&test).await.to_string();
    assert!(item.contains("\"payload\""), "{item}");
    for words in ["Wants a quote", "+12135550111", "Bob Client", "BOB CLIENT", "Ada Agent"] {
        assert!(!item.contains(words), "{words} in {item}");
    }
    test.crm.outage(None);
    test.redrive_for(2).await;
    assert_eq!(raw_item(&test).await["payload"], Value::Null);
}

/// The payload of the longest request does not fit into an item, so the response asks the caller to send it again.
#[tokio::test]
async fn a_call_that_is_too_long_to_store_has_to_be_sent_again() {
    let test = TestApp::start().await;
    let mut long = call(SESSION);
    long["additionalSubmission"] = json!({"memo": random_letters(900_000)});
    test.crm.outage(Some(Fault::Status(503)));
    let response = test.post(&long).await;
    assert!(response.body.to_string().contains("Send it again"), "{}", response.body);
    test.crm.outage(None);
    test.redrive_for(5).await;
    assert_eq!(test.crm.activities().len(), 0);
    test.pass(LEASE);
    check(&test.post(&long).await, LOGGED, "sent again");
    activity(&test);
}

/// A redrive reads a call with nothing to deliver. Before it settles the call, an update claims it, with a lease that
/// expires at the same time.
#[tokio::test]
async fn a_redrive_does_not_settle_a_call_that_was_claimed_after_it_was_read() {
    let test = logged().await;
    let (key, now_ms) = (session_key(&test), test.now_ms());
    let lease = |holder| Lease { key: &key, user: &test.user.id, holder, now_ms, until_ms: now_ms };
    test.app.store.claim_update(&lease("the first"), Change::AlreadyQueued).await.unwrap();
    let seen = item(&test).await;
    let details = CallDetails { result: Some("Voicemail".to_owned()), ..CallDetails::default() };
    test.app
        .store
        .claim_update(&lease("the second"), Change::New(queued(&test, "the update", &details), Basis::Unread))
        .await
        .unwrap();
    test.app.store.settle(&key, &seen, now_ms, now_ms).await.unwrap();
    let now = item(&test).await;
    assert_eq!((now.lease_holder.as_deref(), now.due_at), (Some("the second"), Some(now_ms)));
}
