//! What callers send and get: the HTTP contract, through the real function binaries over the Lambda Runtime API.

mod answers;
mod defects;
mod environment;
mod events;
mod failures;
mod identity;
mod openapi;
mod refusals;
mod secrets;
mod tokens;
