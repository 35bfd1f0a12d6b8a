//! `call-log demo`: the life of the call in RingCentral's documentation, from its end to the last edit.

use call_log::model::Clock;
use serde_json::{Value, json};

use super::{Failure, say};
use crate::local::{Local, Options};

const SESSION: &str = "4503991004";

pub(super) async fn run() -> Result<(), Failure> {
    let options = Options { port: 0, dynamodb_port: 0, data_dir: None, clock: Clock::System };
    let local = Local::start(options).await?;
    let demo = Demo {
        token: local.token(),
        key: local.crm_key.clone(),
        url: local.url.clone(),
        http: call_log::startup::transport::client()?,
    };
    tokio::select! {
        () = local.serve() => Err("the server ended".into()),
        told = demo.tell() => told,
    }
}

struct Demo {
    http: call_log::startup::transport::Client,
    url: String,
    token: String,
    key: String,
}

impl Demo {
    async fn tell(&self) -> Result<(), Failure> {
        say("The call ends. Its recording is not ready yet.\n")?;
        let log = self.call_log("POST", &create()).await?;
        let id = log["logId"].as_str().ok_or("the answer has no logId")?.to_owned();
        self.show_record(&id).await?;

        say("\nThe same event arrives again, as events do.\n")?;
        self.call_log("POST", &create()).await?;

        say("\nA colleague adds a line in the CRM.\n")?;
        let record = self.record(&id).await?;
        let body = format!("{}Checked the address. -- Ann\n", record["body"].as_str().unwrap_or_default());
        self.crm("PATCH", &format!("/activities/{id}"), Some(&json!({"body": body}))).await?;
        self.show_record(&id).await?;

        say("\nThe recording arrives.\n")?;
        let recording = json!({"sessionId": SESSION, "recordingLink": "https://media.example/recording/646"});
        self.call_log("PATCH", &recording).await?;
        self.show_record(&id).await?;

        say("\nThe agent corrects the note.\n")?;
        self.call_log(
            "PATCH",
            &json!({"sessionId": SESSION, "note": "Wants a quote for 20 seats\nCall back Friday"}),
        )
        .await?;
        self.show_record(&id).await
    }

    /// Calls the route, and prints the exchange.
    async fn call_log(&self, method: &str, body: &Value) -> Result<Value, Failure> {
        let request =
            self.http.request(method.parse()?, format!("{}/callLog", self.url)).bearer_auth(&self.token);
        let answer: Value = request.json(body).send().await?.json().await?;
        let message = answer["returnMessage"]["message"].as_str().unwrap_or_default();
        say(format!("{method} /callLog -> {message} (log {})", answer["logId"].as_str().unwrap_or("none")))?;
        if answer["successful"] != json!(true) {
            return Err(format!("{method} /callLog failed: {message}").into());
        }
        Ok(answer)
    }

    async fn show_record(&self, id: &str) -> Result<(), Failure> {
        let record = self.record(id).await?;
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        say(format!("CRM record {id}: {} ({} s)", text("subject"), record["durationSeconds"]))?;
        for line in text("body").lines() {
            say(format!("  | {line}"))?;
        }
        Ok(())
    }

    async fn record(&self, id: &str) -> Result<Value, Failure> {
        self.crm("GET", &format!("/activities/{id}"), None).await
    }

    async fn crm(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("{}/example-crm/v1{path}", self.url);
        let mut request = self.http.request(method.parse()?, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

/// The example of a call-log record, as the extension would send it.
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
