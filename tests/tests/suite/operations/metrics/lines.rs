//! The log line that each function writes at the end of a request, for each outcome.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::{
    log::{STACK, check_metrics, endings, read, values},
    pipedrive::{API_KEY, Route},
    proxy::Fault,
    runtime_api::{Function, event, with_body},
    test_app::{TestApp, call, environment},
};

/// A lifetime of tokens, in days, that is longer than the difference between the test's clock and the machine's.
const DAYS: u32 = 36_500;
/// Fields that the line of every request has.
const FIELDS: [&str; 12] = [
    "timestamp",
    "level",
    "message",
    "request_id",
    "correlation_id",
    "xray_trace_id",
    "route",
    "cold_start",
    "outcome",
    "status",
    "duration_ms",
    "Latency",
];
/// Texts, names, numbers and credentials of people.
const PERSONAL: [&str; 10] = [
    "Wants a quote",
    "BOB",
    "Bob Client",
    "Ada Agent",
    "2135550111",
    "6505550100",
    "canary",
    "12345-pipedrive",
    "45039910",
    API_KEY,
];

/// A function, and the lines that it is expected to write.
struct Watched {
    function: Function,
    expected: Vec<(u16, &'static str, &'static str, bool)>,
}

impl Watched {
    fn start(name: &str, test: &TestApp, extra: &[(&str, &str)]) -> Watched {
        let mut variables = environment(&test.dynamodb, &test.crm, &[("METRICS_STACK", STACK)]);
        variables.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Watched { function: Function::start(name, &variables), expected: Vec::new() }
    }

    /// Invokes the function. Expects a line with this outcome and level, and with the call's hash if `has_call`.
    async fn send(
        &mut self,
        event: Value,
        status: u16,
        outcome: &'static str,
        level: &'static str,
        has_call: bool,
    ) {
        let response = self.function.invoke(event).await;
        assert_eq!(response.status, status, "{outcome}: {response:?}");
        self.expected.push((status, outcome, level, has_call));
        let id = format!("request-{}", self.expected.len());
        assert_eq!(response.headers.get("x-correlation-id"), Some(&id), "{outcome}");
    }

