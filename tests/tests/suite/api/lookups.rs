//! `GET /callLog`: which calls have a log, and what it says. The extension asks before every log, edit, recording and badge.

use std::time::Duration;

use call_log::model::{CrmAccount, User, UserId};
use serde_json::{Value, json};
use tests::{
    pipedrive::Route,
    proxy::Fault,
    test_app::{Response, TestApp, api_key, call, close_breaker, send_from_extension},
};

use crate::harness::with;

const MISSING: &str = "`sessionIds` is missing: expected RingCentral's ids of calls, separated by commas.";

async fn find(test: &TestApp, user: &User, query: &str) -> Response {
    let token = test.app.issue_token(user, 1);
    send_from_extension(&test.app, "GET", &format!("/callLog?{query}"), &token, &Value::Null).await
}

async fn check(test: &TestApp, user: &User, query: &str, expected: Value) {
    let response = find(test, user, query).await;
    assert_eq!((response.status, &response.body), (200, &expected), "{query}");
    assert_eq!(response.headers["content-type"], "application/json", "{query}");
}

/// Expects a refusal whose message the extension shows: a text.
async fn check_refused(test: &TestApp, user: &User, query: &str, status: u16, message: &str) {
    let response = find(test, user, query).await;
    assert_eq!((response.status, &response.body), (status, &json!(message)), "{query}");
    assert_eq!(response.headers["content-type"], "text/plain; charset=utf-8", "{query}");
}

fn logs(entries: &[Value]) -> Value {
    json!({"successful": true, "logs": entries})
}

fn unmatched(session: &str) -> Value {
    json!({"sessionId": session, "matched": false})
}

fn matched(session: &str, log: &str) -> Value {
    json!({"sessionId": session, "matched": true, "logId": log})
}

/// Returns a colleague of the user, or a user of another company.
async fn other(test: &TestApp, id: &str, account: Option<&str>) -> User {
    let id = UserId::new(id).unwrap();
    let account = account.map_or(test.user.account.clone(), |account| CrmAccount {
        id: Some(account.to_owned()),
        ..CrmAccount::default()
    });
    let credentials = Some(api_key(tests::pipedrive::API_KEY));
    let user = User { id, account, credentials, ..test.user.clone() };
    test.app.store.put_user(&user).await.unwrap();
    user
}

#[tokio::test]
async fn each_session_is_answered_in_the_order_of_the_request() {
    let test = TestApp::start().await;
    for session in ["7", "5"] {
        assert_eq!(test.post(&call(session)).await.status, 200);
    }
    test.patch(&json!({"sessionId": "6", "note": "waits for its call"})).await;
    let user = &test.user;
    check(&test, user, "sessionIds=9", logs(&[unmatched("9")])).await;
    check(
        &test,
        user,
        "sessionIds=5,0,6,7,5,x%23y&requireDetails=false",
        logs(&[matched("5", "5002"), unmatched("0"), unmatched("6"), matched("7", "5001"), unmatched("x#y")]),
    )
    .await;
    let colleague = other(&test, "777-pipedrive", None).await;
    check(&test, &colleague, "sessionIds=7", logs(&[matched("7", "5001")])).await;
    let elsewhere = other(&test, "888-pipedrive", Some("another company")).await;
    check(&test, &elsewhere, "sessionIds=7", logs(&[unmatched("7")])).await;

    let many: Vec<_> = (1..=300).map(|id| id.to_string()).collect();
    let found = find(&test, user, &format!("sessionIds={}", many.join(","))).await;
    let entries = found.body["logs"].as_array().unwrap();
    let ids: Vec<_> = entries.iter().map(|entry| entry["sessionId"].as_str().unwrap()).collect();
    assert_eq!(ids, many);
    let are_matched = entries.iter().filter(|entry| entry["matched"] == true);
    assert_eq!(are_matched.count(), 2);
}

#[tokio::test]
async fn a_lookup_is_one_request_to_the_table() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    let (app, proxy) = test.proxied_app().await;
    let token = test.app.issue_token(&test.user, 1);
    let ids: Vec<_> = (1..=10).map(|id| id.to_string()).collect();
    let path = format!("/callLog?sessionIds={}", ids.join(","));
    let found = send_from_extension(&app, "GET", &path, &token, &Value::Null).await;
    assert_eq!(found.body["logs"][6], matched("7", "5001"));
    assert_eq!(proxy.count(tests::dynamodb::REQUEST), 1);
    assert_eq!(test.crm.count(Route::GetActivity), 0);
}

