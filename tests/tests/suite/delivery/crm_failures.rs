//! What a create and its retries do for each way in which the CRM can fail.

use super::*;

/// What a fault of the POST leads to.
struct Row {
    fault: Fault,
    /// What the create answers, and what its immediate retry does.
    first: &'static str,
    retry: &'static str,
    /// POSTs and searches, after the retry and after one more when the grace is over.
    after_retry: (usize, usize),
    after_grace: (usize, usize),
}

#[tokio::test]
async fn an_attempt_is_repeated_only_when_it_left_nothing() {
    let row =
        |fault, first, retry, after_retry, after_grace| Row { fault, first, retry, after_retry, after_grace };
    // Done, but the answer is lost: found by reading back, at once.
    let done = |fault| row(fault, LOGGED, ALREADY, (1, 1), (1, 1));
    // Nobody knows, and nothing is found: not repeated before the grace is over, and then only after a search.
    let unknown = |fault| row(fault, NO_ANSWER, NO_ANSWER, (1, 1), (2, 2));
    // Certainly not done: repeated at once, without a search.
    let undone = |fault, message| row(fault, message, LOGGED, (2, 0), (2, 0));
    for row in [
        done(Fault::DropBeforeAnswer),
        done(Fault::Truncated),
        done(Fault::NoId),
        unknown(Fault::DropBeforeEffect),
        unknown(Fault::Html),
        unknown(Fault::Status(408)),
        unknown(Fault::Status(500)),
        unknown(Fault::Status(503)),
        unknown(Fault::Status(302)),
        undone(Fault::RateLimited { retry_after: Some(7) }, "Rate limit exceeded"),
        undone(Fault::Blocked, "Rate limit exceeded"),
        undone(Fault::Status(401), "Authorization error"),
        undone(Fault::Status(403), "Authorization error"),
        undone(Fault::Status(400), REFUSED),
        undone(Fault::Status(413), REFUSED),
        undone(Fault::Status(422), REFUSED),
    ] {
        let world = TestApp::start().await;
        let case = format!("{:?}", row.fault);
        world.crm.next(Route::CreateActivity, row.fault);
        let first = world.post(&call(SESSION)).await;
        check(&first, row.first, &case);
        assert_eq!(first.log_id(), (row.first == LOGGED).then_some("5001"), "{case}");
        check(&world.send(&*world.another_app().await, "POST", &call(SESSION)).await, row.retry, &case);
        assert_eq!(attempts(&world), row.after_retry, "{case}");
        world.pass(GRACE);
        let last = world.post(&call(SESSION)).await;
        assert_eq!((last.status, last.log_id()), (200, Some("5001")), "{case}");
        assert_eq!(attempts(&world), row.after_grace, "{case}");
        activity(&world);
    }
}

#[tokio::test]
async fn a_connection_that_never_opened_changed_nothing() {
    let world = TestApp::start().await;
    let unreachable = world.app_with(&[("CRM_BASE_URL_PIPEDRIVE", "http://127.0.0.1:1")]).await.unwrap();
    check(&world.send(&unreachable, "POST", &call(SESSION)).await, NO_ANSWER, "refused");
    check(&world.post(&call(SESSION)).await, LOGGED, "at once");
    assert_eq!(attempts(&world), (1, 0));
}

#[tokio::test]
async fn a_failure_before_the_post_changed_nothing() {
    for route in [Route::GetPerson, Route::ActivityTypes] {
        for fault in [Fault::DropBeforeAnswer, Fault::Status(500), Fault::Html] {
            let world = TestApp::start().await;
            let case = format!("{route:?} {fault:?}");
            world.crm.next(route, fault);
            check(&world.post(&call(SESSION)).await, NO_ANSWER, &case);
            check(&world.post(&call(SESSION)).await, LOGGED, &case);
            assert_eq!(attempts(&world), (1, 0), "{case}");
        }
    }
}

#[tokio::test]
async fn a_post_that_lands_late_is_adopted() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::DelayEffect(Duration::from_millis(2_500)));
    let token = world.app.issue_token(&world.user, 1);
    // So little time is left that the request is given up after two seconds.
    let first = send(&world.app, "POST", &token, call(SESSION).to_string().into_bytes(), 3_500).await;
    check(&first, NO_ANSWER, "given up");
    assert_eq!((attempts(&world), world.crm.activities().len()), ((1, 1), 0));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    check(&world.post(&call(SESSION)).await, NO_ANSWER, "within the grace nobody looks");
    world.pass(GRACE);
    let found = world.post(&call(SESSION)).await;
    check(&found, LOGGED, "found");
    assert_eq!((found.log_id(), attempts(&world)), (Some("5001"), (1, 2)));
    activity(&world);
}

