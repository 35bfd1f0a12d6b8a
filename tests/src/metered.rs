//! A world whose ways to DynamoDB and to the CRM are metered, and what each case uses of what is billed.

use std::sync::Arc;

use call_log::{delivery::redrive::Report, model::Deadline, startup::app::App, telemetry::Trace};
use serde_json::{Value, json};

use crate::{
    aws::{Aws, REQUEST},
    cost::Use,
    log::Log,
    proxy::{Exchange, Fault, Proxy},
    test_app::{Answer, REDRIVE_MS, TestApp, call},
};

/// Assumed: as in template.yaml.
pub const MEMORY_MB: f64 = 256.0;
/// Assumed: how long one request to a CRM takes, in milliseconds. That is a slow one.
pub const CRM_REQUEST_MS: f64 = 230.0;
/// Assumed: how long an invocation takes beside its requests to the CRM, in milliseconds.
pub const INVOCATION_ELSE_MS: f64 = 40.0;
/// Assumed: how long a process takes to start, in milliseconds.
pub const START_MS: f64 = 250.0;
/// Assumed: what Lambda writes of each invocation (platform.start, platform.report).
pub const LAMBDA_LOG_BYTES: f64 = 600.0;
/// Assumed: by how much a line is longer than here, where ids, times and the stack's name are short.
pub const LINE_MORE_BYTES: f64 = 150.0;
/// Assumed: what the API's access log has of each request.
pub const API_LOG_BYTES: f64 = 500.0;
/// Assumed: what the API adds to the answer to a caller: its own headers, and TLS.
pub const API_ANSWER_BYTES: f64 = 500.0;
/// Each SecureString that Parameter Store gives is a decryption of KMS: with the template's defaults the tokens' secret.
pub const SECURE_STRINGS: f64 = 1.0;

/// A world, and a process in it whose requests are counted. What it says is counted too, so that it must be used on the
/// thread that has made it, on a runtime of that thread alone.
#[derive(Debug)]
pub struct Metered {
    pub world: TestApp,
    pub app: Arc<App>,
    pub dynamodb: Proxy,
    pub crm: Proxy,
    log: Log,
}

/// What was counted of one piece of work.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub dynamodb: Vec<Exchange>,
    pub crm: Vec<Exchange>,
    /// What the function wrote.
    pub log_bytes: usize,
    pub log_lines: usize,
    /// The answer to the caller, head and body.
    pub answer_bytes: usize,
    invocations: usize,
    api_requests: usize,
}

impl Metered {
    pub async fn start() -> Metered {
        let log = Log::capture();
        let world = TestApp::start().await;
        let (dynamodb, crm) = (Proxy::metering(&world.dynamodb.url), Proxy::metering(&world.crm.base_url()));
        let variables = [
            ("AWS_ENDPOINT_URL_DYNAMODB", &*dynamodb.base_url()),
            ("CRM_BASE_URL_PIPEDRIVE", &*crm.base_url()),
        ];
        let app = world.app_with(&variables).await.expect("the app starts");
        Metered { world, app, dynamodb, crm, log }
    }

    /// The same after a first create, of session 1.
    pub async fn warm() -> Metered {
        let metered = Metered::start().await;
        metered.send("POST", &call("1")).await;
        metered
    }

    /// One request, whatever is answered.
    pub async fn ask(&self, method: &str, body: &Value) -> (Answer, Counted) {
        self.taken();
        // The two requests that an invocation begins with are answered only when both are on their way: one after the
        // other they would wait for ever. So they are one round trip.
        self.dynamodb.gather(2);
        let answer = self.world.send(&self.app, method, body).await;
        let headers: usize = answer.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut counted = self.taken();
        counted.answer_bytes = headers + answer.body.to_string().len();
        counted.api_requests = 1;
        (answer, counted)
    }

    /// One successful request.
    pub async fn send(&self, method: &str, body: &Value) -> Counted {
        let (answer, counted) = self.ask(method, body).await;
        assert_eq!(answer.body["successful"], true, "{answer:?}");
        counted
    }

    /// A minute later, one look at what is due.
    pub async fn redrive(&self) -> (Report, Counted) {
        self.world.pass(60_000);
        self.taken();
        let deadline = Deadline(self.world.now_ms() + REDRIVE_MS);
        let report =
            call_log::delivery::redrive::run(&self.app, deadline, Trace::new("test-redrive", None)).await;
        (report.expect("the table is there"), self.taken())
    }

    fn taken(&self) -> Counted {
        let lines = self.log.take_text();
        Counted {
            dynamodb: self.dynamodb.take(),
            crm: self.crm.take(),
            log_bytes: lines.len(),
            log_lines: lines.lines().count(),
            invocations: 1,
            ..Counted::default()
        }
    }
}

