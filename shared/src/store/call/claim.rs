//! The beginning of an attempt: an invocation claims the call's lease, or queues its update for the lease holder.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Basis, CallItem, Event, Origin, QueuedUpdate, RecoveryCriteria, State,
    basis::{teach_log, with_values},
    due::shard_of,
    item::unconfirmed_field,
    transition::{state_after, states_before},
};
use crate::{
    model::{CallDetails, LogKey, NoteSource, Payload, UserId},
    note::Fingerprints,
    store::{
        Error, Store,
        attributes::{
            BROUGHT, CREATOR, DUE_AT, DUE_SHARD, DUE_USER, FENCE, FIRST_AT, HAS_NOTE, HOLDER, LEASE_UNTIL,
            LOG_ID, OUTCOME_UNKNOWN, PAYLOAD, PK, PREVIOUS_OUTCOME_UNKNOWN, QUEUE, QUEUED_VERSION, REASON,
            RECOVERY_CRITERIA, STATE, TTL, UNCONFIRMED, WAITING_SINCE, boolean, number, text,
        },
        expression::{Update, WriteOutcome},
        item_reader::ItemReader,
        keys::{TableItem, TableKey},
        packing::pack,
    },
};

/// The time that an update waits for a call that is never logged, in seconds.
pub(super) const QUEUED_TTL_S: i64 = 30 * 86_400;
/// The time that the item of a log is kept after the last request to create its record, in seconds.
const LOGGED_TTL_S: i64 = 400 * 86_400;
/// The time that the item of the first log is kept after the last request to create any record of the call, in seconds. It
/// outlives the others, because it lists them.
pub(in crate::store) const INDEX_TTL_S: i64 = LOGGED_TTL_S + 30 * 86_400;

/// The lease of a call: the exclusive right to send requests to the CRM for it.
#[derive(Clone, Debug)]
pub struct Lease<'a> {
    /// The call log.
    pub key: &'a LogKey,
    /// The user whose credential the holder uses.
    pub user: &'a UserId,
    /// The name of this invocation. No other invocation ever has it.
    pub holder: &'a str,
    /// The time of the claim, in milliseconds since 1970.
    pub now_ms: i64,
    /// The end of the lease, in milliseconds since 1970: the invocation's deadline, and the time in which a request that
    /// it sent may still take effect or be missing in the CRM's searches.
    pub until_ms: i64,
}

/// The reason for a claim to create.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A request brings this payload. It is kept until the call is logged, unless an earlier one is kept already.
    Request {
        /// The payload.
        payload: &'a Payload,
        /// The name of the way in which the attempt is expected to be sent.
        way: &'a str,
        /// The request.
        sender: Origin<'a>,
        /// The ground on which it is about the log.
        basis: Basis<'a>,
    },
    /// The call is due, with the payload that an earlier request brought.
    Redrive,
}

/// Details to queue.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    /// The details.
    pub details: &'a CallDetails,
    /// Fingerprints of the values that the CRM's own fields will have, by name. A lease holder may write them and die.
    pub fields: &'a BTreeMap<String, String>,
    /// The request that brings them.
    pub sender: Origin<'a>,
    /// The kind of that request.
    pub source: NoteSource,
}

impl Queued<'_> {
    /// Returns the entry of [`QUEUE`] for the log with this slot; `None`: for a log that does not exist yet.
    pub(super) fn entry(&self, slot: Option<u32>) -> QueuedUpdate {
        QueuedUpdate {
            id: self.sender.request.to_owned(),
            user: self.sender.user.clone(),
            identity: self.sender.identity.clone(),
            slot,
            source: self.source,
            details: self.details.clone(),
        }
    }
}

/// The reason for a claim to update.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A request brings these details.
    New(Queued<'a>, Basis<'a>),
    /// The request queued its details before, and the lease holder gave the lease back without writing them. They are
    /// not queued again, because they would replace newer ones.
    AlreadyQueued,
    /// The call is due: it has queued details, or a duplicate sweep is due.
    Due,
}

