//! What only the whole function shows: its log, and that the machine it runs on does not matter.

use serde_json::{Value, json};
use tests::{
    fault_proxy::Fault,
    pipedrive::Route,
    runtime_api::{Function, event, with_body},
    test_app::{TestApp, call, environment},
};

/// Longer than from the test's clock to the machine's.
const DAYS: u32 = 36_500;

/// A create by a function with this in its environment besides; what it logged.
async fn log_of_a_create(world: &TestApp, extra: &[(&str, &str)]) -> String {
    let function = Function::start("create-call-log", &environment(&world.dynamodb, &world.crm, extra));
    let token = world.app.issue_token(&world.user, DAYS);
    let answer = function.invoke(with_body(event("create-extension", &token), &call("1").to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    function.into_log()
}

/// An operator who asks for details sees each answer of a CRM, and what is left of its budget.
#[tokio::test]
async fn what_is_left_of_a_budget_is_in_the_log() {
    let world = TestApp::start().await;
    world.crm.next(Route::GetPerson, Fault::Status(500));
    let details = [("AWS_LAMBDA_LOG_LEVEL", "DEBUG")];
    let mut log = log_of_a_create(&world, &details).await;
    log += &log_of_a_create(&world, &details).await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answers: Vec<_> = lines.iter().filter(|line| line["message"] == "the CRM responded").collect();
    let (none, all) = ([const { None }; 4], [Some(100), Some(99), Some(2), Some(9_999)]);
    let expected = [
        ("GET", "/api/v2/persons", 500, none),
        ("GET", "/api/v2/persons", 200, all),
        ("GET", "/v1/activityTypes", 200, all),
        ("POST", "/api/v2/activities", 200, all),
    ];
    assert_eq!(answers.len(), expected.len(), "{log}");
    for (line, (method, route, status, budget)) in answers.into_iter().zip(expected) {
        let shown = (&line["crm_method"], &line["crm_route"], &line["crm_status"]);
        assert_eq!(shown, (&json!(method), &json!(route), &json!(status)), "{line}");
        let fields = ["rate_limit", "rate_limit_remaining", "rate_limit_reset", "daily_requests_left"];
        assert_eq!(fields.map(|field| line[field].as_i64()), budget, "{line}");
    }
}

/// A user of whom no zone is known has their times in UTC, wherever the function runs.
#[tokio::test]
async fn the_machines_zone_is_in_no_note() {
    let world = TestApp::start().await;
    log_of_a_create(&world, &[("TZ", "Asia/Tokyo")]).await;
    let activity = &world.crm.activities()[0];
    let note = activity["note"].as_str().unwrap();
    assert!(note.contains("2025-03-12 03:45:25 PM"), "{note}");
    assert_eq!((&activity["due_date"], &activity["due_time"]), (&json!("2025-03-12"), &json!("15:45")));
}
