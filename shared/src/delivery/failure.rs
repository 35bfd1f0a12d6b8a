//! Why a delivery failed, and what follows from it for the next one.

use std::time::Duration;

use crate::{
    adapters::{self, Effect, ErrorKind},
    model::Explanation,
    store,
};

/// Why a request to a CRM failed or was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user has to connect the CRM account again.
    #[error("the CRM session has ended")]
    SessionEnded,
    /// The CRM did not do what it was asked for.
    #[error(transparent)]
    Crm(#[from] adapters::Error),
    /// The CRM gets no requests for this time, because it is down or wants to be left alone. Nothing was sent.
    #[error("the CRM is down or rate-limiting, and gets no requests for {} s", .0.as_secs())]
    Paused(Duration),
    /// The table failed while the grant was claimed, read or stored.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Failure {
    /// Returns the cause of the failure, and what to do about it.
    pub fn explain(&self) -> Explanation {
        match self {
            Failure::SessionEnded => Explanation {
                cause: "The access token has expired, and the refresh token is rejected or missing.",
                action: "Have the user connect again. Within 30 days, everything is then delivered automatically; later, \
                         start the delivery again.",
            },
            Failure::Crm(error) => error.kind.explain(),
            Failure::Paused(_) => Explanation {
                cause: "Several requests to this CRM account have failed in a row, or the CRM asked for a pause.",
                action: "Nothing; delivery continues after the pause, for 72 hours.",
            },
            Failure::Store(error) => error.explain(),
        }
    }

    /// Returns a failure without effect after which the same request may succeed.
    pub(crate) fn unavailable(reason: &str) -> Failure {
        adapters::Error::new(ErrorKind::Unavailable, Effect::None, reason).into()
    }

    /// Returns the effect that the request may have had on the CRM.
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Failure::Crm(error) => error.effect,
            Failure::SessionEnded | Failure::Paused(_) | Failure::Store(_) => Effect::None,
        }
    }

    /// Returns the kind of the CRM's error, or `None` if the CRM is not the cause.
    pub(crate) fn kind(&self) -> Option<&ErrorKind> {
        match self {
            Failure::Crm(error) => Some(&error.kind),
            Failure::SessionEnded | Failure::Paused(_) | Failure::Store(_) => None,
        }
    }

    /// Returns the name of the rate limit of its own that the request counted towards.
    pub(crate) fn bucket(&self) -> Option<&'static str> {
        match self {
            Failure::Crm(error) => error.bucket,
            Failure::SessionEnded | Failure::Paused(_) | Failure::Store(_) => None,
        }
    }

    /// Returns `true` if the CRM rejected the data: it would reject the same data again.
    pub(crate) fn is_rejection(&self) -> bool {
        matches!(self.kind(), Some(ErrorKind::Rejected { .. }))
    }

    /// Returns `true` if the CRM refuses the user rather than the request: another user may be allowed to send it.
    pub(crate) fn is_of_user(&self) -> bool {
        let is_refused = |kind: &ErrorKind| {
            matches!(
                kind,
                ErrorKind::Unauthorized | ErrorKind::Forbidden { .. } | ErrorKind::AlreadyExists(_)
            )
        };
        matches!(self, Failure::SessionEnded) || self.kind().is_some_and(is_refused)
    }

    /// Returns `true` if the work waits for something else than the CRM's acceptance, so that the time does not count
    /// towards the time for which it is retried: for a person, for a quota, or for a record to stop changing.
    pub(crate) fn is_uncounted(&self) -> bool {
        match self {
            Failure::SessionEnded => true,
            Failure::Crm(error) => matches!(
                error.kind,
                ErrorKind::Unauthorized
                    | ErrorKind::Forbidden { .. }
                    | ErrorKind::QuotaExceeded { .. }
                    | ErrorKind::Conflict
            ),
            Failure::Paused(_) | Failure::Store(_) => false,
        }
    }

    /// Returns how long the CRM asks its callers to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        if let Failure::Paused(wait) = self {
            return Some(*wait);
        }
        match self.kind() {
            Some(
                ErrorKind::RateLimited { retry_after: wait } | ErrorKind::QuotaExceeded { resets_in: wait },
            ) => *wait,
            _ => None,
        }
    }
}
