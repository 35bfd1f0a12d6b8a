//! Template CRM: the smallest complete adapter.
//!
//! Copy this file to `shared/src/adapters/<crm>.rs` and follow `docs/add-a-crm.md`. The comments that begin with
//! "Fill in:" say what to replace. Name the pages of the CRM's API reference here.

use async_trait::async_trait;
use call_log::{
    adapters::{
        Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, CompareAndSet, Crm,
        CrmRequest, Effect, Error, ErrorKind, Fields, Finish, HostAccount, LimitScope, NewCallLog,
        NewContact, Presentation, Profile, Recovery, account_label, json::Few, presentation::Connect,
    },
    model::{CallLogId, Contact, ContactId, Credentials, Direction, User},
    note::{Format, Limits},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
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
    #[serde(rename = "createdAt")]
    created_at: DateTime<Utc>,
}

/// A list of records.
#[derive(Debug, Deserialize)]
struct Calls {
    calls: Few<Call>,
}

/// A person who can be called.
#[derive(Debug, Deserialize)]
struct Person {
    id: String,
    name: String,
    phone: String,
}

/// The user to whom a credential belongs.
#[derive(Debug, Deserialize)]
struct Me {
    id: String,
    name: String,
    account: String,
    host: String,
}

/// A list of persons.
#[derive(Debug, Deserialize)]
struct Persons {
    persons: Few<Person>,
}

// Fill in: the names of the fields that a correction of the call can change.

/// The field with the direction.
const DIRECTION: &str = "direction";
/// The field with the start, in RFC 3339 with milliseconds, in UTC.
const START: &str = "start";
/// The field with the duration in seconds.
const DURATION: &str = "seconds";

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

    // Fill in: what the CRM can do. The documentation of `Capabilities` says what each field means. If the API reference
    // promises nothing, the variant `None` is right.
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            format: Format::Plain,
            recovery: &[Recovery::ConsistentList],
            compare_and_set: CompareAndSet::None,
            finish: Finish::None,
            limits: Limits::UNLIMITED,
            limit_scope: LimitScope::Account,
            shows_edits: false,
        }
    }

    // Fill in: what people see of the CRM in the extension.
    fn presentation(&self) -> Presentation {
        Presentation {
            connect: &[Connect::ApiKey { title: "API key (Settings, Integrations)" }],
            url_identifier: "*.template-crm.example",
            contact_page_url: Some("https://{hostname}/persons/{contactId}"),
            log_page_url: Some("https://{hostname}/calls/{logId}"),
            contact_types: &[],
            call_log_fields: &[],
            settings: &[],
        }
    }

    // Fill in: the CRM's hosts. Credentials are sent there, so accept no other host.
    fn base_url(&self, user: &User) -> Option<String> {
        let account = account_label(user.hostname.as_deref()?, "template-crm.example")?;
        Some(format!("https://{account}.template-crm.example"))
    }

    // Fill in: the way in which requests carry an API key or an access token. If the CRM has OAuth, also implement `oauth`.
    fn authentication(&self, credentials: &Credentials) -> Authentication {
        match credentials {
            Credentials::ApiKey(_) => Authentication::Header("x-api-token"),
            Credentials::OAuth { .. } => Authentication::BEARER,
        }
    }

    // Fill in: `HostAccount::One` if a user's host belongs to one account, `HostAccount::Named` if it is the account's
    // identity. If users of several accounts have the same host, leave this method out.
    fn host_account(&self, _: &User) -> HostAccount {
        HostAccount::One
    }

    // Fill in: the request that says whose a credential is. Users of one account share their call logs, so the account must
    // never come from anything that a person can enter.
    async fn identify(&self, access: &Access<'_>) -> Result<Profile, Error> {
        let me: Me = access.send(CrmRequest::read("me", "/v1/me")).await?.json()?;
        Ok(Profile {
            user_id: Some(me.id),
            name: Some(me.name),
            account: Some(me.account),
            hostname: Some(me.host),
            ..Profile::default()
        })
    }

    // Fill in: the host that this request is sent to while the company's host is not known yet.
    fn identity_url(&self) -> Option<String> {
        Some("https://api.template-crm.example".to_owned())
    }

    // Fill in: what the defaults of the trait do not fit: `classify` for errors that a status does not say, `rate_limits` for
    // headers of the CRM's own, and `finish_record` if a further request completes a record.

    // Fill in: the fields beside subject and body that an update can correct. A value is written as it is read, so that
    // equal values have equal texts; a value that is not known is an empty text. So is one that needs two facts, such as the
    // end of the call, unless both are known.
    fn fields(&self, facts: &CallFacts) -> Fields {
        fields(facts.direction.map(Direction::as_str), facts.start, facts.seconds())
    }

    // Fill in: the request that creates a record. If the CRM needs other requests before, they only read. The first
    // argument of a request is its name in log lines; it contains no id.
    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let mut call = written(&self.fields(&log.facts));
        if let Some(contact) = &log.contact {
            call.insert("personId".to_owned(), json!(contact.id.as_str()));
        }
        call.insert("title".to_owned(), json!(log.subject));
        call.insert("text".to_owned(), json!(log.body));
        let call = Value::Object(call);
        let response = access.send(CrmRequest::create("calls", "/v1/calls", call)).await?;
        let created: Call = response.json()?;
        CallLogId::new(created.id).ok_or_else(|| response.malformed())
    }

    // Fill in: the request that reads a record. If the CRM has versions, return the version as its condition is written. If a
    // record can be found only by its content, return when it was created, and if it was changed since.
    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let call: Call = access.send(CrmRequest::read("calls/{id}", call_path(id)?)).await?.json()?;
        Ok(CallLog {
            fields: fields(Some(&call.direction), call.start, call.seconds),
            subject: Some(call.title),
            body: call.text,
            version: None,
            created_at: Some(call.created_at),
            is_changed: None,
            choices: Map::new(),
        })
    }

    // Fill in: the request that changes a record. It contains only the fields of `change`. If the CRM has versions, send
    // `change.version` in the header of the condition.
    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let mut fields = written(&change.fields);
        if let Some(subject) = &change.subject {
            fields.insert("title".to_owned(), json!(subject));
        }
        if let Some(body) = &change.body {
            fields.insert("text".to_owned(), json!(body));
        }
        if fields.is_empty() {
            return Ok(());
        }
        let request = CrmRequest::update("calls/{id}", call_path(id)?, Value::Object(fields));
        access.send(request).await?.json::<Call>().map(drop)
    }

    // Fill in: the request that lists a contact's records, oldest first. If the list has pages, read all of them, or
    // fail as `pipedrive/mod.rs` does: "no records" leads to a second record. If the CRM has a field for `log.tag`, search by
    // it alone: then a record of another call is never found. With `Recovery::None`, return an empty list.
    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let request = CrmRequest::read("calls", "/v1/calls")
            .page()
            .query("personId", log.contact.as_ref().map_or("", |contact| contact.id.as_str()))
            .query("createdSince", timestamp(since));
        let found: Calls = access.send(request).await?.json()?;
        let similar = found.calls.into_iter().filter(|call| is_similar(call, log));
        Ok(similar.filter_map(|call| CallLogId::new(call.id)).collect())
    }

    // Fill in: if the CRM can tell that a record was not changed after its creation (a version, or its times of
    // creation and change), delete it then. Otherwise keep it, as here.
    async fn delete_record(&self, _: &Access<'_>, _: &CallLogId) -> Result<bool, Error> {
        Ok(false)
    }

    // Fill in: the request that finds contacts by their telephone number.
    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let request = CrmRequest::read("persons", "/v1/persons").query("phone", phone_number);
        let found: Persons = access.send(request).await?.json()?;
        Ok(found.persons.into_iter().filter_map(contact).collect())
    }

    // Fill in: the request that creates a contact.
    async fn create_contact(&self, access: &Access<'_>, new: &NewContact) -> Result<Contact, Error> {
        let person = json!({ "name": new.name, "phone": new.phone_number });
        let response = access.send(CrmRequest::create("persons", "/v1/persons", person)).await?;
        contact(response.json()?).ok_or_else(|| response.malformed())
    }
}

