//! JSON: requests in both dialects become model types, and responses become JSON. No other module knows the dialects.
//!
//! Each field is looked for in every object where it may be, from the top level inwards. `null` counts as absent, and
//! unknown fields are ignored.

mod administration;
mod bounded;
mod cached_note;
mod compose;
mod connection;
mod contact;
mod contacts;
mod create;
mod disposition;
mod fields;
mod json;
mod login;
mod lookup;
mod query;
mod record;
mod response;
mod settings;
mod time;
mod update;
mod user;
mod value;

pub use administration::{
    AdministrationBody, MappedUserEntry, read_administration_change, read_extensions, read_logging_values,
    read_ringcentral_token,
};
pub use cached_note::read_cached_note;
pub use compose::{ComposeLine, read_compose_line};
pub use connection::{LicenseBody, ValidationBody, read_hashed_ids};
pub use contacts::{
    ChoiceEntry, ContactEntry, ContactQuery, ContactsBody, CreatedBody, read_contact_name,
    read_contact_query, read_new_contact,
};
pub use create::read_create;
pub use disposition::{Disposition, read_disposition};
pub use login::{
    AuthorizationResponse, Callback, KeyForm, KeyLogin, LoginBody, read_authorization_response,
    read_callback, read_chosen_crm, read_key_form, read_key_login, read_ticket,
};
pub use lookup::{LogData, LogEntry, LogQuery, LogsBody, read_log_query};
pub use response::{AcceptedBody, MessageSection, MessageType, ResponseBody, ReturnMessage, SectionItem};
pub use settings::read_settings_change;
pub use update::read_update;
pub use user::{read_user, show_user};

/// Invalid input. The message names the field and contains no secret. It may end with the invalid value, which only the
/// sender may see, because a person may have written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// The problem, and the expected value.
    pub message: String,
    /// The length of the message without the value, in bytes.
    length_without_value: usize,
}

/// A request that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<T> {
    /// The request, as far as it could be read.
    pub command: T,
    /// The errors of the fields that were left out.
    pub unread: Vec<InputError>,
}

impl InputError {
    fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        InputError { length_without_value: message.len(), message }
    }

    fn with_value(message: String, value: impl std::fmt::Display) -> Self {
        InputError { length_without_value: message.len(), message: format!("{message}, got {value}") }
    }

    /// Returns the message without the invalid value, for the log.
    pub fn without_value(&self) -> &str {
        &self.message[..self.length_without_value]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Any JSON, most of it under the names of fields.
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

    /// Reads JSON with every function, also with the fields that every call requires.
    fn read_all(json: &Value) -> Result<(), TestCaseError> {
        let mut call = json.clone();
        if let Value::Object(fields) = &mut call {
            fields.insert("sessionId".into(), "1".into());
            fields.insert("direction".into(), "Inbound".into());
            fields.insert("logInfo".into(), Value::Object(Default::default()));
            fields.insert("platform".into(), "example".into());
            fields.insert("id".into(), 1.into());
        }
        for json in [json, &call] {
            let text = json.to_string();
            let errors = [
                read_create(text.as_bytes()).err(),
                read_update(text.as_bytes()).err(),
                read_compose_line(&text).err(),
                read_user(text.as_bytes()).map(|user| show_user(&user)).err(),
            ];
            for error in errors.into_iter().flatten() {
                prop_assert!(error.message.chars().count() < 400, "{}", error.message);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_json_is_accepted_or_rejected_without_panicking(json in any_json()) {
            read_all(&json)?;
        }

        #[test]
        fn any_bytes_are_accepted_or_rejected_without_panicking(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            text in "[{}\\[\\]\":,\\\\ud8e0-9a-f]{0,64}",
        ) {
            let _ = read_create(&bytes);
            let _ = read_create(text.as_bytes());
        }
    }
}
