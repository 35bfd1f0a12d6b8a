//! Requests of callers, after both dialects have been read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    CallDetails, Contact, ExtensionIdentity, NamedExtension, Secret, SessionId, TenantKey, UserId, UserKey,
    Zone, user,
};

/// The sender of a request, and the log that the request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The user that the token identifies.
    pub user: UserKey,
    /// The tenant that the token names. A token of another issuer names none.
    pub tenant: Option<TenantKey>,
    /// When the token was issued, in seconds since 1970, if it says so.
    pub issued_at: Option<i64>,
    /// The extension that the request names.
    pub identity: ExtensionIdentity,
}

/// A request to log a call: `createCallLog` of App Connect.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCallLog {
    /// The telephone call.
    pub session: SessionId,
    /// The extension whose log of the call is meant, in all ways in which the request names it.
    pub extension: NamedExtension,
    /// The user that the body names, if any. It must be the token's user.
    pub user: Option<UserId>,
    /// The token of the user who should own the record, if the request asks for another owner than the caller. Never
    /// stored.
    pub owner_token: Option<Secret>,
    /// RingCentral's id of the extension whose user should own the record, if the request asks for another owner than the
    /// caller. The token takes precedence.
    pub owner_extension: Option<String>,
    /// The CRM contact. `None`: it is looked up by `details.contact_number`.
    pub contact: Option<Contact>,
    /// The details that the request brings.
    pub details: CallDetails,
    /// The request has a note, which may be empty, and no placeholder for it. See [`NoteSource::CreateWithNote`].
    pub has_note: bool,
    /// The form fields that the CRM's manifest defines: `{"deals": 412}`.
    pub additional: Map<String, Value>,
    /// An `Authorization` header that is sent to the CRM for this request instead of the stored credential. Never
    /// stored.
    pub authorization: Option<Secret>,
    /// The time zone that the request names. It overrides the user's.
    pub zone: Option<Zone>,
}

/// The user who should own the record of a create, if that is not the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedOwner {
    /// The user that a valid token identifies.
    User {
        /// The user.
        user: UserKey,
        /// The tenant that the token names.
        tenant: Option<TenantKey>,
        /// When the token was issued, in seconds since 1970, if it says so.
        issued_at: Option<i64>,
    },
    /// It is not known who, because the token is not valid.
    Unproven,
}

impl AskedOwner {
    /// Returns the id of the user, unless the token is not valid in this tenant.
    pub fn id_in(&self, tenant: &TenantKey) -> Option<&UserId> {
        match self {
            AskedOwner::User { user, tenant: named, .. } => {
                let is_valid =
                    user.platform == tenant.platform && named.as_ref().is_none_or(|named| named == tenant);
                is_valid.then_some(&user.id)
            }
            AskedOwner::Unproven => None,
        }
    }

    /// Returns when the token was issued, in seconds since 1970, if it says so.
    pub fn issued_at(&self) -> Option<i64> {
        match self {
            AskedOwner::User { issued_at, .. } => *issued_at,
            AskedOwner::Unproven => None,
        }
    }
}

/// A request to add what became known later: `updateCallLog` of App Connect.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateCallLog {
    /// The telephone call.
    pub session: SessionId,
    /// The extension whose log of the call is meant, in all ways in which the request names it.
    pub extension: NamedExtension,
    /// The user that the body names, if any. It must be the token's user.
    pub user: Option<UserId>,
    /// The details that the request brings.
    pub details: CallDetails,
    /// The details are a note that was sent before the call is logged. See [`NoteSource::CachedNote`].
    pub is_cached_note: bool,
    /// See [`CreateCallLog::authorization`].
    pub authorization: Option<Secret>,
    /// The time zone that the request names. It overrides the user's.
    pub zone: Option<Zone>,
}

/// The kind of request that brings details, as far as it decides about a *cached note*: a note that its user sent before the
/// call is logged. A create of that user may have a note of its own, which the user has written later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteSource {
    /// An update, or a create without a note.
    #[default]
    #[serde(rename = "u")]
    Other,
    /// A create that has a note, which may be empty. It replaces the note that its user has cached.
    #[serde(rename = "n")]
    CreateWithNote,
    /// A cached note, and the time of its arrival in milliseconds since 1970.
    #[serde(rename = "c")]
    CachedNote(i64),
}

impl NoteSource {
    /// Returns `true` for a cached note.
    pub fn is_cached_note(self) -> bool {
        matches!(self, NoteSource::CachedNote(_))
    }
}

/// The part of a [`CreateCallLog`] that goes into the CRM record. The table keeps it until the call is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The CRM contact. `None`: it has to be looked up by `details.contact_number`. So no attempt has sent anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The details that the request brought.
    pub details: CallDetails,
    /// See [`CreateCallLog::has_note`]. The item of the log has it, not the stored payload.
    #[serde(skip)]
    pub has_note: bool,
    /// The form fields that the CRM's manifest defines.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub additional: Map<String, Value>,
    /// The user who should own the record, if that is not the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// When the token of that user was issued, in seconds since 1970, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_token_issued_at: Option<i64>,
    /// RingCentral's id of the extension whose user should own the record, if that is not the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_extension: Option<String>,
    /// The time zone that the request named.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "user::deserialize_known_zone"
    )]
    pub zone: Option<Zone>,
    /// The request brought its own authorization. It is not stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_authorization: bool,
}
