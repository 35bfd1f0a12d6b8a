//! The edge's answers against the document.

use std::collections::BTreeSet;

use bytes::Bytes;
use call_log::{
    api::{CREATE_CALL_LOG, Invocation, UPDATE_CALL_LOG},
    model::{Credentials, Deadline, Secret, User},
    startup::app::App,
};
use serde_json::{Value, json};
use tests::{
    pipedrive::Route,
    proxy::Fault,
    test_app::{Answer, INVOCATION_MS, TestApp, call, key_file},
};

use super::document::Document;
use crate::harness::with;

/// A request that is answered in a way of its own.
struct Row {
    case: &'static str,
    method: &'static str,
    status: u16,
    answer: Answer,
}

/// Every request that is shown is understood, and carried out.
#[tokio::test]
async fn the_requests_that_are_shown_are_accepted() {
    let document = Document::read();
    let world = TestApp::start().await;
    for method in ["POST", "PATCH"] {
        let request = document.request(method);
        let schema = document.validator(&request["schema"]);
        let examples = request["examples"].as_object().unwrap();
        assert!(examples.contains_key("extension") && examples.contains_key("interface"), "{method}");
        for (name, example) in examples {
            let body = &example["value"];
            let valid = schema.validate(body).map_err(|error| error.to_string());
            assert_eq!(valid, Ok(()), "{method} {name}");
            let answer = world.send(&world.app, method, body).await;
            let expected = if method == "POST" { "Call logged" } else { "Call log updated." };
            assert_eq!(answer.message(), expected, "{method} {name}: {answer:?}");
            assert_eq!(document.problems(method, &answer), Vec::<String>::new(), "{method} {name}");
        }
    }
}

/// Every status comes, and no answer is otherwise than described.
#[tokio::test]
async fn every_answer_is_as_described() {
    let document = Document::read();
    let rows = rows().await;
    for Row { case, method, status, answer } in &rows {
        assert_eq!(answer.status, *status, "{case}: {answer:?}");
        assert_eq!(document.problems(method, answer), Vec::<String>::new(), "{case}: {answer:?}");
    }
    for (_, method, operation) in document.operations() {
        let came: BTreeSet<_> = rows
            .iter()
            .filter(|row| row.method.eq_ignore_ascii_case(method))
            .map(|row| row.status.to_string())
            .collect();
        let described: BTreeSet<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(came, described, "{method}");
    }
}

/// A document that lacks something does not pass.
#[tokio::test]
async fn what_the_document_lacks_is_found() {
    let rows = rows().await;
    let answer = "/components/schemas/ResponseBody";
    let post = "/paths/~1callLog/post/responses";
    for (place, lacking, problem) in [
        (post.to_owned(), "503", "503 is not described"),
        (post.to_owned(), "413", "413 is not described"),
        ("/components/schemas/CreateResponse/properties".to_owned(), "logId", "logId"),
        ("/components/schemas/UpdateResponse/properties".to_owned(), "updatedNote", "updatedNote"),
        (format!("{answer}/properties"), "returnMessage", "returnMessage"),
        (format!("{answer}/properties/returnMessage/properties"), "ttl", "ttl"),
        (format!("{answer}/properties/returnMessage/properties"), "details", "details"),
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
        assert!(object.remove(lacking).is_some(), "{lacking} is in {place}");
        let problems = rows.iter().flat_map(|row| document.problems(row.method, &row.answer));
        assert!(problems.into_iter().any(|found| found.contains(problem)), "without {lacking}");
    }
}

