//! The meaning of a response: the table of statuses that all CRMs share, and the CRM's own words for a rejection.
//!
//! An adapter is asked first ([`Crm::classify`](super::Crm::classify)), for what its CRM does otherwise.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    CrmResponse, Effect, Error, ErrorKind,
    exchange::{HeaderMap, Intent},
};

/// The longest message of a CRM that is shown to a person, in characters.
const LONGEST_MESSAGE: usize = 500;

/// Translates a response, by the table that all CRMs share. `incomplete` is the kind of failure that ended the body early.
///
/// # Errors
///
/// Any [`ErrorKind`] but [`ErrorKind::AlreadyExists`] and [`ErrorKind::KeyRefused`], which only an adapter can know.
pub(super) fn interpret(response: &CrmResponse, incomplete: Option<&ErrorKind>) -> Result<(), Error> {
    let failed = |kind, effect| Err(Error::new(kind, effect, format!("status {}", response.status.as_u16())));
    let headers = &response.headers;
    match response.status.as_u16() {
        204 => Ok(()),
        200..=299 => match incomplete {
            Some(kind) => failed(kind.clone(), response.effect()),
            None if response.body.is_empty() || is_json(response) => Ok(()),
            None => failed(ErrorKind::Malformed, response.effect()),
        },
        401 => failed(ErrorKind::Unauthorized, Effect::None),
        // The network in front of the CRM (Cloudflare) has blocked us: we have to wait, no permission is missing.
        403 if !is_json(response) && headers.contains_key("cf-ray") => {
            failed(ErrorKind::RateLimited { retry_after: retry_after(headers) }, Effect::None)
        }
        403 => failed(ErrorKind::Forbidden, Effect::None),
        // A create names no record that could be missing: a 404 means that its data is wrong.
        404 | 410 if response.intent != Intent::Create => failed(ErrorKind::NotFound, Effect::None),
        412 => failed(ErrorKind::Conflict, Effect::None),
        429 => failed(ErrorKind::RateLimited { retry_after: retry_after(headers) }, Effect::None),
        408 => failed(ErrorKind::Unavailable, response.effect()),
        400..=499 => failed(ErrorKind::Rejected { message: own_words(&response.body) }, Effect::None),
        // A redirect is not followed. The write that it responds to may have been carried out.
        300..=399 => failed(ErrorKind::Malformed, response.effect()),
        _ => failed(ErrorKind::Unavailable, response.effect()),
    }
}

fn is_json(response: &CrmResponse) -> bool {
    serde_json::from_slice::<IgnoredAny>(&response.body).is_ok()
}

/// Returns `Retry-After` in seconds (RFC 9110, section 10.2.3), or else the common header `X-RateLimit-Reset`, unless
/// it is longer than a day.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    seconds("retry-after")
        .or_else(|| seconds("x-ratelimit-reset"))
        .filter(|seconds| *seconds <= 86_400)
        .map(Duration::from_secs)
}

/// Returns the CRM's own words for a rejection, cut to the length that a message can show.
///
/// CRMs wrap their words in objects and lists of many shapes. The words are the outermost text under a name that error
/// bodies use for them. The name `error` counts only if there is no other, because some CRMs have a code there and the
/// words beside it.
pub fn own_words(body: &[u8]) -> String {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let words = words(&body, &WORDS).or_else(|| words(&body, &["error"]));
    words.unwrap_or("The CRM gave no reason.").chars().take(LONGEST_MESSAGE).collect()
}

/// The names under which error bodies have a sentence for people: Pipedrive (`error_info`), HubSpot, Salesforce, Zoho and
/// HighLevel (`message`), NetSuite and RFC 9457 (`detail`, `title`), Bullhorn (`errorMessage`), OAuth servers
/// (`error_description`).
const WORDS: [&str; 6] = ["error_info", "errorMessage", "message", "detail", "title", "error_description"];

fn words<'v>(value: &'v Value, names: &[&str]) -> Option<&'v str> {
    match value {
        Value::Object(fields) => {
            let named = names.iter().find_map(|name| match fields.get(*name)? {
                Value::String(text) => Some(text.as_str()),
                Value::Array(texts) => texts.iter().find_map(Value::as_str),
                _ => None,
            });
            named
                .filter(|text| !text.trim().is_empty())
                .or_else(|| fields.values().find_map(|inner| words(inner, names)))
        }
        Value::Array(entries) => entries.iter().find_map(|entry| words(entry, names)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_crm_are_found_in_each_shape() {
        for (body, expected) in [
            (
                r#"{"success": false, "error": "Bad Request", "error_info": "Deal not found"}"#,
                "Deal not found",
            ),
            (
                r#"{"status": "error", "message": "Property missing", "category": "VALIDATION_ERROR"}"#,
                "Property missing",
            ),
            (
                r#"[{"message": "Required fields are missing: [Subject]", "errorCode": "REQUIRED_FIELD_MISSING"}]"#,
                "Required fields are missing: [Subject]",
            ),
            (
                r#"{"data": [{"code": "INVALID_DATA", "details": {}, "message": "the id given seems to be invalid"}]}"#,
                "the id given seems to be invalid",
            ),
            (
                r#"{"error": {"code": "0x80060882", "message": "The version does not match"}}"#,
                "The version does not match",
            ),
            (
                r#"{"error": {"type": "ArgumentError", "message": "body can't be blank"}}"#,
                "body can't be blank",
            ),
            (
                r#"{"title": "Bad Request", "o:errorDetails": [{"detail": "Invalid field value"}]}"#,
                "Bad Request",
            ),
            (
                r#"{"errorMessage": "error persisting an entity", "errors": [{"propertyName": "action"}]}"#,
                "error persisting an entity",
            ),
            (r#"{"message": ["name should not be empty", "phone"]}"#, "name should not be empty"),
            (
                r#"{"error": "invalid_grant", "error_description": "expired access/refresh token"}"#,
                "expired access/refresh token",
            ),
            (r#"{"error": "A plain error"}"#, "A plain error"),
            (r#"{"message": " "}"#, "The CRM gave no reason."),
            ("<html>", "The CRM gave no reason."),
            ("", "The CRM gave no reason."),
        ] {
            assert_eq!(own_words(body.as_bytes()), expected, "{body}");
        }
    }
}
