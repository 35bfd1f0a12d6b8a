//! What the tests stand on: a table, a CRM with faults, and the Lambda Runtime API, all on loopback.
//!
//! - [`dynamodb`]: the embedded DynamoDB, which the functions reach through the unmodified SDK;
//! - [`fake_crm`]: the fakes of all CRMs, each behind a [`proxy`]: [`example_crm`], [`pipedrive`] and
//!   [`template_crm`], which is also the template for a new adapter;
//! - [`meter`]: counts what passes, and makes the way longer; [`metered`]: a world that is counted so, and its cases;
//!   [`cost`]: what that costs;
//! - [`aws`]: the Parameter Store and the KMS that a process asks when it starts;
//! - [`runtime_api`]: the real function binaries, invoked as Lambda invokes them;
//! - [`log`]: what is said, and whether CloudWatch would take it;
//! - [`test_app`]: the use-cases in this process, with a clock of the test's own.

#![allow(clippy::disallowed_methods, reason = "the tests stand outside of the house")]
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, and the names of fields say what they are"
)]

pub mod aws;
pub mod cost;
pub mod dynamodb;
pub mod example_crm;
pub mod fake_crm;
pub mod log;
pub mod metered;
pub mod pipedrive;
pub mod proxy;
pub mod runtime_api;
pub mod template_crm;
pub mod test_app;
