//! DynamoDB without a socket: a request of the SDK is carried out by the embedded database in the same call.

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
use serde_json::Value;

use super::{requests::CallName, scheduler};

/// The table's response to one attempt of the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableResponse {
    /// The request is carried out, and the response arrives.
    Normal,
    /// The request does not arrive.
    NotDelivered,
    /// The table refuses the request: it has no capacity.
    Throttled,
    /// The request is carried out, and the response is lost.
    ResponseLost,
    /// A write arrives after the SDK has given it up.
    DeliveredLate,
}

/// The table's responses to the attempts of one request. The last one repeats.
pub type Responses = &'static [TableResponse];

/// The responses without a fault.
pub const NORMAL: Responses = &[TableResponse::Normal];
/// The responses while the table cannot be reached.
pub const DOWN: Responses = &[TableResponse::NotDelivered];
/// The faulty responses, by name.
pub const FAULTY: &[(&str, Responses)] = &[
    ("response lost", &[TableResponse::ResponseLost, TableResponse::Normal]),
    (ALL_RESPONSES_LOST, &[TableResponse::ResponseLost]),
    ("response lost, then down", &[TableResponse::ResponseLost, TableResponse::NotDelivered]),
    ("throttled", &[TableResponse::Throttled, TableResponse::Normal]),
    ("down", DOWN),
    (LATE, &[TableResponse::DeliveredLate, TableResponse::Normal]),
    ("late, then down", &[TableResponse::DeliveredLate, TableResponse::NotDelivered]),
];
/// The name of the fault in which the response to every attempt is lost.
pub const ALL_RESPONSES_LOST: &str = "all responses lost";
/// The name of the fault in which the first attempt arrives late.
pub const LATE: &str = "late";

/// The sort keys of the user's item and of a tenant's circuit breaker, as they appear in requests.
const USER: &[u8] = br#""USER""#;
const BREAKER: &[u8] = br#""BREAKER""#;
/// The name of the attribute with the content of a create, as it appears in requests.
const PAYLOAD: &str = "#payload = ";

/// Faulty responses to the requests of one step of an invocation.
#[derive(Debug)]
struct Armed {
    invocation: usize,
    /// If the invocation takes two steps at the same time: `true` if the step writes, `false` if it reads.
    writes: Option<bool>,
    responses: Responses,
    attempt: usize,
}

/// A write that the SDK has given up.
#[derive(Debug)]
struct LateWrite {
    operation: String,
    body: Vec<u8>,
    /// The call of the request whose invocation has sent it.
    call: Option<CallName>,
}

#[derive(Default)]
struct Table {
    database: Option<Database>,
    /// The responses to reads since the last write, which nothing else can have changed.
    reads: FxHashMap<Vec<u8>, String>,
    /// The same for the user's item, which is written rarely.
    user_reads: FxHashMap<Vec<u8>, String>,
    armed: Vec<Armed>,
    late_writes: Vec<LateWrite>,
    requests: u64,
    /// A circuit breaker was written since the last call of [`take_breaker_written`].
    is_breaker_written: bool,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Replaces this thread's database by an empty one.
pub(super) fn renew() {
    let database = Database::memory().expect("SQLite opens a database in memory");
    TABLE.with_borrow_mut(|table| {
        table.database = Some(database);
        table.reads.clear();
        table.user_reads.clear();
    });
}

/// Carries out a request of the low-level API without the SDK.
pub(super) fn execute(operation: &str, body: &str) {
    let response = TABLE.with_borrow_mut(|table| table.execute(operation, body.as_bytes(), None));
    response.expect("the embedded DynamoDB carries the request out");
}

/// Removes everything that an earlier schedule left, except items.
pub(super) fn clear() {
    TABLE.with_borrow_mut(|table| {
        table.armed.clear();
        table.late_writes.clear();
    });
}

/// Returns the number of requests to this thread's table.
pub(super) fn requests() -> u64 {
    TABLE.with_borrow(|table| table.requests)
}

/// Returns `true` if a circuit breaker was written since the last call.
pub(super) fn take_breaker_written() -> bool {
    TABLE.with_borrow_mut(|table| std::mem::take(&mut table.is_breaker_written))
}

/// Sets the responses to the requests of the step that the invocation is about to take.
pub(super) fn arm(invocation: usize, step: &str, responses: Responses) {
    // An invocation reads the user and claims the call at the same time.
    let writes = match step.rsplit('.').next() {
        Some("user") => Some(false),
        Some("claim") => Some(true),
        _ => None,
    };
    TABLE.with_borrow_mut(|table| {
        table.armed.retain(|armed| {
            armed.invocation != invocation || writes.is_some() && armed.writes == writes.map(|it| !it)
        });
        if responses != NORMAL {
            table.armed.push(Armed { invocation, writes, responses, attempt: 0 });
        }
    });
}

/// Ends all faults.
pub(super) fn disarm() {
    TABLE.with_borrow_mut(|table| table.armed.clear());
}

/// Returns the number of late writes that have not arrived.
pub(super) fn late_writes() -> usize {
    TABLE.with_borrow(|table| table.late_writes.len())
}

/// Lets the oldest late write arrive. Returns a description of it.
pub(super) fn deliver_late_write() -> Option<String> {
    TABLE.with_borrow_mut(|table| {
        let write = (!table.late_writes.is_empty()).then(|| table.late_writes.remove(0))?;
        // No invocation sees the response.
        let is_done = table.execute(&write.operation, &write.body, write.call).is_ok();
        Some(format!("{} {}", write.operation, if is_done { "done" } else { "refused" }))
    })
}

/// Configures the SDK to send its requests to this thread's table.
pub(super) fn configure(sdk: Builder) -> Builder {
    // Retries of one schedule must not use up the tokens of the next.
    let unlimited = RetryPartition::custom("simulation").token_bucket(TokenBucket::unlimited()).build();
    sdk.http_client(http_client_fn(|_, _| SharedHttpConnector::new(Connector)))
        .retry_partition(unlimited)
        // Signatures and timeouts are not simulated, and take a third of the time.
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
        HttpConnectorFuture::ready(TABLE.with_borrow_mut(|table| table.respond(&operation, body)))
    }
}