#[tokio::test]
async fn the_content_of_a_log_is_what_the_crm_shows() {
    let test = TestApp::start().await;
    let user = &test.user;
    test.post(&with(
        call("7"),
        json!({"additionalSubmission": {"deals": 412}, "note": "Wants a quote\nCall back"}),
    ))
    .await;
    let content = |subject: &str, note: &str| {
        let data = json!({"subject": subject, "note": note, "dispositions": {"deals": 412}});
        logs(&[with(matched("7", "5001"), json!({"logData": data}))])
    };
    let query = "sessionIds=7&requireDetails=true";
    let subject = "Inbound Call from Bob Client";
    check(&test, user, query, content(subject, "Wants a quote\nCall back")).await;
    let note = test.crm.activities()[0]["note"].as_str().unwrap().replace("Wants a quote", "Wants two");
    test.crm.edit(5001, "note", json!(note));
    test.crm.edit(5001, "subject", json!("Quote"));
    check(&test, user, query, content("Quote", "Wants two\nCall back")).await;

    // An update that waits is shown to its sender only.
    test.crm.next(Route::UpdateActivity, Fault::Status(500));
    test.patch(&json!({"sessionId": "7", "note": "Wants three"})).await;
    close_breaker(&test.app, user).await;
    check(&test, user, query, content("Quote", "Wants three")).await;
    let colleague = other(&test, "777-pipedrive", None).await;
    check(&test, &colleague, query, content("Quote", "Wants two\nCall back")).await;
    check(&test, user, "sessionIds=8&requireDetails=true", logs(&[unmatched("8")])).await;
}

#[tokio::test]
async fn a_create_that_is_kept_is_a_log() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Status(500));
    test.post(&with(call("7"), json!({"additionalSubmission": {"deals": 412, "other": 1}}))).await;
    let kept = json!({"sessionId": "7", "matched": true});
    check(&test, &test.user, "sessionIds=7", logs(std::slice::from_ref(&kept))).await;
    let data = json!({"subject": "Inbound Call from Bob Client", "note": "Wants a quote", "dispositions": {"deals": 412}});
    let details = "sessionIds=7&requireDetails=true";
    check(&test, &test.user, details, logs(&[with(kept.clone(), json!({"logData": data}))])).await;
    test.patch(&json!({"sessionId": "7", "note": "Wants two"})).await;
    let data = with(data, json!({"note": "Wants two"}));
    check(&test, &test.user, details, logs(&[with(kept.clone(), json!({"logData": data}))])).await;

    let colleague = other(&test, "777-pipedrive", None).await;
    check(&test, &colleague, "sessionIds=7", logs(&[kept])).await;
    let message = "The call is not in Pipedrive yet. Try again in a minute.";
    check_refused(&test, &colleague, details, 503, message).await;
}

