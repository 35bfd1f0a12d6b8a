//! Tests of the whole system through its public interfaces, one module for each topic.

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
