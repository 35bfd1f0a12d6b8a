//! Renewed grants that the table has not stored, because it was not available while there was time.
//!
//! If the CRM rotates refresh tokens, such a grant is the only one that still works. This process stores it with its next
//! request for that user.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    model::{Credentials, UserKey},
    store::StoredUser,
};

/// The unstored grants of one process. They are lost when the process ends.
#[derive(Debug, Default)]
pub struct UnstoredGrants(Mutex<HashMap<UserKey, Unstored>>);

#[derive(Debug)]
struct Unstored {
    /// The version of the stored grant from which this one was renewed.
    token_version: i64,
    credentials: Credentials,
}

impl UnstoredGrants {
    /// Keeps the credentials that were renewed from this user's stored grant.
    pub(crate) fn put(&self, user: &StoredUser, credentials: Credentials) {
        let token_version = user.token_version;
        self.grants().insert(user.user.key(), Unstored { token_version, credentials });
    }

    /// Takes the credentials that were renewed from this user's stored grant. If another grant has been stored since,
    /// they are obsolete and dropped.
    pub(crate) fn take(&self, user: &StoredUser) -> Option<Credentials> {
        let unstored = self.grants().remove(&user.user.key())?;
        (unstored.token_version == user.token_version).then_some(unstored.credentials)
    }

    fn grants(&self) -> MutexGuard<'_, HashMap<UserKey, Unstored>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
