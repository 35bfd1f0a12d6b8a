//! The CRM port: what delivery needs of a CRM, and the registry of the CRMs that we can log to.
//!
//! An adapter is one file or folder here. It declares what its CRM can do, turns call logs into requests, and reads the
//! responses. The rest of this module is the same for all CRMs:
//!
//! - [`capability`]: what an adapter declares;
//! - [`presentation`]: the appearance of a CRM in the extension;
//! - [`record`]: call logs and contacts, as the port passes them;
//! - [`profile`]: the person whose credential it is;
//! - [`exchange`]: a request and a response, as values;
//! - [`words`]: the CRM's own words for an error; [`error`](mod@error): what the caller can do about a failure;
//! - [`client`]: sends a request with its credential, within the deadline;
//! - [`meaning`]: the meaning of a status;
//! - [`budget`]: rate limits; [`oauth`]: grants; [`hosts`]: hosts that a credential may be sent to;
//! - [`json`]: values that CRMs write in more than one way; [`phone`]: telephone numbers, which people write in many ways;
//! - [`ringcentral`]: RingCentral, as far as it says who is an administrator.
//!
//! `docs/add-a-crm.md` describes how to add a CRM.

pub mod budget;
pub mod capability;
pub mod client;
pub mod error;
mod example;
pub mod exchange;
pub mod hosts;
mod hubspot;
pub mod json;
pub mod meaning;
pub mod oauth;
pub mod phone;
mod pipedrive;
pub mod presentation;
pub mod profile;
pub mod record;
pub mod ringcentral;
pub mod words;

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::model::{CallLogId, Contact, Credentials, CrmUser, Secret, User};
pub use budget::{Budgets, RateLimits};
pub use capability::{
    Authentication, Capabilities, CompareAndSet, Finish, HostAccount, LimitScope, Recovery,
};
pub use client::{Access, Authorization, HttpClient, Transport};
pub use error::{Effect, Error, ErrorKind};
pub use exchange::{CrmRequest, CrmResponse, HeaderMap};
pub use hosts::{account_label, is_listed};
pub use oauth::{ClientAuthentication, OAuth, Session};
pub use presentation::Presentation;
pub use profile::Profile;
pub use record::{CallFacts, CallLog, CallLogChange, Choices, ContactChoice, Fields, NewCallLog, NewContact};
pub use ringcentral::RingCentral;

/// All adapters, in alphabetic order of their platform names.
pub const REGISTRY: &[&dyn Crm] = &[&example::Example, &hubspot::HubSpot, &pipedrive::Pipedrive];

/// Returns the adapter of a platform.
///
/// ```
/// use call_log::adapters;
///
/// assert_eq!(adapters::find("example").map(|crm| crm.display_name()), Some("Example CRM"));
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
///     adapters::{
///         Access, Authentication, CallLog, CallLogChange, Capabilities, CompareAndSet, Crm, CrmRequest, Error,
///         Fields, Finish, LimitScope, NewCallLog, NewContact, Recovery, record::CallFacts,
///     },
///     model::{CallLogId, Contact, Credentials, User},
///     note::{Format, Limits},
/// };
/// # use chrono::{DateTime, Utc};
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Debug)]
/// struct Acme;
///
/// /// A call, as far as we read it.
/// #[derive(Deserialize)]
/// struct Call {
///     id: String,
///     title: String,
///     text: String,
/// }
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
///     fn capabilities(&self) -> Capabilities {
///         Capabilities {
///             format: Format::Plain,
///             recovery: &[Recovery::ConsistentList],
///             compare_and_set: CompareAndSet::None,
///             finish: Finish::None,
///             limits: Limits::UNLIMITED,
///             limit_scope: LimitScope::Account,
///             shows_edits: false,
///         }
///     }
///
///     fn base_url(&self, user: &User) -> Option<String> {
///         (user.hostname.as_deref()? == "api.acme.example").then(|| "https://api.acme.example".to_owned())
///     }
///
///     fn authentication(&self, _: &Credentials) -> Authentication {
///         Authentication::Header("x-acme-key")
///     }
///
///     async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
///         let contact = log.contact.as_ref().map(|contact| contact.id.as_str());
///         let call = json!({ "contact": contact, "title": log.subject, "text": log.body });
///         let response = access.send(CrmRequest::create("calls", "/v1/calls", call)).await?;
///         let created: Call = response.json()?;
///         CallLogId::new(created.id).ok_or_else(|| response.malformed())
///     }
///
///     async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
///         let call: Call = access.send(CrmRequest::read("calls/{id}", format!("/v1/calls/{id}"))).await?.json()?;
///         Ok(CallLog { subject: Some(call.title), body: call.text, ..CallLog::default() })
///     }
///     // ... and the same for the other requests.
/// #   fn presentation(&self) -> call_log::adapters::Presentation {
/// #       unimplemented!()
/// #   }
/// #   fn fields(&self, _: &CallFacts) -> Fields {
/// #       Fields::new()
/// #   }
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
/// #       Err(Error::rejected("no"))
/// #   }
/// }
///
/// assert_eq!(Acme.capabilities().recovery, [Recovery::ConsistentList]);
/// ```
#[async_trait]
pub trait Crm: fmt::Debug + Send + Sync {
    /// The platform's name in tokens, table keys and environment variables, in lower case.
    fn platform(&self) -> &'static str;

