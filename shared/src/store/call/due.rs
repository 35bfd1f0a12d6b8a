//! What has to be tried again, and when: a sparse index over the calls that are not settled. A call is in it from each
//! claim until the clean end of what was claimed, so that nothing is forgotten when an owner dies.

use std::{collections::HashMap, hash::Hasher};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    CallItem, Error, Event, Item, Reader, State, Store,
    calls::{call_key, item_key},
    expression::{Update, Written},
    failed, key, number, text,
};
use crate::model::CallKey;

/// Over how many partitions of the index the calls are spread; each takes 1,000 writes a second.
const SHARDS: u64 = 4;
/// How many pages of the index one look reads at most, of each partition.
const PAGES: usize = 20;
/// How long what is known of a CRM's rest is kept after it, in seconds.
const REST_TTL: i64 = 7 * 86_400;

/// A call that has to be tried again, or looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub key: CallKey,
    /// When, in milliseconds since 1970.
    pub due_ms: i64,
    /// Since when something of it waits to be in the CRM; `None`: nothing does, it is to be looked after.
    pub waiting_since_ms: Option<i64>,
}

/// Until when a company's CRM is left alone, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerState {
    /// Milliseconds since 1970.
    pub until_ms: i64,
    /// How many requests in a row had no success.
    pub failures: i64,
}

/// The answer to wanting something tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearmed {
    /// It is tried at once.
    Done,
    /// There is nothing to try: it is in the CRM, or waits for its time already, or what it was made from is gone.
    Nothing,
}

impl Store {
    /// Every call that is not settled, whether it is due or not, in the order in which they are due.
    pub async fn unsettled(&self) -> Result<Vec<Due>, Error> {
        let mut calls = Vec::new();
        for shard in 0..SHARDS {
            let mut from: Option<HashMap<String, AttributeValue>> = None;
            for _ in 0..PAGES {
                let request = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .index_name("due")
                    .key_condition_expression("dq = :shard")
                    .expression_attribute_values(":shard", text(format!("D#{shard}")))
                    .set_exclusive_start_key(from);
                let page = Box::pin(request.send()).await.map_err(failed)?;
                calls.extend(page.items.iter().flatten().filter_map(read_due));
                from = page.last_evaluated_key.filter(|key| !key.is_empty());
                if from.is_none() {
                    break;
                }
            }
        }
        calls.sort_by_key(|call| call.due_ms);
        Ok(calls)
    }

    /// Takes a call out of the index and changes nothing else: it cannot be read, or nobody can deliver it.
    pub async fn set_aside(&self, call: &CallKey, due_ms: i64, now_ms: i64) -> Result<(), Error> {
        self.update(item_key(call), out_of_index(due_ms, now_ms)).await.map(drop)
    }

    /// Takes a call out of the index for which there was nothing to do when it was `seen`, and its dead owner's name
    /// out of the item. Unless it was claimed since: two leases may end in the same millisecond.
    pub async fn settle(
        &self,
        call: &CallKey,
        seen: &CallItem,
        due_ms: i64,
        now_ms: i64,
    ) -> Result<(), Error> {
        let update = out_of_index(due_ms, now_ms)
            .condition("#due = :due AND #busy <= :now AND #fence = :fence")
            .value("fence", number(seen.fence))
            .set("busy", number(0))
            .remove("own")
            .remove("since")
            .remove("tries");
        self.update(item_key(call), update).await.map(drop)
    }

    /// Has what was given up tried again at once, as if it were new.
    pub async fn rearm(&self, call: &CallKey, item: &CallItem, now_ms: i64) -> Result<Rearmed, Error> {
        let is_given_up = match item.state {
            State::DeadLetter => item.payload.is_some(),
            State::Logged => item.due_at.is_none() && item.waits(),
            _ => false,
        };
        let Some(state) = item.state.after(Event::Rearm).filter(|_| is_given_up) else {
            return Ok(Rearmed::Nothing);
        };
        let update =
            Update::when("#st = :from AND attribute_not_exists(#own) AND attribute_not_exists(#due)")
                .value("from", text(item.state.name()))
                .set("st", text(state.name()))
                .set("dq", text(shard_of(call)))
                .set("due", number(now_ms))
                .set("since", number(now_ms))
                .remove("tries");
        Ok(match self.update(item_key(call), update).await? {
            Written::Done(_) => Rearmed::Done,
            Written::Refused(_) => Rearmed::Nothing,
        })
    }

    /// Until when this company's CRM is left alone by what can wait.
    pub async fn breaker(&self, tenant: &str) -> Result<BreakerState, Error> {
        let Some(item) = self.get(rest_key(tenant)).await? else { return Ok(BreakerState::default()) };
        let reader = Reader { item: &item };
        Ok(BreakerState {
            until_ms: reader.number("until")?.unwrap_or(0),
            failures: reader.number("failures")?.unwrap_or(0),
        })
    }

    pub async fn set_breaker(&self, tenant: &str, rest: BreakerState, now_ms: i64) -> Result<(), Error> {
        let update = Update::when("")
            .set("until", number(rest.until_ms))
            .set("failures", number(rest.failures))
            .set("ttl", number(now_ms.max(rest.until_ms) / 1_000 + REST_TTL));
        self.update(rest_key(tenant), update).await.map(drop)
    }
}

fn read_due(item: &Item) -> Option<Due> {
    let part = |name| item.get(name)?.as_s().ok();
    let number = |name| item.get(name)?.as_n().ok()?.parse().ok();
    let key = call_key(part("pk")?, part("sk")?)?;
    Some(Due { key, due_ms: number("due")?, waiting_since_ms: number("since") })
}

/// Unless somebody has come since, or is at it.
fn out_of_index(due_ms: i64, now_ms: i64) -> Update {
    Update::when("#due = :due AND #busy <= :now")
        .value("due", number(due_ms))
        .value("now", number(now_ms))
        .remove("dq")
        .remove("due")
}

fn rest_key(tenant: &str) -> Item {
    key(&format!("T#{tenant}"), "REST")
}

/// The partition of the index that a call is in: always the same.
pub(super) fn shard_of(call: &CallKey) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for part in [call.user.as_str(), call.session.as_str()] {
        hash.write(part.as_bytes());
    }
    format!("D#{}", hash.finish() % SHARDS)
}

/// FNV-1a: the same in every version of this program, which the standard library's hasher does not promise.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        // The low bits alone are weak.
        self.0 ^ (self.0 >> 32)
    }
}
