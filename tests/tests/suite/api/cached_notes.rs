//! `POST /callLog/cacheNote`: the note of a call that is not logged yet. `delivery/cached_notes.rs` has what becomes of it.

use call_log::model::{CallKey, SessionId, User, UserId};
use serde_json::{Value, json};
use tests::{
    proxy::Fault,
    test_app::{
        Response, TestApp, api_key, call, grant, random_letters, send_from_extension, send_with_headers,
    },
};

use crate::harness::with;

const PATH: &str = "/callLog/cacheNote";

async fn post(test: &TestApp, user: &User, body: &Value) -> Response {
    let token = test.app.issue_token(user, 1);
    send_from_extension(&test.app, "POST", PATH, &token, body).await
}

async fn check(test: &TestApp, body: &Value, expected: Value) {
    let response = post(test, &test.user, body).await;
    assert_eq!((response.status, &response.body), (200, &expected), "{body}");
}

/// Expects a refusal whose message the extension shows: a text.
async fn check_refused(test: &TestApp, body: &Value, status: u16, message: &str) {
    let response = post(test, &test.user, body).await;
    assert_eq!((response.status, &response.body), (status, &json!(message)), "{body}");
    assert_eq!(response.headers["content-type"], "text/plain; charset=utf-8", "{body}");
}

async fn is_nothing_stored(test: &TestApp) -> bool {
    let session = SessionId::new("7").unwrap();
    let call = CallKey { tenant: test.user.tenant(), session, header_user: None };
    test.app.store.logs_of_call(&call).await.unwrap().is_empty()
}

fn note(text: &str) -> Value {
    json!({"sessionId": "7", "note": text})
}

#[tokio::test]
async fn a_note_is_accepted_and_may_be_sent_again() {
    let test = TestApp::start().await;
    for text in ["Wants a quote", "Wants a quote", "", "Wants\ntwo 🙂"] {
        check(&test, &note(text), json!({"successful": true})).await;
    }
    assert!(test.crm.requests().is_empty(), "the CRM is not asked");
    test.post(&call("7")).await;
    check(&test, &note("Wants three"), json!({"successful": true})).await;
    let shown = test.crm.activities()[0]["note"].to_string();
    assert!(shown.contains("Wants three"), "{shown}");
}

#[tokio::test]
async fn a_request_that_is_impossible_is_refused_with_a_text() {
    let test = TestApp::start().await;
    let session = "expected RingCentral's id of one call, never 0";
    for (body, message) in [
        (json!({"note": "a"}), format!("`sessionId` is missing: {session}.")),
        (json!({"sessionId": 0, "note": "a"}), format!("`sessionId` is not a session id: {session}, got 0.")),
        (json!({"sessionId": "7"}), "`note` is missing: expected a string.".to_owned()),
        (
            json!({"sessionId": "7", "note": {"a": 1}}),
            "`note` is not text: expected a string, got an object.".to_owned(),
        ),
        (json!([]), "The body is not an object: expected a JSON object, got a list.".to_owned()),
    ] {
        check_refused(&test, &body, 400, &message).await;
    }
    let too_large = "The body is over 1 MiB: shorten its texts and send it again.";
    check_refused(&test, &note(&"a".repeat(1 << 20)), 413, too_large).await;
    let too_long = "The update is too long to store. Shorten its texts to about 350 kB and send it again.";
    check_refused(&test, &note(&random_letters(900_000)), 413, too_long).await;
    assert!(is_nothing_stored(&test).await);
}

/// The extension does nothing more about the call after another status than 200.
#[tokio::test]
async fn a_known_user_always_gets_a_200() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    // The CRM is down, and the note waits.
    test.crm.outage(Some(Fault::Status(500)));
    check(&test, &note("a"), json!({"successful": true})).await;
    test.crm.outage(None);
    test.redrive_for(3).await;
    assert!(test.crm.activities()[0]["note"].to_string().contains(">a<"));
    // The record is deleted.
    test.crm.delete(5001);
    let deleted = post(&test, &test.user, &note("b")).await;
    assert_eq!((deleted.status, deleted.message()), (200, "The call log was deleted in Pipedrive."));
    assert_eq!(deleted.body["successful"], false);
    // Several logs could be meant.
    for extension in ["ab12", "cd34"] {
        test.post(&with(call("8"), json!({"hashedExtensionId": extension}))).await;
    }
    let several = post(&test, &test.user, &json!({"sessionId": "8", "note": "c"})).await;
    assert_eq!((several.status, several.message()), (200, "More than one log belongs to this call."));
    // The user's session with the CRM has ended.
    let ended = User { credentials: Some(grant(-1, "ended")), ..test.user.clone() };
    test.app.store.put_user(&ended).await.unwrap();
    test.crm.forget_faults();
    check(&test, &json!({"sessionId": "9", "note": "d"}), json!({"successful": true})).await;
    test.post(&call("9")).await;
    check(&test, &json!({"sessionId": "9", "note": "e"}), json!({"successful": true})).await;
}

