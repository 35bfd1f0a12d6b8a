//! The start of a process: reads the configuration and the secrets, and builds the clients and the services once.

pub mod app;
pub(crate) mod aws;
pub mod config;
pub mod data_keys;
pub mod error;
pub mod oauth_clients;
pub mod panics;
pub mod parameters;
pub(crate) mod secrets;
pub mod transport;

use tracing::Level;

use crate::telemetry::logging;

/// Writes log lines for CloudWatch, with the level and the stack that the environment names.
pub fn log_to_cloud() {
    let level = if config::is_debug() { Level::DEBUG } else { Level::INFO };
    logging::to_cloud(config::metrics_stack(), level);
}
