//! State of the circuit breakers: until when a CRM gets no requests of a tenant or of a user.

use std::sync::Arc;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::{
    Error, Store, StoredUser,
    administration::read_tenant_settings,
    attributes::{FAILURES, OPEN_UNTIL, TTL, number},
    expression::{Update, WriteOutcome},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableItem, TableKey},
};
use crate::model::{BreakerKey, TenantKey, TenantSettings, UserKey};

/// The time that the state is kept after the breaker has closed, in seconds.
const BREAKER_TTL_S: i64 = 7 * 86_400;

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerState {
    /// The CRM gets no requests before this time, in milliseconds since 1970.
    pub open_until_ms: i64,
    /// The number of requests in a row that have failed.
    pub consecutive_failures: i64,
}

impl Store {
    /// Reads the state of a breaker.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn breaker(&self, key: &BreakerKey) -> Result<BreakerState, Error> {
        let item = self.get(TableKey::breaker(key)).await?;
        item.as_ref().map_or(Ok(BreakerState::default()), read_breaker)
    }

    /// Reads a user of a tenant, with the settings that count for the user, and the state of a breaker in one operation. A
    /// breaker that cannot be read counts as closed.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the user's item or the tenant's settings cannot be read.
    pub async fn user_and_breaker(
        &self,
        user: &UserKey,
        breaker: &BreakerKey,
        tenant: &TenantKey,
    ) -> Result<(Option<StoredUser>, BreakerState), Error> {
        let (user_key, breaker_key) = (TableKey::user(user), TableKey::breaker(breaker));
        let settings_key = TableKey::tenant_settings(tenant);
        let keys = [&user_key, &breaker_key, &settings_key].map(|key| key.clone().into_item());
        let keys = KeysAndAttributes::builder().set_keys(Some(keys.into())).consistent_read(true).build();
        let keys = keys.map_err(|error| Error::Rejected(error.to_string()))?;
        let request = self.client.batch_get_item().request_items(&self.table, keys);
        let response = Box::pin(request.send()).await.map_err(from_sdk_error)?;
        let mut found = response.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
        let mut take = |key: &TableKey| {
            let at = found.iter().position(|item| TableKey::of_item(item).as_ref() == Some(key))?;
            Some(found.swap_remove(at))
        };
        let state = take(&breaker_key).and_then(|item| read_breaker(&item).ok()).unwrap_or_default();
        let is_unprocessed = response.unprocessed_keys.is_some_and(|unprocessed| !unprocessed.is_empty());
        let stored = match take(&user_key) {
            None if is_unprocessed => self.user(user).await?,
            item => item.map(|item| self.read_user(user, &item)).transpose()?,
        };
        let settings = match take(&settings_key) {
            None if is_unprocessed => self.tenant_settings(tenant).await?,
            item => item.as_ref().map_or(Ok(TenantSettings::default()), read_tenant_settings)?,
        };
        Ok((stored.map(|user| user.governed(Arc::new(settings))), state))
    }

    /// Counts one more failure in a row of a breaker, and returns its state. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn count_failure(&self, key: &BreakerKey, now_ms: i64) -> Result<BreakerState, Error> {
        let update = Update::default()
            .increment(FAILURES)
            .set(TTL, number(now_ms / 1_000 + BREAKER_TTL_S))
            .returning_item();
        match self.update(TableKey::breaker(key), update).await? {
            WriteOutcome::Written { after, .. } => read_breaker(&after),
            WriteOutcome::ConditionFailed(_) => Ok(BreakerState::default()),
        }
    }

    /// Opens a breaker until this time, in milliseconds since 1970, if it is as it was `seen`. Returns `false` if another
    /// invocation has changed it.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn open_breaker(
        &self,
        key: &BreakerKey,
        seen: BreakerState,
        until_ms: i64,
    ) -> Result<bool, Error> {
        let is_as_seen = format!("attribute_not_exists(#{OPEN_UNTIL}) OR #{OPEN_UNTIL} = :seen");
        let update = Update::when(is_as_seen)
            .value("seen", number(seen.open_until_ms))
            .set(OPEN_UNTIL, number(until_ms))
            .set(TTL, number(until_ms / 1_000 + BREAKER_TTL_S));
        let outcome = self.update(TableKey::breaker(key), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }

    /// Stores the state of a breaker. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn set_breaker(
        &self,
        key: &BreakerKey,
        breaker: BreakerState,
        now_ms: i64,
    ) -> Result<(), Error> {
        let update = Update::default()
            .set(OPEN_UNTIL, number(breaker.open_until_ms))
            .set(FAILURES, number(breaker.consecutive_failures))
            .set(TTL, number(now_ms.max(breaker.open_until_ms) / 1_000 + BREAKER_TTL_S));
        self.update(TableKey::breaker(key), update).await.map(drop)
    }
}

pub(super) fn read_breaker(item: &TableItem) -> Result<BreakerState, Error> {
    let reader = ItemReader(item);
    Ok(BreakerState {
        open_until_ms: reader.number(OPEN_UNTIL)?.unwrap_or(0),
        consecutive_failures: reader.number(FAILURES)?.unwrap_or(0),
    })
}
