//! The beginning of every attempt: taking the right to touch the CRM for a call, or noting facts for whoever has it.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::{
    CallItem, Error, Event, Item, State, Store,
    calls::item_key,
    due::shard_of,
    expression::{self, Update},
    item::RecoveryCriteria,
    number, text,
    transition::{state_after, states_before},
};
use crate::{
    model::{CallDetails, CallDuration, CallKey, Payload, Settings, Zone},
    note::{Content, Fingerprints, Section, is_placeholder},
};

/// How long an update waits for a call that nobody logs, in seconds.
const PARKED_TTL: i64 = 30 * 86_400;
/// How long a call that somebody has begun to log is kept, in seconds.
pub(super) const LOGGED_TTL: i64 = 400 * 86_400;

/// The right to touch the CRM for one call log, until it is given back or runs out.
#[derive(Clone, Debug)]
pub struct Lease<'a> {
    pub key: &'a CallKey,
    /// This invocation, and no other ever.
    pub holder: &'a str,
    pub now_ms: i64,
    /// Until when nobody else may start: the invocation's deadline and the grace in which a request may still land.
    pub until_ms: i64,
}

/// What a claim to create is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A request brings this, which is kept until the call is logged.
    Request(&'a Payload),
    /// What an earlier request brought is due.
    Redrive,
}

/// What a claim to update is for.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A request brings these facts.
    New(&'a CallDetails),
    /// A request has brought its facts, and whoever was at the log has let go without them. To note them again would
    /// put them in the place of newer ones.
    AlreadyQueued,
    /// What earlier requests brought is due, or the log is to be looked after.
    Due,
}

/// The answer to a claim to create.
#[derive(Debug)]
pub enum ClaimCreate {
    Claimed(Box<CallItem>),
    /// Somebody has it, or it is done.
    Refused(Box<CallItem>),
    /// Nothing is known of the call; only when it was to be redriven.
    Absent,
}

/// The answer to a claim to update.
#[derive(Debug)]
pub enum ClaimUpdate {
    /// The facts are noted and this invocation writes them.
    Claimed(Box<CallItem>),
    /// It is not logged, or somebody has it.
    Refused(Box<CallItem>),
    /// Nothing is known of the call.
    Absent,
}

/// The answer to parking.
#[derive(Debug)]
pub enum Enqueued {
    /// The facts are noted; the item says who will write them.
    Queued(Box<CallItem>),
    /// The item has changed since it was seen: claim again.
    ItemChanged,
}

