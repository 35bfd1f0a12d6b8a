//! The Example CRM, which is part of `call-log serve`: bodies in plain text, and conditional changes by the version of
//! a record.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{
    Access, CallLog, CallLogChange, Crm, Effect, Error, ErrorKind, NewCallLog, NewContact, Recovery,
};
use crate::{
    model::{CallDuration, CallLogId, Contact, ContactId},
    note::Format,
};

/// The version of an activity that was not changed after its creation.
const FIRST_VERSION: &str = "1";

/// The adapter of the Example CRM.
#[derive(Debug)]
pub(super) struct Example;

#[async_trait]
impl Crm for Example {
    fn platform(&self) -> &'static str {
        "example"
    }

    fn display_name(&self) -> &'static str {
        "Example CRM"
    }

    fn format(&self) -> Format {
        Format::Plain
    }

    fn recovery(&self) -> Recovery {
        Recovery::ConsistentList
    }

    fn compare_and_set(&self) -> bool {
        true
    }

    /// Ignores the user's host, because the Example CRM always runs on this machine.
    fn base_url(&self, _: Option<&str>) -> Option<String> {
        Some("http://127.0.0.1:3000".to_owned())
    }

    fn token_url(&self) -> Option<&'static str> {
        None
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let activity = json!({
            "contactId": log.contact.id.as_str(),
            "subject": log.subject,
            "body": log.body,
            "direction": log.direction.as_str(),
            "startTime": log.start.map(timestamp),
            "durationSeconds": seconds(log.duration),
            "result": log.result,
        });
        let created = access.post("/example-crm/v1/activities", &activity).await?;
        text(&created, "id").and_then(CallLogId::new).ok_or_else(Error::malformed)
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let activity = access.get(&activity_path(id)?, &[]).await?;
        let body = text(&activity, "body").ok_or_else(|| Error::malformed().without_effect())?;
        let version = activity.get("version").and_then(Value::as_u64).map(|version| version.to_string());
        Ok(CallLog { subject: text(&activity, "subject"), body, version })
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let mut fields = Map::new();
        if let Some(subject) = &change.subject {
            fields.insert("subject".to_owned(), json!(subject));
        }
        if let Some(body) = &change.body {
            fields.insert("body".to_owned(), json!(body));
        }
        if let Some(seconds) = seconds(change.duration) {
            fields.insert("durationSeconds".to_owned(), json!(seconds));
        }
        if fields.is_empty() {
            return Ok(());
        }
        let version = change.version.as_deref();
        let changed = access.patch(&activity_path(id)?, &Value::Object(fields), version).await?;
        if changed.get("id").is_some() { Ok(()) } else { Err(Error::malformed()) }
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let since = timestamp(since);
        let query = [("contactId", log.contact.id.as_str()), ("since", since.as_str())];
        let response = access.get("/example-crm/v1/activities", &query).await?;
        let newest_first = list(&response, "activities")?.iter();
        let oldest_first = newest_first.rev().filter(|activity| is_same_call(activity, log));
        Ok(oldest_first.filter_map(|activity| CallLogId::new(text(activity, "id")?)).collect())
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        match access.delete(&activity_path(id)?, Some(FIRST_VERSION)).await {
            Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(Error { kind: ErrorKind::Conflict, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let response = access.get("/example-crm/v1/contacts", &[("phoneNumber", phone_number)]).await?;
        Ok(list(&response, "contacts")?.iter().filter_map(contact).collect())
    }

    async fn create_contact(&self, access: &Access<'_>, new: &NewContact) -> Result<Contact, Error> {
        let mut fields = json!({ "name": new.name, "phoneNumber": new.phone_number });
        if let Some(kind) = &new.kind {
            fields["type"] = json!(kind);
        }
        let created = access.post("/example-crm/v1/contacts", &fields).await?;
        contact(&created).ok_or_else(Error::malformed)
    }
}

/// Returns `true` if an earlier attempt to create `log` has made this activity.
fn is_same_call(activity: &Value, log: &NewCallLog) -> bool {
    let start = text(activity, "startTime").and_then(|start| start.parse::<DateTime<Utc>>().ok());
    let body = text(activity, "body").unwrap_or_default();
    text(activity, "direction").as_deref() == Some(log.direction.as_str())
        && start.map(|start| start.timestamp()) == log.start.map(|start| start.timestamp())
        && log.matches_body(Format::Plain, &body).unwrap_or_else(|| {
            text(activity, "subject").as_deref() == Some(log.subject.as_str())
                && activity.get("durationSeconds").and_then(Value::as_u64) == seconds(log.duration)
        })
}

fn contact(entry: &Value) -> Option<Contact> {
    Some(Contact {
        id: ContactId::new(text(entry, "id")?)?,
        kind: text(entry, "type"),
        name: text(entry, "name"),
        phone_number: text(entry, "phoneNumber"),
    })
}

/// Returns the path of an activity. An id of the Example CRM consists of letters, digits and hyphens; any other
/// character could lead to another path.
fn activity_path(id: &CallLogId) -> Result<String, Error> {
    if id.as_str().bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric()) {
        Ok(format!("/example-crm/v1/activities/{id}"))
    } else {
        Err(Error::new(ErrorKind::NotFound, Effect::None, "the record id cannot be an id of the Example CRM"))
    }
}

fn seconds(duration: Option<CallDuration>) -> Option<u64> {
    match duration? {
        CallDuration::Pending => None,
        CallDuration::Seconds(seconds) => Some(seconds),
    }
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn text(entity: &Value, field: &str) -> Option<String> {
    entity.get(field)?.as_str().map(str::to_owned)
}

fn list<'a>(response: &'a Value, field: &str) -> Result<&'a [Value], Error> {
    response
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| Error::malformed().without_effect())
}
