//! Issues and verifies callers' tokens.

pub mod caller;
mod claims;
mod hmac_provider;
mod seal;
mod token_error;

pub use caller::{Caller, TokenKeys};
pub use token_error::TokenError;
