//! Renewal of OAuth grants: when, by which invocation, and what happens to the other requests.

use std::{sync::Arc, time::Duration};

use call_log::{
    delivery::grant::Grant,
    model::{Credentials, Deadline, Secret},
    startup::app::App,
};
use chrono::DateTime;
use serde_json::{Value, json};
use tests::{
    messages::{LOGGED, NOT_ANSWERING, SESSION_ENDED, UNAUTHORIZED, UPDATED},
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{INVOCATION_MS, NOW_MS, Response, TestApp, call, grant, send},
};
use tokio::task::JoinHandle;

const MINUTE: i64 = 60_000;

/// Starts an app whose user has a grant that expires in this many milliseconds.
async fn with_grant(expires_in: i64) -> TestApp {
    TestApp::with_credentials(grant(expires_in, REFRESH_TOKEN)).await
}

fn check(response: &Response, message: &str, case: &str) {
    assert_eq!(response.message(), message, "{case}: {}", response.body);
    let (status, code) =
        if message == SESSION_ENDED { (401, json!("CRM_SESSION_REVOKED")) } else { (200, Value::Null) };
    assert_eq!((response.status, &response.body["errorCode"]), (status, &code), "{case}");
    assert_eq!(response.body["successful"], [LOGGED, UPDATED].contains(&message), "{case}");
}

/// Logs a call in a task of its own.
fn start(app: &Arc<App>, test: &TestApp, session: String) -> JoinHandle<Response> {
    let (app, token) = (app.clone(), app.issue_token(&test.user, 1));
    #[expect(clippy::disallowed_methods, reason = "a test is never frozen")]
    tokio::spawn(async move {
        send(&app, "POST", &token, call(&session).to_string().into_bytes(), INVOCATION_MS).await
    })
}

/// Returns the number of token requests that arrived, whatever their outcome.
fn token_requests(test: &TestApp) -> usize {
    test.crm.count(Route::Token)
}