#[tokio::test]
async fn the_log_of_the_extension_is_meant() {
    let test = TestApp::start().await;
    for (extension, note) in [("101", "apple"), ("102", "berry")] {
        test.post(&with(call("7"), json!({"extensionNumber": extension, "note": note}))).await;
    }
    for (extension, log) in [("101", "5001"), ("102", "5002")] {
        let query = format!("sessionIds=7&extensionNumber={extension}");
        check(&test, &test.user, &query, logs(&[matched("7", log)])).await;
    }
    check(&test, &test.user, "sessionIds=7&extensionNumber=103", logs(&[unmatched("7")])).await;
    // A badge says only that there is a log.
    check(&test, &test.user, "sessionIds=7", logs(&[matched("7", "5001")])).await;
    let message = "More than one log belongs to this call. Change the call log in Pipedrive.";
    check_refused(&test, &test.user, "sessionIds=7&requireDetails=true", 400, message).await;
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_never_shown_as_empty() {
    const NOT_ANSWERING: &str = "Pipedrive is not answering. Try again in a minute.";
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    let details = "sessionIds=7&requireDetails=true";
    for fault in [
        Fault::Status(500),
        Fault::Status(403),
        Fault::Html,
        Fault::NoId,
        Fault::RateLimited { retry_after: None },
        Fault::Truncated,
        Fault::DropBeforeAnswer,
    ] {
        test.crm.fail(Route::GetActivity, fault);
        check_refused(&test, &test.user, details, 503, NOT_ANSWERING).await;
        close_breaker(&test.app, &test.user).await;
    }
    check(&test, &test.user, "sessionIds=7", logs(&[matched("7", "5001")])).await;

    // While the CRM is down, it is not asked.
    for _ in 0..5 {
        test.crm.fail(Route::GetActivity, Fault::Status(500));
        check_refused(&test, &test.user, details, 503, NOT_ANSWERING).await;
    }
    let before = test.crm.count(Route::GetActivity);
    check_refused(&test, &test.user, details, 503, NOT_ANSWERING).await;
    assert_eq!(test.crm.count(Route::GetActivity), before);
    close_breaker(&test.app, &test.user).await;

    test.crm.delete(5001);
    check_refused(&test, &test.user, details, 400, "The call log was deleted in Pipedrive.").await;
    check(&test, &test.user, "sessionIds=7", logs(&[matched("7", "5001")])).await;
}

#[tokio::test]
async fn a_caller_without_access_gets_a_text_that_says_what_to_do() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    let ask = async |path: &str, token: &str| {
        send_from_extension(&test.app, "GET", path, token, &Value::Null).await
    };
    let token = test.app.issue_token(&test.user, 1);
    let many: Vec<_> = (1..=301).map(|id| id.to_string()).collect();
    for (path, token, status, message) in [
        ("/callLog", token.as_str(), 400, MISSING),
        (
            &format!("/callLog?sessionIds={}", many.join(",")),
            &token,
            400,
            "`sessionIds` has too many ids: expected at most 300.",
        ),
        (
            "/callLog?sessionIds=1,2,3,4,5,6&requireDetails=true",
            &token,
            400,
            "`sessionIds` has too many ids: expected at most 5 with `requireDetails`.",
        ),
        (
            "/callLog?sessionIds=7",
            "undefined",
            401,
            "The token is malformed: send an HS256 JSON Web Token with `id`, `platform` and `exp`.",
        ),
        (
            "/callLog?sessionIds=7",
            "",
            401,
            "The token is missing: send it as `Authorization: Bearer <token>`.",
        ),
    ] {
        let response = ask(path, token).await;
        assert_eq!((response.status, &response.body), (status, &json!(message)), "{path} {token}");
        assert_eq!(response.headers["content-type"], "text/plain; charset=utf-8", "{path} {token}");
    }
    test.pass(1_000);
    test.app.store.revoke_tokens(&test.user.key(), test.now_ms()).await.unwrap();
    let response = ask("/callLog?sessionIds=7", &token).await;
    assert_eq!(response.status, 401);
    assert_eq!(response.headers["x-error-code"], "CRM_SESSION_REVOKED");
    assert_eq!(response.body, "User session expired. Please connect again.");

    let stranger = User { id: UserId::new("1-pipedrive").unwrap(), ..test.user.clone() };
    let body = json!({
        "successful": false, "logs": [],
        "returnMessage": {"message": "User not found. Please connect to your CRM.", "messageType": "warning", "ttl": 5000},
    });
    check(&test, &stranger, "sessionIds=7", body).await;
}

/// Refusals of the other requests of the extension are texts as well, and those of other callers are JSON.
#[tokio::test]
async fn a_refusal_is_a_text_if_the_token_is_in_the_query() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    for method in ["POST", "PATCH"] {
        let response = send_from_extension(&test.app, method, "/callLog", &token, &json!({})).await;
        let message = response.body.as_str().unwrap_or_default().to_owned();
        assert!(response.status == 400 && message.contains(" is missing: "), "{method}: {response:?}");
        let response = test.send(&test.app, method, &json!({})).await;
        assert!(response.body["returnMessage"]["message"].is_string(), "{method}: {response:?}");
    }
    let response = send_from_extension(&test.app, "DELETE", "/callLog", &token, &Value::Null).await;
    assert_eq!((response.status, &response.body), (405, &json!("This path accepts only POST, PATCH, GET.")));
    assert_eq!(response.headers["allow"], "POST, PATCH, GET");
}

#[tokio::test]
async fn a_token_whose_life_is_half_over_is_renewed_with_an_answer() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 2);
    let ask = async |token: &str| {
        send_from_extension(&test.app, "GET", "/callLog?sessionIds=7", token, &Value::Null).await
    };
    assert!(!ask(&token).await.headers.contains_key("x-refreshed-jwt-token"));
    test.pass(25 * 3_600_000);
    let renewed = ask(&token).await.headers["x-refreshed-jwt-token"].clone();
    test.pass(24 * 3_600_000);
    assert_eq!(ask(&token).await.status, 401, "the first token has expired");
    assert_eq!(ask(&renewed).await.status, 200);
    // A token that was revoked is not renewed.
    test.pass(2 * 3_600_000);
    test.app.store.revoke_tokens(&test.user.key(), test.now_ms()).await.unwrap();
    let response = ask(&renewed).await;
    assert_eq!(response.status, 401);
    assert!(!response.headers.contains_key("x-refreshed-jwt-token"));
}

#[tokio::test]
async fn a_slow_crm_is_not_waited_for_until_the_end_of_the_invocation() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    test.crm.next(Route::GetActivity, Fault::Delay(Duration::from_secs(30)));
    let begun = std::time::Instant::now();
    let details = "sessionIds=7&requireDetails=true";
    check_refused(&test, &test.user, details, 503, "Pipedrive is not answering. Try again in a minute.")
        .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
