//! The CRMs of the simulation.

use call_log::{
    adapters::{Capabilities, Crm},
    model::User,
};
use tests::contrary_crm::ContraryCrm;

use super::{Defect, FakeCrm, has, kind, with};
use crate::simulation::senders::{Account, Who};

/// The registry of the simulation.
pub(in crate::simulation) static REGISTRY: [&dyn Crm; 2] = [&ContraryCrm, &FakeCrm];

/// Returns the adapter of a CRM that can do this.
pub(in crate::simulation) fn adapter(capabilities: Capabilities) -> &'static dyn Crm {
    if capabilities == kind::contrary() { &ContraryCrm } else { &FakeCrm }
}

/// Returns the account that a user's credential belongs to, as the CRM knows it.
pub(super) fn account_of(user: &User) -> Account {
    let is = |who: Who| REGISTRY.iter().any(|crm| who.key(*crm) == user.key());
    let has_moved =
        || has(Defect::MoveUnnoticed) && with(|crm| crm.has_colleague_moved) && is(Who::Colleague);
    let is_mixed = || has(Defect::AccountsMixed) && is(Who::Stranger);
    if is_mixed() || has_moved() { Account::Other } else { Account::of(user) }
}
