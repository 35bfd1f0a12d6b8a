//! The exactly-once protocol: create, update and redrive.

mod breaker;
pub mod create;
mod draft;
pub mod grant;
mod lease;
pub mod redrive;
mod retry;
pub mod services;
mod sweep;
pub mod sync_point;
pub mod update;
