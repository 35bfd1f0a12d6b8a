//! CallDetails about calls, users and time: true whatever the CRM, the table or the protocol.
//!
//! Nothing here reads JSON, does I/O or knows a status code.

pub mod call;
pub mod clock;
pub mod command;
pub mod ids;
pub mod secrets;
pub mod user;

pub use call::{CallDetails, CallDuration, Contact, Direction, Leg, Party};
pub use clock::{Clock, Deadline};
pub use command::{CreateCallLog, Payload, UpdateCallLog};
pub use ids::{CallKey, CallLogId, ContactId, Extension, Platform, SessionId, UserId};
pub use secrets::{OAuthClient, SecretReader};
pub use user::{Credentials, Secret, Settings, User, Zone};
