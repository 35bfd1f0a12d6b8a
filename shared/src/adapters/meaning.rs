//! The meaning of a response: the table of statuses that all CRMs share.
//!
//! An adapter is asked first ([`Crm::classify`](super::Crm::classify)), for what its CRM does otherwise.

use std::time::Duration;

use serde::de::IgnoredAny;

use super::{
    CrmResponse, Effect, Error, ErrorKind, RateLimits, budget::time_until, exchange::HeaderMap,
    words::own_words,
};

/// The longest wait that a CRM can ask for. A longer one is not believed.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Translates a response, by the table that all CRMs share. `limits`: the rate limits that the response reports.
/// `incomplete` is the kind of failure that ended the body early. `is_own`: an error has the CRM's own form. Other errors come
/// from a proxy on the way, which may have passed the request on.
///
/// # Errors
///
/// Any [`ErrorKind`] but [`ErrorKind::AlreadyExists`] and [`ErrorKind::KeyRefused`], which only an adapter can know.
pub(super) fn interpret(
    response: &CrmResponse,
    limits: &RateLimits,
    incomplete: Option<&ErrorKind>,
    is_own: bool,
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
        403 if is_own => {
            let message = own_words(&response.body).unwrap_or_default();
            failed(ErrorKind::Forbidden { message }, Effect::None)
        }
        404 | 410 if is_own => failed(ErrorKind::NotFound, Effect::None),
        412 => failed(ErrorKind::Conflict, Effect::None),
        429 => failed(exceeded(headers, limits), Effect::None),
        408 => failed(ErrorKind::Unavailable, response.effect()),
        400 | 409 | 413 | 415 | 422 if is_own => {
            failed(ErrorKind::rejected_with(&response.body), Effect::None)
        }
        400..=499 if is_own => failed(ErrorKind::Unavailable, Effect::None),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::budget::Allowance;
    use crate::adapters::exchange::Intent;

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
            let error = interpret(&response, &RateLimits { burst: None, daily }, None, true).unwrap_err();
            assert_eq!(
                (error.kind, error.effect),
                (expected, Effect::None),
                "{daily:?} {retry_after:?} {reset:?}"
            );
        }
    }

    #[test]
    fn a_status_counts_only_in_the_crms_own_form() {
        use Intent::{Create, Read, Update};
        let kind = |intent, status: u16, is_own| {
            let response = CrmResponse {
                intent,
                status: status.try_into().unwrap(),
                headers: HeaderMap::new(),
                body: br#"{"error": "no"}"#.to_vec(),
            };
            let error = interpret(&response, &RateLimits::default(), None, is_own).unwrap_err();
            (error.kind, error.effect)
        };
        let rejected = ErrorKind::Rejected { message: "no".to_owned() };
        for status in [400, 409, 413, 415, 422] {
            assert_eq!(kind(Create, status, true), (rejected.clone(), Effect::None), "{status}");
            assert_eq!(kind(Create, status, false), (ErrorKind::Unavailable, Effect::Unknown), "{status}");
            assert_eq!(kind(Read, status, false), (ErrorKind::Unavailable, Effect::None), "{status}");
        }
        for status in
            [402, 405, 406, 407, 411, 414, 416, 417, 418, 421, 423, 424, 425, 426, 428, 431, 451, 499]
        {
            assert_eq!(kind(Create, status, true), (ErrorKind::Unavailable, Effect::None), "{status}");
            assert_eq!(kind(Update, status, false), (ErrorKind::Unavailable, Effect::Unknown), "{status}");
        }
        for status in [404, 410] {
            assert_eq!(kind(Read, status, true), (ErrorKind::NotFound, Effect::None), "{status}");
            assert_eq!(kind(Update, status, true), (ErrorKind::NotFound, Effect::None), "{status}");
            assert_eq!(kind(Read, status, false), (ErrorKind::Unavailable, Effect::None), "{status}");
            assert_eq!(kind(Create, status, true), (ErrorKind::NotFound, Effect::None), "{status}");
        }
    }
}
