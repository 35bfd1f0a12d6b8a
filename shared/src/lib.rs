//! Core of the call-log functions: delivers each telephone call to a CRM exactly once.
//!
//! The modules in reading order. A module may use only modules above it, and not all of them: a test checks the exact
//! list.
//!
//! 1. [`model`]: calls, users, time and identifiers. Knows no JSON dialect, table or CRM, and does no I/O.
//! 2. [`note`]: the text that people read in the CRM, with examples of composing and merging one. Pure; uses only
//!    `model`.
//! 3. [`telemetry`]: metrics and log lines. Knows no use case.
//! 4. [`auth`]: callers' tokens. Knows no table and no CRM.
//! 5. [`adapters`]: the CRM port, and one adapter for each CRM. Knows no table, caller or route.
//! 6. [`store`]: the DynamoDB table with its users, calls and leases. The only module that knows how DynamoDB is used.
//! 7. [`delivery`]: the exactly-once protocol with its use cases create, update and redrive. Knows no HTTP request and
//!    no token.
//! 8. [`login`]: people connect and disconnect CRM accounts. Knows no HTTP request and no token.
//! 9. [`api`]: the HTTP contract: requests to commands, outcomes to responses. The only module that knows messages and
//!    status codes.
//! 10. [`startup`]: builds everything once per process: configuration, secrets, clients. No module uses it.

pub mod adapters;
pub mod api;
pub mod auth;
pub mod delivery;
pub mod login;
pub mod model;
pub mod note;
pub mod startup;
pub mod store;
pub mod telemetry;
