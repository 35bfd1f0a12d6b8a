//! What operators rely on: metrics, secrets and keys, and that nothing leaks.

mod canaries;
mod credentials;
mod metrics;
mod parameters;
mod secrets;
