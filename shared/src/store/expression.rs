//! One conditional `UpdateItem`, built from readable parts.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Error, Store, from_sdk_error,
    keys::{TableItem, TableKey},
};

/// Assignments and a condition. A condition or an assigned expression names an attribute `#attribute` and a value
/// `:value`. Every attribute goes through a placeholder, because DynamoDB reserves hundreds of words.
#[derive(Debug, Default)]
pub(super) struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    condition: String,
    values: HashMap<String, AttributeValue>,
    returns_item: bool,
}

/// The outcome of a conditional write.
#[derive(Debug)]
pub(super) enum WriteOutcome {
    /// The item was written. It has the new attributes if the update is [`Update::returning_item`], otherwise none.
    Written(TableItem),
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

    /// Defines a value that the condition or an expression names.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Update {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// `SET attribute = value`
    pub(super) fn set(mut self, attribute: &str, value: AttributeValue) -> Update {
        self.set.push(format!("#{attribute} = :set_{attribute}"));
        self.value(&format!("set_{attribute}"), value)
    }

    /// `SET attribute = expression`
    pub(super) fn set_to(mut self, attribute: &str, expression: impl AsRef<str>) -> Update {
        self.set.push(format!("#{attribute} = {}", expression.as_ref()));
        self
    }

    /// `SET attribute = value`, if the item does not have the attribute yet.
    pub(super) fn set_if_absent(self, attribute: &str, value: AttributeValue) -> Update {
        self.set_to(attribute, format!("if_not_exists(#{attribute}, :set_{attribute})"))
            .value(&format!("set_{attribute}"), value)
    }

    /// Adds one to a number; an absent one counts as zero.
    pub(super) fn increment(self, attribute: &str) -> Update {
        self.set_to(attribute, format!("if_not_exists(#{attribute}, :zero) + :one"))
            .value("zero", AttributeValue::N("0".to_owned()))
            .value("one", AttributeValue::N("1".to_owned()))
    }

    /// `REMOVE attribute`
    pub(super) fn remove(mut self, attribute: &str) -> Update {
        self.remove.push(format!("#{attribute}"));
        self
    }

    /// `ADD attribute texts`: adds texts, of which no two are equal, to a set. No text: no change.
    pub(super) fn add(mut self, attribute: &str, texts: Vec<String>) -> Update {
        if texts.is_empty() {
            return self;
        }
        self.add.push(format!("#{attribute} :add_{attribute}"));
        self.value(&format!("add_{attribute}"), AttributeValue::Ss(texts))
    }

    /// Asks for the item as it is after the write. It can be large, so that by default DynamoDB does not send it.
    pub(super) fn returning_item(mut self) -> Update {
        self.returns_item = true;
        self
    }

    fn expression(&self) -> String {
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        [clause("SET", &self.set), clause("REMOVE", &self.remove), clause("ADD", &self.add)]
            .concat()
            .trim_end()
            .to_owned()
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
        let expression = update.expression();
        let names = placeholders(&format!("{expression} {}", update.condition)).collect();
        let values = Some(update.values).filter(|values| !values.is_empty());
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.into_item()))
            .update_expression(expression)
            .set_condition_expression(Some(update.condition).filter(|condition| !condition.is_empty()))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values)
            .return_values(if update.returns_item { ReturnValue::AllNew } else { ReturnValue::None })
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Boxed because the SDK's future is large and would be part of every future around it.
        match Box::pin(request.send()).await {
            Ok(done) => Ok(WriteOutcome::Written(done.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(WriteOutcome::ConditionFailed(failed.item.clone().filter(|item| !item.is_empty())))
                }
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
            .remove("holder")
            .add("unconfirmed", vec!["note f".to_owned()])
            .add("nothing", Vec::new());
        assert_eq!(
            update.expression(),
            "SET #state = :set_state, #fence = if_not_exists(#fence, :zero) + :one, \
             #first_at = if_not_exists(#first_at, :set_first_at) REMOVE #holder ADD #unconfirmed :add_unconfirmed"
        );
        let values: BTreeSet<_> = update.values.keys().map(String::as_str).collect();
        assert_eq!(
            values.into_iter().collect::<Vec<_>>(),
            [":add_unconfirmed", ":one", ":set_first_at", ":set_state", ":zero"]
        );
    }

    #[test]
    fn every_attribute_of_an_expression_is_a_placeholder_once() {
        let names: Vec<_> =
            placeholders("#q_note = :x AND #state <> :y AND #state").map(|(name, _)| name).collect();
        assert_eq!(names, ["#q_note", "#state"]);
    }
}
