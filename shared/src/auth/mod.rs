//! Who calls us ([`caller`]), and how we may call a CRM ([`grant`]).

pub mod caller;
pub mod grant;
mod hs256;

pub use caller::{Caller, Keys};