    /// The CRM's name in messages to people.
    fn display_name(&self) -> &'static str;

    /// The capabilities of the CRM.
    fn capabilities(&self) -> Capabilities;

    /// The appearance of the CRM in the extension.
    fn presentation(&self) -> Presentation;

    /// Returns the base URL of the CRM for a user, without a slash at its end, or `None` if the user's host does not
    /// belong to the CRM.
    ///
    /// Called when a user is stored, and again before every request, because the user's credential is sent there. Only
    /// hosts on a closed list of the adapter belong to the CRM (see [`hosts`]). A host in [`User::account`] takes
    /// precedence over one that is derived from the user's page.
    fn base_url(&self, user: &User) -> Option<String>;

    /// The way in which requests carry a credential.
    fn authentication(&self, credentials: &Credentials) -> Authentication;

    /// The authorization server of a user's tenant, or `None` if the CRM takes only API keys, or if the user's login host
    /// does not belong to the CRM.
    fn oauth(&self, _user: &User) -> Option<OAuth> {
        None
    }

    /// Returns `true` if a response of the token endpoint says that the refresh token will never work again. The status
    /// does not count, because some authorization servers refuse with 200.
    ///
    /// The default is the error code of RFC 6749, section 5.2.
    fn is_grant_refused(&self, response: &Value) -> bool {
        response.get("error").and_then(Value::as_str) == Some("invalid_grant")
    }

    /// Returns the API's host that a response of the token endpoint names, as the response has it: a host or a URL. It is
    /// used from then on if [`base_url`](Crm::base_url) accepts it as the user's API host.
    fn api_host(&self, _token_response: &Value) -> Option<String> {
        None
    }

    /// Opens a session with a new access token, if the CRM's API takes session tokens instead. `access` has no credential.
    ///
    /// # Errors
    ///
    /// Any failure of the login.
    async fn open_session(
        &self,
        _access: &Access<'_>,
        _access_token: &Secret,
    ) -> Result<Option<Session>, Error> {
        Ok(None)
    }

    /// Returns what the user's host says about the CRM account that the user belongs to. All users of one account are one
    /// tenant, so the account must be [`Named`](HostAccount::Named) only if no other account can have this host.
    fn host_account(&self, _user: &User) -> HostAccount {
        HostAccount::Shared
    }

    /// Returns whose credential it is, as far as the CRM says it. Called when a person connects, and when an operator stores a
    /// user whose host does not name the account.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`].
    async fn identify(&self, _access: &Access<'_>) -> Result<Profile, Error> {
        Ok(Profile::default())
    }

    /// The base URL that [`identify`](Crm::identify) asks while the company's host is not known yet, because it is the first
    /// request with a new credential. `None`: people cannot connect by themselves.
    fn identity_url(&self) -> Option<String> {
        None
    }

    /// Returns the error that a response is, if the CRM says it in a way of its own: another meaning of a status, an error
    /// in a response with status 2xx, a record that exists already. `None` applies the table of statuses that all CRMs
    /// share.
    fn classify(&self, _response: &CrmResponse) -> Option<Error> {
        None
    }

    /// Returns `true` if a response with an error has the form that this CRM's errors have. A response of another form comes
    /// from a proxy on the way, and says nothing about the request.
    fn is_own_error(&self, response: &CrmResponse) -> bool {
        let first = response.body.trim_ascii_start().first();
        matches!(first, Some(b'{' | b'[')) && response.json::<IgnoredAny>().is_ok()
    }

    /// Reads the rate limits that a response reports.
    fn rate_limits(&self, headers: &HeaderMap) -> RateLimits {
        RateLimits::from_common_headers(headers)
    }

