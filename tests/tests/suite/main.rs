//! What the whole promises, tested from outside; a module per topic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapters;
mod api;
mod architecture;
mod delivery;
mod harness;
mod markdown;
mod notes;
mod operations;
mod program;
