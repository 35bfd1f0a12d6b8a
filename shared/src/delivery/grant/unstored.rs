//! Renewed grants that the table did not take while there was time. Where tokens rotate, such a grant is the only one
//! that works: this process stores it with its next request for that user.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    model::{Credentials, UserKey},
    store::StoredUser,
};

/// The grants of one process; they go with it.
#[derive(Debug, Default)]
pub struct UnstoredGrants(Mutex<HashMap<UserKey, Unstored>>);

#[derive(Debug)]
struct Unstored {
    /// Of the grant that it was made from.
    token_version: i64,
    credentials: Credentials,
}

impl UnstoredGrants {
    /// Keeps what was made from this user's stored grant.
    pub(crate) fn put(&self, user: &StoredUser, credentials: Credentials) {
        let token_version = user.token_version;
        self.grants().insert(user.user.key(), Unstored { token_version, credentials });
    }

    /// What was made from this user's stored grant. Once another has been stored it is worth nothing any more.
    pub(crate) fn take(&self, user: &StoredUser) -> Option<Credentials> {
        let unstored = self.grants().remove(&user.user.key())?;
        (unstored.token_version == user.token_version).then_some(unstored.credentials)
    }

    fn grants(&self) -> MutexGuard<'_, HashMap<UserKey, Unstored>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
