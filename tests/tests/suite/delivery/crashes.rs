//! Invocations that die, sleep past their lease, or lose DynamoDB's answer.

use call_log::{
    model::{CallDetails, CallLogId, Contact, ContactId, Payload},
    store::{Change, ClaimCreate, ClaimUpdate, Event, Finish, LastWritten, Lease, Purpose, Release, State},
};
use chrono::DateTime;

use super::{redrive::check_settled, *};

/// A lease as an invocation takes it now.
fn lease<'a>(world: &TestApp, key: &'a CallKey, owner: &'a str) -> Lease<'a> {
    Lease { key, holder: owner, now_ms: world.now_ms(), until_ms: world.now_ms() + INVOCATION_MS + 30_000 }
}

/// What the tests' call brings.
fn payload() -> Payload {
    let start = DateTime::from_timestamp_millis(1_741_794_325_000);
    let contact = Contact { id: ContactId::new("77").unwrap(), kind: None, name: None, phone_number: None };
    let facts = CallDetails { start, ..CallDetails::default() };
    Payload { contact, details: facts, additional: serde_json::Map::new(), zone: None }
}

/// Claims the call and dies.
async fn claim_and_die(world: &TestApp) {
    let key = session_key(world);
    let claim = world
        .app
        .store
        .claim_create(&lease(world, &key, "the dead"), Purpose::Request(&payload()))
        .await
        .unwrap();
    assert!(matches!(claim, ClaimCreate::Claimed(_)));
}

/// A create with so little time that it does not wait for others.
async fn hasty_create(world: &TestApp) -> Answer {
    let token = world.app.issue_token(&world.user, 1);
    send(&world.app, "POST", &token, call(SESSION).to_string().into_bytes(), 50).await
}

#[tokio::test]
async fn an_owner_that_dies_before_the_post_is_followed_after_its_lease() {
    let world = TestApp::start().await;
    claim_and_die(&world).await;
    for _ in 0..2 {
        check(&hasty_create(&world).await, BEING_LOGGED, "within the lease");
        world.pass(LEASE / 2 - 1_000);
    }
    assert_eq!(world.crm.requests().len(), 0);
    world.pass(2_000);
    check(&world.post(&call(SESSION)).await, LOGGED, "after the lease");
    assert_eq!(attempts(&world), (1, 1), "looked for first");
    activity(&world);
}

#[tokio::test]
async fn an_owner_that_dies_after_the_post_has_logged_the_call() {
    let world = TestApp::start().await;
    let (mortal, dynamodb) = world.proxied_app().await;
    world.crm.next(Route::CreateActivity, SLOW);
    let dying = start(&mortal, &world.user, "POST", call(SESSION));
    arrived(&world, Route::CreateActivity, 1).await;
    for _ in 0..10 {
        dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
    }
    assert_eq!(dying.await.unwrap().status, 503, "its id could not be stored");
    check(&hasty_create(&world).await, BEING_LOGGED, "within the lease");
    world.pass(LEASE);
    let found = world.post(&call(SESSION)).await;
    assert_eq!((found.message(), found.log_id()), (LOGGED, Some("5001")));
    assert_eq!(attempts(&world), (1, 1));
    assert_eq!(world.crm.count(Route::UpdateActivity), 1, "only the duration is not known to be there");
    activity(&world);
}

#[tokio::test]
async fn a_lost_answer_of_dynamodb_is_recognised() {
    let world = TestApp::start().await;
    let (app, dynamodb) = world.proxied_app().await;
    let key = session_key(&world);
    let me = lease(&world, &key, "me");
    dynamodb.next(DYNAMODB, Fault::DropBeforeAnswer);
    let ClaimCreate::Claimed(item) = app.store.claim_create(&me, Purpose::Request(&payload())).await.unwrap()
    else {
        panic!("refused by itself")
    };
    assert!(!item.outcome_unknown, "its own claim is no earlier attempt");
    let id = CallLogId::new("5001").unwrap();
    dynamodb.next(DYNAMODB, Fault::DropBeforeAnswer);
    let finished = app.store.finish(&me, &id, &item, &LastWritten::default()).await.unwrap();
    assert!(matches!(finished, Finish::Released), "{finished:?}");
    dynamodb.next(DYNAMODB, Fault::DropBeforeAnswer);
    let claim = app.store.claim_update(&me, Change::New(&CallDetails::default())).await.unwrap();
    let ClaimUpdate::Claimed(item) = claim else { panic!("refused by itself") };
    assert_eq!(item.queued_version, 1, "noted once");
    assert_eq!(dynamodb.count(DYNAMODB), 6);
}

