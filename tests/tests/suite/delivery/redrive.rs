//! What could not be delivered is delivered as soon as it can be, without anybody asking.

use call_log::{
    delivery::redrive::Report,
    model::{CallDetails, Credentials, Secret},
    store::{Change, Lease, Rearmed, State},
};

use super::*;

const HOUR: i64 = 3_600_000;
const RATE_LIMITED: &str = "Rate limit exceeded";
const SESSION_ENDED: &str = "User session expired. Please connect again.";

/// A world whose user has a grant that can end.
async fn connected() -> TestApp {
    TestApp::with_credentials(Credentials::OAuth {
        access_token: Secret::new(tests::pipedrive::ACCESS_TOKEN),
        refresh_token: Some(Secret::new(tests::pipedrive::REFRESH_TOKEN)),
        expires_at: None,
    })
    .await
}

pub(super) async fn item(world: &TestApp) -> call_log::store::CallItem {
    world.app.store.call(&session_key(world)).await.unwrap().unwrap()
}

/// Fails unless the call is in the CRM once with its note, and nothing of it waits.
pub(super) async fn check_settled(world: &TestApp, case: &str) {
    check_text(&note(world), &["Wants a quote"], &[]);
    let item = item(world).await;
    assert_eq!(
        (item.state, item.lease_holder.as_deref(), item.lease_expires_at),
        (State::Logged, None, 0),
        "{case}"
    );
    assert!(item.payload.is_none() && !item.has_undelivered(), "{case}: {item:?}");
    let again = world.post(&call(SESSION)).await;
    assert_eq!((again.message(), again.log_id()), (ALREADY, Some("5001")), "{case}: a retry learns the id");
}

/// The key of the tests' call in the table.
fn raw_key() -> Value {
    json!({"pk": {"S": "U#pipedrive#12345-pipedrive"}, "sk": {"S": format!("C#{SESSION}#")}})
}

/// The item as it lies in the table.
async fn raw_item(world: &TestApp) -> Value {
    let body = json!({"TableName": "calls", "Key": raw_key(), "ConsistentRead": true});
    world.dynamodb.ask("GetItem", &body).await["Item"].clone()
}

/// Makes the item one that this version cannot read.
async fn damage(world: &TestApp) {
    let body = json!({
        "TableName": "calls", "Key": raw_key(), "UpdateExpression": "SET #state = :later",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":later": {"S": "OF A LATER VERSION"}},
    });
    world.dynamodb.ask("UpdateItem", &body).await;
}

/// The call meets this fault, and a search for it fails; then all is well again.
async fn check_delivered(fault: Fault, message: &str, minutes: u32) {
    let case = format!("{fault:?}");
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, fault);
    world.crm.next(Route::ListActivities, Fault::Status(500));
    let answer = world.post(&call(SESSION)).await;
    assert_eq!((answer.status, answer.message()), (200, message), "{case}");
    assert_eq!(world.redrive().await, Report::default(), "{case}: nothing is due yet");
    let reports = world.redrive_for(minutes).await;
    assert_eq!(reports.iter().map(|report| report.delivered).sum::<usize>(), 1, "{case}: {reports:?}");
    check_settled(&world, &case).await;
}

#[tokio::test]
async fn a_call_that_failed_is_logged_by_itself() {
    check_delivered(Fault::Status(503), NO_ANSWER, 2).await;
    check_delivered(Fault::DropBeforeEffect, NO_ANSWER, 2).await;
    check_delivered(Fault::DropBeforeAnswer, NO_ANSWER, 2).await;
    check_delivered(Fault::NoId, NO_ANSWER, 2).await;
    check_delivered(Fault::Truncated, NO_ANSWER, 2).await;
    check_delivered(Fault::RateLimited { retry_after: Some(90) }, RATE_LIMITED, 2).await;
    check_delivered(Fault::RateLimited { retry_after: None }, RATE_LIMITED, 1).await;
    check_delivered(Fault::Blocked, RATE_LIMITED, 1).await;
    check_delivered(Fault::Status(401), "Authorization error", 1).await;
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_settled_within_ninety_seconds() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    world.crm.next(Route::ListActivities, Fault::Status(500));
    check(&world.post(&call(SESSION)).await, NO_ANSWER, "the answer is lost");
    world.redrive_for(1).await;
    check_settled(&world, "a minute later").await;
    assert_eq!(attempts(&world), (1, 2), "looked for once more, and not made again");
}

#[tokio::test]
async fn an_owner_that_died_has_a_successor() {
    for (case, step) in [("before the post", Fault::DropBeforeEffect), ("after it", Fault::DropBeforeAnswer)]
    {
        let world = TestApp::start().await;
        let mortal = world.another_app().await;
        world.crm.next(Route::CreateActivity, step);
        world.crm.next(Route::ListActivities, SLOW);
        let dying = start(&mortal, &world.user, "POST", call(SESSION));
        arrived(&world, Route::CreateActivity, 1).await;
        dying.abort();
        world.pass(LEASE);
        assert_eq!(world.redrive().await.delivered, 1, "{case}");
        check_settled(&world, case).await;
    }
}

