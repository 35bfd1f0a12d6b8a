//! DynamoDB without a socket: what the SDK would send goes to the embedded one in the same call.

use std::{cell::RefCell, io};

use aws_sdk_dynamodb::config::{Builder, StalledStreamProtectionConfig, timeout::TimeoutConfig};
use aws_smithy_runtime::client::auth::no_auth::NO_AUTH_SCHEME_ID;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use rustc_hash::FxHashMap;
use serde::{Serialize, de::DeserializeOwned};

use super::scheduler;

/// What becomes of one attempt of the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    Fine,
    /// It does not arrive.
    Fails,
    /// The table has no capacity for it.
    Throttled,
    /// It is done, and the answer does not arrive.
    Unanswered,
    /// It arrives after the SDK has given it up, if it writes.
    Late,
}

/// What becomes of a request to the table, attempt by attempt; the last is for those that follow too.
pub type Way = &'static [Wire];

pub const FINE: Way = &[Wire::Fine];
pub const DOWN: Way = &[Wire::Fails];
/// The ways that a request can go wrong, by name.
pub const WAYS: &[(&str, Way)] = &[
    ("unanswered", &[Wire::Unanswered, Wire::Fine]),
    ("all unanswered", &[Wire::Unanswered]),
    ("done, then down", &[Wire::Unanswered, Wire::Fails]),
    ("throttled", &[Wire::Throttled, Wire::Fine]),
    ("down", DOWN),
    ("late", &[Wire::Late, Wire::Fine]),
    ("late, then down", &[Wire::Late, Wire::Fails]),
];

/// The user's item and that of a CRM's rest, as requests have to name them.
const USER: &[u8] = br#""USER""#;
const REST: &[u8] = br#""BREAKER""#;

/// A way that waits for a step of an invocation.
#[derive(Debug)]
struct Armed {
    task: usize,
    /// Which requests are the step's, of those of an invocation that takes two steps at once.
    writes: Option<bool>,
    way: Way,
    attempt: usize,
}

/// A write that the SDK has given up.
#[derive(Debug)]
struct Late {
    operation: String,
    body: Vec<u8>,
}

#[derive(Default)]
struct Table {
    database: Option<Database>,
    /// The answers to reads since the last write: nothing else can have changed them.
    answers: FxHashMap<Vec<u8>, String>,
    /// The same of the user's item, which hardly anything writes.
    user: FxHashMap<Vec<u8>, String>,
    armed: Vec<Armed>,
    late: Vec<Late>,
    requests: u64,
    /// Since it was last asked, somebody has written down that a CRM is left alone.
    is_rest_written: bool,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Puts an empty database in the place of this thread's.
pub fn renew() {
    let database = Database::memory().expect("SQLite opens a database in memory");
    TABLE.with_borrow_mut(|table| {
        table.database = Some(database);
        table.answers.clear();
        table.user.clear();
    });
}

/// Carries out a request of the low-level API, past the SDK.
pub fn execute(operation: &str, body: &str) {
    let done = TABLE.with_borrow_mut(|table| table.execute(operation, body.as_bytes()));
    done.expect("the embedded DynamoDB does it");
}

/// Takes away whatever an earlier schedule left, but for the items.
pub fn clear() {
    TABLE.with_borrow_mut(|table| {
        table.armed.clear();
        table.late.clear();
    });
}

/// How many requests this thread's table has got.
pub fn requests() -> u64 {
    TABLE.with_borrow(|table| table.requests)
}

/// Whether somebody has written down, since this was last asked, that a CRM is left alone.
pub fn is_rest_written() -> bool {
    TABLE.with_borrow_mut(|table| std::mem::take(&mut table.is_rest_written))
}

/// The requests of the step that the invocation takes now go this way.
pub fn arm(task: usize, step: &str, way: Way) {
    // Reading the user and claiming the call go together.
    let writes = match step.rsplit('.').next() {
        Some("user") => Some(false),
        Some("claim") => Some(true),
        _ => None,
    };
    TABLE.with_borrow_mut(|table| {
        table
            .armed
            .retain(|armed| armed.task != task || writes.is_some() && armed.writes == writes.map(|it| !it));
        if way != FINE {
            table.armed.push(Armed { task, writes, way, attempt: 0 });
        }
    });
}

/// From now on nothing goes wrong any more.
pub fn disarm() {
    TABLE.with_borrow_mut(|table| table.armed.clear());
}

/// How many writes are still to come that the SDK has given up.
pub fn late() -> usize {
    TABLE.with_borrow(|table| table.late.len())
}

/// The oldest write that the SDK has given up arrives after all.
pub fn arrive() -> Option<String> {
    TABLE.with_borrow_mut(|table| {
        let late = (!table.late.is_empty()).then(|| table.late.remove(0))?;
        // Whatever it does, nobody hears of it.
        let done = table.execute(&late.operation, &late.body).is_ok();
        Some(format!("{} {}", late.operation, if done { "done" } else { "refused" }))
    })
}

/// The SDK's set-up that asks this thread's table.
pub fn set_up(sdk: Builder) -> Builder {
    // Each schedule is a world of its own: how often others had to retry must not matter.
    let unlimited = RetryPartition::custom("proof").token_bucket(TokenBucket::unlimited()).build();
    sdk.http_client(http_client_fn(|_, _| SharedHttpConnector::new(Connector)))
        .retry_partition(unlimited)
        // Nothing is signed and nothing is timed: that is not what is proved here, and takes a third of the time.
        .allow_no_auth()
        .auth_scheme_preference([NO_AUTH_SCHEME_ID])
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        HttpConnectorFuture::ready(TABLE.with_borrow_mut(|table| table.take(&operation, body)))
    }
}

