//! Calls, users and time, independent of CRMs, the table and the protocol.
//!
//! - [`ids`]: identifiers and the keys made of them;
//! - [`identity`]: which log of a call a request is about; [`tag`]: the identity of a call log in a CRM;
//! - [`call`]: parties, legs and contacts; [`details`]: the details of a call and how they are combined;
//! - [`command`]: what a caller asks for; [`part`]: what a record can do without;
//! - [`user`]: users, credentials, settings and time zones; [`administration`]: what the administrators of a tenant decide;
//! - [`clock`]: time; [`hash`]: stable hashes and hexadecimal text; [`random`]: names that cannot be guessed;
//! - [`explanation`]: the documentation of an error.
//!
//! This module does no I/O and uses no other module of the crate.

pub mod administration;
pub mod call;
pub mod clock;
pub mod command;
pub mod details;
pub mod explanation;
pub mod hash;
pub mod identity;
pub mod ids;
pub mod part;
pub mod random;
pub mod secrets;
pub mod tag;
pub mod user;

pub use administration::{CrmUser, MappedUser, RingCentralUser, TenantSettings, UserMapping};
pub use call::{CallDuration, Contact, Direction, Leg, Party, is_extension_number, is_number};
pub use clock::{Clock, Deadline};
pub use command::{AskedOwner, CreateCallLog, NoteSource, Payload, Sender, UpdateCallLog};
pub use details::CallDetails;
pub use explanation::Explanation;
pub use identity::{ExtensionIdentity, HashKey, KnownLog, Match, NamedExtension, match_log, teach};
pub use ids::{
    BreakerKey, CallKey, CallLogId, ContactId, ExtensionHash, ExtensionNumber, LogKey, Platform, SessionId,
    TenantKey, UserId, UserKey,
};
pub use part::RecordPart;
pub use random::random_name;
pub use secrets::{OAuthClient, OAuthClientError, SecretReader};
pub use tag::CallTag;
pub use user::{Credentials, CrmAccount, Secret, Settings, User, Zone};
