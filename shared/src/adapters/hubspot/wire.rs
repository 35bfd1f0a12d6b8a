//! The JSON of HubSpot's requests and responses, as far as we write and read it. A field of a response is an `Option` only
//! if the response is still usable without it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::adapters::json::{Few, Number, lenient, present};

/// The properties of a call that are read.
pub(super) const CALL_PROPERTIES: &str = "hs_call_title,hs_call_body,hs_timestamp,hs_call_duration,\
                                          hs_call_direction,hs_call_status,hs_call_disposition,hs_call_from_number,\
                                          hs_call_to_number,hs_call_recording_url";

/// The id of a record that was created or changed.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub(super) id: Number,
}

/// A call, as far as we read it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call {
    pub(super) id: Number,
    pub(super) properties: CallProperties,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) created_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) associations: Option<CallAssociations>,
}

/// The properties of a call. `Some(None)` is a property without a value, `None` one that the response does not contain.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CallProperties {
    #[serde(default, rename = "hs_call_title")]
    pub(super) title: Option<String>,
    /// Without it, an update could overwrite a person's text.
    #[serde(default, rename = "hs_call_body", deserialize_with = "present")]
    pub(super) body: Option<Option<String>>,
    #[serde(default, rename = "hs_timestamp", deserialize_with = "present")]
    pub(super) start: Option<Option<String>>,
    #[serde(default, rename = "hs_call_duration", deserialize_with = "present")]
    pub(super) duration: Option<Option<String>>,
    #[serde(default, rename = "hs_call_direction", deserialize_with = "present")]
    pub(super) direction: Option<Option<String>>,
    #[serde(default, rename = "hs_call_status", deserialize_with = "present")]
    pub(super) status: Option<Option<String>>,
    #[serde(default, rename = "hs_call_disposition", deserialize_with = "present")]
    pub(super) disposition: Option<Option<String>>,
    #[serde(default, rename = "hs_call_from_number", deserialize_with = "present")]
    pub(super) from: Option<Option<String>>,
    #[serde(default, rename = "hs_call_to_number", deserialize_with = "present")]
    pub(super) to: Option<Option<String>>,
    #[serde(default, rename = "hs_call_recording_url", deserialize_with = "present")]
    pub(super) recording: Option<Option<String>>,
    #[serde(default, rename = "hs_call_external_id")]
    pub(super) external_id: Option<String>,
}

/// The entities that a call is linked to.
#[derive(Debug, Deserialize)]
pub(super) struct CallAssociations {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) deals: Option<Found<Created>>,
}

/// The results of a search, a list or a batch.
#[derive(Debug, Deserialize)]
pub(super) struct Found<T> {
    pub(super) results: Few<T>,
    pub(super) paging: Option<Paging>,
}

/// The place of the next page, if there is one.
#[derive(Debug, Deserialize)]
pub(super) struct Paging {
    pub(super) next: Option<NextPage>,
}

/// The next page of a list. Searches have it too.
#[derive(Debug, Deserialize)]
pub(super) struct NextPage {
    pub(super) after: String,
}

/// A contact, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct Person {
    pub(super) id: Number,
    pub(super) properties: PersonProperties,
}

#[derive(Debug, Deserialize)]
pub(super) struct PersonProperties {
    pub(super) firstname: Option<String>,
    pub(super) lastname: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) mobilephone: Option<String>,
}

impl PersonProperties {
    pub(super) fn full_name(&self) -> Option<String> {
        joined([&self.firstname, &self.lastname])
    }
}

/// An entity that a record is linked to (associations v4).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Linked {
    pub(super) to_object_id: Number,
}

/// A deal, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct Deal {
    pub(super) id: Number,
    pub(super) properties: DealProperties,
}

#[derive(Debug, Deserialize)]
pub(super) struct DealProperties {
    pub(super) dealname: Option<String>,
    pub(super) hs_is_closed: Option<String>,
}

/// The account that a credential belongs to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub(super) portal_id: Number,
    /// The host of the account's pages.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) ui_domain: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) time_zone: Option<String>,
}

/// The user who granted an access token, or who created the private app of a token.
#[derive(Deserialize)]
pub(super) struct TokenInfo {
    #[serde(alias = "userId")]
    pub(super) user_id: Number,
    #[serde(alias = "hubId")]
    pub(super) hub_id: Number,
    /// The e-mail address of the user.
    pub(super) user: Option<String>,
    pub(super) hub_domain: Option<String>,
}

/// An owner of records, who is a user.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    pub(super) id: Number,
    pub(super) email: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    #[serde(default)]
    pub(super) archived: bool,
    /// `PERSON`, or `QUEUE` for a team's.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

impl Owner {
    pub(super) fn full_name(&self) -> Option<String> {
        joined([&self.first_name, &self.last_name])
    }
}

/// Returns the name that these parts make, if one is not empty.
fn joined(parts: [&Option<String>; 2]) -> Option<String> {
    let parts = parts.into_iter().flatten().map(|part| part.trim()).filter(|part| !part.is_empty());
    Some(parts.collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
}

/// A group of properties.
#[derive(Deserialize)]
pub(super) struct PropertyGroup {
    pub(super) name: String,
}

/// A property of a kind of records.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Property {
    #[serde(default)]
    pub(super) has_unique_value: bool,
}

/// Returns the link from a new record to an entity, by the number of its type.
pub(super) fn link(id: u64, kind: u32) -> Value {
    let kind = json!({ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind });
    json!({ "to": { "id": id.to_string() }, "types": [kind] })
}

/// Returns a condition of a search.
pub(super) fn equals(name: &str, value: &str) -> Value {
    json!({ "propertyName": name, "operator": "EQ", "value": value })
}
