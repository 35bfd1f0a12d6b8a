//! The JSON of Pipedrive's requests and responses, as far as we write and read it. A field of a response is an `Option` only
//! if the response is still usable without it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::adapters::{
    CrmResponse, Error,
    json::{Few, Number, lenient, present},
};

/// An activity, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct Activity {
    pub(super) id: Number,
    #[serde(default)]
    pub(super) is_deleted: bool,
    pub(super) subject: Option<String>,
    /// `Some(None)` is an empty note. `None` is an unknown note: an update could overwrite a person's text.
    #[serde(default, deserialize_with = "present")]
    pub(super) note: Option<Option<String>>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// `Some(None)` is a field without a value. `None` is a field that the response does not contain.
    #[serde(default, deserialize_with = "present")]
    pub(super) due_date: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) due_time: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) duration: Option<Option<String>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) owner_id: Option<Number>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) person_id: Option<Number>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) participants: Option<Few<Participant>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) deal_id: Option<Number>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) lead_id: Option<String>,
    pub(super) add_time: Option<String>,
    pub(super) update_time: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Participant {
    pub(super) person_id: Number,
}

/// An entity of which only the id is read.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub(super) id: Number,
}

/// A person, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct Person {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) org_id: Option<Number>,
}

/// The results of a search for persons.
#[derive(Debug, Deserialize)]
pub(super) struct Hits {
    pub(super) items: Few<Hit>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hit {
    #[serde(deserialize_with = "lenient")]
    pub(super) item: Option<FoundPerson>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FoundPerson {
    pub(super) id: Number,
    pub(super) name: Option<String>,
    pub(super) phones: Few<String>,
}

/// A deal of a person.
#[derive(Debug, Deserialize)]
pub(super) struct Deal {
    pub(super) id: Number,
    pub(super) title: String,
}

/// A lead of a person.
#[derive(Debug, Deserialize)]
pub(super) struct Lead {
    pub(super) id: String,
    pub(super) title: String,
}

/// An activity to be created. A field that is `None` is left out.
#[derive(Debug, Serialize)]
pub(super) struct NewActivity<'a> {
    pub(super) subject: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) org_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deal_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lead_id: Option<&'a str>,
    #[serde(flatten)]
    pub(super) times: Times<'a>,
    pub(super) done: bool,
    pub(super) note: &'a str,
    /// `person_id` is read-only. Pipedrive derives it from the primary participant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) participants: Vec<NewParticipant>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewParticipant {
    pub(super) person_id: u64,
    pub(super) primary: bool,
}

/// The fields of an activity that an update writes.
#[derive(Debug, Serialize)]
pub(super) struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deal_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lead_id: Option<&'a str>,
    #[serde(flatten)]
    pub(super) times: Times<'a>,
}

/// The times of an activity that a request writes. A field that is `None` is left out.
#[derive(Debug, Serialize)]
pub(super) struct Times<'a> {
    /// `YYYY-MM-DD`, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due_date: Option<&'a str>,
    /// `HH:MM`, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due_time: Option<&'a str>,
    /// `HH:MM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration: Option<&'a str>,
}

/// The user to whom the credential belongs.
#[derive(Deserialize)]
pub(super) struct CurrentUser {
    pub(super) id: Number,
    pub(super) name: Option<String>,
    pub(super) company_id: Number,
    pub(super) company_name: Option<String>,
    /// The first label of the company's host.
    pub(super) company_domain: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) timezone_name: Option<String>,
    /// Such as `-08:00`.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) timezone_offset: Option<String>,
}

/// A user of the company.
#[derive(Deserialize)]
pub(super) struct CompanyUser {
    pub(super) id: Number,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) email: Option<String>,
    pub(super) active_flag: bool,
    #[serde(default)]
    pub(super) is_deleted: bool,
}

/// The place of the next page.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) additional_data: Option<Cursor>,
}

#[derive(Deserialize)]
pub(super) struct Cursor {
    pub(super) next_cursor: Option<String>,
}

/// Returns the `data` of a successful response.
pub(super) fn data<T: DeserializeOwned>(response: &CrmResponse) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Wrapped<T> {
        data: T,
    }
    response.json::<Wrapped<T>>().map(|wrapped| wrapped.data)
}
