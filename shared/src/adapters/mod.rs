//! The CRM port: what delivery needs of a CRM, and the registry of the CRMs that we can log to.
//!
//! An adapter is one file or folder here. It turns [`NewCallLog`] and [`CallLogChange`] into requests of its CRM, and
//! the responses back into our types. Everything that is the same for all CRMs is in [`client`]: deadlines, rate-limit
//! headers, and the translation of an HTTP status into an [`Error`].
//!
//! `docs/add-a-crm.md` describes how to add a CRM.

mod budget;
pub mod client;
mod example;
mod pipedrive;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    model::{CallDuration, CallLogId, Contact, Direction, Explanation},
    note::{self, Format, Section},
};
pub use budget::Budgets;
pub use client::{Access, Authorization, HttpClient};

/// All adapters, in alphabetic order of their platform names.
pub const REGISTRY: &[&dyn Crm] = &[&example::Example, &pipedrive::Pipedrive];

/// Returns the adapter of a platform.
///
/// ```
/// use call_log::adapters;
///
/// assert_eq!(adapters::find("pipedrive").map(|crm| crm.display_name()), Some("Pipedrive"));
/// assert!(adapters::find("unknown").is_none());
/// ```
pub fn find(platform: &str) -> Option<&'static dyn Crm> {
    REGISTRY.iter().copied().find(|crm| crm.platform() == platform)
}

/// The port: everything that delivery does with a CRM.
///
/// An adapter never repeats a request. An error says through its [`Effect`] if the request may have changed the CRM,
/// and delivery decides by that if it can be sent again.
///
/// # Examples
///
/// The heart of an adapter: it declares what its CRM can do, and turns a call log into a request.
/// `tests/src/template_crm/adapter.rs` is a complete adapter to copy.
///
/// ```
/// use call_log::{
///     adapters::{Access, CallLog, CallLogChange, Crm, Error, NewCallLog, NewContact, Recovery},
///     model::{CallLogId, Contact},
///     note::Format,
/// };
/// # use chrono::{DateTime, Utc};
/// use serde_json::{Value, json};
///
/// #[derive(Debug)]
/// struct Acme;
///
/// #[async_trait::async_trait]
/// impl Crm for Acme {
///     fn platform(&self) -> &'static str {
///         "acme"
///     }
///
///     fn display_name(&self) -> &'static str {
///         "Acme CRM"
///     }
///
///     fn format(&self) -> Format {
///         Format::Plain
///     }
///
///     fn recovery(&self) -> Recovery {
///         Recovery::ConsistentList
///     }
///
///     fn compare_and_set(&self) -> bool {
///         false
///     }
///
///     fn base_url(&self, hostname: Option<&str>) -> Option<String> {
///         (hostname? == "api.acme.example").then(|| "https://api.acme.example".to_owned())
///     }
///
///     fn token_url(&self) -> Option<&'static str> {
///         None
///     }
///
///     async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
///         let call = json!({ "contact": log.contact.id.as_str(), "title": log.subject, "text": log.body });
///         let created = access.post("/v1/calls", &call).await?;
///         created["id"].as_str().and_then(CallLogId::new).ok_or_else(Error::malformed)
///     }
///
///     async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
///         let call = access.get(&format!("/v1/calls/{id}"), &[]).await?;
///         let body = call["text"].as_str().ok_or_else(|| Error::malformed().without_effect())?.to_owned();
///         Ok(CallLog { subject: call["title"].as_str().map(str::to_owned), body, version: None })
///     }
///     // ... and the same for the other requests.
/// #   async fn update_record(&self, _: &Access<'_>, _: &CallLogId, _: &CallLogChange) -> Result<(), Error> {
/// #       Ok(())
/// #   }
/// #   async fn find_records(
/// #       &self,
/// #       _: &Access<'_>,
/// #       _: &NewCallLog,
/// #       _: DateTime<Utc>,
/// #   ) -> Result<Vec<CallLogId>, Error> {
/// #       Ok(Vec::new())
/// #   }
/// #   async fn delete_record(&self, _: &Access<'_>, _: &CallLogId) -> Result<bool, Error> {
/// #       Ok(false)
/// #   }
/// #   async fn find_contacts(&self, _: &Access<'_>, _: &str) -> Result<Vec<Contact>, Error> {
/// #       Ok(Vec::new())
/// #   }
/// #   async fn create_contact(&self, _: &Access<'_>, _: &NewContact) -> Result<Contact, Error> {
/// #       Err(Error::malformed())
/// #   }
/// }
///
/// assert_eq!(Acme.base_url(Some("api.acme.example")).as_deref(), Some("https://api.acme.example"));
/// assert_eq!(Acme.base_url(Some("api.acme.example.evil.example")), None);
/// ```
#[async_trait]
pub trait Crm: fmt::Debug + Send + Sync {
    /// The platform's name in tokens, table keys and environment variables, in lower case.
    fn platform(&self) -> &'static str;

