//! What a caller asks for, once both dialects of the request are read.

use serde_json::{Map, Value};

use super::{CallDetails, Contact, Extension, Secret, SessionId, UserId, Zone};

/// Log a call: the seed interface `createCallLog`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCallLog {
    pub session: SessionId,
    pub extension: Option<Extension>,
    /// The body's own idea of the user; it must be the token's.
    pub user: Option<UserId>,
    /// Absent: the caller found nobody for the number in `facts.contact_number`.
    pub contact: Option<Contact>,
    pub facts: CallDetails,
    /// The form fields that the CRM's manifest defines: `{"deals": 412}`.
    pub additional: Map<String, Value>,
    /// Sent to the CRM for this request in place of the stored credential; never stored.
    pub authorization: Option<Secret>,
    pub zone: Option<Zone>,
}

/// Add what became known later: the seed interface `updateCallLog`.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateCallLog {
    pub session: SessionId,
    pub extension: Option<Extension>,
    pub user: Option<UserId>,
    pub facts: CallDetails,
    pub authorization: Option<Secret>,
    pub zone: Option<Zone>,
}

/// What a request to log a call brings that goes into the log: what is kept until the call is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    pub contact: Contact,
    pub facts: CallDetails,
    pub additional: Map<String, Value>,
    /// The request's own.
    pub zone: Option<Zone>,
}
