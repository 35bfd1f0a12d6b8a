//! The two routes in this process: no request is a server error, and none makes the response name a secret.

use bytes::Bytes;
use call_log::{
    api::{Invocation, all_routes},
    model::Deadline,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tests::{
    pipedrive::API_KEY,
    test_app::{INVOCATION_MS, JWT_SECRET, TestApp, call},
};

use crate::{fuzz, inputs, runtime};

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let valid = call("4503991004").to_string().into_bytes();
    let update = json!({"sessionId": "4503991004", "note": "Wants a quote", "duration": 65, "legs": []});
    let interface = json!({
        "user": {"id": "12345-pipedrive"}, "contactInfo": {"id": "77", "phoneNumber": "+12135550111"},
        "callLog": call("1")["logInfo"], "note": "Hi", "additionalSubmission": {"deals": 412}, "timezoneOffset": "+05:30",
    });
    let text = |value: Value| value.to_string().into_bytes();
    prop_oneof![
        4 => inputs::mutated(call("4503991004")).prop_map(text),
        2 => inputs::mutated(interface).prop_map(text),
        3 => inputs::mutated(update).prop_map(text),
        2 => inputs::mutated_bytes(valid),
        1 => inputs::json().prop_map(text),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

#[test]
fn no_request_is_a_server_error() {
    let runtime = runtime();
    let test = runtime.block_on(TestApp::start());
    let token = test.app.issue_token(&test.user, 1);
    let requests = (prop::sample::select(vec!["POST", "PATCH", "GET", "PUT"]), 0_u8..10, bodies());
    fuzz("the routes", &requests, |(method, token_kind, body)| {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let request = http::Request::builder().method(method).uri("/callLog");
        let request = match token_kind {
            0 => request,
            1 => request.header("authorization", format!("Bearer {token}x")),
            _ => request.header("authorization", format!("Bearer {token}")),
        };
        let request = request.body(Bytes::from(body)).unwrap();
        let invocation = Invocation {
            deadline: Deadline(test.now_ms() + INVOCATION_MS),
            request_id: "fuzz".to_owned(),
            xray_trace_id: None,
            url: None,
        };
        let response = runtime.block_on(test.app.handle(&all_routes(), request, &invocation));
        // A request can take longer than the pause after the one before it.
        test.pass(60_000);
        let (status, text) = (response.status().as_u16(), String::from_utf8_lossy(response.body()));
        prop_assert!(matches!(status, 200 | 400..=413), "{} {}: {} {}", method, &shown, status, &text);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        prop_assert!(json["successful"].is_boolean(), "{}: {}", &shown, &text);
        let message = json["returnMessage"]["message"].as_str().unwrap_or_default();
        prop_assert!(!message.is_empty() && !message.contains(['\n', '\0']), "{}: {}", &shown, &text);
        for secret in [&token, JWT_SECRET, API_KEY] {
            prop_assert!(!text.contains(secret), "{}: {}", &shown, &text);
        }
        Ok(())
    });
}
