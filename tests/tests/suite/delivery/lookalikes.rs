//! Calls that look alike: the same contact, start and subject. The response to one create is lost, or its invocation dies.
//! Pipedrive's records have no call tag, so the record of another call must not be taken for the call's own.

use call_log::store::State;
use tests::log::{Log, endings, values};

use super::{altered_crm::AlteredCrm, redrive::item_of, *};

/// The session id of a call that looks like the tests' call.
const TWIN: &str = "4503991005";
/// Longer than the time after which the index names the owner of a record, in minutes.
const SETTLED_MINUTES: u32 = 4;

/// Returns the sum of a metric in the lines since the last call.
fn counted(log: &Log, metric: &str) -> i64 {
    let lines = log.take();
    endings(&lines).into_iter().filter_map(|line| values(line).remove(metric)).flatten().sum()
}

fn ids(test: &TestApp) -> Vec<u64> {
    test.crm.activities().iter().filter_map(|activity| activity["id"].as_u64()).collect()
}

/// Returns the id of the record that the call's item names.
async fn logged_as(test: &TestApp, session: &str) -> Option<u64> {
    let item = item_of(test, session).await;
    assert_eq!(item.state, State::Logged, "{session}: {item:?}");
    item.log_id.and_then(|id| id.as_str().parse().ok())
}

/// Updates both calls, and asserts that each record has the detail of its own call only.
async fn check_updates(test: &TestApp, own: u64, other: u64, case: &str) {
    for (session, text) in [(SESSION, "Of the call"), (TWIN, "Of its twin")] {
        let update = json!({"sessionId": session, "aiNote": text});
        check(&test.patch(&update).await, UPDATED, case);
    }
    for activity in test.crm.activities() {
        let note = activity["note"].as_str().unwrap();
        let expected = [activity["id"] == own, activity["id"] == other];
        assert_eq!(
            ["Of the call", "Of its twin"].map(|text| note.contains(text)),
            expected,
            "{case}: {note}"
        );
    }
}

/// An invocation creates the record of a call, and dies before it stores the record's id.
async fn create_and_die(test: &TestApp, body: &Value) {
    let (other, dynamodb) = test.proxied_app().await;
    test.crm.next(Route::CreateActivity, SLOW);
    let posts = test.crm.count(Route::CreateActivity);
    let dying = start(&other, &test.user, "POST", body.clone());
    wait_for_requests(test, Route::CreateActivity, posts + 1).await;
    for _ in 0..10 {
        dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
    }
    assert_eq!(dying.await.unwrap().status, 503, "the id could not be stored");
}

/// The bodies of two calls that look alike.
type Pair = [Value; 2];

fn same_start() -> Pair {
    [call(SESSION), call(TWIN)]
}

fn without_start() -> Pair {
    [SESSION, TWIN].map(|session| {
        let mut body = call(session);
        body["logInfo"].as_object_mut().unwrap().remove("startTime");
        body
    })
}

fn redial() -> Pair {
    let [first, mut second] = same_start();
    second["logInfo"]["startTime"] = json!(1_741_794_325_000_i64 + 20_000);
    [first, second]
}

/// Starts an app whose user has dates without seconds.
async fn without_seconds() -> TestApp {
    let mut test = TestApp::start().await;
    test.user.settings.0.insert("logDateFormat".to_owned(), json!("YYYY-MM-DD hh:mm A"));
    test.app.store.put_user(&test.user).await.unwrap();
    test
}

