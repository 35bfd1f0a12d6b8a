//! Answers: what a handler returns, before it becomes an HTTP response.
//!
//! The extension shows a message of a status other than 200 only if the body is text. Its requests have their token in the
//! query, or none. So a refusal of such a request is text, and other callers get JSON.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use serde::Serialize;

use super::{Api, wire::ResponseBody};
use crate::auth::Caller;

/// The header with the code of a refusal whose body is text.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
/// The header with a new token for a caller whose token ends soon, as App Connect names it.
const REFRESHED_TOKEN: HeaderName = HeaderName::from_static("x-refreshed-jwt-token");
/// The media type of texts.
const TEXT: &str = "text/plain; charset=utf-8";
/// The `Retry-After` of responses while the table is unavailable, in seconds.
const RETRY_SECONDS: u32 = 2;

/// The response of a handler.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content: Content,
    headers: Vec<(HeaderName, String)>,
}

#[derive(Debug)]
enum Content {
    Message(ResponseBody),
    Json(Vec<u8>),
    Text(String),
    Html(String),
}

/// The form in which a caller can read a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalForm {
    Json,
    Text,
}

impl RefusalForm {
    /// Returns the form for a request: text, if it has a token in its query and none in a header.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri) -> RefusalForm {
        let query = uri.query().unwrap_or_default();
        let has_token = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "jwtToken");
        if has_token && !headers.contains_key(AUTHORIZATION) { RefusalForm::Text } else { RefusalForm::Json }
    }
}

impl From<(StatusCode, ResponseBody)> for Answer {
    fn from((status, body): (StatusCode, ResponseBody)) -> Answer {
        Answer::new(status, Content::Message(body))
    }
}

impl Answer {
    fn new(status: StatusCode, content: Content) -> Answer {
        Answer { status, content, headers: Vec::new() }
    }

    /// Returns a 200 with this JSON.
    pub(super) fn json(body: &impl Serialize) -> Answer {
        Answer::new(StatusCode::OK, Content::Json(serde_json::to_vec(body).unwrap_or_default()))
    }

    /// Returns a 200 with this text.
    pub(super) fn text(text: String) -> Answer {
        Answer::new(StatusCode::OK, Content::Text(text))
    }

    /// Returns a 200 with this page.
    pub(super) fn html(page: String) -> Answer {
        Answer::new(StatusCode::OK, Content::Html(page))
    }

    /// Returns a redirect to this address, which the browser opens with `GET` (RFC 9110, section 15.4.4).
    pub(super) fn see_other(location: String) -> Answer {
        Answer::new(StatusCode::SEE_OTHER, Content::Text(String::new())).with(LOCATION, location)
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a new token if the request succeeded and less than half of the life of the caller's token is left.
    pub(super) fn renewing(self, api: &Api, caller: &Caller) -> Answer {
        let now = api.services.clock.now();
        let token = if self.status.is_success() { api.token_keys().renewed(caller, now) } else { None };
        match token {
            Some(token) => self.with(REFRESHED_TOKEN, token),
            None => self,
        }
    }

    /// Returns the HTTP response.
    pub(super) fn into_response(self, form: RefusalForm) -> Response<Bytes> {
        let Answer { status, content, headers } = self;
        let mut code = None;
        let (media_type, body) = match content {
            Content::Message(body) if !status.is_success() && form == RefusalForm::Text => {
                code = body.error_code.map(|code| (ERROR_CODE, code.to_owned()));
                (TEXT, body.return_message.message.into_bytes())
            }
            Content::Message(body) => ("application/json", serde_json::to_vec(&body).unwrap_or_default()),
            Content::Json(body) => ("application/json", body),
            Content::Text(text) => (TEXT, text.into_bytes()),
            Content::Html(page) => ("text/html; charset=utf-8", page.into_bytes()),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let fixed = [(CONTENT_TYPE, media_type.to_owned()), (CACHE_CONTROL, "no-store".to_owned())];
        let retry =
            (status == StatusCode::SERVICE_UNAVAILABLE).then(|| (RETRY_AFTER, RETRY_SECONDS.to_string()));
        for (name, value) in fixed.into_iter().chain(retry).chain(code).chain(headers) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
