//! The test environment: a table, CRMs with faults, and the Lambda Runtime API, all on loopback.
//!
//! - [`dynamodb`]: the embedded DynamoDB, which the functions reach through the unmodified SDK;
//! - [`fake_crm`]: the fakes of all CRMs, each behind a [`proxy`]: [`example_crm`], [`hubspot`], [`pipedrive`],
//!   [`template_crm`], which is also the template for a new adapter, and [`contrary_crm`], which does everything otherwise;
//! - [`ringcentral`]: the fake of RingCentral, which says whose token it is;
//! - [`metered`]: a test app behind counting proxies, and the cases that are counted; [`cost`]: their prices;
//! - [`aws`]: fakes of the two AWS services that a process calls when it starts, Parameter Store and KMS;
//! - [`runtime_api`]: the real function binaries, invoked as Lambda invokes them; [`http_api`]: API Gateway in front of them;
//! - [`log`]: captures log lines, and checks their metrics as CloudWatch does;
//! - [`messages`]: the messages that many tests expect;
//! - [`test_app`]: the app in the test's process, with a clock that the test controls.

#![allow(
    clippy::disallowed_methods,
    reason = "tests may read the clock, spawn tasks and read the environment"
)]
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, and the names of fields say what they are"
)]

pub mod aws;
pub mod cargo;
pub mod contrary_crm;
pub mod cost;
pub mod dynamodb;
pub mod example_crm;
pub mod fake_crm;
pub mod hostile;
pub mod http_api;
pub mod hubspot;
pub mod log;
pub mod messages;
pub mod metered;
pub mod pipedrive;
pub mod proxy;
pub mod ringcentral;
pub mod runtime_api;
pub mod template_crm;
pub mod test_app;

/// The CRM of benchmarks, which need only one.
pub use pipedrive as reference_crm;
