//! The program `call-log`, as people run it.

mod commands;
mod compose;
mod credentials;
mod run;
mod serve;
