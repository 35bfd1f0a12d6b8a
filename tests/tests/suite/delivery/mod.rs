//! Delivery: every call is logged exactly once, whatever fails. `docs/exactly-once.md` has the reasons.

mod accounts;
pub(crate) mod altered_crm;
mod breakers;
mod cached_notes;
mod chaos;
mod conflicts;
mod costs;
mod crashes;
mod creates;
mod crm_failures;
mod disconnected;
mod edits;
mod erasures;
mod finishes;
mod grants;
mod identities;
mod leases;
mod locks;
mod lookalikes;
mod moved_users;
mod orders;
mod owners;
mod ownership;
mod quotas;
mod redrive;
mod reductions;
mod renewals;
mod scopes;
mod scripted;
mod sessions;
mod store;
mod sweeps;
mod transitions;
mod unnamed_contacts;
mod updates;
mod ways;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use call_log::{
    model::{CallDetails, CallKey, ExtensionIdentity, LogKey, NoteSource, Payload, SessionId, User},
    startup::app::App,
    store::{Basis, Origin, Purpose, Queued},
};
use serde_json::{Value, json};
use tests::{
    dynamodb::REQUEST as DYNAMODB,
    messages::*,
    pipedrive::Route,
    proxy::Fault,
    test_app::{
        INVOCATION_MS, Response, TestApp, call, first_log_key, random_letters, send, send_from_extension,
        send_with_headers,
    },
};
use tokio::task::JoinHandle;

/// The session id of the tests' call.
const SESSION: &str = "4503991004";
/// Longer than the time after its sender's deadline in which a request can take effect, in milliseconds.
const GRACE: i64 = 31_000;
/// Longer than the age from which on a record without a call tag can be adopted, in milliseconds.
const SETTLED: i64 = 121_000;
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

/// Waits until the CRM has an activity.
async fn wait_for_activity(test: &TestApp) {
    while test.crm.activities().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn check(response: &Response, message: &str, case: &str) {
    assert_eq!((response.status, response.message()), (200, message), "{case}: {}", response.body);
    let successful = [LOGGED, ALREADY_LOGGED, BEING_LOGGED, UPDATED, QUEUED_UNTIL_LOGGED].contains(&message);
    assert_eq!(response.body["successful"], successful, "{case}");
}

/// Returns the key of the first log of the tests' call.
fn session_key(test: &TestApp) -> LogKey {
    let session = SessionId::new(SESSION).unwrap();
    CallKey { tenant: test.user.tenant(), session, header_user: None }.log(0)
}

/// Returns a request of the tests' user that names no extension.
fn origin<'a>(test: &'a TestApp, request: &'a str) -> Origin<'a> {
    static NONE: ExtensionIdentity = ExtensionIdentity { hash: None, number: None };
    Origin { request, user: &test.user.id, identity: &NONE }
}

/// Returns details that the tests' user queues.
fn queued<'a>(test: &'a TestApp, request: &'a str, details: &'a CallDetails) -> Queued<'a> {
    static NO_FIELDS: BTreeMap<String, String> = BTreeMap::new();
    Queued { details, fields: &NO_FIELDS, sender: origin(test, request), source: NoteSource::Other }
}

/// Returns the purpose of a create of the tests' user with this payload.
fn purpose<'a>(test: &'a TestApp, payload: &'a Payload) -> Purpose<'a> {
    Purpose::Request { payload, way: "list", sender: origin(test, "the create"), basis: Basis::Unread }
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
