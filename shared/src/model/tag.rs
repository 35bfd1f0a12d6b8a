//! The call tag: the identity of a call log in a CRM.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CallKey, LogKey, UserId};

/// The alphabet of base32 (RFC 4648, section 6) in lower case.
const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
/// The number of characters, of five bits each.
const LENGTH: usize = 26;

/// The identity of a call log in a CRM: 26 characters of `a-z2-7`, the same in every attempt. It contains no personal data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallTag(String);

impl CallTag {
    /// Returns the tag of a call log.
    pub fn of(key: &LogKey) -> CallTag {
        let CallKey { tenant, session, header_user } = &key.call;
        let slot = key.slot.to_string();
        let user = header_user.as_ref().map_or("", UserId::as_str);
        let parts = [tenant.platform.as_str(), &tenant.account, session.as_str(), &slot, user];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.as_bytes());
            // This byte never occurs in UTF-8, so `ab` + `c` and `a` + `bc` differ.
            hash.update([0xff]);
        }
        let digest = hash.finalize();
        let digit = |index: usize| {
            let (byte, shift) = (index * 5 / 8, index * 5 % 8);
            let pair = u16::from_be_bytes([digest[byte], digest[byte + 1]]);
            char::from(ALPHABET[usize::from(pair >> (11 - shift)) & 31])
        };
        CallTag((0..LENGTH).map(digit).collect())
    }

    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Platform, SessionId, TenantKey};

    fn key(account: &str, session: &str, slot: u32, header_user: Option<&str>) -> LogKey {
        let tenant = TenantKey { platform: Platform::new("example").unwrap(), account: account.to_owned() };
        let session = SessionId::new(session).unwrap();
        CallKey { tenant, session, header_user: header_user.and_then(UserId::new) }.log(slot)
    }

    #[test]
    fn a_tag_never_changes_and_differs_for_each_call_log() {
        let keys = [
            key("7", "1", 0, None),
            key("71", "1", 0, None),
            key("7", "11", 0, None),
            key("7", "1", 1, None),
            key("7", "1", 11, None),
            key("7", "1", 0, Some("1")),
        ];
        let tags: std::collections::BTreeSet<_> = keys.iter().map(CallTag::of).collect();
        assert_eq!(tags.len(), keys.len());
        assert!(
            tags.iter()
                .all(|tag| tag.as_str().len() == 26
                    && tag.as_str().bytes().all(|byte| ALPHABET.contains(&byte)))
        );
        assert_eq!(CallTag::of(&keys[0]).as_str(), "teendgxgzro6dznpqakm4imrvq");
    }
}
