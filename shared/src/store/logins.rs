//! Connections of users: a login stores a credential, a disconnection removes it, and the code of a login counts once.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Error, Store, StoredUser,
    attributes::{
        ALLOWED, CONNECTED_AT, CREDENTIALS, DISCONNECTED_AT, HOLDER, MAKER, NAME, PK, REPORT, SESSION_ENDED,
        SETTINGS, TOKEN_VERSION, TTL, VALID_FROM, boolean, number, text,
    },
    expression::{Update, WriteOutcome},
    item_reader::ItemReader,
    keys::{TableKey, user_partition},
};
use crate::model::{TenantKey, User, UserKey};

/// The time for which a code is remembered, in seconds: longer than any CRM accepts one.
const CODE_S: i64 = 15 * 60;
/// The number of attempts to disconnect a user whose grant is renewed at the same time.
const ATTEMPTS: usize = 8;

/// The end of a flow of a login, for the command that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// The message that the person saw.
    pub message: String,
    /// The person; `None`: the login was refused.
    pub connected: Option<ConnectedPerson>,
}

/// A person who connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedPerson {
    /// The user's id.
    pub id: String,
    /// The name of the user in the CRM, or the user's id there.
    pub name: String,
    /// The name of the account in the CRM, or its id.
    pub account: String,
}

