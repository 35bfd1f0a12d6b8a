//! Identifiers. No two of them share a type, so that none can stand in another's place.

use std::fmt;

/// Declares a non-empty text identifier.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier, unless the text is empty or blank.
            pub fn new(text: impl Into<String>) -> Option<Self> {
                let text = text.into();
                (!text.trim().is_empty()).then_some(Self(text))
            }

            /// The identifier as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// A CRM user, as the caller's token names it: `12345-pipedrive`.
    UserId
}
identifier! {
    /// The name of a CRM's adapter, in lower case: `pipedrive`.
    Platform
}
identifier! {
    /// RingCentral's `sessionId`: one telephone call, whatever its legs. Never `"0"`, which RingCentral gives to
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
    /// Whose log of a session it is, where several extensions log the same session: the hashed extension id, or
    /// else the extension number.
    Extension
}

/// What identifies one call log of ours: a user, a session, and the extension when the caller names one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    pub user: UserId,
    pub platform: Platform,
    pub session: SessionId,
    pub extension: Option<Extension>,
}

impl CallKey {
    /// The same session's log that belongs to no extension in particular.
    pub fn without_extension(&self) -> CallKey {
        CallKey { extension: None, ..self.clone() }
    }
}