    /// Returns the id by which the CRM knows a user as the owner of records. `None`: the user cannot own records.
    fn owner_id(&self, user: &User) -> Option<String> {
        Some(user.crm_owner_id().to_owned())
    }

    /// Returns `true` if a record must have a start. If the start of a call is not known, it is created with
    /// [`NewCallLog::first_attempt`].
    fn requires_start(&self) -> bool {
        false
    }

    /// Returns the CRM's own fields for what is known of a call, as canonical text: each field that a correction can change,
    /// whatever of the call it shows (start, duration, direction, result). Records are created with these values,
    /// [`read_record`](Crm::read_record) returns the same names, and
    /// [`update_record`](Crm::update_record) corrects them. No field is named `subject`.
    ///
    /// An update often brings one fact alone. A field that needs two, such as the end of the call, is an empty text unless
    /// both are known. What the CRM has as two fields and a person changes as one (a date and its time) is one field here.
    fn fields(&self, facts: &CallFacts) -> Fields;

    /// Returns what a form chooses for a record, by the keys of [`Presentation::call_log_fields`], as
    /// [`read_record`](Crm::read_record) shows it and [`update_record`](Crm::update_record) writes it. What the CRM has no field
    /// for, and what cannot be a value of the field, is left out. `form`: [`NewCallLog::additional`].
    fn chosen(&self, _form: &Map<String, Value>) -> Map<String, Value> {
        Map::new()
    }

    /// Creates the CRM record of a call.
    ///
    /// Exactly one of the requests that an adapter sends here creates anything, and it is the last one. It never changes
    /// a record that exists, because a person may have edited it.
    ///
    /// # Errors
    ///
    /// An error with [`Effect::Unknown`] means that the record may exist, or may still be created. Data that the
    /// adapter itself cannot send (such as a contact id that the CRM cannot have) is [`ErrorKind::Rejected`].
    /// [`ErrorKind::AlreadyExists`] and [`ErrorKind::KeyRefused`] are for CRMs with [`Recovery::ByKey`].
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
    /// version in `change` (only with a [`CompareAndSet`]).
    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error>;

    /// Completes a record, for CRMs with a [`Finish`]. It may be called again for the same record, and then changes
    /// nothing, or corrects what it wrote unless a person has changed that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Rejected`] if the record can never be completed: it then stays as it is.
    async fn finish_record(
        &self,
        _access: &Access<'_>,
        _id: &CallLogId,
        _facts: &CallFacts,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the records, oldest first, that earlier attempts to create `log` may have made since `since`, in the way that
    /// `log.recovery` says. The caller has already moved `since` back to allow for clocks that differ.
    ///
    /// By tag, these are the records with the call tag. Otherwise these are the records with the contact, the start, the
    /// direction and the owner of `log`, as far as the CRM has fields for them. The caller reads each of them, and compares
    /// its subject, body and fields with what was sent, so the adapter does not compare these. With [`Recovery::None`] it
    /// returns no records.
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

    /// Returns the contacts whose names contain this text. A CRM without such a search finds none.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`].
    async fn find_contacts_by_name(&self, _access: &Access<'_>, _name: &str) -> Result<Vec<Contact>, Error> {
        Ok(Vec::new())
    }

    /// Returns the choices that the form of a call log offers for a contact, for those of
    /// [`Presentation::call_log_fields`] that depend on it.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`].
    async fn choices(&self, _access: &Access<'_>, _contact: &Contact) -> Result<Choices, Error> {
        Ok(Choices::new())
    }

    /// Returns what an administrator still has to set up in the CRM account, such as the field for the call tag, as a sentence
    /// for the operator. Calls are logged without it, but not as safely.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`].
    async fn missing_setup(&self, _access: &Access<'_>) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// Sets up the CRM account, if that can be done over its API: what [`missing_setup`](Crm::missing_setup) names. May be called
    /// again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forbidden`] if the credential does not permit it.
    async fn set_up(&self, _access: &Access<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Creates a contact.
    ///
    /// # Errors
    ///
    /// An error with [`Effect::Unknown`] means that the contact may exist.
    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error>;

    /// Returns the users of the account who can own records, for an administrator who says which extension belongs to whom. A
    /// CRM that does not list them has none.
    ///
    /// # Errors
    ///
    /// The effect is always [`Effect::None`].
    async fn users(&self, _access: &Access<'_>) -> Result<Vec<CrmUser>, Error> {
        Ok(Vec::new())
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