    /// The CRM's name in messages to people.
    fn display_name(&self) -> &'static str;

    /// The format in which the CRM shows the body of a call log.
    fn format(&self) -> Format;

    /// The way to find the record of an attempt whose response was lost.
    fn recovery(&self) -> Recovery;

    /// Returns `true` if the CRM can change a record on the condition that it still has the version that was read.
    ///
    /// If so, [`read_record`](Crm::read_record) returns the version, and [`update_record`](Crm::update_record) with
    /// that version fails with [`ErrorKind::Conflict`] if the record was changed in between. Otherwise the last write
    /// wins, and delivery records the time between read and write as the metric `EditWindow`.
    fn compare_and_set(&self) -> bool;

    /// Returns the base URL of the CRM for a user with this host, without a slash at its end, or `None` if the host
    /// does not belong to the CRM.
    ///
    /// Called when a user is stored, and again before every request, because the user's credential is sent there.
    fn base_url(&self, hostname: Option<&str>) -> Option<String>;

    /// The URL at which an OAuth grant is renewed, or `None` if the CRM takes only API keys.
    fn token_url(&self) -> Option<&'static str>;

    /// Creates the CRM record of a call.
    ///
    /// Exactly one of the requests that an adapter sends here creates anything, and it is the last one.
    ///
    /// # Errors
    ///
    /// An error with [`Effect::Unknown`] means that the record may exist, or may still be created. Data that the
    /// adapter itself cannot send (such as a contact id that the CRM cannot have) is [`ErrorKind::Rejected`].
    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error>;

    /// Returns the record as the CRM has it now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no such record, or if it was deleted. The effect is always
    /// [`Effect::None`].
    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error>;

    /// Changes the fields that `change` contains, and no others. Sends no request if there is nothing to change.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no such record; [`ErrorKind::Conflict`] if the record no longer has the
    /// version in `change` (only with [`compare_and_set`](Crm::compare_and_set)).
    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error>;

    /// Returns the records, oldest first, that earlier attempts to create `log` have made since `since`. The caller
    /// has already moved `since` back to allow for clocks that differ.
    ///
    /// With [`Recovery::Upsert`] and [`Recovery::None`] it returns no records.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`]. If the search was not exhaustive, "no records" would be wrong and would
    /// lead to a second record: the error is then [`ErrorKind::Unavailable`].
    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error>;

    /// Deletes a record unless it was changed after its creation. Returns `true` if the record is gone, also if it
    /// was gone already, and `false` if it was kept.
    ///
    /// An adapter whose CRM cannot tell if a record was changed always keeps it.
    ///
    /// # Errors
    ///
    /// Any failure but [`ErrorKind::NotFound`].
    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error>;

    /// Returns the contacts with this telephone number, however the number is written.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`].
    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error>;

    /// Creates a contact.
    ///
    /// # Errors
    ///
    /// An error with [`Effect::Unknown`] means that the contact may exist.
    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error>;
}

/// The way to find the record of an attempt whose response was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Creating a record twice under the same key makes one record, so the create is simply repeated.
    Upsert,
    /// A list that shows every record as soon as it was created.
    ConsistentList,
    /// A search that shows a record after this delay.
    LaggingSearch(Duration),
    /// None: a create whose outcome is unknown is never repeated.
    None,
}

/// A call log to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCallLog {
    /// The title of the record.
    pub subject: String,
    /// The composed note, in the adapter's format.
    pub body: String,
    /// The contact to whom the record belongs.
    pub contact: Contact,
    /// The direction of the call, as the user sees it.
    pub direction: Direction,
    /// The start of the call, if it is known.
    pub start: Option<DateTime<Utc>>,
    /// The duration of the call, if it is known.
    pub duration: Option<CallDuration>,
    /// RingCentral's result of the call, such as `Accepted` or `Missed`.
    pub result: Option<String>,
    /// The values of the form fields that the CRM's manifest adds (`additionalSubmission`).
    pub additional: Map<String, Value>,
}

