//! The responses to a caller when the CRM fails or rejects a request.

use std::time::Duration;

use call_log::model::{Credentials, Secret};
use serde_json::{Value, json};
use tests::{
    messages::NOT_ANSWERING,
    pipedrive::{API_KEY, FakePipedrive, Route},
    proxy::Fault,
    test_app::{Response, api_key, call, user},
};

use crate::harness::{Harness, USER, warning};

const AUTHORIZATION: (&str, &str) = (
    "What to do",
    "Pipedrive did not accept your authorization. Check that your Pipedrive account is allowed to log calls, then \
     disconnect and connect it again.",
);
const CREATE_NEXT: (&str, &str) = (
    "What happens next",
    "The call is saved and will be added to Pipedrive as soon as possible. You don't need to do anything.",
);
const UPDATE_NEXT: (&str, &str) = (
    "What happens next",
    "The update is saved and will be added to Pipedrive as soon as possible. You don't need to do anything.",
);

fn rate_limited(when: &str, next: (&str, &str)) -> Value {
    let text = format!("Pipedrive doesn't accept more requests right now. You can try again {when}.");
    warning("Rate limit exceeded", &[("What to do", &text), next])
}

/// The response to a missing permission, with the CRM's own words.
fn forbidden() -> Value {
    warning("Authorization error", &[("Pipedrive says", "A fault of the test"), AUTHORIZATION])
}

fn rejected(words: &str) -> Value {
    warning("Pipedrive refused the call log", &[("Pipedrive says", words)])
}

fn check(response: &Response, expected: &Value, case: &str) {
    assert_eq!((response.status, &response.body), (200, expected), "{case}");
}

