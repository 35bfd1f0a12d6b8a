//! Identifiers. Each has its own type, so that the compiler rejects one used in place of another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text of an identifier was empty or blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the identifier is blank")]
pub struct BlankIdentifier;

/// Declares a non-blank text identifier.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the identifier, or `None` if the text is empty or blank.
            pub fn new(text: impl Into<String>) -> Option<Self> {
                let text = text.into();
                (!text.trim().is_empty()).then_some(Self(text))
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BlankIdentifier;

            fn try_from(text: String) -> Result<Self, BlankIdentifier> {
                Self::new(text).ok_or(BlankIdentifier)
            }
        }

        impl From<$name> for String {
            fn from(identifier: $name) -> String {
                identifier.0
            }
        }
    };
}

identifier! {
    /// The id of a CRM user, as the caller's token names it: `12345-example`.
    UserId
}
identifier! {
    /// The name of a CRM's adapter, in lower case: `example`.
    Platform
}
identifier! {
    /// RingCentral's `sessionId`: one telephone call with all its legs. Never `"0"`, which RingCentral gives to
    /// conferences that it cannot tell apart.
    SessionId
}
identifier! {
    /// The CRM's own identifier of a call log.
    CallLogId
}
identifier! {
    /// The CRM's own identifier of a contact.
    ContactId
}
identifier! {
    /// The RingCentral extension whose log of a session is meant, where several extensions log the same session:
    /// the hashed extension id, or the extension number if there is no hash.
    Extension
}

/// The identity of a CRM user. User ids are unique only within a platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey {
    /// The CRM.
    pub platform: Platform,
    /// The user in that CRM.
    pub id: UserId,
}

impl fmt::Display for UserKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.id, self.platform)
    }
}

/// The identity of a tenant: platform and CRM account. All users of one CRM account share its limits and its outages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantKey {
    /// The CRM.
    pub platform: Platform,
    /// The account in that CRM. [`User::tenant`](super::User::tenant) says how it is found.
    pub account: String,
}

/// The identity of those whose requests a CRM counts together in its rate limits. They share a circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerKey {
    /// All users of a tenant.
    Tenant(TenantKey),
    /// One user.
    User(UserKey),
}

impl fmt::Display for BreakerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BreakerKey::Tenant(tenant) => write!(out, "{} {}", tenant.platform, tenant.account),
            BreakerKey::User(user) => user.fmt(out),
        }
    }
}

/// The identity of one call log of ours: a user, a session, and the extension if the caller names one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// The user whose log it is.
    pub user: UserKey,
    /// The telephone call.
    pub session: SessionId,
    /// `None`: the session's log that belongs to no particular extension.
    pub extension: Option<Extension>,
}

impl CallKey {
    /// Returns the key of the same session's log that belongs to no particular extension.
    pub fn without_extension(&self) -> CallKey {
        CallKey { extension: None, ..self.clone() }
    }
}
