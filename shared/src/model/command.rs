//! Requests of callers, after both dialects have been read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CallDetails, Contact, Extension, Secret, SessionId, UserId, Zone, user};

/// A request to log a call: `createCallLog` of App Connect.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCallLog {
    /// The telephone call.
    pub session: SessionId,
    /// The extension whose log of the call is meant, if the request names one.
    pub extension: Option<Extension>,
    /// The user that the body names, if any. It must be the token's user.
    pub user: Option<UserId>,
    /// The CRM contact. `None`: the caller found no contact for `details.contact_number`.
    pub contact: Option<Contact>,
    /// The details that the request brings.
    pub details: CallDetails,
    /// The form fields that the CRM's manifest defines: `{"deals": 412}`.
    pub additional: Map<String, Value>,
    /// An `Authorization` header that is sent to the CRM for this request instead of the stored credential. Never
    /// stored.
    pub authorization: Option<Secret>,
    /// The time zone that the request names. It overrides the user's.
    pub zone: Option<Zone>,
}

/// A request to add what became known later: `updateCallLog` of App Connect.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateCallLog {
    /// The telephone call.
    pub session: SessionId,
    /// The extension whose log of the call is meant, if the request names one.
    pub extension: Option<Extension>,
    /// The user that the body names, if any. It must be the token's user.
    pub user: Option<UserId>,
    /// The details that the request brings.
    pub details: CallDetails,
    /// See [`CreateCallLog::authorization`].
    pub authorization: Option<Secret>,
    /// The time zone that the request names. It overrides the user's.
    pub zone: Option<Zone>,
}

/// The part of a [`CreateCallLog`] that goes into the CRM record. The table keeps it until the call is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The CRM contact.
    pub contact: Contact,
    /// The details that the request brought.
    pub details: CallDetails,
    /// The form fields that the CRM's manifest defines.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub additional: Map<String, Value>,
    /// The time zone that the request named.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "user::deserialize_known_zone"
    )]
    pub zone: Option<Zone>,
}
