//! What another system logged before, brought into the table by an operator. It makes items where there are none and
//! changes none, so that no request meets a state that its own transitions do not lead to.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Error, State, Store,
    calls::item_key,
    claims::LOGGED_TTL,
    expression::{Update, Written},
    number, text,
};
use crate::{
    model::{CallKey, CallLogId, User},
    note::Fingerprints,
};

/// What became of a call log that was to be brought in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    Done,
    /// It is here already, with this id.
    Before,
    /// The call is known here, and has another log or none; it is left as it is.
    Other(State, Option<CallLogId>),
}

impl Store {
    /// Notes that a call is logged in the CRM under this id. What was written there is not known, so that the first
    /// update keeps every text that it would otherwise write over. Nothing that is known of the call is touched.
    pub async fn import_call(&self, key: &CallKey, log: &CallLogId, now_ms: i64) -> Result<Imported, Error> {
        let unknown = Fingerprints::unknown();
        let base: HashMap<_, _> = unknown.iter().map(|(name, hash)| (name.to_owned(), text(hash))).collect();
        let update = Update::when("attribute_not_exists(#pk)")
            .set("st", text(State::Logged.name()))
            .set("crm", text(log.as_str()))
            .set("busy", number(0))
            .set("amb", AttributeValue::Bool(false))
            .set("base", AttributeValue::M(base))
            .set("first_at", number(now_ms))
            .set("hist", AttributeValue::L(vec![text(format!("{now_ms} imported"))]))
            .set("ttl", number(now_ms / 1_000 + LOGGED_TTL));
        match self.update(item_key(key), update).await? {
            Written::Done(_) => Ok(Imported::Done),
            Written::Refused(Some(item)) => {
                let call = self.read_call(&item)?;
                // A write that the SDK repeated sees its own.
                Ok(if call.log_id.as_ref() == Some(log) {
                    Imported::Before
                } else {
                    Imported::Other(call.state, call.log_id)
                })
            }
            Written::Refused(None) => Err(Error::Unavailable("a refusal without the item".to_owned())),
        }
    }

    /// Stores a user, unless there is one with this id. False: there is, and it is left as it is.
    pub async fn import_user(&self, user: &User) -> Result<bool, Error> {
        let written = self.put_user_when(user, "attribute_not_exists(#pk)").await?;
        Ok(matches!(written, Written::Done(_)))
    }
}
