//! The fakes of all CRMs, as the conformance suite of the adapters sees them.
//!
//! A fake is a small server on loopback that behaves as the CRM's API reference says, behind a [`Proxy`]. Each
//! implements [`FakeCrm`] and has a row in [`FAKES`]. The suite never distinguishes CRMs by name.

use std::fmt;

use call_log::adapters::Crm;

use crate::{
    example_crm::FakeExampleCrm,
    pipedrive::FakePipedrive,
    proxy::{Proxy, Target},
    template_crm::FakeTemplateCrm,
};

/// Functions that start a new fake, one for each CRM of the registry, and one for the template of an adapter.
pub const FAKES: &[fn() -> Box<dyn FakeCrm>] = &[
    || Box::new(FakeExampleCrm::start()),
    || Box::new(FakePipedrive::start()),
    || Box::new(FakeTemplateCrm::start()),
];

/// A running fake of one CRM.
pub trait FakeCrm: fmt::Debug {
    /// The adapter of this CRM.
    fn adapter(&self) -> &'static dyn Crm;

    /// The proxy through which the adapter reaches the fake.
    fn proxy(&self) -> &Proxy;

    /// An API key that the fake accepts, as a key and as a bearer token.
    fn api_key(&self) -> &'static str;

    /// The ids of two contacts that exist when the fake starts.
    fn contacts(&self) -> [String; 2];

    /// The requests for which the suite queues faults.
    fn routes(&self) -> Routes;

    /// Hosts that users of this CRM have (`None`: a user without a host), each with its base URL.
    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)];

    /// Hosts that resemble the CRM's own, to which no credential may be sent. Empty only if the adapter ignores the
    /// user's host.
    fn foreign_hosts(&self) -> &'static [&'static str];

    /// Returns the reason why the CRM lacks a feature, or `None` if it has the feature. The suite prints the reason
    /// and skips the cases that need the feature.
    fn lacks(&self, _feature: Feature) -> Option<&'static str> {
        None
    }
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
    /// Lists or searches records. A CRM that lacks [`Feature::FindRecords`] has any target here.
    pub list: Target,
    /// Finds contacts by telephone number.
    pub find_contacts: Target,
    /// Creates a contact.
    pub create_contact: Target,
}

/// A feature that a CRM may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Finding the record of an attempt whose response was lost ([`Crm::find_records`]).
    FindRecords,
    /// Deleting a record that was not changed after its creation ([`Crm::delete_record`]).
    DeleteRecord,
}

impl Feature {
    /// All features, in the order in which the suite prints them.
    pub const ALL: [Feature; 2] = [Feature::FindRecords, Feature::DeleteRecord];
}
