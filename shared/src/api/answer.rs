//! Answers: what a handler returns, before it becomes an HTTP response.
//!
//! The extension shows a message of a status other than 200 only if the body is text. Its requests have their token in the
//! query. So a refusal of such a request is text, and other callers get JSON.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
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
    /// A new token for the caller.
    token: Option<String>,
    /// The methods of the path, if the request has another one.
    allowed: Option<String>,
}

#[derive(Debug)]
enum Content {
    Message(ResponseBody),
    Json(Vec<u8>),
    Text(String),
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
        Answer { status, content, token: None, allowed: None }
    }

    /// Returns a 200 with this JSON.
    pub(super) fn json(body: &impl Serialize) -> Answer {
        Answer::new(StatusCode::OK, Content::Json(serde_json::to_vec(body).unwrap_or_default()))
    }

    /// Returns a 200 with this text.
    pub(super) fn text(text: String) -> Answer {
        Answer::new(StatusCode::OK, Content::Text(text))
    }

    /// Adds the methods that the path has.
    pub(super) fn allowing(self, methods: String) -> Answer {
        Answer { allowed: Some(methods), ..self }
    }

    /// Adds a new token if the request succeeded and less than half of the life of the caller's token is left.
    pub(super) fn renewing(self, api: &Api, caller: &Caller) -> Answer {
        let now = api.services.clock.now();
        let token = match self.status.is_success() {
            true => api.token_keys().renewed(caller, now),
            false => None,
        };
        Answer { token, ..self }
    }

    /// Returns the HTTP response.
    pub(super) fn into_response(self, form: RefusalForm) -> Response<Bytes> {
        let Answer { status, content, token, allowed } = self;
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        let mut insert = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        let (media_type, body) = match content {
            Content::Message(body) if !status.is_success() && form == RefusalForm::Text => {
                if let Some(code) = body.error_code {
                    insert(ERROR_CODE, code);
                }
                (TEXT, body.return_message.message.into_bytes())
            }
            Content::Message(body) => ("application/json", serde_json::to_vec(&body).unwrap_or_default()),
            Content::Json(body) => ("application/json", body),
            Content::Text(text) => (TEXT, text.into_bytes()),
        };
        insert(CONTENT_TYPE, media_type);
        insert(CACHE_CONTROL, "no-store");
        if let Some(token) = token {
            insert(REFRESHED_TOKEN, &token);
        }
        if let Some(methods) = allowed {
            insert(ALLOW, &methods);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            insert(RETRY_AFTER, &RETRY_SECONDS.to_string());
        }
        *response.body_mut() = body.into();
        *response.status_mut() = status;
        response
    }
}
