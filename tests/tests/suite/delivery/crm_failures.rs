//! Failures of the CRM: a create and its retries after each kind.

use super::*;

/// A fault of the POST, and its consequences.
struct Row {
    fault: Fault,
    /// The messages of the create and of its immediate retry.
    first: &'static str,
    retry: &'static str,
    /// The numbers of POSTs and searches after the retry, and after another retry when the grace period is over.
    after_retry: (usize, usize),
    after_grace: (usize, usize),
}

#[tokio::test]
async fn an_attempt_is_repeated_only_if_it_had_no_effect() {
    let row =
        |fault, first, retry, after_retry, after_grace| Row { fault, first, retry, after_retry, after_grace };
    // The record was created, but the response was lost: a search finds the record.
    let created = |fault| row(fault, NOT_ANSWERING, NOT_ANSWERING, (1, 0), (1, 1));
    // The outcome is unknown, and a search finds nothing: no second POST before the grace period is over and a search was
    // made.
    let unknown = |fault| row(fault, NOT_ANSWERING, NOT_ANSWERING, (1, 0), (2, 1));
    // The POST had no effect: it is repeated at once, without a search.
    let no_effect = |fault, message| row(fault, message, LOGGED, (2, 0), (2, 0));
    // So it is after a rate limit, at the end of the pause.
    let limited = |fault| row(fault, RATE_LIMITED, NOT_ANSWERING, (1, 0), (2, 0));
    // So is a rejected POST, after one without each part of the record.
    let rejected = |fault| row(fault, REJECTED, LOGGED, (6, 0), (6, 0));
    for row in [
        created(Fault::DropBeforeAnswer),
        created(Fault::Truncated),
        created(Fault::NoId),
        unknown(Fault::DropBeforeEffect),
        unknown(Fault::Html),
        unknown(Fault::Status(408)),
        unknown(Fault::Status(500)),
        unknown(Fault::Status(503)),
        unknown(Fault::Status(302)),
        limited(Fault::RateLimited { retry_after: Some(7) }),
        limited(Fault::Blocked),
        no_effect(Fault::Status(401), UNAUTHORIZED),
        no_effect(Fault::Status(403), UNAUTHORIZED),
        rejected(Fault::Status(400)),
        rejected(Fault::Status(413)),
        rejected(Fault::Status(422)),
    ] {
        let test = TestApp::start().await;
        let case = format!("{:?}", row.fault);
        match row.first {
            REJECTED => test.crm.always(Route::CreateActivity, row.fault),
            _ => test.crm.next(Route::CreateActivity, row.fault),
        }
        let first = test.post(&call(SESSION)).await;
        test.crm.forget_faults();
        check(&first, row.first, &case);
        assert_eq!(first.log_id(), None, "{case}");
        check(&test.send(&*test.another_app().await, "POST", &call(SESSION)).await, row.retry, &case);
        assert_eq!(attempts(&test), row.after_retry, "{case}");
        test.pass(SETTLED);
        let last = test.post(&call(SESSION)).await;
        assert_eq!((last.status, last.log_id()), (200, Some("5001")), "{case}");
        assert_eq!(attempts(&test), row.after_grace, "{case}");
        activity(&test);
    }
}

#[tokio::test]
async fn an_attempt_without_a_connection_is_repeated_without_a_search() {
    let test = TestApp::start().await;
    let unreachable = test.app_with(&[("CRM_BASE_URL_PIPEDRIVE", "http://127.0.0.1:1")]).await.unwrap();
    check(&test.send(&unreachable, "POST", &call(SESSION)).await, NOT_ANSWERING, "connection refused");
    check(&test.post(&call(SESSION)).await, LOGGED, "a retry at once");
    assert_eq!(attempts(&test), (1, 0));
}

