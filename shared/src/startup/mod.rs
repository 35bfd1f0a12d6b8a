//! What a process builds once, when it starts: configuration, secrets, keys, HTTP clients.

pub mod app;
pub mod aws;
pub mod config;
pub mod data_keys;
pub mod panics;
pub(crate) mod parameters;
pub mod transport;