impl Store {
    /// Claims the right to create the log: unless it is logged already, or somebody else may be at it.
    pub async fn claim_create(&self, lease: &Lease<'_>, purpose: Purpose<'_>) -> Result<ClaimCreate, Error> {
        let claimed = match purpose {
            Purpose::Request(payload) => {
                let sealed = self.seal_payload(lease.key, payload)?;
                match self.claim_create_keeping(lease, purpose, sealed).await {
                    // With what is parked it is more than an item takes. Whoever sends it can send it again.
                    Err(Error::TooLarge) => self.claim_create_keeping(lease, purpose, None).await?,
                    claimed => claimed?,
                }
            }
            Purpose::Redrive => self.claim_create_keeping(lease, purpose, None).await?,
        };
        Ok(match claimed {
            expression::Written::Done(item) => ClaimCreate::Claimed(Box::new(self.read_call(&item)?)),
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                if call.lease_holder.as_deref() == Some(lease.holder) {
                    ClaimCreate::Claimed(Box::new(call))
                } else {
                    ClaimCreate::Refused(Box::new(call))
                }
            }
            expression::Written::Refused(None) => ClaimCreate::Absent,
        })
    }

    async fn claim_create_keeping(
        &self,
        lease: &Lease<'_>,
        purpose: Purpose<'_>,
        payload: Option<AttributeValue>,
    ) -> Result<expression::Written, Error> {
        // The states are named, so that one that a later version writes is left alone.
        let free = format!("attribute_not_exists(#crm) AND #busy <= :now AND #st IN ({})", STATES);
        let condition = match purpose {
            Purpose::Request(_) => format!("attribute_not_exists(#pk) OR ({free})"),
            Purpose::Redrive => format!("{free} AND attribute_exists(#pay) AND #due <= :now"),
        };
        let update = take(Update::when("").returning_item(), lease)
            .set("st", text(after(None, Event::ClaimCreate).name()))
            .value("no", AttributeValue::Bool(false))
            .set_to("pamb", "if_not_exists(#amb, :no)")
            .set("amb", AttributeValue::Bool(true))
            .set_to("first_at", "if_not_exists(#first_at, :now)")
            .set("ttl", number(lease.now_ms / 1_000 + LOGGED_TTL))
            .remove("reason");
        let update = match (purpose, payload) {
            (Purpose::Request(request), kept) => {
                let sought = RecoveryCriteria::to_json(&[RecoveryCriteria::of(request)]);
                let sealed = self.seal(&item_key(lease.key), "sought", &sought)?;
                let update =
                    update.value("sought", sealed).set_to("sought", "if_not_exists(#sought, :sought)");
                // One that is too long leaves an earlier one in its place: that was promised to be delivered.
                let update = match kept {
                    Some(payload) => update.set("pay", payload),
                    None => update,
                };
                due_when_the_lease_ends(update, lease)
            }
            (Purpose::Redrive, _) => due_when_the_lease_ends(update, lease),
        };
        self.update(item_key(lease.key), in_states(update, &condition, Event::ClaimCreate)).await
    }

    /// Writes down what the attempt that is about to be made is looked for by, beside those before it.
    /// False: the lease ran out and somebody else has it.
    pub async fn record_criteria(
        &self,
        lease: &Lease<'_>,
        sought: &[RecoveryCriteria],
    ) -> Result<bool, Error> {
        let sealed = self.seal(&item_key(lease.key), "sought", &RecoveryCriteria::to_json(sought))?;
        let update = Update::when("#own = :me").value("me", text(lease.holder)).set("sought", sealed);
        Ok(matches!(self.update(item_key(lease.key), update).await?, expression::Written::Done(_)))
    }

    /// Claims the right to change a log that nobody else is at, and notes what is to be written if that is new.
    pub async fn claim_update(&self, lease: &Lease<'_>, change: Change<'_>) -> Result<ClaimUpdate, Error> {
        let update = due_when_the_lease_ends(take(Update::when("").returning_item(), lease), lease);
        let free = format!("#st IN ({STATES}) AND #busy <= :now");
        let update = match change {
            Change::New(facts) => self.want(&item_key(lease.key), update, facts)?,
            Change::AlreadyQueued | Change::Due => update,
        };
        let condition = match change {
            Change::New(_) | Change::AlreadyQueued => free,
            Change::Due => format!("{free} AND #due <= :now"),
        };
        let update = in_states(update, &condition, Event::ClaimUpdate);
        Ok(match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(item) => ClaimUpdate::Claimed(Box::new(self.read_call(&item)?)),
            expression::Written::Refused(None) => ClaimUpdate::Absent,
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                if call.lease_holder.as_deref() == Some(lease.holder) {
                    ClaimUpdate::Claimed(Box::new(call))
                } else {
                    ClaimUpdate::Refused(Box::new(call))
                }
            }
        })
    }

    /// Notes the facts for whoever is at the log, or will be.
    pub async fn enqueue(&self, key: &CallKey, facts: &CallDetails, now_ms: i64) -> Result<Enqueued, Error> {
        let noted =
            format!("attribute_exists(#pk) AND #st IN ({STATES}) AND (#busy > :now OR #st <> :logged)");
        let update = Update::when("")
            .value("logged", text(State::Logged.name()))
            .value("zero", number(0))
            .value("now", number(now_ms));
        self.enqueue_when(key, in_states(update, &noted, Event::Enqueue), facts).await
    }

    /// Notes the facts of a call that nothing is known of yet.
    pub async fn enqueue_first(
        &self,
        key: &CallKey,
        facts: &CallDetails,
        now_ms: i64,
    ) -> Result<Enqueued, Error> {
        let update = Update::when("attribute_not_exists(#pk)")
            .value("zero", number(0))
            .set("st", text(after(None, Event::EnqueueFirst).name()))
            .set("busy", number(0))
            .set("ttl", number(now_ms / 1_000 + PARKED_TTL));
        self.enqueue_when(key, update, facts).await
    }

    async fn enqueue_when(
        &self,
        key: &CallKey,
        update: Update,
        facts: &CallDetails,
    ) -> Result<Enqueued, Error> {
        let update = self.want(&item_key(key), update.returning_item().value("one", number(1)), facts)?;
        Ok(match self.update(item_key(key), update).await? {
            expression::Written::Done(item) => Enqueued::Queued(Box::new(self.read_call(&item)?)),
            expression::Written::Refused(_) => Enqueued::ItemChanged,
        })
    }

    /// Adds the facts that wait to an update.
    fn want(&self, key: &Item, update: Update, facts: &CallDetails) -> Result<Update, Error> {
        let mut update = update.set_to("wantv", "if_not_exists(#wantv, :zero) + :one");
        // Whoever writes it may die before that is noted. Without this, it would pass for a person's then.
        let prints = Content::new(facts, &Settings::default(), Zone::UTC).fingerprints();
        update = update.add("told", Fingerprints::perhaps([&prints]).told());
        for (name, fact) in told(facts) {
            let attribute = format!("w_{name}");
            let sealed = self.seal(key, &attribute, &fact.to_string())?;
            let stands_in = |section, fact: &Option<String>| {
                fact.as_deref().is_some_and(|value| is_placeholder(section, value))
            };
            let is_placeholder = match name.as_str() {
                "note" => stands_in(Section::AgentNote, &facts.note),
                "recording" => stands_in(Section::Recording, &facts.recording),
                "voicemail" => stands_in(Section::Voicemail, &facts.voicemail),
                "duration" => facts.duration == Some(CallDuration::Pending),
                _ => false,
            };
            update = if is_placeholder {
                // One that comes late does not displace the fact.
                let expression = format!("if_not_exists(#{attribute}, :{attribute})");
                update.value(&attribute, sealed).set_to(&attribute, &expression)
            } else {
                update.set(&attribute, sealed)
            };
        }
        Ok(update)
    }
}

