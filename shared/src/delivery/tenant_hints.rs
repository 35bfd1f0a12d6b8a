//! The tenants of users, as far as this process has read them.
//!
//! A call's items are in the partition of its tenant. If the caller's token does not name the tenant, a hint does, so that
//! the item can be claimed while the user is read. A hint may be wrong, because the user may have moved since: what was
//! claimed with it counts only if the user who was read belongs to that tenant.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::model::{TenantKey, UserKey};

/// The number of users whose tenants are remembered. A user who is not remembered costs one more round trip.
const MAX_USERS: usize = 1_000;

/// The tenants of the users whom this process has read.
#[derive(Debug, Default)]
pub struct TenantHints(Mutex<BTreeMap<UserKey, TenantKey>>);

impl TenantHints {
    /// Returns the tenant to which the user belonged when it was remembered.
    pub fn get(&self, user: &UserKey) -> Option<TenantKey> {
        self.known().get(user).cloned()
    }

    /// Remembers the tenant of a user. If there are too many users, another one is forgotten.
    pub fn remember(&self, user: UserKey, tenant: TenantKey) {
        let mut known = self.known();
        known.insert(user.clone(), tenant);
        if known.len() > MAX_USERS {
            let other = known.keys().find(|other| **other != user).cloned();
            other.map(|other| known.remove(&other));
        }
    }

    /// Forgets the tenant of a user, because it was wrong.
    pub fn forget(&self, user: &UserKey) {
        self.known().remove(user);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<UserKey, TenantKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Platform, UserId};

    fn user(id: usize) -> UserKey {
        UserKey { platform: Platform::new("example").unwrap(), id: UserId::new(id.to_string()).unwrap() }
    }

    fn tenant(account: &str) -> TenantKey {
        TenantKey { platform: Platform::new("example").unwrap(), account: account.to_owned() }
    }

    #[test]
    fn the_last_tenant_of_a_user_is_remembered_until_it_is_forgotten() {
        let hints = TenantHints::default();
        assert_eq!(hints.get(&user(1)), None);
        hints.remember(user(1), tenant("a"));
        hints.remember(user(2), tenant("b"));
        hints.remember(user(1), tenant("c"));
        assert_eq!((hints.get(&user(1)), hints.get(&user(2))), (Some(tenant("c")), Some(tenant("b"))));
        hints.forget(&user(1));
        assert_eq!((hints.get(&user(1)), hints.get(&user(2))), (None, Some(tenant("b"))));
    }

    #[test]
    fn the_newest_user_is_remembered_however_many_there_are() {
        let hints = TenantHints::default();
        for id in (0..2 * MAX_USERS).rev() {
            hints.remember(user(id), tenant("a"));
            assert_eq!(hints.get(&user(id)), Some(tenant("a")));
        }
        assert_eq!(hints.known().len(), MAX_USERS);
    }
}
