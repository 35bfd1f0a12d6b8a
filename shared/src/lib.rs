//! Core of the call-log functions: delivers each phone call to a CRM exactly once.
//!
//! The modules in reading order:
//!
//! 1. [`model`]: calls, users, time and identifiers. Knows no JSON dialect, I/O, table or CRM.
//! 2. [`note`]: the text that people read in the CRM: composing, parsing, merging. Pure; knows only `model`.
//! 3. [`adapters`]: the CRM port and one adapter per CRM. Knows no table, caller or HTTP contract of ours.
//! 4. [`store`]: the DynamoDB table: users, calls, leases. The only module that knows DynamoDB.
//! 5. [`delivery`]: the exactly-once protocol: create, update, redrive. Knows no HTTP request and no caller's token.
//! 6. [`auth`]: verification of callers' tokens. Knows no table and no CRM.
//! 7. [`api`]: the HTTP contract: JSON to commands, outcomes to responses. The only module that knows our messages.
//! 8. [`telemetry`]: metrics and log lines. Knows no use case.
//! 9. [`startup`]: builds everything once per process: configuration, secrets, clients.

pub mod adapters;
pub mod api;
pub mod auth;
pub mod delivery;
pub mod model;
pub mod note;
pub mod startup;
pub mod store;
pub mod telemetry;
