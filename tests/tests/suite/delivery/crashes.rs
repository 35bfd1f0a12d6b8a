//! Invocations that die, pause until their lease has expired, or lose a response of DynamoDB.

use call_log::{
    model::{CallDuration, CallLogId, Contact, ContactId, Direction},
    store::{Change, ClaimCreate, ClaimUpdate, Event, Finish, LastWritten, Lease, Release, State},
};
use chrono::DateTime;

use super::{redrive::check_settled, *};

/// Returns a lease that starts now.
fn lease<'a>(test: &'a TestApp, key: &'a LogKey, holder: &'a str) -> Lease<'a> {
    Lease {
        key,
        user: &test.user.id,
        holder,
        now_ms: test.now_ms(),
        until_ms: test.now_ms() + INVOCATION_MS + 30_000,
    }
}

/// Returns the payload of the tests' call.
fn payload() -> Payload {
    let start = DateTime::from_timestamp_millis(1_741_794_325_000);
    let (direction, duration) = (Some(Direction::Inbound), Some(CallDuration::Seconds(65)));
    let contact = Contact { id: ContactId::new("77").unwrap(), kind: None, name: None, phone_number: None };
    let details = CallDetails { start, direction, duration, ..CallDetails::default() };
    Payload {
        contact: Some(contact),
        details,
        has_note: false,
        additional: serde_json::Map::new(),
        owner: None,
        owner_token_issued_at: None,
        owner_extension: None,
        zone: None,
        has_authorization: false,
    }
}

/// Claims the call and does nothing more, like an invocation that dies.
async fn claim_and_die(test: &TestApp) {
    let key = session_key(test);
    let claim = test
        .app
        .store
        .claim_create(&lease(test, &key, "a dead holder"), purpose(test, &payload()))
        .await
        .unwrap();
    assert!(matches!(claim, ClaimCreate::Claimed { .. }));
}

/// Sends a create with so little time that it does not wait for the lease holder.
async fn hasty_create(test: &TestApp) -> Response {
    let token = test.app.issue_token(&test.user, 1);
    send(&test.app, "POST", &token, call(SESSION).to_string().into_bytes(), 50).await
}

#[tokio::test]
async fn if_a_lease_holder_dies_before_the_post_a_retry_logs_the_call_after_the_lease() {
    let test = TestApp::start().await;
    claim_and_die(&test).await;
    for _ in 0..2 {
        check(&hasty_create(&test).await, BEING_LOGGED, "within the lease");
        test.pass(LEASE / 2 - 1_000);
    }
    assert_eq!(test.crm.requests().len(), 0);
    test.pass(2_000);
    check(&test.post(&call(SESSION)).await, LOGGED, "after the lease");
    assert_eq!(attempts(&test), (1, 1), "a search before the create");
    activity(&test);
}

#[tokio::test]
async fn if_a_lease_holder_dies_after_the_post_a_retry_finds_its_record() {
    let test = TestApp::start().await;
    let (other, dynamodb) = test.proxied_app().await;
    test.crm.next(Route::CreateActivity, SLOW);
    let dying = start(&other, &test.user, "POST", call(SESSION));
    wait_for_requests(&test, Route::CreateActivity, 1).await;
    for _ in 0..10 {
        dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
    }
    assert_eq!(dying.await.unwrap().status, 503, "the id could not be stored");
    check(&hasty_create(&test).await, BEING_LOGGED, "within the lease");
    test.pass(SETTLED);
    let found = test.post(&call(SESSION)).await;
    assert_eq!((found.message(), found.log_id()), (LOGGED, Some("5001")));
    assert_eq!(attempts(&test), (1, 1));
    assert_eq!(test.crm.count(Route::UpdateActivity), 0, "the record has what both attempts sent");
    activity(&test);
}

