//! Compares the responses of the functions with the document.

use std::collections::BTreeSet;

use bytes::Bytes;
use call_log::{
    api::{Invocation, all_routes},
    model::{Credentials, Deadline, Secret, User},
    startup::app::App,
};
use serde_json::{Value, json};
use tests::{
    pipedrive::Route,
    proxy::{Fault, Proxy},
    test_app::{INVOCATION_MS, Response, TestApp, URL, call, close_breaker, key_file},
};

use super::document::Document;
use crate::harness::with;

/// A request with one of the possible outcomes, and its response.
struct Row {
    case: &'static str,
    path: &'static str,
    method: &'static str,
    status: u16,
    response: Response,
}

#[tokio::test]
async fn every_example_request_in_the_document_succeeds() {
    let document = Document::read();
    let test = TestApp::start().await;
    for method in ["POST", "PATCH"] {
        let request = document.request(method);
        let schema = document.validator(&request["schema"]);
        let examples = request["examples"].as_object().unwrap();
        assert!(examples.contains_key("extension") && examples.contains_key("interface"), "{method}");
        for (name, example) in examples {
            let body = &example["value"];
            let valid = schema.validate(body).map_err(|error| error.to_string());
            assert_eq!(valid, Ok(()), "{method} {name}");
            let response = test.send(&test.app, method, body).await;
            let expected = if method == "POST" { "Call logged" } else { "Call log updated." };
            assert_eq!(response.message(), expected, "{method} {name}: {response:?}");
            assert_eq!(
                document.problems("/callLog", method, &response),
                Vec::<String>::new(),
                "{method} {name}"
            );
        }
    }
}

#[tokio::test]
async fn every_response_matches_the_document_and_every_status_occurs() {
    let document = Document::read();
    let rows = rows().await;
    for Row { case, path, method, status, response } in &rows {
        assert_eq!(response.status, *status, "{case}: {response:?}");
        assert_eq!(document.problems(path, method, response), Vec::<String>::new(), "{case}: {response:?}");
    }
    for (path, method, operation) in document.operations() {
        let occurred: BTreeSet<_> = rows
            .iter()
            .filter(|row| row.path == path && row.method.eq_ignore_ascii_case(method))
            .map(|row| row.status.to_string())
            .collect();
        let described: BTreeSet<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(occurred, described, "{method} {path}");
    }
}

#[tokio::test]
async fn a_document_that_omits_a_status_a_field_or_a_header_fails_the_check() {
    let rows = rows().await;
    let body = "/components/schemas/ResponseBody";
    let post = "/paths/~1callLog/post/responses";
    for (place, omitted, problem) in [
        (post.to_owned(), "503", "503 is not described"),
        (post.to_owned(), "413", "413 is not described"),
        ("/components/schemas/CreateResponse/properties".to_owned(), "logId", "logId"),
        ("/components/schemas/UpdateResponse/properties".to_owned(), "updatedNote", "updatedNote"),
        (format!("{body}/properties"), "returnMessage", "returnMessage"),
        (format!("{body}/properties/returnMessage/properties"), "ttl", "ttl"),
        (format!("{body}/properties/returnMessage/properties"), "details", "details"),
        (
            "/components/responses/Busy/headers".to_owned(),
            "Retry-After",
            "the header retry-after is not described",
        ),
        (
            "/components/responses/Unauthorized/content/application~1json/schema/allOf/1/properties"
                .to_owned(),
            "errorCode",
            "errorCode",
        ),
    ] {
        let mut document = Document::read();
        let object = document.0.pointer_mut(&place).and_then(Value::as_object_mut).expect(&place);
        assert!(object.remove(omitted).is_some(), "{omitted} is in {place}");
        let problems = rows.iter().flat_map(|row| document.problems(row.path, row.method, &row.response));
        assert!(problems.into_iter().any(|found| found.contains(problem)), "without {omitted}");
    }
}

