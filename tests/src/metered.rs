//! A test app whose requests to DynamoDB and to the CRM are counted, and the billed resources that each case uses.

use std::sync::Arc;

use call_log::{delivery::redrive::Report, model::Deadline, startup::app::App, telemetry::Trace};
use serde_json::{Value, json};

use crate::{
    aws::{Aws, REQUEST},
    cost::Use,
    log::Log,
    proxy::{Exchange, Fault, Proxy},
    test_app::{REDRIVE_MS, Response, TestApp, call},
};

/// The functions' memory, as in template.yaml.
pub const MEMORY_MB: f64 = 256.0;
/// Assumption: the duration of one request to a slow CRM, in milliseconds.
pub const CRM_REQUEST_MS: f64 = 230.0;
/// Assumption: the duration of an invocation without its requests to the CRM, in milliseconds.
pub const INVOCATION_ELSE_MS: f64 = 40.0;
/// Assumption: the duration of a process's start, in milliseconds.
pub const START_MS: f64 = 250.0;
/// Assumption: the additional bytes of a production log line. The ids, times and the stack's name of the tests are
/// short.
pub const LINE_MORE_BYTES: f64 = 150.0;
/// Assumption: the bytes of the API's access log for each request.
pub const API_LOG_BYTES: f64 = 500.0;
/// Assumption: the bytes that the API adds to a response: its own headers, and TLS.
pub const API_RESPONSE_BYTES: f64 = 500.0;
/// The number of SecureStrings that a process reads with the template's defaults (the token secret). Parameter Store
/// decrypts each with one request to KMS.
pub const SECURE_STRINGS: f64 = 1.0;

/// A test app, and a process whose requests and log bytes are counted. Only the creating thread's log is captured, so
/// use it on that thread, in a current-thread runtime.
#[derive(Debug)]
pub struct Metered {
    pub test: TestApp,
    pub app: Arc<App>,
    pub dynamodb: Proxy,
    pub crm: Proxy,
    log: Log,
}

/// The counts of one or several requests.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub dynamodb: Vec<Exchange>,
    pub crm: Vec<Exchange>,
    /// The length of the function's log lines.
    pub log_bytes: usize,
    pub log_lines: usize,
    /// The length of the response to the caller, with its headers.
    pub response_bytes: usize,
    invocations: usize,
    api_requests: usize,
}

impl Metered {
    pub async fn start() -> Metered {
        let log = Log::capture();
        let test = TestApp::start().await;
        let (dynamodb, crm) = (Proxy::metering(&test.dynamodb.url), Proxy::metering(&test.crm.base_url()));
        let variables = [
            ("AWS_ENDPOINT_URL_DYNAMODB", &*dynamodb.base_url()),
            ("CRM_BASE_URL_PIPEDRIVE", &*crm.base_url()),
        ];
        let app = test.app_with(&variables).await.expect("the app starts");
        Metered { test, app, dynamodb, crm, log }
    }

    /// Starts the app and logs the call of session 1.
    pub async fn warm() -> Metered {
        let metered = Metered::start().await;
        metered.send("POST", &call("1")).await;
        metered
    }

    /// Sends one request. The response may be an error.
    pub async fn ask(&self, method: &str, body: &Value) -> (Response, Counted) {
        self.taken();
        // Asserts that the first two requests of an invocation are sent concurrently: the proxy holds both until the
        // second has arrived. So they count as one round trip.
        self.dynamodb.gather(2);
        let response = self.test.send(&self.app, method, body).await;
        let headers: usize = response.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut counted = self.taken();
        counted.response_bytes = headers + response.body.to_string().len();
        counted.api_requests = 1;
        (response, counted)
    }

    /// Sends one request, which must succeed.
    pub async fn send(&self, method: &str, body: &Value) -> Counted {
        let (response, counted) = self.ask(method, body).await;
        assert_eq!(response.body["successful"], true, "{response:?}");
        counted
    }

