//! The step that completes a record, in CRMs that have one.

use call_log::{
    adapters::{Effect, ErrorKind, Finish, Recovery},
    store::{CallItem, State},
};
use tests::log::{Log, endings, values};

use super::{
    redrive::{check_settled, item},
    scripted::{Scripted, Step, start},
    *,
};

const LIST: &[Recovery] = &[Recovery::ConsistentList];
const STEPS: [Finish; 2] = [Finish::WithDuration, Finish::AfterEachChange];

/// Asserts that nothing of the call is left to do.
async fn check_finished(test: &TestApp, case: &str) -> CallItem {
    check_settled(test, case).await;
    let item = item(test).await;
    assert_eq!((item.finish_pending, item.due_at), (false, item.sweep_at), "{case}");
    item
}

/// Logs the tests' call, and asserts the requests to the CRM.
async fn check_logged(test: &TestApp, crm: &Scripted, requests: &[&str]) {
    check(&test.post(&call(SESSION)).await, LOGGED, "create");
    assert_eq!(crm.requests(), requests);
}

async fn check_updated(test: &TestApp, crm: &Scripted, details: Value, requests: &[&str]) {
    check(&test.patch(&update(details.clone())).await, UPDATED, "update");
    assert_eq!(crm.requests(), requests, "{details}");
}

#[tokio::test]
async fn a_record_is_completed_after_its_create_with_one_more_write() {
    for (finish, requests, operations) in [
        (Finish::None, &["create list"][..], 3),
        (Finish::WithDuration, &["create list", "finish Some(65)"], 4),
        (Finish::AfterEachChange, &["create list", "finish Some(65)"], 4),
    ] {
        let (test, crm) = start(LIST, finish).await;
        let (mut app, dynamodb) = test.proxied_app().await;
        scripted::use_crm(&mut app, crm);
        check(&test.send(&app, "POST", &call(SESSION)).await, LOGGED, "create");
        assert_eq!(
            (crm.requests(), dynamodb.count(DYNAMODB)),
            (requests.iter().map(|request| (*request).to_owned()).collect(), operations),
            "{finish:?}"
        );
        check_finished(&test, &format!("{finish:?}")).await;
    }
}

#[tokio::test]
async fn a_step_that_needs_the_duration_waits_for_it_and_is_repeated_if_it_is_corrected() {
    let (test, crm) = start(LIST, Finish::WithDuration).await;
    let mut pending = call(SESSION);
    pending["logInfo"]["duration"] = json!("pending");
    check(&test.post(&pending).await, LOGGED, "while the duration is pending");
    assert_eq!(crm.requests(), ["create list"]);
    let waiting = item(&test).await;
    assert_eq!((waiting.state, waiting.finish_pending, waiting.due_at), (State::Logged, true, None));
    check_updated(&test, crm, json!({"aiNote": "Bob asked"}), &["read", "update"]).await;
    assert!(item(&test).await.finish_pending);
    check_updated(&test, crm, json!({"duration": 65}), &["read", "update", "finish Some(65)"]).await;
    check_finished(&test, "with the duration").await;
    check_updated(&test, crm, json!({"duration": 65, "aiNote": "Bob asked"}), &["read"]).await;
    check_updated(&test, crm, json!({"duration": 130}), &["read", "update", "finish Some(130)"]).await;
    check_finished(&test, "with the corrected duration").await;
}

#[tokio::test]
async fn a_step_after_each_change_follows_every_update_that_changes_the_record() {
    let (test, crm) = start(LIST, Finish::AfterEachChange).await;
    check_logged(&test, crm, &["create list", "finish Some(65)"]).await;
    // A person may change the record while the mark is stored, so it is read again.
    let changed = ["read", "read", "update", "finish None"];
    check_updated(&test, crm, json!({"aiNote": "Bob asked"}), &changed).await;
    check_updated(&test, crm, json!({"aiNote": "Bob asked"}), &["read"]).await;
    check_finished(&test, "after the updates").await;
    test.crm.next(Route::UpdateActivity, Fault::Status(400));
    check(&test.patch(&update(json!({"transcript": "Ada: Hello"}))).await, REJECTED, "a rejected update");
    assert_eq!(crm.requests(), changed, "the record may be open");
    check_finished(&test, "after the rejected update").await;
}

/// A lease holder dies after it has stored the record's id, or after it has changed the record.
#[tokio::test]
async fn the_step_of_a_lease_holder_that_died_is_made_up_for() {
    for finish in STEPS {
        let case = format!("{finish:?}");
        let (test, crm) = start(LIST, finish).await;
        let mut other = test.another_app().await;
        scripted::use_crm(&mut other, crm);
        for (method, body, requests) in [
            ("POST", call(SESSION), ["read", "finish Some(65)"]),
            ("PATCH", update(json!({"duration": 130})), ["read", "finish Some(130)"]),
        ] {
            crm.script().finishes.push_back(Step::Hangs);
            let dying = super::start(&other, &test.user, method, body);
            while !crm.script().finishes.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            dying.abort();
            crm.requests();
            assert_eq!(item(&test).await.log_id.unwrap().as_str(), "5001", "{case}: the id is stored");
            test.pass(LEASE);
            assert_eq!(test.redrive().await.delivered, 1, "{case} {method}");
            assert_eq!(crm.requests(), requests, "{case} {method}: the record has the details");
            check_finished(&test, &case).await;
            crm.requests();
        }
    }
}

