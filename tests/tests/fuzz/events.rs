//! The event reader of the real function: it answers every event, and no event fails the invocation.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use tests::{
    runtime_api::{Function, event},
    test_app::{TestApp, environment},
};

use crate::{fuzz, inputs, runtime};

#[test]
fn every_event_is_answered() {
    let runtime = runtime();
    let (test, function) = runtime.block_on(async {
        let test = TestApp::start().await;
        let function = Function::start("create-call-log", &environment(&test.dynamodb, &test.crm, &[]));
        (test, function)
    });
    let token = test.app.issue_token(&test.user, 1);
    let valid = |name: &str| event(name, &token);
    let events = prop_oneof![
        4 => inputs::mutated(valid("create-extension")),
        4 => inputs::mutated(valid("rest-create")),
        4 => inputs::mutated(valid("alb-create")),
        1 => inputs::json(),
    ];
    fuzz("the event reader", &events, |event| {
        let response = runtime.block_on(function.invoke_raw(event.clone(), Duration::from_secs(20)));
        let response = response.map_err(|error| TestCaseError::fail(format!("{event}: {error}")))?;
        let status = response["statusCode"].as_u64().unwrap_or_default();
        prop_assert!(matches!(status, 200 | 400..=413), "{}: {}", event, response);
        let body: Value =
            serde_json::from_str(response["body"].as_str().unwrap_or_default()).unwrap_or_default();
        prop_assert!(body["successful"].is_boolean(), "{}: {}", event, response);
        Ok(())
    });
}
