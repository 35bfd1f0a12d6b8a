//! One conditional `UpdateItem`, built from readable parts.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    operation::{
        delete_item::DeleteItemError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError,
    },
    types::{self, AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Error, Store,
    attributes::{PK, SK, number},
    from_sdk_error,
    keys::{TableItem, TableKey},
};

/// Assignments and a condition. A condition names an attribute `#attribute` and a value `:value`. Every attribute goes
/// through a placeholder, because DynamoDB reserves hundreds of words.
#[derive(Clone, Debug, Default)]
pub(super) struct Update {
    assignments: Vec<Assignment>,
    condition: String,
    values: HashMap<String, AttributeValue>,
    returns_item: bool,
}

/// The change of one attribute.
#[derive(Clone, Debug)]
enum Assignment {
    Set(String, AttributeValue),
    SetIfAbsent(String, AttributeValue),
    /// The value of the other attribute, or else this value.
    Copy(String, &'static str, AttributeValue),
    Increment(String),
    Append(String, AttributeValue),
    Add(String, Vec<String>),
    Remove(String),
}

/// The outcome of a conditional write.
#[derive(Debug)]
pub(super) enum WriteOutcome {
    /// The item was written. Both are known if the update is [`Update::returning_item`].
    Written {
        /// The item before the write; empty if there was none.
        before: TableItem,
        /// The item after the write.
        after: TableItem,
    },
    /// The condition did not hold. The item as it is, if there is one.
    ConditionFailed(Option<TableItem>),
}

impl Update {
    /// An update that happens if the condition holds.
    pub(super) fn when(condition: impl Into<String>) -> Update {
        Update { condition: condition.into(), ..Update::default() }
    }

    /// Sets the condition, in place of an earlier one.
    pub(super) fn condition(mut self, condition: impl Into<String>) -> Update {
        self.condition = condition.into();
        self
    }

    /// Adds a condition that must hold too.
    pub(super) fn and(mut self, condition: impl AsRef<str>) -> Update {
        self.condition = format!("({}) AND {}", self.condition, condition.as_ref());
        self
    }

    /// Defines a value that the condition names.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Update {
        self.values.insert(format!(":{name}"), value);
        self
    }

    fn with(mut self, assignment: Assignment) -> Update {
        self.assignments.push(assignment);
        self
    }

    /// Gives the attribute a value.
    pub(super) fn set(self, attribute: &str, value: AttributeValue) -> Update {
        self.with(Assignment::Set(attribute.to_owned(), value))
    }

    /// Gives the attribute a value, if the item does not have the attribute yet.
    pub(super) fn set_if_absent(self, attribute: &str, value: AttributeValue) -> Update {
        self.with(Assignment::SetIfAbsent(attribute.to_owned(), value))
    }

