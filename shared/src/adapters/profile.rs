//! The person whose credential it is, as the CRM describes them.

use crate::model::{CrmAccount, User, Zone};

/// The response of a CRM to the question whose credential a request has. A part that the CRM does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The CRM's id of the user.
    pub user_id: Option<String>,
    /// The name of the user.
    pub name: Option<String>,
    /// The CRM's id of the account: of its organisation, hub or tenant. Users of one account share their call logs, so it never
    /// comes from anything that a person can enter.
    pub account: Option<String>,
    /// The name of the account, such as the company's.
    pub account_name: Option<String>,
    /// The host of the CRM's page for this account.
    pub hostname: Option<String>,
    /// The id by which the CRM knows the user as the owner of records, if that is not the id of the user.
    pub owner_id: Option<String>,
    /// The user's time zone.
    pub zone: Option<Zone>,
}

impl Profile {
    /// Returns the user with what this profile says of them. The rest stays as it is.
    pub fn applied_to(&self, user: User) -> User {
        let Profile { account, hostname, owner_id, zone, .. } = self.clone();
        User {
            hostname: hostname.or(user.hostname),
            zone: zone.or(user.zone),
            account: CrmAccount {
                id: account.or(user.account.id),
                owner_id: owner_id.or(user.account.owner_id),
                ..user.account
            },
            ..user
        }
    }
}
