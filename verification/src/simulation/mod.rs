//! The real use-cases on the embedded DynamoDB and a CRM in memory, in one thread whose time and order a driver owns.
//!
//! - [`board`]: where the steps of all invocations stop, until the driver lets one go on;
//! - [`table`]: DynamoDB without a socket, and what can go wrong on the way to it;
//! - [`crm`]: a CRM whose messages can be late, lost or unanswered, and that tells when a promise is broken;
//! - [`tokens`]: a host that renews grants;
//! - [`driver`]: the invocations, what is done to them, and the time;
//! - [`requests`]: what callers send;
//! - [`judge`]: what must hold in the end;
//! - [`laws`]: what holds of many requests at once, of every order, and after a long outage;
//! - [`schedules`]: orders and faults drawn from a seed;
//! - [`points`]: each fault at each step of the [`scenarios`].
//!
//! Everything is of one thread (`thread_local`): a thread is a world, and a schedule in it depends on its seed alone.

pub mod board;
pub mod crm;
pub mod driver;
pub mod judge;
pub mod laws;
pub mod points;
pub mod requests;
pub mod scenarios;
pub mod schedules;
pub mod table;
pub mod tokens;
