//! The exactly-once protocol: create, update and redrive.

mod attempt;
mod breaker;
pub mod create;
mod draft;
mod failure;
pub mod grant;
mod lease;
mod recovery;
pub mod redrive;
mod retry;
pub mod services;
mod sweep;
pub mod sync_point;
pub mod update;
mod write;

pub use failure::Failure;
