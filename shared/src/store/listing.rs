//! Lists of users and tenants, for the operator's program: no function may scan the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Error, Store, StoredUser,
    attributes::{ALLOWED, SK, text},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TENANT_SORT_KEY, TableItem, TableKey, USER_SORT_KEY},
};
use crate::model::{TenantKey, UserKey};

/// The condition of the items that a scan returns.
pub(super) struct Filter {
    pub(super) expression: String,
    /// The attributes that it names, each as `#` and the name.
    pub(super) names: &'static [&'static str],
    /// The values that it names, each as `:` and the name.
    pub(super) values: Vec<(&'static str, AttributeValue)>,
}

impl Filter {
    pub(super) fn sort_key(key: &str) -> Filter {
        Filter { expression: format!("#{SK} = :sort"), names: &[SK], values: vec![("sort", text(key))] }
    }
}

impl Store {
    /// Returns all users, in no order, each with the error if the item cannot be read. DynamoDB reads, and bills, the whole
    /// table.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn users(&self) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error> {
        let items = self.scan(Filter::sort_key(USER_SORT_KEY)).await?;
        let read = |item: &TableItem| {
            let key = TableKey::of_item(item)?.user_key()?;
            let user = self.read_user(&key, item);
            Some((key, user))
        };
        Ok(items.iter().filter_map(read).collect())
    }

    /// Returns the tenants about which an operator has decided, each with `true` if its people may connect by themselves.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if an item cannot be read.
    pub async fn tenants(&self) -> Result<Vec<(TenantKey, bool)>, Error> {
        let items = self.scan(Filter::sort_key(TENANT_SORT_KEY)).await?;
        let mut tenants = Vec::new();
        for item in items.iter().filter(|item| item.contains_key(ALLOWED)) {
            if let Some(tenant) = TableKey::of_item(item).and_then(|key| key.tenant_key()) {
                tenants.push((tenant, ItemReader(item).boolean(ALLOWED)?));
            }
        }
        tenants.sort();
        Ok(tenants)
    }

    /// Returns the items that match.
    pub(super) async fn scan(&self, filter: Filter) -> Result<Vec<TableItem>, Error> {
        let names = filter.names.iter().map(|name| (format!("#{name}"), (*name).to_owned()));
        let values = filter.values.into_iter().map(|(name, value)| (format!(":{name}"), value));
        let (names, values): (HashMap<_, _>, HashMap<_, _>) = (names.collect(), values.collect());
        let (mut items, mut from): (Vec<TableItem>, Option<TableItem>) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .scan()
                .table_name(&self.table)
                .filter_expression(&filter.expression)
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(values.clone()))
                .set_exclusive_start_key(from);
            let page = Box::pin(request.send()).await.map_err(from_sdk_error)?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
            }
        }
    }
}
