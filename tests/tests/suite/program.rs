//! The program `call-log`, as people run it.

mod commands;
mod compose;
mod credentials;
pub(crate) mod run;
mod serve;
