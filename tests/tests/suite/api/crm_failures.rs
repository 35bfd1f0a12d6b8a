//! What a caller is told when the CRM does not do it.

use std::time::Duration;

use call_log::model::{Credentials, Secret};
use serde_json::{Value, json};
use tests::{
    pipedrive::{FakePipedrive, Route},
    proxy::Fault,
    test_app::{Answer, call},
};

use crate::harness::{Harness, USER, warning, with};

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
const SILENT: &str = "Pipedrive is not answering";

fn rate_limited(when: &str, next: (&str, &str)) -> Value {
    let text = format!("Pipedrive doesn't accept more requests right now. You can try again {when}.");
    let mut answer = warning("Rate limit exceeded", &[("What to do", &text), next]);
    answer["returnMessage"]["details"][1]["items"][0]["id"] = json!("2");
    answer
}

fn refused(words: &str) -> Value {
    warning("Pipedrive refused the call log", &[("Pipedrive says", words)])
}

fn check(answer: &Answer, expected: &Value, row: &str) {
    assert_eq!((answer.status, &answer.body), (200, expected), "{row}");
}

#[tokio::test]
async fn a_create_that_fails_says_why() {
    let stage = Harness::start().await;
    let words = "A fault of the test";
    let silent = warning(SILENT, &[CREATE_NEXT]);
    for (number, (route, fault, expected)) in [
        (Route::CreateActivity, Fault::Status(401), warning("Authorization error", &[AUTHORIZATION])),
        (Route::CreateActivity, Fault::Status(403), warning("Authorization error", &[AUTHORIZATION])),
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
        (Route::CreateActivity, Fault::Status(400), refused(words)),
        (Route::CreateActivity, Fault::Status(404), refused(words)),
        (Route::CreateActivity, Fault::Status(409), refused(words)),
        (Route::CreateActivity, Fault::Status(410), refused(words)),
        (Route::CreateActivity, Fault::Status(422), refused(words)),
        (Route::CreateActivity, Fault::Status(500), silent.clone()),
        (Route::CreateActivity, Fault::Status(503), silent.clone()),
        (Route::CreateActivity, Fault::Html, silent.clone()),
        (Route::CreateActivity, Fault::DropBeforeEffect, silent.clone()),
        (Route::GetPerson, Fault::DropBeforeEffect, silent.clone()),
        (Route::GetPerson, Fault::Html, silent.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let row = format!("{route:?} {fault:?}");
        let session = format!("{}", number + 1);
        stage.crm.next(route, fault);
        check(&stage.post(&call(&session)).await, &expected, &row);
        assert!(stage.crm.activities().is_empty(), "{row}");
    }
}

/// A person who is no longer there, and what else the adapter knows better than Pipedrive's status.
#[tokio::test]
async fn a_create_for_an_unknown_contact_is_refused() {
    let stage = Harness::start().await;
    for (contact, words) in [
        (json!(999), "The contact is no longer in Pipedrive."),
        (json!("c-2"), "The contact id \"c-2\" is not a number."),
    ] {
        check(&stage.post(&with(call("1"), json!({"contactId": contact}))).await, &refused(words), words);
    }
    // A refusal is not for ever: with other data the call is logged.
    assert_eq!(stage.post(&call("1")).await.message(), "Call logged");
}

/// A log that was made although its answer was lost is found, and the answer is as if nothing had happened.
#[tokio::test]
async fn a_lost_answer_is_no_failure_when_the_log_is_found() {
    let stage = Harness::start().await;
    for (number, fault) in [Fault::NoId, Fault::DropBeforeAnswer, Fault::Truncated].into_iter().enumerate() {
        let row = format!("{fault:?}");
        let start = 1_741_794_325_000_i64 + 60_000 * number as i64;
        let body = with(call(&format!("{}", number + 1)), json!({"logInfo": {"startTime": start}}));
        stage.crm.next(Route::CreateActivity, fault);
        let answer = stage.post(&body).await;
        assert_eq!((answer.message(), stage.crm.activities().len()), ("Call logged", number + 1), "{row}");
        assert_eq!(answer.log_id(), Some(format!("{}", 5001 + number).as_str()), "{row}");
    }
}

/// When it cannot be looked for at once, it is before the next attempt, and that one has to wait.
#[tokio::test]
async fn a_lost_answer_is_settled_before_the_next_attempt() {
    let stage = Harness::start().await;
    stage.crm.next(Route::CreateActivity, Fault::NoId);
    stage.crm.next(Route::ListActivities, Fault::Status(500));
    check(&stage.post(&call("1")).await, &warning(SILENT, &[CREATE_NEXT]), "200 without an id");

    let answer = stage.post(&call("1")).await;
    assert_eq!((answer.status, answer.message()), (200, SILENT));
    let text = answer.body["returnMessage"]["details"][0]["items"][0]["text"].as_str().unwrap();
    let expected = "Pipedrive didn't respond to an earlier attempt to log this call. We'll check Pipedrive again in 30 \
                    seconds and log the call if it's missing. You don't need to do anything.";
    assert_eq!(text, expected);
    assert_eq!(stage.crm.activities().len(), 1);
}

#[tokio::test]
async fn a_slow_crm_does_not_use_up_the_invocation() {
    let stage = Harness::start().await;
    stage.crm.next(Route::CreateActivity, Fault::DelayEffect(Duration::from_secs(6)));
    let answer = stage.post_within(4, &call("1")).await;
    check(&answer, &warning(SILENT, &[CREATE_NEXT]), "slow");

    // What could not be finished in time is not begun, and leaves nothing to be waited for.
    let requests = stage.crm.requests().len();
    check(&stage.post_within(1, &call("2")).await, &warning(SILENT, &[CREATE_NEXT]), "too late");
    assert_eq!(stage.crm.requests().len(), requests);
    assert_eq!(stage.post(&call("2")).await.message(), "Call logged");
}

#[tokio::test]
async fn a_crm_that_is_down_is_not_answering() {
    let stage = Harness::with(&[("CRM_BASE_URL_PIPEDRIVE", "http://127.0.0.1:1")]).await;
    let silent = warning(SILENT, &[CREATE_NEXT]);
    check(&stage.post(&call("1")).await, &silent, "down");
    // Nothing was sent, so nothing has to be waited for.
    check(&stage.post(&call("1")).await, &silent, "still down");
}

#[tokio::test]
async fn an_update_that_fails_says_why() {
    let stage = Harness::start().await;
    stage.post(&call("1")).await;
    let before = stage.note();
    let words = "A fault of the test";
    let silent = warning(SILENT, &[UPDATE_NEXT]);
    for (route, fault, expected) in [
        (Route::GetActivity, Fault::Status(401), warning("Authorization error", &[AUTHORIZATION])),
        (Route::UpdateActivity, Fault::Status(403), warning("Authorization error", &[AUTHORIZATION])),
        (
            Route::UpdateActivity,
            Fault::RateLimited { retry_after: Some(17) },
            rate_limited("in 17 seconds", UPDATE_NEXT),
        ),
        (Route::GetActivity, Fault::Status(400), refused(words)),
        (Route::UpdateActivity, Fault::Status(422), refused(words)),
        (Route::GetActivity, Fault::Status(500), silent.clone()),
        (Route::GetActivity, Fault::Html, silent.clone()),
        (Route::GetActivity, Fault::NoId, silent.clone()),
        (Route::GetActivity, Fault::DropBeforeEffect, silent.clone()),
    ] {
        let row = format!("{route:?} {fault:?}");
        stage.crm.next(route, fault);
        check(&stage.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await, &expected, &row);
        assert_eq!(stage.note(), before, "{row}: a log is never changed without having been read");
    }
    let answer = stage.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(answer.message(), "Call log updated.");
    let note = stage.note();
    assert!(note.contains("Bob asked"), "{note}");
    assert!(note.contains("Wants two quotes"), "what could not be written before is kept: {note}");
}

#[tokio::test]
async fn a_log_that_was_deleted_stays_deleted() {
    let expected = warning("The call log was deleted in Pipedrive.", &[]);
    for fault in [
        None,
        Some((Route::GetActivity, 404)),
        Some((Route::UpdateActivity, 404)),
        Some((Route::GetActivity, 410)),
    ] {
        let stage = Harness::start().await;
        stage.post(&call("1")).await;
        match fault {
            None => stage.crm.delete(5001),
            Some((route, status)) => stage.crm.next(route, Fault::Status(status)),
        }
        for _ in 0..2 {
            let answer = stage.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await;
            check(&answer, &expected, &format!("{fault:?}"));
        }
    }
}

#[tokio::test]
async fn an_ended_session_is_a_401_with_a_code() {
    let expected = |what: &str| {
        let next = format!("{what} is saved and will be added to Pipedrive after you connect again.");
        let mut answer =
            warning("User session expired. Please connect again.", &[("What happens next", &next)]);
        answer["errorCode"] = json!("CRM_SESSION_REVOKED");
        answer
    };
    let stage = Harness::start().await;
    stage.post(&call("1")).await;
    let ended = Credentials::OAuth {
        access_token: Secret::new("an access token that has ended"),
        refresh_token: Some(Secret::new("a refresh token that was taken back")),
        expires_at: None,
    };
    stage.put_user(USER, Some(ended)).await;
    for _ in 0..2 {
        for (what, answer) in [
            ("The call", stage.post(&call("2")).await),
            ("The update", stage.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await),
        ] {
            assert_eq!((answer.status, &answer.body), (401, &expected(what)));
        }
    }
    assert_eq!(stage.crm.refreshes(), 1, "a refresh token that was refused is not tried again");
    connect_again(&stage).await;
}

/// After that everything goes on where it was.
async fn connect_again(stage: &Harness) {
    stage.put_user(USER, Some(crate::harness::api_key(tests::pipedrive::API_KEY))).await;
    assert_eq!(stage.post(&call("2")).await.message(), "Call logged");
    assert_eq!(
        stage.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await.message(),
        "Call log updated."
    );
}

/// A stored host that is not the CRM's own is not called, whoever stored it.
#[tokio::test]
async fn a_foreign_host_is_never_called() {
    let stage = Harness::with(&[("CRM_BASE_URL_PIPEDRIVE", "")]).await;
    let foreign = FakePipedrive::start();
    let mut user = crate::harness::user(USER, Some(crate::harness::api_key(tests::pipedrive::API_KEY)));
    for hostname in
        [Some(foreign.base_url().replace("http://", "")), Some("pipedrive.com.evil.example".to_owned()), None]
    {
        user.hostname = hostname;
        stage.app.store.put_user(&user).await.unwrap();
        check(&stage.post(&call("1")).await, &warning("Authorization error", &[AUTHORIZATION]), "foreign");
    }
    assert!(foreign.requests().is_empty());
}
