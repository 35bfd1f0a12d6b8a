//! The app in the test's process, with an embedded DynamoDB, the fake of Pipedrive, and a clock that the test controls.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aws_smithy_types::base64;
use bytes::Bytes;
use call_log::{
    api::{Invocation, all_routes},
    delivery::redrive::Report,
    model::{BreakerKey, Clock, Credentials, CrmAccount, Deadline, Platform, Secret, Settings, User, UserId},
    startup::{app::App, config::Config, error::StartError},
    store::BreakerState,
    telemetry::Trace,
};
use chrono::DateTime;
use serde_json::{Value, json};

use crate::{dynamodb::DynamoDb, pipedrive::FakePipedrive, proxy::Proxy};

/// The start of the test's clock in epoch milliseconds: 2025-03-12T15:46:30Z, 65 seconds after the calls of the tests
/// began.
pub const NOW_MS: i64 = 1_741_794_390_000;
/// The time limit of an invocation, in milliseconds.
pub const INVOCATION_MS: i64 = 25_000;
/// The time limit of a run of the redrive, in milliseconds.
pub const REDRIVE_MS: i64 = 60_000;
/// The address of the API, as the platform knows it.
pub const URL: &str = "https://calls.example.com";
/// The secret that signs the tests' tokens.
pub const JWT_SECRET: &str = "a secret for tests that is long enough";

/// The key of the tests' hashes of extension ids.
pub const HASH_KEY: &str = "a key of hashes for tests";

/// An app with its own table, CRM and clock, and one connected user.
#[derive(Debug)]
pub struct TestApp {
    pub app: Arc<App>,
    pub crm: FakePipedrive,
    pub dynamodb: DynamoDb,
    pub user: User,
    clock: Arc<AtomicI64>,
}

/// A response to a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    /// The headers. The values of one name are lines.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON, or a text that is not JSON.
    pub body: Value,
}

impl Response {
    /// Returns the message that the extension shows.
    pub fn message(&self) -> &str {
        self.body["returnMessage"]["message"].as_str().unwrap_or_default()
    }

    /// Returns the id of the call log.
    pub fn log_id(&self) -> Option<&str> {
        self.body["logId"].as_str()
    }
}

