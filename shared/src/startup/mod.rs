//! What a process builds once, when it starts: configuration, secrets, keys, HTTP clients.

pub mod app;
pub mod aws;
pub mod config;
pub mod data_keys;
pub mod panics;
pub(crate) mod parameters;
pub(crate) mod secrets;
pub mod transport;

use tracing::Level;

use crate::telemetry::logging;

/// Writes the log as CloudWatch reads it, at the level and for the stack that the environment names.
pub fn log_to_cloud() {
    let level = if config::wants_details() { Level::DEBUG } else { Level::INFO };
    logging::to_cloud(config::metrics_stack(), level);
}
