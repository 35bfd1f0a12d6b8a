//! One conditional `UpdateItem`, put together from readable parts.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{Error, Item, Store, failed};

/// Assignments and a condition. In a condition or an assigned expression an attribute is written `#name` and a value
/// `:name`; every attribute goes through a placeholder, because DynamoDB reserves hundreds of words.
#[derive(Debug, Default)]
pub(super) struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    condition: String,
    values: HashMap<String, AttributeValue>,
    returns_item: bool,
}

/// What became of a conditional write.
#[derive(Debug)]
pub(super) enum Written {
    /// Done; the item as it is now, if the update asked for it.
    Done(Item),
    /// The condition did not hold; the item that refused, if there is one.
    Refused(Option<Item>),
}

impl Update {
    /// The condition under which the update happens.
    pub(super) fn when(condition: &str) -> Update {
        Update { condition: condition.to_owned(), ..Update::default() }
    }

    /// A value that the condition or an expression names.
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
    pub(super) fn set_to(mut self, attribute: &str, expression: &str) -> Update {
        self.set.push(format!("#{attribute} = {expression}"));
        self
    }

    /// `REMOVE attribute`
    pub(super) fn remove(mut self, attribute: &str) -> Update {
        self.remove.push(format!("#{attribute}"));
        self
    }

    /// `ADD attribute texts`, if there are any: puts them into a set of texts. No two are the same.
    pub(super) fn add(mut self, attribute: &str, texts: Vec<String>) -> Update {
        if texts.is_empty() {
            return self;
        }
        self.add.push(format!("#{attribute} :add_{attribute}"));
        self.value(&format!("add_{attribute}"), AttributeValue::Ss(texts))
    }

    /// Whoever writes wants to know the item as it is then. Without this it is not sent: it can be large.
    pub(super) fn returning_item(mut self) -> Update {
        self.returns_item = true;
        self
    }

    /// Replaces the condition.
    pub(super) fn condition(mut self, condition: &str) -> Update {
        self.condition = condition.to_owned();
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

/// The placeholders of an expression: `#name` stands for the attribute `name`.
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
    pub(super) async fn update(&self, key: Item, update: Update) -> Result<Written, Error> {
        let expression = update.expression();
        let names = placeholders(&format!("{expression} {}", update.condition)).collect();
        let values = Some(update.values).filter(|values| !values.is_empty());
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .set_condition_expression(Some(update.condition).filter(|condition| !condition.is_empty()))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values)
            .return_values(if update.returns_item { ReturnValue::AllNew } else { ReturnValue::None })
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // The SDK's future is large, and would be part of every future around it.
        match Box::pin(request.send()).await {
            Ok(done) => Ok(Written::Done(done.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Written::Refused(refused.item.clone().filter(|item| !item.is_empty())))
                }
                _ => Err(failed(error)),
            },
        }
    }

    /// The item with this key, as it is now.
    pub(super) async fn get(&self, key: Item) -> Result<Option<Item>, Error> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(Box::pin(request.send()).await.map_err(failed)?.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_expression() {
        let update = Update::when("#own = :me")
            .set("st", AttributeValue::S("LOGGED".into()))
            .set_to("fence", "if_not_exists(#fence, :zero) + :one")
            .remove("own")
            .add("told", vec!["note f".to_owned()]);
        assert_eq!(
            update.expression(),
            "SET #st = :set_st, #fence = if_not_exists(#fence, :zero) + :one REMOVE #own ADD #told :add_told"
        );
        let names: Vec<_> =
            placeholders("#w_note = :x AND #st <> :y AND #st").map(|(name, _)| name).collect();
        assert_eq!(names, ["#st", "#w_note"]);
    }
}