    /// Gives the attribute a value, or removes it.
    pub(super) fn set_or_remove(self, attribute: &str, value: Option<AttributeValue>) -> Update {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    /// Gives the attribute the value of another one, or `default` if the item does not have that one.
    pub(super) fn copy(self, attribute: &str, from: &'static str, default: AttributeValue) -> Update {
        self.with(Assignment::Copy(attribute.to_owned(), from, default))
    }

    /// Adds one to a number; an absent one counts as zero.
    pub(super) fn increment(self, attribute: &str) -> Update {
        self.with(Assignment::Increment(attribute.to_owned()))
    }

    /// Adds a value to the end of a list.
    pub(super) fn append(self, attribute: &str, value: AttributeValue) -> Update {
        self.with(Assignment::Append(attribute.to_owned(), value))
    }

    /// Removes the attribute.
    pub(super) fn remove(self, attribute: &str) -> Update {
        self.with(Assignment::Remove(attribute.to_owned()))
    }

    /// Adds texts, of which no two are equal, to a set. No text: no change.
    pub(super) fn add(self, attribute: &str, texts: Vec<String>) -> Update {
        if texts.is_empty() { self } else { self.with(Assignment::Add(attribute.to_owned(), texts)) }
    }

    /// Asks for the item before and after the write. It can be large, so that by default DynamoDB does not send it.
    pub(super) fn returning_item(mut self) -> Update {
        self.returns_item = true;
        self
    }

    /// Returns `true` if the update changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Returns the update expression, and the values that it and the condition name.
    fn expression(&self) -> (String, HashMap<String, AttributeValue>) {
        let mut values = self.values.clone();
        let (mut set, mut remove, mut add) = (Vec::new(), Vec::new(), Vec::new());
        let mut value = |name: String, value: &AttributeValue| {
            values.insert(format!(":{name}"), value.clone());
            format!(":{name}")
        };
        for assignment in &self.assignments {
            match assignment {
                Assignment::Set(name, to) => {
                    set.push(format!("#{name} = {}", value(format!("set_{name}"), to)))
                }
                Assignment::SetIfAbsent(name, to) => {
                    let to = value(format!("set_{name}"), to);
                    set.push(format!("#{name} = if_not_exists(#{name}, {to})"));
                }
                Assignment::Copy(name, from, default) => {
                    let default = value(format!("set_{name}"), default);
                    set.push(format!("#{name} = if_not_exists(#{from}, {default})"));
                }
                Assignment::Increment(name) => {
                    let zero = value("zero".to_owned(), &number(0));
                    let one = value("one".to_owned(), &number(1));
                    set.push(format!("#{name} = if_not_exists(#{name}, {zero}) + {one}"));
                }
                Assignment::Append(name, last) => {
                    let empty = value("empty".to_owned(), &AttributeValue::L(Vec::new()));
                    let last = value(format!("last_{name}"), &AttributeValue::L(vec![last.clone()]));
                    set.push(format!("#{name} = list_append(if_not_exists(#{name}, {empty}), {last})"));
                }
                Assignment::Add(name, texts) => {
                    let texts = value(format!("add_{name}"), &AttributeValue::Ss(texts.clone()));
                    add.push(format!("#{name} {texts}"));
                }
                Assignment::Remove(name) => remove.push(format!("#{name}")),
            }
        }
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let clauses = [clause("SET", &set), clause("REMOVE", &remove), clause("ADD", &add)].concat();
        (clauses.trim_end().to_owned(), values)
    }

    /// Returns the item after the write.
    pub(super) fn applied(&self, before: &TableItem) -> TableItem {
        let mut after = before.clone();
        for assignment in &self.assignments {
            let (name, value) = match assignment {
                Assignment::Remove(name) => {
                    after.remove(name);
                    continue;
                }
                Assignment::Set(name, to) => (name, to.clone()),
                Assignment::SetIfAbsent(name, to) => (name, before.get(name).unwrap_or(to).clone()),
                Assignment::Copy(name, from, default) => (name, before.get(*from).unwrap_or(default).clone()),
                Assignment::Increment(name) => {
                    let known = before.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
                    (name, number(known.unwrap_or(0) + 1))
                }
                Assignment::Append(name, last) => {
                    let known = before.get(name).and_then(|value| value.as_l().ok().cloned());
                    let list = known.into_iter().flatten().chain([last.clone()]).collect();
                    (name, AttributeValue::L(list))
                }
                Assignment::Add(name, texts) => {
                    let known = before.get(name).and_then(|value| value.as_ss().ok().cloned());
                    let set: BTreeSet<_> = known.into_iter().flatten().chain(texts.iter().cloned()).collect();
                    (name, AttributeValue::Ss(set.into_iter().collect()))
                }
            };
            after.insert(name.clone(), value);
        }
        after
    }
}

/// Returns the placeholders of an expression: `#name` stands for the attribute `name`.
fn placeholders(text: &str) -> impl Iterator<Item = (String, String)> {
    let names: BTreeSet<&str> = text
        .split('#')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(rest))
        .collect();
    names.into_iter().map(|name| (format!("#{name}"), name.to_owned())).collect::<Vec<_>>().into_iter()
}

