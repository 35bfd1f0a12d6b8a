//! The beginning of an attempt: an invocation claims the call's lease, or queues its update for the lease holder.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    CallItem, Event, RecoveryCriteria, State,
    due::shard_of,
    item::unconfirmed_field,
    transition::{state_after, states_before},
};
use crate::{
    model::{CallDetails, CallKey, Payload},
    note::Fingerprints,
    store::{
        Error, Store,
        attributes::{
            DUE_AT, DUE_SHARD, FENCE, FIRST_AT, HOLDER, LEASE_UNTIL, LOG_ID, OUTCOME_UNKNOWN, PAYLOAD, PK,
            PREVIOUS_OUTCOME_UNKNOWN, QUEUED_VERSION, REASON, RECOVERY_CRITERIA, STATE, TTL, UNCONFIRMED,
            WAITING_SINCE, boolean, number, queued_detail, text,
        },
        expression::{Update, WriteOutcome},
        keys::TableKey,
    },
};

/// The time that an update waits for a call that is never logged, in seconds.
const QUEUED_TTL_S: i64 = 30 * 86_400;
/// The time that the item of a call is kept after a request to log it, in seconds.
pub(in crate::store) const LOGGED_TTL_S: i64 = 400 * 86_400;

/// The lease of a call: the exclusive right to send requests to the CRM for it.
#[derive(Clone, Debug)]
pub struct Lease<'a> {
    /// The call.
    pub key: &'a CallKey,
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
    /// A request brings this payload. It is kept until the call is logged. The text names the way in which the attempt is
    /// expected to be sent.
    Request(&'a Payload, &'a str),
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
}

/// Details for which the CRM has no fields of its own.
impl<'a> From<&'a CallDetails> for Queued<'a> {
    fn from(details: &'a CallDetails) -> Queued<'a> {
        static NO_FIELDS: BTreeMap<String, String> = BTreeMap::new();
        Queued { details, fields: &NO_FIELDS }
    }
}

/// The reason for a claim to update.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A request brings these details.
    New(Queued<'a>),
    /// The request queued its details before, and the lease holder gave the lease back without writing them. They are
    /// not queued again, because they would replace newer ones.
    AlreadyQueued,
    /// The call is due: it has queued details, or a duplicate sweep is due.
    Due,
}

/// The outcome of a claim to create.
#[derive(Debug)]
pub enum ClaimCreate {
    /// This invocation holds the lease.
    Claimed(Box<CallItem>),
    /// Another invocation holds the lease, a request of its last holder may still take effect, or the call is logged.
    Rejected(Box<CallItem>),
    /// There is no item of the call; only for [`Purpose::Redrive`].
    Absent,
}

/// The outcome of a claim to update.
#[derive(Debug)]
pub enum ClaimUpdate {
    /// This invocation holds the lease, and its details are queued.
    Claimed(Box<CallItem>),
    /// The call is not logged, another invocation holds the lease, or a request of its last holder may still take
    /// effect.
    Rejected(Box<CallItem>),
    /// There is no item of the call.
    Absent,
}

/// The outcome of queueing an update.
#[derive(Debug)]
pub enum Enqueued {
    /// The update is queued. The item says whether there is a lease holder that will write it.
    Queued(Box<CallItem>),
    /// The item has changed since it was read, so that there may be no lease holder any more: claim again.
    ItemChanged,
}

