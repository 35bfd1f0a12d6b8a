//! Erasure of everything that the table has of a person. Only the operator's program calls it: no function may scan the
//! table or delete an item.

use std::collections::BTreeMap;

use super::{
    Error, Store, StoredUser,
    attributes::{MAKER, OWNING_LOG, text},
    expression::{Update, WriteOutcome},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableItem, TableKey, user_partition},
};
use crate::model::{Platform, TenantKey, UserKey, UserMapping};

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

/// Where a mapping may name the user.
#[derive(Debug)]
struct MappedTrace {
    platform: Platform,
    /// The tenant; `None`: it is not known, because the user was removed before.
    tenant: Option<TenantKey>,
    /// The id by which the CRM knows the user as the owner of records.
    owner_id: String,
}

impl MappedTrace {
    fn of(key: &UserKey, stored: Option<&StoredUser>) -> MappedTrace {
        let suffix = format!("-{}", key.platform);
        let id = key.id.as_str();
        let owner_id =
            stored.map_or(id.strip_suffix(&suffix).unwrap_or(id), |stored| stored.user.crm_owner_id());
        let tenant = stored.map(|stored| stored.user.tenant());
        MappedTrace { platform: key.platform.clone(), tenant, owner_id: owner_id.to_owned() }
    }

    fn may_be_in(&self, tenant: &TenantKey) -> bool {
        self.tenant.as_ref().map_or(self.platform == tenant.platform, |own| own == tenant)
    }
}

/// The counts of an erasure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The items that were removed: those of the user's partition, the call logs that the user made, and what the user's
    /// logins and new contacts left.
    pub removed: usize,
    /// The kinds of the items that were removed, with their numbers.
    pub kinds: BTreeMap<&'static str, usize>,
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
        let mapped = MappedTrace::of(user, self.user(user).await.ok().flatten().as_ref());
        if !is_dry_run && self.remove_user(user).await? {
            erased.count(&TableKey::user(user), Trace::Whole);
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
                self.erase_from(item, user, &mapped, is_dry_run, now_ms, &mut erased).await?;
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
        mapped: &MappedTrace,
        is_dry_run: bool,
        now_ms: i64,
        erased: &mut Erased,
    ) -> Result<(), Error> {
        let key = ItemReader(item).key()?;
        if key.is_mapping() {
            return self.erase_mapped(key, item, mapped, is_dry_run, erased).await;
        }
        let log = key.log_key().filter(|log| log.call.tenant.platform == user.platform);
        let trace = match &log {
            _ if is_of(user, &key, item) => Ok(Trace::Whole),
            Some(log) => self.trace_in_log(log, item, &user.id),
            None => Ok(Trace::None),
        };
        let trace = match trace {
            Ok(Trace::None) => return Ok(()),
            Ok(trace) => trace,
            Err(_) => {
                erased.unreadable += 1;
                return Ok(());
            }
        };
        let is_done = match (trace, &log) {
            _ if is_dry_run => true,
            (Trace::Whole, Some(log)) => self.erase_log(log, item, &user.id, now_ms).await?,
            (_, Some(log)) => self.erase_part(log, &user.id, now_ms).await?,
            (_, None) => self.delete(key.clone(), Update::when("")).await?,
        };
        match is_done {
            true => erased.count(&key, trace),
            false => erased.in_use += 1,
        }
        Ok(())
    }

    /// Removes the user's row from a mapping of users, if it can have one.
    async fn erase_mapped(
        &self,
        key: TableKey,
        item: &TableItem,
        mapped: &MappedTrace,
        is_dry_run: bool,
        erased: &mut Erased,
    ) -> Result<(), Error> {
        if !key.tenant_key().is_some_and(|tenant| mapped.may_be_in(&tenant)) {
            return Ok(());
        }
        let Ok(mut mapping) = self.read_versioned::<UserMapping>(Some(item.clone())) else {
            erased.unreadable += 1;
            return Ok(());
        };
        if mapping.content.0.remove(&mapped.owner_id).is_none() {
            return Ok(());
        }
        if !is_dry_run {
            mapping.version += 1;
            let update = self.versioned(&key, &mapping)?;
            if let WriteOutcome::ConditionFailed(_) = self.update(key, update).await? {
                erased.in_use += 1;
                return Ok(());
            }
        }
        erased.changed += 1;
        Ok(())
    }
}

impl Erased {
    fn count(&mut self, key: &TableKey, trace: Trace) {
        match trace {
            Trace::Whole => {
                self.removed += 1;
                *self.kinds.entry(key.kind()).or_default() += 1;
            }
            _ => self.changed += 1,
        }
    }
}

/// Returns `true` if an item that is no call log is the user's: it is in the user's partition, a request of the user made it, or
/// it names a log that the user made with a credential of their own.
fn is_of(user: &UserKey, key: &TableKey, item: &TableItem) -> bool {
    let own_log = || {
        let log = TableKey::of_text(item.get(OWNING_LOG)?.as_s().ok()?)?.log_key()?;
        Some(log.call.tenant.platform == user.platform && log.call.header_user.as_ref() == Some(&user.id))
    };
    let partition = user_partition(user);
    key.partition() == partition || item.get(MAKER) == Some(&text(partition)) || own_log() == Some(true)
}
