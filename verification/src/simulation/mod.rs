//! A deterministic simulation: the real use-cases run on the embedded DynamoDB and a CRM in memory, in one thread. A driver
//! decides which invocation continues and how much time passes.
//!
//! - [`scheduler`]: pauses every invocation at each step until the driver resumes it;
//! - [`table`]: DynamoDB without a socket, and the faults on the way to it;
//! - [`crm`]: a fake CRM whose responses can be late or lost;
//! - [`tokens`]: a token host that renews grants;
//! - [`application`]: the application, its table and its users;
//! - [`driver`]: the invocations, what happens to them, and the time;
//! - [`senders`]: the users who send requests, and what they know of extensions and accounts;
//! - [`requests`]: the requests of callers, and their responses;
//! - [`oracle`]: the promises, checked when everything has ended;
//! - [`faults`]: each fault at each step of the [`scenarios`];
//! - [`plan`]: what a random schedule is about;
//! - [`schedules`]: orders and faults drawn from a seed;
//! - [`properties`]: many requests at the same time, every order, a long outage, people's edits.
//!
//! All state is thread-local: each thread is a simulation of its own, and a schedule depends only on its seed.

pub mod application;
pub mod crm;
pub mod driver;
pub mod faults;
pub mod oracle;
pub mod plan;
pub mod properties;
pub mod requests;
pub mod scenarios;
pub mod scheduler;
pub mod schedules;
pub mod senders;
pub mod table;
pub mod tokens;