impl NewCallLog {
    /// Returns `Some(true)` if a body that was read from the CRM has the session id and the date and time of this
    /// call, and `Some(false)` if one of them differs. Returns `None` if this log's own body has neither: then the
    /// adapter has to compare other fields.
    pub fn matches_body(&self, format: Format, body: &str) -> Option<bool> {
        let (ours, theirs) = (note::parse(format, &self.body), note::parse(format, body));
        let same = |section| ours.value(section).map(|value| theirs.value(section) == Some(value));
        match (same(Section::SessionId), same(Section::DateTime)) {
            (None, None) => None,
            (session, date_time) => Some(session != Some(false) && date_time != Some(false)),
        }
    }
}

/// A call log as the CRM has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLog {
    /// The title of the record, if it has one.
    pub subject: Option<String>,
    /// The body of the record, in the adapter's format; empty if it has none.
    pub body: String,
    /// The version for a conditional change; present if, and only if, [`Crm::compare_and_set`] returns `true`.
    pub version: Option<String>,
}

/// A change of a call log. A field that is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallLogChange {
    /// The new title.
    pub subject: Option<String>,
    /// The new body, in the adapter's format.
    pub body: Option<String>,
    /// The new duration; [`CallDuration::Pending`] changes nothing.
    pub duration: Option<CallDuration>,
    /// The version that the record must still have; `None` changes the record whatever its version.
    pub version: Option<String>,
}

impl CallLogChange {
    /// Returns `true` if the change contains nothing, whatever its version.
    pub fn is_empty(&self) -> bool {
        self.subject.is_none() && self.body.is_none() && self.duration.is_none()
    }
}

/// A contact to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    /// The contact's full name.
    pub name: String,
    /// The contact's telephone number, as the caller wrote it.
    pub phone_number: String,
    /// The CRM's own word for the kind of contact; `None` means the CRM's usual kind.
    pub kind: Option<String>,
}

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
}

/// The kinds of failure, distinguished by what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The CRM did not accept the credential. Renew the grant.
    #[error("not authorized")]
    Unauthorized,
    /// The credential does not permit the request. Ask for the permission.
    #[error("forbidden")]
    Forbidden,
    /// The record does not exist, or no longer exists. Stop.
    #[error("not found")]
    NotFound,
    /// The record was changed after it was read. Read it again and start over.
    #[error("changed since it was read")]
    Conflict,
    /// The CRM received too many requests. Wait, for `retry_after` if the CRM says how long.
    #[error("rate limited")]
    RateLimited {
        /// The wait that the CRM asks for.
        retry_after: Option<Duration>,
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
    /// Returns the cause of the error, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            ErrorKind::Unauthorized => (
                "The CRM does not accept the user's token or API key, also after a renewal.",
                "Have the user connect again, or store a new API key with `call-log user put FILE`.",
            ),
            ErrorKind::Forbidden => (
                "The CRM account may not do this, or the stored host is not a host of the CRM.",
                "Give the account the permission in the CRM, or correct `hostname`.",
            ),
            ErrorKind::NotFound => (
                "The contact, the deal or the record that the request names does not exist in the CRM.",
                "Correct the contact in the CRM, then start the delivery again.",
            ),
            ErrorKind::Conflict => (
                "The record was changed in the CRM during each attempt.",
                "Nothing, if the call is delivered later. Otherwise start the delivery again.",
            ),
            ErrorKind::RateLimited { .. } => (
                "The CRM has received too many requests from this account, also from other software.",
                "Nothing; delivery continues when the CRM permits it. If it lasts, raise the limit at the CRM.",
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
        Error { kind, effect, reason: reason.into() }
    }

    /// A successful response without the data that it promises. The effect is unknown, because the response may be
    /// to a write that the CRM has carried out. For a read, add [`without_effect`](Error::without_effect).
    pub fn malformed() -> Self {
        Error::new(ErrorKind::Malformed, Effect::Unknown, "the response is missing the expected data")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_in_alphabetic_order_and_each_adapter_is_found_by_its_name() {
        let names: Vec<_> = REGISTRY.iter().map(|crm| crm.platform()).collect();
        assert!(names.is_sorted(), "{names:?}");
        for name in names {
            assert_eq!(find(name).map(|crm| crm.platform()), Some(name));
        }
        assert!(find("unknown").is_none());
    }
}