impl Table {
    fn respond(&mut self, operation: &str, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
        self.requests += 1;
        let failed = |what: &str| ConnectorError::io(io::Error::other(what.to_owned()).into());
        let writes = !matches!(operation, "BatchGetItem" | "GetItem" | "Query" | "Scan" | "DescribeTable");
        let call = scheduler::running_call();
        if writes && call.is_none() {
            // Also if the response is lost: the SDK repeats the write, and learns that the first one succeeded.
            items_in(body).into_iter().for_each(|(key, _)| scheduler::set_written_item(key));
        }
        match self.next_response(writes) {
            TableResponse::Normal => match self.execute(operation, body, call) {
                Ok(result) => response(200, result),
                Err(error) => response(error.status_code(), error.to_json()),
            },
            TableResponse::NotDelivered => Err(failed("the request did not arrive")),
            TableResponse::Throttled => {
                let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
                response(400, format!(r#"{{"__type":"{kind}","message":"slow down"}}"#))
            }
            TableResponse::ResponseLost => {
                let _ = self.execute(operation, body, call);
                Err(failed("the response did not arrive"))
            }
            TableResponse::DeliveredLate => {
                if writes {
                    let write = LateWrite { operation: operation.to_owned(), body: body.to_owned(), call };
                    self.late_writes.push(write);
                }
                Err(failed("no response in time"))
            }
        }
    }

    fn next_response(&mut self, writes: bool) -> TableResponse {
        let invocation = scheduler::running();
        let is_meant =
            |armed: &&mut Armed| armed.invocation == invocation && armed.writes.is_none_or(|it| it == writes);
        let Some(armed) = self.armed.iter_mut().find(is_meant) else { return TableResponse::Normal };
        let response = armed.responses[armed.attempt.min(armed.responses.len() - 1)];
        armed.attempt += 1;
        response
    }

    /// Carries out a request that an invocation for this call has sent.
    fn execute(
        &mut self,
        operation: &str,
        body: &[u8],
        call: Option<CallName>,
    ) -> Result<String, DynoxideError> {
        let is_user = contains(body, USER);
        if !matches!(operation, "BatchGetItem" | "GetItem" | "Query") {
            self.reads.clear();
            let is_breaker = contains(body, BREAKER);
            self.is_breaker_written |= is_breaker;
            // A user is read together with a breaker.
            if is_user || is_breaker {
                self.user_reads.clear();
            }
            let response = self.carry_out(operation, body)?;
            if let Some(call) = call.filter(|_| contains(body, PAYLOAD.as_bytes())) {
                let claimed = items_in(body).into_iter().filter(|(_, sets_payload)| *sets_payload);
                claimed.for_each(|(key, _)| scheduler::set_claim(key, call.clone()));
            }
            return Ok(response);
        }
        let known = if is_user { &self.user_reads } else { &self.reads };
        if let Some(response) = known.get(body) {
            return Ok(response.clone());
        }
        let response = self.carry_out(operation, body)?;
        let known = if is_user { &mut self.user_reads } else { &mut self.reads };
        known.insert(body.to_owned(), response.clone());
        Ok(response)
    }

    fn carry_out(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let database = self.database.as_ref().expect("the thread has a database");
        match operation {
            "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
            "GetItem" => run(body, |request| database.get_item(request)),
            "UpdateItem" => run(body, |request| database.update_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "CreateTable" => run(body, |request| database.create_table(request)),
            "DescribeTable" => run(body, |request| database.describe_table(request)),
            "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
            other => Err(DynoxideError::ValidationException(format!("{other} is not simulated"))),
        }
    }
}

/// Returns the keys of the calls' items that a request writes, and whether it stores the content of a create.
fn items_in(body: &[u8]) -> Vec<(String, bool)> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let transaction = body["TransactItems"].as_array().into_iter().flatten();
    let writes: Vec<_> = match body.get("Key") {
        Some(_) => vec![&body],
        None => transaction.filter_map(|item| item.get("Update")).collect(),
    };
    let key = |write: &Value| {
        let part = |name: &str| Some(write["Key"][name]["S"].as_str()?.to_owned());
        Some(item_key(&part("pk")?, &part("sk")?)).filter(|key| key.starts_with("C#"))
    };
    let sets_payload = |write: &Value| {
        let expression = write["UpdateExpression"].as_str().unwrap_or_default();
        expression.contains(PAYLOAD)
    };
    writes.into_iter().filter_map(|write| Some((key(write)?, sets_payload(write)))).collect()
}

/// Returns the key of an item as one text.
pub(super) fn item_key(partition: &str, sort: &str) -> String {
    format!("{partition} {sort}")
}

/// Returns `true` if a request contains this text.
fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<String, DynoxideError> {
    let invalid = |error: serde_json::Error| DynoxideError::ValidationException(error.to_string());
    let response = operation(serde_json::from_slice(body).map_err(invalid)?)?;
    serde_json::to_string(&response).map_err(invalid)
}

fn response(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let status = status.try_into().map_err(|_| ConnectorError::other("not an HTTP status".into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
