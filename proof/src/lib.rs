//! The protocol of `docs/exactly-once.md`, proved.

pub mod commands;
pub mod model;
