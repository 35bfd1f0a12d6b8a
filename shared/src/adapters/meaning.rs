//! The meaning of a response: the table of statuses that all CRMs share, and the CRM's own words for a rejection.
//!
//! An adapter is asked first ([`Crm::classify`](super::Crm::classify)), for what its CRM does otherwise.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    CrmResponse, Effect, Error, ErrorKind, RateLimits,
    budget::time_until,
    exchange::{HeaderMap, Intent},
};

/// The longest wait that a CRM can ask for. A longer one is not believed.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
/// The longest message of a CRM that is shown to a person, in characters.
const LONGEST_MESSAGE: usize = 500;

/// Translates a response, by the table that all CRMs share. `limits`: the rate limits that the response reports.
/// `incomplete` is the kind of failure that ended the body early.
///
/// # Errors
///
/// Any [`ErrorKind`] but [`ErrorKind::AlreadyExists`] and [`ErrorKind::KeyRefused`], which only an adapter can know.
pub(super) fn interpret(
    response: &CrmResponse,
    limits: &RateLimits,
    incomplete: Option<&ErrorKind>,
) -> Result<(), Error> {
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
        429 => failed(exceeded(headers, limits), Effect::None),
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

/// Returns the limit that a response with status 429 says is exceeded: the daily one if none of it is left.
fn exceeded(headers: &HeaderMap, limits: &RateLimits) -> ErrorKind {
    match limits.daily {
        Some(daily) if daily.remaining <= 0 => {
            let resets_in = daily.resets_in.or_else(|| time_until(headers, "retry-after"));
            ErrorKind::QuotaExceeded { resets_in: resets_in.filter(|wait| *wait <= LONGEST_WAIT) }
        }
        _ => ErrorKind::RateLimited { retry_after: retry_after(headers) },
    }
}

/// Returns the wait that `Retry-After` asks for (RFC 9110, section 10.2.3), or else the common header
/// `X-RateLimit-Reset`, unless it is longer than a day.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    time_until(headers, "retry-after")
        .or_else(|| time_until(headers, "x-ratelimit-reset"))
        .filter(|wait| *wait <= LONGEST_WAIT)
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
    use crate::adapters::budget::Allowance;

    #[test]
    fn a_429_means_a_daily_quota_if_none_of_it_is_left() {
        let limited =
            |seconds: Option<u64>| ErrorKind::RateLimited { retry_after: seconds.map(Duration::from_secs) };
        let quota =
            |seconds: Option<u64>| ErrorKind::QuotaExceeded { resets_in: seconds.map(Duration::from_secs) };
        for (daily, retry_after, reset, expected) in [
            (None, None, None, limited(None)),
            (None, Some("7"), Some("2"), limited(Some(7))),
            (None, None, Some("2"), limited(Some(2))),
            (None, Some("86400"), None, limited(Some(86_400))),
            (None, Some("86401"), None, limited(None)),
            (None, Some("Sun, 06 Nov 1994 08:49:47 GMT"), None, limited(Some(10))),
            (None, None, Some("784111787"), limited(Some(10))),
            (Some((1, None)), Some("7"), None, limited(Some(7))),
            (Some((0, None)), Some("7"), None, quota(Some(7))),
            (Some((0, Some(3_600))), Some("7"), None, quota(Some(3_600))),
            // The reset of the burst budget says nothing about the daily one.
            (Some((0, None)), None, Some("2"), quota(None)),
            (Some((0, Some(90_000))), None, None, quota(None)),
        ] {
            let mut headers = HeaderMap::new();
            let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
            for (name, value) in [("date", date), ("retry-after", retry_after), ("x-ratelimit-reset", reset)]
            {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let response = CrmResponse {
                intent: Intent::Read,
                status: 429_u16.try_into().unwrap(),
                headers,
                body: Vec::new(),
            };
            let daily = daily.map(|(remaining, seconds): (i64, Option<u64>)| Allowance {
                limit: Some(1_000),
                remaining,
                resets_in: seconds.map(Duration::from_secs),
            });
            let error = interpret(&response, &RateLimits { burst: None, daily }, None).unwrap_err();
            assert_eq!(
                (error.kind, error.effect),
                (expected, Effect::None),
                "{daily:?} {retry_after:?} {reset:?}"
            );
        }
    }

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
