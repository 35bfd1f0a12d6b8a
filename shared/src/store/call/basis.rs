//! The ground on which a write belongs to a log of a call, as a condition of the write.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{CallItem, State};
use crate::{
    model::{ExtensionIdentity, KnownLog, UserId, teach},
    store::{
        attributes::{EXTENSION_HASH, EXTENSION_NUMBER, OTHER_LOGS, PK, STATE, text},
        expression::Update,
    },
};

/// A request as far as it decides which log it is about.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The name of the request. No other has it.
    pub request: &'a str,
    /// The user who sends it.
    pub user: &'a UserId,
    /// The extension that it names.
    pub identity: &'a ExtensionIdentity,
}

/// The ground on which a write belongs to a log.
#[derive(Clone, Copy, Debug)]
pub enum Basis<'a> {
    /// Nothing was read. The write happens only if the request is about the first log, whatever other logs there are.
    Unread,
    /// The request was matched with this item of the first log. The write happens only if its logs have not changed.
    Seen(&'a CallItem),
    /// The log is a further one, which the item of the first log lists. It stays the same log.
    Further,
}

/// A condition and the values that it names.
pub(super) struct Condition {
    pub(super) text: String,
    pub(super) values: Vec<(String, AttributeValue)>,
}

impl Basis<'_> {
    /// Returns the condition that the request is about the log whose item is written.
    pub(super) fn condition(self, sender: &Origin<'_>) -> Condition {
        match self {
            Basis::Unread => is_about_first_log(sender.identity),
            Basis::Seen(item) => logs_are_as(item),
            Basis::Further => Condition {
                // The item of a log that has ended stays, with only queued updates, until it expires.
                text: format!("attribute_exists(#{PK}) AND #{STATE} <> :ended"),
                values: vec![("ended".to_owned(), text(State::Queued.name()))],
            },
        }
    }
}

/// The rule of [`match_log`](crate::model::match_log) for the first log, as far as one condition can say it: if there are
/// other logs, only an equal hash decides.
fn is_about_first_log(identity: &ExtensionIdentity) -> Condition {
    let mut values = Vec::new();
    let mut is_equal = |attribute: &str, value: &str| {
        values.push((format!("own_{attribute}"), text(value)));
        format!("#{attribute} = :own_{attribute}")
    };
    let is_only = format!("attribute_not_exists(#{OTHER_LOGS})");
    let has_none =
        format!("attribute_not_exists(#{EXTENSION_HASH}) AND attribute_not_exists(#{EXTENSION_NUMBER})");
    let hash = identity.hash.as_ref().map(|hash| is_equal(EXTENSION_HASH, hash.as_str()));
    let number = identity.number.as_ref().map(|number| is_equal(EXTENSION_NUMBER, number.as_str()));
    let text = match (hash, number) {
        (None, None) => is_only,
        (None, Some(number)) => format!("{is_only} AND ({number} OR ({has_none}))"),
        (Some(hash), None) => format!("{hash} OR ({is_only} AND {has_none})"),
        // With other logs, one of them may have the number.
        (Some(hash), Some(number)) => format!(
            "({hash} AND ({is_only} OR {number})) OR ({is_only} AND attribute_not_exists(#{EXTENSION_HASH}) AND \
             ({number} OR {has_none}))"
        ),
    };
    Condition { text, values }
}

/// The condition that the logs of a call are as they were seen in the item of its first log.
pub(super) fn logs_are_as(seen: &CallItem) -> Condition {
    let others = other_logs_value(&seen.other_logs);
    let parts = [
        (EXTENSION_HASH, seen.stored_identity.hash.as_ref().map(|hash| text(hash.as_str()))),
        (EXTENSION_NUMBER, seen.stored_identity.number.as_ref().map(|number| text(number.as_str()))),
        (OTHER_LOGS, others),
    ];
    let (mut conditions, mut values) = (vec![format!("attribute_exists(#{PK})")], Vec::new());
    for (attribute, value) in parts {
        conditions.push(match value {
            Some(value) => {
                values.push((format!("seen_{attribute}"), value));
                format!("#{attribute} = :seen_{attribute}")
            }
            None => format!("attribute_not_exists(#{attribute})"),
        });
    }
    Condition { text: conditions.join(" AND "), values }
}

/// Returns the value of [`OTHER_LOGS`] with these logs; `None` if there are none.
pub(super) fn other_logs_value(logs: &[KnownLog]) -> Option<AttributeValue> {
    let json = (!logs.is_empty()).then(|| serde_json::to_string(logs).unwrap_or_default());
    json.map(text)
}

/// The part of a write that stores what the request teaches the log whose item is written. A further log's identity is in
/// the item of the first one.
pub(super) fn teach_log(update: Update, basis: Basis<'_>, sender: &Origin<'_>) -> Update {
    let learned = match basis {
        Basis::Unread => sender.identity.clone(),
        Basis::Seen(item) => teach(&item.known_logs(), 0, sender.identity),
        Basis::Further => return update,
    };
    set_identity(update, &learned)
}

/// The part of a write that stores the identity of the first log.
pub(in crate::store) fn set_identity(mut update: Update, identity: &ExtensionIdentity) -> Update {
    if let Some(hash) = &identity.hash {
        update = update.set(EXTENSION_HASH, text(hash.as_str()));
    }
    if let Some(number) = &identity.number {
        update = update.set(EXTENSION_NUMBER, text(number.as_str()));
    }
    update
}

pub(super) fn with_values(update: Update, values: Vec<(String, AttributeValue)>) -> Update {
    values.into_iter().fold(update, |update, (name, value)| update.value(&name, value))
}
