//! What the whole promises, tested from outside; a module per topic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapters;
mod chaos;
mod conformance;
mod contract;
mod counts;
mod defects;
mod events;
mod grants;
mod metrics;
mod parameters;
mod program;
mod protocol;
mod store;
mod tidy;
