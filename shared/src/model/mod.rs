//! Facts about calls, users and time: true whatever the CRM, the table or the protocol.
//!
//! Nothing here reads JSON, does I/O or knows a status code.

pub mod call;
pub mod clock;
pub mod command;
pub mod ids;
pub mod user;

pub use call::{Contact, Direction, Facts, Leg, Party, TalkTime};
pub use clock::{Clock, Deadline};
pub use command::{CreateCallLog, Payload, UpdateCallLog};
pub use ids::{CallKey, ContactId, Extension, LogId, Platform, SessionId, UserId};
pub use user::{Credentials, Secret, Settings, User, Zone};