/// Returns the access token and the refresh token in the table.
async fn stored(test: &TestApp) -> (String, String) {
    let user = test.app.store.user(&test.user.key()).await.unwrap().unwrap();
    match user.user.credentials {
        Some(Credentials::OAuth { access_token, refresh_token: Some(refresh_token), .. }) => {
            (access_token.expose().to_owned(), refresh_token.expose().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_grant_is_renewed_when_it_expires_within_ten_minutes() {
    for (expires_in, renewals) in
        [(60 * MINUTE, 0), (11 * MINUTE, 0), (9 * MINUTE, 1), (MINUTE, 1), (-MINUTE, 1)]
    {
        let test = with_grant(expires_in).await;
        for session in ["1", "2"] {
            check(&test.post(&call(session)).await, LOGGED, &format!("{expires_in} {session}"));
        }
        assert_eq!(test.crm.refreshes(), renewals, "{expires_in}");
    }
}

#[tokio::test]
async fn credentials_without_a_refresh_token_are_not_renewed() {
    let no_refresh_token = Credentials::OAuth {
        access_token: Secret::new("invalid"),
        refresh_token: None,
        expires_at: DateTime::from_timestamp_millis(NOW_MS),
    };
    for credentials in [Credentials::ApiKey(Secret::new("invalid")), no_refresh_token] {
        let test = TestApp::with_credentials(credentials.clone()).await;
        let case = format!("{credentials:?}");
        check(&test.post(&call("1")).await, UNAUTHORIZED, &case);
        assert_eq!(token_requests(&test), 0, "{case}");
    }
    // Only the caller can renew the token of its own header.
    let test = with_grant(-MINUTE).await;
    let mut body = call("1");
    body["authHeader"] = json!(format!("Bearer {ACCESS_TOKEN}"));
    check(&test.post(&body).await, LOGGED, "a valid header");
    body["logInfo"]["sessionId"] = json!("2");
    body["authHeader"] = json!("Bearer other");
    check(&test.post(&body).await, UNAUTHORIZED, "an invalid header");
    assert_eq!(token_requests(&test), 0);
}

#[tokio::test]
async fn simultaneous_calls_renew_an_expired_grant_once() {
    let test = with_grant(0).await;
    let apps = [test.app.clone(), test.another_app().await, test.another_app().await];
    let sent: Vec<_> =
        (0..24).map(|index| start(&apps[index % 3], &test, format!("session-{index}"))).collect();
    for response in sent {
        check(&response.await.unwrap(), LOGGED, "each create");
    }
    assert_eq!((token_requests(&test), test.crm.refreshes()), (1, 1));
    assert_eq!(test.crm.activities().len(), 24);
}

#[tokio::test]
async fn a_hundred_simultaneous_requests_renew_an_expired_grant_once() {
    let test = with_grant(0).await;
    let apps = [test.app.clone(), test.another_app().await, test.another_app().await];
    let user = test.app.store.user(&test.user.key()).await.unwrap().unwrap();
    let sent: Vec<_> = (0..100)
        .map(|index| {
            let (app, user, deadline) =
                (apps[index % 3].clone(), user.clone(), test.now_ms() + INVOCATION_MS);
            let holder = format!("request {index}");
            #[expect(clippy::disallowed_methods, reason = "a test is never frozen")]
            tokio::spawn(async move {
                let crm = call_log::adapters::find("pipedrive").unwrap();
                Grant::obtain(&app, crm, user, None, Deadline(deadline), &holder).await.map(drop)
            })
        })
        .collect();
    for granted in sent {
        granted.await.unwrap().unwrap();
    }
    assert_eq!((token_requests(&test), test.crm.refreshes()), (1, 1));
}

#[tokio::test]
async fn while_the_token_is_valid_only_one_request_waits_for_its_renewal() {
    let test = with_grant(5 * MINUTE).await;
    test.crm.next(Route::Token, Fault::Delay(Duration::from_millis(2_500)));
    let renewing = start(&test.app, &test, "the first".to_owned());
    while token_requests(&test) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for session in ["1", "2", "3"] {
        check(&test.post(&call(session)).await, LOGGED, session);
    }
    assert!(!renewing.is_finished(), "the other requests did not wait");
    check(&renewing.await.unwrap(), LOGGED, "the first");
    assert_eq!(token_requests(&test), 1);
}

#[tokio::test]
async fn a_failed_renewal_does_not_fail_the_request_while_the_token_is_valid() {
    for faults in [vec![Fault::Status(400)], vec![Fault::Status(500), Fault::DropBeforeAnswer]] {
        let test = with_grant(5 * MINUTE).await;
        for fault in faults {
            test.crm.next(Route::Token, fault);
        }
        check(&test.post(&call("1")).await, LOGGED, "with the token that is still valid");
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_used_for_the_next_renewal() {
    let test = with_grant(0).await;
    for number in 1..=3 {
        check(&test.post(&call(&number.to_string())).await, LOGGED, "an expired token");
        assert_eq!(test.crm.refreshes(), number);
        let tokens = (format!("pipedrive-access-{number}"), format!("pipedrive-refresh-{number}"));
        assert_eq!(stored(&test).await, tokens);
        test.pass(59 * MINUTE);
    }
}

#[tokio::test]
async fn a_token_that_the_crm_no_longer_accepts_is_renewed_once() {
    let test = with_grant(60 * MINUTE).await;
    check(&test.post(&call("1")).await, LOGGED, "a valid token");
    test.crm.end_access();
    check(&test.post(&call("2")).await, LOGGED, "a renewed token");
    check(&test.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await, UPDATED, "the renewed token");
    assert_eq!(test.crm.refreshes(), 1);
    assert_eq!(test.crm.activities().len(), 2);
}

#[tokio::test]
async fn a_token_that_another_invocation_has_renewed_is_adopted() {
    let test = with_grant(60 * MINUTE).await;
    test.crm.end_access();
    test.crm.next(Route::GetPerson, Fault::Delay(Duration::from_millis(300)));
    let late = start(&test.app, &test, "late".to_owned());
    while test.crm.count(Route::GetPerson) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = test.another_app().await;
    check(&test.send(&other, "POST", &call("other")).await, LOGGED, "renews the grant");
    check(&late.await.unwrap(), LOGGED, "uses the renewed grant");
    assert_eq!(token_requests(&test), 1);
}

#[tokio::test]
async fn a_token_request_without_a_response_is_sent_once_more() {
    for (fault, message, requests) in [
        (Fault::DropBeforeEffect, LOGGED, 2),
        (Fault::Status(503), LOGGED, 2),
        (Fault::Html, LOGGED, 2),
        // The fake rotates strictly: it rejects the old token.
        (Fault::DropBeforeAnswer, SESSION_ENDED, 2),
    ] {
        let test = with_grant(0).await;
        let case = format!("{fault:?}");
        test.crm.next(Route::Token, fault);
        check(&test.post(&call("1")).await, message, &case);
        assert_eq!(token_requests(&test), requests, "{case}");
    }
}

#[tokio::test]
async fn a_rejected_grant_ends_the_session_until_the_user_connects_again() {
    let test = TestApp::with_credentials(grant(0, "revoked")).await;
    for session in ["1", "1", "2"] {
        check(&test.post(&call(session)).await, SESSION_ENDED, session);
    }
    assert_eq!(token_requests(&test), 1, "no request after the rejection");
    assert_eq!(test.crm.activities().len(), 0);

    let mut user = test.user.clone();
    user.credentials = Some(grant(60 * MINUTE, REFRESH_TOKEN));
    test.app.store.put_user(&user).await.unwrap();
    check(&test.post(&call("1")).await, LOGGED, "connected again");
    assert_eq!((token_requests(&test), test.crm.count(Route::ListActivities)), (1, 0));
}

#[tokio::test]
async fn an_update_during_an_ended_session_is_written_after_the_user_connects_again() {
    let test = with_grant(60 * MINUTE).await;
    check(&test.post(&call("1")).await, LOGGED, "the call");
    let mut user = test.user.clone();
    user.credentials = Some(grant(0, "revoked"));
    test.app.store.put_user(&user).await.unwrap();
    check(
        &test.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await,
        SESSION_ENDED,
        "the session has ended",
    );
    user.credentials = Some(grant(60 * MINUTE, REFRESH_TOKEN));
    test.app.store.put_user(&user).await.unwrap();
    check_updated(
        &test.patch(&json!({"sessionId": "1", "result": "Voicemail"})).await,
        &["Bob asked", "Voicemail"],
    );
}

fn check_updated(response: &Response, parts: &[&str]) {
    let note = response.body["updatedNote"].as_str().unwrap_or_else(|| panic!("{}", response.body));
    assert!(parts.iter().all(|part| note.contains(part)), "{note}");
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_leaves_the_grant_unchanged() {
    let test = with_grant(0).await;
    for fault in
        [Fault::Status(500), Fault::DropBeforeEffect, Fault::Refusal(401, r#"{"error": "invalid_client"}"#)]
    {
        test.crm.next(Route::Token, fault);
    }
    for case in ["the endpoint is down", "the client is unknown"] {
        check(&test.post(&call("1")).await, NOT_ANSWERING, case);
        assert_eq!(stored(&test).await, (ACCESS_TOKEN.to_owned(), REFRESH_TOKEN.to_owned()), "{case}");
    }
    check(&test.post(&call("1")).await, LOGGED, "the endpoint is up again");
    assert_eq!((token_requests(&test), test.crm.refreshes()), (4, 1));
    assert_eq!((test.crm.count(Route::CreateActivity), test.crm.count(Route::ListActivities)), (1, 0));
}

#[tokio::test]
async fn a_renewal_is_not_started_if_its_result_could_not_be_stored_before_the_deadline() {
    let test = with_grant(0).await;
    let token = test.app.issue_token(&test.user, 1);
    let response = send(&test.app, "POST", &token, call("1").to_string().into_bytes(), 3_000).await;
    check(&response, NOT_ANSWERING, "too little time is left");
    assert_eq!(token_requests(&test), 0);
}

#[tokio::test]
async fn a_new_grant_is_stored_even_if_another_invocation_has_claimed_the_renewal() {
    let test = with_grant(0).await;
    let store = &test.app.store;
    let user = store.user(&test.user.key()).await.unwrap().unwrap();
    let claim = async |holder: &str| {
        store.claim_renewal(&user, holder, test.now_ms(), test.now_ms() + 15_000).await.unwrap()
    };
    assert!(claim("slow").await);
    assert!(!claim("other").await, "one renewal at a time");
    test.pass(16_000);
    assert!(claim("other").await, "the claim of the slow invocation has expired");
    let renewed = |name: &str| grant(60 * MINUTE, name);
    // The old refresh token is used up, so the grant of the slow invocation is the only valid one.
    store.give_up_renewal(&user, "other", true).await.unwrap();
    assert!(store.finish_renewal(&user, "slow", &renewed("the slow grant")).await.unwrap());
    assert!(
        store.finish_renewal(&user, "slow", &renewed("the slow grant")).await.unwrap(),
        "a repeated write"
    );
    assert!(!store.finish_renewal(&user, "other", &renewed("another grant")).await.unwrap());
    assert_eq!(stored(&test).await.1, "the slow grant");
    let now = store.user(&test.user.key()).await.unwrap().unwrap();
    assert!(!now.session_ended);
}

/// The provider rotates the refresh token, and then the table is unavailable, so the new grant cannot be stored.
#[tokio::test]
async fn a_grant_that_could_not_be_stored_is_stored_with_the_next_request() {
    for meanwhile in ["nothing", "another process is rejected", "the user connects again"] {
        let test = with_grant(0).await;
        let (app, dynamodb) = test.proxied_app().await;
        test.crm.next(Route::Token, Fault::Delay(Duration::from_millis(300)));
        let outage = async {
            while token_requests(&test) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            dynamodb.outage(Some(Fault::Status(400)));
        };
        let body = call("1");
        let (first, ()) = tokio::join!(test.send(&app, "POST", &body), outage);
        assert_eq!(first.status, 500, "{meanwhile}: {}", first.body);
        assert_eq!(stored(&test).await.1, REFRESH_TOKEN, "{meanwhile}");
        dynamodb.outage(None);
        test.pass(16_000);
        let expected = match meanwhile {
            "another process is rejected" => {
                check(&test.post(&call("2")).await, SESSION_ENDED, meanwhile);
                "pipedrive-refresh-1"
            }
            "the user connects again" => {
                let credentials = Some(grant(60 * MINUTE, "newer"));
                let user = call_log::model::User { credentials, ..test.user.clone() };
                test.app.store.put_user(&user).await.unwrap();
                "newer"
            }
            _ => "pipedrive-refresh-1",
        };
        let response = test.send(&app, "POST", &call("3")).await;
        if expected != "newer" {
            check(&response, LOGGED, meanwhile);
        }
        assert_eq!(stored(&test).await.1, expected, "{meanwhile}");
    }
}