#[tokio::test]
async fn an_update_that_failed_is_written_by_itself() {
    for fault in [Fault::Status(503), Fault::DropBeforeAnswer, Fault::RateLimited { retry_after: Some(30) }] {
        let world = logged().await;
        let case = format!("{fault:?}");
        world.crm.next(Route::UpdateActivity, fault);
        world.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
        world.crm.next(Route::GetActivity, Fault::Status(500));
        let answer = world.patch(&update(json!({"aiNote": "Bob asked"}))).await;
        assert_eq!(answer.body["successful"], false, "{case}: {}", answer.body);
        world.redrive_for(2).await;
        check_text(&note(&world), &["Bob asked", "Wants a quote"], &[]);
        let item = item(&world).await;
        assert!(!item.has_undelivered() && item.due_at.is_none(), "{case}: {item:?}");
    }
}

#[tokio::test]
async fn what_is_parked_goes_with_the_call_that_is_logged_later() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call(SESSION)).await;
    let later = world.patch(&update(json!({"aiNote": "Bob asked"}))).await;
    check(&later, PARKED, "while it waits");
    world.crm.outage(None);
    world.redrive_for(2).await;
    check_text(&note(&world), &["Wants a quote", "Bob asked"], &[]);
    assert_eq!(world.crm.count(Route::UpdateActivity), 0, "in one write");
}

#[tokio::test]
async fn after_an_ended_session_everything_is_delivered_when_the_user_connects_again() {
    let world = connected().await;
    check(&world.post(&call(SESSION)).await, LOGGED, "before");
    world.crm.end_access();
    world.crm.next(Route::Token, Fault::Refusal(400, r#"{"error": "invalid_grant"}"#));
    for (method, body) in
        [("POST", call("2")), ("PATCH", update(json!({"aiNote": "Bob asked"}))), ("POST", call("3"))]
    {
        let answer = world.send(&world.app, method, &body).await;
        assert_eq!((answer.status, answer.message()), (401, SESSION_ENDED), "{method}");
    }
    let requests = world.crm.requests().len();
    let reports = world.redrive_for(90).await;
    assert!(reports.iter().skip(1).all(|report| report.waiting == 3), "{reports:?}");
    assert_eq!(world.crm.requests().len(), requests, "nobody is asked for a user who has to connect again");
    let mut user = world.user.clone();
    user.credentials = Some(Credentials::OAuth {
        access_token: Secret::new("one that has to be renewed"),
        refresh_token: Some(Secret::new(world.crm.refresh_token())),
        expires_at: None,
    });
    world.app.store.put_user(&user).await.unwrap();
    assert_eq!(world.redrive().await.delivered, 3);
    let notes: Vec<_> =
        world.crm.activities().iter().map(|activity| activity["note"].as_str().unwrap().to_owned()).collect();
    assert_eq!(notes.len(), 3);
    check_text(&notes[0], &["Bob asked"], &[]);
}

#[tokio::test]
async fn who_never_connects_again_is_not_waited_for_longer_than_a_month() {
    for is_removed in [false, true] {
        let world = connected().await;
        world.crm.end_access();
        world.crm.next(Route::Token, Fault::Refusal(400, r#"{"error": "invalid_grant"}"#));
        assert_eq!(world.post(&call(SESSION)).await.status, 401);
        if is_removed {
            world.app.store.remove_user(&world.user.key()).await.unwrap();
        }
        world.pass(29 * 24 * HOUR);
        assert_eq!(world.redrive().await.waiting, 1, "removed {is_removed}: within the month");
        world.pass(2 * 24 * HOUR);
        world.redrive().await;
        assert_eq!(world.redrive().await, Report::default(), "removed {is_removed}: after it");
        let expected = if is_removed { State::Retry } else { State::DeadLetter };
        assert_eq!(item(&world).await.state, expected, "removed {is_removed}");
    }
}

#[tokio::test]
async fn a_crm_that_is_down_is_asked_once_a_minute_at_most() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    for session in 0..20 {
        world.post(&call(&format!("90{session}"))).await;
    }
    world.redrive_for(10).await;
    let mut before = world.crm.requests().len();
    for minute in 0..240 {
        world.redrive_for(1).await;
        let now = world.crm.requests().len();
        assert!(now - before <= 1, "{} requests in minute {minute}", now - before);
        before = now;
    }
    world.crm.outage(None);
    let reports = world.redrive_for(15).await;
    assert_eq!(reports.iter().map(|report| report.delivered).sum::<usize>(), 20, "{reports:?}");
    assert_eq!(world.crm.activities().len(), 20);
}

#[tokio::test]
async fn a_rest_that_the_crm_asks_for_is_kept() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::RateLimited { retry_after: Some(1_800) }));
    for session in ["1", "2"] {
        world.post(&call(session)).await;
    }
    world.redrive_for(31).await;
    let asked = world.crm.requests().len();
    world.redrive_for(28).await;
    assert_eq!(world.crm.requests().len(), asked, "half an hour of peace");
    world.crm.outage(None);
    world.redrive_for(3).await;
    assert_eq!(world.crm.activities().len(), 2);
}