/// Returns `true` if an attempt to create `log` may have made this record.
///
/// Fill in: compare contact, start, direction and owner, as far as the CRM returns them. Delivery compares the title, the
/// text, and the fields that [`Crm::fields`] names.
fn is_similar(call: &Call, log: &NewCallLog) -> bool {
    log.facts.direction.is_none_or(|direction| call.direction == direction.as_str())
        && call.start.map(|start| start.timestamp()) == log.facts.start.map(|start| start.timestamp())
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

/// Returns the fields, from what is known of a call or from its record.
fn fields(direction: Option<&str>, start: Option<DateTime<Utc>>, seconds: Option<u64>) -> Fields {
    [
        (DIRECTION, direction.map(str::to_owned)),
        (START, start.map(timestamp)),
        (DURATION, seconds.map(|seconds| seconds.to_string())),
    ]
    .map(|(name, text)| (name, text.unwrap_or_default()))
    .into()
}

/// Returns the JSON of a request from fields. One without a value is left out. Fill in: fields that are no texts.
fn written(fields: &Fields) -> Map<String, Value> {
    let value = |name: &str, text: &str| match name {
        DURATION => json!(text.parse::<u64>().ok()),
        _ => json!(text),
    };
    let with_value = fields.iter().filter(|(_, text)| !text.is_empty());
    with_value.map(|(name, text)| ((*name).to_owned(), value(name, text))).collect()
}

/// Formats a time. Fill in: the format of the CRM.
fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
