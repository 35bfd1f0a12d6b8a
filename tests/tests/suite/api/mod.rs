//! What callers send and get: the HTTP contract, through the real function binaries over the Lambda Runtime API.

mod answers;
mod environment;
mod failures;
mod identity;
mod notes;
mod refusals;
mod secrets;
mod stage;
mod tokens;

pub(crate) use stage::with;
