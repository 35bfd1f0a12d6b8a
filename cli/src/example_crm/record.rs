//! The Example CRM's records, as its responses and its file contain them.

use serde::{Deserialize, Serialize};

/// A person with a telephone number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contact {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) phone_number: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// A logged call. Its body is plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Activity {
    pub(crate) id: String,
    /// The contact, if the CRM has one for the call.
    pub(crate) contact_id: Option<String>,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// `Inbound` or `Outbound`.
    pub(crate) direction: String,
    pub(crate) start_time: Option<String>,
    pub(crate) duration_seconds: Option<u64>,
    pub(crate) result: Option<String>,
    /// The version: 1 after the creation, and one more after each change.
    pub(crate) version: u64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// A contact to be created.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewContact {
    pub(crate) name: String,
    pub(crate) phone_number: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

/// An activity to be created.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewActivity {
    pub(crate) contact_id: Option<String>,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) direction: String,
    pub(crate) start_time: Option<String>,
    pub(crate) duration_seconds: Option<u64>,
    pub(crate) result: Option<String>,
}

/// A change of an activity. A field that is `None` stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivityChange {
    pub(crate) subject: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) direction: Option<String>,
    pub(crate) start_time: Option<String>,
    pub(crate) duration_seconds: Option<u64>,
    pub(crate) result: Option<String>,
}

/// A change, as it is published to listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) kind: RecordKind,
    pub(crate) id: String,
}

/// The kind of record that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordKind {
    Activity,
    Contact,
}

/// All records, in the order in which they were created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Data {
    /// The numbers of the next records. No number is used twice, not even after a deletion.
    pub(crate) next_contact: u64,
    pub(crate) next_activity: u64,
    pub(crate) contacts: Vec<Contact>,
    pub(crate) activities: Vec<Activity>,
}

impl Data {
    /// Returns the data of a new CRM: a few contacts, among them the two of RingCentral's documentation.
    pub(crate) fn seed() -> Data {
        let people = [
            ("Jane Smith", "+18662019834"),
            ("John Smith", "+16504445566"),
            ("Bob Client", "+12135550111"),
            ("Zoë Ångström", "+46855501234"),
            ("山田 花子", "+81355501299"),
            ("ليلى حداد", "+96115550173"),
        ];
        let contacts: Vec<Contact> = (1u64..)
            .zip(people)
            .map(|(number, (name, phone_number))| Contact {
                id: format!("c-{number}"),
                name: name.to_owned(),
                phone_number: phone_number.to_owned(),
                kind: "contact".to_owned(),
            })
            .collect();
        Data {
            next_contact: contacts.len() as u64 + 1,
            next_activity: 5001,
            contacts,
            activities: Vec::new(),
        }
    }
}
