//! The HTTP contract with callers, tested with the real function binaries over the Lambda Runtime API.

mod administration;
mod cached_notes;
mod connections;
mod contacts;
mod crm_failures;
mod deployment;
mod dispositions;
mod environment;
mod events;
mod logins;
mod lookups;
mod openapi;
mod ownership;
mod pages;
mod rejections;
mod responses;
mod server;
mod settings;
mod tokens;
