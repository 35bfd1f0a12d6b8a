//! The real use-cases on the embedded DynamoDB and a CRM in memory, in one thread whose time and order a driver owns.
//!
//! - [`scheduler`]: where the steps of all invocations stop, until the driver lets one go on;
//! - [`table`]: DynamoDB without a socket, and what can go wrong on the way to it;
//! - [`crm`]: a CRM whose messages can be late, lost or unanswered, and that tells when a promise is broken;
//! - [`tokens`]: a host that renews grants;
//! - [`driver`]: the invocations, what is done to them, and the time;
//! - [`requests`]: what callers send;
//! - [`oracle`]: what must hold in the end;
//! - [`properties`]: what holds of many requests at once, of every order, and after a long outage;
//! - [`schedules`]: orders and faults drawn from a seed;
//! - [`faults`]: each fault at each step of the [`scenarios`].
//!
//! Everything is of one thread (`thread_local`): a thread is a world, and a schedule in it depends on its seed alone.

pub mod crm;
pub mod driver;
pub mod faults;
pub mod oracle;
pub mod properties;
pub mod requests;
pub mod scenarios;
pub mod scheduler;
pub mod schedules;
pub mod table;
pub mod tokens;
