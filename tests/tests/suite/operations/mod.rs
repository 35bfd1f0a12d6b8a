//! Tests of what operators rely on: metrics, secrets, keys, and logs without secrets or personal data.

mod canaries;
mod credentials;
mod memory;
mod metrics;
mod oauth_clients;
mod parameters;
mod secrets;
