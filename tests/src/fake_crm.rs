//! The fakes of all CRMs, as the conformance suite of the adapters sees them.
//!
//! A fake is a small server on loopback that behaves as the CRM's API reference says, behind a [`Proxy`]. Each
//! implements [`FakeCrm`] and has a row in [`FAKES`]. The suite never distinguishes CRMs by name.

use std::{fmt, time::Duration};

use call_log::{
    adapters::{Crm, Effect, ErrorKind, Recovery},
    model::{CallLogId, Contact, ContactId, Credentials, OAuthClient, Secret},
};

use crate::{
    contrary_crm::FakeContraryCrm,
    example_crm::FakeExampleCrm,
    hubspot::FakeHubSpot,
    pipedrive::FakePipedrive,
    proxy::{Proxy, Target},
    template_crm::FakeTemplateCrm,
};

/// Functions that start a new fake: one for each CRM of the registry, one for the template of an adapter, and one for a
/// CRM that does everything otherwise.
pub const FAKES: &[fn() -> Box<dyn FakeCrm>] = &[
    || Box::new(FakeContraryCrm::start()),
    || Box::new(FakeExampleCrm::start()),
    || Box::new(FakeHubSpot::start()),
    || Box::new(FakePipedrive::start()),
    || Box::new(FakeTemplateCrm::start()),
];

/// A running fake of one CRM.
///
/// The methods with a default are about features that not every CRM has. The suite calls one only if the adapter
/// declares the feature.
pub trait FakeCrm: fmt::Debug {
    /// The adapter of this CRM.
    fn adapter(&self) -> &'static dyn Crm;

    /// The proxy through which the adapter reaches the fake.
    fn proxy(&self) -> &Proxy;

    /// Credentials that the fake accepts, one of each kind that can be stored. The first is an API key.
    fn credentials(&self) -> Vec<Credentials>;

    /// An `Authorization` header of a caller that the fake accepts.
    fn authorization_header(&self) -> String;

    /// Two contacts that exist when the fake starts.
    fn contacts(&self) -> [Contact; 2];

    /// The account to which every credential of the fake belongs.
    fn account(&self) -> String;

    /// The requests for which the suite queues faults. `recovery` is the way in which an attempt is found.
    fn routes(&self, recovery: Recovery) -> Routes;

    /// Errors in the CRM's own form, such as a refused field, and what each means.
    fn errors(&self) -> Vec<OwnError>;

    /// The number of call records that exist, however they were created.
    fn record_count(&self) -> usize;

    /// Hosts that users of this CRM have (`None`: a user without a host), each with its base URL.
    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)];

    /// Hosts that resemble the CRM's own, to which no credential may be sent. Empty only if the adapter ignores the
    /// user's host.
    fn foreign_hosts(&self) -> &'static [&'static str];

    /// The headers beside the credential that every request must have.
    fn fixed_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Returns the reason why the adapter never deletes a record, or `None` if it deletes unchanged ones.
    fn keeps_records(&self) -> Option<&'static str> {
        None
    }

    /// Our registration with the CRM's authorization server ([`Crm::oauth`]).
    fn oauth_client(&self) -> OAuthClient {
        OAuthClient { id: "client-id".to_owned(), secret: Secret::new("client-secret") }
    }

    /// Ends all sessions and access tokens. Refresh tokens stay valid ([`Crm::oauth`]).
    fn end_access(&self) {}

    /// Advances the fake's clock, so that its search shows what was created before ([`Recovery::LaggingSearch`]), and
    /// sessions expire.
    fn advance(&self, _time: Duration) {}

    /// Sets if the CRM refuses keys, as an administrator can ([`Recovery::ByKey`] with another way after it).
    fn refuse_keys(&self, _on: bool) {}

    /// Returns what [`Crm::finish_record`] has added to a record, one text for each addition.
    fn completions(&self, _id: &CallLogId) -> Vec<String> {
        Vec::new()
    }

    /// Changes what [`Crm::finish_record`] has added to a record, as a person does.
    fn edit_completion(&self, _id: &CallLogId) {}

    /// The changes that the CRM may make to texts before it stores them.
    fn changes(&self) -> &'static [Change] {
        &[]
    }

    /// Sets if the CRM makes this change, which is one of [`changes`](FakeCrm::changes).
    fn switch(&self, _change: Change, _on: bool) {}
}

/// The requests of an adapter for which the suite queues faults.
#[derive(Clone, Copy, Debug)]
pub struct Routes {
    /// Creates a record.
    pub create: Target,
    /// Reads one record.
    pub read: Target,
    /// Changes a record.
    pub update: Target,
    /// Finds the record of an earlier attempt. A CRM with [`Recovery::None`] has any target here.
    pub find: Target,
    /// Completes a record, if the adapter has a [`Finish`](call_log::adapters::Finish).
    pub finish: Option<Target>,
    /// Finds contacts by telephone number.
    pub find_contacts: Target,
    /// Creates a contact.
    pub create_contact: Target,
}

/// An error of a CRM in its own form.
#[derive(Clone, Debug)]
pub struct OwnError {
    /// The status, which may be 200.
    pub status: u16,
    /// The body, as the API reference shows it.
    pub body: &'static str,
    /// The meaning.
    pub kind: ErrorKind,
    /// The effect that a write with this response may have had.
    pub effect: Effect,
}

impl OwnError {
    /// A refusal, with the CRM's own words.
    pub fn rejection(status: u16, body: &'static str, words: &str) -> OwnError {
        let kind = ErrorKind::Rejected { message: words.to_owned() };
        OwnError { status, body, kind, effect: Effect::None }
    }
}

/// A change that a CRM makes to texts before it stores them. None of them is an edit of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It writes markup in a way of its own.
    RewritesMarkup,
    /// It drops characters above U+FFFF, such as emoji.
    StripsAstral,
    /// It composes characters (Unicode Normalization Form C).
    Composes,
    /// It ends lines with carriage return and line feed.
    CrLf,
    /// It removes white space at both ends.
    Trims,
}

/// Returns a contact of this id and kind.
///
/// # Panics
///
/// If the id is empty.
pub fn contact(id: &str, kind: Option<&str>) -> Contact {
    Contact {
        id: ContactId::new(id).expect("an id"),
        kind: kind.map(str::to_owned),
        name: None,
        phone_number: None,
    }
}

/// Returns the credentials of a CRM that takes the same secret as an API key and as an access token.
pub(crate) fn key_and_token(key: &str, refresh_token: Option<&str>) -> Vec<Credentials> {
    let token = Credentials::OAuth {
        access_token: Secret::new(key),
        refresh_token: refresh_token.map(Secret::new),
        expires_at: None,
    };
    vec![Credentials::ApiKey(Secret::new(key)), token]
}
