//! Events that are HTTP requests. `lambda_http` panics at one that it cannot convert (`docs/upstream/lambda-http-uri.md`),
//! and a deployed function ends at a panic. So each event is checked first.

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{
    aws_lambda_events::query_map::QueryMap,
    http::{
        HeaderMap, Uri,
        header::{HOST, HeaderName},
    },
    request::LambdaRequest,
};
use serde_json::value::RawValue;
use url::Url;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The longest query, in bytes: more than API Gateway and load balancers pass on. An address of 64 KiB is no URI.
const MAX_QUERY: usize = 16 << 10;

/// The parts of an event that cannot be converted if they are malformed.
struct Parts<'a> {
    headers: &'a HeaderMap,
    domain: Option<&'a str>,
    stage: Option<&'a str>,
    path: Option<&'a str>,
    query: String,
    body: Option<&'a str>,
    is_base64: bool,
}

/// Reads an event; `None`: it is no HTTP request.
pub(crate) fn read(event: &RawValue) -> Option<LambdaRequest> {
    let request = serde_json::from_str(event.get()).ok()?;
    parts(&request)?.is_convertible().then_some(request)
}

/// Returns the parts of an event; `None`: it is of a kind that none of our gateways sends.
fn parts(request: &LambdaRequest) -> Option<Parts<'_>> {
    Some(match request {
        LambdaRequest::ApiGatewayV2(event) => Parts {
            headers: &event.headers,
            domain: event.request_context.domain_name.as_deref(),
            stage: event.request_context.stage.as_deref(),
            path: event.raw_path.as_deref(),
            query: event.raw_query_string.clone().unwrap_or_default(),
            body: event.body.as_deref(),
            is_base64: event.is_base64_encoded,
        },
        LambdaRequest::ApiGatewayV1(event) => Parts {
            headers: &event.headers,
            domain: event.request_context.domain_name.as_deref(),
            stage: event.request_context.stage.as_deref(),
            path: event.path.as_deref(),
            query: query(&event.multi_value_query_string_parameters, &event.query_string_parameters),
            body: event.body.as_deref(),
            is_base64: event.is_base64_encoded,
        },
        LambdaRequest::Alb(event) => Parts {
            headers: &event.headers,
            domain: None,
            stage: None,
            path: event.path.as_deref(),
            query: query(&event.multi_value_query_string_parameters, &event.query_string_parameters),
            body: event.body.as_deref(),
            is_base64: event.is_base64_encoded,
        },
        _ => return None,
    })
}

fn query(many: &QueryMap, single: &QueryMap) -> String {
    if many.is_empty() { single } else { many }.to_query_string()
}

impl Parts<'_> {
    /// Returns `true` if the address is a URI, and the body can be decoded.
    fn is_convertible(&self) -> bool {
        let has_body =
            || self.body.is_none_or(|body| !self.is_base64 || BASE64_STANDARD.decode(body).is_ok());
        self.query.len() <= MAX_QUERY && self.has_uri() && has_body()
    }

    fn has_uri(&self) -> bool {
        let text = |name| self.headers.get(name)?.to_str().ok();
        let host = text(HOST).or(self.domain);
        let scheme = text(FORWARDED_PROTO).filter(|_| host.is_some()).unwrap_or("https");
        let stage = self.stage.filter(|stage| *stage != "$default");
        let stage = stage.map(|stage| format!("/{stage}")).unwrap_or_default();
        let (host, path) = (host.unwrap_or("localhost"), self.path.unwrap_or_default());
        // The stage is put before the path unless it is there already.
        [path.to_owned(), format!("{stage}{path}")].iter().all(|path| {
            let url = Url::parse(&format!("{scheme}://{host}{path}"));
            url.is_ok_and(|url| format!("{url}?{}", self.query).parse::<Uri>().is_ok())
        })
    }
}