#[tokio::test]
async fn another_caller_is_refused() {
    let test = TestApp::start().await;
    let not_connected = "User not found. Please connect to your CRM.";
    let unknown = User { id: UserId::new("1-pipedrive").unwrap(), ..test.user.clone() };
    let without = User { id: UserId::new("2-pipedrive").unwrap(), credentials: None, ..test.user.clone() };
    test.app.store.put_user(&without).await.unwrap();
    for user in [&unknown, &without] {
        let response = post(&test, user, &note("a")).await;
        assert_eq!((response.status, response.message()), (200, not_connected), "{}", user.id);
        assert_eq!(response.body["successful"], false);
    }
    let missing = send_from_extension(&test.app, "POST", PATH, "no.token.this", &note("a")).await;
    assert_eq!(missing.status, 401);
    let revoked = test.app.issue_token(&test.user, 1);
    test.app.store.revoke_tokens(&test.user.key(), test.now_ms()).await.unwrap();
    let response = send_from_extension(&test.app, "POST", PATH, &revoked, &note("a")).await;
    assert_eq!(
        (response.status, &response.body),
        (401, &json!("User session expired. Please connect again."))
    );
    assert_eq!(response.headers["x-error-code"], "CRM_SESSION_REVOKED");
    assert!(is_nothing_stored(&test).await);
}

#[tokio::test]
async fn a_note_that_waits_is_shown_only_to_the_user_who_sent_it() {
    let test = TestApp::start().await;
    let credentials = Some(api_key(tests::pipedrive::API_KEY));
    let colleague = User { id: UserId::new("777-pipedrive").unwrap(), credentials, ..test.user.clone() };
    test.app.store.put_user(&colleague).await.unwrap();
    let find = async |user: &User| {
        let path = "/callLog?sessionIds=7&requireDetails=true";
        send_from_extension(&test.app, "GET", path, &test.app.issue_token(user, 1), &Value::Null).await.body
    };
    let shown = |body: Value| body["logs"][0]["logData"]["note"].as_str().map(str::to_owned);

    check(&test, &note("apple"), json!({"successful": true})).await;
    for user in [&test.user, &colleague] {
        assert_eq!(find(user).await["logs"], json!([{"sessionId": "7", "matched": false}]));
    }
    // The colleague's create is kept.
    test.crm.outage(Some(Fault::Status(500)));
    let token = test.app.issue_token(&colleague, 1);
    let create = with(call("7"), json!({"note": "From auto logging (Pending)"}));
    send_from_extension(&test.app, "POST", "/callLog", &token, &create).await;
    assert_eq!(shown(find(&colleague).await), Some(String::new()));
    assert_eq!(find(&test.user).await, json!("The call is not in Pipedrive yet. Try again in a minute."));
    test.crm.outage(None);
    test.redrive_for(10).await;
    assert_eq!(shown(find(&colleague).await), Some("apple".to_owned()), "it is in the record");
    // A later one waits for the CRM.
    test.crm.next(tests::pipedrive::Route::UpdateActivity, Fault::Status(500));
    check(&test, &note("berry"), json!({"successful": true})).await;
    assert_eq!(shown(find(&test.user).await), Some("berry".to_owned()));
    assert_eq!(shown(find(&colleague).await), Some("apple".to_owned()));
}

#[tokio::test]
async fn the_header_of_the_extension_counts_for_no_other_route() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    for extension in ["ab12", "cd34"] {
        let headers = [("rc-extension-id", extension)];
        let body = call("7");
        let response = send_with_headers(&test.app, "POST", "/callLog", &token, &headers, &body).await;
        assert_eq!(response.log_id(), Some("5001"), "{extension}");
    }
}
