//! What the whole promises, tested from outside; a module per topic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapters;
mod canaries;
mod chaos;
mod conformance;
mod contract;
mod counts;
mod credentials;
mod defects;
mod events;
mod grants;
mod metrics;
mod openapi;
mod parameters;
mod program;
mod protocol;
mod store;
mod tidy;
mod transitions;
