//! The events in `events/`, and the forms of events that differ between gateways.

use std::{collections::BTreeSet, fs, path::Path};

use call_log::{
    model::Clock,
    startup::{app::App, config::Config},
};
use cli::example_crm::{ExampleCrm, router};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    pipedrive::{API_KEY, FakePipedrive},
    proxy::Proxy,
    runtime_api::{Function, event},
    test_app::{TestApp, api_key, environment, user},
};

const EXAMPLE_KEY: &str = "the key of the Example CRM";

/// The events in the order in which the test sends them: name, CRM of the user, expected status and message. Most are
/// about one call, so that only the first create logs it.
const EVENTS: [(&str, &str, u16, &str); 15] = [
    (
        "create-no-token",
        "pipedrive",
        401,
        "The token is missing: send it as `Authorization: Bearer <token>`.",
    ),
    (
        "create-malformed",
        "pipedrive",
        400,
        "The body is not JSON: EOF while parsing a value at line 1 column 63.",
    ),
    ("create-no-contact", "pipedrive", 200, "Contact not found for number +12135550199"),
    ("create-extension", "pipedrive", 200, "Call logged"),
    ("create-extension-query-token", "pipedrive", 200, "Call already logged"),
    ("create-base64", "pipedrive", 200, "Call already logged"),
    ("rest-create", "pipedrive", 200, "Call already logged"),
    ("alb-create", "pipedrive", 200, "Call already logged"),
    ("cache-note", "pipedrive", 200, ""),
    ("create-server-side", "pipedrive", 200, "Call logged"),
    ("update-recording", "pipedrive", 200, "Call log updated."),
    ("update-note", "pipedrive", 200, "Call log updated."),
    ("create-seed", "example", 200, "Call logged"),
    ("create-seed", "example", 200, "Call already logged"),
    ("update-interface", "example", 200, "Call log updated."),
];

/// The event of a question, which is sent last.
const FIND: &str = "find-call-logs";

/// The event of a question that needs no token.
const MANIFEST: &str = "show-manifest";

/// The event that is not a request: EventBridge's, for the redrive.
const SCHEDULE: &str = "redrive-schedule";

