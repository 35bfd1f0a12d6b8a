//! Connecting a CRM account with a code or a key, as the extension does, and disconnecting it.

use bytes::Bytes;
use call_log::model::{Credentials, Platform, Settings, TenantKey, User, UserKey};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::{
    pipedrive::{API_KEY, COMPANY, Route},
    proxy::Fault,
    test_app::{INVOCATION_MS, Response, TestApp, URL, call, handle, send_from_extension},
};

use call_log::startup::app::App;

const CLIENT: [(&str, &str); 2] =
    [("PIPEDRIVE_CLIENT_ID", "our-id"), ("PIPEDRIVE_CLIENT_SECRET", "our-secret")];
const USED: &str = "This sign-in was already used. Press Connect again.";
const REFUSED: &str = "Pipedrive refused the sign-in. Press Connect again.";
const NO_CALLBACK: &str = "`callbackUri` is missing: press Connect to sign in at the CRM first.";

/// A server that its operator has registered with the CRM, and that is open to all tenants.
struct Server {
    test: TestApp,
    app: Arc<App>,
}

impl Server {
    async fn start() -> Server {
        Server::with(&[("ALLOWED_TENANTS", "*")]).await
    }

    async fn with(extra: &[(&str, &str)]) -> Server {
        let test = TestApp::start().await;
        test.app.store.remove_user(&test.user.key()).await.unwrap();
        let app = test.app_with(&[&CLIENT, extra].concat()).await.unwrap();
        Server { test, app }
    }

