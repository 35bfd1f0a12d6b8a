//! One call log's state: who may touch the CRM for it, what is known of it there, and what waits to be written.
//!
//! What the attributes mean is told where the item is read: [`super::item`].

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::{
    CallItem, Error, Item, Reader, Sought, State, Store, Written, escape,
    expression::{self, Update},
    failed, key, number, partition, text, unescape,
};
use crate::{
    model::{CallKey, Extension, Facts, LogId, Platform, SessionId, TalkTime, UserId},
    note::{Section, is_placeholder},
};

/// How long an update waits for a call that nobody logs, in seconds.
const PARKED_TTL: i64 = 30 * 86_400;
/// How long a call that somebody has begun to log is kept, in seconds.
const LOGGED_TTL: i64 = 400 * 86_400;

/// The right to touch the CRM for one call log, until it is given back or runs out.
#[derive(Clone, Debug)]
pub struct Lease<'a> {
    pub key: &'a CallKey,
    /// This invocation, and no other ever.
    pub owner: &'a str,
    pub now_ms: i64,
    /// Until when nobody else may start: the invocation's deadline and the grace in which a request may still land.
    pub until_ms: i64,
}

/// The answer to a claim to create.
#[derive(Debug)]
pub enum ClaimCreate {
    Claimed(Box<CallItem>),
    /// Somebody has it, or it is done.
    Refused(Box<CallItem>),
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
pub enum Parked {
    /// The facts are noted; the item says who will write them.
    Noted(Box<CallItem>),
    /// The item has changed since it was seen: claim again.
    Moved,
}

/// The answer to finishing.
#[derive(Debug)]
pub enum Finish {
    Released,
    /// More facts have come meanwhile: this invocation still has the lease and writes them too.
    MoreWanted(Box<CallItem>),
    /// The lease ran out and somebody else has it.
    Lost,
}

impl Store {
    /// The call log's item as it is now.
    pub async fn call(&self, key: &CallKey) -> Result<Option<CallItem>, Error> {
        let item = self.get(item_key(key)).await?;
        item.map(|item| self.read_call(&item)).transpose()
    }

    /// The logs of a session, one for each extension that logged it; for the operator.
    pub async fn calls_of_session(
        &self,
        platform: &Platform,
        user: &UserId,
        session: &SessionId,
    ) -> Result<Vec<(Option<Extension>, CallItem)>, Error> {
        let prefix = format!("C#{}#", escape(session.as_str()));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(partition(platform, user)))
            .expression_attribute_values(":prefix", text(&prefix))
            .send()
            .await
            .map_err(failed)?;
        let items = answer.items.unwrap_or_default();
        items
            .iter()
            .map(|item| {
                let name = Reader { item }.name();
                let extension = unescape(name.strip_prefix(&prefix).unwrap_or_default());
                Ok((Extension::new(extension), self.read_call(item)?))
            })
            .collect()
    }

