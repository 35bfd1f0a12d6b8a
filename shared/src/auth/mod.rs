//! Verification of callers' tokens.

pub mod caller;
mod hmac_provider;

pub use caller::{Caller, Keys};
