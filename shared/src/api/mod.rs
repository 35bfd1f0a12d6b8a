//! The HTTP contract: requests become commands, outcomes become responses. The only module that knows status codes and
//! messages.
//!
//! A request passes through three files: [`route`] admits it and writes the response, [`call_log`] has the handlers,
//! and `outcome` has the messages. [`wire`] reads and writes JSON. [`explanations`] documents every message. [`account`] finds
//! the CRM account of a user who is stored.
//!
//! The Chrome extension shows a message to its user only if the status is 200. So an outcome that the user can act on is
//! a 200 with `successful: false`. Every other failure is an HTTP error with a body of the same shape.

pub mod account;
mod answer;
pub mod call_log;
pub mod connection;
pub mod contact;
pub mod explanations;
mod outcome;
pub mod route;
pub mod wire;

use std::sync::{Arc, PoisonError, RwLock};

pub use self::{
    call_log::{CREATE_CALL_LOG, FIND_CALL_LOGS, UPDATE_CALL_LOG, UPDATE_CHOICES},
    connection::{SHOW_HOSTNAME, SHOW_LICENSE, VALIDATE},
    contact::{CREATE_CONTACT, FIND_CONTACTS, SEARCH_CONTACTS},
    route::{Handler, HandlerFuture, Invocation, MAX_BODY, Route, authenticate, dispatch, reject_unreadable},
};
use crate::{auth::TokenKeys, delivery::services::Services, model::HashKey};

/// The routes of the function `extension-api`: what the extension asks with a token, beside logging calls.
pub const EXTENSION_ROUTES: &[&Route] = &[
    &FIND_CALL_LOGS,
    &UPDATE_CHOICES,
    &FIND_CONTACTS,
    &SEARCH_CONTACTS,
    &CREATE_CONTACT,
    &SHOW_HOSTNAME,
    &VALIDATE,
    &SHOW_LICENSE,
];

/// All routes, for a server on one machine.
pub const ALL_ROUTES: &[&Route] = &[
    &CREATE_CALL_LOG,
    &UPDATE_CALL_LOG,
    &FIND_CALL_LOGS,
    &UPDATE_CHOICES,
    &FIND_CONTACTS,
    &SEARCH_CONTACTS,
    &CREATE_CONTACT,
    &SHOW_HOSTNAME,
    &VALIDATE,
    &SHOW_LICENSE,
];

/// The services and the secrets that the handlers use.
#[derive(Debug)]
pub struct Api {
    /// The services of the delivery.
    pub services: Services,
    secrets: RwLock<(Arc<TokenKeys>, HashKey)>,
}

impl Api {
    /// Returns an API that delivers with these services, verifies tokens with these keys, and hashes extension ids with
    /// this key.
    pub fn new(services: Services, token_keys: TokenKeys, hash_key: HashKey) -> Api {
        Api { services, secrets: RwLock::new((Arc::new(token_keys), hash_key)) }
    }

    /// Replaces the keys that verify tokens and the key of hashes.
    pub fn use_secrets(&self, token_keys: TokenKeys, hash_key: HashKey) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        *secrets = (Arc::new(token_keys), hash_key);
    }

    /// Returns the key of the hashes of extension ids.
    pub fn hash_key(&self) -> HashKey {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Returns the keys that sign and verify tokens.
    pub fn token_keys(&self) -> Arc<TokenKeys> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}
