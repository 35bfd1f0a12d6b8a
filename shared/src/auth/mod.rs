//! Issues and verifies callers' tokens.

pub mod caller;
mod hmac_provider;

pub use caller::{Caller, TokenError, TokenKeys};
