//! The CRM port: what the use-cases need of a CRM, and the registry of those that we speak to.
//!
//! An adapter is one file. It turns [`NewCallLog`] and [`CallLogChange`] into its CRM's requests and the answers back; how a
//! status becomes an [`Error`], deadlines and rate-limit headers are the same for all and live in [`client`].

mod budget;
pub mod client;
mod example;
mod pipedrive;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    model::{CallDuration, CallLogId, Contact, Direction},
    note::{self, Format, Section},
};
pub use budget::Budgets;
pub use client::{Access, Authorization, HttpClient};

/// Every adapter, by the name that a caller's token carries; in alphabetic order.
pub const REGISTRY: &[&dyn Crm] = &[&example::Example, &pipedrive::Pipedrive];

/// The adapter of that name.
pub fn find(platform: &str) -> Option<&'static dyn Crm> {
    REGISTRY.iter().copied().find(|crm| crm.platform() == platform)
}

/// A CRM.
#[async_trait]
pub trait Crm: fmt::Debug + Send + Sync {
    /// The name in tokens, keys and environment variables: lower case.
    fn platform(&self) -> &'static str;

    /// The name that people know.
    fn display_name(&self) -> &'static str;

    /// What the CRM shows a log's body as.
    fn format(&self) -> Format;

    /// How an attempt whose answer was lost can be found again.
    fn recovery(&self) -> Recovery;

    /// Whether a log can be changed on the condition that nobody else changed it meanwhile.
    fn compare_and_set(&self) -> bool;

    /// Where this CRM is for a user with that host; `None`: that is no host of this CRM. Asked when the user is stored
    /// and again before every request, because the credential is sent there.
    fn base_url(&self, hostname: Option<&str>) -> Option<String>;

    /// Where an OAuth grant is refreshed; `None`: only API keys.
    fn token_url(&self) -> Option<&'static str>;

    /// Makes the log. Exactly one of the requests it sends creates anything, and that one is the last.
    async fn create_log(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error>;

    /// The log as it is now.
    async fn read_log(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error>;

    /// Changes what `change` names and nothing else.
    async fn update_log(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error>;

    /// The logs, oldest first, that an earlier attempt to create `log` has made since `since`, in which the caller
    /// has allowed for clocks that differ.
    async fn find_logs(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error>;

    /// Removes a log, unless somebody has changed it since it was made: then it stays, and this is false. True too
    /// when it is gone already.
    async fn remove_log(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error>;

    /// The contacts with that telephone number.
    async fn find_contact(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error>;

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error>;
}

/// What a CRM offers to find an attempt whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Creating twice under one key makes one log.
    Upsert,
    /// A list that shows what was written before.
    ConsistentList,
    /// A search that shows it after this delay.
    LaggingSearch(Duration),
    /// Nothing: an attempt of unknown outcome is never repeated.
    None,
}

/// A log to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCallLog {
    pub subject: String,
    /// The composed note, in the adapter's format.
    pub body: String,
    pub contact: Contact,
    pub direction: Direction,
    pub start: Option<DateTime<Utc>>,
    pub duration: Option<CallDuration>,
    pub result: Option<String>,
    /// The form fields of the CRM's manifest.
    pub additional: Map<String, Value>,
}

impl NewCallLog {
    /// Whether a body found in the CRM is of this call, by its session id and its date and time. `None`: this log's
    /// own body has neither, so that the CRM's other fields must tell.
    fn is_told_by(&self, format: Format, body: &str) -> Option<bool> {
        let (ours, theirs) = (note::parse(format, &self.body), note::parse(format, body));
        let same = |section| ours.value(section).map(|value| theirs.value(section) == Some(value));
        match (same(Section::SessionId), same(Section::DateTime)) {
            (None, None) => None,
            (session, date_time) => Some(session != Some(false) && date_time != Some(false)),
        }
    }
}

/// A log as the CRM has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLog {
    pub subject: Option<String>,
    /// Empty when the CRM has none.
    pub body: String,
    /// What a conditional change names; only with [`Crm::compare_and_set`].
    pub version: Option<String>,
}

/// What changes in a log; absent: stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallLogChange {
    pub subject: Option<String>,
    pub body: Option<String>,
    pub duration: Option<CallDuration>,
    pub version: Option<String>,
}

impl CallLogChange {
    pub fn is_empty(&self) -> bool {
        self.subject.is_none() && self.body.is_none() && self.duration.is_none()
    }
}

/// A contact to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    pub name: String,
    pub phone_number: String,
    /// The CRM's own word for the kind; absent: its usual one.
    pub kind: Option<String>,
}

/// A request to a CRM that failed: what can be done about it, and whether it may have changed anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({detail})")]
pub struct Error {
    pub kind: ErrorKind,
    pub effect: Effect,
    /// For the log, never for a caller; holds no text of a user.
    pub detail: String,
}

/// What the caller of a CRM can do about a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Get a new grant.
    #[error("not authorized")]
    Unauthorized,
    /// Ask for the permission.
    #[error("forbidden")]
    Forbidden,
    /// Stop: it is not there, or not any more.
    #[error("not found")]
    NotFound,
    /// Read again and start over: somebody else changed it.
    #[error("changed meanwhile")]
    Conflict,
    /// Wait, this long when the CRM says so.
    #[error("rate limited")]
    RateLimited { retry_after: Option<Duration> },
    /// Correct the data; the words are the CRM's own.
    #[error("rejected")]
    Rejected { message: String },
    /// Try later.
    #[error("unavailable")]
    Unavailable,
    /// Report it: the CRM answered with what is not its API's language.
    #[error("malformed answer")]
    Malformed,
}

/// Whether a failed request may have changed something in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It certainly has not.
    None,
    /// It may have, or may still do so.
    Unknown,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, effect: Effect, detail: impl Into<String>) -> Self {
        Error { kind, effect, detail: detail.into() }
    }

    /// An answer that lacks what it is about: a write that it answers may have been done.
    fn malformed() -> Self {
        Error::new(ErrorKind::Malformed, Effect::Unknown, "an answer that lacks what it is about")
    }

    /// The same failure of a request that only reads.
    fn harmless(self) -> Self {
        Error { effect: Effect::None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_alphabetic_and_finds_each_by_name() {
        let names: Vec<_> = REGISTRY.iter().map(|crm| crm.platform()).collect();
        assert!(names.is_sorted(), "{names:?}");
        for name in names {
            assert_eq!(find(name).map(|crm| crm.platform()), Some(name));
        }
        assert!(find("nobody").is_none());
    }
}
