//! When the redrive takes a call up: a sparse index of the calls with unfinished work. A call is in it from each claim
//! until the claimed work is done, so that it is not forgotten if the lease holder dies.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{CallItem, Event};
use crate::{
    model::{LogKey, UserId, hash::stable_hash},
    store::{
        Error, Store,
        attributes::{
            CREATOR, DUE_AT, DUE_INDEX, DUE_SHARD, DUE_USER, FAILING_SINCE, FENCE, HOLDER, LEASE_UNTIL,
            STATE, TRIES, WAITING_SINCE, number, text,
        },
        expression::{Update, WriteOutcome},
        from_sdk_error,
        item_reader::ItemReader,
        keys::{TableItem, TableKey},
    },
};

/// The number of partitions of the index. DynamoDB limits each to 1,000 writes a second.
const SHARDS: u64 = 4;
/// The maximum number of pages of each partition in one read of the index.
const PAGES: usize = 20;

/// A call in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The call.
    pub key: LogKey,
    /// When the redrive takes it up, in milliseconds since 1970.
    pub due_ms: i64,
    /// Since when something waits to be in the CRM, in milliseconds since 1970; `None`: nothing waits, the call is in
    /// the index for a duplicate sweep.
    pub waiting_since_ms: Option<i64>,
    /// The user whose credential delivers it, as long as it is valid.
    pub user: UserId,
    /// The user whose create made the log: the one whose credential delivers it after that.
    pub creator: Option<UserId>,
}

/// The outcome of rearming a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearmed {
    /// The redrive takes the call up at once.
    Done,
    /// The call was not given up: it is in the CRM, waits for its next try, or its payload is gone.
    Nothing,
}

impl Store {
    /// Reads every call with unfinished work, due or not, in the order of their due times. Takes items that
    /// another version wrote out of the index, and returns their number. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn unsettled(&self, now_ms: i64) -> Result<(Vec<Due>, usize), Error> {
        let (mut calls, mut unreadable) = (Vec::new(), 0);
        for shard in 0..SHARDS {
            let mut from: Option<TableItem> = None;
            for _ in 0..PAGES {
                let request = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .index_name(DUE_INDEX)
                    .key_condition_expression(format!("{DUE_SHARD} = :shard"))
                    .expression_attribute_values(":shard", shard_value(shard))
                    .set_exclusive_start_key(from);
                let page = Box::pin(request.send()).await.map_err(from_sdk_error)?;
                for item in page.items.iter().flatten() {
                    match (read_due(item), TableKey::of_item(item)) {
                        (Some(call), _) => calls.push(call),
                        (None, Some(key)) => {
                            unreadable += 1;
                            let due_ms = ItemReader(item).number(DUE_AT)?.unwrap_or_default();
                            let update = out_of_index(due_ms, now_ms).condition(is_still_due());
                            self.update(key, update).await?;
                        }
                        (None, None) => {}
                    }
                }
                from = page.last_evaluated_key.filter(|key| !key.is_empty());
                if from.is_none() {
                    break;
                }
            }
        }
        calls.sort_by_key(|call| call.due_ms);
        Ok((calls, unreadable))
    }

    /// Takes a call out of the index and changes nothing else: this version cannot read it, or its user is gone.
    /// It does nothing if the call was claimed or put off since. Times are in milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn set_aside(&self, call: &LogKey, due_ms: i64, now_ms: i64) -> Result<(), Error> {
        let update = out_of_index(due_ms, now_ms).condition(is_still_due());
        self.update(TableKey::log(call), update).await.map(drop)
    }

    /// Takes a call out of the index for which there was nothing to do when it was `seen`, and removes a dead lease
    /// holder from the item. It does nothing if the call was claimed or put off since. Times are in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn settle(
        &self,
        call: &LogKey,
        seen: &CallItem,
        due_ms: i64,
        now_ms: i64,
    ) -> Result<(), Error> {
        // The fence too, because two leases can end in the same millisecond.
        let update = out_of_index(due_ms, now_ms)
            .condition(format!("{} AND #{FENCE} = :fence", is_still_due()))
            .value("fence", number(seen.fence))
            .set(LEASE_UNTIL, number(0))
            .remove(HOLDER)
            .remove(WAITING_SINCE)
            .remove(FAILING_SINCE)
            .remove(TRIES);
        self.update(TableKey::log(call), update).await.map(drop)
    }

    /// Has a call that was given up tried again at once, as if it were new. `item`: the call as it was read. `now_ms`:
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn rearm(&self, call: &LogKey, item: &CallItem, now_ms: i64) -> Result<Rearmed, Error> {
        let Some(state) = item.state.after(Event::Rearm).filter(|_| item.is_given_up()) else {
            return Ok(Rearmed::Nothing);
        };
        let is_idle = format!("attribute_not_exists(#{HOLDER}) AND attribute_not_exists(#{DUE_AT})");
        let update = Update::when(format!("#{STATE} = :from AND {is_idle}"))
            .value("from", text(item.state.name()))
            .set(STATE, text(state.name()))
            .set(DUE_SHARD, shard_of(call))
            .set(DUE_AT, number(now_ms))
            .set(WAITING_SINCE, number(now_ms))
            .remove(FAILING_SINCE)
            .remove(TRIES);
        Ok(match self.update(TableKey::log(call), update).await? {
            WriteOutcome::Written { .. } => Rearmed::Done,
            WriteOutcome::ConditionFailed(_) => Rearmed::Nothing,
        })
    }
}

fn read_due(item: &TableItem) -> Option<Due> {
    let reader = ItemReader(item);
    let user = |attribute| reader.text(attribute).ok().flatten().and_then(UserId::new);
    Some(Due {
        user: user(DUE_USER).or_else(|| user(CREATOR))?,
        creator: user(CREATOR),
        key: TableKey::of_item(item)?.log_key()?,
        due_ms: reader.number(DUE_AT).ok()??,
        waiting_since_ms: reader.number(WAITING_SINCE).ok().flatten(),
    })
}

/// Takes a call out of the index; defines the values of [`is_still_due`].
fn out_of_index(due_ms: i64, now_ms: i64) -> Update {
    Update::default()
        .value("due", number(due_ms))
        .value("now", number(now_ms))
        .remove(DUE_SHARD)
        .remove(DUE_AT)
}

/// The condition that the call has not been claimed or put off since its due time was read.
fn is_still_due() -> String {
    format!("#{DUE_AT} = :due AND #{LEASE_UNTIL} <= :now")
}

/// Returns the partition of the index that a call is in, as [`DUE_SHARD`]. It never changes.
pub(super) fn shard_of(call: &LogKey) -> AttributeValue {
    let parts = [call.call.tenant.account.as_bytes(), call.call.session.as_str().as_bytes()];
    shard_value(stable_hash(parts) % SHARDS)
}

fn shard_value(shard: u64) -> AttributeValue {
    text(format!("D#{shard}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CallKey, Platform, SessionId, TenantKey};

    #[test]
    fn calls_are_spread_over_all_shards() {
        let tenant = TenantKey { platform: Platform::new("example").unwrap(), account: "acme".to_owned() };
        let shard = |session: usize| {
            let session = SessionId::new(session.to_string()).unwrap();
            shard_of(&CallKey { tenant: tenant.clone(), session, header_user: None }.log(0))
        };
        for expected in 0..SHARDS {
            let count = (0..1_000).filter(|session| shard(*session) == shard_value(expected)).count();
            assert!((200..300).contains(&count), "{count} of 1000 in shard {expected}");
        }
    }
}
