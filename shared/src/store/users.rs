//! Users in the table, and the claim by which one invocation at a time renews a user's grant.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;
use serde_json::{Value, json};

use super::{
    Error, Store,
    attributes::{
        ACCOUNT, ADMINISTRATES, API_HOST, CONNECTED_AT, CREDENTIALS, CRM_USER_ID, DISCONNECTED_AT, HOSTNAME,
        LAST_RENEWAL, LOGIN_HOST, NAME, OWNER_ID, PK, RENEWAL_HOLDER, RENEWAL_UNTIL, SESSION_ENDED, SETTINGS,
        TOKEN_VERSION, VALID_FROM, ZONE, boolean, number, text,
    },
    expression::{Update, WriteOutcome},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableItem, TableKey},
};
use crate::model::{
    Credentials, CrmAccount, Platform, Secret, Settings, TenantSettings, User, UserKey, Zone,
};

/// The maximum number of attempts to change settings that other requests change at the same time.
const SETTINGS_ATTEMPTS: usize = 8;

/// A user, with the version of the grant that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredUser {
    /// The user.
    pub user: User,
    /// The count of grants stored so far. A renewal takes place only if no other grant was stored since.
    pub token_version: i64,
    /// The CRM refused to renew the grant: the user must connect again.
    pub session_ended: bool,
    /// Tokens that were issued before are not accepted, in seconds since 1970. 0: none were revoked.
    pub valid_from: i64,
    /// The name of the user in the CRM, as far as a login has brought it.
    pub name: Option<String>,
    /// When the user connected by a login, in milliseconds since 1970.
    pub connected_at_ms: Option<i64>,
    /// When the user disconnected, in milliseconds since 1970. `None`: the user has not disconnected since the last login.
    pub disconnected_at_ms: Option<i64>,
    /// The tenant that the user administrates. In another tenant, the user is no administrator.
    pub administrates: Option<String>,
    /// The settings of the tenant that the user's settings follow: see [`StoredUser::governed`].
    pub tenant_settings: Arc<TenantSettings>,
}

impl StoredUser {
    /// Returns `true` if a token of this user that was issued at this time, in seconds since 1970, was not revoked. A token that
    /// does not say when it was issued is the oldest.
    pub fn accepts(&self, issued_at: Option<i64>) -> bool {
        issued_at.unwrap_or(0) >= self.valid_from
    }

    /// Returns the user with the settings that count: the user's own, as far as the tenant's administrators leave the choice.
    #[must_use]
    pub fn governed(mut self, settings: Arc<TenantSettings>) -> StoredUser {
        self.user.settings = settings.over(&self.user.settings);
        self.tenant_settings = settings;
        self
    }

    /// Returns `true` if an operator has made the user an administrator of the tenant that the user belongs to.
    pub fn is_administrator(&self) -> bool {
        self.administrates.as_deref() == Some(self.user.tenant().to_string().as_str())
    }
}