/// The content of the create is not stored, so only the mark in the item says that something is left to do.
#[tokio::test]
async fn the_step_of_a_call_that_is_too_long_to_store_is_made_up_for() {
    let (test, crm) = start(LIST, Finish::AfterEachChange).await;
    let mut long = call(SESSION);
    long["additionalSubmission"] = json!({"memo": random_letters(900_000)});
    crm.script().finishes.push_back(Step::Fails(ErrorKind::Unavailable, Effect::None));
    check(&test.post(&long).await, LOGGED, "the step fails");
    let waiting = item(&test).await;
    assert!(waiting.finish_pending && waiting.due_at.is_some() && !waiting.has_undelivered());
    crm.requests();
    test.redrive_for(1).await;
    assert_eq!(crm.requests(), ["read", "finish None"]);
    check_finished(&test, "after the redrive").await;
}

#[tokio::test]
async fn a_step_that_is_refused_permanently_is_dropped_and_recorded() {
    let rejected = ErrorKind::Rejected { message: "No time entries".to_owned() };
    for finish in STEPS {
        for kind in [rejected.clone(), ErrorKind::NotFound, ErrorKind::Forbidden { message: String::new() }] {
            let case = format!("{finish:?} {kind:?}");
            let log = Log::capture();
            let (test, crm) = start(LIST, finish).await;
            crm.script().finishes.push_back(Step::Fails(kind, Effect::None));
            check_logged(&test, crm, &["create list", "finish Some(65)"]).await;
            let lines = log.take();
            let ending = endings(&lines)[0];
            assert_eq!(values(ending)["FinishDropped"], [1], "{case}");
            assert!(ending["finish_dropped"].is_string(), "{case}: {ending}");
            let item = check_finished(&test, &case).await;
            let history: Vec<_> = item.history.iter().map(|entry| entry.what.as_str()).collect();
            assert!(history[0].starts_with("not completed: "), "{case}: {history:?}");
            test.redrive_for(5).await;
            assert_eq!(crm.requests(), Vec::<String>::new(), "{case}: not tried again");
        }
    }
}

#[tokio::test]
async fn a_step_that_failed_or_got_no_response_is_repeated() {
    for finish in STEPS {
        for (effect, earliest, latest) in [(Effect::Unknown, 29_000, 31_000), (Effect::None, 0, 6_000)] {
            let case = format!("{finish:?} {effect:?}");
            let (test, crm) = start(LIST, finish).await;
            let fails = Step::Fails(ErrorKind::Unavailable, effect);
            crm.script().finishes.push_back(fails.clone());
            check_logged(&test, crm, &["create list", "finish Some(65)"]).await;
            let waiting = item(&test).await;
            assert_eq!(
                (waiting.state, waiting.finish_pending, waiting.outcome_unknown),
                (State::Logged, true, false),
                "{case}"
            );
            let wait = waiting.due_at.unwrap() - test.now_ms();
            assert!((earliest..=latest).contains(&wait), "{case}: {wait}");
            test.redrive_for(1).await;
            assert_eq!(crm.requests(), ["read", "finish Some(65)"], "{case}");
            check_finished(&test, &case).await;
            crm.requests();

            crm.script().finishes.push_back(fails);
            let reads = if finish == Finish::AfterEachChange { 2 } else { 1 };
            let requests = [&["read"].repeat(reads)[..], &["update", "finish Some(130)"]].concat();
            check_updated(&test, crm, json!({"duration": 130}), &requests).await;
            assert!(item(&test).await.finish_pending, "{case}");
            test.redrive_for(1).await;
            assert_eq!(crm.requests(), ["read", "finish Some(130)"], "{case}");
            check_finished(&test, &case).await;
        }
    }
}

/// The record of a lost create is completed too, and so is one with details that were queued meanwhile.
#[tokio::test]
async fn a_record_that_lacks_details_is_completed_after_they_are_written() {
    for finish in STEPS {
        let case = format!("{finish:?}");
        let (test, crm) = start(LIST, finish).await;
        check(
            &test.patch(&update(json!({"transcript": "x".repeat(100_001)}))).await,
            QUEUED_UNTIL_LOGGED,
            "too long",
        );
        check(&test.post(&call(SESSION)).await, LOGGED, &case);
        let requests = crm.requests();
        assert_eq!(requests.last().map(String::as_str), Some("finish Some(65)"), "{case}: {requests:?}");
        check_finished(&test, &case).await;

        let (test, crm) = start(LIST, finish).await;
        crm.script().creates.push_back(scripted::Create::ResponseLost);
        check(&test.post(&call(SESSION)).await, NOT_ANSWERING, &case);
        crm.requests();
        test.pass(SETTLED);
        check_logged(&test, crm, &["find list", "read", "read", "finish Some(65)"]).await;
        check_finished(&test, &case).await;
    }
}
