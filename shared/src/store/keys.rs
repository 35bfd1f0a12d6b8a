//! Keys of the table. No other module makes or reads them.
//!
//! The tenant and the user in a key come from the caller's token or from the stored user, never from a request's body, so
//! that no request reaches another tenant's items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{PK, SK, text};
use crate::model::{BreakerKey, CallKey, CallLogId, LogKey, Platform, SessionId, TenantKey, UserId, UserKey};

/// An item: attributes by name.
pub(super) type TableItem = HashMap<String, AttributeValue>;

/// The sort key of every user's item.
pub(super) const USER_SORT_KEY: &str = "USER";
const BREAKER_SORT_KEY: &str = "BREAKER";
const HOST_SORT_KEY: &str = "HOST";
pub(super) const TENANT_SORT_KEY: &str = "TENANT";
const SETTINGS_SORT_KEY: &str = "SETTINGS";
const ADMINISTRATION_SORT_KEY: &str = "ADMIN";
const MAPPING_SORT_KEY: &str = "MAPPING";
const CODE_SORT_KEY: &str = "CODE";
const REPORT_SORT_KEY: &str = "REPORT";
const CODE_PREFIX: &str = "K#";
const USER_PREFIX: &str = "U#";
const TENANT_PREFIX: &str = "T#";
const CALL_PREFIX: &str = "C#";
const HEADER_CALL_PREFIX: &str = "H#";
const LOG_PREFIX: &str = "L#";
const HOST_PREFIX: &str = "N#";
const CONTACT_PREFIX: &str = "CONTACT#";
const RECORD_SORT_KEY: &str = "RECORD";
const RECORD_PREFIX: &str = "R#";

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

    /// The key of the item with the settings that only the extension reads.
    pub(super) fn settings(user: &UserKey) -> TableKey {
        TableKey { partition: user_partition(user), sort: SETTINGS_SORT_KEY.to_owned() }
    }

    pub(super) fn log(log: &LogKey) -> TableKey {
        TableKey { partition: call_partition(&log.call), sort: format!("{LOG_PREFIX}{}", log.slot) }
    }

    pub(super) fn breaker(key: &BreakerKey) -> TableKey {
        let partition = match key {
            BreakerKey::Tenant(tenant) => tenant_partition(tenant),
            BreakerKey::User(user) => user_partition(user),
        };
        TableKey { partition, sort: BREAKER_SORT_KEY.to_owned() }
    }

    /// The key of the item that says which call log owns a record.
    pub(super) fn record(tenant: &TenantKey, record: &CallLogId) -> TableKey {
        TableKey { partition: record_partition(tenant, record), sort: RECORD_SORT_KEY.to_owned() }
    }

    /// The key of the item that says which CRM account a host belongs to.
    pub(super) fn host(platform: &Platform, host: &str) -> TableKey {
        let partition = format!("{HOST_PREFIX}{}#{}", escape(platform.as_str()), escape(host));
        TableKey { partition, sort: HOST_SORT_KEY.to_owned() }
    }

    /// The key of the item with the contacts that were found for a number. `number`: the code of the number.
    pub(super) fn found_contacts(user: &UserKey, number: &str) -> TableKey {
        TableKey { partition: user_partition(user), sort: format!("{CONTACT_PREFIX}{number}") }
    }

    /// The key of the item with a contact that is created. `name`: the code of its number and name.
    pub(super) fn new_contact(tenant: &TenantKey, name: &str) -> TableKey {
        TableKey { partition: tenant_partition(tenant), sort: format!("{CONTACT_PREFIX}{name}") }
    }

    /// The key of the item with the operator's decisions about a tenant.
    pub(super) fn tenant(tenant: &TenantKey) -> TableKey {
        TableKey { partition: tenant_partition(tenant), sort: TENANT_SORT_KEY.to_owned() }
    }

    /// The key of the item with the settings of a tenant that notes and delivery read.
    pub(super) fn tenant_settings(tenant: &TenantKey) -> TableKey {
        TableKey { partition: tenant_partition(tenant), sort: SETTINGS_SORT_KEY.to_owned() }
    }

    /// The key of the item with what the administrators of a tenant have decided.
    pub(super) fn administration(tenant: &TenantKey) -> TableKey {
        TableKey { partition: tenant_partition(tenant), sort: ADMINISTRATION_SORT_KEY.to_owned() }
    }

    /// The key of the item with the extensions of a tenant's users.
    pub(super) fn mapping(tenant: &TenantKey) -> TableKey {
        TableKey { partition: tenant_partition(tenant), sort: MAPPING_SORT_KEY.to_owned() }
    }

    /// Returns `true` if it is the key of a mapping of users.
    pub(super) fn is_mapping(&self) -> bool {
        self.sort == MAPPING_SORT_KEY
    }

    /// The key of the item of something that works once. `code`: its hash.
    pub(super) fn code(code: &str) -> TableKey {
        TableKey { partition: format!("{CODE_PREFIX}{}", escape(code)), sort: CODE_SORT_KEY.to_owned() }
    }

    /// The key of the item that says how a flow of a login ended. `name`: the name of the flow's ticket.
    pub(super) fn report(name: &str) -> TableKey {
        TableKey { partition: format!("{CODE_PREFIX}{}", escape(name)), sort: REPORT_SORT_KEY.to_owned() }
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

    /// Reads the text of a key; `None` if it is none.
    pub(super) fn of_text(text: &str) -> Option<TableKey> {
        let (partition, sort) = text.rsplit_once(' ')?;
        Some(TableKey { partition: partition.to_owned(), sort: sort.to_owned() })
    }

    /// Returns the kind of the item, for a person who reads about it.
    pub(super) fn kind(&self) -> &'static str {
        match self.sort.as_str() {
            USER_SORT_KEY => "user",
            SETTINGS_SORT_KEY => "settings",
            BREAKER_SORT_KEY => "breaker",
            CODE_SORT_KEY | REPORT_SORT_KEY => "login",
            RECORD_SORT_KEY => "record",
            sort if sort.starts_with(LOG_PREFIX) => "call log",
            sort if sort.starts_with(CONTACT_PREFIX) && self.partition.starts_with(USER_PREFIX) => {
                "contacts found"
            }
            sort if sort.starts_with(CONTACT_PREFIX) => "contact created",
            _ => "other",
        }
    }

    /// Returns the user whose partition the key is in, if it is a user's.
    pub(super) fn user_key(&self) -> Option<UserKey> {
        let (platform, id) = self.partition.strip_prefix(USER_PREFIX)?.split_once('#')?;
        Some(UserKey { platform: Platform::new(unescape(platform))?, id: UserId::new(unescape(id))? })
    }

    /// Returns the tenant whose partition the key is in, if it is a tenant's.
    pub(super) fn tenant_key(&self) -> Option<TenantKey> {
        let (platform, account) = self.partition.strip_prefix(TENANT_PREFIX)?.split_once('#')?;
        Some(TenantKey { platform: Platform::new(unescape(platform))?, account: unescape(account) })
    }

    /// Returns the breaker whose item has this key, if it is a breaker's.
    pub(super) fn breaker_key(&self) -> Option<BreakerKey> {
        let is_breaker = self.sort == BREAKER_SORT_KEY;
        let tenant = || self.tenant_key().map(BreakerKey::Tenant);
        is_breaker.then(|| self.user_key().map(BreakerKey::User).or_else(tenant))?
    }

    /// Returns the call log whose item has this key, if it is a call log's.
    pub(super) fn log_key(&self) -> Option<LogKey> {
        let slot = self.sort.strip_prefix(LOG_PREFIX)?.parse().ok()?;
        let (prefix, parts) = self.partition.split_at_checked(CALL_PREFIX.len())?;
        let mut parts = parts.split('#').map(unescape);
        let platform = Platform::new(parts.next()?)?;
        let tenant = TenantKey { platform, account: parts.next()? };
        let session = SessionId::new(parts.next()?)?;
        let header_user = match prefix {
            CALL_PREFIX => None,
            HEADER_CALL_PREFIX => Some(UserId::new(parts.next()?)?),
            _ => return None,
        };
        Some(CallKey { tenant, session, header_user }.log(slot))
    }

    pub(super) fn partition(&self) -> &str {
        &self.partition
    }

    /// Returns the data that is authenticated with the ciphertext in an attribute of this item, so that a ciphertext
    /// copied to another item or attribute does not decrypt.
    pub(super) fn associated_data(&self, attribute: &str) -> String {
        format!("{}|{}|{attribute}", self.partition, self.sort)
    }

    /// Returns the key as text.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.partition, self.sort)
    }

    pub(super) fn into_item(self) -> TableItem {
        TableItem::from([(PK.to_owned(), text(self.partition)), (SK.to_owned(), text(self.sort))])
    }
}

