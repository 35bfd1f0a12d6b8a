//! The HTTP contract: requests become commands, outcomes become responses. The only module that knows status codes and
//! messages.
//!
//! A request passes through three files: [`route`] admits it and writes the response, [`call_log`] has the handlers,
//! and `outcome` has the messages. [`wire`] reads and writes JSON. [`explanations`] documents every message.
//!
//! The Chrome extension shows a message to its user only if the status is 200. So an outcome that the user can act on is
//! a 200 with `successful: false`. Every other failure is an HTTP error with a body of the same shape.

pub mod administration;
mod answer;
pub mod call_log;
pub mod connection;
pub mod contact;
pub mod explanations;
pub mod login;
pub mod manifest;
mod outcome;
pub mod pages;
pub mod route;
pub mod server;
pub mod settings;
pub mod wire;

use std::sync::{Arc, PoisonError, RwLock};

pub use self::{
    administration::{
        CHANGE_ADMINISTRATION, CHANGE_LOGGING_VALUES, MAP_USERS, MAP_USERS_AGAIN, SHOW_ADMINISTRATION,
        SHOW_LOGGING_VALUES,
    },
    call_log::{CACHE_NOTE, CREATE_CALL_LOG, FIND_CALL_LOGS, UPDATE_CALL_LOG, UPDATE_CHOICES},
    connection::{SHOW_HOSTNAME, SHOW_LICENSE, VALIDATE},
    contact::{CREATE_CONTACT, FIND_CONTACTS, SEARCH_CONTACTS},
    login::{CONNECT_WITH_CODE, CONNECT_WITH_KEY, DISCONNECT},
    pages::{CONNECT_BY_FORM, SHOW_CONNECT_PAGE, SHOW_CONNECT_RESULT, SHOW_LANDING_PAGE, START_CONNECT},
    route::{Callers, Invocation, Route, authenticate, dispatch, reject_unreadable, route_of},
    server::{HASH_IDS, SHOW_LIFE, SHOW_MANIFEST, SHOW_NEWS, SHOW_PRELOADED_SETTINGS, SHOW_VERSION},
    settings::{CHANGE_SETTINGS, SHOW_SETTINGS},
};
use crate::{auth::TokenKeys, delivery::services::Services, login::AllowedTenants, model::HashKey};
use route::Rejection;

/// The routes of the function `extension-api`: what the extension asks with a token, beside logging calls.
pub const EXTENSION_ROUTES: &[&Route] = &[
    &FIND_CALL_LOGS,
    &UPDATE_CHOICES,
    &CACHE_NOTE,
    &FIND_CONTACTS,
    &SEARCH_CONTACTS,
    &CREATE_CONTACT,
    &SHOW_HOSTNAME,
    &VALIDATE,
    &SHOW_LICENSE,
    &SHOW_SETTINGS,
    &CHANGE_SETTINGS,
    &DISCONNECT,
    &SHOW_ADMINISTRATION,
    &CHANGE_ADMINISTRATION,
    &MAP_USERS,
    &MAP_USERS_AGAIN,
    &SHOW_LOGGING_VALUES,
    &CHANGE_LOGGING_VALUES,
];

/// The routes of the function `connect`: what needs no token.
pub const OPEN_ROUTES: &[&Route] = &[
    &CONNECT_WITH_CODE,
    &CONNECT_WITH_KEY,
    &SHOW_CONNECT_PAGE,
    &START_CONNECT,
    &CONNECT_BY_FORM,
    &SHOW_CONNECT_RESULT,
    &SHOW_LANDING_PAGE,
    &SHOW_MANIFEST,
    &HASH_IDS,
    &SHOW_LIFE,
    &SHOW_VERSION,
    &SHOW_NEWS,
    &SHOW_PRELOADED_SETTINGS,
];

/// Returns all routes, for a server on one machine.
pub fn all_routes() -> Vec<&'static Route> {
    [&[&CREATE_CALL_LOG, &UPDATE_CALL_LOG], EXTENSION_ROUTES, OPEN_ROUTES].concat()
}

/// The operator's decisions about the address of the API and about its people.
#[derive(Clone, Debug)]
pub struct Site {
    /// The address of the API for people's browsers, without a slash at its end. `None`: the one that the platform says.
    pub url: Option<String>,
    /// The tenants whose people may connect by themselves, beside those in the table.
    pub allowed: AllowedTenants,
}

/// The services and the secrets that the handlers use.
#[derive(Debug)]
pub struct Api {
    /// The services of the delivery.
    pub services: Services,
    /// The operator's decisions.
    pub site: Site,
    secrets: RwLock<(Arc<TokenKeys>, HashKey)>,
}

impl Api {
    /// Returns an API that delivers with these services, verifies tokens with these keys, and hashes extension ids with
    /// this key.
    pub fn new(services: Services, site: Site, token_keys: TokenKeys, hash_key: HashKey) -> Api {
        Api { services, site, secrets: RwLock::new((Arc::new(token_keys), hash_key)) }
    }

    /// Returns the address of the API, without a slash at its end.
    fn url(&self, invocation: &Invocation) -> Result<String, Rejection> {
        self.site.url.clone().or_else(|| invocation.url.clone()).ok_or(Rejection::NoUrl)
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
