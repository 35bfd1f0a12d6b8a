//! Erasure of everything that the table has of a person. Only the operator's program calls it: no function may scan the
//! table or delete an item.

use super::{
    Error, Store,
    expression::Update,
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableItem, user_partition},
};
use crate::model::UserKey;

/// The part of an item that is a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// Nothing.
    None,
    /// A part that is the person's, such as a queued update.
    Part,
    /// All of it, except for what others have queued in it.
    Whole,
}

/// The counts of an erasure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The items that were removed: the user, the user's breaker, and the call logs that the user made.
    pub removed: usize,
    /// The items of others from which the user's part was removed.
    pub changed: usize,
    /// The items that stay, because an invocation was using them. Repeat the erasure.
    pub in_use: usize,
    /// The items that cannot be read, so that it is not known if they name the user.
    pub unreadable: usize,
}

impl Store {
    /// Removes all items of a user, and the user's part in the items of others. The user's own item is the first, so that no
    /// request of the user adds another one. `is_dry_run`: only counts. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does. The erasure can be repeated.
    pub async fn erase_user(&self, user: &UserKey, is_dry_run: bool, now_ms: i64) -> Result<Erased, Error> {
        let mut erased = Erased::default();
        if !is_dry_run && self.remove_user(user).await? {
            erased.removed += 1;
        }
        let mut from: Option<TableItem> = None;
        loop {
            let request = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .set_exclusive_start_key(from);
            let page = Box::pin(request.send()).await.map_err(from_sdk_error)?;
            for item in page.items.iter().flatten() {
                self.erase_from(item, user, is_dry_run, now_ms, &mut erased).await?;
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(erased);
            }
        }
    }

    async fn erase_from(
        &self,
        item: &TableItem,
        user: &UserKey,
        is_dry_run: bool,
        now_ms: i64,
        erased: &mut Erased,
    ) -> Result<(), Error> {
        let key = ItemReader(item).key()?;
        let log = key.log_key().filter(|log| log.call.tenant.platform == user.platform);
        let trace = match &log {
            _ if key.partition() == user_partition(user) => Ok(Trace::Whole),
            Some(log) => self.trace_in_log(log, item, &user.id),
            None => Ok(Trace::None),
        };
        let count = match trace {
            Ok(Trace::None) => return Ok(()),
            Ok(Trace::Whole) => &mut erased.removed,
            Ok(Trace::Part) => &mut erased.changed,
            Err(_) => {
                erased.unreadable += 1;
                return Ok(());
            }
        };
        let is_done = match (trace?, &log) {
            _ if is_dry_run => true,
            (Trace::Whole, Some(log)) => self.erase_log(log, item, &user.id, now_ms).await?,
            (_, Some(log)) => self.erase_part(log, &user.id, now_ms).await?,
            (_, None) => self.delete(key, Update::when("")).await?,
        };
        *if is_done { count } else { &mut erased.in_use } += 1;
        Ok(())
    }
}
