//! The program `call-log`, as people run it.

mod commands;
mod compose;
mod credentials;
mod documents;
mod help;
mod import;
mod serve;
pub(crate) mod shell;