#[tokio::test]
async fn a_lost_create_leads_to_a_record_of_its_own_beside_that_of_a_call_that_looks_alike() {
    for (name, [body, twin]) in
        [("same start", same_start()), ("no start", without_start()), ("redial", redial())]
    {
        for is_twin_first in [true, false] {
            for (fault, own, other, posts) in [
                (Fault::DropBeforeAnswer, if is_twin_first { 5002 } else { 5001 }, 0, 2),
                (Fault::DropBeforeEffect, 5002, 5001, 3),
            ] {
                let case = format!("{name}, twin first: {is_twin_first}, {fault:?}");
                let other = if other == 0 { 10_003 - own } else { other };
                let test = without_seconds().await;
                if is_twin_first {
                    check(&test.post(&twin).await, LOGGED, &case);
                }
                test.crm.next(Route::CreateActivity, fault);
                check(&test.post(&body).await, NOT_ANSWERING, &case);
                if !is_twin_first {
                    check(&test.post(&twin).await, LOGGED, &case);
                }
                test.redrive_for(SETTLED_MINUTES).await;
                assert_eq!(
                    (ids(&test), test.crm.count(Route::CreateActivity)),
                    (vec![5001, 5002], posts),
                    "{case}"
                );
                assert_eq!(logged_as(&test, SESSION).await, Some(own), "{case}");
                assert_eq!(logged_as(&test, TWIN).await, Some(other), "{case}");
                check_updates(&test, own, other, &case).await;
                test.redrive_for(20).await;
                assert_eq!(ids(&test), [5001, 5002], "{case}: the sweep");
            }
        }
    }
}

/// The create of the tests' call dies after the CRM has made its record, or before. Its twin is logged, and the create is
/// sent again. Long after that, the duplicate sweep runs, in a CRM where it may delete records.
#[tokio::test]
async fn the_sweep_after_a_death_deletes_no_record_of_a_call_that_looks_alike() {
    for (name, [body, twin]) in
        [("same start", same_start()), ("no start", without_start()), ("redial", redial())]
    {
        for (has_landed, is_twin_first) in [(true, true), (true, false), (false, true), (false, false)] {
            let case = format!("{name}, landed: {has_landed}, twin first: {is_twin_first}");
            let mut test = without_seconds().await;
            AlteredCrm::showing_edits().install(&mut test.app);
            if is_twin_first {
                check(&test.post(&twin).await, LOGGED, &case);
            }
            create_and_die(&test, &body).await;
            if !has_landed {
                let last = *ids(&test).last().unwrap();
                test.crm.delete(last);
            }
            if !is_twin_first {
                check(&test.post(&twin).await, LOGGED, &case);
            }
            test.pass(LEASE);
            test.post(&body).await;
            test.redrive_for(SETTLED_MINUTES).await;
            check(&test.post(&body).await, ALREADY_LOGGED, &case);
            let (own, other) =
                (logged_as(&test, SESSION).await.unwrap(), logged_as(&test, TWIN).await.unwrap());
            test.redrive_for(20).await;
            let mut expected = vec![own, other];
            expected.sort_unstable();
            assert_eq!((ids(&test), test.crm.count(Route::DeleteActivity)), (expected, 0), "{case}");
            check_updates(&test, own, other, &case).await;
        }
    }
}

/// The twin's record is in the CRM, and its invocation has not stored the id yet when the lost create is looked for.
#[tokio::test]
async fn a_record_whose_id_is_stored_a_moment_later_is_not_adopted() {
    let test = TestApp::start().await;
    let [body, twin] = same_start();
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&test.post(&body).await, NOT_ANSWERING, "lost");
    test.pass(GRACE);
    let (other, dynamodb) = test.proxied_app().await;
    test.crm.next(Route::CreateActivity, SLOW);
    let twin = start(&other, &test.user, "POST", twin);
    wait_for_requests(&test, Route::CreateActivity, 2).await;
    dynamodb.next(DYNAMODB, Fault::Delay(Duration::from_millis(1_500)));
    wait_for_activity(&test).await;
    let report = test.redrive().await;
    assert_eq!((report.due, report.delivered, report.waiting), (1, 0, 1), "{report:?}");
    check(&twin.await.unwrap(), LOGGED, "the twin");
    test.redrive_for(SETTLED_MINUTES).await;
    assert_eq!((logged_as(&test, SESSION).await, logged_as(&test, TWIN).await), (Some(5002), Some(5001)));
    assert_eq!(ids(&test), [5001, 5002]);
}

