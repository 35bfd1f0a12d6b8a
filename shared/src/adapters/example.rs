//! The Example CRM, which is part of `call-log serve`: bodies in plain text, and conditional changes by the version of
//! a record.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, CompareAndSet, Crm, CrmRequest,
    Effect, Error, ErrorKind, Fields, Finish, HostAccount, LimitScope, NewCallLog, NewContact, Presentation,
    Profile, Recovery,
    json::{Few, lenient},
    presentation::Connect,
};
use crate::{
    model::{CallDuration, CallLogId, Contact, ContactId, Credentials, CrmUser, Direction, User},
    note::{Format, Limits},
};

/// The version of an activity that was not changed after its creation.
const FIRST_VERSION: u64 = 1;
/// The name of the field with the direction.
const DIRECTION: &str = "direction";
/// The name of the field with the start, in RFC 3339 with milliseconds, in UTC.
const START: &str = "startTime";
/// The name of the field with the duration in seconds.
const DURATION: &str = "durationSeconds";
/// The name of the field with the result.
const RESULT: &str = "result";

/// The adapter of the Example CRM.
#[derive(Debug)]
pub(super) struct Example;

/// An activity.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    id: String,
    subject: String,
    body: String,
    direction: Direction,
    #[serde(default, deserialize_with = "lenient")]
    start_time: Option<DateTime<Utc>>,
    duration_seconds: Option<u64>,
    result: Option<String>,
    version: u64,
    #[serde(default, deserialize_with = "lenient")]
    created_at: Option<DateTime<Utc>>,
}

impl Activity {
    fn facts(&self) -> CallFacts {
        CallFacts {
            direction: Some(self.direction),
            start: self.start_time,
            duration: self.duration_seconds.map(CallDuration::Seconds),
            result: self.result.clone(),
            ..CallFacts::default()
        }
    }
}

/// The activities of a contact, newest first.
#[derive(Debug, Deserialize)]
struct Activities {
    activities: Few<Activity>,
}

/// The user to whom the key belongs.
#[derive(Debug, Deserialize)]
struct Me {
    id: String,
    name: String,
}

/// A user of the account.
#[derive(Debug, Deserialize)]
struct Member {
    id: String,
    name: Option<String>,
    email: Option<String>,
}

/// The users of the account.
#[derive(Debug, Deserialize)]
struct Members {
    users: Few<Member>,
}

/// A contact.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    phone_number: Option<String>,
}

/// Contacts.
#[derive(Debug, Deserialize)]
struct Persons {
    contacts: Few<Person>,
}

