//! A request to a CRM and its response, as values.
//!
//! An adapter builds a [`CrmRequest`], and [`Access::send`](super::Access::send) sends it. The *intent* says what the
//! request does in the CRM. It decides what a status means, because CRMs use the HTTP methods differently: one creates
//! with `PUT`, another changes with `POST`.

pub use http::{HeaderMap, Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Effect, Error, ErrorKind};

/// The purpose of a request in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Changes nothing. Its errors never have an effect.
    Read,
    /// Creates something that has no id yet. A 404 means that a record which it names, such as the contact, does not exist.
    Create,
    /// Changes, completes or deletes something that has an id. A 404 means that it does not exist.
    Update,
}

/// The longest response to a request about one record, in bytes: with a note of the greatest length, many times over.
pub const RECORD_BYTES: usize = 1 << 20;
/// The longest response with several records, in bytes. The requests ask for so few that it suffices.
pub const PAGE_BYTES: usize = 4 << 20;

/// A request to a CRM.
#[derive(Clone, Debug, PartialEq)]
pub struct CrmRequest {
    /// The HTTP method.
    pub method: Method,
    /// The purpose of the request in the CRM.
    pub intent: Intent,
    /// The name of the route in log lines. It contains no identifier and no text of a user.
    pub route: &'static str,
    /// The path below the CRM's base URL, with a slash at its beginning.
    pub path: String,
    /// The parameters of the query.
    pub query: Vec<(&'static str, String)>,
    /// Headers beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Option<Value>,
    /// The name of a rate limit of its own that the request counts towards, such as `search`.
    pub bucket: Option<&'static str>,
    /// The longest response that is read, in bytes.
    pub most_bytes: usize,
}

impl CrmRequest {
    /// A `GET` request that reads.
    pub fn read(route: &'static str, path: impl Into<String>) -> CrmRequest {
        CrmRequest::new(Method::GET, Intent::Read, route, path.into())
    }

    /// A `POST` request that creates something from this JSON.
    pub fn create(route: &'static str, path: impl Into<String>, body: Value) -> CrmRequest {
        CrmRequest { body: Some(body), ..CrmRequest::new(Method::POST, Intent::Create, route, path.into()) }
    }

    /// A `PATCH` request that makes this change.
    pub fn update(route: &'static str, path: impl Into<String>, body: Value) -> CrmRequest {
        CrmRequest { body: Some(body), ..CrmRequest::new(Method::PATCH, Intent::Update, route, path.into()) }
    }

    /// A `DELETE` request.
    pub fn delete(route: &'static str, path: impl Into<String>) -> CrmRequest {
        CrmRequest::new(Method::DELETE, Intent::Update, route, path.into())
    }

    fn new(method: Method, intent: Intent, route: &'static str, path: String) -> CrmRequest {
        CrmRequest {
            method,
            intent,
            route,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            bucket: None,
            most_bytes: RECORD_BYTES,
        }
    }

    /// The same request with another method.
    #[must_use]
    pub fn method(self, method: Method) -> CrmRequest {
        CrmRequest { method, ..self }
    }

    /// The same request with one more parameter in its query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> CrmRequest {
        self.query.push((name, value.into()));
        self
    }

    /// The same request with one more header. For a conditional change, the adapter names the header and writes the
    /// version as its CRM does (`If-Match`, RFC 9110, section 13.1.1).
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> CrmRequest {
        self.headers.push((name, value.into()));
        self
    }

    /// The same request, whose response has several records.
    #[must_use]
    pub fn page(self) -> CrmRequest {
        CrmRequest { most_bytes: PAGE_BYTES, ..self }
    }

    /// The same request, counted towards a rate limit of its own.
    #[must_use]
    pub fn bucket(self, name: &'static str) -> CrmRequest {
        CrmRequest { bucket: Some(name), ..self }
    }
}

/// A response of a CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmResponse {
    /// The purpose of the request.
    pub intent: Intent,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. It is empty if the response has none.
    pub body: Vec<u8>,
}

impl CrmResponse {
    /// Returns the body as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] if the body is not the expected JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|_| self.malformed())
    }

    /// Returns a header, if it is there and is ASCII text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// An error: this response lacks the data that the CRM's API promises. A write may have been carried out.
    pub fn malformed(&self) -> Error {
        Error::new(ErrorKind::Malformed, self.effect(), "the response is missing the expected data")
    }

    /// The effect that the request may have had, if its response does not say it.
    pub(super) fn effect(&self) -> Effect {
        match self.intent {
            Intent::Read => Effect::None,
            Intent::Create | Intent::Update => Effect::Unknown,
        }
    }
}

/// Converts fields to the JSON body of a request. Fields that are `None` are left out if the type says so.
///
/// # Panics
///
/// If the type cannot be JSON, such as a map whose keys are not texts.
pub fn body(fields: &impl Serialize) -> Value {
    serde_json::to_value(fields).expect("the fields of a request are JSON")
}
