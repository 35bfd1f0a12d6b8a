//! The memory of the real functions under hostile inputs. A function has 256 MB; a quarter of it is the limit. These are
//! debug builds, which need more than those that are deployed.
//!
//! `cargo test --workspace --test suite -- memory --nocapture` prints the peak of each input.

#![allow(clippy::print_stdout, reason = "a run prints its peaks, with --nocapture")]

use serde_json::{Value, json};
use tests::{
    hostile,
    pipedrive::Route,
    proxy::Fault,
    runtime_api::Function,
    test_app::{call, environment},
};

use crate::harness::{Harness, USER, request};

/// The most memory that a function may need, in kilobytes.
const MOST_KB: u64 = 64 * 1024;

/// Invokes a new process of a function, prints its peak, and returns the response.
async fn check_peak(harness: &Harness, name: &str, event: Value, case: &str) -> Value {
    let variables = environment(&harness.dynamodb, &harness.crm, &[]);
    let function = Function::start(name, &variables);
    let response = function.invoke(event).await;
    let peak = function.peak_kb();
    println!("{:6.1} MiB  {name}, {case}", peak as f64 / 1024.0);
    assert!(peak <= MOST_KB, "{case}: {peak} KB");
    assert!([200, 400].contains(&response.status), "{case}: {} {}", response.status, response.body);
    response.body
}

/// Lets the lease of a call end.
async fn end_lease(harness: &Harness, session: &str) {
    let request = json!({
        "TableName": "calls", "Key": tests::test_app::first_log_key(session),
        "UpdateExpression": "SET lease_until = :past", "ExpressionAttributeValues": {":past": {"N": "0"}},
    });
    harness.dynamodb.ask("UpdateItem", &request).await;
}

#[tokio::test]
async fn a_hostile_response_of_the_crm_costs_little_memory() {
    let harness = Harness::start().await;
    for (number, (name, fault)) in hostile::responses().into_iter().enumerate() {
        for route in [
            Route::ActivityTypes,
            Route::CreateActivity,
            Route::ListActivities,
            Route::GetActivity,
            Route::UpdateActivity,
        ] {
            let case = format!("{route:?}: {name}");
            harness.close_breaker().await;
            harness.crm.forget_faults();
            let session = format!("{number}-{route:?}");
            let create = request("POST", &harness.token(USER), &call(&session).to_string());
            if route == Route::ListActivities {
                harness.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
            }
            if !matches!(route, Route::ActivityTypes | Route::CreateActivity) {
                harness.post(&call(&session)).await;
                end_lease(&harness, &session).await;
            }
            let before = harness.crm.count(route);
            harness.crm.always(route, fault.clone());
            let body = match route {
                Route::GetActivity | Route::UpdateActivity => {
                    let update = json!({"sessionId": session, "note": name}).to_string();
                    let update = request("PATCH", &harness.token(USER), &update);
                    check_peak(&harness, "update-call-log", update, &case).await
                }
                _ => check_peak(&harness, "create-call-log", create, &case).await,
            };
            assert!(harness.crm.count(route) > before, "{case}: it was not asked: {body}");
        }
    }
}

#[tokio::test]
async fn a_hostile_body_costs_little_memory() {
    let harness = Harness::start().await;
    for (name, body) in hostile::bodies("0000") {
        let event = request("POST", &harness.token(USER), &body);
        check_peak(&harness, "create-call-log", event, name).await;
    }
}
