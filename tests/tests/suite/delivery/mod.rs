//! Exactly once: what becomes of a call whatever happens on the way. `docs/exactly-once.md` says why.

mod chaos;
mod costs;
mod crashes;
mod creates;
mod crm_failures;
mod edits;
mod grants;
mod orders;
mod ownership;
mod redrive;
mod store;
mod sweeps;
mod transitions;
mod updates;

use std::{sync::Arc, time::Duration};

use call_log::{
    model::{CallKey, SessionId, User},
    startup::app::App,
};
use serde_json::{Value, json};
use tests::{
    pipedrive::Route,
    proxy::{Fault, Target},
    test_app::{Answer, INVOCATION_MS, TestApp, call, send},
};
use tokio::task::JoinHandle;

/// The session of the tests' call.
const SESSION: &str = "4503991004";
/// Longer than a request may still land after its sender's deadline.
const GRACE: i64 = 31_000;
/// Longer than an invocation and the grace after it.
const LEASE: i64 = INVOCATION_MS + GRACE;

const LOGGED: &str = "Call logged";
const ALREADY: &str = "Call already logged";
const BEING_LOGGED: &str = "The call is being logged.";
const UPDATED: &str = "Call log updated.";
const QUEUED: &str = "The update will be added in a moment.";
const PARKED: &str = "The update will be added when the call is logged.";
const NO_ANSWER: &str = "Pipedrive is not answering";
const REFUSED: &str = "Pipedrive refused the call log";
const DELETED: &str = "The call log was deleted in Pipedrive.";

/// An update of the tests' call that brings these facts.
fn update(facts: Value) -> Value {
    let mut body = json!({"sessionId": SESSION});
    body.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    body
}

/// The body in another request of the same user, to a process of its own.
fn start(app: &Arc<App>, user: &User, method: &'static str, body: Value) -> JoinHandle<Answer> {
    let (app, token) = (app.clone(), app.issue_token(user, 1));
    #[expect(clippy::disallowed_methods, reason = "nothing freezes a test")]
    tokio::spawn(
        async move { send(&app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await },
    )
}

/// Waits until the CRM has got so many requests of a kind.
async fn arrived(world: &TestApp, route: Route, count: usize) {
    for _ in 0..500 {
        if world.crm.count(route) >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{route:?} did not arrive");
}

/// The one activity that there is.
fn activity(world: &TestApp) -> Value {
    let activities = world.crm.activities();
    assert_eq!(activities.len(), 1, "{activities:?}");
    activities.into_iter().next().unwrap()
}

fn note(world: &TestApp) -> String {
    activity(world)["note"].as_str().unwrap().to_owned()
}

/// Fails unless the text has each of these once, and none of those.
fn check_text(text: &str, present: &[&str], absent: &[&str]) {
    for part in present {
        assert_eq!(text.matches(part).count(), 1, "{part} in {text}");
    }
    for part in absent {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

fn check(answer: &Answer, message: &str, case: &str) {
    assert_eq!((answer.status, answer.message()), (200, message), "{case}: {}", answer.body);
    let successful = [LOGGED, ALREADY, BEING_LOGGED, UPDATED, PARKED].contains(&message);
    assert_eq!(answer.body["successful"], successful, "{case}");
}

fn session_key(world: &TestApp) -> CallKey {
    CallKey { user: world.user.key(), session: SessionId::new(SESSION).unwrap(), extension: None }
}

/// How many activities were asked to be made, and how often the CRM was searched for one.
fn attempts(world: &TestApp) -> (usize, usize) {
    (world.crm.count(Route::CreateActivity), world.crm.count(Route::ListActivities))
}

/// A world in which the call is logged.
async fn logged() -> TestApp {
    let world = TestApp::start().await;
    check(&world.post(&call(SESSION)).await, LOGGED, "the call");
    world
}

/// What a slow CRM does.
const SLOW: Fault = Fault::Delay(Duration::from_millis(500));
/// Every request to DynamoDB.
const DYNAMODB: Target = Target { method: "POST", path: "/" };