impl Table {
    fn take(&mut self, operation: &str, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
        self.requests += 1;
        let broken = |what: &str| ConnectorError::io(io::Error::other(what.to_owned()).into());
        let writes = !matches!(operation, "GetItem" | "Query" | "Scan" | "DescribeTable");
        match self.next_wire(writes) {
            Wire::Fine => answer(self.execute(operation, body)),
            Wire::Fails => Err(broken("it did not arrive")),
            Wire::Throttled => {
                let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
                respond(400, format!(r#"{{"__type":"{kind}","message":"slow down"}}"#))
            }
            Wire::Unanswered => {
                let _ = self.execute(operation, body);
                Err(broken("the answer did not arrive"))
            }
            Wire::Late => {
                if writes {
                    self.late.push(Late { operation: operation.to_owned(), body: body.to_owned() });
                }
                Err(broken("no answer in time"))
            }
        }
    }

    fn next_wire(&mut self, writes: bool) -> Wire {
        let task = scheduler::task();
        let is_meant = |armed: &&mut Armed| armed.task == task && armed.writes.is_none_or(|it| it == writes);
        let armed = self.armed.iter_mut().find(is_meant);
        let Some(armed) = armed else { return Wire::Fine };
        let wire = armed.way[armed.attempt.min(armed.way.len() - 1)];
        armed.attempt += 1;
        wire
    }

    fn execute(&mut self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let is_of_user = names(body, USER);
        if !matches!(operation, "GetItem" | "Query") {
            self.answers.clear();
            self.is_rest_written |= names(body, REST);
            if is_of_user {
                self.user.clear();
            }
            return self.carry_out(operation, body);
        }
        let known = if is_of_user { &self.user } else { &self.answers };
        if let Some(answer) = known.get(body) {
            return Ok(answer.clone());
        }
        let answer = self.carry_out(operation, body)?;
        let known = if is_of_user { &mut self.user } else { &mut self.answers };
        known.insert(body.to_owned(), answer.clone());
        Ok(answer)
    }

    fn carry_out(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let database = self.database.as_ref().expect("the thread has a database");
        match operation {
            "GetItem" => run(body, |request| database.get_item(request)),
            "UpdateItem" => run(body, |request| database.update_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "CreateTable" => run(body, |request| database.create_table(request)),
            "DescribeTable" => run(body, |request| database.describe_table(request)),
            "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
            other => Err(DynoxideError::ValidationException(format!("{other} is not known here"))),
        }
    }
}

/// Whether a request names this item.
fn names(body: &[u8], item: &[u8]) -> bool {
    body.windows(item.len()).any(|window| window == item)
}

fn run<Request: DeserializeOwned, Answer: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Answer, DynoxideError>,
) -> Result<String, DynoxideError> {
    let invalid = |error: serde_json::Error| DynoxideError::ValidationException(error.to_string());
    let answer = operation(serde_json::from_slice(body).map_err(invalid)?)?;
    serde_json::to_string(&answer).map_err(invalid)
}

fn answer(result: Result<String, DynoxideError>) -> Result<HttpResponse, ConnectorError> {
    match result {
        Ok(body) => respond(200, body),
        Err(error) => respond(error.status_code(), error.to_json()),
    }
}

fn respond(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let status = status.try_into().map_err(|_| ConnectorError::other("a status".into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
