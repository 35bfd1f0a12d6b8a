//! What the call-log functions share. A request's way through the house:
//!
//! 1. [`http`], the edge: lets it in, answers it;
//! 2. [`wire`]: its JSON, in either dialect, becomes a command;
//! 3. [`auth`]: who calls us, and how we may call the CRM;
//! 4. [`create`] and [`update`], the use-cases: the steps in order;
//! 5. [`store`]: who may touch the CRM for this call, and what is known of it;
//! 6. [`note`]: what people read in the CRM, composed, parsed, merged;
//! 7. [`adapters`]: the CRMs.
//!
//! [`metrics`] goes along with the request, and takes down for the log what becomes of it ([`logging`]).
//! [`model`] is what all of them speak of; [`app`], [`config`] and [`transport`] are made once per process.

pub mod adapters;
pub mod app;
mod audit;
pub mod auth;
mod aws;
pub mod config;
pub mod create;
pub mod data_keys;
mod deferral;
mod draft;
pub mod http;
mod lease;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod note;
pub mod panics;
mod parameters;
pub mod redrive;
pub mod steps;
pub mod store;
pub mod transport;
pub mod update;
pub mod wire;