#[tokio::test]
async fn a_failed_create_tells_the_caller_why_and_creates_no_record() {
    let harness = Harness::start().await;
    let words = "A fault of the test";
    let not_answering = warning(NOT_ANSWERING, &[CREATE_NEXT]);
    for (number, (route, fault, expected)) in [
        (Route::CreateActivity, Fault::Status(401), warning("Authorization error", &[AUTHORIZATION])),
        (Route::CreateActivity, Fault::Status(403), forbidden()),
        (Route::GetPerson, Fault::Status(401), warning("Authorization error", &[AUTHORIZATION])),
        (
            Route::CreateActivity,
            Fault::RateLimited { retry_after: Some(17) },
            rate_limited("in 17 seconds", CREATE_NEXT),
        ),
        (
            Route::CreateActivity,
            Fault::RateLimited { retry_after: Some(0) },
            rate_limited("in a second", CREATE_NEXT),
        ),
        (
            Route::CreateActivity,
            Fault::RateLimited { retry_after: None },
            rate_limited("in a minute", CREATE_NEXT),
        ),
        (Route::GetPerson, Fault::Blocked, rate_limited("in a minute", CREATE_NEXT)),
        (Route::CreateActivity, Fault::Status(400), rejected(words)),
        (Route::CreateActivity, Fault::Status(404), not_answering.clone()),
        (Route::CreateActivity, Fault::Status(409), rejected(words)),
        (Route::CreateActivity, Fault::Status(410), not_answering.clone()),
        (Route::CreateActivity, Fault::Status(422), rejected(words)),
        (Route::CreateActivity, Fault::Status(500), not_answering.clone()),
        (Route::CreateActivity, Fault::Status(503), not_answering.clone()),
        (Route::CreateActivity, Fault::Html, not_answering.clone()),
        (Route::CreateActivity, Fault::DropBeforeEffect, not_answering.clone()),
        (Route::GetPerson, Fault::DropBeforeEffect, not_answering.clone()),
        (Route::GetPerson, Fault::Html, not_answering.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("{route:?} {fault:?}");
        let session = format!("{}", number + 1);
        harness.crm.always(route, fault);
        check(&harness.post(&call(&session)).await, &expected, &case);
        harness.crm.forget_faults();
        harness.close_breaker().await;
        assert!(harness.crm.activities().is_empty(), "{case}");
    }
}

/// The redrive decides later if the record is this call's. See `delivery::lookalikes`.
#[tokio::test]
async fn a_create_whose_response_was_lost_is_kept_and_sent_once() {
    let harness = Harness::start().await;
    for (number, fault) in [Fault::NoId, Fault::DropBeforeAnswer, Fault::Truncated].into_iter().enumerate() {
        let case = format!("{fault:?}");
        harness.crm.next(Route::CreateActivity, fault);
        let body = call(&format!("{}", number + 1));
        check(&harness.post(&body).await, &warning(NOT_ANSWERING, &[CREATE_NEXT]), &case);
        assert_eq!(harness.post(&body).await.message(), NOT_ANSWERING, "{case}: repeated");
        assert_eq!(harness.crm.activities().len(), number + 1, "{case}");
    }
}

#[tokio::test]
async fn a_create_whose_response_was_lost_is_not_repeated_before_the_crm_was_searched() {
    let harness = Harness::start().await;
    harness.crm.next(Route::CreateActivity, Fault::NoId);
    harness.crm.next(Route::ListActivities, Fault::Status(500));
    check(&harness.post(&call("1")).await, &warning(NOT_ANSWERING, &[CREATE_NEXT]), "200 without an id");

    let response = harness.post(&call("1")).await;
    assert_eq!((response.status, response.message()), (200, NOT_ANSWERING));
    let text = response.body["returnMessage"]["details"][0]["items"][0]["text"].as_str().unwrap();
    let expected = "Pipedrive didn't respond to an earlier attempt to log this call. We'll check Pipedrive again in 30 \
                    seconds and log the call if it's missing. You don't need to do anything.";
    assert_eq!(text, expected);
    assert_eq!(harness.crm.activities().len(), 1);
}

#[tokio::test]
async fn the_caller_gets_a_response_before_the_deadline_when_the_crm_is_slow() {
    let harness = Harness::start().await;
    harness.crm.next(Route::CreateActivity, Fault::DelayEffect(Duration::from_secs(6)));
    let response = harness.post_within(4, &call("1")).await;
    check(&response, &warning(NOT_ANSWERING, &[CREATE_NEXT]), "a slow CRM");

    // A create that cannot finish before the deadline is not started, so the next attempt does not have to wait.
    let requests = harness.crm.requests().len();
    check(
        &harness.post_within(1, &call("2")).await,
        &warning(NOT_ANSWERING, &[CREATE_NEXT]),
        "too little time",
    );
    assert_eq!(harness.crm.requests().len(), requests);
    assert_eq!(harness.post(&call("2")).await.message(), "Call logged");
}

#[tokio::test]
async fn an_unreachable_crm_is_reported_as_not_answering() {
    let harness = Harness::with(&[("CRM_BASE_URL_PIPEDRIVE", "http://127.0.0.1:1")]).await;
    let not_answering = warning(NOT_ANSWERING, &[CREATE_NEXT]);
    check(&harness.post(&call("1")).await, &not_answering, "unreachable");
    // Nothing was sent, so the next attempt does not have to wait.
    check(&harness.post(&call("1")).await, &not_answering, "still unreachable");
}

#[tokio::test]
async fn a_failed_update_tells_the_caller_why_and_is_kept() {
    let harness = Harness::start().await;
    harness.post(&call("1")).await;
    let before = harness.note();
    let words = "A fault of the test";
    let not_answering = warning(NOT_ANSWERING, &[UPDATE_NEXT]);
    for (route, fault, expected) in [
        (Route::GetActivity, Fault::Status(401), warning("Authorization error", &[AUTHORIZATION])),
        (Route::UpdateActivity, Fault::Status(403), forbidden()),
        (
            Route::UpdateActivity,
            Fault::RateLimited { retry_after: Some(17) },
            rate_limited("in 17 seconds", UPDATE_NEXT),
        ),
        (Route::GetActivity, Fault::Status(400), rejected(words)),
        (Route::UpdateActivity, Fault::Status(422), rejected(words)),
        (Route::GetActivity, Fault::Status(500), not_answering.clone()),
        (Route::GetActivity, Fault::Html, not_answering.clone()),
        (Route::GetActivity, Fault::NoId, not_answering.clone()),
        (Route::GetActivity, Fault::DropBeforeEffect, not_answering.clone()),
    ] {
        let case = format!("{route:?} {fault:?}");
        harness.crm.fail(route, fault);
        check(&harness.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await, &expected, &case);
        harness.close_breaker().await;
        assert_eq!(harness.note(), before, "{case}: a record is never changed without having been read");
    }
    let response = harness.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(response.message(), "Call log updated.");
    let note = harness.note();
    assert!(note.contains("Bob asked"), "{note}");
    assert!(note.contains("Wants two quotes"), "the updates that failed were kept: {note}");
}

#[tokio::test]
async fn an_update_never_recreates_a_deleted_record() {
    let expected = warning("The call log was deleted in Pipedrive.", &[]);
    for fault in [
        None,
        Some((Route::GetActivity, 404)),
        Some((Route::UpdateActivity, 404)),
        Some((Route::GetActivity, 410)),
    ] {
        let harness = Harness::start().await;
        harness.post(&call("1")).await;
        match fault {
            None => harness.crm.delete(5001),
            Some((route, status)) => harness.crm.always(route, Fault::Status(status)),
        }
        let update = json!({"sessionId": "1", "note": "Wants two quotes"});
        for _ in 0..2 {
            check(&harness.patch(&update).await, &expected, &format!("{fault:?}"));
        }
        // A record that is there again gets the update.
        if fault.is_some() {
            harness.crm.forget_faults();
            assert_eq!(harness.patch(&update).await.message(), "Call log updated.", "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_revoked_crm_session_is_a_401_with_an_error_code() {
    let expected = |what: &str| {
        let next = format!("{what} is saved and will be added to Pipedrive after you connect again.");
        let mut response =
            warning("User session expired. Please connect again.", &[("What happens next", &next)]);
        response["errorCode"] = json!("CRM_SESSION_REVOKED");
        response
    };
    let harness = Harness::start().await;
    harness.post(&call("1")).await;
    let revoked = Credentials::OAuth {
        access_token: Secret::new("an access token that has expired"),
        refresh_token: Some(Secret::new("a refresh token that was revoked")),
        expires_at: None,
    };
    harness.put_user(USER, Some(revoked)).await;
    for _ in 0..2 {
        for (what, response) in [
            ("The call", harness.post(&call("2")).await),
            ("The update", harness.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await),
        ] {
            assert_eq!((response.status, &response.body), (401, &expected(what)));
        }
    }
    assert_eq!(harness.crm.refreshes(), 1, "a rejected refresh token is not sent again");
    connect_again(&harness).await;
}

/// Connects the user again, and asserts that creates and updates succeed.
async fn connect_again(harness: &Harness) {
    harness.put_user(USER, Some(api_key(API_KEY))).await;
    assert_eq!(harness.post(&call("2")).await.message(), "Call logged");
    assert_eq!(
        harness.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await.message(),
        "Call log updated."
    );
}

/// A host in the table is not trusted: it must be one of the CRM's own.
#[tokio::test]
async fn no_request_is_sent_to_a_host_that_is_not_the_crms() {
    let harness = Harness::with(&[("CRM_BASE_URL_PIPEDRIVE", "")]).await;
    let foreign = FakePipedrive::start();
    let mut user = user(USER, Some(api_key(API_KEY)));
    for hostname in
        [Some(foreign.base_url().replace("http://", "")), Some("pipedrive.com.evil.example".to_owned()), None]
    {
        user.hostname = hostname;
        harness.app.store.put_user(&user).await.unwrap();
        check(&harness.post(&call("1")).await, &warning("Authorization error", &[AUTHORIZATION]), "foreign");
    }
    assert!(foreign.requests().is_empty());
}