#[tokio::test]
async fn while_the_search_fails_nothing_is_posted() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    for fault in [Fault::Status(500), Fault::DropBeforeAnswer, Fault::Html] {
        world.crm.next(Route::ListActivities, fault);
    }
    for _ in 0..3 {
        check(&world.post(&call(SESSION)).await, NO_ANSWER, "cannot look");
        assert_eq!(world.crm.count(Route::CreateActivity), 1);
        world.pass(GRACE);
    }
    let found = world.post(&call(SESSION)).await;
    assert_eq!((found.message(), found.log_id()), (LOGGED, Some("5001")));
    activity(&world);
}

#[tokio::test]
async fn a_retry_that_brings_more_adds_it_to_what_it_finds() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    world.crm.next(Route::ListActivities, Fault::Status(500));
    let mut first = call(SESSION);
    first["logInfo"]["duration"] = json!("pending");
    check(&world.post(&first).await, NO_ANSWER, "made, and nobody knows");
    world.pass(GRACE);
    let mut second = call(SESSION);
    second["aiNote"] = json!("Bob asked for a quote");
    check(&world.post(&second).await, LOGGED, "found");
    check_text(&note(&world), &["Bob asked for a quote", "Wants a quote"], &["pending"]);
    assert_eq!(activity(&world)["duration"], "00:02");
}

#[tokio::test]
async fn a_call_that_is_not_ours_is_not_adopted() {
    let world = logged().await;
    world.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    // The same contact, a second later.
    let mut other = call("4503991005");
    other["logInfo"]["startTime"] = json!(1_741_794_326_000_i64);
    check(&world.post(&other).await, NO_ANSWER, "nobody knows");
    world.pass(GRACE);
    let answer = world.post(&other).await;
    assert_eq!((answer.message(), answer.log_id()), (LOGGED, Some("5002")));
}

#[tokio::test]
async fn a_retry_that_says_it_otherwise_finds_what_was_made() {
    for change in [
        json!({"contactId": 78, "contactName": "Solo"}),
        json!({"timezoneOffset": "+05:30"}),
        json!({"startTime": 1_741_794_326_000_i64}),
        json!({"startTime": "2025-03-12T15:45:26Z", "contactId": 78, "timezoneOffset": -480}),
        json!({"customSubject": "Quote", "note": "Another note", "duration": 130}),
    ] {
        let world = TestApp::start().await;
        world.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        world.crm.next(Route::ListActivities, Fault::Status(500));
        check(&world.post(&call(SESSION)).await, NO_ANSWER, "made, and nobody knows");
        world.pass(GRACE);
        let mut retry = call(SESSION);
        for (name, value) in change.as_object().unwrap() {
            let of_the_call = ["startTime", "customSubject", "duration"].contains(&name.as_str());
            let fields = if of_the_call { &mut retry["logInfo"] } else { &mut retry };
            fields[name] = value.clone();
        }
        let answer = world.post(&retry).await;
        assert_eq!((answer.message(), answer.log_id()), (LOGGED, Some("5001")), "{change}");
        assert_eq!(activity(&world)["person_id"], 77, "{change}");
    }
}

#[tokio::test]
async fn what_is_parked_does_not_keep_the_call_from_being_logged() {
    let world = TestApp::start().await;
    check(
        &world.patch(&update(json!({"transcript": "x".repeat(100_001)}))).await,
        PARKED,
        "too long for Pipedrive",
    );
    check(&world.post(&call(SESSION)).await, LOGGED, "without it");
    check_text(&note(&world), &["Wants a quote"], &["xxx"]);
    let item = world.app.store.call(&session_key(&world)).await.unwrap().unwrap();
    assert_eq!((item.lease_holder, item.queued_details), (None, Default::default()));
    check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, "and goes on");
}

/// What Pipedrive says in its body counts, and a refusal is one whatever its number.
#[tokio::test]
async fn a_failure_is_told_as_what_it_is() {
    let no = r#"{"success": false, "error": "No"}"#;
    for (status, message) in [(200, NO_ANSWER), (404, REFUSED), (409, REFUSED), (410, REFUSED)] {
        let world = TestApp::start().await;
        world.crm.next(Route::CreateActivity, Fault::Refusal(status, no));
        let answer = world.post(&call(SESSION)).await;
        check(&answer, message, &format!("create {status}"));
        assert_eq!((answer.log_id(), world.crm.activities().len()), (None, 0), "{status}");
        world.pass(GRACE);
        check(&world.post(&call(SESSION)).await, LOGGED, &format!("create after {status}"));
    }
    for (status, message) in [(200, NO_ANSWER), (409, REFUSED)] {
        let world = logged().await;
        let before = activity(&world);
        world.crm.next(Route::UpdateActivity, Fault::Refusal(status, no));
        let update = update(json!({"aiNote": "Bob asked"}));
        check(&world.patch(&update).await, message, &format!("update {status}"));
        assert_eq!(activity(&world), before, "{status}");
        world.pass(GRACE);
        check(&world.patch(&update).await, UPDATED, &format!("update after {status}"));
        assert!(note(&world).contains("Bob asked"), "{status}");
    }
}