/// The payload of an earlier request, as a request that claims the same log finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// There is none.
    None,
    /// Its delivery was promised.
    Promised,
    /// Its delivery was given up.
    GivenUp,
}

/// The outcome of a claim to create.
#[derive(Debug)]
pub enum ClaimCreate {
    /// This invocation holds the lease.
    Claimed {
        /// The item. [`CallItem::brought`] is as it was before the claim.
        item: Box<CallItem>,
        /// The payload of an earlier request that the item keeps.
        earlier: Earlier,
        /// The item before the claim.
        undo: Undo,
    },
    /// The request may be about another log, another invocation holds the lease, a request of its last holder may still
    /// take effect, or the call is logged.
    Rejected(Box<CallItem>),
    /// There is no item of the call; only for [`Purpose::Redrive`].
    Absent,
}

/// The outcome of a claim to update.
#[derive(Debug)]
pub enum ClaimUpdate {
    /// This invocation holds the lease, and its details are queued.
    Claimed(Box<CallItem>, Undo),
    /// The request may be about another log, the call is not logged, another invocation holds the lease, or a request of its
    /// last holder may still take effect.
    Rejected(Box<CallItem>),
    /// There is no item of the call.
    Absent,
}

/// The outcome of queueing an update.
#[derive(Debug)]
pub enum Enqueued {
    /// The update is queued. The item says whether there is a lease holder that will write it.
    Queued(Box<CallItem>),
    /// The item has changed since it was read: match and claim again.
    ItemChanged,
}

/// A claim, as far as it must be known to take it back.
#[derive(Debug)]
pub struct Undo {
    /// The item before the claim; empty if there was none, `None` if it is not known.
    pub(super) before: Option<TableItem>,
    /// The item after the claim.
    pub(super) after: TableItem,
}

/// The item of a claim, and how to take the claim back. `undo` is absent if another invocation holds the lease.
struct ReadClaim {
    item: Box<CallItem>,
    undo: Option<Undo>,
}