pub(super) fn user_partition(user: &UserKey) -> String {
    format!("{USER_PREFIX}{}#{}", escape(user.platform.as_str()), escape(user.id.as_str()))
}

fn tenant_partition(tenant: &TenantKey) -> String {
    format!("{TENANT_PREFIX}{}#{}", escape(tenant.platform.as_str()), escape(&tenant.account))
}

/// Returns the identity of a record among those of all tenants.
pub(super) fn record_partition(tenant: &TenantKey, record: &CallLogId) -> String {
    let parts = [tenant.platform.as_str(), &tenant.account, record.as_str()].map(escape);
    format!("{RECORD_PREFIX}{}", parts.join("#"))
}

pub(super) fn call_partition(call: &CallKey) -> String {
    let (prefix, user) = match &call.header_user {
        None => (CALL_PREFIX, String::new()),
        Some(user) => (HEADER_CALL_PREFIX, format!("#{}", escape(user.as_str()))),
    };
    let TenantKey { platform, account } = &call.tenant;
    let parts = [platform.as_str(), account, call.session.as_str()].map(escape).join("#");
    format!("{prefix}{parts}{user}")
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

    fn user(id: &str) -> UserKey {
        UserKey { platform: Platform::new("example").unwrap(), id: UserId::new(id).unwrap() }
    }

    fn call(account: &str, session: &str, header_user: Option<&str>) -> CallKey {
        let tenant = TenantKey { platform: Platform::new("example").unwrap(), account: account.to_owned() };
        let session = SessionId::new(session).unwrap();
        CallKey { tenant, session, header_user: header_user.and_then(UserId::new) }
    }

    #[test]
    fn a_call_log_is_read_back_from_its_key() {
        for (account, session, header_user, slot) in
            [("acme", "4503991004", None, 0), ("a#b%", "s#1%23", Some("7#"), 12), ("ü", "7", Some("%"), 1)]
        {
            let log = call(account, session, header_user).log(slot);
            let key = TableKey::of_item(&TableKey::log(&log).into_item()).unwrap();
            assert_eq!(TableKey::of_text(&key.text()), Some(key.clone()));
            assert_eq!(key.log_key(), Some(log));
        }
    }

    #[test]
    fn the_key_of_another_item_is_no_call_logs_key() {
        for (partition, sort) in [
            ("U#example#1", "USER"),
            ("T#example#acme", "L#0"),
            ("C#example#acme", "L#0"),
            ("H#example#acme#1", "L#0"),
            ("C#example#acme#1", "L#"),
        ] {
            let key = TableKey { partition: partition.to_owned(), sort: sort.to_owned() };
            assert_eq!(key.log_key(), None, "{partition} {sort}");
        }
    }

    #[test]
    fn keys_have_their_documented_form() {
        let form = |key: TableKey| key.text();
        let own = call("a#b", "1", None);
        assert_eq!(form(TableKey::user(&user("7#"))), "U#example#7%23 USER");
        assert_eq!(form(TableKey::log(&own.log(0))), "C#example#a%23b#1 L#0");
        assert_eq!(form(TableKey::log(&call("acme", "1", Some("7#")).log(2))), "H#example#acme#1#7%23 L#2");
        let record = CallLogId::new("5001#").unwrap();
        assert_eq!(form(TableKey::record(&own.tenant, &record)), "R#example#a%23b#5001%23 RECORD");
        assert_eq!(form(TableKey::breaker(&BreakerKey::Tenant(own.tenant))), "T#example#a%23b BREAKER");
        assert_eq!(form(TableKey::breaker(&BreakerKey::User(user("7#")))), "U#example#7%23 BREAKER");
        for breaker in [BreakerKey::User(user("7#")), BreakerKey::Tenant(call("a#b", "1", None).tenant)] {
            assert_eq!(TableKey::breaker(&breaker).breaker_key(), Some(breaker));
        }
        assert_eq!(TableKey::user(&user("7")).breaker_key(), None);
        let host = TableKey::host(&user("7").platform, "acme.crm.example");
        assert_eq!(form(host), "N#example#acme.crm.example HOST");
    }
}