/// Stands in a condition for the states in which it may hold.
const STATES: &str = ":states";

/// The condition, for the states in which this can happen.
fn in_states(update: Update, condition: &str, event: Event) -> Update {
    let names: Vec<_> = states_before(event).map(State::name).collect();
    let list = names.iter().map(|name| format!(":st_{name}")).collect::<Vec<_>>().join(", ");
    let update = update.condition(&condition.replace(STATES, &list));
    names.into_iter().fold(update, |update, name| update.value(&format!("st_{name}"), text(name)))
}

/// What is the same in every claim.
fn take(update: Update, lease: &Lease<'_>) -> Update {
    update
        .value("now", number(lease.now_ms))
        .value("zero", number(0))
        .value("one", number(1))
        .set("own", text(lease.holder))
        .set("busy", number(lease.until_ms))
        .set_to("fence", "if_not_exists(#fence, :zero) + :one")
        .set_to("since", "if_not_exists(#since, :now)")
}

/// Should the owner die, somebody goes on when its lease has ended.
fn due_when_the_lease_ends(update: Update, lease: &Lease<'_>) -> Update {
    update.set("dq", text(shard_of(lease.key))).set("due", number(lease.until_ms))
}

/// Where the table of transitions leads.
fn after(from: Option<State>, event: Event) -> State {
    state_after(from, event).expect("the table of transitions has what the store does")
}

/// The facts that are told, by name.
pub(super) fn told(facts: &CallDetails) -> impl Iterator<Item = (String, Value)> {
    let fields = match serde_json::to_value(facts) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields
        .into_iter()
        .filter(|(_, fact)| !fact.is_null() && fact.as_array().is_none_or(|list| !list.is_empty()))
}
