//! The HTTP contract: requests become commands, outcomes become responses. The only module that knows status codes and
//! messages.
//!
//! A request passes through three files: [`route`] admits it and writes the response, [`call_log`] has the handlers,
//! and `outcome` has the messages. [`wire`] reads and writes JSON. [`explanations`] documents every message.
//!
//! The Chrome extension shows a message to its user only if the status is 200. So an outcome that the user can act on is
//! a 200 with `successful: false`. Every other failure is an HTTP error with a body of the same shape.

pub mod call_log;
pub mod explanations;
mod outcome;
pub mod route;
pub mod wire;

use std::sync::{Arc, PoisonError, RwLock};

pub use self::{
    call_log::{CREATE_CALL_LOG, UPDATE_CALL_LOG},
    route::{Handler, HandlerFuture, Invocation, MAX_BODY, Route, authenticate},
};
use crate::{auth::TokenKeys, delivery::services::Services};

/// The services and the token keys that the handlers use.
#[derive(Debug)]
pub struct Api {
    /// The services of the delivery.
    pub services: Services,
    token_keys: RwLock<Arc<TokenKeys>>,
}

impl Api {
    /// Returns an API that delivers with these services and verifies tokens with these keys.
    pub fn new(services: Services, token_keys: TokenKeys) -> Api {
        Api { services, token_keys: RwLock::new(Arc::new(token_keys)) }
    }

    /// Replaces the keys that verify tokens.
    pub fn use_token_keys(&self, token_keys: TokenKeys) {
        *self.token_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(token_keys);
    }

    fn token_keys(&self) -> Arc<TokenKeys> {
        self.token_keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
