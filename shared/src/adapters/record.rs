//! Call logs and contacts, as the port passes them to an adapter and back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Recovery;
use crate::model::{CallDetails, CallDuration, CallTag, Contact, Direction};

/// The CRM's own fields of a record beside its subject and body, by a name that the adapter gives, each as canonical text:
/// equal values have equal texts, whether they were sent or read. An empty text is a field without a value.
pub type Fields = BTreeMap<&'static str, String>;

/// The choices of a form for one contact, by the key of the field.
pub type Choices = BTreeMap<&'static str, Vec<ContactChoice>>;

/// A value to choose, such as one of a contact's deals.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactChoice {
    /// The value that the form sends.
    pub value: Value,
    /// The words that people see.
    pub title: String,
}

/// The facts of a call that CRMs have fields for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFacts {
    /// The direction of the call, as the user sees it.
    pub direction: Option<Direction>,
    /// The start of the call.
    pub start: Option<DateTime<Utc>>,
    /// The duration of the call.
    pub duration: Option<CallDuration>,
    /// RingCentral's result of the call, such as `Accepted` or `Missed`.
    pub result: Option<String>,
    /// The telephone number of the calling party.
    pub from: Option<String>,
    /// The telephone number of the called party.
    pub to: Option<String>,
    /// The link to the recording, or the placeholder for one.
    pub recording: Option<String>,
}

impl CallFacts {
    /// Returns what these details say.
    pub fn of(details: &CallDetails) -> CallFacts {
        CallFacts {
            direction: details.direction,
            start: details.start,
            duration: details.duration,
            result: details.result.clone(),
            from: details.from.as_ref().and_then(|party| party.phone_number.clone()),
            to: details.to.as_ref().and_then(|party| party.phone_number.clone()),
            recording: details.recording.clone(),
        }
    }

    /// Returns the duration in seconds; `None` while it is unknown.
    pub fn seconds(&self) -> Option<u64> {
        match self.duration? {
            CallDuration::Pending => None,
            CallDuration::Seconds(seconds) => Some(seconds),
        }
    }
}

/// A call log to be created, or to be found after its create got no response.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCallLog {
    /// The identity of the call log. It is the same in every attempt, and of no other call log.
    pub tag: CallTag,
    /// The way in which this attempt can be found: one of [`Capabilities::recovery`](super::Capabilities::recovery).
    pub recovery: Recovery,
    /// The title of the record.
    pub subject: String,
    /// The composed note, in the adapter's format.
    pub body: String,
    /// The contact to whom the record belongs. `None`: the CRM has no such contact.
    pub contact: Option<Contact>,
    /// The id by which the CRM knows the user who owns the record. `None`: the CRM chooses the owner.
    pub owner: Option<String>,
    /// The ids of other users whom an earlier attempt may have made the owner.
    pub earlier_owners: Vec<String>,
    /// The facts of the call, as far as they are known.
    pub facts: CallFacts,
    /// The time of the first attempt to create the log, which is the same in every attempt: the start of the call for a CRM
    /// that requires one, if the start is not known.
    pub first_attempt: DateTime<Utc>,
    /// The values of the form fields that the CRM's manifest adds (`additionalSubmission`).
    pub additional: Map<String, Value>,
}

/// A call log as the CRM has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallLog {
    /// The title of the record, if it has one.
    pub subject: Option<String>,
    /// The body of the record, in the adapter's format; empty if it has none.
    pub body: String,
    /// The fields that [`Crm::fields`](super::Crm::fields) names. A field that the response does not contain is absent.
    pub fields: Fields,
    /// The version for a conditional change. Absent if, and only if, the CRM has no
    /// [`CompareAndSet`](super::CompareAndSet).
    pub version: Option<String>,
    /// When the record was created, by the CRM's clock. `None`: the CRM does not say it. A record that is recognised by its
    /// content is then never taken for the call's.
    pub created_at: Option<DateTime<Utc>>,
    /// `true` if the record was changed after its creation, also if only an automation of the CRM has changed it. `None`: the
    /// CRM does not say it.
    pub is_changed: Option<bool>,
    /// The choices of the form that the record shows, by the keys that [`Crm::chosen`](super::Crm::chosen) names. A list has all
    /// values of a field that a person can give several values.
    pub choices: Map<String, Value>,
}

/// A change of a call log. A field that is `None` or absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallLogChange {
    /// The new title.
    pub subject: Option<String>,
    /// The new body, in the adapter's format.
    pub body: Option<String>,
    /// The new values of fields that [`Crm::fields`](super::Crm::fields) names. No text is empty.
    pub fields: Fields,
    /// The new choices of the form, by the keys that [`Crm::chosen`](super::Crm::chosen) names.
    pub choices: Map<String, Value>,
    /// The choices that we made last and that the record still shows, if other ones are made now. A CRM that links a record to
    /// several entities removes these links, and leaves those that a person made.
    pub replaced: Map<String, Value>,
    /// The version that the record must still have; `None` changes the record whatever its version.
    pub version: Option<String>,
}

impl CallLogChange {
    /// Returns `true` if the change contains nothing, whatever its version.
    pub fn is_empty(&self) -> bool {
        self.subject.is_none() && self.body.is_none() && self.fields.is_empty() && self.choices.is_empty()
    }
}

/// A contact to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    /// The contact's full name.
    pub name: String,
    /// The contact's telephone number, as the caller wrote it.
    pub phone_number: String,
    /// The CRM's own word for the kind of contact; `None` means the CRM's usual kind.
    pub kind: Option<String>,
}