#[tokio::test]
async fn a_write_to_dynamodb_whose_response_was_lost_is_recognised() {
    let test = TestApp::start().await;
    let (app, dynamodb) = test.proxied_app().await;
    let key = session_key(&test);
    let lease = lease(&test, &key, "the holder");
    dynamodb.next(DYNAMODB, Fault::DropBeforeAnswer);
    let ClaimCreate::Claimed { item, .. } =
        app.store.claim_create(&lease, purpose(&test, &payload())).await.unwrap()
    else {
        panic!("the invocation conflicts with its own claim")
    };
    assert!(!item.outcome_unknown, "its own claim is not an earlier attempt");
    let id = CallLogId::new("5001").unwrap();
    dynamodb.next(DYNAMODB, Fault::DropBeforeAnswer);
    let finished = app.store.finish(&lease, &id, &item, &LastWritten::default()).await.unwrap();
    assert!(matches!(finished, Finish::Released), "{finished:?}");
    dynamodb.next(DYNAMODB, Fault::DropBeforeAnswer);
    let claim = app
        .store
        .claim_update(
            &lease,
            Change::New(queued(&test, "the update", &CallDetails::default()), Basis::Unread),
        )
        .await
        .unwrap();
    let ClaimUpdate::Claimed(item, _) = claim else { panic!("the invocation conflicts with its own claim") };
    assert_eq!(item.queued_version, 1, "queued once");
    assert_eq!(dynamodb.count(DYNAMODB), 6);
}

#[tokio::test]
async fn a_repeated_claim_and_a_repeated_finish_succeed() {
    let test = TestApp::start().await;
    let key = session_key(&test);
    let lease = lease(&test, &key, "the holder");
    let mut items = Vec::new();
    for _ in 0..2 {
        let ClaimCreate::Claimed { item, .. } =
            test.app.store.claim_create(&lease, purpose(&test, &payload())).await.unwrap()
        else {
            panic!("the claim was rejected")
        };
        items.push(item);
    }
    assert_eq!((items[0].fence, &items[0].payload), (1, &items[1].payload));
    let id = CallLogId::new("5001").unwrap();
    for _ in 0..2 {
        let finished = test.app.store.finish(&lease, &id, &items[0], &LastWritten::default()).await.unwrap();
        assert!(matches!(finished, Finish::Released), "{finished:?}");
    }
}

#[tokio::test]
async fn a_lease_holder_that_wakes_after_its_lease_changes_nothing() {
    let test = TestApp::start().await;
    let key = session_key(&test);
    let (sleeper, successor) = (lease(&test, &key, "sleeper"), "successor");
    let ClaimCreate::Claimed { item, .. } =
        test.app.store.claim_create(&sleeper, purpose(&test, &payload())).await.unwrap()
    else {
        panic!("the claim was rejected")
    };
    let early = test
        .app
        .store
        .claim_create(&lease(&test, &key, successor), purpose(&test, &payload()))
        .await
        .unwrap();
    assert!(matches!(early, ClaimCreate::Rejected(_)), "{early:?}");
    test.pass(LEASE);
    let ClaimCreate::Claimed { item: taken, .. } = test
        .app
        .store
        .claim_create(&lease(&test, &key, successor), purpose(&test, &payload()))
        .await
        .unwrap()
    else {
        panic!("the claim was rejected")
    };
    assert!(taken.outcome_unknown, "the sleeper may have sent its POST");
    let id = CallLogId::new("5001").unwrap();
    let finished = test.app.store.finish(&sleeper, &id, &item, &LastWritten::default()).await.unwrap();
    assert!(matches!(finished, Finish::Lost), "{finished:?}");
    let kept = test.app.store.keep(&sleeper, &id, &item, &LastWritten::default()).await.unwrap();
    assert!(matches!(kept, Finish::Lost), "{kept:?}");
    test.app.store.release(&sleeper, &item, Release::new(Event::Failed, "late")).await.unwrap();
    let now = test.app.store.call(&key).await.unwrap().unwrap();
    assert_eq!(
        (now.state, now.lease_holder.as_deref(), now.log_id),
        (State::Creating, Some(successor), None)
    );
}