#[tokio::test]
async fn an_attempt_that_failed_before_the_post_is_repeated_without_a_search() {
    for route in [Route::GetPerson, Route::ActivityTypes] {
        for fault in [Fault::DropBeforeAnswer, Fault::Status(500), Fault::Html] {
            let test = TestApp::start().await;
            let case = format!("{route:?} {fault:?}");
            test.crm.fail(route, fault);
            check(&test.post(&call(SESSION)).await, NOT_ANSWERING, &case);
            check(&test.post(&call(SESSION)).await, LOGGED, &case);
            assert_eq!(attempts(&test), (1, 0), "{case}");
        }
    }
}

#[tokio::test]
async fn the_record_of_a_post_that_lands_late_is_adopted() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::DelayEffect(Duration::from_millis(2_500)));
    let token = test.app.issue_token(&test.user, 1);
    // The invocation has so little time that it abandons the request after two seconds.
    let first = send(&test.app, "POST", &token, call(SESSION).to_string().into_bytes(), 3_500).await;
    check(&first, NOT_ANSWERING, "the request is abandoned");
    assert_eq!((attempts(&test), test.crm.activities().len()), ((1, 0), 0));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "no search within the grace period");
    test.pass(GRACE);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the record may be another call's");
    test.pass(SETTLED);
    let found = test.post(&call(SESSION)).await;
    check(&found, LOGGED, "the record is found");
    assert_eq!((found.log_id(), attempts(&test)), (Some("5001"), (1, 2)));
    activity(&test);
}

#[tokio::test]
async fn no_record_is_created_while_the_search_fails() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    for fault in [Fault::Status(500), Fault::DropBeforeAnswer, Fault::Html] {
        test.crm.next(Route::ListActivities, fault);
    }
    for _ in 0..4 {
        check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the search fails");
        assert_eq!(test.crm.count(Route::CreateActivity), 1);
        test.pass(GRACE);
    }
    let found = test.post(&call(SESSION)).await;
    assert_eq!((found.message(), found.log_id()), (LOGGED, Some("5001")));
    activity(&test);
}

#[tokio::test]
async fn a_retry_with_more_details_adds_them_to_the_record_that_it_finds() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    let mut first = call(SESSION);
    first["logInfo"]["duration"] = json!("pending");
    check(&test.post(&first).await, NOT_ANSWERING, "the record was created, but the response was lost");
    test.pass(SETTLED);
    let mut second = call(SESSION);
    second["aiNote"] = json!("Bob asked for a quote");
    check(&test.post(&second).await, LOGGED, "the record is found");
    check_text(&note(&test), &["Bob asked for a quote", "Wants a quote"], &["pending"]);
    assert_eq!(activity(&test)["duration"], "00:02");
}

/// The duration of a record that was found is corrected only if it is one that an attempt sent.
#[tokio::test]
async fn a_duration_that_a_person_changed_in_a_record_that_is_found_stays() {
    for (first, edit, second, expected) in [
        (json!("pending"), None, json!(65), "00:02"),
        (json!(65), None, json!(130), "00:03"),
        (json!(65), Some("00:30"), json!(130), "00:30"),
        (json!("pending"), Some("00:30"), json!(65), "00:30"),
    ] {
        let test = TestApp::start().await;
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        let with_duration = |duration: &Value| {
            let mut body = call(SESSION);
            body["logInfo"]["duration"] = duration.clone();
            body
        };
        check(&test.post(&with_duration(&first)).await, NOT_ANSWERING, "the response is lost");
        test.pass(1_000);
        if let Some(edit) = edit {
            test.crm.edit(5001, "duration", json!(edit));
        }
        test.pass(SETTLED);
        let retry = test.post(&with_duration(&second)).await;
        if edit.is_some() {
            check(&retry, NOT_ANSWERING, "the redrive decides about an edited record");
            test.redrive_for(2).await;
        } else {
            check(&retry, LOGGED, "the record is found");
        }
        assert_eq!(activity(&test)["duration"], expected, "{first} {edit:?} {second}");
    }
}