/// A call whose create was lost, and which the redrive has logged within these minutes: its sweep is to come. Returns its twin,
/// which was not reported yet.
async fn logged_after_a_lost_request(crm: AlteredCrm, minutes: u32) -> (TestApp, Value) {
    let mut test = TestApp::start().await;
    crm.install(&mut test.app);
    let [body, twin] = same_start();
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&test.post(&body).await, NOT_ANSWERING, "lost");
    test.redrive_for(minutes).await;
    (test, twin)
}

/// The twin's record is in the CRM, and its invocation has not stored the id yet when the duplicate sweep finds it.
#[tokio::test]
async fn a_record_whose_id_is_stored_a_moment_later_is_no_duplicate() {
    let log = Log::capture();
    for crm in [AlteredCrm::default(), AlteredCrm::showing_edits()] {
        let (test, twin) = logged_after_a_lost_request(crm, 15).await;
        let (other, dynamodb) = test.proxied_app().await;
        test.crm.next(Route::CreateActivity, SLOW);
        let twin = start(&other, &test.user, "POST", twin);
        wait_for_requests(&test, Route::CreateActivity, 3).await;
        dynamodb.next(DYNAMODB, Fault::Delay(Duration::from_millis(1_500)));
        while ids(&test).len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let searches = test.crm.count(Route::ListActivities);
        test.redrive_for(1).await;
        assert!(test.crm.count(Route::ListActivities) > searches, "the sweep is due");
        check(&twin.await.unwrap(), LOGGED, "the twin");
        test.redrive_for(20).await;
        assert_eq!((ids(&test), counted(&log, "DuplicateFound")), (vec![5001, 5002], 0));
        assert_eq!(item_of(&test, SESSION).await.sweep_at, None);
    }
}

/// The twin's record is old, but the twin is being logged when the sweep finds it: an invocation holds the twin's lease.
#[tokio::test]
async fn a_record_that_a_call_is_being_logged_as_is_no_duplicate() {
    let log = Log::capture();
    for crm in [AlteredCrm::default(), AlteredCrm::showing_edits()] {
        let (test, twin) = logged_after_a_lost_request(crm, 1).await;
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        check(&test.post(&twin).await, NOT_ANSWERING, "the twin is lost");
        test.pass(15 * 60_000);
        let searches = test.crm.count(Route::ListActivities);
        test.crm.next(Route::ListActivities, Fault::Delay(Duration::from_secs(60)));
        let holder = start(&test.app, &test.user, "POST", twin);
        wait_for_requests(&test, Route::ListActivities, searches + 1).await;
        test.redrive().await;
        assert!(test.crm.count(Route::ListActivities) > searches + 1, "the sweep is due");
        holder.abort();
        test.redrive_for(20).await;
        assert_eq!((ids(&test), counted(&log, "DuplicateFound")), (vec![5001, 5002], 0));
        assert_eq!((logged_as(&test, SESSION).await, logged_as(&test, TWIN).await), (Some(5001), Some(5002)));
        assert_eq!(item_of(&test, SESSION).await.sweep_at, None, "the sweep has ended");
    }
}

/// Both calls wait for their own records. Each adopts one, and none is taken twice.
#[tokio::test]
async fn two_lost_creates_of_calls_that_look_alike_share_no_record() {
    for landed in [[true, true], [true, false], [false, true], [false, false]] {
        let test = TestApp::start().await;
        for (body, has_landed) in same_start().iter().zip(landed) {
            let fault = if has_landed { Fault::DropBeforeAnswer } else { Fault::DropBeforeEffect };
            test.crm.next(Route::CreateActivity, fault);
            check(&test.post(body).await, NOT_ANSWERING, "lost");
        }
        test.redrive_for(2 * SETTLED_MINUTES).await;
        let mut named = [logged_as(&test, SESSION).await, logged_as(&test, TWIN).await];
        named.sort_unstable();
        assert_eq!((ids(&test), named), (vec![5001, 5002], [Some(5001), Some(5002)]), "{landed:?}");
    }
}

