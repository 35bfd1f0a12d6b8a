//! Requests that are rejected before any effect, and the responses to them.

use serde_json::{Value, json};
use tests::{
    runtime_api::event,
    test_app::{Response, call},
};

use crate::harness::{Harness, USER, request, warning, with};

fn check(response: &Response, status: u16, message: &str, case: &str) {
    assert_eq!((response.status, &response.body), (status, &warning(message, &[])), "{case}");
    assert_eq!(response.headers["content-type"], "application/json", "{case}");
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_a_400() {
    let harness = Harness::start().await;
    let deep = format!(r#"{{"a": {}{}}}"#, "[".repeat(200), "]".repeat(200));
    for (body, message) in [
        ("", "The body is empty: expected a JSON object."),
        ("[]", "The body is not an object: expected a JSON object, got a list."),
        ("null", "The body is not an object: expected a JSON object, got null."),
        (r#"{"sessionId": "#, "The body is not JSON: EOF while parsing a value at line 1 column 14."),
        (r#"{"sessionId": "1",}"#, "The body is not JSON: trailing comma at line 1 column 19."),
        ("sessionId=1", "The body is not JSON: expected value at line 1 column 1."),
        (&deep, "The body is nested too deeply: expected fewer than 128 levels."),
    ] {
        for (function, method) in [(&harness.create, "POST"), (&harness.update, "PATCH")] {
            let response = function.invoke(request(method, &harness.token(USER), body)).await;
            check(&response, 400, message, &format!("{method} {body}"));
        }
    }
    let mut bytes = event("create-base64", &harness.token(USER));
    bytes["body"] = "//79".into();
    check(
        &harness.create.invoke(bytes).await,
        400,
        "The body is not JSON: expected value at line 1 column 1.",
        "bytes",
    );
    let mut without_body = event("create-extension", &harness.token(USER));
    without_body["body"] = Value::Null;
    check(
        &harness.create.invoke(without_body).await,
        400,
        "The body is empty: expected a JSON object.",
        "no body",
    );
}

#[tokio::test]
async fn a_missing_or_invalid_field_is_a_400_that_names_the_field() {
    let harness = Harness::start().await;
    let session = "expected RingCentral's id of one call, never 0";
    let info = |fields: Value| with(call("1"), json!({"logInfo": fields}));
    for (body, message) in [
        (json!({}), "`logInfo` is missing: expected the call record, here or in `callLog`.".to_owned()),
        (with(call("1"), json!({"logInfo": 7})), "`logInfo` is not an object: expected an object, got a number.".to_owned()),
        (info(json!({"sessionId": null})), format!("`logInfo.sessionId` is missing: {session}.")),
        (info(json!({"sessionId": "0"})), format!("`logInfo.sessionId` is not a session id: {session}, got \"0\".")),
        (info(json!({"sessionId": 0})), format!("`logInfo.sessionId` is not a session id: {session}, got 0.")),
        (info(json!({"sessionId": ["1"]})), format!("`logInfo.sessionId` is not a session id: {session}, got a list.")),
        (info(json!({"direction": null})), "`logInfo.direction` is missing: expected \"Inbound\" or \"Outbound\".".to_owned()),
        (
            info(json!({"direction": "Sideways"})),
            "`logInfo.direction` is not a direction: expected \"Inbound\" or \"Outbound\", got \"Sideways\".".to_owned(),
        ),
        (
            with(call("1"), json!({"authHeader": "Bearer private\r\nX-Injected: 1"})),
            "`authHeader` is not a header value: expected a string of printable ASCII characters, got a string.".to_owned(),
        ),
    ] {
        check(&harness.post(&body).await, 400, &message, &body.to_string());
    }
    for (body, message) in [
        (json!({"note": "n"}), format!("`sessionId` is missing: {session}.")),
        (json!({"sessionId": "0"}), format!("`sessionId` is not a session id: {session}, got \"0\".")),
        (
            json!({"existingCallLog": {"id": "X"}}),
            format!("`existingCallLog.sessionId` is missing: {session}."),
        ),
    ] {
        check(&harness.patch(&body).await, 400, &message, &body.to_string());
    }
}

/// A fact of a call that cannot be read does not keep the call from being logged.
#[tokio::test]
async fn a_fact_that_cannot_be_read_is_left_out_and_named() {
    let harness = Harness::start().await;
    let info = |fields: Value| with(call("1"), json!({"logInfo": fields}));
    let time = "`logInfo.startTime` is not a time: expected ISO 8601 or epoch milliseconds";
    let zone = "`timezoneOffset` is not a time zone: expected an offset (\"+05:30\"), hours, minutes, or an IANA name";
    for (body, said) in [
        (info(json!({"startTime": "yesterday"})), time),
        (
            info(json!({"duration": 1.5})),
            "`logInfo.duration` is not a duration: expected whole seconds or \"pending\"",
        ),
        (info(json!({"legs": [7]})), "`logInfo.legs[0]` is not an object: expected an object"),
        (
            info(json!({"recording": "https://rec.example/1"})),
            "`logInfo.recording` is not an object: expected an object",
        ),
        (
            info(json!({"from": 7})),
            "`logInfo.from` is not a party: expected an object with `phoneNumber`, `name` or `extensionNumber`",
        ),
        (with(call("1"), json!({"note": {"text": "private"}})), "`note` is not text: expected a string"),
        (with(call("1"), json!({"timezoneOffset": "Mars"})), zone),
        (
            with(call("1"), json!({"timezoneOffset": "Mars", "logInfo": {"startTime": "yesterday"}})),
            &format!("{time}; {zone}"),
        ),
        // A party may be just its number, and a duration below zero is zero.
        (info(json!({"from": "+12135550111", "duration": -5})), ""),
    ] {
        let harness = Harness::start().await;
        let response = harness.post(&body).await;
        let details = match said {
            "" => Value::Null,
            said => {
                let text = format!("These could not be read and were left out: {said}.");
                json!([{"title": "Left out", "items": [{"id": "1", "type": "text", "text": text}]}])
            }
        };
        assert_eq!((response.status, response.message()), (200, "Call logged"), "{body}");
        assert_eq!(response.body["returnMessage"]["details"], details, "{body}");
        assert_eq!(harness.crm.activities().len(), 1, "{body}");
    }
    harness.post(&call("1")).await;
    let response = harness
        .patch(&json!({"sessionId": "1", "startTime": {}, "duration": 1.5, "aiNote": "Bob asked"}))
        .await;
    assert_eq!((response.status, response.message()), (200, "Call log updated."));
    assert!(harness.note().contains("Bob asked"));
    let said = response.body["returnMessage"]["details"][0]["items"][0]["text"].as_str().unwrap();
    assert!(
        said.contains("`startTime` is not a time") && said.contains("`duration` is not a duration"),
        "{said}"
    );
}

#[tokio::test]
async fn another_users_id_in_the_body_is_a_403() {
    let harness = Harness::start().await;
    let message =
        "The user in the body is not the token's user: leave out `user.id`, or send that user's token.";
    for (user, status) in [
        (json!({"id": USER}), 200),
        (json!({"timezoneOffset": "+01:00"}), 200),
        (json!({"id": null}), 200),
        (json!({"id": "12345-PIPEDRIVE"}), 403),
        (json!({"id": "54321-pipedrive"}), 403),
        (json!({"id": 12345}), 403),
    ] {
        let created = harness.post(&with(call("1"), json!({"user": user}))).await;
        let updated = harness.patch(&json!({"sessionId": "1", "note": "n", "user": user})).await;
        for response in [created, updated] {
            match status {
                200 => assert_eq!(response.status, 200, "{user}: {response:?}"),
                status => check(&response, status, message, &user.to_string()),
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_another_method_is_a_405() {
    let harness = Harness::start().await;
    let not_found = "There is nothing at this path: call logs are at /callLog.";
    for (function, own, other) in [(&harness.create, "POST", "PATCH"), (&harness.update, "PATCH", "POST")] {
        let sent = |path: &str, method: &str| {
            let mut event =
                request(own, &harness.token(USER), &with(call("1"), json!({"sessionId": "1"})).to_string());
            event["rawPath"] = path.into();
            event["requestContext"]["http"]["path"] = path.into();
            event["requestContext"]["http"]["method"] = method.into();
            function.invoke(event)
        };
        for path in ["/", "/callLogs", "/calllog", "/callLog/5001", "/user/settings"] {
            check(&sent(path, own).await, 404, not_found, path);
        }
        for path in ["/callLog", "/callLog/", "/prod/callLog"] {
            assert_eq!(sent(path, own).await.status, 200, "{path}");
        }
        for method in [other, "GET", "PUT", "DELETE", "HEAD"] {
            let response = sent("/callLog", method).await;
            check(&response, 405, &format!("This path accepts only {own}."), method);
            assert_eq!(response.headers["allow"], own, "{method}");
        }
    }
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_a_413() {
    let harness = Harness::start().await;
    // Spaces after the opening brace keep it JSON.
    let sized = |size: usize| {
        let body = call("1").to_string();
        format!("{{{}{}", " ".repeat(size - body.len()), &body[1..])
    };
    let mut encoded = event("create-base64", &harness.token(USER));
    encoded["body"] = "ICAg".repeat((1 << 20) / 3 + 1).into();
    for event in [request("POST", &harness.token(USER), &sized((1 << 20) + 1)), encoded] {
        check(
            &harness.create.invoke(event).await,
            413,
            "The body is over 1 MiB: shorten its texts and send it again.",
            "one byte over the limit",
        );
    }
    assert_eq!(
        harness.create.invoke(request("POST", &harness.token(USER), &sized(1 << 20))).await.status,
        200
    );
}