#[tokio::test]
async fn the_record_of_another_call_is_not_adopted() {
    let test = logged().await;
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    // The same contact, a second later.
    let mut other = call("4503991005");
    other["logInfo"]["startTime"] = json!(1_741_794_326_000_i64);
    check(&test.post(&other).await, NOT_ANSWERING, "the outcome is unknown");
    test.pass(GRACE);
    let response = test.post(&other).await;
    assert_eq!((response.message(), response.log_id()), (LOGGED, Some("5002")));
}

#[tokio::test]
async fn a_retry_with_other_values_finds_the_record_of_the_first_attempt() {
    for change in [
        json!({"contactId": 78, "contactName": "Solo"}),
        json!({"timezoneOffset": "+05:30"}),
        json!({"startTime": 1_741_794_326_000_i64}),
        json!({"startTime": "2025-03-12T15:45:26Z", "contactId": 78, "timezoneOffset": -480}),
        json!({"customSubject": "Quote", "note": "Another note", "duration": 130}),
    ] {
        let test = TestApp::start().await;
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        check(
            &test.post(&call(SESSION)).await,
            NOT_ANSWERING,
            "the record was created, but the response was lost",
        );
        test.pass(SETTLED);
        let mut retry = call(SESSION);
        for (name, value) in change.as_object().unwrap() {
            let is_of_call = ["startTime", "customSubject", "duration"].contains(&name.as_str());
            let fields = if is_of_call { &mut retry["logInfo"] } else { &mut retry };
            fields[name] = value.clone();
        }
        let response = test.post(&retry).await;
        assert_eq!((response.message(), response.log_id()), (LOGGED, Some("5001")), "{change}");
        assert_eq!(activity(&test)["person_id"], 77, "{change}");
    }
}

#[tokio::test]
async fn a_queued_update_that_the_crm_rejects_does_not_prevent_its_call_from_being_logged() {
    let test = TestApp::start().await;
    test.crm.refuse("xxx");
    check(
        &test.patch(&update(json!({"transcript": "xxx"}))).await,
        QUEUED_UNTIL_LOGGED,
        "a text that Pipedrive refuses",
    );
    check(&test.post(&call(SESSION)).await, LOGGED, "without the transcript");
    check_text(&note(&test), &["Wants a quote"], &["xxx"]);
    let item = test.app.store.call(&session_key(&test)).await.unwrap().unwrap();
    assert_eq!((item.lease_holder, item.queue), (None, Vec::new()));
    check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, "the next update");
}

/// A body with `"success": false` is a failure, also in a response with the status 200.
#[tokio::test]
async fn a_failure_is_reported_whatever_the_status_of_the_response() {
    let no = r#"{"success": false, "error": "No"}"#;
    for (status, message) in
        [(200, NOT_ANSWERING), (404, NOT_ANSWERING), (409, REJECTED), (410, NOT_ANSWERING)]
    {
        let test = TestApp::start().await;
        test.crm.always(Route::CreateActivity, Fault::Refusal(status, no));
        let response = test.post(&call(SESSION)).await;
        check(&response, message, &format!("create {status}"));
        assert_eq!((response.log_id(), test.crm.activities().len()), (None, 0), "{status}");
        test.crm.forget_faults();
        test.pass(GRACE);
        check(&test.post(&call(SESSION)).await, LOGGED, &format!("create after {status}"));
    }
    for (status, message) in [(200, NOT_ANSWERING), (409, REJECTED)] {
        let test = logged().await;
        let before = activity(&test);
        test.crm.next(Route::UpdateActivity, Fault::Refusal(status, no));
        let update = update(json!({"aiNote": "Bob asked"}));
        check(&test.patch(&update).await, message, &format!("update {status}"));
        assert_eq!(activity(&test), before, "{status}");
        test.pass(GRACE);
        check(&test.patch(&update).await, UPDATED, &format!("update after {status}"));
        assert!(note(&test).contains("Bob asked"), "{status}");
    }
}
