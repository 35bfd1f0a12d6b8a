//! What the model of the protocol found in the code, before it was mended.

use call_log::{
    model::CallDetails,
    store::{Change, ClaimUpdate, Lease},
};

use super::{
    redrive::{check_settled, item},
    *,
};

/// A redrive looks after the log; an update comes meanwhile, and then the CRM does not answer.
#[tokio::test]
async fn an_update_during_an_audit_that_fails_is_not_forgotten() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::Status(500));
    world.crm.next(Route::ListActivities, Fault::Status(500));
    check(&world.post(&call(SESSION)).await, NO_ANSWER, "the answer is lost");
    world.redrive_for(1).await;
    world.pass(16 * 60_000);
    let reads = world.crm.count(Route::GetActivity);
    world.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
    world.crm.next(Route::ListActivities, Fault::Delay(Duration::from_secs(5)));
    world.crm.next(Route::GetActivity, Fault::Status(500));
    let other = world.another_app().await;
    let update = async {
        arrived(&world, Route::GetActivity, reads + 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.send(&other, "PATCH", &update(json!({"aiNote": "Bob asked"}))).await
    };
    tokio::join!(world.redrive(), update);
    world.redrive_for(30).await;
    check_text(&note(&world), &["Bob asked"], &[]);
}

/// An update waits for the owner, who lets go; a newer one comes and is put off; then the first takes its turn.
#[tokio::test]
async fn a_fact_that_waited_does_not_take_a_newer_ones_place() {
    let world = logged().await;
    let reads = world.crm.count(Route::GetActivity);
    world.crm.next(Route::GetActivity, Fault::Delay(Duration::from_secs(2)));
    world.crm.next(Route::UpdateActivity, Fault::RateLimited { retry_after: None });
    world.crm.next(Route::GetActivity, Fault::Status(500));
    let body = update(json!({"recordingLink": "https://media.example/r"}));
    let owner = start(&world.app, &world.user, "PATCH", body);
    arrived(&world, Route::GetActivity, reads + 1).await;
    let (second, third) = (world.another_app().await, world.another_app().await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let older = start(&second, &world.user, "PATCH", update(json!({"aiNote": "The older"})));
    owner.await.unwrap();
    world.send(&third, "PATCH", &update(json!({"aiNote": "The newer"}))).await;
    older.await.unwrap();
    world.redrive_for(10).await;
    check_text(&note(&world), &["The newer"], &["The older"]);
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