impl Store {
    /// Runs the update on the item with this key.
    pub(super) async fn update(&self, key: TableKey, update: Update) -> Result<WriteOutcome, Error> {
        let (expression, values) = update.expression();
        let names = placeholders(&format!("{expression} {}", update.condition)).collect();
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.clone().into_item()))
            .update_expression(expression)
            .set_condition_expression(
                Some(update.condition.clone()).filter(|condition| !condition.is_empty()),
            )
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .return_values(if update.returns_item { ReturnValue::AllOld } else { ReturnValue::None })
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Boxed because the SDK's future is large and would be part of every future around it.
        match Box::pin(request.send()).await {
            Ok(done) if update.returns_item => {
                let mut before = done.attributes.unwrap_or_default();
                // Of an item that did not exist, DynamoDB returns nothing, and the embedded DynamoDB returns its key.
                if before.keys().all(|name| [PK, SK].contains(&name.as_str())) {
                    before.clear();
                }
                let mut after = update.applied(&before);
                after.extend(key.into_item());
                Ok(WriteOutcome::Written { before, after })
            }
            Ok(_) => Ok(WriteOutcome::Written { before: TableItem::new(), after: TableItem::new() }),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(WriteOutcome::ConditionFailed(failed.item.clone().filter(|item| !item.is_empty())))
                }
                _ => Err(from_sdk_error(error)),
            },
        }
    }

    /// Runs updates of several items, all or none. Returns `false` if a condition did not hold, or if another write was
    /// under way on one of the items.
    pub(super) async fn update_all(
        &self,
        updates: impl IntoIterator<Item = (TableKey, Update)>,
    ) -> Result<bool, Error> {
        let update = |(key, update): (TableKey, Update)| {
            let (expression, values) = update.expression();
            let names = placeholders(&format!("{expression} {}", update.condition)).collect();
            let update = types::Update::builder()
                .table_name(&self.table)
                .set_key(Some(key.into_item()))
                .update_expression(expression)
                .set_condition_expression(Some(update.condition).filter(|condition| !condition.is_empty()))
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
                .build()
                .map_err(|error| Error::Rejected(error.to_string()))?;
            Ok(types::TransactWriteItem::builder().update(update).build())
        };
        let items = updates.into_iter().map(update).collect::<Result<Vec<_>, Error>>()?;
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(_)) => Ok(false),
                _ => Err(from_sdk_error(error)),
            },
        }
    }

    /// Deletes the item with this key, if there is one and the condition holds. Returns `false` if it does not hold.
    pub(super) async fn delete(&self, key: TableKey, condition: Update) -> Result<bool, Error> {
        let names: HashMap<_, _> = placeholders(&condition.condition).collect();
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.into_item()))
            .set_condition_expression(Some(condition.condition).filter(|condition| !condition.is_empty()))
            .set_expression_attribute_names(Some(names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(condition.values).filter(|values| !values.is_empty()));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(from_sdk_error(error)),
            },
        }
    }

    /// Reads the item with this key, strongly consistent.
    pub(super) async fn get(&self, key: TableKey) -> Result<Option<TableItem>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.into_item()))
            .consistent_read(true);
        Ok(Box::pin(request.send()).await.map_err(from_sdk_error)?.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_update_expression() {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let update = Update::when("#holder = :holder")
            .set("state", text("LOGGED"))
            .increment("fence")
            .set_if_absent("first_at", text("1"))
            .copy("before", "state", text("-"))
            .append("queue", text("q"))
            .remove("holder")
            .add("unconfirmed", vec!["note f".to_owned()])
            .add("nothing", Vec::new());
        let (expression, values) = update.expression();
        assert_eq!(
            expression,
            "SET #state = :set_state, #fence = if_not_exists(#fence, :zero) + :one, \
             #first_at = if_not_exists(#first_at, :set_first_at), #before = if_not_exists(#state, :set_before), \
             #queue = list_append(if_not_exists(#queue, :empty), :last_queue) REMOVE #holder \
             ADD #unconfirmed :add_unconfirmed"
        );
        let values: BTreeSet<_> = values.keys().map(String::as_str).collect();
        assert_eq!(
            values.into_iter().collect::<Vec<_>>(),
            [
                ":add_unconfirmed",
                ":empty",
                ":last_queue",
                ":one",
                ":set_before",
                ":set_first_at",
                ":set_state",
                ":zero"
            ]
        );
    }

    #[test]
    fn every_attribute_of_an_expression_is_a_placeholder_once() {
        let names: Vec<_> =
            placeholders("#q_note = :x AND #state <> :y AND #state").map(|(name, _)| name).collect();
        assert_eq!(names, ["#q_note", "#state"]);
    }
}