impl Store {
    /// Reads a user; `None` if there is no such user.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn user(&self, user: &UserKey) -> Result<Option<StoredUser>, Error> {
        let item = self.get(TableKey::user(user)).await?;
        item.map(|item| self.read_user(user, &item)).transpose()
    }

    /// Stores a user, in place of an earlier one of the same key.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn put_user(&self, user: &User) -> Result<(), Error> {
        self.put_user_when(user, "").await.map(drop)
    }

    /// Stores a user, unless there is one of the same key. Returns `false` if there is; it stays as it is.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn import_user(&self, user: &User) -> Result<bool, Error> {
        let outcome = self.put_user_when(user, &format!("attribute_not_exists(#{PK})")).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }

    async fn put_user_when(&self, user: &User, condition: &str) -> Result<WriteOutcome, Error> {
        let update =
            self.connection(user)?.condition(condition).set(SETTINGS, settings_value(&user.settings));
        self.update(TableKey::user(&user.key()), update).await
    }

    /// Returns the update that stores a user's connection to the CRM: everything but the settings.
    pub(super) fn connection(&self, user: &User) -> Result<Update, Error> {
        let key = TableKey::user(&user.key());
        let mut update = Update::default()
            .increment(TOKEN_VERSION)
            .remove(RENEWAL_HOLDER)
            .remove(RENEWAL_UNTIL)
            .remove(SESSION_ENDED)
            .remove(DISCONNECTED_AT);
        let CrmAccount { api_host, login_host, id, user_id, owner_id } = &user.account;
        for (attribute, value) in [
            (HOSTNAME, &user.hostname),
            (API_HOST, api_host),
            (LOGIN_HOST, login_host),
            (ACCOUNT, id),
            (CRM_USER_ID, user_id),
            (OWNER_ID, owner_id),
            (ZONE, &user.zone.map(|zone| zone.name())),
        ] {
            update = match value {
                Some(value) => update.set(attribute, text(value)),
                None => update.remove(attribute),
            };
        }
        Ok(match &user.credentials {
            Some(credentials) => update.set(CREDENTIALS, self.encrypt_credentials(&key, credentials)?),
            None => update.remove(CREDENTIALS),
        })
    }

    /// Changes some settings of a user and keeps the others. `Null` removes a setting, so that its default applies.
    /// Returns `false` if there is no such user.
    ///
    /// # Errors
    /// Fails if the table does, with [`Error::Unreadable`] if the settings cannot be read, and with
    /// [`Error::Unavailable`] if other requests keep changing them.
    pub async fn change_settings(
        &self,
        user: &UserKey,
        changes: &BTreeMap<String, Value>,
    ) -> Result<bool, Error> {
        // The whole map is written, on condition that it has not changed since it was read: a setting's name is a
        // caller's text, which an update expression cannot address.
        for _ in 0..SETTINGS_ATTEMPTS {
            let key = TableKey::user(user);
            let Some(item) = self.get(key.clone()).await? else { return Ok(false) };
            let mut settings = read_settings(ItemReader(&item))?;
            for (name, value) in changes {
                match value {
                    Value::Null => settings.0.remove(name),
                    value => settings.0.insert(name.clone(), value.clone()),
                };
            }
            let update = match item.get(SETTINGS) {
                Some(before) => {
                    Update::when(format!("#{SETTINGS} = :before")).value("before", before.clone())
                }
                None => {
                    Update::when(format!("attribute_exists(#{PK}) AND attribute_not_exists(#{SETTINGS})"))
                }
            };
            let update = update.set(SETTINGS, settings_value(&settings));
            if let WriteOutcome::Written { .. } = self.update(key, update).await? {
                return Ok(true);
            }
        }
        Err(Error::Unavailable("other requests keep changing the settings".to_owned()))
    }

    /// Removes a user; the user's calls stay. Returns `false` if there is no such user.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn remove_user(&self, user: &UserKey) -> Result<bool, Error> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(TableKey::user(user).into_item()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await
            .map_err(from_sdk_error)?;
        Ok(removed.attributes.is_some_and(|item| !item.is_empty()))
    }

    /// Returns the CRM account that a host belongs to, as far as [`set_account_of_host`](Store::set_account_of_host) was
    /// called for it.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn account_of_host(&self, platform: &Platform, host: &str) -> Result<Option<String>, Error> {
        let item = self.get(TableKey::host(platform, host)).await?;
        item.map_or(Ok(None), |item| ItemReader(&item).text(ACCOUNT))
    }

    /// Stores that a host belongs to a CRM account. A host that has changed hands belongs to the newer one.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn set_account_of_host(
        &self,
        platform: &Platform,
        host: &str,
        account: &str,
    ) -> Result<(), Error> {
        let update = Update::when("").set(ACCOUNT, text(account));
        self.update(TableKey::host(platform, host), update).await.map(drop)
    }

    /// Claims the renewal of a user's grant for `holder` until `until_ms`, so that no other invocation renews it
    /// meanwhile. Returns `false` if another invocation has claimed it, or if another grant was stored since `user` was
    /// read. Times are in milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn claim_renewal(
        &self,
        user: &StoredUser,
        holder: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<bool, Error> {
        let is_free = format!("attribute_not_exists(#{RENEWAL_UNTIL}) OR #{RENEWAL_UNTIL} <= :now");
        let update = Update::when(format!("#{TOKEN_VERSION} = :version AND ({is_free})"))
            .value("version", number(user.token_version))
            .value("now", number(now_ms))
            .set(RENEWAL_HOLDER, text(holder))
            .set(RENEWAL_UNTIL, number(until_ms));
        match self.update(TableKey::user(&user.user.key()), update).await? {
            WriteOutcome::Written { .. } => Ok(true),
            // Our own claim, which the SDK repeated because the response was lost.
            WriteOutcome::ConditionFailed(item) => Ok(names_holder(item.as_ref(), RENEWAL_HOLDER, holder)),
        }
    }

    /// Stores a renewed grant with the API host of `user`, and ends the claim. It stores the grant even if the claim has run out, because the grant
    /// that it was made from no longer works. Returns `false` if another grant was stored meanwhile.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn finish_renewal(
        &self,
        user: &StoredUser,
        holder: &str,
        grant: &Credentials,
    ) -> Result<bool, Error> {
        let key = TableKey::user(&user.user.key());
        let mut update = Update::when(format!("#{TOKEN_VERSION} = :version"))
            .value("version", number(user.token_version))
            .set(CREDENTIALS, self.encrypt_credentials(&key, grant)?)
            .set(TOKEN_VERSION, number(user.token_version + 1))
            .set(LAST_RENEWAL, text(holder))
            .remove(RENEWAL_HOLDER)
            .remove(RENEWAL_UNTIL)
            .remove(SESSION_ENDED);
        if let Some(host) = &user.user.account.api_host {
            update = update.set(API_HOST, text(host));
        }
        match self.update(key, update).await? {
            WriteOutcome::Written { .. } => Ok(true),
            // Our own write, which the SDK repeated because the response was lost.
            WriteOutcome::ConditionFailed(item) => Ok(names_holder(item.as_ref(), LAST_RENEWAL, holder)),
        }
    }

    /// Ends the claim without a new grant. `session_ended`: the CRM refused to renew the grant.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn give_up_renewal(
        &self,
        user: &StoredUser,
        holder: &str,
        session_ended: bool,
    ) -> Result<(), Error> {
        let update = Update::when(format!("#{TOKEN_VERSION} = :version AND #{RENEWAL_HOLDER} = :holder"))
            .value("version", number(user.token_version))
            .value("holder", text(holder))
            .set(SESSION_ENDED, boolean(session_ended))
            .remove(RENEWAL_HOLDER)
            .remove(RENEWAL_UNTIL);
        self.update(TableKey::user(&user.user.key()), update).await.map(drop)
    }

    pub(super) fn read_user(&self, user: &UserKey, item: &TableItem) -> Result<StoredUser, Error> {
        let reader = ItemReader(item);
        let credentials = match reader.encrypted(&self.keyring(), CREDENTIALS)? {
            None => None,
            Some(json) => Some(read_credentials(&json).ok_or_else(|| reader.unreadable(CREDENTIALS))?),
        };
        Ok(StoredUser {
            user: User {
                id: user.id.clone(),
                platform: user.platform.clone(),
                hostname: reader.text(HOSTNAME)?,
                account: CrmAccount {
                    api_host: reader.text(API_HOST)?,
                    login_host: reader.text(LOGIN_HOST)?,
                    id: reader.text(ACCOUNT)?,
                    user_id: reader.text(CRM_USER_ID)?,
                    owner_id: reader.text(OWNER_ID)?,
                },
                zone: reader.text(ZONE)?.and_then(|name| Zone::parse(&name)),
                settings: read_settings(reader)?,
                credentials,
            },
            token_version: reader.number(TOKEN_VERSION)?.unwrap_or(0),
            session_ended: reader.boolean(SESSION_ENDED)?,
            valid_from: reader.number(VALID_FROM)?.unwrap_or(0),
            name: reader.text(NAME)?,
            connected_at_ms: reader.number(CONNECTED_AT)?,
            disconnected_at_ms: reader.number(DISCONNECTED_AT)?,
            administrates: reader.text(ADMINISTRATES)?,
            tenant_settings: Arc::default(),
        })
    }

    fn encrypt_credentials(
        &self,
        key: &TableKey,
        credentials: &Credentials,
    ) -> Result<AttributeValue, Error> {
        let json = match credentials {
            Credentials::ApiKey(api_key) => json!({"apiKey": api_key.expose()}),
            Credentials::OAuth { access_token, refresh_token, expires_at } => json!({
                "accessToken": access_token.expose(),
                "refreshToken": refresh_token.as_ref().map(Secret::expose),
                "expiresAt": expires_at.map(|time| time.timestamp_millis()),
            }),
        };
        self.encrypt(key, CREDENTIALS, json.to_string().as_bytes())
    }
}