/// Returns the environment of a process that uses the fakes. Variables in `extra` are added, or replace others.
pub fn environment(
    dynamodb: &DynamoDb,
    crm: &FakePipedrive,
    extra: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let (base_url, key_file) = (crm.base_url(), key_file("credentials"));
    let own = [
        ("TABLE_NAME", "calls"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("HASH_KEY", HASH_KEY),
        ("CREDENTIALS_KEY_FILE", key_file.as_str()),
        ("CRM_BASE_URL_PIPEDRIVE", base_url.as_str()),
    ];
    own.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Starts an app with this environment and the system's clock.
pub async fn app_of(environment: &BTreeMap<String, String>) -> App {
    let config = Config::read(|name| environment.get(name).cloned()).expect("the environment is complete");
    App::new(config, Clock::System).await.expect("the app starts")
}

/// Creates the table of this environment.
pub async fn create_table(environment: &BTreeMap<String, String>) {
    let app = app_of(environment).await;
    app.store.create_table().await.expect("the table can be created");
}

/// Returns the path of a key file beside the test program. Each name has its own key, which is the same in every run.
pub fn key_file(name: &str) -> String {
    let program = std::env::current_exe().expect("the program has a path");
    let path = program.with_file_name(format!("{name}.key"));
    if !path.exists() {
        let key: Vec<u8> = name.bytes().cycle().take(32).collect();
        let directory = program.parent().expect("a file is in a directory");
        let mut file = tempfile::NamedTempFile::new_in(directory).expect("the directory is writable");
        writeln!(file, "{}", base64::encode(key)).expect("the file can be written");
        // Other processes of the tests may read the file at the same time, so it appears as a whole.
        file.persist(&path).expect("the file can be renamed");
    }
    path.display().to_string()
}

impl TestApp {
    /// Starts an app with one Pipedrive user, who is connected by an API key that never expires.
    pub async fn start() -> TestApp {
        TestApp::with_credentials(api_key(crate::pipedrive::API_KEY)).await
    }

    pub async fn with_credentials(credentials: Credentials) -> TestApp {
        let dynamodb = DynamoDb::start();
        let clock = Arc::new(AtomicI64::new(NOW_MS));
        let crm = FakePipedrive::with_clock(Clock::Manual(clock.clone()));
        let app = new_app(&environment(&dynamodb, &crm, &[]), clock.clone()).await;
        app.store.create_table().await.expect("the table can be created");
        let user = user(&format!("{}-pipedrive", crate::pipedrive::USER), Some(credentials));
        app.store.put_user(&user).await.expect("the user can be stored");
        TestApp { app, crm, dynamodb, user, clock }
    }

    /// Starts an app like another process on the same table and CRM: it shares only the clock in memory.
    pub async fn another_app(&self) -> Arc<App> {
        new_app(&environment(&self.dynamodb, &self.crm, &[]), self.clock.clone()).await
    }

    /// Starts an app with other environment variables.
    pub async fn app_with(&self, extra: &[(&str, &str)]) -> Result<Arc<App>, StartError> {
        start_app(&environment(&self.dynamodb, &self.crm, extra), self.clock.clone()).await
    }

    /// Starts an app whose requests to DynamoDB go through a proxy.
    pub async fn proxied_app(&self) -> (Arc<App>, Proxy) {
        let address = self.dynamodb.url.trim_start_matches("http://").parse().expect("an address");
        let proxy = Proxy::before(address);
        let app = self.app_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &proxy.base_url())]).await;
        (app.expect("the app starts"), proxy)
    }

    /// Advances the clock.
    pub fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Sends `POST /callLog` as the user.
    pub async fn post(&self, body: &Value) -> Response {
        self.send(&self.app, "POST", body).await
    }

    /// Sends `PATCH /callLog` as the user.
    pub async fn patch(&self, body: &Value) -> Response {
        self.send(&self.app, "PATCH", body).await
    }

    /// Runs the redrive once, as its function does every minute.
    pub async fn redrive(&self) -> Report {
        let deadline = Deadline(self.now_ms() + REDRIVE_MS);
        self.app.redrive(deadline, Trace::new("test-redrive", None)).await.expect("the table can be read")
    }

    /// Advances the clock by these minutes, and runs the redrive once a minute.
    pub async fn redrive_for(&self, minutes: u32) -> Vec<Report> {
        let mut reports = Vec::new();
        for _ in 0..minutes {
            self.pass(60_000);
            reports.push(self.redrive().await);
        }
        reports
    }

    /// Sends a request of the user to this app.
    pub async fn send(&self, app: &App, method: &str, body: &Value) -> Response {
        let token = app.issue_token(&self.user, 1);
        send(app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await
    }
}

/// Forgets that the CRM of the user's company has failed.
pub async fn close_breaker(app: &App, user: &User) {
    for key in [BreakerKey::Tenant(user.tenant()), BreakerKey::User(user.key())] {
        let closed = app.store.set_breaker(&key, BreakerState::default(), app.clock.now_ms());
        closed.await.expect("the breaker can be stored");
    }
}

/// Returns the user with this id, which ends in the name of the platform, as in `12345-pipedrive`. All of them belong to
/// one company.
pub fn user(id: &str, credentials: Option<Credentials>) -> User {
    let platform = id.rsplit('-').next().and_then(Platform::new).expect("the id ends in its platform");
    User {
        id: UserId::new(id).expect("an id"),
        platform,
        hostname: Some("acme.pipedrive.com".to_owned()),
        account: CrmAccount { id: Some(crate::pipedrive::COMPANY.to_string()), ..CrmAccount::default() },
        zone: None,
        settings: Settings::default(),
        credentials,
    }
}

