//! JSON in and out: both dialects of the requests become model types here, and nothing behind knows of either.
//!
//! A fact is looked for in every place where it can stand, from the top level inwards. `null` is absent, and a
//! field that nobody asks for is ignored.

mod answer;
mod compose;
mod contact;
mod create;
mod fields;
mod json;
mod record;
mod time;
mod update;
mod user;
mod value;

pub use answer::{Answer, Detail, Item, MessageType, ReturnMessage};
pub use compose::{ComposeLine, read_compose_line};
pub use create::read_create;
pub use update::read_update;
pub use user::{read_user, show_user};

/// Why a request cannot be read: one sentence for its sender, which names the field and holds no secret. It may end
/// with the value, which is for its sender only: what stands in the wrong field may be what a person wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    pub message: String,
    /// How many bytes of it are ours.
    ours: usize,
}

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Invalid { ours: message.len(), message }
    }

    /// The message and the value that was sent.
    fn with_value(message: String, value: impl std::fmt::Display) -> Self {
        Invalid { ours: message.len(), message: format!("{message}, got {value}") }
    }

    /// The message without the value.
    pub fn for_log(&self) -> &str {
        &self.message[..self.ours]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Any JSON, most of it under names that are read.
    fn any_json() -> impl Strategy<Value = Value> {
        let names = "sessionId|direction|from|to|startTime|duration|legs|logInfo|callLog|existingCallLog|contactInfo|\
                     contactId|id|type|user|userSettings|timezoneOffset|recording|link|voicemail|note|ringSenseAIScore|\
                     score|base|existingBody|credentials|accessToken|expiresAt|platform|phoneNumber|name|[a-z]{0,3}";
        let texts = "oauth|apiKey|inbound|Outbound|pending|0|-1|1e999|NaN|2025-03-12T07:45:25(Z|[+]0000)?|99999999999999|\
                     [+-]?[0-9]{1,20}|\\PC{0,8}";
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            texts.prop_map(Value::from),
        ];
        scalar.prop_recursive(5, 64, 8, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                3 => prop::collection::vec((names, inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Reads it in every way, and then as a call that has what every call needs.
    fn read_all(json: &Value) -> Result<(), TestCaseError> {
        let mut call = json.clone();
        if let Value::Object(fields) = &mut call {
            fields.insert("sessionId".into(), "1".into());
            fields.insert("direction".into(), "Inbound".into());
            fields.insert("logInfo".into(), Value::Object(Default::default()));
            fields.insert("platform".into(), "pipedrive".into());
            fields.insert("id".into(), 1.into());
        }
        for json in [json, &call] {
            let text = json.to_string();
            let refusals = [
                read_create(text.as_bytes()).err(),
                read_update(text.as_bytes()).err(),
                read_compose_line(&text).err(),
                read_user(text.as_bytes()).map(|user| show_user(&user)).err(),
            ];
            for refusal in refusals.into_iter().flatten() {
                prop_assert!(refusal.message.chars().count() < 400, "{}", refusal.message);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_json_is_too_much(json in any_json()) {
            read_all(&json)?;
        }

        #[test]
        fn no_bytes_are_too_much(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            text in "[{}\\[\\]\":,\\\\ud8e0-9a-f]{0,64}",
        ) {
            let _ = read_create(&bytes);
            let _ = read_create(text.as_bytes());
        }
    }
}
