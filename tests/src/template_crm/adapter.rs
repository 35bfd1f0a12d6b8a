//! Template CRM: the smallest complete adapter.
//!
//! Copy this file to `shared/src/adapters/<crm>.rs` and follow `docs/add-a-crm.md`. The comments that begin with
//! "Fill in:" say what to replace. Name the pages of the CRM's API reference here.

use async_trait::async_trait;
use call_log::{
    adapters::{
        Access, CallLog, CallLogChange, Crm, Effect, Error, ErrorKind, NewCallLog, NewContact, Recovery,
        client::account_label,
    },
    model::{CallDuration, CallLogId, Contact, ContactId},
    note::Format,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

// Fill in: the responses of the CRM, as far as we read them. A field is an `Option` only if the API reference says that
// it may be missing: a response without any other field is malformed.

/// The record of a call.
#[derive(Debug, Deserialize)]
struct Call {
    id: String,
    title: String,
    text: String,
    direction: String,
    start: Option<DateTime<Utc>>,
    seconds: Option<u64>,
}

/// A list of records.
#[derive(Debug, Deserialize)]
struct Calls {
    calls: Vec<Call>,
}

/// A person who can be called.
#[derive(Debug, Deserialize)]
struct Person {
    id: String,
    name: String,
    phone: String,
}

/// A list of persons.
#[derive(Debug, Deserialize)]
struct Persons {
    persons: Vec<Person>,
}

/// Fill in: the name of the CRM.
#[derive(Debug)]
pub struct TemplateCrm;

#[async_trait]
impl Crm for TemplateCrm {
    // Fill in: a short name in lower case. It is part of tokens and table keys, and can never change.
    fn platform(&self) -> &'static str {
        "template"
    }

    // Fill in: the name that people know.
    fn display_name(&self) -> &'static str {
        "Template CRM"
    }

    // Fill in: the format in which the CRM shows the text of a record.
    fn format(&self) -> Format {
        Format::Plain
    }

    // Fill in: the way to find a record whose create got no response. Does the list of records show a record as soon
    // as it was created (`ConsistentList`), or after a delay (`LaggingSearch`)? Does a key make creates unique
    // (`Upsert`)? If the API reference promises nothing, `None` is right.
    fn recovery(&self) -> Recovery {
        Recovery::ConsistentList
    }

    // Fill in: `true` if the CRM accepts `If-Match` with the version of a record. Then `read_record` returns that
    // version, and `update_record` passes it to `access.patch`.
    fn compare_and_set(&self) -> bool {
        false
    }

    // Fill in: the CRM's hosts. Credentials are sent there, so accept no other host.
    fn base_url(&self, hostname: Option<&str>) -> Option<String> {
        let account = account_label(hostname?, "template-crm.example")?;
        Some(format!("https://{account}.template-crm.example"))
    }

    // Fill in: the URL at which an OAuth grant is renewed (RFC 6749, section 6), or `None` for API keys only.
    fn token_url(&self) -> Option<&'static str> {
        None
    }

    // Fill in: the request that creates a record. If the CRM needs other requests before, they only read.
    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let call = json!({
            "personId": log.contact.id.as_str(),
            "title": log.subject,
            "text": log.body,
            "direction": log.direction.as_str(),
            "start": log.start.map(timestamp),
            "seconds": seconds(log.duration),
        });
        let created: Call = read(access.post("/v1/calls", &call).await?)?;
        CallLogId::new(created.id).ok_or_else(Error::malformed)
    }

    // Fill in: the request that reads a record.
    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let response = access.get(&call_path(id)?, &[]).await?;
        let call: Call = read(response).map_err(Error::without_effect)?;
        Ok(CallLog { subject: Some(call.title), body: call.text, version: None })
    }

    // Fill in: the request that changes a record. It contains only the fields of `change`.
    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let mut fields = Map::new();
        if let Some(subject) = &change.subject {
            fields.insert("title".to_owned(), json!(subject));
        }
        if let Some(body) = &change.body {
            fields.insert("text".to_owned(), json!(body));
        }
        if let Some(seconds) = seconds(change.duration) {
            fields.insert("seconds".to_owned(), json!(seconds));
        }
        if fields.is_empty() {
            return Ok(());
        }
        let response = access.patch(&call_path(id)?, &Value::Object(fields), None).await?;
        read::<Call>(response).map(drop)
    }

    // Fill in: the request that lists a contact's records, oldest first. If the list has pages, read all of them, or
    // fail as `pipedrive/mod.rs` does: "no records" leads to a second record. With `Recovery::Upsert` and
    // `Recovery::None`, return an empty list.
    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let since = timestamp(since);
        let query = [("personId", log.contact.id.as_str()), ("createdSince", since.as_str())];
        let response = access.get("/v1/calls", &query).await?;
        let found: Calls = read(response).map_err(Error::without_effect)?;
        let same = found.calls.into_iter().filter(|call| is_same_call(call, log));
        Ok(same.filter_map(|call| CallLogId::new(call.id)).collect())
    }

    // Fill in: if the CRM can tell that a record was not changed after its creation (a version, or its times of
    // creation and change), delete it then. Otherwise keep it, as here.
    async fn delete_record(&self, _: &Access<'_>, _: &CallLogId) -> Result<bool, Error> {
        Ok(false)
    }

    // Fill in: the request that finds contacts by their telephone number.
    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let response = access.get("/v1/persons", &[("phone", phone_number)]).await?;
        let found: Persons = read(response).map_err(Error::without_effect)?;
        Ok(found.persons.into_iter().filter_map(contact).collect())
    }

    // Fill in: the request that creates a contact.
    async fn create_contact(&self, access: &Access<'_>, new: &NewContact) -> Result<Contact, Error> {
        let person = json!({ "name": new.name, "phone": new.phone_number });
        let created: Person = read(access.post("/v1/persons", &person).await?)?;
        contact(created).ok_or_else(Error::malformed)
    }
}

