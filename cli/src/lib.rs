//! The program `call-log`: everything on one machine, and the operator's commands.
//!
//! [`local`] starts the embedded DynamoDB, both routes, the [`example_crm`] and its page, for `serve`, `demo` and the
//! tests. The other commands use a table, on this machine or in AWS: [`environment`] decides which one. Every command
//! fails with a [`CommandError`](error::CommandError), which explains itself.

#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod arguments;
pub mod commands;
mod dynamodb;
pub mod environment;
pub mod error;
#[cfg(test)]
mod error_page;
pub mod example_crm;
mod examples;
mod functions;
pub mod local;
pub mod output;
mod page;
mod server;
mod simulation;
mod state_words;