impl Store {
    /// Claims a log to create its record, unless it has one or another invocation may be at work on it.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn claim_create(&self, lease: &Lease<'_>, purpose: Purpose<'_>) -> Result<ClaimCreate, Error> {
        let (outcome, kept) = match purpose {
            Purpose::Request { payload, .. } => {
                let kept = self.encrypt_payload(lease.key, payload)?;
                match self.claim_create_with(lease, purpose, kept.clone()).await {
                    // Together with queued details the payload is too long for an item. The call is not kept: if this
                    // attempt fails, the caller has to send the request again.
                    Err(Error::TooLarge) => (self.claim_create_with(lease, purpose, None).await?, None),
                    outcome => (outcome?, kept),
                }
            }
            Purpose::Redrive => (self.claim_create_with(lease, purpose, None).await?, None),
        };
        Ok(match self.read_claim(lease, outcome)? {
            Some(ReadClaim { item, undo: Some(undo) }) => {
                let is_earlier = item.payload.is_some() && undo.after.get(PAYLOAD) != kept.as_ref();
                let state = undo.before.as_ref().and_then(|before| before.get(STATE));
                let earlier = match is_earlier {
                    true if state == Some(&text(State::DeadLetter.name())) => Earlier::GivenUp,
                    true => Earlier::Promised,
                    false => Earlier::None,
                };
                ClaimCreate::Claimed { item, earlier, undo }
            }
            Some(ReadClaim { item, undo: None }) => ClaimCreate::Rejected(item),
            None => ClaimCreate::Absent,
        })
    }

    async fn claim_create_with(
        &self,
        lease: &Lease<'_>,
        purpose: Purpose<'_>,
        payload: Option<AttributeValue>,
    ) -> Result<WriteOutcome, Error> {
        let update = self.create_update(lease, purpose, payload)?;
        self.update(TableKey::log(lease.key), update.returning_item()).await
    }

    /// Returns the write that claims a log to create its record.
    pub(super) fn create_update(
        &self,
        lease: &Lease<'_>,
        purpose: Purpose<'_>,
        payload: Option<AttributeValue>,
    ) -> Result<Update, Error> {
        // The condition names the states, so that an item of a later version's state is left alone.
        let states = state_values(Event::ClaimCreate);
        let is_free = format!(
            "attribute_not_exists(#{LOG_ID}) AND #{LEASE_UNTIL} <= :now AND #{STATE} IN ({})",
            placeholders(&states)
        );
        let mut update = acquire_lease(with_values(Update::default(), states), lease)
            .set(STATE, text(next_state(None, Event::ClaimCreate).name()))
            .copy(PREVIOUS_OUTCOME_UNKNOWN, OUTCOME_UNKNOWN, boolean(false))
            .set(OUTCOME_UNKNOWN, boolean(true))
            .set_if_absent(FIRST_AT, number(lease.now_ms))
            .set(TTL, number(lease.now_ms / 1_000 + ttl_s(lease.key)))
            .remove(REASON);
        let condition = match purpose {
            Purpose::Request { payload: request, way, sender, basis } => {
                // Without a contact, nothing is sent before the contact is stored, and the criteria with it.
                if request.contact.is_some() {
                    let criteria = [RecoveryCriteria::of(lease.key, request, way)];
                    let criteria = self.encrypt_criteria(lease.key, &criteria)?;
                    update = update.set_if_absent(RECOVERY_CRITERIA, criteria);
                }
                update = update
                    .add(BROUGHT, request.details.brought())
                    .set_if_absent(CREATOR, text(sender.user.as_str()))
                    .set_if_absent(HAS_NOTE, boolean(request.has_note));
                // An earlier payload stays, because its delivery was promised.
                if let Some(payload) = payload {
                    update = update.set_if_absent(PAYLOAD, payload);
                }
                update = teach_log(update, basis, &sender);
                let is_meant = basis.condition(&sender);
                update = with_values(update, is_meant.values);
                format!("attribute_not_exists(#{PK}) OR ({is_free} AND ({}))", is_meant.text)
            }
            Purpose::Redrive => format!("{is_free} AND attribute_exists(#{PAYLOAD}) AND #{DUE_AT} <= :now"),
        };
        Ok(update.condition(condition))
    }

    /// Stores how to find the records of all attempts so far, before one that differs from the earlier ones is sent.
    /// `payload`: replaces the one that is kept. Returns `false` if the lease has run out and another invocation has claimed the
    /// call.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn record_criteria(
        &self,
        lease: &Lease<'_>,
        criteria: &[RecoveryCriteria],
        payload: Option<&Payload>,
    ) -> Result<bool, Error> {
        let mut update = Update::when(format!("#{HOLDER} = :holder"))
            .value("holder", text(lease.holder))
            .set(RECOVERY_CRITERIA, self.encrypt_criteria(lease.key, criteria)?);
        if let Some(payload) = payload {
            update = update.set_or_remove(PAYLOAD, self.encrypt_payload(lease.key, payload)?);
        }
        let outcome = self.update(TableKey::log(lease.key), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }

    /// Replaces the payload of a claimed log, and its creator. Returns `false` if the lease has run out and another invocation
    /// has claimed the log.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::TooLarge`] if the payload does not fit into the item.
    pub async fn replace_payload(
        &self,
        lease: &Lease<'_>,
        payload: &Payload,
        creator: &UserId,
    ) -> Result<bool, Error> {
        let Some(kept) = self.encrypt_payload(lease.key, payload)? else { return Err(Error::TooLarge) };
        let update = Update::when(format!("#{HOLDER} = :holder"))
            .value("holder", text(lease.holder))
            .add(BROUGHT, payload.details.brought())
            .set(CREATOR, text(creator.as_str()))
            .set(HAS_NOTE, boolean(payload.has_note))
            .set(PAYLOAD, kept);
        let outcome = self.update(TableKey::log(lease.key), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }

    /// Claims a logged call to change its record, unless another invocation may be at work on it, and queues the
    /// details that the request brings.
    ///
    /// # Errors
    /// Fails if the table does, with [`Error::Unreadable`] if the item cannot be read, and with [`Error::TooLarge`] if
    /// the details do not fit into it.
    pub async fn claim_update(&self, lease: &Lease<'_>, change: Change<'_>) -> Result<ClaimUpdate, Error> {
        let states = state_values(Event::ClaimUpdate);
        let is_free = format!("#{STATE} IN ({}) AND #{LEASE_UNTIL} <= :now", placeholders(&states));
        let update = acquire_lease(with_values(Update::default(), states), lease)
            .set(STATE, text(State::Logged.name()))
            .returning_item();
        let update = match change {
            Change::New(queued, basis) => {
                let is_meant = basis.condition(&queued.sender);
                let update = self.queue(lease.key, update, queued, Some(lease.key.slot))?;
                let update = teach_log(update, basis, &queued.sender);
                with_values(update, is_meant.values).condition(format!("{is_free} AND ({})", is_meant.text))
            }
            Change::AlreadyQueued => update.condition(is_free),
            Change::Due => update.condition(format!("{is_free} AND #{DUE_AT} <= :now")),
        };
        let outcome = self.update(TableKey::log(lease.key), update).await?;
        Ok(match self.read_claim(lease, outcome)? {
            Some(ReadClaim { item, undo: Some(undo) }) => ClaimUpdate::Claimed(item, undo),
            Some(ReadClaim { item, undo: None }) => ClaimUpdate::Rejected(item),
            None => ClaimUpdate::Absent,
        })
    }

    /// Queues details for the lease holder of a log, or for a log that has no record yet. `now_ms`: milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// Fails if the table does, with [`Error::Unreadable`] if the item cannot be read, and with [`Error::TooLarge`] if
    /// the details do not fit into it.
    pub async fn enqueue(
        &self,
        key: &LogKey,
        queued: Queued<'_>,
        basis: Basis<'_>,
        now_ms: i64,
    ) -> Result<Enqueued, Error> {
        let states = state_values(Event::Enqueue);
        let is_meant = basis.condition(&queued.sender);
        let condition = format!(
            "attribute_exists(#{PK}) AND #{STATE} IN ({}) AND (#{LEASE_UNTIL} > :now OR #{STATE} <> :logged) AND ({})",
            placeholders(&states),
            is_meant.text
        );
        let update =
            Update::when(condition).value("logged", text(State::Logged.name())).value("now", number(now_ms));
        let update = with_values(with_values(update, states), is_meant.values);
        let update = teach_log(update, basis, &queued.sender);
        self.write_queue(key, self.queue(key, update, queued, Some(key.slot))?).await
    }

    /// Carries out a write that queues an update.
    pub(super) async fn write_queue(&self, key: &LogKey, update: Update) -> Result<Enqueued, Error> {
        Ok(match self.update(TableKey::log(key), update.returning_item()).await? {
            WriteOutcome::Written { after, .. } => Enqueued::Queued(Box::new(self.read_call(&after)?)),
            WriteOutcome::ConditionFailed(_) => Enqueued::ItemChanged,
        })
    }

    /// Adds details to the queue of a log.
    pub(super) fn queue(
        &self,
        key: &LogKey,
        update: Update,
        queued: Queued<'_>,
        slot: Option<u32>,
    ) -> Result<Update, Error> {
        // A lease holder may write the details and die before it confirms that. Without their fingerprints, the next
        // one would take them for a person's edit.
        let mut unconfirmed = Vec::new();
        // Details that wait for a log may get another one than this item's.
        if slot.is_some() {
            unconfirmed.extend(Fingerprints::of_queued(queued.details).unconfirmed_texts());
            unconfirmed.extend(queued.fields.iter().map(|(name, hash)| unconfirmed_field(name, hash)));
        }
        let brought = if slot.is_some() { queued.details.brought() } else { Vec::new() };
        Ok(update
            .increment(QUEUED_VERSION)
            .add(UNCONFIRMED, unconfirmed)
            .add(BROUGHT, brought)
            .append(QUEUE, self.queue_entry(key, &queued.entry(slot))?))
    }

    pub(super) fn encrypt_criteria(
        &self,
        key: &LogKey,
        criteria: &[RecoveryCriteria],
    ) -> Result<AttributeValue, Error> {
        let packed = pack(&criteria).map_err(|error| Error::Rejected(error.to_string()))?;
        self.encrypt(&TableKey::log(key), RECOVERY_CRITERIA, &packed)
    }

    /// Returns the item of a claim, if there is one, and how to take it back if this invocation holds the lease.
    fn read_claim(&self, lease: &Lease<'_>, outcome: WriteOutcome) -> Result<Option<ReadClaim>, Error> {
        let (before, after) = match outcome {
            WriteOutcome::Written { before, after } => (Some(before), after),
            WriteOutcome::ConditionFailed(Some(item)) => (None, item),
            WriteOutcome::ConditionFailed(None) => return Ok(None),
        };
        let mut call = self.read_call(&after)?;
        if let Some(before) = &before {
            call.brought = ItemReader(before).set(BROUGHT)?.into_iter().collect();
            // An attempt stores its criteria before it sends anything. One that died while it looked for the contact has none.
            call.outcome_unknown &= before.contains_key(RECOVERY_CRITERIA);
        }
        // The condition also fails for our own claim if the SDK repeats it because the response was lost.
        let is_ours = call.lease_holder.as_deref() == Some(lease.holder);
        Ok(Some(ReadClaim { item: Box::new(call), undo: is_ours.then_some(Undo { before, after }) }))
    }
}

/// The part that all claims have in common. The call becomes due when the lease ends, so that the redrive takes it up
/// if the lease holder dies.
fn acquire_lease(update: Update, lease: &Lease<'_>) -> Update {
    update
        .value("now", number(lease.now_ms))
        .set(HOLDER, text(lease.holder))
        .set(LEASE_UNTIL, number(lease.until_ms))
        .increment(FENCE)
        .set_if_absent(WAITING_SINCE, number(lease.now_ms))
        .set(DUE_USER, text(lease.user.as_str()))
        .set(DUE_SHARD, shard_of(lease.key))
        .set(DUE_AT, number(lease.until_ms))
}

/// Returns the time that the item of a log is kept after a request to create its record, in seconds.
pub(in crate::store) fn ttl_s(log: &LogKey) -> i64 {
    if log.slot == 0 { INDEX_TTL_S } else { LOGGED_TTL_S }
}

/// Returns the states in which an event can happen, as named values of an expression.
fn state_values(event: Event) -> Vec<(String, AttributeValue)> {
    states_before(event).map(|state| (format!("state_{}", state.name()), text(state.name()))).collect()
}

/// Returns the placeholders of named values, for a list.
fn placeholders(values: &[(String, AttributeValue)]) -> String {
    values.iter().map(|(name, _)| format!(":{name}")).collect::<Vec<_>>().join(", ")
}

/// The part of a write that makes an item of queued updates alone, which is kept for this time. `now_ms`: milliseconds since
/// 1970.
pub(super) fn as_queued(update: Update, now_ms: i64, ttl_s: i64) -> Update {
    update
        .set(STATE, text(next_state(None, Event::EnqueueFirst).name()))
        .set(LEASE_UNTIL, number(0))
        .set(TTL, number(now_ms / 1_000 + ttl_s))
}

/// Returns the state that an event leads to.
fn next_state(from: Option<State>, event: Event) -> State {
    state_after(from, event).expect("the table of transitions has every event that the store writes")
}
