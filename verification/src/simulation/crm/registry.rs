//! The CRMs of the simulation, and their users.

use call_log::{
    adapters::{Capabilities, Crm},
    model::{Credentials, CrmAccount, Platform, Secret, Settings, User, UserId},
};
use tests::contrary_crm::ContraryCrm;

use super::{FakeCrm, contrary, kind};

/// The registry of the simulation.
pub(in crate::simulation) static REGISTRY: [&dyn Crm; 2] = [&ContraryCrm, &FakeCrm];

/// Returns the adapter of a CRM that can do this.
pub(in crate::simulation) fn adapter(capabilities: Capabilities) -> &'static dyn Crm {
    if capabilities == kind::contrary() { &ContraryCrm } else { &FakeCrm }
}

/// Returns the user of a CRM.
pub(in crate::simulation) fn user(crm: &dyn Crm) -> User {
    User {
        id: UserId::new(format!("12345-{}", crm.platform())).expect("a valid user id"),
        platform: Platform::new(crm.platform()).expect("a valid platform"),
        hostname: Some(contrary::HOST.to_owned()),
        account: CrmAccount::default(),
        zone: None,
        settings: Settings::default(),
        credentials: Some(Credentials::ApiKey(Secret::new("key"))),
    }
}