/// Returns `true` if an earlier attempt to create `log` has made this record.
///
/// Fill in: compare the fields that the CRM returns exactly as they were sent. Compare the title and the duration only
/// if the text does not identify the call, because people and updates change them.
fn is_same_call(call: &Call, log: &NewCallLog) -> bool {
    call.direction == log.direction.as_str()
        && call.start.map(|start| start.timestamp()) == log.start.map(|start| start.timestamp())
        && log
            .matches_body(Format::Plain, &call.text)
            .unwrap_or_else(|| call.title == log.subject && call.seconds == seconds(log.duration))
}

/// Returns the path of a record.
///
/// Fill in: the characters of the CRM's ids. Any other character could lead to another path.
fn call_path(id: &CallLogId) -> Result<String, Error> {
    if id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(format!("/v1/calls/{id}"))
    } else {
        Err(Error::new(ErrorKind::NotFound, Effect::None, "the record id cannot be an id of the CRM"))
    }
}

/// Converts a person to a contact. Fill in: the CRM's own word for the kind of contact.
fn contact(person: Person) -> Option<Contact> {
    Some(Contact {
        id: ContactId::new(person.id)?,
        kind: Some("person".to_owned()),
        name: Some(person.name),
        phone_number: Some(person.phone),
    })
}

/// Returns the duration in seconds; `None` while it is unknown. Fill in: the unit of the CRM.
fn seconds(duration: Option<CallDuration>) -> Option<u64> {
    match duration? {
        CallDuration::Pending => None,
        CallDuration::Seconds(seconds) => Some(seconds),
    }
}

/// Formats a time. Fill in: the format of the CRM.
fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads the JSON of a successful response.
fn read<T: DeserializeOwned>(response: Value) -> Result<T, Error> {
    serde_json::from_value(response).map_err(|_| Error::malformed())
}
