//! An embedded DynamoDB in memory. It has its own port and thread, so that other processes can reach it.

use std::{net::TcpListener, thread};

use dynoxide::Database;
use serde_json::Value;

use crate::proxy::Target;

/// A signature that the emulator accepts: it requires the format and does not check the value.
const UNCHECKED: &str = "AWS4-HMAC-SHA256 Credential=test/20250312/us-east-1/dynamodb/aws4_request, \
                         SignedHeaders=host;x-amz-date, Signature=0";

/// Every request to DynamoDB.
pub const REQUEST: Target = Target { method: "POST", path: "/" };

/// A running DynamoDB.
#[derive(Debug)]
pub struct DynamoDb {
    /// `http://127.0.0.1:41234`
    pub url: String,
}

impl DynamoDb {
    /// Starts an empty database. It lives as long as the test's process.
    pub fn start() -> DynamoDb {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("the listener can be made non-blocking");
        let url = format!("http://{}", listener.local_addr().expect("the listener has an address"));
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                dynoxide::server::serve_on(listener, Database::memory().expect("a database")).await;
            });
        });
        DynamoDb { url }
    }

    /// Sends a request to DynamoDB's API directly, without our code, and returns the response.
    pub async fn ask(&self, operation: &str, body: &Value) -> Value {
        let client = call_log::startup::transport::client().expect("an HTTP client");
        let request = client
            .post(&self.url)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-date", "20250312T154630Z")
            .header("authorization", UNCHECKED)
            .body(body.to_string());
        request.send().await.expect("a response").json().await.expect("a response in JSON")
    }
}
