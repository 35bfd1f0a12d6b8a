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
    /// The API host that came with the grant, or the user's.
    api_host: Option<String>,
}

impl UnstoredGrants {
    /// Keeps the credentials that were renewed from this user's stored grant, and the user's API host.
    pub(crate) fn put(&self, user: &StoredUser, credentials: Credentials) {
        let (token_version, api_host) = (user.token_version, user.user.account.api_host.clone());
        self.grants().insert(user.user.key(), Unstored { token_version, credentials, api_host });
    }

    /// Takes the credentials that were renewed from this user's stored grant, and gives the user the API host that was
    /// kept with them. If another grant has been stored since, they are obsolete and dropped.
    pub(crate) fn take(&self, user: &mut StoredUser) -> Option<Credentials> {
        let unstored = self.grants().remove(&user.user.key())?;
        if unstored.token_version != user.token_version {
            return None;
        }
        user.user.account.api_host = unstored.api_host;
        Some(unstored.credentials)
    }

    fn grants(&self) -> MutexGuard<'_, HashMap<UserKey, Unstored>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
