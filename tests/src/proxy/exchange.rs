//! Exchanges of a proxy: requests with their responses, and the faults that they meet.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::message::Message;

/// Headers that are not recorded: a failing test must not print credentials.
const SECRET_HEADERS: [&str; 4] = ["authorization", "x-api-token", "x-session", "cookie"];

/// A fault of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request does not reach the server; the response has this status.
    Status(u16),
    /// The request does not reach the server; the response has this status and this JSON.
    Refusal(u16, &'static str),
    /// The request does not reach the server; the response has this status, this media type and this body.
    Response(u16, &'static str, Arc<str>),
    /// The request does not reach the server; the response is 429.
    RateLimited {
        /// The value of the header `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// The request does not reach the server; the network before the CRM responds with 403 and a web page.
    Blocked,
    /// The request does not reach the server; the response is 307 with this URL as its `Location`.
    Redirect(String),
    /// The request does not reach the server; the response is 200 with a web page.
    Html,
    /// The request does not reach the server, and the connection is cut.
    DropBeforeEffect,
    /// The server executes the request, and the connection is cut before the response.
    DropBeforeAnswer,
    /// The server executes the request, and the connection is cut before the response if that is a success.
    LoseSuccess,
    /// The server executes the request, and the response is cut in its middle.
    Truncated,
    /// The server executes the request; the response is a success without an id.
    NoId,
    /// The server executes the request at once; the response comes after this time.
    Delay(Duration),
    /// The request reaches the server after this time, even if the client has given up by then.
    DelayEffect(Duration),
    /// The server gets the request twice; the client gets the second response.
    Repeat,
}

/// The requests that a fault applies to: a method, and a path in which `*` stands for any one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub method: &'static str,
    pub path: &'static str,
}

impl Target {
    /// Returns `true` if a request is one of these.
    pub fn matches(&self, request: &Exchange) -> bool {
        let mut segments = request.path.split('/');
        let same =
            self.path.split('/').all(|own| segments.next().is_some_and(|other| own == "*" || own == other));
        self.method == request.method && same && segments.next().is_none()
    }
}

/// A request that arrived, with its fault and the measurements of its response.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Headers with their names in lower case, without credentials.
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub fault: Option<Fault>,
    /// The length of the request with its headers, in bytes.
    pub request_bytes: usize,
    /// The time from the end of the request to the beginning of the response, with the delay; `None` until then.
    pub took: Option<Duration>,
    /// The capacity units that DynamoDB reports for the operation. For a rejected write: an upper limit.
    pub units: Option<f64>,
}

impl Exchange {
    pub(super) fn of(request: &Message, is_metering: bool) -> Exchange {
        let mut words = request.first.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let is_recorded = |(name, _): &&(String, String)| !SECRET_HEADERS.contains(&name.as_str());
        let sent = if is_metering { metered(request).bytes(false) } else { request.bytes(false) };
        Exchange {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request.headers.iter().filter(is_recorded).cloned().collect(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            fault: None,
            request_bytes: sent.len(),
            took: None,
            units: None,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Returns the body, if it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Returns the DynamoDB operation, or else the path.
    pub fn name(&self) -> &str {
        operation(&self.headers).unwrap_or(&self.path)
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// Returns the DynamoDB operation that a request asks for.
pub(super) fn operation(headers: &[(String, String)]) -> Option<&str> {
    header(headers, "x-amz-target")?.split('.').nth(1)
}

/// Adds to a DynamoDB request that the response should report the consumed capacity. The client ignores the report.
pub(super) fn metered(request: &Message) -> Message {
    let mut request = request.clone();
    if operation(&request.headers).is_some() && request.body.len() > 2 {
        request.body.splice(1..1, *b"\"ReturnConsumedCapacity\":\"TOTAL\",");
    }
    request
}

/// Returns the capacity units of a response of DynamoDB. A write that its condition rejects also consumes units, by the
/// size of the existing item (DynamoDB developer guide, "Capacity unit consumption for write operations"), but the
/// response does not report them. The length of the item's JSON is an upper limit.
pub(super) fn consumed(body: &[u8]) -> Option<f64> {
    let response: Value = serde_json::from_slice(body).ok()?;
    if response["__type"].as_str().is_some_and(|kind| kind.ends_with("ConditionalCheckFailedException")) {
        return Some((response["Item"].to_string().len() as f64 / 1_024.0).ceil());
    }
    match response.get("ConsumedCapacity")? {
        // Of each table of a batch.
        Value::Array(tables) => Some(tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum()),
        table => table["CapacityUnits"].as_f64(),
    }
}
