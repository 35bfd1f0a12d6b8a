//! Issues and verifies callers' tokens.

pub mod caller;
mod claims;
mod hmac_provider;

pub use caller::{Caller, TokenError, TokenKeys};
