//! The ids of a request, which other systems log too.

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::model::{Platform, SessionId, hash::hex};

/// The header of the correlation id, in requests to us, our responses, and requests to CRMs.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
const XRAY_HEADER: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// The longest accepted correlation id, in characters.
const MAX_ID: usize = 64;

/// The ids of a request or another piece of work.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The id under which the platform logs the work.
    pub request_id: String,
    /// The caller's id of the operation that the request belongs to, or else the request's id.
    pub correlation_id: String,
    /// X-Ray's header as received: `Root=1-…;Parent=…;Sampled=0`.
    pub xray: Option<String>,
}

impl Trace {
    /// Returns the ids of work for which the caller has sent no id.
    pub fn new(request_id: impl Into<String>, xray: Option<String>) -> Trace {
        let request_id = request_id.into();
        Trace { correlation_id: request_id.clone(), request_id, xray }
    }

    /// Uses the caller's correlation id, if `headers` have a valid one: not too long, and without characters that have a
    /// meaning in logs or headers.
    #[must_use]
    pub fn following(self, headers: &HeaderMap) -> Trace {
        let id = [CORRELATION_HEADER, REQUEST_HEADER].iter().find_map(|name| {
            let text = headers.get(name)?.to_str().ok()?;
            is_id(text).then(|| text.to_owned())
        });
        Trace { correlation_id: id.unwrap_or(self.correlation_id), ..self }
    }

    /// Returns X-Ray's id of the trace, by which its console finds log lines.
    pub(crate) fn xray_root(&self) -> Option<&str> {
        self.xray.as_deref()?.split(';').find_map(|part| part.trim().strip_prefix("Root="))
    }

    /// Returns the headers for requests that are part of this work.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let fields = [(CORRELATION_HEADER, Some(&self.correlation_id)), (XRAY_HEADER, self.xray.as_ref())];
        for (name, value) in fields {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// Returns `true` for a text of letters, digits and separators of ids. Characters of e-mail addresses and telephone numbers
/// are not valid.
fn is_id(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:=".contains(&byte);
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_safe)
}

/// Returns the first 64 bits of the SHA-256 of `platform|session`, in hexadecimal.
pub fn session_hash(platform: &Platform, session: &SessionId) -> String {
    let digest = Sha256::new()
        .chain_update(platform.as_str())
        .chain_update("|")
        .chain_update(session.as_str())
        .finalize();
    hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_correlation_id_of_the_caller_is_used() {
        let long = "x".repeat(MAX_ID);
        let longer = "x".repeat(MAX_ID + 1);
        for (correlation, request, expected) in [
            (None, None, "own"),
            (Some("a-1"), None, "a-1"),
            (None, Some("4f6c.B_2:c="), "4f6c.B_2:c="),
            (Some("a-1"), Some("b-2"), "a-1"),
            (Some("two words"), Some("b-2"), "b-2"),
            (Some(&*long), None, &*long),
            (Some(&*longer), None, "own"),
            (Some(""), None, "own"),
            (Some("ada@example.com"), None, "own"),
            (Some("+16505550100"), None, "own"),
            (Some("{\"level\":\"ERROR\"}"), None, "own"),
            (Some("ümlaut"), None, "own"),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CORRELATION_HEADER, correlation), (REQUEST_HEADER, request)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            let trace = Trace::new("own", None).following(&headers);
            assert_eq!(trace.correlation_id, expected, "{correlation:?} {request:?}");
            assert_eq!(trace.request_id, "own");
        }
    }

    #[test]
    fn the_trace_id_is_read_from_xrays_header() {
        for (header, root) in [
            (None, None),
            (
                Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"),
                Some("1-5759e988-bd862e3fe1be46a994272793"),
            ),
            (Some("Self=1-2-3; Root=1-2-4"), Some("1-2-4")),
            (Some("nonsense"), None),
        ] {
            assert_eq!(Trace::new("own", header.map(str::to_owned)).xray_root(), root);
        }
    }
}