#[tokio::test]
async fn half_of_the_burst_budget_is_left_to_live_traffic() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::Status(401));
    world.post(&call(SESSION)).await;
    world.crm.leave(50);
    world.post(&call("2")).await;
    world.pass(60_000);
    let started = std::time::Instant::now();
    world.crm.leave(50);
    world.redrive().await;
    assert_eq!(world.crm.activities().len(), 2);
    // The clock of the test stands still: the window that was seen a minute ago has passed, so nobody waits for it.
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn what_fails_for_three_days_is_a_dead_letter_until_somebody_wants_it() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call(SESSION)).await;
    for _ in 0..71 {
        world.pass(HOUR);
        world.redrive().await;
    }
    assert_eq!(item(&world).await.state, State::Retry, "three days are not over");
    for _ in 0..3 {
        world.pass(HOUR);
        world.redrive().await;
    }
    let dead = item(&world).await;
    assert_eq!((dead.state, dead.due_at), (State::DeadLetter, None), "{dead:?}");
    assert!(dead.payload.is_some(), "it can be tried again");
    let asked = world.crm.requests().len();
    world.crm.outage(None);
    world.redrive_for(30).await;
    assert_eq!(world.crm.requests().len(), asked, "given up");
    let rearmed = world.app.store.rearm(&session_key(&world), &dead, world.now_ms()).await.unwrap();
    assert_eq!(rearmed, Rearmed::Done);
    world.redrive_for(1).await;
    check_settled(&world, "rearmed").await;
    let now = item(&world).await;
    let rearmed = world.app.store.rearm(&session_key(&world), &now, world.now_ms()).await.unwrap();
    assert_eq!(rearmed, Rearmed::Nothing, "it is logged");
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_set_aside_as_it_is() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call(SESSION)).await;
    world.crm.outage(None);
    damage(&world).await;
    let before = raw_item(&world).await;
    let reports = world.redrive_for(3).await;
    assert_eq!(reports.iter().map(|report| report.unreadable).sum::<usize>(), 1, "{reports:?}");
    assert_eq!(reports[2].due, 0, "it is not looked at again");
    let mut after = raw_item(&world).await;
    for name in ["due_shard", "due_at"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_a_request_brought_lies_sealed_and_only_until_the_call_is_logged() {
    let world = TestApp::start().await;
    world.crm.outage(Some(Fault::Status(503)));
    world.post(&call(SESSION)).await;
    let item = raw_item(&world).await.to_string();
    assert!(item.contains("\"payload\""), "{item}");
    for words in ["Wants a quote", "+12135550111", "Bob Client", "BOB CLIENT", "Ada Agent"] {
        assert!(!item.contains(words), "{words} in {item}");
    }
    world.crm.outage(None);
    world.redrive_for(2).await;
    assert_eq!(raw_item(&world).await["payload"], Value::Null);
}

/// A call as long as a request can be does not fit into the table beside everything else: then it is its sender's to
/// send again, and told so.
#[tokio::test]
async fn a_call_that_is_too_long_to_keep_is_its_senders() {
    let world = TestApp::start().await;
    let mut long = call(SESSION);
    long["additionalSubmission"] =
        json!({"memo": random_letters().take(900_000).map(char::from).collect::<String>()});
    world.crm.outage(Some(Fault::Status(503)));
    let answer = world.post(&long).await;
    assert!(answer.body.to_string().contains("Send it again"), "{}", answer.body);
    world.crm.outage(None);
    world.redrive_for(5).await;
    assert_eq!(world.crm.activities().len(), 0);
    world.pass(LEASE);
    check(&world.post(&long).await, LOGGED, "sent again");
    activity(&world);
}

/// Letters that no compression shortens much.
fn random_letters() -> impl Iterator<Item = u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'0' + (state % 64) as u8
    })
    .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { b'-' })
}

/// A redrive sees a call with nothing to do; before it settles that, another claims it, whose lease ends just then too.
#[tokio::test]
async fn nothing_is_settled_that_was_claimed_since() {
    let world = logged().await;
    let (key, now_ms) = (session_key(&world), world.now_ms());
    let lease = |owner| Lease { key: &key, holder: owner, now_ms, until_ms: now_ms };
    world.app.store.claim_update(&lease("the dead"), Change::AlreadyQueued).await.unwrap();
    let seen = item(&world).await;
    let facts = CallDetails { result: Some("Voicemail".to_owned()), ..CallDetails::default() };
    world.app.store.claim_update(&lease("the late"), Change::New(&facts)).await.unwrap();
    world.app.store.settle(&key, &seen, now_ms, now_ms).await.unwrap();
    let now = item(&world).await;
    assert_eq!((now.lease_holder.as_deref(), now.due_at), (Some("the late"), Some(now_ms)));
}