#[tokio::test]
async fn if_an_updater_dies_the_next_update_after_its_lease_writes_its_details() {
    let test = logged().await;
    let key = session_key(&test);
    let details = CallDetails { result: Some("Voicemail".to_owned()), ..CallDetails::default() };
    let claim = test
        .app
        .store
        .claim_update(
            &lease(&test, &key, "a dead holder"),
            Change::New(queued(&test, "the update", &details), Basis::Unread),
        )
        .await
        .unwrap();
    assert!(matches!(claim, ClaimUpdate::Claimed(..)));
    let token = test.app.issue_token(&test.user, 1);
    let body = update(json!({"aiNote": "Bob asked"})).to_string().into_bytes();
    let response = send(&test.app, "PATCH", &token, body, 50).await;
    assert_eq!(response.message(), QUEUED);
    assert_eq!(test.crm.count(Route::UpdateActivity), 0);
    test.pass(LEASE);
    check(&test.patch(&update(json!({"transcript": "Ada: Hello"}))).await, UPDATED, "after the lease");
    check_text(&note(&test), &["Voicemail", "Bob asked", "Ada: Hello"], &[]);
    assert_eq!(test.crm.count(Route::UpdateActivity), 1, "one change with all three details");
}

#[tokio::test]
async fn the_lease_is_released_after_a_rejected_update_even_if_another_is_queued() {
    let test = logged().await;
    let key = session_key(&test);
    let lease = lease(&test, &key, "the holder");
    let details = CallDetails { result: Some("rejected".to_owned()), ..CallDetails::default() };
    let ClaimUpdate::Claimed(item, _) = test
        .app
        .store
        .claim_update(&lease, Change::New(queued(&test, "the update", &details), Basis::Unread))
        .await
        .unwrap()
    else {
        panic!("the claim was rejected")
    };
    let more = CallDetails { ai_note: Some("Bob asked".to_owned()), ..CallDetails::default() };
    test.app
        .store
        .enqueue(&key, queued(&test, "another update", &more), Basis::Unread, test.now_ms())
        .await
        .unwrap();
    let rejected = Release { drops_queued: true, ..Release::new(Event::Failed, "rejected") };
    test.app.store.release(&lease, &item, rejected).await.unwrap();
    let now = test.app.store.call(&key).await.unwrap().unwrap();
    assert_eq!((&now.lease_holder, now.lease_expires_at), (&None, 0));
    assert_eq!(now.queued_details().ai_note.as_deref(), Some("Bob asked"));
}

/// An updater dies after it has changed the subject in the CRM and before it has stored that; then an update has
/// another subject.
#[tokio::test]
async fn a_subject_whose_writer_died_is_not_mistaken_for_an_edit() {
    let test = logged().await;
    let (other, dynamodb) = test.proxied_app().await;
    test.crm.next(Route::UpdateActivity, SLOW);
    let dying = start(&other, &test.user, "PATCH", update(json!({"subject": "Quote"})));
    wait_for_requests(&test, Route::UpdateActivity, 1).await;
    for _ in 0..10 {
        dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
    }
    assert_eq!(dying.await.unwrap().status, 503, "the result of the change could not be stored");
    assert_eq!(activity(&test)["subject"], "Quote");
    test.pass(LEASE);
    check(&test.patch(&update(json!({"subject": "Quote for Bob"}))).await, UPDATED, "the next update");
    assert_eq!(activity(&test)["subject"], "Quote for Bob");
    test.crm.edit(5001, "subject", json!("Quote"));
    check(&test.patch(&update(json!({"subject": "Quote, third"}))).await, UPDATED, "an update after an edit");
    assert_eq!(activity(&test)["subject"], "Quote", "the person's subject stays");
}

