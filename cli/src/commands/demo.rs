//! `call-log demo`: plays the life of the example call of RingCentral's documentation, up to the last edit.

use call_log::{model::Clock, startup::transport};
use serde_json::{Value, json};

use crate::{
    error::CommandError,
    local::{Local, Options},
    output::print,
};

const SESSION: &str = "4503991004";

pub(super) async fn run() -> Result<(), CommandError> {
    let options = Options { port: 0, dynamodb_port: None, data_dir: None, clock: Clock::System };
    let mut local = Local::start(options).await?;
    let demo = Demo {
        token: local.token(),
        key: local.crm_key.clone(),
        url: local.url.clone(),
        http: transport::client().map_err(failed)?,
    };
    tokio::select! {
        () = local.serve() => Err(CommandError::ServerEnded),
        played = demo.play() => played,
    }
}

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::Demo(error.to_string())
}

struct Demo {
    http: transport::Client,
    url: String,
    token: String,
    key: String,
}

impl Demo {
    async fn play(&self) -> Result<(), CommandError> {
        print("The call ends. Its recording is not ready yet.\n")?;
        let log = self.call_log("POST", &create()).await?;
        let id = log["logId"].as_str().ok_or_else(|| failed("the response has no logId"))?.to_owned();
        self.show_record(&id).await?;

        print("\nThe same event arrives again, because events may be repeated.\n")?;
        self.call_log("POST", &create()).await?;

        print("\nA colleague adds a line in the CRM.\n")?;
        let record = self.record(&id).await?;
        let body = format!("{}Checked the address. -- Ann\n", record["body"].as_str().unwrap_or_default());
        self.crm("PATCH", &format!("/activities/{id}"), Some(&json!({"body": body}))).await?;
        self.show_record(&id).await?;

        print("\nThe recording arrives.\n")?;
        let recording = json!({"sessionId": SESSION, "recordingLink": "https://media.example/recording/646"});
        self.call_log("PATCH", &recording).await?;
        self.show_record(&id).await?;

        print("\nThe agent corrects the note.\n")?;
        self.call_log(
            "PATCH",
            &json!({"sessionId": SESSION, "note": "Wants a quote for 20 seats\nCall back Friday"}),
        )
        .await?;
        self.show_record(&id).await
    }

    /// Sends a request to `/callLog`, and prints the request and the message of the response.
    async fn call_log(&self, method: &str, body: &Value) -> Result<Value, CommandError> {
        let url = format!("{}/callLog", self.url);
        let response = self.send(method, url, &self.token, Some(body)).await?;
        let message = response["returnMessage"]["message"].as_str().unwrap_or_default();
        let log = response["logId"].as_str().unwrap_or("none");
        print(format!("{method} /callLog -> {message} (log {log})"))?;
        if response["successful"] != json!(true) {
            return Err(failed(format!("{method} /callLog: {message}")));
        }
        Ok(response)
    }

    async fn show_record(&self, id: &str) -> Result<(), CommandError> {
        let record = self.record(id).await?;
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        print(format!("CRM record {id}: {} ({} s)", text("subject"), record["durationSeconds"]))?;
        for line in text("body").lines() {
            print(format!("  | {line}"))?;
        }
        Ok(())
    }

    async fn record(&self, id: &str) -> Result<Value, CommandError> {
        self.crm("GET", &format!("/activities/{id}"), None).await
    }

    /// Sends a request to the Example CRM.
    async fn crm(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CommandError> {
        let url = format!("{}/example-crm/v1{path}", self.url);
        let response = self.send(method, url, &self.key, body).await?;
        match response["error"].as_str() {
            Some(error) => Err(failed(format!("{method} {path}: {error}"))),
            None => Ok(response),
        }
    }

    async fn send(
        &self,
        method: &str,
        url: String,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value, CommandError> {
        let mut request = self.http.request(method.parse().map_err(failed)?, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(failed)?.json().await.map_err(failed)
    }
}

/// Returns RingCentral's example of a call-log record, as the extension sends it.
fn create() -> Value {
    json!({
        "contactInfo": {"id": "c-2", "type": "contact", "phoneNumber": "+16504445566", "name": "John Smith"},
        "callLog": {
            "id": "X2AvJPtwNQbNQA", "sessionId": SESSION, "telephonySessionId": "s-9a03590172ea4d39a7cf7d5b6dba6a3b",
            "startTime": "2018-09-11T13:24:09.000Z", "duration": 7, "type": "Voice", "direction": "Inbound",
            "action": "Phone Call", "result": "Accepted",
            "to": {"phoneNumber": "+18662019834", "name": "Jane Smith"},
            "from": {"phoneNumber": "+16504445566", "name": "John Smith", "location": "Palo Alto, CA"},
            "recording": {"link": "(pending...)"},
            "legs": [{
                "startTime": "2018-09-11T13:24:09.000Z", "duration": 7, "type": "Voice", "direction": "Inbound",
                "action": "Phone Call", "result": "Accepted",
                "to": {"phoneNumber": "+18662019834", "name": "Jane Smith"},
                "from": {"phoneNumber": "+16504445566", "name": "John Smith", "location": "Palo Alto, CA"},
                "legType": "Accept", "master": true
            }]
        },
        "note": "Wants a quote"
    })
}