/// Returns `true` if the attribute of the item names this invocation.
fn names_holder(item: Option<&TableItem>, attribute: &str, holder: &str) -> bool {
    item.and_then(|item| item.get(attribute)) == Some(&text(holder))
}

fn read_credentials(json: &[u8]) -> Option<Credentials> {
    let json: Value = serde_json::from_slice(json).ok()?;
    let secret = |name: &str| json.get(name)?.as_str().map(Secret::new);
    if let Some(api_key) = secret("apiKey") {
        return Some(Credentials::ApiKey(api_key));
    }
    Some(Credentials::OAuth {
        access_token: secret("accessToken")?,
        refresh_token: secret("refreshToken"),
        expires_at: json.get("expiresAt").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis),
    })
}

/// Each setting is JSON in a text, so that any value survives.
pub(super) fn settings_value(settings: &Settings) -> AttributeValue {
    AttributeValue::M(
        settings.0.iter().map(|(name, value)| (name.clone(), text(value.to_string()))).collect(),
    )
}

pub(super) fn read_settings(reader: ItemReader<'_>) -> Result<Settings, Error> {
    let mut settings = BTreeMap::new();
    for (name, json) in reader.texts(SETTINGS)? {
        settings.insert(name, serde_json::from_str(&json).map_err(|_| reader.unreadable(SETTINGS))?);
    }
    Ok(Settings(settings))
}
