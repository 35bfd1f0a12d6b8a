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
    /// The hash of a RingCentral extension's id: [`HashKey::hash`](super::HashKey::hash).
    ExtensionHash
}
identifier! {
    /// The number by which colleagues dial a RingCentral extension.
    ExtensionNumber
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

impl TenantKey {
    /// Returns the tenant of a user whose account is not known: the user alone.
    pub fn of_user(user: &UserKey) -> TenantKey {
        // The prefix keeps it apart from the account with the same id.
        TenantKey { platform: user.platform.clone(), account: format!("user:{}", user.id) }
    }
}

impl TenantKey {
    /// Reads the name by which an operator knows a tenant. Returns `None` for any other text.
    ///
    /// ```
    /// use call_log::model::TenantKey;
    ///
    /// assert_eq!(TenantKey::parse("Example:3151823").unwrap().to_string(), "example:3151823");
    /// assert_eq!(TenantKey::parse("3151823"), None);
    /// ```
    pub fn parse(name: &str) -> Option<TenantKey> {
        let (platform, account) = name.trim().split_once(':')?;
        let account = account.trim().to_owned();
        let platform = Platform::new(platform.trim().to_lowercase())?;
        (!account.is_empty()).then_some(TenantKey { platform, account })
    }
}

/// The name by which an operator knows the tenant, such as `example:3151823`.
impl fmt::Display for TenantKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.platform, self.account)
    }
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

/// The identity of a telephone call: a tenant and RingCentral's session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey {
    /// The tenant. Calls of other tenants are never found.
    pub tenant: TenantKey,
    /// The session.
    pub session: SessionId,
    /// The user whose requests bring a credential of their own for the CRM, which may belong to another account. Only that
    /// user reaches these logs.
    pub header_user: Option<UserId>,
}

/// The identity of one call log of ours: the log of a call for one extension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The call.
    pub call: CallKey,
    /// The number of the log within the call, from 0. It is never given twice.
    pub slot: u32,
}

impl CallKey {
    /// Returns the key of the log with this number.
    pub fn log(&self, slot: u32) -> LogKey {
        LogKey { call: self.clone(), slot }
    }
}

impl LogKey {
    /// Returns the key of the call's first log, whose item lists the others.
    pub fn first(&self) -> LogKey {
        self.call.log(0)
    }

    /// Returns the key of a user of the call's tenant.
    pub fn user(&self, id: &UserId) -> UserKey {
        UserKey { platform: self.call.tenant.platform.clone(), id: id.clone() }
    }
}
