//! The fake of RingCentral: whose extension a token is of (RingCentral API reference, "Get extension").

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::proxy::{Fault, Proxy, Target};

/// The request for the extension of a token.
const OWN_EXTENSION: Target = Target { method: "GET", path: "/restapi/v1.0/account/~/extension/~" };

type Extensions = Arc<Mutex<BTreeMap<String, Value>>>;

/// A running fake; it stops when it is dropped.
#[derive(Debug)]
pub struct FakeRingCentral {
    extensions: Extensions,
    proxy: Proxy,
}

impl FakeRingCentral {
    /// Starts a fake that knows no token.
    pub fn start() -> FakeRingCentral {
        let extensions = Extensions::default();
        let router = Router::new().route(OWN_EXTENSION.path, get(extension)).with_state(extensions.clone());
        FakeRingCentral { proxy: Proxy::around(router), extensions }
    }

    /// Returns the base URL, without a slash at its end.
    pub fn base_url(&self) -> String {
        self.proxy.base_url()
    }

    /// Issues a token of a person in this account, who may administrate it or not.
    pub fn issue(&self, token: &str, account: &str, is_administrator: bool) {
        let extension = json!({
            "uri": "https://platform.ringcentral.com/restapi/v1.0/account/1/extension/2", "id": 62_275_646_002_u64,
            "extensionNumber": "101", "name": "Ada Agent", "type": "User", "status": "Enabled",
            "contact": { "firstName": "Ada", "lastName": "Agent", "email": "ada@acme.example" },
            "account": { "id": account, "uri": "https://platform.ringcentral.com/restapi/v1.0/account/1" },
            "permissions": { "admin": { "enabled": is_administrator }, "internationalCalling": { "enabled": true } },
        });
        self.extensions.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), extension);
    }

    /// Sets the fault of every request, or ends it.
    pub fn outage(&self, fault: Option<Fault>) {
        self.proxy.outage(fault);
    }

    /// Returns the number of requests that have arrived.
    pub fn count(&self) -> usize {
        self.proxy.count(OWN_EXTENSION)
    }
}

async fn extension(State(extensions): State<Extensions>, headers: HeaderMap) -> Response {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let extensions = extensions.lock().unwrap_or_else(PoisonError::into_inner);
    match token.and_then(|token| extensions.get(token)) {
        Some(extension) => Json(extension.clone()).into_response(),
        None => {
            let error = json!({ "errorCode": "TokenInvalid", "message": "Token not found" });
            (StatusCode::UNAUTHORIZED, Json(error)).into_response()
        }
    }
}
