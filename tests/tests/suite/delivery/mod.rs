//! Delivery: every call is logged exactly once, whatever fails. `docs/exactly-once.md` has the reasons.

mod altered_crm;
mod chaos;
mod conflicts;
mod costs;
mod crashes;
mod creates;
mod crm_failures;
mod edits;
mod finishes;
mod grants;
mod leases;
mod orders;
mod ownership;
mod redrive;
mod scopes;
mod scripted;
mod store;
mod sweeps;
mod transitions;
mod updates;
mod ways;

use std::{sync::Arc, time::Duration};

use call_log::{
    model::{CallKey, SessionId, User},
    startup::app::App,
};
use serde_json::{Value, json};
use tests::{
    dynamodb::REQUEST as DYNAMODB,
    messages::*,
    pipedrive::Route,
    proxy::Fault,
    test_app::{INVOCATION_MS, Response, TestApp, call, send},
};
use tokio::task::JoinHandle;

/// The session id of the tests' call.
const SESSION: &str = "4503991004";
/// Longer than the time after its sender's deadline in which a request can take effect, in milliseconds.
const GRACE: i64 = 31_000;
/// Longer than a lease, in milliseconds: an invocation and the grace period after it.
const LEASE: i64 = INVOCATION_MS + GRACE;

/// Returns the body of an update of the tests' call with these details.
fn update(details: Value) -> Value {
    let mut body = json!({"sessionId": SESSION});
    body.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
    body
}

/// Sends a request of the user in a task of its own.
fn start(app: &Arc<App>, user: &User, method: &'static str, body: Value) -> JoinHandle<Response> {
    let (app, token) = (app.clone(), app.issue_token(user, 1));
    #[expect(clippy::disallowed_methods, reason = "a test is never frozen")]
    tokio::spawn(
        async move { send(&app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await },
    )
}

/// Waits until the CRM has received `count` requests of a route.
async fn wait_for_requests(test: &TestApp, route: Route, count: usize) {
    for _ in 0..500 {
        if test.crm.count(route) >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the CRM did not receive {count} requests of {route:?}");
}

/// Returns the only activity in the CRM.
fn activity(test: &TestApp) -> Value {
    let activities = test.crm.activities();
    assert_eq!(activities.len(), 1, "{activities:?}");
    activities.into_iter().next().unwrap()
}

fn note(test: &TestApp) -> String {
    activity(test)["note"].as_str().unwrap().to_owned()
}

/// Asserts that a text contains each part of `present` once, and no part of `absent`.
fn check_text(text: &str, present: &[&str], absent: &[&str]) {
    for part in present {
        assert_eq!(text.matches(part).count(), 1, "{part} in {text}");
    }
    for part in absent {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

fn check(response: &Response, message: &str, case: &str) {
    assert_eq!((response.status, response.message()), (200, message), "{case}: {}", response.body);
    let successful = [LOGGED, ALREADY_LOGGED, BEING_LOGGED, UPDATED, QUEUED_UNTIL_LOGGED].contains(&message);
    assert_eq!(response.body["successful"], successful, "{case}");
}

fn session_key(test: &TestApp) -> CallKey {
    CallKey { user: test.user.key(), session: SessionId::new(SESSION).unwrap(), extension: None }
}

/// Returns the number of requests to create an activity, and of searches for one.
fn attempts(test: &TestApp) -> (usize, usize) {
    (test.crm.count(Route::CreateActivity), test.crm.count(Route::ListActivities))
}

/// Starts an app and logs the tests' call.
async fn logged() -> TestApp {
    let test = TestApp::start().await;
    check(&test.post(&call(SESSION)).await, LOGGED, "create");
    test
}

/// The delay of a slow CRM.
const SLOW: Fault = Fault::Delay(Duration::from_millis(500));
