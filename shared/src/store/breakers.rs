//! State of the circuit breakers: until when the redrive sends a CRM no requests of a tenant or of a user.

use std::fmt;

use super::{
    Error, Store,
    attributes::{FAILURES, OPEN_UNTIL, TTL, number},
    expression::Update,
    item_reader::ItemReader,
    keys::TableKey,
};
use crate::model::{TenantKey, UserKey};

/// The time that the state is kept after the breaker has closed, in seconds.
const BREAKER_TTL_S: i64 = 7 * 86_400;

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

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerState {
    /// The redrive sends the CRM no requests before this time, in milliseconds since 1970.
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
        let Some(item) = self.get(TableKey::breaker(key)).await? else {
            return Ok(BreakerState::default());
        };
        let reader = ItemReader(&item);
        Ok(BreakerState {
            open_until_ms: reader.number(OPEN_UNTIL)?.unwrap_or(0),
            consecutive_failures: reader.number(FAILURES)?.unwrap_or(0),
        })
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
