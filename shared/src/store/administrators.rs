//! The operator's decisions about administrators: users who administrate their tenant, and accounts at RingCentral whose
//! administrators do.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Error, Store,
    attributes::{ADMINISTRATES, PK, RINGCENTRAL_ACCOUNTS, text},
    expression::{Update, WriteOutcome},
    item_reader::ItemReader,
    keys::{TENANT_SORT_KEY, TableKey},
    listing::Filter,
};
use crate::model::{TenantKey, UserKey};

/// The number of attempts to change a set that other commands change at the same time.
const ATTEMPTS: usize = 8;

impl Store {
    /// Makes a user an administrator of a tenant, or of none. Returns `false` if there is no such user.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn set_administrator(&self, user: &UserKey, of: Option<&TenantKey>) -> Result<bool, Error> {
        let update = Update::when(format!("attribute_exists(#{PK})"))
            .set_or_remove(ADMINISTRATES, of.map(|tenant| text(tenant.to_string())));
        Ok(matches!(self.update(TableKey::user(user), update).await?, WriteOutcome::Written { .. }))
    }

    /// Returns the ids of the accounts at RingCentral whose administrators administrate a tenant.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn ringcentral_accounts(&self, tenant: &TenantKey) -> Result<Vec<String>, Error> {
        let item = self.get(TableKey::tenant(tenant)).await?;
        item.map_or(Ok(Vec::new()), |item| ItemReader(&item).set(RINGCENTRAL_ACCOUNTS))
    }

    /// Lets the administrators of an account at RingCentral administrate a tenant, or no longer. Returns `false` if it was so
    /// before.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unavailable`] if other commands keep changing the accounts.
    pub async fn bind_ringcentral_account(
        &self,
        tenant: &TenantKey,
        account: &str,
        is_bound: bool,
    ) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let before = self.ringcentral_accounts(tenant).await?;
            if before.iter().any(|bound| bound == account) == is_bound {
                return Ok(false);
            }
            let mut after = before.clone();
            after.retain(|bound| bound != account);
            after.extend(is_bound.then(|| account.to_owned()));
            // DynamoDB has no empty sets.
            let set = |accounts: Vec<String>| (!accounts.is_empty()).then_some(AttributeValue::Ss(accounts));
            let update = match set(before) {
                Some(before) => {
                    Update::when(format!("#{RINGCENTRAL_ACCOUNTS} = :before")).value("before", before)
                }
                None => Update::when(format!("attribute_not_exists(#{RINGCENTRAL_ACCOUNTS})")),
            };
            let update = update.set_or_remove(RINGCENTRAL_ACCOUNTS, set(after));
            if let WriteOutcome::Written { .. } = self.update(TableKey::tenant(tenant), update).await? {
                return Ok(true);
            }
        }
        Err(Error::Unavailable("other commands keep changing the accounts".to_owned()))
    }

    /// Returns the tenants that administrators of accounts at RingCentral administrate, each with the ids of the accounts.
    /// DynamoDB reads, and bills, the whole table.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if an item cannot be read.
    pub async fn ringcentral_bindings(&self) -> Result<Vec<(TenantKey, Vec<String>)>, Error> {
        let mut bindings = Vec::new();
        for item in &self.scan(Filter::sort_key(TENANT_SORT_KEY)).await? {
            let accounts = ItemReader(item).set(RINGCENTRAL_ACCOUNTS)?;
            if let Some(tenant) = TableKey::of_item(item).and_then(|key| key.tenant_key())
                && !accounts.is_empty()
            {
                bindings.push((tenant, accounts));
            }
        }
        bindings.sort();
        Ok(bindings)
    }
}
