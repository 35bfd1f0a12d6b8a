//! The program `call-log`: everything on one machine, and the operator's commands.
//!
//! [`local`] puts the whole together: the embedded DynamoDB, the two routes, the [`example_crm`] and its [`page`].
//! `serve`, `demo` and the tests start from it. The other commands speak to a table, here or in AWS.

pub mod arguments;
pub mod commands;
pub mod environment;
pub mod example_crm;
mod examples;
pub mod local;
pub mod output;
mod page;
