//! The ids by which one piece of work is found again in everybody's logs.

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::model::{SessionId, UserKey, hash::hex};

/// The header that carries the correlation id, to us and from us.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
const XRAY_HEADER: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// The longest correlation id that is taken over, in characters.
const MAX_ID: usize = 64;

/// The ids of one piece of work.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The name under which the platform logs it.
    pub request_id: String,
    /// The caller's id for what it does, of which this is a part; else the request's.
    pub correlation_id: String,
    /// X-Ray's header as it came, `Root=1-…;Parent=…;Sampled=0`.
    pub xray: Option<String>,
}

impl Trace {
    /// Of work that nobody else has an id for.
    pub fn new(request_id: impl Into<String>, xray: Option<String>) -> Trace {
        let request_id = request_id.into();
        Trace { correlation_id: request_id.clone(), request_id, xray }
    }

    /// Takes over the caller's correlation id, if it is one: an id that is long, or could mean something in a log or
    /// in a header, is not.
    #[must_use]
    pub fn following(self, headers: &HeaderMap) -> Trace {
        let id = [CORRELATION_HEADER, REQUEST_HEADER].iter().find_map(|name| {
            let text = headers.get(name)?.to_str().ok()?;
            is_id(text).then(|| text.to_owned())
        });
        Trace { correlation_id: id.unwrap_or(self.correlation_id), ..self }
    }

    /// X-Ray's name of the trace, by which its console finds log lines.
    pub(crate) fn xray_root(&self) -> Option<&str> {
        self.xray.as_deref()?.split(';').find_map(|part| part.trim().strip_prefix("Root="))
    }

    /// What is sent along with a request that is part of this.
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

/// Letters, digits and what stands between them in ids; not what stands in addresses and telephone numbers.
fn is_id(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:=".contains(&byte);
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_safe)
}

/// The first 64 bits of SHA-256 of `platform|user|session`, in hexadecimal.
pub fn session_hash(user: &UserKey, session: &SessionId) -> String {
    let digest = Sha256::new()
        .chain_update(user.platform.as_str())
        .chain_update("|")
        .chain_update(user.id.as_str())
        .chain_update("|")
        .chain_update(session.as_str())
        .finalize();
    hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_id_is_taken_over_if_it_is_one() {
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
    fn the_traces_name_is_in_xrays_header() {
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