    /// Panics unless each invocation wrote one line as expected and the log has no personal data. Returns the lines.
    fn check(self, route: &str) -> Vec<Value> {
        let text = self.function.into_log();
        let lines = read(&text);
        for personal in PERSONAL {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        let endings: Vec<Value> = endings(&lines).into_iter().cloned().collect();
        let count = |id: &str| endings.iter().filter(|line| line["request_id"] == id).count();
        for (index, (status, outcome, level, has_call)) in self.expected.iter().enumerate() {
            let id = format!("request-{}", index + 1);
            assert_eq!(count(&id), 1, "{outcome}: {text}");
            let line = &endings[index];
            check_metrics(line);
            for field in FIELDS {
                assert!(!line[field].is_null(), "{field} is missing: {line}");
            }
            let trace = "1-5759e988-bd862e3fe1be46a994272793";
            let is_unrouted = ["Method", "NotFound"].contains(outcome);
            let route = if is_unrouted { "unrouted" } else { route };
            for (field, value) in [
                ("request_id", json!(id)),
                ("correlation_id", json!(id)),
                ("xray_trace_id", json!(trace)),
                ("message", json!("answered")),
                ("route", json!(route)),
                ("status", json!(status)),
                ("outcome", json!(outcome)),
                ("level", json!(level)),
                ("cold_start", json!(index == 0)),
                ("Stack", json!(STACK)),
            ] {
                assert_eq!(line[field], value, "{field} of {line}");
            }
            assert_eq!(line["session_hash"].is_string(), *has_call, "{line}");
            assert_eq!(values(line).get("ColdStart"), (index == 0).then_some(&vec![1]), "{line}");
            assert_eq!(line["reason"].is_string(), *level != "INFO" || *status > 200, "{line}");
        }
        assert_eq!(endings.len(), self.expected.len(), "{text}");
        for line in lines.iter().filter(|line| line["level"] != "INFO") {
            assert!(line["request_id"].is_string(), "no request id: {line}");
        }
        endings
    }
}

fn request(method: &str, token: &str, body: &Value) -> Value {
    let name = if method == "POST" { "create-extension" } else { "update-note" };
    with_body(event(name, token), &body.to_string())
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test]
async fn every_create_writes_one_line_with_its_outcome() {
    let test = TestApp::start().await;
    let token = &test.app.issue_token(&test.user, DAYS);
    let post = |body: &Value| request("POST", token, body);
    let mut create = Watched::start("create-call-log", &test, &[]);
    create.send(post(&call("4503991001")), 200, "Logged", "INFO", true).await;
    create.send(post(&call("4503991001")), 200, "AlreadyLogged", "INFO", true).await;
    test.crm.always(Route::CreateActivity, Fault::Refusal(422, r#"{"success": false, "error": "canary"}"#));
    create.send(post(&call("4503991002")), 200, "Failed", "WARN", true).await;
    test.crm.forget_faults();
    let mut without_contact = with(call("4503991003"), "contactId", Value::Null);
    without_contact["logInfo"]["from"]["phoneNumber"] = json!("+12135550199");
    create.send(post(&without_contact), 200, "NoContact", "INFO", true).await;
    let mut wrong = call("4503991004");
    wrong["logInfo"]["direction"] = json!("canary");
    create.send(post(&wrong), 400, "Invalid", "INFO", false).await;
    create.send(request("POST", "nonsense", &call("1")), 401, "Token", "INFO", false).await;
    let other = with(call("4503991005"), "user", json!({"id": "canary"}));
    create.send(post(&other), 403, "OtherUser", "INFO", false).await;
    let mut verb = post(&call("1"));
    verb["requestContext"]["http"]["method"] = json!("PUT");
    create.send(verb, 405, "Method", "INFO", false).await;
    let mut path = post(&call("1"));
    path["rawPath"] = json!("/elsewhere");
    create.send(path, 404, "NotFound", "INFO", false).await;
    let stranger = call_log::model::User {
        id: call_log::model::UserId::new("1-pipedrive").unwrap(),
        ..test.user.clone()
    };
    let token = &test.app.issue_token(&stranger, DAYS);
    create.send(request("POST", token, &call("4503991006")), 200, "NotConnected", "INFO", true).await;

    let lines = create.check("create");
    let shown = |line: &Value| {
        ["crm", "crm_status", "reason"]
            .map(|field| line[field].as_str().map_or(line[field].to_string(), str::to_owned))
    };
    assert_eq!(shown(&lines[0]), ["pipedrive", "200", "null"]);
    assert_eq!(shown(&lines[1]), ["pipedrive", "null", "null"]);
    assert_eq!(shown(&lines[2]), ["pipedrive", "422", "rejected (status 422)"]);
    assert_eq!(
        lines[4]["reason"],
        "`logInfo.direction` is not a direction: expected \"Inbound\" or \"Outbound\""
    );
    assert_eq!(lines[0]["session_hash"], lines[1]["session_hash"]);
    assert_ne!(lines[0]["session_hash"], lines[2]["session_hash"]);
    // `printf '%s' 'pipedrive|4503991001' | sha256sum | cut -c1-16`
    assert_eq!(lines[0]["session_hash"], "2e6d1a0c4679024c");
    assert!(lines[0]["crm_ms"].as_i64().is_some_and(|ms| ms >= 0), "{}", lines[0]);
    assert_eq!(values(&lines[0])["CrmLatency"].len(), 3, "{}", lines[0]);
    // CloudWatch Logs charges by the byte.
    assert!(lines[0].to_string().len() < 1_000, "{}", lines[0]);
}

#[tokio::test]
async fn every_update_writes_one_line_with_its_outcome() {
    let test = TestApp::start().await;
    test.post(&call("4503991001")).await;
    let token = &test.app.issue_token(&test.user, DAYS);
    let patch =
        |session: &str, note: &str| request("PATCH", token, &json!({"sessionId": session, "note": note}));
    let mut update = Watched::start("update-call-log", &test, &[]);
    update.send(patch("4503991001", "canary"), 200, "Updated", "INFO", true).await;
    update.send(patch("4503991002", "canary"), 200, "WaitingForCall", "INFO", true).await;
    test.crm.next(Route::GetActivity, Fault::RateLimited { retry_after: Some(3) });
    update.send(patch("4503991001", "canary two"), 200, "Failed", "WARN", true).await;
    tests::test_app::close_breaker(&test.app, &test.user).await;
    test.crm.delete(5001);
    update.send(patch("4503991001", "canary three"), 200, "Deleted", "INFO", true).await;
    update
        .send(
            patch("4503991003", &format!("canary{}", tests::test_app::random_letters(650_000))),
            413,
            "TooLarge",
            "INFO",
            true,
        )
        .await;
    let lines = update.check("update");
    assert_eq!(lines[2]["reason"], "rate limited (status 429)");
}

#[tokio::test]
async fn a_create_that_fails_at_dynamodb_writes_one_line_with_its_outcome() {
    let test = TestApp::start().await;
    let token = &test.app.issue_token(&test.user, DAYS);
    for (variable, value, status, outcome, level) in [
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1", 503, "Unavailable", "WARN"),
        ("TABLE_NAME", "elsewhere", 500, "Rejected", "ERROR"),
    ] {
        let mut create = Watched::start("create-call-log", &test, &[(variable, value)]);
        create.send(request("POST", token, &call("4503991001")), status, outcome, level, true).await;
        create.check("create");
    }
}

/// A function on a developer's machine has no stack name and writes lines without metrics.
#[tokio::test]
async fn a_line_has_no_metrics_without_a_stack_name() {
    let test = TestApp::start().await;
    let function = Function::start("create-call-log", &environment(&test.dynamodb, &test.crm, &[]));
    let token = &test.app.issue_token(&test.user, DAYS);
    function.invoke(request("POST", token, &call("1"))).await;
    let lines = read(&function.into_log());
    let line = endings(&lines)[0];
    assert_eq!(
        (&line["outcome"], &line["_aws"], &line["Latency"]),
        (&json!("Logged"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn the_crm_receives_the_ids_of_a_request_and_the_caller_its_correlation_id() {
    let test = TestApp::start().await;
    let create = Function::start("create-call-log", &environment(&test.dynamodb, &test.crm, &[]));
    let token = &test.app.issue_token(&test.user, DAYS);
    let mut shown = BTreeMap::new();
    for (session, header, id, expected) in [
        ("1", "x-correlation-id", "abc-1", "abc-1"),
        ("2", "X-Request-Id", "def.2", "def.2"),
        ("3", "x-correlation-id", "bob@example.com", "request-3"),
    ] {
        let mut event = request("POST", token, &call(session));
        event["headers"][header] = json!(id);
        let response = create.invoke(event).await;
        assert_eq!(response.headers["x-correlation-id"], expected, "{session}");
        shown.insert(session, expected);
    }
    let sent = test.crm.requests();
    let ids: Vec<_> = sent
        .iter()
        .filter(|sent| sent.method == "POST")
        .map(|sent| sent.header("x-correlation-id"))
        .collect();
    assert_eq!(ids, shown.values().map(|id| Some(*id)).collect::<Vec<_>>());
    for request in &sent {
        let trace = request.header("x-amzn-trace-id");
        assert_eq!(trace, Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"), "{request:?}");
    }
    let lines = read(&create.into_log());
    let logged: Vec<_> =
        endings(&lines).into_iter().map(|line| line["correlation_id"].as_str().unwrap()).collect();
    assert_eq!(logged, ["abc-1", "def.2", "request-3"]);
}

/// Returns the log of a create by a function with these additional environment variables.
async fn log_of_a_create(test: &TestApp, extra: &[(&str, &str)]) -> String {
    let function = Function::start("create-call-log", &environment(&test.dynamodb, &test.crm, extra));
    let token = test.app.issue_token(&test.user, DAYS);
    let response =
        function.invoke(with_body(event("create-extension", &token), &call("1").to_string())).await;
    assert_eq!(response.status, 200, "{response:?}");
    function.into_log()
}

#[tokio::test]
async fn the_debug_log_has_every_response_of_the_crm_with_its_remaining_rate_limit() {
    let test = TestApp::start().await;
    test.crm.next(Route::GetPerson, Fault::Status(500));
    let debug = [("AWS_LAMBDA_LOG_LEVEL", "DEBUG")];
    let mut log = log_of_a_create(&test, &debug).await;
    log += &log_of_a_create(&test, &debug).await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let responses: Vec<_> = lines.iter().filter(|line| line["message"] == "the CRM responded").collect();
    let (none, all) = ([const { None }; 4], [Some(100), Some(99), Some(2), Some(9_999)]);
    let expected = [
        ("GET", "persons/{id}", 500, none),
        ("GET", "persons/{id}", 200, all),
        ("GET", "activityTypes", 200, all),
        ("POST", "activities", 200, all),
    ];
    assert_eq!(responses.len(), expected.len(), "{log}");
    for (line, (method, route, status, limits)) in responses.into_iter().zip(expected) {
        let shown = (&line["crm_method"], &line["crm_route"], &line["crm_status"]);
        assert_eq!(shown, (&json!(method), &json!(route), &json!(status)), "{line}");
        let fields = ["rate_limit", "rate_limit_remaining", "rate_limit_reset", "daily_requests_left"];
        assert_eq!(fields.map(|field| line[field].as_i64()), limits, "{line}");
    }
}