#[test]
fn every_event_file_is_listed_in_the_readme_and_in_the_table_of_this_test() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let files: BTreeSet<String> = fs::read_dir(&directory)
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    let listed = EVENTS.iter().map(|(name, ..)| *name).chain([FIND, MANIFEST, SCHEDULE]);
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    assert_eq!(files, listed);

    let readme = fs::read_to_string(directory.join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let named: BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`').trim_end_matches(".json").to_owned())
        .collect();
    assert_eq!(named, files);
}

#[tokio::test]
async fn every_event_file_gets_its_expected_response() {
    let harness = Harness::start().await;
    for (name, platform, status, message) in EVENTS {
        let response = harness.function(name).invoke(event(name, &harness.token(platform))).await;
        assert_eq!((response.status, response.message()), (status, message), "{name}: {response:?}");
        assert_eq!(response.headers["content-type"], "application/json", "{name}");
    }

    let found = harness.extension.invoke(event(FIND, &harness.token("pipedrive"))).await;
    let expected = json!({"successful": true, "logs": [
        {"sessionId": "4503991004", "matched": true, "logId": "5001"},
        {"sessionId": "4503991099", "matched": false},
    ]});
    assert_eq!((found.status, &found.body), (200, &expected));
    let manifest = harness.connect.invoke(event(MANIFEST, "")).await;
    let url = "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com";
    assert_eq!(
        (manifest.status, &manifest.body["serverUrl"]),
        (200, &json!(url)),
        "the address that API Gateway names"
    );

    let logs = harness.crm.activities();
    assert_eq!(logs.len(), 2, "{logs:#?}");
    assert_eq!(logs[0]["subject"], "Quote for Bob Client");
    assert_eq!(logs[0]["deal_id"], 412);
    let note = logs[0]["note"].as_str().unwrap();
    for expected in ["Wants a quote for 40 seats", "https://media.example.com/recordings/646?view=player"] {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    let note = logs[1]["note"].as_str().unwrap();
    assert!(note.contains("Call back on Friday"), "the note that came before the call: {note}");
    let seed = harness.example_log().await;
    assert_eq!(seed["contactId"], "c-2");
    assert_eq!(seed["durationSeconds"], 7);
    let note = seed["body"].as_str().unwrap();
    for expected in ["Asked for a quote; sent on Tuesday", "2018-09-11 06:24:09 AM", "646?view=player"] {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
}

/// HTTP API, REST API and load balancer, with the token in the header or the query, and with a body in base64.
#[tokio::test]
async fn a_call_is_logged_through_every_kind_of_gateway() {
    for name in
        ["create-extension", "create-extension-query-token", "create-base64", "rest-create", "alb-create"]
    {
        let harness = Harness::start().await;
        let response = harness.create.invoke(event(name, &harness.token("pipedrive"))).await;
        let expected = json!({
            "successful": true, "logId": "5001",
            "returnMessage": {"message": "Call logged", "messageType": "success", "ttl": 2000},
        });
        assert_eq!((response.status, &response.body), (200, &expected), "{name}");
        let logs = harness.crm.activities();
        assert!(logs[0]["note"].as_str().unwrap().contains("Wants a quote"), "{name}: {logs:?}");
    }
}

/// Some gateways send lists of headers and query parameters, header names in any case, or a stage in the path.
#[tokio::test]
async fn tokens_and_paths_are_read_from_every_form_of_gateway_event() {
    let harness = Harness::start().await;
    let token = harness.token("pipedrive");
    let without_header = |name: &str| {
        let mut event = event(name, "");
        for headers in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event[headers].as_object_mut() {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
            }
        }
        event
    };
    let mut alb_query = without_header("alb-create");
    alb_query["queryStringParameters"]["jwtToken"] = json!(token);
    let mut alb_lists = without_header("alb-create");
    let headers = alb_lists["headers"].as_object().unwrap().clone();
    let lists = headers.into_iter().chain([("Authorization".to_owned(), json!(format!("Bearer {token}")))]);
    alb_lists["multiValueHeaders"] = lists.map(|(name, value)| (name, json!([value]))).collect();
    alb_lists.as_object_mut().unwrap().remove("headers");
    let mut rest_query = without_header("rest-create");
    rest_query["queryStringParameters"] = json!({"jwtToken": token});
    rest_query["multiValueQueryStringParameters"] = json!({"jwtToken": [token]});
    let mut stage_path = event("create-extension", &token);
    stage_path["rawPath"] = json!("/prod/callLog");
    stage_path["requestContext"]["stage"] = json!("prod");
    let mut wrong_verb = event("rest-create", &token);
    wrong_verb["httpMethod"] = json!("GET");
    wrong_verb["requestContext"]["httpMethod"] = json!("GET");

    for (what, event, status) in [
        ("a load balancer with the token in the query", alb_query, 200),
        ("a load balancer with lists of headers", alb_lists, 200),
        ("a REST API with the token in the query", rest_query, 200),
        ("an HTTP API with a stage", stage_path, 200),
        ("a load balancer without a token", without_header("alb-create"), 401),
        ("a REST API without a token", without_header("rest-create"), 401),
        ("a REST API with another verb", wrong_verb, 405),
    ] {
        let response = harness.create.invoke(event).await;
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert_eq!(response.headers["content-type"], "application/json", "{what}");
    }
    assert_eq!(harness.crm.activities().len(), 1);
}

/// The functions with two CRMs, and a user of each.
struct Harness {
    crm: FakePipedrive,
    example: Proxy,
    app: App,
    create: Function,
    update: Function,
    extension: Function,
    connect: Function,
}

impl Harness {
    async fn start() -> Harness {
        let (crm, dynamodb) = (FakePipedrive::start(), DynamoDb::start());
        let example = ExampleCrm::open(None, EXAMPLE_KEY, Clock::System).expect("an Example CRM");
        let example = Proxy::around(router(example));
        let variables = environment(&dynamodb, &crm, &[("CRM_BASE_URL_EXAMPLE", &example.base_url())]);
        let config = Config::read(|name| variables.get(name).cloned()).expect("the environment is complete");
        let app = App::new(config, Clock::System).await.expect("the app starts");
        app.store.create_table().await.expect("the table can be created");
        for (platform, key) in [("pipedrive", API_KEY), ("example", EXAMPLE_KEY)] {
            app.store
                .put_user(&user(&id(platform), Some(api_key(key))))
                .await
                .expect("the user can be stored");
        }
        let create = Function::start("create-call-log", &variables);
        let update = Function::start("update-call-log", &variables);
        let extension = Function::start("extension-api", &variables);
        let connect = Function::start("connect", &variables);
        Harness { crm, example, app, create, update, extension, connect }
    }

    fn token(&self, platform: &str) -> String {
        self.app.issue_token(&user(&id(platform), None), 1)
    }

    fn function(&self, event: &str) -> &Function {
        match event {
            "cache-note" => &self.extension,
            update if update.starts_with("update") => &self.update,
            _ => &self.create,
        }
    }

    async fn example_log(&self) -> Value {
        let url = format!("{}/example-crm/v1/activities/5001", self.example.base_url());
        let response = call_log::startup::transport::client()
            .unwrap()
            .get(url)
            .header("x-api-token", EXAMPLE_KEY)
            .send()
            .await
            .unwrap();
        response.json().await.unwrap()
    }
}

/// Returns the id of the user of a platform.
fn id(platform: &str) -> String {
    format!("12345-{platform}")
}

/// Anyone can send these, without a token.
#[tokio::test]
async fn an_event_that_is_no_request_gets_a_400_and_the_function_lives_on() {
    let test = TestApp::start().await;
    let variables = environment(&test.dynamodb, &test.crm, &[]);
    let function = Function::start("create-call-log", &variables);
    let with = |changes: &[(&str, Value)]| {
        let mut event = event("create-no-token", "");
        for (pointer, value) in changes {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        event
    };
    let query = |text: &str| with(&[("/rawQueryString", json!(text))]);
    let malformed = [
        query("a=<"),
        query("a=\""),
        query("a=b c"),
        query("a=\u{7f}"),
        query("a=\n"),
        with(&[("/rawPath", json!("/callLog<"))]),
        with(&[("/headers/host", json!("a b"))]),
        with(&[("/headers", json!(7))]),
        with(&[("/requestContext", json!({"http": {"method": "no method", "path": "/"}}))]),
        json!({}),
        json!([]),
        json!(null),
        json!("text"),
        json!({"version": "2.0"}),
    ];
    for event in malformed {
        let response = function.invoke_raw(event.clone(), std::time::Duration::from_secs(25)).await;
        let response = response.unwrap_or_else(|error| panic!("{event}: the invocation failed: {error}"));
        assert!(
            [400, 401, 404, 405].contains(&response["statusCode"].as_u64().unwrap()),
            "{event}: {response}"
        );
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["successful"], false, "{event}: {response}");
    }
    let response = function.invoke(event("create-no-token", "")).await;
    assert_eq!(response.status, 401);
    let log = function.into_log();
    assert!(!log.contains("failed to build request"), "{log}");
}