#[tokio::test]
async fn a_claim_and_a_finish_that_are_repeated_recognise_themselves() {
    let world = TestApp::start().await;
    let key = session_key(&world);
    let me = lease(&world, &key, "me");
    let mut items = Vec::new();
    for _ in 0..2 {
        let ClaimCreate::Claimed(item) =
            world.app.store.claim_create(&me, Purpose::Request(&payload())).await.unwrap()
        else {
            panic!("refused")
        };
        items.push(item);
    }
    assert_eq!(items[0], items[1]);
    let id = CallLogId::new("5001").unwrap();
    for _ in 0..2 {
        let finished = world.app.store.finish(&me, &id, &items[0], &LastWritten::default()).await.unwrap();
        assert!(matches!(finished, Finish::Released), "{finished:?}");
    }
}

#[tokio::test]
async fn whoever_wakes_after_their_lease_is_refused() {
    let world = TestApp::start().await;
    let key = session_key(&world);
    let (sleeper, successor) = (lease(&world, &key, "sleeper"), "successor");
    let ClaimCreate::Claimed(item) =
        world.app.store.claim_create(&sleeper, Purpose::Request(&payload())).await.unwrap()
    else {
        panic!("refused")
    };
    let early = world
        .app
        .store
        .claim_create(&lease(&world, &key, successor), Purpose::Request(&payload()))
        .await
        .unwrap();
    assert!(matches!(early, ClaimCreate::Rejected(_)), "{early:?}");
    world.pass(LEASE);
    let ClaimCreate::Claimed(taken) = world
        .app
        .store
        .claim_create(&lease(&world, &key, successor), Purpose::Request(&payload()))
        .await
        .unwrap()
    else {
        panic!("refused")
    };
    assert!(taken.outcome_unknown, "the sleeper may have posted");
    let id = CallLogId::new("5001").unwrap();
    let finished = world.app.store.finish(&sleeper, &id, &item, &LastWritten::default()).await.unwrap();
    assert!(matches!(finished, Finish::Lost), "{finished:?}");
    let kept = world.app.store.keep(&sleeper, &id, &item, &LastWritten::default()).await.unwrap();
    assert!(matches!(kept, Finish::Lost), "{kept:?}");
    world.app.store.release(&sleeper, &item, Release::new(Event::Failed, "late")).await.unwrap();
    let now = world.app.store.call(&key).await.unwrap().unwrap();
    assert_eq!(
        (now.state, now.lease_holder.as_deref(), now.log_id),
        (State::Creating, Some(successor), None)
    );
}

#[tokio::test]
async fn an_updater_that_dies_is_followed_after_its_lease() {
    let world = logged().await;
    let key = session_key(&world);
    let facts = CallDetails { result: Some("Voicemail".to_owned()), ..CallDetails::default() };
    let claim =
        world.app.store.claim_update(&lease(&world, &key, "the dead"), Change::New(&facts)).await.unwrap();
    assert!(matches!(claim, ClaimUpdate::Claimed(_)));
    let token = world.app.issue_token(&world.user, 1);
    let body = update(json!({"aiNote": "Bob asked"})).to_string().into_bytes();
    let answer = send(&world.app, "PATCH", &token, body, 50).await;
    assert_eq!(answer.message(), QUEUED);
    assert_eq!(world.crm.count(Route::UpdateActivity), 0);
    world.pass(LEASE);
    check(&world.patch(&update(json!({"transcript": "Ada: Hello"}))).await, UPDATED, "after the lease");
    check_text(&note(&world), &["Voicemail", "Bob asked", "Ada: Hello"], &[]);
    assert_eq!(world.crm.count(Route::UpdateActivity), 1, "all three at once");
}