/// Returns the table key of the first log of a session of these users, as JSON of DynamoDB's API.
pub fn first_log_key(session: &str) -> Value {
    json!({"pk": {"S": format!("C#pipedrive#{}#{session}", crate::pipedrive::COMPANY)}, "sk": {"S": "L#0"}})
}

/// Returns letters that compress badly.
pub fn random_letters(count: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let letter = char::from(b'0' + (state % 64) as u8);
        if letter.is_ascii_alphanumeric() { letter } else { '-' }
    };
    std::iter::repeat_with(letter).take(count).collect()
}

pub fn api_key(key: &str) -> Credentials {
    Credentials::ApiKey(Secret::new(key))
}

/// An OAuth grant of Pipedrive that expires `expires_in_ms` after [`NOW_MS`].
pub fn grant(expires_in_ms: i64, refresh_token: &str) -> Credentials {
    Credentials::OAuth {
        access_token: Secret::new(crate::pipedrive::ACCESS_TOKEN),
        refresh_token: Some(Secret::new(refresh_token)),
        expires_at: DateTime::from_timestamp_millis(NOW_MS + expires_in_ms),
    }
}

/// Sends a request with any token and body. `time_ms` is the time until the deadline.
pub async fn send(app: &App, method: &str, token: &str, body: Vec<u8>, time_ms: i64) -> Response {
    let request = http::Request::builder()
        .method(method)
        .uri("/callLog")
        .header("authorization", format!("Bearer {token}"));
    handle(app, request.body(Bytes::from(body)).expect("a request"), time_ms).await
}

/// Sends a request as the extension does: with the token in the query.
pub async fn send_from_extension(app: &App, method: &str, path: &str, token: &str, body: &Value) -> Response {
    send_with_headers(app, method, path, token, &[], body).await
}

/// Sends a request with the token in the query, and with these headers.
pub async fn send_with_headers(
    app: &App,
    method: &str,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    let request = http::Request::builder().method(method).uri(format!("{path}{separator}jwtToken={token}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    handle(app, request.body(Bytes::from(body)).expect("a request"), INVOCATION_MS).await
}

/// Sends a request, with this time until the deadline in milliseconds.
pub async fn handle(app: &App, request: http::Request<Bytes>, time_ms: i64) -> Response {
    let invocation = Invocation {
        deadline: Deadline(app.clock.now_ms() + time_ms),
        request_id: "test-request".to_owned(),
        xray_trace_id: None,
        url: Some(URL.to_owned()),
    };
    let response = app.handle(&all_routes(), request, &invocation).await;
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in response.headers() {
        let lines = headers.entry(name.to_string()).or_default();
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(value.to_str().unwrap_or_default());
    }
    Response {
        status: response.status().as_u16(),
        headers,
        body: serde_json::from_slice(response.body())
            .unwrap_or_else(|_| String::from_utf8_lossy(response.body()).into_owned().into()),
    }
}

/// Returns the body of a create in the extension's dialect, for the contact Bob Client.
pub fn call(session: &str) -> Value {
    json!({
        "logInfo": {
            "id": "X2AvJPtwNQbNQA", "sessionId": session, "telephonySessionId": format!("s-{session}"),
            "startTime": 1_741_794_325_000_i64, "duration": 65, "direction": "Inbound", "result": "Accepted",
            "from": {"phoneNumber": "+12135550111", "name": "BOB CLIENT"},
            "to": {"phoneNumber": "+16505550100", "name": "Ada Agent"},
        },
        "note": "Wants a quote", "contactId": 77, "contactType": "contact", "contactName": "Bob Client",
    })
}

async fn new_app(environment: &BTreeMap<String, String>, clock: Arc<AtomicI64>) -> Arc<App> {
    start_app(environment, clock).await.expect("the app starts")
}

async fn start_app(
    environment: &BTreeMap<String, String>,
    clock: Arc<AtomicI64>,
) -> Result<Arc<App>, StartError> {
    let config = Config::read(|name| environment.get(name).cloned())?;
    Ok(Arc::new(App::new(config, Clock::Manual(clock)).await?))
}