    async fn get(&self, path: &str) -> Response {
        let request = http::Request::builder().uri(path).body(Bytes::new()).unwrap();
        handle(&self.app, request, INVOCATION_MS).await
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> Response {
        let request = http::Request::builder().method("POST").uri(path).body(body.into()).unwrap();
        handle(&self.app, request, INVOCATION_MS).await
    }

    /// Sends the answer of the CRM's page, as the extension does.
    async fn send_code(&self, code: &str) -> Response {
        self.get(&callback(code)).await
    }

    async fn send_key(&self, key: &str) -> Response {
        let body =
            json!({"apiKey": key, "platform": "pipedrive", "hostname": "evil.example", "additionalInfo": {}});
        self.post("/apiKeyLogin?state=platform=pipedrive", body.to_string()).await
    }

    async fn stored(&self) -> Option<User> {
        let stored = self.app.store.user(&self.test.user.key()).await.unwrap();
        stored.map(|stored| stored.user)
    }

    async fn with_token(&self, method: &str, path: &str, token: &str, body: &Value) -> Response {
        send_from_extension(&self.app, method, path, token, body).await
    }
}

fn callback(code: &str) -> String {
    format!(
        "/oauth-callback?callbackUri={URL}/pipedrive-redirect?code={code}&state=platform=pipedrive&hostname=evil.example"
    )
}

fn token(response: &Response) -> String {
    response.body["jwtToken"].as_str().unwrap_or_else(|| panic!("no token: {response:?}")).to_owned()
}

/// Expects a refusal that the extension shows, and that nothing is stored.
async fn check_refused(server: &Server, response: &Response, status: u16, message: &str) {
    assert_eq!((response.status, response.body.as_str()), (status, Some(message)));
    assert_eq!(response.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(server.stored().await, None, "{message}");
}

#[tokio::test]
async fn a_code_connects_the_person_to_whom_the_crm_gave_it() {
    let server = Server::start().await;
    let response = server.send_code(&server.test.crm.issue_code()).await;
    let message = "Connected to Pipedrive as Ada Agent (Acme).";
    let return_message = json!({"message": message, "messageType": "success", "ttl": 3000});
    let expected = json!({
        "successful": true, "jwtToken": token(&response), "name": "Ada Agent", "returnMessage": return_message,
    });
    assert_eq!((response.status, &response.body), (200, &expected));
    assert_eq!(server.test.crm.redirects(), [format!("{URL}/pipedrive-redirect")]);
    assert_eq!(server.test.crm.clients(), ["our-id:our-secret"]);

    let user = server.stored().await.unwrap();
    assert_eq!(user.hostname.as_deref(), Some("acme.pipedrive.com"), "not the host of the request");
    assert_eq!(user.account.id, Some(COMPANY.to_string()));
    assert_eq!(user.zone.unwrap().name(), "America/Los_Angeles");
    assert!(matches!(user.credentials, Some(Credentials::OAuth { refresh_token: Some(_), .. })));
    let logged = server.with_token("POST", "/callLog", &token(&response), &call("1")).await;
    assert_eq!(logged.message(), "Call logged");
}

#[tokio::test]
async fn a_login_keeps_the_settings_of_the_user() {
    let server = Server::start().await;
    let settings = Settings([("addCallSessionId".to_owned(), json!({"value": true}))].into());
    let user = User { settings: settings.clone(), credentials: None, ..server.test.user.clone() };
    server.app.store.put_user(&user).await.unwrap();
    server.send_key(API_KEY).await;
    let stored = server.stored().await.unwrap();
    assert_eq!((stored.settings, stored.credentials.is_some()), (settings, true));
}

#[tokio::test]
async fn a_code_is_exchanged_once() {
    let server = Server::start().await;
    let code = server.test.crm.issue_code();
    assert_eq!(server.send_code(&code).await.status, 200);
    let again = server.send_code(&code).await;
    assert_eq!((again.status, again.body.as_str()), (400, Some(USED)));
    assert_eq!(server.test.crm.count(Route::Token), 1);

    let server = Server::start().await;
    let code = server.test.crm.issue_code();
    let (one, other) = tokio::join!(server.send_code(&code), server.send_code(&code));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(server.test.crm.count(Route::Token), 1);

    // A code whose exchange had no response may have been used.
    let server = Server::start().await;
    server.test.crm.next(Route::Token, Fault::DropBeforeAnswer);
    let code = server.test.crm.issue_code();
    let lost = server.send_code(&code).await;
    check_refused(&server, &lost, 503, "Pipedrive is not answering. Try again in a minute.").await;
    check_refused(&server, &server.send_code(&code).await, 400, USED).await;
}

#[tokio::test]
async fn a_callback_that_cannot_be_used_connects_nobody() {
    let server = Server::start().await;
    let page = format!("{URL}/pipedrive-redirect");
    let foreign = "The sign-in came back to another page: press Connect again, or ask your administrator to compare the \
                   manifest with this server.";
    let unknown = "The CRM is unknown here: ask your administrator which CRMs this server connects.";
    let no_state = "`state` does not name a CRM: expected `platform=<name>`.";
    for (query, message) in [
        ("callbackUri=undefined&state=platform=pipedrive".to_owned(), NO_CALLBACK),
        (String::new(), NO_CALLBACK),
        (
            format!("callbackUri={page}?state=platform=pipedrive"),
            "The CRM sent no code: press Connect again.",
        ),
        (format!("callbackUri={page}?code=x&state=none"), no_state),
        (format!("callbackUri={page}?code=x&state=platform=nothing"), unknown),
        (format!("callbackUri={page}?code=x&state=platform=example"), unknown),
        ("callbackUri=https://evil.example/?code=x&state=platform=pipedrive".to_owned(), foreign),
        (format!("callbackUri={page}/?code=x&state=platform=pipedrive"), foreign),
        (
            "callbackUri=http://127.0.0.1/pipedrive-redirect?code=x&state=platform=pipedrive".to_owned(),
            foreign,
        ),
        (format!("callbackUri={page}?code=wrong&state=platform=pipedrive"), REFUSED),
    ] {
        let response = server.get(&format!("/oauth-callback?{query}")).await;
        check_refused(&server, &response, 400, message).await;
    }
    assert_eq!(server.test.crm.count(Route::Token), 1, "only the code that came to our page was sent");
}

#[tokio::test]
async fn only_people_of_an_allowed_tenant_connect() {
    let server = Server::with(&[]).await;
    let tenant = format!("pipedrive:{COMPANY}");
    let message = format!(
        "This server is not open to Acme ({tenant}). Ask its operator to run: call-log tenant allow {tenant}"
    );
    check_refused(&server, &server.send_code(&server.test.crm.issue_code()).await, 400, &message).await;
    check_refused(&server, &server.send_key(API_KEY).await, 400, &message).await;

    let key = |account: u64| TenantKey {
        platform: Platform::new("pipedrive").unwrap(),
        account: account.to_string(),
    };
    server.app.store.allow_tenant(&key(COMPANY + 1), true).await.unwrap();
    check_refused(&server, &server.send_key(API_KEY).await, 400, &message).await;
    server.app.store.allow_tenant(&key(COMPANY), true).await.unwrap();
    assert_eq!(server.send_key(API_KEY).await.status, 200);
    server.app.store.allow_tenant(&key(COMPANY), false).await.unwrap();
    assert_eq!(server.send_key(API_KEY).await.status, 400);

    let server = Server::with(&[("ALLOWED_TENANTS", &format!("pipedrive:1, {tenant}"))]).await;
    assert_eq!(server.send_key(API_KEY).await.status, 200);
}

#[tokio::test]
async fn a_key_is_checked_before_it_is_stored() {
    let server = Server::start().await;
    let refused = "Pipedrive refused the key. Copy it from Pipedrive again.";
    for key in ["wrong", "a b", "key\n", "ключ", &"k".repeat(1_001)] {
        check_refused(&server, &server.send_key(key).await, 400, refused).await;
    }
    server.test.crm.next(Route::CurrentUser, Fault::Status(429));
    let busy = "Pipedrive is not answering. Try again in a minute.";
    check_refused(&server, &server.send_key(API_KEY).await, 503, busy).await;
    for (body, status, message) in [
        ("{", 400, "The body is not JSON: EOF while parsing an object at line 1 column 1."),
        (r#"{"platform": "pipedrive"}"#, 400, "`apiKey` is missing: expected a string."),
        (r#"{"apiKey": "k"}"#, 400, "`platform` is missing: expected the name of a CRM."),
        (
            r#"{"apiKey": "k", "platform": "../x"}"#,
            400,
            "The CRM is unknown here: ask your administrator which CRMs this server connects.",
        ),
    ] {
        let response = server.post("/apiKeyLogin", body).await;
        check_refused(&server, &response, status, message).await;
    }
    let huge = json!({"apiKey": "k".repeat(70_000), "platform": "pipedrive"}).to_string();
    assert_eq!(server.post("/apiKeyLogin", huge).await.status, 413);

    let response = server.send_key(&format!(" {API_KEY}\n")).await;
    assert_eq!((response.status, &response.body["name"]), (200, &json!("Ada Agent")));
    assert!(
        matches!(server.stored().await.unwrap().credentials, Some(Credentials::ApiKey(key)) if key.expose() == API_KEY)
    );
}

#[tokio::test]
async fn a_crm_that_is_not_set_up_says_so() {
    let test = TestApp::start().await;
    test.app.store.remove_user(&test.user.key()).await.unwrap();
    let app = test.app_with(&[("ALLOWED_TENANTS", "*")]).await.unwrap();
    let server = Server { app, test };
    let message = "Pipedrive cannot be connected in this way here. Ask your administrator to set it up.";
    let response = server.send_code(&server.test.crm.issue_code()).await;
    check_refused(&server, &response, 400, message).await;
}

/// Connects with a code, and returns the token.
async fn connected(server: &Server) -> String {
    token(&server.send_code(&server.test.crm.issue_code()).await)
}

async fn disconnect(server: &Server, token: &str) {
    let response = server.with_token("POST", "/unAuthorize", token, &Value::Null).await;
    assert_eq!((response.status, response.message()), (200, "Disconnected."));
}

#[tokio::test]
async fn a_disconnection_removes_the_credential_and_ends_all_tokens() {
    let server = Server::start().await;
    let tokens = [connected(&server).await, connected(&server).await];
    disconnect(&server, &tokens[0]).await;
    assert_eq!(server.stored().await.unwrap().credentials, None);
    assert_eq!(server.test.crm.refresh_token(), "revoked", "the grant ended at the CRM too");
    for token in &tokens {
        let response = server.with_token("GET", "/hostname", token, &Value::Null).await;
        assert_eq!(response.status, 401);
        // A browser with a dead token can still forget it.
        disconnect(&server, token).await;
    }
    assert_eq!(server.test.crm.count(Route::Revoke), 1);

    // At once, in the same second.
    let newer = connected(&server).await;
    let response = server.with_token("POST", "/callLog", &newer, &call("1")).await;
    assert_eq!(response.message(), "Call logged");
    assert_eq!(server.with_token("GET", "/hostname", &tokens[0], &Value::Null).await.status, 401);
    disconnect(&server, &tokens[0]).await;
    assert!(server.stored().await.unwrap().credentials.is_some(), "a dead token changes nothing");
    disconnect(&server, &newer).await;
    let newest = connected(&server).await;
    assert_eq!(server.with_token("GET", "/hostname", &newer, &Value::Null).await.status, 401);
    assert_eq!(server.with_token("GET", "/hostname", &newest, &Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_disconnection_does_not_depend_on_the_crm() {
    for fault in [Fault::Status(500), Fault::DropBeforeAnswer, Fault::Html] {
        let server = Server::start().await;
        let token = connected(&server).await;
        server.test.crm.always(Route::Revoke, fault);
        disconnect(&server, &token).await;
        assert_eq!(server.stored().await.unwrap().credentials, None);
    }
    // A key cannot be revoked.
    let server = Server::start().await;
    let token = token(&server.send_key(API_KEY).await);
    disconnect(&server, &token).await;
    assert_eq!(server.test.crm.count(Route::Revoke), 0);
}

#[tokio::test]
async fn a_token_disconnects_only_its_own_user() {
    let server = Server::start().await;
    let own = connected(&server).await;
    let user = |id: &str| UserKey { id: call_log::model::UserId::new(id).unwrap(), ..server.test.user.key() };
    let tenant = server.stored().await.unwrap().tenant();
    let other_tenant = TenantKey { account: "1".to_owned(), ..tenant.clone() };
    let keys = server.app.api.token_keys();
    let now = server.app.clock.now();
    for token in [
        keys.issue(&user("1-pipedrive"), Some(&tenant), now, 1),
        keys.issue(&server.test.user.key(), Some(&other_tenant), now, 1),
        format!("{own}x"),
        String::new(),
    ] {
        disconnect(&server, &token).await;
    }
    assert!(server.stored().await.unwrap().credentials.is_some());
}