#[tokio::test]
async fn facts_that_the_crm_refused_do_not_hold_the_call_when_more_has_come() {
    let world = logged().await;
    let key = session_key(&world);
    let me = lease(&world, &key, "me");
    let facts = CallDetails { result: Some("refused".to_owned()), ..CallDetails::default() };
    let ClaimUpdate::Claimed(item) = world.app.store.claim_update(&me, Change::New(&facts)).await.unwrap()
    else {
        panic!("refused")
    };
    let more = CallDetails { ai_note: Some("Bob asked".to_owned()), ..CallDetails::default() };
    world.app.store.enqueue(&key, &more, world.now_ms()).await.unwrap();
    let refused = Release { drops_queued: true, ..Release::new(Event::Failed, "refused") };
    world.app.store.release(&me, &item, refused).await.unwrap();
    let now = world.app.store.call(&key).await.unwrap().unwrap();
    assert_eq!(
        (now.lease_holder, now.lease_expires_at, now.queued_details.ai_note.as_deref()),
        (None, 0, Some("Bob asked"))
    );
}

/// An updater dies when the CRM has its subject and the table does not know that; then another subject comes.
#[tokio::test]
async fn a_subject_whose_writer_died_is_not_taken_for_a_persons() {
    let world = logged().await;
    let (mortal, dynamodb) = world.proxied_app().await;
    world.crm.next(Route::UpdateActivity, SLOW);
    let dying = start(&mortal, &world.user, "PATCH", update(json!({"subject": "Quote"})));
    arrived(&world, Route::UpdateActivity, 1).await;
    for _ in 0..10 {
        dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
    }
    assert_eq!(dying.await.unwrap().status, 503, "what it wrote could not be noted");
    assert_eq!(activity(&world)["subject"], "Quote");
    world.pass(LEASE);
    check(&world.patch(&update(json!({"subject": "Quote for Bob"}))).await, UPDATED, "the successor");
    assert_eq!(activity(&world)["subject"], "Quote for Bob");
    world.crm.edit(5001, "subject", json!("Quote"));
    check(&world.patch(&update(json!({"subject": "Quote, third"}))).await, UPDATED, "after a person");
    assert_eq!(activity(&world)["subject"], "Quote", "a person has put it back");
}

/// The same with sections of the note, and a person who adds a line below.
#[tokio::test]
async fn a_section_whose_writer_died_is_not_taken_for_a_persons() {
    for (field, first, second) in [
        ("note", "The first", "The second"),
        ("note", "The first", "Wants a quote"),
        ("aiNote", "The first\nof them", "The second"),
        ("transcript", "The first", "The first\nand more"),
    ] {
        let world = logged().await;
        let (mortal, dynamodb) = world.proxied_app().await;
        world.crm.next(Route::UpdateActivity, SLOW);
        let dying = start(&mortal, &world.user, "PATCH", update(json!({field: first})));
        arrived(&world, Route::UpdateActivity, 1).await;
        for _ in 0..10 {
            dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
        }
        assert_eq!(dying.await.unwrap().status, 503, "{field}: what it wrote could not be noted");
        check_text(&note(&world), &[first.lines().next().unwrap()], &[]);
        let below = format!("{}<div>Typed by a person</div>", note(&world));
        world.crm.edit(5001, "note", json!(below));
        world.pass(LEASE);
        check(&world.patch(&update(json!({field: second}))).await, UPDATED, field);
        let body = note(&world);
        check_text(&body, &["Typed by a person"], &["edited in the CRM", "of them"]);
        assert!(second.lines().all(|line| body.contains(line)), "{field}: {body}");
        assert_eq!(body.matches("The first").count(), second.matches("The first").count(), "{field}: {body}");
    }
}

/// An updater claims the log when another has written everything already, and dies.
#[tokio::test]
async fn an_owner_that_dies_with_nothing_to_do_leaves_nothing_behind() {
    let world = logged().await;
    let key = session_key(&world);
    let now_ms = world.now_ms();
    let lease = Lease { key: &key, holder: "the dead", now_ms, until_ms: now_ms + INVOCATION_MS };
    let claim = world.app.store.claim_update(&lease, Change::AlreadyQueued).await.unwrap();
    assert!(matches!(claim, ClaimUpdate::Claimed(_)), "{claim:?}");
    world.redrive_for(2).await;
    check_settled(&world, "after its lease").await;
}
