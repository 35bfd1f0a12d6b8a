//! Errors of the port: what the caller can do about a failure, and its possible effect on the CRM.

use std::time::Duration;

use super::words::own_words;
use crate::model::{CallLogId, Explanation};

/// A failed request to a CRM: what the caller can do about it, and its possible effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({reason})")]
pub struct Error {
    /// The kind of failure, which decides what the caller does next.
    pub kind: ErrorKind,
    /// The possible effect on the CRM.
    pub effect: Effect,
    /// The reason for log lines and operators. It is never shown to callers and contains no text of a user.
    pub reason: String,
    /// The name of the rate limit of its own that the request counted towards, such as `search`. An exceeded one says
    /// nothing about other requests. [`Access::send`](super::Access::send) sets it.
    pub bucket: Option<&'static str>,
}

/// The kinds of failure, distinguished by what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The CRM did not accept the credential. Renew the grant.
    #[error("not authorized")]
    Unauthorized,
    /// The credential does not permit the request. Ask for the permission.
    #[error("forbidden")]
    Forbidden {
        /// The reason in the CRM's own words, such as the missing permission; empty if the CRM gave none.
        message: String,
    },
    /// The record does not exist, or no longer exists. Stop.
    #[error("not found")]
    NotFound,
    /// The record was created by an earlier attempt. Adopt it; `None`: the CRM did not say which record it is.
    #[error("already exists")]
    AlreadyExists(Option<CallLogId>),
    /// The CRM does not accept the call tag in the way in which it was sent. Send it in the next way of
    /// [`Capabilities::recovery`](super::Capabilities::recovery).
    #[error("key refused")]
    KeyRefused,
    /// The record was changed after it was read. Read it again and start over.
    #[error("changed since it was read")]
    Conflict,
    /// The CRM received too many requests. Wait, for `retry_after` if the CRM says how long.
    #[error("rate limited")]
    RateLimited {
        /// The wait that the CRM asks for.
        retry_after: Option<Duration>,
    },
    /// The CRM's daily quota is used up. Wait until it is reset.
    #[error("daily quota used up")]
    QuotaExceeded {
        /// The time until the quota is reset, if the CRM says it.
        resets_in: Option<Duration>,
    },
    /// The CRM, or the adapter, does not accept the data. Correct it.
    #[error("rejected")]
    Rejected {
        /// The reason in the CRM's own words, for the caller.
        message: String,
    },
    /// The CRM cannot be reached, or has failed. Try again later.
    #[error("unavailable")]
    Unavailable,
    /// The response is not what the CRM's API promises. Report it.
    #[error("malformed response")]
    Malformed,
}

impl ErrorKind {
    /// Returns a rejection with the CRM's own words, as far as the body of the response has some.
    pub fn rejected_with(body: &[u8]) -> ErrorKind {
        let message = own_words(body).unwrap_or_else(|| "The CRM gave no reason.".to_owned());
        ErrorKind::Rejected { message }
    }

    /// Returns the cause of the error, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            ErrorKind::Unauthorized => (
                "The CRM does not accept the user's token or API key, also after a renewal.",
                "Have the user connect again, or store a new API key with `call-log user put FILE`.",
            ),
            ErrorKind::Forbidden { .. } => (
                "The CRM account may not do this, or the stored host is not a host of the CRM.",
                "Give the account the permission in the CRM, or correct `hostname`.",
            ),
            ErrorKind::NotFound => (
                "The contact, the deal or the record that the request names does not exist in the CRM.",
                "Correct the contact in the CRM, then start the delivery again.",
            ),
            ErrorKind::AlreadyExists(_) => (
                "An earlier attempt has created the record, and the CRM does not show it to this user.",
                "Give the user access to the record in the CRM, or restore it if it was deleted.",
            ),
            ErrorKind::KeyRefused => (
                "The field that identifies calls is missing in the CRM, is not unique, or the user may not write it.",
                "Set up the field as the documentation of the CRM describes. Calls are logged without it meanwhile.",
            ),
            ErrorKind::Conflict => (
                "The record was changed in the CRM during each attempt.",
                "Nothing; delivery is repeated after five seconds, until it succeeds.",
            ),
            ErrorKind::RateLimited { .. } => (
                "The CRM has received too many requests from this account, also from other software.",
                "Nothing; delivery continues when the CRM permits it. If it lasts, raise the limit at the CRM.",
            ),
            ErrorKind::QuotaExceeded { .. } => (
                "The CRM has received as many requests from this account as it accepts in a day, also from other software.",
                "Nothing; delivery continues when the CRM accepts requests again, for up to 30 days. If it lasts, raise \
                 the quota at the CRM.",
            ),
            ErrorKind::Rejected { .. } => (
                "The CRM rejected the data, for example a required field or a deal that does not exist.",
                "Correct what the CRM names, then start the delivery again.",
            ),
            ErrorKind::Unavailable => (
                "The CRM cannot be reached, did not respond in time, or returned a server error.",
                "Nothing; delivery is repeated for 72 hours. After a longer outage start the delivery again.",
            ),
            ErrorKind::Malformed => (
                "The CRM's response lacks the expected data: its API has changed, or a proxy responded.",
                "Report it with the log lines at the level DEBUG.",
            ),
        };
        Explanation { cause, action }
    }
}

/// The possible effect of a failed request on the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It certainly has not, and will not.
    None,
    /// It may have, or may still do so.
    Unknown,
}

impl Error {
    /// An error of this kind and effect. `reason` is for log lines and must not contain text of a user.
    pub fn new(kind: ErrorKind, effect: Effect, reason: impl Into<String>) -> Self {
        Error { kind, effect, reason: reason.into(), bucket: None }
    }

    /// Data that cannot be sent to the CRM, found before any request was sent. `message` is shown to the caller.
    pub fn rejected(message: impl Into<String>) -> Self {
        let kind = ErrorKind::Rejected { message: message.into() };
        Error::new(kind, Effect::None, "rejected by the adapter")
    }

    /// The same error of a request that only reads, and therefore has changed nothing.
    #[must_use]
    pub fn without_effect(self) -> Self {
        Error { effect: Effect::None, ..self }
    }
}