/// An updater dies after it has changed a section of the note; then a person adds a line below.
#[tokio::test]
async fn a_section_whose_writer_died_is_not_mistaken_for_an_edit() {
    for (field, first, second) in [
        ("note", "The first", "The second"),
        ("note", "The first", "Wants a quote"),
        ("aiNote", "The first\nof them", "The second"),
        ("transcript", "The first", "The first\nand more"),
    ] {
        let test = logged().await;
        let (other, dynamodb) = test.proxied_app().await;
        test.crm.next(Route::UpdateActivity, SLOW);
        let dying = start(&other, &test.user, "PATCH", update(json!({field: first})));
        wait_for_requests(&test, Route::UpdateActivity, 1).await;
        for _ in 0..10 {
            dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
        }
        assert_eq!(dying.await.unwrap().status, 503, "{field}: the result of the change could not be stored");
        check_text(&note(&test), &[first.lines().next().unwrap()], &[]);
        let below = format!("{}<div>Typed by a person</div>", note(&test));
        test.crm.edit(5001, "note", json!(below));
        test.pass(LEASE);
        check(&test.patch(&update(json!({field: second}))).await, UPDATED, field);
        let body = note(&test);
        check_text(&body, &["Typed by a person"], &["edited in the CRM", "of them"]);
        assert!(second.lines().all(|line| body.contains(line)), "{field}: {body}");
        assert_eq!(body.matches("The first").count(), second.matches("The first").count(), "{field}: {body}");
    }
}

/// An updater claims the call after another invocation has written every queued update, and dies.
#[tokio::test]
async fn a_redrive_settles_the_call_of_a_lease_holder_that_died_with_nothing_to_write() {
    let test = logged().await;
    let key = session_key(&test);
    let now_ms = test.now_ms();
    let user = &test.user.id;
    let lease = Lease { key: &key, user, holder: "a dead holder", now_ms, until_ms: now_ms + INVOCATION_MS };
    let claim = test.app.store.claim_update(&lease, Change::AlreadyQueued).await.unwrap();
    assert!(matches!(claim, ClaimUpdate::Claimed(..)), "{claim:?}");
    test.redrive_for(2).await;
    check_settled(&test, "after its lease").await;
}

/// An updater dies after it has changed a field; then another update corrects it, or a person has changed it.
#[tokio::test]
async fn a_field_whose_writer_died_is_not_mistaken_for_an_edit() {
    // The field of the activity, two corrections, the value after the first one, a person's edit, and the value in the end.
    let start = |minutes: i64| json!({"startTime": 1_741_794_325_000_i64 + minutes * 60_000});
    let duration = |seconds: i64| json!({"duration": seconds});
    let turned = |direction: &str| json!({"direction": direction});
    let named = |name: &str| json!({"direction": "Inbound", "contactName": name});
    let [bob, ann] = [
        ["Outbound Call to Bob Client", "Inbound Call from Bob Client"],
        ["Inbound Call from Ann", "Inbound Call from Bea"],
    ];
    for (field, first, second, written, edit, expected) in [
        ("duration", duration(180), duration(300), "00:03", None, "00:05"),
        ("duration", duration(180), duration(300), "00:03", Some("00:30"), "00:30"),
        ("due_time", start(1), start(2), "15:46", None, "15:47"),
        ("due_time", start(1), start(2), "15:46", Some("09:30"), "09:30"),
        ("subject", turned("Outbound"), turned("Inbound"), bob[0], None, bob[1]),
        ("subject", turned("Outbound"), turned("Inbound"), bob[0], Some("Bob, urgent"), "Bob, urgent"),
        ("subject", named("Ann"), named("Bea"), ann[0], None, ann[1]),
        (
            "subject",
            named("Ann"),
            named("Bea"),
            ann[0],
            Some("Inbound Call from Anne"),
            "Inbound Call from Anne",
        ),
    ] {
        let test = logged().await;
        let (other, dynamodb) = test.proxied_app().await;
        test.crm.next(Route::UpdateActivity, SLOW);
        let dying = super::start(&other, &test.user, "PATCH", update(first.clone()));
        wait_for_requests(&test, Route::UpdateActivity, 1).await;
        for _ in 0..10 {
            dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
        }
        assert_eq!(dying.await.unwrap().status, 503, "the result of the change could not be stored");
        assert_eq!(activity(&test)[field], written, "{first}");
        if let Some(edit) = edit {
            test.crm.edit(5001, field, json!(edit));
        }
        test.pass(LEASE);
        check(&test.patch(&update(second)).await, UPDATED, "the next update");
        assert_eq!(activity(&test)[field], expected, "{first} {edit:?}");
    }
}
