//! Guarantees for operators: metrics, secrets and keys, and no leaks of secrets or personal data.

mod canaries;
mod credentials;
mod metrics;
mod parameters;
mod secrets;