    /// Claims the right to create the log: unless it is logged already, or somebody else may be at it.
    pub async fn claim_create(&self, lease: &Lease<'_>, sought: &Sought) -> Result<ClaimCreate, Error> {
        let sealed = self.seal(&item_key(lease.key), "sought", &sought.to_json())?;
        // The states are named, so that one that a later version writes is left alone.
        let update = Update::when(
            "attribute_not_exists(#pk) OR (attribute_not_exists(#crm) AND #busy <= :now \
             AND #st IN (:parked, :posting, :unknown, :retry, :dead))",
        )
        .value("parked", text(State::Parked.name()))
        .value("posting", text(State::Posting.name()))
        .value("unknown", text(State::Unknown.name()))
        .value("retry", text(State::Retry.name()))
        .value("dead", text(State::Dead.name()))
        .value("now", number(lease.now_ms))
        .value("one", number(1))
        .value("zero", number(0))
        .value("no", AttributeValue::Bool(false))
        .set("st", text(State::Posting.name()))
        .set("own", text(lease.owner))
        .set("busy", number(lease.until_ms))
        .set_to("pamb", "if_not_exists(#amb, :no)")
        .set("amb", AttributeValue::Bool(true))
        .value("sought", sealed)
        .set_to("sought", "if_not_exists(#sought, :sought)")
        .set_to("first_at", "if_not_exists(#first_at, :now)")
        .set_to("fence", "if_not_exists(#fence, :zero) + :one")
        .set("ttl", number(lease.now_ms / 1_000 + LOGGED_TTL))
        .remove("reason");
        Ok(match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(item) => ClaimCreate::Claimed(Box::new(self.read_call(&item)?)),
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                if call.owner.as_deref() == Some(lease.owner) {
                    ClaimCreate::Claimed(Box::new(call))
                } else {
                    ClaimCreate::Refused(Box::new(call))
                }
            }
            expression::Written::Refused(None) => {
                return Err(Error::Unavailable("a refusal without the item".to_owned()));
            }
        })
    }

    /// Notes the facts and claims the right to write them, of a log that nobody else is at.
    pub async fn claim_update(&self, lease: &Lease<'_>, facts: &Facts) -> Result<ClaimUpdate, Error> {
        let update = Update::when("#st = :logged AND #busy <= :now")
            .value("logged", text(State::Logged.name()))
            .value("now", number(lease.now_ms))
            .set("own", text(lease.owner))
            .set("busy", number(lease.until_ms))
            .value("zero", number(0))
            .set_to("fence", "if_not_exists(#fence, :zero) + :one");
        let update = self.want(&item_key(lease.key), update, facts)?;
        Ok(match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(item) => ClaimUpdate::Claimed(Box::new(self.read_call(&item)?)),
            expression::Written::Refused(None) => ClaimUpdate::Absent,
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                if call.owner.as_deref() == Some(lease.owner) {
                    ClaimUpdate::Claimed(Box::new(call))
                } else {
                    ClaimUpdate::Refused(Box::new(call))
                }
            }
        })
    }

    /// Notes the facts for whoever is at the log, or will be.
    pub async fn enqueue(&self, key: &CallKey, facts: &Facts, now_ms: i64) -> Result<Parked, Error> {
        let update =
            Update::when("attribute_exists(#pk) AND #st <> :gone AND (#busy > :now OR #st <> :logged)")
                .value("gone", text(State::Gone.name()))
                .value("logged", text(State::Logged.name()))
                .value("now", number(now_ms));
        self.park_when(key, update, facts).await
    }

    /// Notes the facts of a call that nothing is known of yet.
    pub async fn park(&self, key: &CallKey, facts: &Facts, now_ms: i64) -> Result<Parked, Error> {
        let update = Update::when("attribute_not_exists(#pk)")
            .set("st", text(State::Parked.name()))
            .set("busy", number(0))
            .set("ttl", number(now_ms / 1_000 + PARKED_TTL));
        self.park_when(key, update, facts).await
    }

    async fn park_when(&self, key: &CallKey, update: Update, facts: &Facts) -> Result<Parked, Error> {
        let update = self.want(&item_key(key), update.value("zero", number(0)), facts)?;
        Ok(match self.update(item_key(key), update).await? {
            expression::Written::Done(item) => Parked::Noted(Box::new(self.read_call(&item)?)),
            expression::Written::Refused(_) => Parked::Moved,
        })
    }

    /// The log is in the CRM under this id, with everything in it that was wanted at `seen`: gives the lease back.
    /// If more is wanted meanwhile, keeps it.
    pub async fn finish(
        &self,
        lease: &Lease<'_>,
        log: &LogId,
        seen: &CallItem,
        written: &Written,
    ) -> Result<Finish, Error> {
        let update = logged(log, written)
            .value("me", text(lease.owner))
            .value("seen", number(seen.wanted_version))
            .set("busy", number(0))
            .set("done", number(seen.wanted_version))
            .set("ttl", number(lease.now_ms / 1_000 + LOGGED_TTL))
            .remove("own");
        let update = forget(update, &seen.wanted)
            .condition("#own = :me AND (attribute_not_exists(#wantv) OR #wantv = :seen)");
        match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(_) => Ok(Finish::Released),
            expression::Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                match &call.owner {
                    Some(owner) if owner == lease.owner => self.keep(lease, log, written).await,
                    // Our own write whose answer was lost.
                    None if call.log.as_ref() == Some(log) && call.done >= seen.wanted_version => {
                        Ok(Finish::Released)
                    }
                    _ => Ok(Finish::Lost),
                }
            }
            expression::Written::Refused(None) => Ok(Finish::Lost),
        }
    }

    /// The log is in the CRM under this id, and there is more to write: keeps the lease.
    pub async fn keep(&self, lease: &Lease<'_>, log: &LogId, written: &Written) -> Result<Finish, Error> {
        let update = logged(log, written).value("me", text(lease.owner)).condition("#own = :me");
        match self.update(item_key(lease.key), update).await? {
            expression::Written::Done(item) => Ok(Finish::MoreWanted(Box::new(self.read_call(&item)?))),
            expression::Written::Refused(_) => Ok(Finish::Lost),
        }
    }

    /// Gives the lease back without success. `busy_until`: when the next attempt may start; `ambiguous`: whether an
    /// attempt to create may have landed unseen; `drop_wanted`: facts that the CRM refused and that would be refused
    /// again.
    pub async fn release(
        &self,
        lease: &Lease<'_>,
        state: State,
        busy_until_ms: i64,
        ambiguous: bool,
        reason: &str,
        drop_wanted: Option<&CallItem>,
    ) -> Result<(), Error> {
        let release = || {
            let update = Update::when("#own = :me")
                .value("me", text(lease.owner))
                .set("st", text(state.name()))
                .set("busy", number(busy_until_ms))
                .set("amb", AttributeValue::Bool(ambiguous))
                .set("reason", text(reason))
                .remove("own");
            if ambiguous { update } else { update.remove("sought") }
        };
        if let Some(seen) = drop_wanted {
            let update = forget(release(), &seen.wanted)
                .value("seen", number(seen.wanted_version))
                .condition("#own = :me AND #wantv = :seen");
            if let expression::Written::Done(_) = self.update(item_key(lease.key), update).await? {
                return Ok(());
            }
            // More is wanted meanwhile: all of it stays, for whoever comes next.
        }
        self.update(item_key(lease.key), release()).await.map(drop)
    }

    /// Adds the facts that wait to an update.
    fn want(&self, key: &Item, update: Update, facts: &Facts) -> Result<Update, Error> {
        let mut update =
            update.value("one", number(1)).set_to("wantv", "if_not_exists(#wantv, :zero) + :one");
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
                "duration" => facts.duration == Some(TalkTime::Pending),
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

/// What is the same whenever a log is known to be in the CRM.
fn logged(log: &LogId, written: &Written) -> Update {
    let base: HashMap<_, _> =
        written.sections.iter().map(|(key, hash)| (key.to_owned(), text(hash))).collect();
    let update = Update::default()
        .set("st", text(State::Logged.name()))
        .set("crm", text(log.as_str()))
        .set("amb", AttributeValue::Bool(false))
        .set("base", AttributeValue::M(base))
        .remove("pamb")
        .remove("sought")
        .remove("reason");
    let update = match &written.subject {
        Some(subject) => update.set("b_subject", text(subject)),
        None => update,
    };
    match written.duration {
        Some(TalkTime::Seconds(seconds)) => update.set("b_duration", number(seconds as i64)),
        Some(TalkTime::Pending) => update.set("b_duration", number(-1)),
        None => update,
    }
}

/// Takes the facts away that waited.
fn forget(update: Update, wanted: &Facts) -> Update {
    told(wanted).fold(update, |update, (name, _)| update.remove(&format!("w_{name}")))
}

/// The facts that are told, by name.
fn told(facts: &Facts) -> impl Iterator<Item = (String, Value)> {
    let fields = match serde_json::to_value(facts) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields
        .into_iter()
        .filter(|(_, fact)| !fact.is_null() && fact.as_array().is_none_or(|list| !list.is_empty()))
}

fn item_key(call: &CallKey) -> Item {
    let extension = call.extension.as_ref().map_or("", |extension| extension.as_str());
    let sort = format!("C#{}#{}", escape(call.session.as_str()), escape(extension));
    key(&partition(&call.platform, &call.user), &sort)
}
