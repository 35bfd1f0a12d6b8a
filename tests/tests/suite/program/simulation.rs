//! The simulation behind the page of `call-log serve`: a CRM in trouble, and recordings that come later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use call_log::{
    model::{Clock, Deadline},
    startup::transport,
    telemetry::Trace,
};
use cli::local::{Local, Options};
use serde_json::{Value, json};
use tests::test_app::call;

use crate::harness::with;

/// 2026-03-12T15:45:25Z
const NOW: i64 = 1_773_330_325_000;
const MINUTE: i64 = 60_000;

/// The program in memory, with a clock that a test sets.
struct Program {
    local: Local,
    clock: Arc<AtomicI64>,
    http: transport::Client,
}

impl Program {
    async fn start() -> Program {
        let clock = Arc::new(AtomicI64::new(NOW));
        let options =
            Options { port: 0, dynamodb_port: None, data_dir: None, clock: Clock::Manual(clock.clone()) };
        Program { local: Local::start(options).await.unwrap(), clock, http: transport::client().unwrap() }
    }

    /// Sends a request, and returns the status and the body.
    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.local.url));
        let request = request.bearer_auth(self.local.token());
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    async fn create(&self, session: &str) -> (u16, Value) {
        self.send("POST", "/callLog", Some(&with(call(session), json!({"contactId": "c-3"})))).await
    }

    async fn choose(&self, trouble: &str) {
        let (status, body) = self.send("PUT", "/demo/trouble", Some(&json!({"trouble": trouble}))).await;
        assert_eq!((status, &body["trouble"]), (200, &json!(trouble)));
    }

    async fn state(&self) -> Value {
        self.send("GET", "/demo/state", None).await.1
    }

    /// Returns the ids of the records in the CRM, which is read as the page does.
    async fn records(&self) -> Vec<String> {
        let url = format!("{}/example-crm/v1/activities", self.local.url);
        let request = self.http.get(url).header("x-api-token", &self.local.crm_key);
        let request = request.header("user-agent", "a browser");
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        let activities = body["activities"].as_array().unwrap();
        activities.iter().map(|activity| activity["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Lets time pass, and runs the redrive after each minute.
    async fn pass(&self, minutes: i64) {
        for _ in 0..minutes {
            let now = self.clock.fetch_add(MINUTE, Ordering::SeqCst) + MINUTE;
            self.local.app.redrive(Deadline(now + 25_000), Trace::new("test", None)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_call_that_meets_trouble_waits_and_is_in_the_crm_once() {
    for (trouble, status, message, landed) in [
        ("down", 200, "Example CRM is not answering", 0),
        ("busy", 200, "Rate limit exceeded", 0),
        ("lost", 200, "Example CRM is not answering", 1),
        ("killed", 500, "", 1),
    ] {
        let program = Program::start().await;
        program.choose(trouble).await;
        let (got, body) = program.create("1").await;
        let returned = body["returnMessage"]["message"].as_str().unwrap_or_default();
        assert_eq!((got, returned), (status, message), "{trouble}: {body}");
        assert_eq!(program.records().await.len(), landed, "{trouble}: the page can read");
        let state = program.state().await;
        let waiting = &state["waiting"]["calls"][0];
        assert_eq!((&state["trouble"], &state["waiting"]["count"]), (&json!(trouble), &json!(1)), "{state}");
        assert_eq!(waiting["sessionId"], "1", "{state}");
        assert!(waiting["next"].as_i64().unwrap() > NOW && !waiting["meaning"].as_str().unwrap().is_empty());

        program.choose("none").await;
        program.pass(6).await;
        assert_eq!(program.state().await["waiting"]["count"], 0, "{trouble}");
        let records = program.records().await;
        assert_eq!(records.len(), 1, "{trouble}");
        let (_, again) = program.create("1").await;
        assert_eq!(again["returnMessage"]["message"], "Call already logged", "{trouble}: {again}");
        assert_eq!(again["logId"], records[0], "{trouble}");
    }
}

#[tokio::test]
async fn a_recording_comes_after_its_time() {
    let program = Program::start().await;
    let (_, created) = program.create("1").await;
    let id = created["logId"].as_str().unwrap();
    let event = json!({"sessionId": "1", "recordingLink": "https://media.example/1"});
    let new = json!({"event": event, "logId": id, "delayMs": 5_000});
    assert_eq!(program.send("POST", "/demo/recordings", Some(&new)).await.0, 201);
    let coming = &program.state().await["recordings"][0];
    assert_eq!(coming, &json!({"sessionId": "1", "logId": id, "due": NOW + 5_000, "progress": "coming"}));

    program.clock.fetch_add(4_000, Ordering::SeqCst);
    assert_eq!(program.send("POST", "/demo/recordings/1/hold", None).await.0, 204);
    assert_eq!(program.state().await["recordings"][0]["due"], NOW + 7_000, "a person edits");
    assert_eq!(program.send("POST", "/demo/recordings/1/send", None).await.0, 204);
    let mut state = program.state().await;
    for _ in 0..200 {
        if state["recordings"] == json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        state = program.state().await;
    }
    let result = &state["results"][0];
    assert_eq!(result["response"]["returnMessage"]["message"], "Call log updated.", "{state}");
    assert!(result["response"]["updatedNote"].as_str().unwrap().contains("https://media.example/1"));
    assert_eq!(program.send("POST", "/demo/recordings/1/send", None).await.0, 404, "it has come");
}

#[tokio::test]
async fn a_bad_request_to_the_simulation_says_what_is_wrong() {
    let program = Program::start().await;
    for (method, path, body, status, part) in [
        ("PUT", "/demo/trouble", Some(json!({"trouble": "fire"})), 422, "unknown variant `fire`"),
        ("PUT", "/demo/trouble", None, 415, "Content-Type"),
        ("POST", "/demo/recordings", Some(json!({"event": {}, "delayMs": 1})), 400, "`sessionId`"),
        ("POST", "/demo/recordings", Some(json!({"event": {}})), 422, "delayMs"),
        ("POST", "/demo/recordings/9/send", None, 404, "No recording of this call is to come."),
    ] {
        let (got, response) = program.send(method, path, body.as_ref()).await;
        let error = response["error"].as_str().unwrap_or_default();
        assert!(got == status && error.contains(part), "{method} {path} {body:?}: {got} {response}");
    }
    assert_eq!(program.state().await["trouble"], "none");
}
