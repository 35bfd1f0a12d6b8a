//! Who calls us ([`caller`]), and how we may call a CRM ([`grant`], [`unstored`]).

pub mod caller;
pub mod grant;
mod hs256;
pub mod unstored;

pub use caller::{Caller, Keys};