    /// Advances the clock by a minute and runs the redrive once.
    pub async fn redrive(&self) -> (Report, Counted) {
        self.test.pass(60_000);
        self.taken();
        let deadline = Deadline(self.test.now_ms() + REDRIVE_MS);
        let report =
            call_log::delivery::redrive::run(&self.app, deadline, Trace::new("test-redrive", None)).await;
        (report.expect("the table can be read"), self.taken())
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

/// Sums the capacity units of DynamoDB's reads, or of its writes.
pub fn units(passed: &[Exchange], reads: bool) -> f64 {
    let is_read = |one: &Exchange| ["BatchGetItem", "GetItem", "Query"].contains(&one.name());
    let of_kind = passed.iter().filter(|one| is_read(one) == reads);
    of_kind
        .map(|one| one.units.expect("DynamoDB reports the consumed capacity"))
        .fold(0.0, |sum, one| sum + one)
}

impl Counted {
    fn with(mut self, other: Counted) -> Counted {
        self.dynamodb.extend(other.dynamodb);
        self.crm.extend(other.crm);
        self.log_bytes += other.log_bytes;
        self.log_lines += other.log_lines;
        self.response_bytes += other.response_bytes;
        self.invocations += other.invocations;
        self.api_requests += other.api_requests;
        self
    }

    /// Returns the counted use, with the assumptions added.
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
            log_bytes: own_log + api_requests * API_LOG_BYTES,
            egress_bytes: (sent + self.response_bytes) as f64 + api_requests * API_RESPONSE_BYTES,
            kms_requests: 0.0,
        }
    }
}

/// Logs a call with a short note in a warm process.
pub async fn create() -> Counted {
    Metered::warm().await.send("POST", &call("2")).await
}

/// Returns the cases of the bill with their names.
pub async fn cases() -> Vec<(&'static str, Use)> {
    vec![
        ("a create", create().await.used()),
        ("a create with a note of 10 kB", long_create().await.used()),
        ("a create repeated", Metered::warm().await.send("POST", &call("1")).await.used()),
        ("an update", Metered::warm().await.send("PATCH", &update("1")).await.used()),
        ("an update before its create", Metered::warm().await.send("PATCH", &update("2")).await.used()),
        ("a create with a queued update", create_with_queued_update().await.used()),
        ("a create deferred, redriven once", deferred().await.used()),
        ("a redrive with nothing due", idle_redrive().await.used()),
        ("the start of a process", process_start().await),
    ]
}

fn update(session: &str) -> Value {
    json!({"sessionId": session, "recordingLink": "https://media.example/1", "note": "Wants two quotes"})
}

/// Logs a call whose note is 10 kB of random hexadecimal digits, which compress to about half, as prose does.
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

async fn create_with_queued_update() -> Counted {
    let metered = Metered::warm().await;
    metered.send("PATCH", &update("2")).await;
    metered.send("POST", &call("2")).await
}

/// Sends a create while the CRM is down, and redrives it. The redrive is counted as if it were for this call alone.
async fn deferred() -> Counted {
    let metered = Metered::warm().await;
    metered.test.crm.outage(Some(Fault::Status(503)));
    let (response, create) = metered.ask("POST", &call("2")).await;
    assert_eq!(response.body["successful"], false, "{response:?}");
    metered.test.crm.outage(None);
    for _ in 0..5 {
        let (report, redrive) = metered.redrive().await;
        if report.due > 0 {
            assert_eq!(report.delivered, 1, "{report:?}");
            return create.with(redrive);
        }
    }
    panic!("the deferred call did not become due");
}

async fn idle_redrive() -> Counted {
    let metered = Metered::warm().await;
    let (report, counted) = metered.redrive().await;
    assert_eq!(report, Report::default());
    counted
}

/// Starts a process that reads its secrets from Parameter Store and KMS, as with the template's defaults.
async fn process_start() -> Use {
    let (test, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let meter = Proxy::metering(&test.dynamodb.url);
    let mut variables = aws.environment();
    variables.push(("CREDENTIALS_DATA_KEY_PARAMETER".to_owned(), "/data-key".to_owned()));
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), meter.base_url()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let log = Log::capture();
    test.app_with(&variables).await.expect("the app starts");
    assert_eq!(aws.ssm.count(REQUEST), 1, "the secrets are read in one request, which is free");
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
