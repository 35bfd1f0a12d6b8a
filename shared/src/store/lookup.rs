//! Reads many items at once, for callers who ask and do not write.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::future::try_join_all;

use super::{
    BreakerState, CallItem, Error, Store, StoredUser,
    administration::read_tenant_settings,
    attributes::{
        ACCOUNT, API_HOST, CREATOR, CREDENTIALS, CRM_USER_ID, EXTENSION_HASH, EXTENSION_NUMBER, FAILURES,
        HOLDER, HOSTNAME, LEASE_UNTIL, LOG_ID, LOGIN_HOST, NEXT_SLOT, OPEN_UNTIL, OTHER_LOGS,
        OUTCOME_UNKNOWN, OWNER, OWNER_ID, PK, PREVIOUS_OUTCOME_UNKNOWN, SESSION_ENDED, SETTINGS, SK, STATE,
        TOKEN_VERSION, VALID_FROM, ZONE,
    },
    breakers::read_breaker,
    from_sdk_error,
    keys::{TableItem, TableKey},
};
use crate::model::{BreakerKey, LogKey, TenantKey, TenantSettings, UserKey};

/// The most items of one operation (DynamoDB, `BatchGetItem`).
const MOST_ITEMS: usize = 100;
/// The number of times that items are asked for which DynamoDB left out.
const ATTEMPTS: usize = 3;

/// The attributes of users, breakers and call logs that say who may ask, and which calls have a log.
const WITHOUT_CONTENT: [&str; 28] = [
    PK,
    SK,
    HOSTNAME,
    API_HOST,
    LOGIN_HOST,
    ACCOUNT,
    CRM_USER_ID,
    OWNER_ID,
    ZONE,
    SETTINGS,
    CREDENTIALS,
    TOKEN_VERSION,
    SESSION_ENDED,
    VALID_FROM,
    OPEN_UNTIL,
    FAILURES,
    STATE,
    LOG_ID,
    EXTENSION_HASH,
    EXTENSION_NUMBER,
    CREATOR,
    OWNER,
    OTHER_LOGS,
    NEXT_SLOT,
    OUTCOME_UNKNOWN,
    PREVIOUS_OUTCOME_UNKNOWN,
    HOLDER,
    LEASE_UNTIL,
];

/// The part of call logs that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Which logs a call has, and their records.
    Identity,
    /// Also what waits to be written.
    Content,
}

/// The items that were read.
#[derive(Debug)]
pub struct LookedUp {
    /// The user; `None`: there is no such user.
    pub user: Option<StoredUser>,
    /// The state of the breaker. One that cannot be read counts as closed.
    pub breaker: BreakerState,
    /// The call logs that exist. One that cannot be read is left out.
    pub logs: HashMap<LogKey, CallItem>,
}

impl Store {
    /// Reads a user, a breaker and call logs, strongly consistent, in one operation for each hundred items. The operations run at
    /// the same time.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the user's item cannot be read.
    pub async fn look_up(
        &self,
        user: &UserKey,
        breaker: &BreakerKey,
        logs: &[LogKey],
        depth: Depth,
    ) -> Result<LookedUp, Error> {
        let (user_key, breaker_key) = (TableKey::user(user), TableKey::breaker(breaker));
        let own = [user_key.clone(), breaker_key.clone()];
        let mut items =
            self.get_all(own.into_iter().chain(logs.iter().map(TableKey::log)).collect(), depth).await?;
        let stored = items.remove(&user_key.text()).map(|item| self.read_user(user, &item)).transpose()?;
        let breaker = items.remove(&breaker_key.text()).and_then(|item| read_breaker(&item).ok());
        let logs = logs.iter().filter_map(|log| {
            let item = items.get(&TableKey::log(log).text())?;
            let read = self.read_call(item);
            if let Err(error) = &read {
                tracing::error!(%error, "a call log cannot be read");
            }
            Some((log.clone(), read.ok()?))
        });
        Ok(LookedUp { user: stored, breaker: breaker.unwrap_or_default(), logs: logs.collect() })
    }

    /// Reads the settings of a tenant that notes and delivery read, and the state of a breaker, in one operation. A breaker that
    /// cannot be read counts as closed.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the settings cannot be read.
    pub async fn settings_and_breaker(
        &self,
        tenant: &TenantKey,
        breaker: &BreakerKey,
    ) -> Result<(TenantSettings, BreakerState), Error> {
        let (settings_key, breaker_key) = (TableKey::tenant_settings(tenant), TableKey::breaker(breaker));
        let mut items = self.get_all(vec![settings_key.clone(), breaker_key.clone()], Depth::Content).await?;
        let mut take = |key: &TableKey| items.remove(&key.text());
        let state = take(&breaker_key).and_then(|item| read_breaker(&item).ok()).unwrap_or_default();
        let settings = take(&settings_key);
        Ok((settings.as_ref().map_or(Ok(TenantSettings::default()), read_tenant_settings)?, state))
    }

    /// Reads call logs, strongly consistent. One that does not exist or cannot be read is left out.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn logs(&self, logs: &[LogKey], depth: Depth) -> Result<HashMap<LogKey, CallItem>, Error> {
        let items = self.get_all(logs.iter().map(TableKey::log).collect(), depth).await?;
        let read = |log: &LogKey| {
            let item = self.read_call(items.get(&TableKey::log(log).text())?);
            Some((log.clone(), item.ok()?))
        };
        Ok(logs.iter().filter_map(read).collect())
    }

    /// Returns the items with these keys that exist, by the texts of their keys.
    pub(super) async fn get_all(
        &self,
        keys: Vec<TableKey>,
        depth: Depth,
    ) -> Result<HashMap<String, TableItem>, Error> {
        let batches = keys.chunks(MOST_ITEMS).map(|keys| self.get_batch(keys.to_vec(), depth));
        let found = try_join_all(batches).await?;
        let named =
            found.into_iter().flatten().filter_map(|item| Some((TableKey::of_item(&item)?.text(), item)));
        Ok(named.collect())
    }

    async fn get_batch(&self, keys: Vec<TableKey>, depth: Depth) -> Result<Vec<TableItem>, Error> {
        let mut wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys.into_iter().map(TableKey::into_item).collect()))
            .consistent_read(true);
        if depth == Depth::Identity {
            let names = WITHOUT_CONTENT.map(|name| (format!("#{name}"), name.to_owned()));
            wanted = wanted
                .projection_expression(WITHOUT_CONTENT.map(|name| format!("#{name}")).join(", "))
                .set_expression_attribute_names(Some(names.into()));
        }
        let mut wanted = wanted.build().map_err(|error| Error::Rejected(error.to_string()))?;
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS {
            let request = self.client.batch_get_item().request_items(&self.table, wanted);
            let mut response = Box::pin(request.send()).await.map_err(from_sdk_error)?;
            let items = response.responses.as_mut().and_then(|items| items.remove(&self.table));
            found.extend(items.unwrap_or_default());
            let left = response.unprocessed_keys.and_then(|mut keys| keys.remove(&self.table));
            match left.filter(|keys| !keys.keys.is_empty()) {
                Some(left) => wanted = left,
                None => return Ok(found),
            }
        }
        Err(Error::Unavailable("DynamoDB left items out".to_owned()))
    }
}