#[async_trait]
impl Crm for Example {
    fn platform(&self) -> &'static str {
        "example"
    }

    fn display_name(&self) -> &'static str {
        "Example CRM"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            format: Format::Plain,
            recovery: &[Recovery::ConsistentList],
            compare_and_set: CompareAndSet::Exact,
            finish: Finish::None,
            limits: Limits::UNLIMITED,
            limit_scope: LimitScope::Account,
            shows_edits: true,
        }
    }

    fn presentation(&self) -> Presentation {
        Presentation {
            connect: &[Connect::ApiKey { title: "API key (on the page of call-log serve)" }],
            url_identifier: "{server}",
            contact_page_url: Some("http://{server}/?contact={contactId}"),
            log_page_url: Some("http://{server}/?log={logId}"),
            contact_types: &[],
            call_log_fields: &[],
            settings: &[],
        }
    }

    /// Ignores the user's host, because the Example CRM always runs on this machine.
    fn base_url(&self, _: &User) -> Option<String> {
        Some("http://127.0.0.1:3000".to_owned())
    }

    /// The Example CRM has one account.
    fn host_account(&self, _: &User) -> HostAccount {
        HostAccount::Named("example".to_owned())
    }

    async fn identify(&self, access: &Access<'_>) -> Result<Profile, Error> {
        let me: Me = access.send(CrmRequest::read("users/me", "/example-crm/v1/users/me")).await?.json()?;
        let account_name = Some(self.display_name().to_owned());
        Ok(Profile { user_id: Some(me.id), name: Some(me.name), account_name, ..Profile::default() })
    }

    fn authentication(&self, credentials: &Credentials) -> Authentication {
        match credentials {
            Credentials::ApiKey(_) => Authentication::Header("x-api-token"),
            Credentials::OAuth { .. } => Authentication::BEARER,
        }
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        let direction = facts.direction.map(|direction| direction.as_str().to_owned());
        let duration = facts.seconds().map(|seconds| seconds.to_string());
        [
            (DIRECTION, direction.unwrap_or_default()),
            (START, facts.start.map(timestamp).unwrap_or_default()),
            (DURATION, duration.unwrap_or_default()),
            (RESULT, facts.result.clone().unwrap_or_default()),
        ]
        .into()
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let mut activity = json!({
            "contactId": log.contact.as_ref().map(|contact| contact.id.as_str()),
            "subject": log.subject,
            "body": log.body,
            // The CRM requires a direction.
            "direction": Direction::Outbound.as_str(),
        });
        for (name, value) in written(&self.fields(&log.facts)) {
            activity[name] = value;
        }
        let request = CrmRequest::create("activities", "/example-crm/v1/activities", activity);
        let response = access.send(request).await?;
        let created: Activity = response.json()?;
        CallLogId::new(created.id).ok_or_else(|| response.malformed())
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let request = CrmRequest::read("activities/{id}", activity_path(id)?);
        let activity: Activity = access.send(request).await?.json()?;
        Ok(CallLog {
            fields: self.fields(&activity.facts()),
            subject: Some(activity.subject),
            body: activity.body,
            version: Some(quoted(activity.version)),
            created_at: activity.created_at,
            is_changed: Some(activity.version != FIRST_VERSION),
            choices: Map::new(),
        })
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        if change.is_empty() {
            return Ok(());
        }
        let texts = [("subject", &change.subject), ("body", &change.body)];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, json!(text.as_ref()?))));
        let fields: Map<_, _> =
            texts.chain(written(&change.fields)).map(|(name, value)| (name.to_owned(), value)).collect();
        let mut request = CrmRequest::update("activities/{id}", activity_path(id)?, Value::Object(fields));
        if let Some(version) = &change.version {
            request = request.header("if-match", version);
        }
        access.send(request).await?.json::<Activity>().map(drop)
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let request = CrmRequest::read("activities", "/example-crm/v1/activities")
            .query("contactId", log.contact.as_ref().map_or("", |contact| contact.id.as_str()))
            .query("since", timestamp(since))
            .page();
        let found: Activities = access.send(request).await?.json()?;
        let oldest_first = found.activities.into_iter().rev().filter(|activity| is_similar(activity, log));
        Ok(oldest_first.filter_map(|activity| CallLogId::new(activity.id)).collect())
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        let request = CrmRequest::delete("activities/{id}", activity_path(id)?)
            .header("if-match", quoted(FIRST_VERSION));
        match access.send(request).await {
            Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(Error { kind: ErrorKind::Conflict, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let request = CrmRequest::read("contacts", "/example-crm/v1/contacts")
            .query("phoneNumber", phone_number)
            .page();
        let found: Persons = access.send(request).await?.json()?;
        Ok(found.contacts.into_iter().filter_map(contact).collect())
    }

    async fn find_contacts_by_name(&self, access: &Access<'_>, name: &str) -> Result<Vec<Contact>, Error> {
        let request = CrmRequest::read("contacts", "/example-crm/v1/contacts").query("name", name).page();
        let found: Persons = access.send(request).await?.json()?;
        Ok(found.contacts.into_iter().filter_map(contact).collect())
    }

    async fn create_contact(&self, access: &Access<'_>, new: &NewContact) -> Result<Contact, Error> {
        let mut fields = json!({ "name": new.name, "phoneNumber": new.phone_number });
        if let Some(kind) = &new.kind {
            fields["type"] = json!(kind);
        }
        let request = CrmRequest::create("contacts", "/example-crm/v1/contacts", fields);
        let response = access.send(request).await?;
        contact(response.json()?).ok_or_else(|| response.malformed())
    }

    async fn users(&self, access: &Access<'_>) -> Result<Vec<CrmUser>, Error> {
        let found: Members =
            access.send(CrmRequest::read("users", "/example-crm/v1/users").page()).await?.json()?;
        let user = |Member { id, name, email }| CrmUser { id, name, email };
        Ok(found.users.into_iter().map(user).collect())
    }
}

/// Returns the values of a request from fields. One without a value is left out.
fn written(fields: &Fields) -> impl Iterator<Item = (&'static str, Value)> {
    let with_value = fields.iter().filter(|(_, text)| !text.is_empty());
    with_value.map(|(name, text)| match *name {
        DURATION => (DURATION, json!(text.parse::<u64>().ok())),
        name => (name, json!(text)),
    })
}

/// Returns `true` if an attempt to create `log` may have made this activity.
fn is_similar(activity: &Activity, log: &NewCallLog) -> bool {
    let seconds = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp());
    activity.direction == log.facts.direction.unwrap_or(Direction::Outbound)
        && seconds(activity.start_time) == seconds(log.facts.start)
}

fn contact(person: Person) -> Option<Contact> {
    Some(Contact {
        id: ContactId::new(person.id)?,
        kind: person.kind,
        name: person.name,
        phone_number: person.phone_number,
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

/// Writes a version as an entity tag (RFC 9110, section 8.8.3).
fn quoted(version: u64) -> String {
    format!("\"{version}\"")
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}
