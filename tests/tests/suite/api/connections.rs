//! `GET /hostname`, `GET /authValidation` and `GET /licenseStatus`: what the extension asks about the user's connection.

use call_log::model::{User, UserId};
use serde_json::{Value, json};
use tests::test_app::{Response, TestApp, call, grant, send_from_extension};

const EXPIRED: &str = "User session expired. Please connect again.";
const NOT_CONNECTED: &str = "User not found. Please connect to your CRM.";

async fn get(test: &TestApp, user: &User, path: &str) -> Response {
    let token = test.app.issue_token(user, 1);
    send_from_extension(&test.app, "GET", path, &token, &Value::Null).await
}

/// Expects these answers about the host and the connection. `message`: empty if the user is connected.
async fn check(test: &TestApp, user: &User, host: (u16, &str), message: &str) {
    let response = get(test, user, "/hostname").await;
    assert_eq!((response.status, response.body.as_str()), (host.0, Some(host.1)));
    assert_eq!(response.headers["content-type"], "text/plain; charset=utf-8");
    let mut expected = json!({"successful": message.is_empty()});
    if !message.is_empty() {
        expected["returnMessage"] = json!({"message": message, "messageType": "warning", "ttl": 5000});
    }
    let response = get(test, user, "/authValidation").await;
    assert_eq!((response.status, response.body), (200, expected));
}

#[tokio::test]
async fn a_connected_user_has_a_host() {
    let test = TestApp::start().await;
    check(&test, &test.user, (200, "acme.pipedrive.com"), "").await;
    let user = User { hostname: None, ..test.user.clone() };
    test.app.store.put_user(&user).await.unwrap();
    check(&test, &user, (400, "Pipedrive has no page of your own."), "").await;
    let license = json!({
        "isLicenseValid": true, "licenseStatus": "Valid", "licenseStatusDescription": "No licence is needed.",
    });
    assert_eq!(get(&test, &user, "/licenseStatus").await.body, license);
}

#[tokio::test]
async fn a_user_without_access_is_told_to_connect() {
    let test = TestApp::start().await;
    let stranger = User { id: UserId::new("1-pipedrive").unwrap(), ..test.user.clone() };
    check(&test, &stranger, (400, NOT_CONNECTED), NOT_CONNECTED).await;
    let user = User { credentials: None, ..test.user.clone() };
    test.app.store.put_user(&user).await.unwrap();
    check(&test, &user, (400, NOT_CONNECTED), NOT_CONNECTED).await;

    // The CRM has rejected the grant.
    let test = TestApp::with_credentials(grant(-1, "ended")).await;
    check(&test, &test.user, (200, "acme.pipedrive.com"), "").await;
    test.post(&call("1")).await;
    check(&test, &test.user, (401, EXPIRED), EXPIRED).await;

    // A token that was revoked, and one that is none.
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    test.pass(1_000);
    test.app.store.revoke_tokens(&test.user.key(), test.now_ms()).await.unwrap();
    let ask = async |path: &str, token: &str| {
        send_from_extension(&test.app, "GET", path, token, &Value::Null).await
    };
    assert_eq!(ask("/hostname", &token).await.status, 401);
    assert_eq!(ask("/authValidation", &token).await.body["successful"], false);
    for path in ["/hostname", "/authValidation", "/licenseStatus"] {
        let response = ask(path, "x").await;
        assert!(response.status == 401 && response.body.as_str().is_some(), "{path}: {response:?}");
    }
}