#[tokio::test]
async fn a_lost_create_is_one_record_although_the_crm_rewrites_html() {
    let log = Log::capture();
    let test = TestApp::start().await;
    test.crm.normalise(true);
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "lost");
    test.redrive_for(SETTLED_MINUTES).await;
    assert_eq!((ids(&test), logged_as(&test, SESSION).await), (vec![5001], Some(5001)));
    assert_eq!(counted(&log, "DuplicatePossible"), 0);
}

/// A person edits the record of a lost create. A request leaves the decision to the redrive.
#[tokio::test]
async fn only_the_redrive_adopts_a_record_that_a_person_has_edited() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "lost");
    test.pass(1_000);
    let edited = note(&test).replace("Wants a quote", "Wants three quotes");
    test.crm.edit_note(5001, &edited);
    test.crm.edit(5001, "subject", json!("Bob, important"));
    test.pass(10 * 60_000);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "a request");
    assert_eq!(item_of(&test, SESSION).await.state, State::OutcomeUnknown);
    test.redrive_for(2).await;
    assert_eq!((ids(&test), logged_as(&test, SESSION).await), (vec![5001], Some(5001)));
    check_text(&note(&test), &["Wants three quotes"], &[]);
    assert_eq!(activity(&test)["subject"], "Bob, important");
    check(&test.patch(&update(json!({"subject": "Quote"}))).await, UPDATED, "a subject");
    assert_eq!(activity(&test)["subject"], "Bob, important", "the person's subject stays");
}

#[tokio::test]
async fn an_edited_record_is_not_adopted_if_another_unsettled_call_looks_alike() {
    let log = Log::capture();
    let test = TestApp::start().await;
    let [body, twin] = same_start();
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&twin).await, NOT_ANSWERING, "the twin is lost");
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&test.post(&body).await, NOT_ANSWERING, "lost");
    test.pass(1_000);
    test.crm.edit(5001, "subject", json!("Bob, important"));
    test.redrive_for(2 * SETTLED_MINUTES).await;
    let own = logged_as(&test, SESSION).await;
    assert!(own.is_some() && own != logged_as(&test, TWIN).await);
    assert!(counted(&log, "DuplicatePossible") > 0);
    assert_eq!(activity_of(&test, 5001)["subject"], "Bob, important");
}

fn activity_of(test: &TestApp, id: u64) -> Value {
    test.crm.activities().into_iter().find(|activity| activity["id"] == id).unwrap()
}

/// A create with the caller's own authorization is looked for with it, and with no other credential.
#[tokio::test]
async fn an_attempt_with_an_authorization_of_its_own_is_recovered_only_by_a_request_with_it() {
    let test = TestApp::start().await;
    let mut body = call(SESSION);
    body["authHeader"] = json!(format!("Bearer {}", tests::pipedrive::ACCESS_TOKEN));
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&body).await, NOT_ANSWERING, "lost");
    let searches = test.crm.count(Route::ListActivities);
    test.redrive_for(10).await;
    assert_eq!(attempts(&test), (1, searches), "the redrive has another credential");
    let own = CallKey { header_user: Some(test.user.id.clone()), ..session_key(&test).call };
    let item = test.app.store.call(&own.log(0)).await.unwrap().unwrap();
    assert_eq!((item.outcome_unknown, item.log_id), (true, None));
    test.pass(10 * 60_000);
    let found = test.post(&body).await;
    assert_eq!((found.message(), found.log_id()), (LOGGED, Some("5001")));
}

/// A record proves nothing if one section of the kept payload differs from the section that was sent.
#[tokio::test]
async fn a_record_with_another_note_is_not_adopted() {
    let test = TestApp::start().await;
    let [body, mut twin] = same_start();
    twin["note"] = json!("Wants two quotes");
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&twin).await, NOT_ANSWERING, "the twin is lost");
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&test.post(&body).await, NOT_ANSWERING, "lost");
    test.redrive_for(2 * SETTLED_MINUTES).await;
    assert_eq!((logged_as(&test, SESSION).await, logged_as(&test, TWIN).await), (Some(5002), Some(5001)));
    assert_eq!(ids(&test), [5001, 5002]);
}