/// Returns a row for each outcome of both requests. The futures of requests are large, so they are boxed to keep the
/// stack small.
async fn rows() -> Vec<Row> {
    let test = TestApp::start().await;
    let mut rows = Vec::new();
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    let send = async |method: &str, body: &Value| Box::pin(test.send(&test.app, method, body)).await;

    let mut add = |case, method, status, response| {
        rows.push(Row { case, path: "/callLog", method, status, response });
    };
    add("queued", "PATCH", 200, send("PATCH", &with(update.clone(), json!({"sessionId": "9"}))).await);
    add("logged", "POST", 200, send("POST", &call("1")).await);
    add("repeated", "POST", 200, send("POST", &call("1")).await);
    add("no contact", "POST", 200, send("POST", &with(call("2"), json!({"contactId": 0}))).await);
    add("updated", "PATCH", 200, send("PATCH", &update).await);
    test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: Some(7) });
    add("rate limited", "POST", 200, send("POST", &call("3")).await);
    close_breaker(&test.app, &test.user).await;
    test.crm.next(Route::CreateActivity, Fault::Status(422));
    add("rejected", "POST", 200, send("POST", &call("3")).await);
    test.crm.next(Route::CreateActivity, Fault::Status(401));
    add("authorization", "POST", 200, send("POST", &call("3")).await);
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    add("no response", "POST", 200, send("POST", &call("3")).await);
    add("unknown outcome", "POST", 200, send("POST", &call("3")).await);
    test.crm.delete(5001);
    let another = with(update.clone(), json!({"note": "Wants three quotes"}));
    add("deleted", "PATCH", 200, send("PATCH", &another).await);
    let long = json!({"sessionId": "9", "transcript": tests::test_app::random_letters(1_000_000)});
    add("too long to queue", "PATCH", 413, send("PATCH", &long).await);

    let (without_table, proxy) = test.proxied_app().await;
    let other_key = test.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("another"))]).await.unwrap();
    let token = format!("Bearer {}", test.app.issue_token(&test.user, 1));
    for (method, body) in [("POST", call("4")), ("PATCH", update)] {
        let ask = async |token: &str, uri: &str, body: String| ask(&test.app, method, uri, token, body).await;
        add("no field", method, 400, ask(&token, "/callLog", "{}".to_owned()).await);
        add("not JSON", method, 400, ask(&token, "/callLog", "{".to_owned()).await);
        add("no token", method, 401, ask("", "/callLog", body.to_string()).await);
        add("an invalid token", method, 401, ask("Bearer x", "/callLog", body.to_string()).await);
        let other = with(body.clone(), json!({"user": {"id": "54321-pipedrive"}}));
        add("another user", method, 403, send(method, &other).await);
        add("another path", method, 404, ask(&token, "/callLog/1", body.to_string()).await);
        let response = self::ask(&test.app, "PUT", "/callLog", &token, body.to_string());
        add("another method", method, 405, response.await);
        add("too large", method, 413, ask(&token, "/callLog", " ".repeat((1 << 20) + 1)).await);
        other_key.store.put_user(&test.user).await.unwrap();
        add("no key", method, 500, send(method, &body).await);
        test.app.store.put_user(&test.user).await.unwrap();
        proxy.outage(Some(Fault::DropBeforeEffect));
        add("no table", method, 503, Box::pin(test.send(&without_table, method, &body)).await);
        proxy.outage(None);
    }
    let ask = async |app: &App, token: &str, uri: &str, body: String| ask(app, "GET", uri, token, body).await;
    let found = "/callLog?sessionIds=1,9&requireDetails=true";
    test.post(&call("1")).await;
    add("found", "GET", 200, ask(&test.app, &token, "/callLog?sessionIds=1,9", String::new()).await);
    add("a deleted log", "GET", 400, ask(&test.app, &token, found, String::new()).await);
    add("no session", "GET", 400, ask(&test.app, &token, "/callLog", String::new()).await);
    add("no token", "GET", 401, ask(&test.app, "", found, String::new()).await);
    add("another path", "GET", 404, ask(&test.app, &token, "/callLog/1", String::new()).await);
    let put = self::ask(&test.app, "PUT", "/callLog", &token, String::new());
    add("another method", "GET", 405, put.await);
    add("too large", "GET", 413, ask(&test.app, &token, found, " ".repeat((1 << 20) + 1)).await);
    other_key.store.put_user(&test.user).await.unwrap();
    add("no key", "GET", 500, ask(&test.app, &token, found, String::new()).await);
    test.app.store.put_user(&test.user).await.unwrap();
    proxy.outage(Some(Fault::DropBeforeEffect));
    add("no table", "GET", 503, ask(&without_table, &token, found, String::new()).await);
    proxy.outage(None);

    let person = r#"{"phoneNumber": "+12135550177", "newContactName": "Eve"}"#;
    let chosen = r#"{"sessionId": "1", "dispositions": {"deals": 412}}"#;
    for (path, method, query, body) in [
        ("/user/settings", "GET", "", ""),
        ("/user/settings", "POST", "", r#"{"userSettings": {"showChatTab": {"value": true}}}"#),
        ("/callDisposition", "PUT", "", chosen),
        ("/callLog/cacheNote", "POST", "", r#"{"sessionId": "1", "note": "Wants a quote"}"#),
        ("/hostname", "GET", "", ""),
        ("/authValidation", "GET", "", ""),
        ("/licenseStatus", "GET", "", ""),
        ("/contact", "GET", "?phoneNumber=%2B12135550111", ""),
        ("/contact", "POST", "", person),
        ("/custom/contact/search", "GET", "?name=Bob", ""),
        ("/admin/settings", "GET", "", ""),
        ("/admin/settings", "POST", "", r#"{"adminSettings": {"version": 0, "userMappingsVersion": 0}}"#),
        ("/admin/userMapping", "POST", "", r#"{"rcExtensionList": [{"id": 7, "name": "Ada Agent"}]}"#),
        ("/admin/reinitializeUserMapping", "POST", "", r#"{"rcExtensionList": []}"#),
        ("/admin/serverLoggingSettings", "GET", "", ""),
        ("/admin/serverLoggingSettings", "POST", "", r#"{"additionalFieldValues": {}}"#),
    ] {
        let mut add = |case, status, response| rows.push(Row { case, path, method, status, response });
        let (good, body) = (format!("{path}{query}"), body.to_owned());
        let ask = async |app: &App, method: &str, token: &str, uri: &str, body: &str| {
            self::ask(app, method, uri, token, body.to_owned()).await
        };
        test.crm.add_deal(412, 77, "Roof", "open");
        let is_for_administrators = path.starts_with("/admin");
        if is_for_administrators {
            add("no administrator", 403, ask(&test.app, method, &token, &good, &body).await);
            let (user, tenant) = (test.user.key(), test.user.tenant());
            test.app.store.set_administrator(&user, Some(&tenant)).await.unwrap();
        }
        add("done", 200, ask(&test.app, method, &token, &good, &body).await);
        if good != path || !body.is_empty() {
            add("nothing", 400, ask(&test.app, method, &token, path, "").await);
        }
        add("no token", 401, ask(&test.app, method, "", &good, &body).await);
        add("another path", 404, ask(&test.app, method, &token, &format!("{path}/1{query}"), &body).await);
        add("another method", 405, ask(&test.app, "DELETE", &token, &good, &body).await);
        add("too large", 413, ask(&test.app, method, &token, &good, &" ".repeat((1 << 20) + 1)).await);
        if path == "/licenseStatus" {
            continue; // It reads nothing.
        }
        other_key.store.put_user(&test.user).await.unwrap();
        add("no key", 500, ask(&test.app, method, &token, &good, &body).await);
        test.app.store.put_user(&test.user).await.unwrap();
        proxy.outage(Some(Fault::DropBeforeEffect));
        add("no table", 503, ask(&without_table, method, &token, &good, &body).await);
        proxy.outage(None);
        let user = User { credentials: None, ..test.user.clone() };
        test.app.store.put_user(&user).await.unwrap();
        let is_refused = method == "POST" && path != "/callLog/cacheNote"
            || is_for_administrators
            || ["/hostname", "/user/settings"].contains(&path);
        let status = if is_refused { 400 } else { 200 };
        add("not connected", status, ask(&test.app, method, &token, &good, &body).await);
        test.app.store.put_user(&test.user).await.unwrap();
        if (path, method) == ("/admin/settings", "POST") {
            let late =
                r#"{"adminSettings": {"version": 7, "userMappingsVersion": 0, "userSettings": {"a": {}}}}"#;
            add("another administrator", 409, ask(&test.app, method, &token, &good, late).await);
        }
        test.app.store.set_administrator(&test.user.key(), None).await.unwrap();
    }
    add_rows_without_token(&test, &without_table, &proxy, &mut rows).await;
    let path = "/unAuthorize";
    let mut add = |case, status, response| rows.push(Row { case, path, method: "POST", status, response });
    let post = async |app: &App, path: &str| self::ask(app, "POST", path, &token, String::new()).await;
    add("another path", 404, post(&test.app, "/unAuthorize/1").await);
    add("another method", 405, self::ask(&test.app, "GET", path, &token, String::new()).await);
    other_key.store.put_user(&test.user).await.unwrap();
    add("no key", 500, post(&test.app, path).await);
    proxy.outage(Some(Fault::DropBeforeEffect));
    add("no table", 503, post(&without_table, path).await);
    proxy.outage(None);
    test.app.store.put_user(&test.user).await.unwrap();
    add("disconnected", 200, post(&test.app, path).await);
    test.app.store.put_user(&test.user).await.unwrap();
    test.pass(2_000);
    let mut add = |case, method, status, response| {
        rows.push(Row { case, path: "/callLog", method, status, response });
    };

    // The user's session is revoked. Then the user disconnects.
    let revoked = Credentials::OAuth {
        access_token: Secret::new("an access token that has expired"),
        refresh_token: Some(Secret::new("a refresh token that was revoked")),
        expires_at: None,
    };
    for (case, status, credentials) in [("session revoked", 401, Some(revoked)), ("not connected", 200, None)]
    {
        let user = User { credentials, ..test.user.clone() };
        test.app.store.put_user(&user).await.unwrap();
        add(case, "POST", status, send("POST", &call("5")).await);
    }
    rows
}

/// Adds a row for each outcome of the requests that need no token.
async fn add_rows_without_token(test: &TestApp, without_table: &App, proxy: &Proxy, rows: &mut Vec<Row>) {
    let variables = [
        ("PUBLIC_URL", URL),
        ("ALLOWED_TENANTS", "*"),
        ("PIPEDRIVE_CLIENT_ID", "our-id"),
        ("PIPEDRIVE_CLIENT_SECRET", "our-secret"),
    ];
    let app = test.app_with(&variables).await.unwrap();
    let callback =
        |code: &str| format!("?callbackUri={URL}/pipedrive-redirect?code={code}&state=platform=pipedrive");
    let key = r#"{"platform": "pipedrive", "apiKey": "pipedrive-api-key"}"#;
    for (path, method, query, body) in [
        ("/oauth-callback", "GET", callback(&test.crm.issue_code()), ""),
        ("/apiKeyLogin", "POST", String::new(), key),
        ("/crmManifest", "GET", String::new(), ""),
        ("/userInfoHash", "GET", "?extensionId=1&accountId=2".to_owned(), ""),
        ("/isAlive", "GET", String::new(), ""),
        ("/serverVersionInfo", "GET", String::new(), ""),
        ("/releaseNotes", "GET", String::new(), ""),
        ("/user/preloadSettings", "GET", String::new(), ""),
    ] {
        let mut add = |case, status, response| rows.push(Row { case, path, method, status, response });
        let ask = async |app: &App, method: &str, uri: &str, body: &str| {
            self::ask(app, method, uri, "", body.to_owned()).await
        };
        let good = format!("{path}{query}");
        add("done", 200, ask(&app, method, &good, body).await);
        add("another path", 404, ask(&app, method, &format!("{path}/1{query}"), body).await);
        add("another method", 405, ask(&app, "DELETE", &good, body).await);
        match path {
            "/crmManifest" => add("no address", 500, ask(&test.app, method, path, "").await),
            "/userInfoHash" => add("nothing", 400, ask(&app, method, path, "").await),
            "/oauth-callback" | "/apiKeyLogin" => {
                add("nothing", 400, ask(&app, method, path, "").await);
                test.crm.next(Route::CurrentUser, Fault::Status(500));
                let again = format!("{path}{}", callback(&test.crm.issue_code()));
                add("the CRM fails", 503, ask(&app, method, &again, body).await);
            }
            _ => {}
        }
        if method == "POST" {
            proxy.outage(Some(Fault::DropBeforeEffect));
            add("no table", 503, ask(without_table, method, &good, body).await);
            proxy.outage(None);
            add("too large", 413, ask(&app, method, &good, &" ".repeat((64 << 10) + 1)).await);
        }
    }
}

/// Sends a request with any method, URI, token and body.
async fn ask(app: &App, method: &str, uri: &str, token: &str, body: String) -> Response {
    let request = http::Request::builder().method(method).uri(uri).header("authorization", token);
    let request = request.body(Bytes::from(body)).unwrap();
    let invocation = Invocation {
        deadline: Deadline(app.clock.now_ms() + INVOCATION_MS),
        request_id: "test-request".to_owned(),
        xray_trace_id: None,
        url: None,
    };
    let response = app.handle(&all_routes(), request, &invocation).await;
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Response {
        status: response.status().as_u16(),
        headers: response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: serde_json::from_slice(response.body())
            .unwrap_or_else(|_| String::from_utf8_lossy(response.body()).into_owned().into()),
    }
}
