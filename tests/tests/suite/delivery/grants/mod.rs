//! How we may call a CRM: stored credentials, renewed by one request at a time, sealed in the table.

mod renewals;
mod secrets;

use std::{sync::Arc, time::Duration};

use call_log::{
    model::{Credentials, Secret},
    startup::app::App,
};
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tests::{
    fault_proxy::Fault,
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    test_app::{Answer, INVOCATION_MS, NOW_MS, TestApp, call, send},
};
use tokio::task::JoinHandle;

const MINUTE: i64 = 60_000;
const LOGGED: &str = "Call logged";
const UPDATED: &str = "Call log updated.";
const NO_ANSWER: &str = "Pipedrive is not answering";
const ENDED: &str = "User session expired. Please connect again.";

/// A grant that ends so many milliseconds after the test's clock starts.
fn oauth(ends_in: i64, refresh_token: &str) -> Credentials {
    Credentials::OAuth {
        access_token: Secret::new(ACCESS_TOKEN),
        refresh_token: Some(Secret::new(refresh_token)),
        expires_at: DateTime::from_timestamp_millis(NOW_MS).map(|now| now + TimeDelta::milliseconds(ends_in)),
    }
}

async fn world(ends_in: i64) -> TestApp {
    TestApp::with_credentials(oauth(ends_in, REFRESH_TOKEN)).await
}

fn check(answer: &Answer, message: &str, case: &str) {
    assert_eq!(answer.message(), message, "{case}: {}", answer.body);
    let (status, code) =
        if message == ENDED { (401, json!("CRM_SESSION_REVOKED")) } else { (200, Value::Null) };
    assert_eq!((answer.status, &answer.body["errorCode"]), (status, &code), "{case}");
    assert_eq!(answer.body["successful"], [LOGGED, UPDATED].contains(&message), "{case}");
}

/// Logs a call of its own beside what the test does.
fn start(app: &Arc<App>, world: &TestApp, session: String) -> JoinHandle<Answer> {
    let (app, token) = (app.clone(), app.issue_token(&world.user, 1));
    #[expect(clippy::disallowed_methods, reason = "nothing freezes a test")]
    tokio::spawn(async move {
        send(&app, "POST", &token, call(&session).to_string().into_bytes(), INVOCATION_MS).await
    })
}

/// How many token requests arrived, whatever became of them.
fn token_calls(world: &TestApp) -> usize {
    world.crm.count(Route::Token)
}

/// The grant as the table has it.
async fn stored(world: &TestApp) -> (String, String) {
    let user = world.app.store.user(&world.user.key()).await.unwrap().unwrap();
    match user.user.credentials {
        Some(Credentials::OAuth { access_token, refresh_token: Some(refresh_token), .. }) => {
            (access_token.expose().to_owned(), refresh_token.expose().to_owned())
        }
        other => panic!("{other:?}"),
    }
}