impl Store {
    /// Stores how a flow ended. `name`: the name of its ticket. `user`: the user who connected. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn report_flow(
        &self,
        name: &str,
        report: &FlowReport,
        user: Option<&UserKey>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let key = TableKey::report(name);
        let json = serde_json::to_vec(report).unwrap_or_default();
        let update = Update::default()
            .set(REPORT, self.encrypt(&key, REPORT, &json)?)
            .set_or_remove(MAKER, user.map(|user| text(user_partition(user))))
            .set(TTL, number(now_ms / 1_000 + CODE_S));
        self.update(key, update).await.map(drop)
    }

    /// Returns how a flow ended; `None`: it has not ended.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn flow_report(&self, name: &str) -> Result<Option<FlowReport>, Error> {
        let Some(item) = self.get(TableKey::report(name)).await? else { return Ok(None) };
        let reader = ItemReader(&item);
        let Some(json) = reader.encrypted(&self.keyring(), REPORT)? else { return Ok(None) };
        serde_json::from_slice(&json).map(Some).map_err(|_| reader.unreadable(REPORT))
    }

    /// Claims something that works once, such as the code of a login, for `holder`. `code`: its hash. Returns `false` if it was
    /// claimed before. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn claim_code(&self, code: &str, holder: &str, now_ms: i64) -> Result<bool, Error> {
        let now_s = now_ms / 1_000;
        let update = Update::when(format!("attribute_not_exists(#{PK}) OR #{TTL} <= :now_s"))
            .value("now_s", number(now_s))
            .set(HOLDER, text(holder))
            .set(TTL, number(now_s + CODE_S));
        Ok(match self.update(TableKey::code(code), update).await? {
            WriteOutcome::Written { .. } => true,
            // Our own claim, which the SDK repeated because the response was lost.
            WriteOutcome::ConditionFailed(item) => {
                item.is_some_and(|item| item.get(HOLDER) == Some(&text(holder)))
            }
        })
    }

    /// Stores which user the code of a login belongs to, so that an erasure of the user finds it. `code`: its hash.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn set_user_of_code(&self, code: &str, user: &UserKey) -> Result<(), Error> {
        let update = Update::when(format!("attribute_exists(#{PK})")).set(MAKER, text(user_partition(user)));
        self.update(TableKey::code(code), update).await.map(drop)
    }

    /// Stores the user of a login, and keeps the settings of an earlier one of the same key. Tokens of a user who was removed
    /// before do not count again. Returns the user as stored. `name`: the user's name in the CRM. `now_ms`: milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn connect_user(
        &self,
        user: &User,
        name: Option<&str>,
        now_ms: i64,
    ) -> Result<StoredUser, Error> {
        let key = user.key();
        let update = self
            .connection(user)?
            .set_if_absent(SETTINGS, AttributeValue::M([].into()))
            .set_or_remove(NAME, name.map(text))
            .set(CONNECTED_AT, number(now_ms))
            .returning_item();
        let existing = update.clone().condition(format!("attribute_exists(#{PK})"));
        let outcome = match self.update(TableKey::user(&key), existing).await? {
            WriteOutcome::ConditionFailed(_) => {
                let new = update.set(VALID_FROM, number(now_ms / 1_000));
                self.update(TableKey::user(&key), new).await?
            }
            written => written,
        };
        match outcome {
            WriteOutcome::Written { after, .. } => self.read_user(&key, &after),
            WriteOutcome::ConditionFailed(_) => {
                Err(Error::Unavailable("the login was not stored".to_owned()))
            }
        }
    }

    /// Removes the credentials of a user, and revokes the user's tokens: one write, so that no grant is renewed and stored
    /// after it. Returns the user as stored before, or `None` if there is no such user. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unavailable`] if other requests keep changing the user.
    pub async fn disconnect_user(&self, user: &UserKey, now_ms: i64) -> Result<Option<StoredUser>, Error> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.user(user).await? else { return Ok(None) };
            let mut update = self
                .revocation(&before, now_ms)
                .set(TOKEN_VERSION, number(before.token_version + 1))
                .remove(CREDENTIALS)
                .remove(SESSION_ENDED);
            if before.user.credentials.is_some() {
                update = update.set(DISCONNECTED_AT, number(now_ms));
            }
            if let WriteOutcome::Written { .. } = self.update(TableKey::user(user), update).await? {
                return Ok(Some(before));
            }
        }
        Err(Error::Unavailable("other requests keep changing the user".to_owned()))
    }

    /// Revokes the tokens of a user that were issued until now. `now_ms`: milliseconds since 1970. Returns the time from which on
    /// a token has to be issued, in seconds since 1970; `None` if there is no such user.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unavailable`] if other requests keep changing the user.
    pub async fn revoke_tokens(&self, user: &UserKey, now_ms: i64) -> Result<Option<i64>, Error> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.user(user).await? else { return Ok(None) };
            let update = self.revocation(&before, now_ms);
            if let WriteOutcome::Written { .. } = self.update(TableKey::user(user), update).await? {
                return Ok(Some(valid_from(&before, now_ms)));
            }
        }
        Err(Error::Unavailable("other requests keep changing the user".to_owned()))
    }

    /// Returns the update that revokes the tokens of a user, unless the user was changed since `before` was read.
    fn revocation(&self, before: &StoredUser, now_ms: i64) -> Update {
        let is_unchanged = |attribute: &str, name: &str, absent: bool| match absent {
            true => format!("(attribute_not_exists(#{attribute}) OR #{attribute} = :{name})"),
            false => format!("#{attribute} = :{name}"),
        };
        let version = is_unchanged(TOKEN_VERSION, "version", before.token_version == 0);
        let valid = is_unchanged(VALID_FROM, "valid", before.valid_from == 0);
        Update::when(format!("attribute_exists(#{PK}) AND {version} AND {valid}"))
            .value("version", number(before.token_version))
            .value("valid", number(before.valid_from))
            .set(VALID_FROM, number(valid_from(before, now_ms)))
    }

    /// Allows the people of a tenant to connect by themselves, or forbids it.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn allow_tenant(&self, tenant: &TenantKey, is_allowed: bool) -> Result<(), Error> {
        let update = Update::default().set(ALLOWED, boolean(is_allowed));
        self.update(TableKey::tenant(tenant), update).await.map(drop)
    }

    /// Returns `true` if an operator has allowed the people of a tenant to connect by themselves.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn is_tenant_allowed(&self, tenant: &TenantKey) -> Result<bool, Error> {
        let item = self.get(TableKey::tenant(tenant)).await?;
        item.map_or(Ok(false), |item| ItemReader(&item).boolean(ALLOWED))
    }
}

/// Returns the time from which on tokens are accepted after a revocation, in seconds since 1970. Tokens know the second in
/// which they were issued, so it is the next one, and it grows with each revocation.
fn valid_from(before: &StoredUser, now_ms: i64) -> i64 {
    (now_ms / 1_000 + 1).max(before.valid_from + 1)
}

impl StoredUser {
    /// Returns the time at which a token of this user is issued, so that it is accepted although earlier ones were revoked.
    pub fn issued_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now.max(DateTime::from_timestamp_secs(self.valid_from).unwrap_or_default())
    }
}