impl Store {
    /// Claims a call to create its record, unless the call is logged or another invocation may be at work on it.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn claim_create(&self, lease: &Lease<'_>, purpose: Purpose<'_>) -> Result<ClaimCreate, Error> {
        let outcome = match purpose {
            Purpose::Request(payload, _) => {
                let encrypted = self.encrypt_payload(lease.key, payload)?;
                match self.claim_create_with(lease, purpose, encrypted).await {
                    // Together with queued details the payload is too long for an item. The call is not kept: if this
                    // attempt fails, the caller has to send the request again.
                    Err(Error::TooLarge) => self.claim_create_with(lease, purpose, None).await?,
                    outcome => outcome?,
                }
            }
            Purpose::Redrive => self.claim_create_with(lease, purpose, None).await?,
        };
        Ok(match self.read_claim(lease, outcome)? {
            Some((item, true)) => ClaimCreate::Claimed(item),
            Some((item, false)) => ClaimCreate::Rejected(item),
            None => ClaimCreate::Absent,
        })
    }

    async fn claim_create_with(
        &self,
        lease: &Lease<'_>,
        purpose: Purpose<'_>,
        payload: Option<AttributeValue>,
    ) -> Result<WriteOutcome, Error> {
        // The condition names the states, so that an item of a later version's state is left alone.
        let states = state_values(Event::ClaimCreate);
        let is_free = format!(
            "attribute_not_exists(#{LOG_ID}) AND #{LEASE_UNTIL} <= :now AND #{STATE} IN ({})",
            placeholders(&states)
        );
        let condition = match purpose {
            Purpose::Request(..) => format!("attribute_not_exists(#{PK}) OR ({is_free})"),
            Purpose::Redrive => format!("{is_free} AND attribute_exists(#{PAYLOAD}) AND #{DUE_AT} <= :now"),
        };
        let mut update = acquire_lease(Update::when(condition).returning_item(), lease)
            .set(STATE, text(next_state(None, Event::ClaimCreate).name()))
            .set_to(PREVIOUS_OUTCOME_UNKNOWN, format!("if_not_exists(#{OUTCOME_UNKNOWN}, :no)"))
            .value("no", boolean(false))
            .set(OUTCOME_UNKNOWN, boolean(true))
            .set_if_absent(FIRST_AT, number(lease.now_ms))
            .set(TTL, number(lease.now_ms / 1_000 + LOGGED_TTL_S))
            .remove(REASON);
        if let Purpose::Request(request, way) = purpose {
            let own = RecoveryCriteria::of(lease.key, request, way);
            let criteria = self.encrypt_criteria(lease.key, &[own])?;
            update = update.set_if_absent(RECOVERY_CRITERIA, criteria);
        }
        // A payload that is too long leaves an earlier one in its place, whose delivery was promised.
        if let Some(payload) = payload {
            update = update.set(PAYLOAD, payload);
        }
        self.update(TableKey::call(lease.key), with_values(update, states)).await
    }

    /// Stores how to find the records of all attempts so far, before one that differs from the earlier ones is sent.
    /// Returns `false` if the lease has run out and another invocation has claimed the call.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn record_criteria(
        &self,
        lease: &Lease<'_>,
        criteria: &[RecoveryCriteria],
    ) -> Result<bool, Error> {
        let update = Update::when(format!("#{HOLDER} = :holder"))
            .value("holder", text(lease.holder))
            .set(RECOVERY_CRITERIA, self.encrypt_criteria(lease.key, criteria)?);
        let outcome = self.update(TableKey::call(lease.key), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written(_)))
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
        let condition = match change {
            Change::New(_) | Change::AlreadyQueued => is_free,
            Change::Due => format!("{is_free} AND #{DUE_AT} <= :now"),
        };
        let update = acquire_lease(Update::when(condition).returning_item(), lease);
        let update = match change {
            Change::New(queued) => self.queue(lease.key, update, queued)?,
            Change::AlreadyQueued | Change::Due => update,
        };
        let outcome = self.update(TableKey::call(lease.key), with_values(update, states)).await?;
        Ok(match self.read_claim(lease, outcome)? {
            Some((item, true)) => ClaimUpdate::Claimed(item),
            Some((item, false)) => ClaimUpdate::Rejected(item),
            None => ClaimUpdate::Absent,
        })
    }

    /// Queues details for the lease holder of a call, or for a call that is not logged yet. `now_ms`: milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// Fails if the table does, with [`Error::Unreadable`] if the item cannot be read, and with [`Error::TooLarge`] if
    /// the details do not fit into it.
    pub async fn enqueue<'a>(
        &self,
        key: &CallKey,
        queued: impl Into<Queued<'a>>,
        now_ms: i64,
    ) -> Result<Enqueued, Error> {
        let states = state_values(Event::Enqueue);
        let condition = format!(
            "attribute_exists(#{PK}) AND #{STATE} IN ({}) AND (#{LEASE_UNTIL} > :now OR #{STATE} <> :logged)",
            placeholders(&states)
        );
        let update =
            Update::when(condition).value("logged", text(State::Logged.name())).value("now", number(now_ms));
        self.enqueue_with(key, with_values(update, states), queued.into()).await
    }

    /// Queues details for a call that has no item yet. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::TooLarge`] if the details do not fit into an item.
    pub async fn enqueue_first<'a>(
        &self,
        key: &CallKey,
        queued: impl Into<Queued<'a>>,
        now_ms: i64,
    ) -> Result<Enqueued, Error> {
        let update = Update::when(format!("attribute_not_exists(#{PK})"))
            .set(STATE, text(next_state(None, Event::EnqueueFirst).name()))
            .set(LEASE_UNTIL, number(0))
            .set(TTL, number(now_ms / 1_000 + QUEUED_TTL_S));
        self.enqueue_with(key, update, queued.into()).await
    }

    async fn enqueue_with(
        &self,
        key: &CallKey,
        update: Update,
        queued: Queued<'_>,
    ) -> Result<Enqueued, Error> {
        let update = self.queue(key, update.returning_item(), queued)?;
        Ok(match self.update(TableKey::call(key), update).await? {
            WriteOutcome::Written(item) => Enqueued::Queued(Box::new(self.read_call(&item)?)),
            WriteOutcome::ConditionFailed(_) => Enqueued::ItemChanged,
        })
    }

    /// Adds details to the queue of a call.
    fn queue(&self, key: &CallKey, update: Update, queued: Queued<'_>) -> Result<Update, Error> {
        // A lease holder may write the details and die before it confirms that. Without their fingerprints, the next
        // one would take them for a person's edit.
        let mut unconfirmed = Fingerprints::of_queued(queued.details).unconfirmed_texts();
        unconfirmed.extend(queued.fields.iter().map(|(name, hash)| unconfirmed_field(name, hash)));
        let mut update = update.increment(QUEUED_VERSION).add(UNCONFIRMED, unconfirmed);
        for detail in queued.details.named_details() {
            let attribute = queued_detail(&detail.name);
            let value =
                self.encrypt(&TableKey::call(key), &attribute, detail.value.to_string().as_bytes())?;
            // A placeholder that arrives late does not displace a queued value.
            update = match detail.is_placeholder {
                true => update.set_if_absent(&attribute, value),
                false => update.set(&attribute, value),
            };
        }
        Ok(update)
    }

    fn encrypt_criteria(
        &self,
        key: &CallKey,
        criteria: &[RecoveryCriteria],
    ) -> Result<AttributeValue, Error> {
        let json = serde_json::to_vec(criteria).map_err(|error| Error::Rejected(error.to_string()))?;
        self.encrypt(&TableKey::call(key), RECOVERY_CRITERIA, &json)
    }

    /// Returns the item of a claim, if there is one, and whether this invocation holds the lease.
    fn read_claim(
        &self,
        lease: &Lease<'_>,
        outcome: WriteOutcome,
    ) -> Result<Option<(Box<CallItem>, bool)>, Error> {
        let (WriteOutcome::Written(item) | WriteOutcome::ConditionFailed(Some(item))) = outcome else {
            return Ok(None);
        };
        let call = self.read_call(&item)?;
        // The condition also fails for our own claim if the SDK repeats it because the response was lost.
        let is_ours = call.lease_holder.as_deref() == Some(lease.holder);
        Ok(Some((Box::new(call), is_ours)))
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
        .set(DUE_SHARD, shard_of(lease.key))
        .set(DUE_AT, number(lease.until_ms))
}

/// Returns the states in which an event can happen, as named values of an expression.
fn state_values(event: Event) -> Vec<(String, AttributeValue)> {
    states_before(event).map(|state| (format!("state_{}", state.name()), text(state.name()))).collect()
}

/// Returns the placeholders of named values, for a list.
fn placeholders(values: &[(String, AttributeValue)]) -> String {
    values.iter().map(|(name, _)| format!(":{name}")).collect::<Vec<_>>().join(", ")
}

fn with_values(update: Update, values: Vec<(String, AttributeValue)>) -> Update {
    values.into_iter().fold(update, |update, (name, value)| update.value(&name, value))
}

/// Returns the state that an event leads to.
fn next_state(from: Option<State>, event: Event) -> State {
    state_after(from, event).expect("the table of transitions has every event that the store writes")
}