/// DynamoDB's units of these operations: of the reads, or of the writes.
pub fn units(passed: &[Exchange], reads: bool) -> f64 {
    let is_read = |one: &Exchange| ["GetItem", "Query"].contains(&one.name());
    let of_kind = passed.iter().filter(|one| is_read(one) == reads);
    of_kind.map(|one| one.units.expect("DynamoDB says what it took")).fold(0.0, |sum, one| sum + one)
}

impl Counted {
    fn with(mut self, other: Counted) -> Counted {
        self.dynamodb.extend(other.dynamodb);
        self.crm.extend(other.crm);
        self.log_bytes += other.log_bytes;
        self.log_lines += other.log_lines;
        self.answer_bytes += other.answer_bytes;
        self.invocations += other.invocations;
        self.api_requests += other.api_requests;
        self
    }

    /// What was counted, and what is assumed beside it.
    pub fn used(&self) -> Use {
        let sent: usize = self.crm.iter().map(|one| one.request_bytes).sum();
        let (invocations, api_requests) = (self.invocations as f64, self.api_requests as f64);
        let own_log = self.log_bytes as f64 + self.log_lines as f64 * LINE_MORE_BYTES;
        Use {
            api_requests,
            lambda_requests: invocations,
            write_units: units(&self.dynamodb, false),
            read_units: units(&self.dynamodb, true),
            billed_ms: invocations * INVOCATION_ELSE_MS + self.crm.len() as f64 * CRM_REQUEST_MS,
            memory_mb: MEMORY_MB,
            log_bytes: own_log + invocations * LAMBDA_LOG_BYTES + api_requests * API_LOG_BYTES,
            egress_bytes: (sent + self.answer_bytes) as f64 + api_requests * API_ANSWER_BYTES,
            kms_requests: 0.0,
        }
    }
}

/// A warm create of a call with a short note.
pub async fn create() -> Counted {
    Metered::warm().await.send("POST", &call("2")).await
}

/// The cases that a bill is made of, each by its name.
pub async fn cases() -> Vec<(&'static str, Use)> {
    vec![
        ("a create", create().await.used()),
        ("a create with a note of 10 kB", long_create().await.used()),
        ("a create repeated", Metered::warm().await.send("POST", &call("1")).await.used()),
        ("an update", Metered::warm().await.send("PATCH", &update("1")).await.used()),
        ("an update that waits for its call", Metered::warm().await.send("PATCH", &update("2")).await.used()),
        ("a create with an update waiting", create_with_update_waiting().await.used()),
        ("a create deferred, redriven once", deferred().await.used()),
        ("a look of the redrive, nothing due", idle_look().await.used()),
        ("a process that starts", process_start().await),
    ]
}

fn update(session: &str) -> Value {
    json!({"sessionId": session, "recordingLink": "https://media.example/1", "note": "Wants two quotes"})
}

/// Hexadecimal digits that follow no order: they compress to about half, as prose does.
async fn long_create() -> Counted {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let digits = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{:x}", state % 16)
    });
    let mut body = call("2");
    body["note"] = json!(digits.take(10_000).collect::<String>());
    Metered::warm().await.send("POST", &body).await
}

async fn create_with_update_waiting() -> Counted {
    let metered = Metered::warm().await;
    metered.send("PATCH", &update("2")).await;
    metered.send("POST", &call("2")).await
}

/// A create while the CRM is down, and the look that makes up for it, which is counted as if it were for this call
/// alone.
async fn deferred() -> Counted {
    let metered = Metered::warm().await;
    metered.world.crm.outage(Some(Fault::Status(503)));
    let (answer, create) = metered.ask("POST", &call("2")).await;
    assert_eq!(answer.body["successful"], false, "{answer:?}");
    metered.world.crm.outage(None);
    for _ in 0..5 {
        let (report, look) = metered.redrive().await;
        if report.due > 0 {
            assert_eq!(report.delivered, 1, "{report:?}");
            return create.with(look);
        }
    }
    panic!("a call that was put off came due");
}

async fn idle_look() -> Counted {
    let metered = Metered::warm().await;
    let (report, counted) = metered.redrive().await;
    assert_eq!(report, Report::default());
    counted
}

/// A process that asks Parameter Store and KMS for its secrets, as with the template's defaults.
async fn process_start() -> Use {
    let (world, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let meter = Proxy::metering(&world.dynamodb.url);
    let mut variables = aws.environment();
    variables.push(("CREDENTIALS_DATA_KEY_PARAMETER".to_owned(), "/data-key".to_owned()));
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), meter.base_url()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let log = Log::capture();
    world.app_with(&variables).await.expect("the app starts");
    assert_eq!(aws.ssm.count(REQUEST), 1, "the secrets are one request, which is free");
    let dynamodb = meter.take();
    Use {
        write_units: units(&dynamodb, false),
        read_units: units(&dynamodb, true),
        billed_ms: START_MS,
        memory_mb: MEMORY_MB,
        log_bytes: log.take_text().len() as f64,
        kms_requests: aws.decryptions() as f64 + SECURE_STRINGS,
        ..Use::default()
    }
}
