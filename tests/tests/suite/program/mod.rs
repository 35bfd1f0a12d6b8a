//! The program `call-log`, run as a person runs it.

mod commands;
mod compose;
mod connections;
mod credentials;
mod documents;
mod help;
mod import;
mod privacy;
mod serve;
pub(crate) mod shell;
mod simulation;
mod status;