/// Each outcome of both requests, in a world of its own. What carries a request out is large, and is kept off the stack.
async fn rows() -> Vec<Row> {
    let world = TestApp::start().await;
    let mut rows = Vec::new();
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    let send = async |method: &str, body: &Value| Box::pin(world.send(&world.app, method, body)).await;

    let mut add = |case, method, status, answer| rows.push(Row { case, method, status, answer });
    add("waits", "PATCH", 200, send("PATCH", &with(update.clone(), json!({"sessionId": "9"}))).await);
    add("logged", "POST", 200, send("POST", &call("1")).await);
    add("repeated", "POST", 200, send("POST", &call("1")).await);
    add("no contact", "POST", 200, send("POST", &with(call("2"), json!({"contactId": 0}))).await);
    add("updated", "PATCH", 200, send("PATCH", &update).await);
    world.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: Some(7) });
    add("rate limited", "POST", 200, send("POST", &call("3")).await);
    world.crm.next(Route::CreateActivity, Fault::Status(422));
    add("refused", "POST", 200, send("POST", &call("3")).await);
    world.crm.next(Route::CreateActivity, Fault::Status(401));
    add("authorization", "POST", 200, send("POST", &call("3")).await);
    world.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    add("no answer", "POST", 200, send("POST", &call("3")).await);
    add("unsettled", "POST", 200, send("POST", &call("3")).await);
    world.crm.delete(5001);
    let another = with(update.clone(), json!({"note": "Wants three quotes"}));
    add("deleted", "PATCH", 200, send("PATCH", &another).await);
    let long = json!({"sessionId": "9", "transcript": "T".repeat(1_000_000)});
    add("too long to wait", "PATCH", 413, send("PATCH", &long).await);

    let (busy, proxy) = world.proxied_app().await;
    let keyed = world.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("another"))]).await.unwrap();
    let token = format!("Bearer {}", world.app.issue_token(&world.user, 1));
    for (method, body) in [("POST", call("4")), ("PATCH", update)] {
        let ask = async |token: &str, uri: &str, body: String| {
            ask(&world.app, method, method, uri, token, body).await
        };
        add("no field", method, 400, ask(&token, "/callLog", "{}".to_owned()).await);
        add("no JSON", method, 400, ask(&token, "/callLog", "{".to_owned()).await);
        add("no token", method, 401, ask("", "/callLog", body.to_string()).await);
        add("a bad token", method, 401, ask("Bearer x", "/callLog", body.to_string()).await);
        let other = with(body.clone(), json!({"user": {"id": "54321-pipedrive"}}));
        add("another user", method, 403, send(method, &other).await);
        add("another path", method, 404, ask(&token, "/callLog/1", body.to_string()).await);
        let asked = self::ask(&world.app, method, "PUT", "/callLog", &token, body.to_string());
        add("another method", method, 405, asked.await);
        add("too large", method, 413, ask(&token, "/callLog", " ".repeat((1 << 20) + 1)).await);
        keyed.store.put_user(&world.user).await.unwrap();
        add("no key", method, 500, send(method, &body).await);
        world.app.store.put_user(&world.user).await.unwrap();
        proxy.outage(Some(Fault::DropBeforeEffect));
        add("no table", method, 503, Box::pin(world.send(&busy, method, &body)).await);
        proxy.outage(None);
    }

    // The world's user signs in anew with a session that ends; then is not connected.
    let ended = Credentials::OAuth {
        access_token: Secret::new("an access token that has ended"),
        refresh_token: Some(Secret::new("a refresh token that was taken back")),
        expires_at: None,
    };
    for (case, status, credentials) in [("session ended", 401, Some(ended)), ("not connected", 200, None)] {
        let user = User { credentials, ..world.user.clone() };
        world.app.store.put_user(&user).await.unwrap();
        add(case, "POST", status, send("POST", &call("5")).await);
    }
    rows
}

/// A request in full, to the function of `route`.
async fn ask(app: &App, route: &str, method: &str, uri: &str, token: &str, body: String) -> Answer {
    let request = http::Request::builder().method(method).uri(uri).header("authorization", token);
    let request = request.body(Bytes::from(body)).unwrap();
    let invocation = Invocation {
        deadline: Deadline(app.clock.now_ms() + INVOCATION_MS),
        request_id: "test-request".to_owned(),
        xray_trace_id: None,
    };
    let route = if route == "POST" { &CREATE_CALL_LOG } else { &UPDATE_CALL_LOG };
    let response = app.handle(route, request, &invocation).await;
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: serde_json::from_slice(response.body()).unwrap(),
    }
}
