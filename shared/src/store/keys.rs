//! Keys of the table. No other module makes or reads them.
//!
//! The user in a key comes from the caller's token, never from a request's body, so that no request reaches another
//! user's items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    BreakerKey,
    attributes::{PK, SK, text},
};
use crate::model::{CallKey, Extension, Platform, SessionId, UserId, UserKey};

/// An item: attributes by name.
pub(super) type TableItem = HashMap<String, AttributeValue>;

/// The sort key of every user's item.
pub(super) const USER_SORT_KEY: &str = "USER";
const BREAKER_SORT_KEY: &str = "BREAKER";
const USER_PREFIX: &str = "U#";
const TENANT_PREFIX: &str = "T#";
const CALL_PREFIX: &str = "C#";

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableKey {
    partition: String,
    sort: String,
}

impl TableKey {
    pub(super) fn user(user: &UserKey) -> TableKey {
        TableKey { partition: user_partition(user), sort: USER_SORT_KEY.to_owned() }
    }

    pub(super) fn call(call: &CallKey) -> TableKey {
        let extension = call.extension.as_ref().map_or("", Extension::as_str);
        let sort = format!("{}{}", session_prefix(&call.session), escape(extension));
        TableKey { partition: user_partition(&call.user), sort }
    }

    pub(super) fn breaker(key: &BreakerKey) -> TableKey {
        let partition = match key {
            BreakerKey::Tenant(tenant) => {
                let (platform, account) = (escape(tenant.platform.as_str()), escape(&tenant.account));
                format!("{TENANT_PREFIX}{platform}#{account}")
            }
            BreakerKey::User(user) => user_partition(user),
        };
        TableKey { partition, sort: BREAKER_SORT_KEY.to_owned() }
    }

    /// The key of an item that never exists.
    pub(super) fn unused() -> TableKey {
        TableKey { partition: "unused".to_owned(), sort: "unused".to_owned() }
    }

    /// Returns the key of an item that was read; `None` if the item lacks it.
    pub(super) fn of_item(item: &TableItem) -> Option<TableKey> {
        let part = |name| Some(item.get(name)?.as_s().ok()?.clone());
        Some(TableKey { partition: part(PK)?, sort: part(SK)? })
    }

    /// Returns the user whose partition the key is in, if it is a user's.
    pub(super) fn user_key(&self) -> Option<UserKey> {
        let (platform, id) = self.partition.strip_prefix(USER_PREFIX)?.split_once('#')?;
        Some(UserKey { platform: Platform::new(unescape(platform))?, id: UserId::new(unescape(id))? })
    }

    /// Returns the call whose item has this key, if it is a call's.
    pub(super) fn call_key(&self) -> Option<CallKey> {
        let (session, extension) = self.sort.strip_prefix(CALL_PREFIX)?.split_once('#')?;
        Some(CallKey {
            user: self.user_key()?,
            session: SessionId::new(unescape(session))?,
            extension: Extension::new(unescape(extension)),
        })
    }

    pub(super) fn partition(&self) -> &str {
        &self.partition
    }

    /// Returns the data that is authenticated with the ciphertext in an attribute of this item, so that a ciphertext
    /// copied to another item or attribute does not decrypt.
    pub(super) fn associated_data(&self, attribute: &str) -> String {
        format!("{}|{}|{attribute}", self.partition, self.sort)
    }

    pub(super) fn into_item(self) -> TableItem {
        TableItem::from([(PK.to_owned(), text(self.partition)), (SK.to_owned(), text(self.sort))])
    }
}

pub(super) fn user_partition(user: &UserKey) -> String {
    format!("{USER_PREFIX}{}#{}", escape(user.platform.as_str()), escape(user.id.as_str()))
}

/// Returns the beginning of the sort keys of all calls of a session.
pub(super) fn session_prefix(session: &SessionId) -> String {
    format!("{CALL_PREFIX}{}#", escape(session.as_str()))
}

/// `#` separates the parts of a key, so no part may contain it.
fn escape(part: &str) -> String {
    part.replace('%', "%25").replace('#', "%23")
}

fn unescape(part: &str) -> String {
    part.replace("%23", "#").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TenantKey;

    fn user(id: &str) -> UserKey {
        UserKey { platform: Platform::new("pipedrive").unwrap(), id: UserId::new(id).unwrap() }
    }

    #[test]
    fn a_call_is_read_back_from_its_key() {
        for (id, session, extension) in
            [("12345-pipedrive", "4503991004", None), ("a#b%", "s#1%23", Some("101#")), ("ü", "7", Some("%"))]
        {
            let call = CallKey {
                user: user(id),
                session: SessionId::new(session).unwrap(),
                extension: extension.and_then(Extension::new),
            };
            let key = TableKey::of_item(&TableKey::call(&call).into_item()).unwrap();
            assert_eq!(key.call_key(), Some(call));
        }
    }

    #[test]
    fn the_key_of_another_item_is_no_calls_key() {
        for (partition, sort) in
            [("U#pipedrive#1", "USER"), ("T#pipedrive#acme", "C#1#"), ("U#pipedrive", "C#1#")]
        {
            let key = TableKey { partition: partition.to_owned(), sort: sort.to_owned() };
            assert_eq!(key.call_key(), None, "{partition} {sort}");
        }
    }

    #[test]
    fn keys_have_their_documented_form() {
        let form = |key: TableKey| format!("{} {}", key.partition, key.sort);
        let session = SessionId::new("1").unwrap();
        let call = CallKey { user: user("7#"), session, extension: Extension::new("101") };
        let tenant = TenantKey { platform: call.user.platform.clone(), account: "a#b".to_owned() };
        assert_eq!(form(TableKey::user(&call.user)), "U#pipedrive#7%23 USER");
        assert_eq!(form(TableKey::call(&call)), "U#pipedrive#7%23 C#1#101");
        assert_eq!(form(TableKey::call(&call.without_extension())), "U#pipedrive#7%23 C#1#");
        assert_eq!(form(TableKey::breaker(&BreakerKey::Tenant(tenant))), "T#pipedrive#a%23b BREAKER");
        assert_eq!(form(TableKey::breaker(&BreakerKey::User(user("7#")))), "U#pipedrive#7%23 BREAKER");
    }
}
