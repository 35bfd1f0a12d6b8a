//! Pipedrive, over its API v2: a call becomes a done activity whose type has "call" in its name. Only the activity types
//! come from v1, because v2 has no endpoint for them.
//!
//! Source: the Pipedrive API reference (developers.pipedrive.com/docs/api/v1), pages "Activities", "Persons" and
//! "ActivityTypes".

mod call_type;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use self::call_type::{call_type, forget_call_type};
use super::{
    Access, CallLog, CallLogChange, Crm, Effect, Error, ErrorKind, NewCallLog, NewContact, Recovery,
    client::account_label,
};
use crate::{
    model::{CallDuration, CallLogId, Contact, ContactId},
    note::Format,
};

/// The number of pages of a contact's activities, a hundred each, that are searched for a lost attempt.
const MAX_PAGES: usize = 3;
/// The number of digits at the end of a telephone number that its national and its international form have in common.
const SHARED_DIGITS: usize = 8;

/// The adapter of Pipedrive.
#[derive(Debug)]
pub(super) struct Pipedrive;

#[async_trait]
impl Crm for Pipedrive {
    fn platform(&self) -> &'static str {
        "pipedrive"
    }

    fn display_name(&self) -> &'static str {
        "Pipedrive"
    }

    fn format(&self) -> Format {
        Format::Html
    }

    fn recovery(&self) -> Recovery {
        Recovery::ConsistentList
    }

    fn compare_and_set(&self) -> bool {
        false
    }

    fn base_url(&self, hostname: Option<&str>) -> Option<String> {
        account_label(hostname?, "pipedrive.com").map(|label| format!("https://{label}.pipedrive.com"))
    }

    fn token_url(&self) -> Option<&'static str> {
        Some("https://oauth.pipedrive.com/oauth/token")
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let person = person_id(&log.contact.id)?;
        let org = organisation(access, person).await?;
        let call_type = call_type(access).await?;
        let activity = new_activity(log, person, org, owner(access), &call_type);
        let created = access.post("/api/v2/activities", &activity).await;
        if let Err(Error { kind: ErrorKind::Rejected { .. }, .. }) = created {
            // The reason may be the type: an administrator can deactivate it at any time.
            forget_call_type(access);
        }
        let id = number(data(&created?)?.get("id")).ok_or_else(Error::malformed)?;
        CallLogId::new(id.to_string()).ok_or_else(Error::malformed)
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let response = access.get(&activity_path(id)?, &[]).await?;
        let activity = data(&response).map_err(Error::without_effect)?;
        if is_deleted(activity) {
            return Err(Error::new(ErrorKind::NotFound, Effect::None, "the activity is deleted"));
        }
        let body = match activity.get("note") {
            Some(Value::String(note)) => note.clone(),
            Some(Value::Null) => String::new(),
            // The note is unknown, and an update that does not know it would overwrite what a person wrote.
            _ => return Err(Error::malformed().without_effect()),
        };
        let subject = activity.get("subject").and_then(Value::as_str).map(str::to_owned);
        Ok(CallLog { subject, body, version: None })
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let mut fields = Map::new();
        set(&mut fields, "subject", change.subject.as_deref());
        set(&mut fields, "note", change.body.as_deref());
        set(&mut fields, "duration", hours_and_minutes(change.duration));
        if fields.is_empty() {
            return Ok(());
        }
        let response = access.patch(&activity_path(id)?, &Value::Object(fields), None).await?;
        let succeeded = response.get("success") == Some(&Value::Bool(true)) || data(&response).is_ok();
        if succeeded { Ok(()) } else { Err(Error::malformed()) }
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let person = person_id(&log.contact.id)?;
        let expected = new_activity(log, person, None, owner(access), &call_type(access).await?);
        let mut ids: Vec<u64> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let response = activities_of(access, person, since, cursor.as_deref()).await?;
            let page = data(&response)
                .ok()
                .and_then(Value::as_array)
                .ok_or_else(|| Error::malformed().without_effect())?;
            let hits = page.iter().filter(|activity| is_same_call(activity, &expected, log, person));
            ids.extend(hits.filter_map(|activity| number(activity.get("id"))));
            cursor =
                response.pointer("/additional_data/next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        if ids.is_empty() && cursor.is_some() {
            // The search was not exhaustive: "no records" would lead to a second one.
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "too many activities to search"));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids.into_iter().filter_map(|id| CallLogId::new(id.to_string())).collect())
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        let path = activity_path(id)?;
        let response = match access.get(&path, &[]).await {
            Err(Error { kind: ErrorKind::NotFound, .. }) => return Ok(true),
            response => response?,
        };
        let activity = data(&response).map_err(Error::without_effect)?;
        if is_deleted(activity) {
            return Ok(true);
        }
        // Pipedrive has no versions. Both times have whole seconds, so an edit in the first second goes unnoticed.
        let time = |field: &str| activity.get(field).and_then(Value::as_str);
        if time("add_time").is_none() || time("add_time") != time("update_time") {
            return Ok(false);
        }
        match access.delete(&path, None).await {
            Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let wanted = digits(phone_number);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let term = &wanted[wanted.len().saturating_sub(SHARED_DIGITS)..];
        let query = [("term", term), ("fields", "phone"), ("limit", "100")];
        let response = access.get("/api/v2/persons/search", &query).await?;
        let items = data(&response).ok().and_then(|data| data.get("items")?.as_array());
        let items = items.ok_or_else(|| Error::malformed().without_effect())?;
        Ok(items.iter().filter_map(|entry| person_with_number(entry.get("item")?, phone_number)).collect())
    }

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error> {
        let mut person = Map::new();
        set(&mut person, "name", Some(contact.name.as_str()));
        set(&mut person, "owner_id", owner(access));
        let phone = json!({ "value": contact.phone_number, "primary": true, "label": "work" });
        person.insert("phones".to_owned(), json!([phone]));
        let response = access.post("/api/v2/persons", &Value::Object(person)).await?;
        let id = number(data(&response)?.get("id")).ok_or_else(Error::malformed)?;
        Ok(Contact {
            id: ContactId::new(id.to_string()).ok_or_else(Error::malformed)?,
            kind: Some("contact".to_owned()),
            name: Some(contact.name.clone()),
            phone_number: Some(contact.phone_number.clone()),
        })
    }
}

/// Returns the body of the request that creates the activity of a call log.
fn new_activity(
    log: &NewCallLog,
    person: u64,
    org: Option<u64>,
    owner: Option<u64>,
    call_type: &str,
) -> Value {
    let deal = additional(log, ["deals", "deal"]).find_map(number).filter(|id| *id > 0);
    // Pipedrive links an activity to one of them. If both are sent, it keeps the deal.
    let lead = additional(log, ["leads", "lead"]).find_map(lead_id).filter(|_| deal.is_none());
    let mut activity = Map::new();
    set(&mut activity, "subject", Some(log.subject.as_str()));
    set(&mut activity, "type", Some(call_type));
    set(&mut activity, "owner_id", owner);
    set(&mut activity, "org_id", org);
    set(&mut activity, "deal_id", deal);
    set(&mut activity, "lead_id", lead);
    set(&mut activity, "due_date", log.start.map(|start| start.format("%Y-%m-%d").to_string()));
    set(&mut activity, "due_time", log.start.map(|start| start.format("%H:%M").to_string()));
    set(&mut activity, "duration", hours_and_minutes(log.duration));
    set(&mut activity, "done", Some(true));
    set(&mut activity, "note", Some(log.body.as_str()));
    // `person_id` is read-only. Pipedrive derives it from the primary participant.
    activity.insert("participants".to_owned(), json!([{ "person_id": person, "primary": true }]));
    Value::Object(activity)
}

/// Returns `true` if an earlier attempt to create `log` has made this activity. `expected` is what it sent.
fn is_same_call(activity: &Value, expected: &Value, log: &NewCallLog, person: u64) -> bool {
    let same = |field: &str| expected.get(field).is_none_or(|value| activity.get(field) == Some(value));
    let same_time = |field: &str| {
        expected.get(field).is_none_or(|value| minutes(Some(value)) == minutes(activity.get(field)))
    };
    let participates = || {
        let participants = activity.get("participants").and_then(Value::as_array);
        number(activity.get("person_id")) == Some(person)
            || participants.into_iter().flatten().any(|other| number(other.get("person_id")) == Some(person))
    };
    let note = activity.get("note").and_then(Value::as_str).unwrap_or_default();
    !is_deleted(activity)
        && same("type")
        && same("owner_id")
        && same("due_date")
        && same_time("due_time")
        && participates()
        && log.matches_body(Format::Html, note).unwrap_or_else(|| same("subject") && same_time("duration"))
}

/// Requests a page of a person's done activities, newest first.
async fn activities_of(
    access: &Access<'_>,
    person: u64,
    since: DateTime<Utc>,
    cursor: Option<&str>,
) -> Result<Value, Error> {
    let (person, since) = (person.to_string(), since.to_rfc3339_opts(SecondsFormat::Secs, true));
    let mut query = vec![
        ("person_id", person.as_str()),
        ("done", "true"),
        ("updated_since", since.as_str()),
        ("sort_by", "add_time"),
        ("sort_direction", "desc"),
        ("limit", "100"),
    ];
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    access.get("/api/v2/activities", &query).await
}

/// Requests the organisation of a person, if the person has one.
async fn organisation(access: &Access<'_>, person: u64) -> Result<Option<u64>, Error> {
    match access.get(&format!("/api/v2/persons/{person}"), &[]).await {
        Ok(response) => Ok(number(data(&response).map_err(Error::without_effect)?.get("org_id"))),
        Err(Error { kind: ErrorKind::NotFound, .. }) => {
            Err(Error::rejected("The contact is no longer in Pipedrive."))
        }
        Err(error) => Err(error),
    }
}

/// Converts a search result to a contact, if one of the person's numbers is the wanted one.
fn person_with_number(person: &Value, wanted: &str) -> Option<Contact> {
    let mut phones = person.get("phones")?.as_array()?.iter().filter_map(Value::as_str);
    let phone = phones.find(|phone| is_same_number(phone, wanted))?;
    Some(Contact {
        id: ContactId::new(number(person.get("id"))?.to_string())?,
        kind: Some("contact".to_owned()),
        name: person.get("name").and_then(Value::as_str).map(str::to_owned),
        phone_number: Some(phone.to_owned()),
    })
}

/// Returns `true` if two texts are the same telephone number: in full, or one of them without the country code or with
/// a trunk prefix `0`.
fn is_same_number(one: &str, other: &str) -> bool {
    let (first, second) = (digits(one), digits(other));
    if one.trim_start().starts_with('+') && other.trim_start().starts_with('+') {
        return first == second;
    }
    let (first, second) = (first.trim_start_matches('0'), second.trim_start_matches('0'));
    let (short, long) = if first.len() < second.len() { (first, second) } else { (second, first) };
    short == long || (short.len() >= SHARED_DIGITS && long.ends_with(short))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Formats a duration as `HH:MM`, rounded up to whole minutes. `None` while the duration is unknown.
fn hours_and_minutes(duration: Option<CallDuration>) -> Option<String> {
    let CallDuration::Seconds(seconds) = duration? else { return None };
    let minutes = seconds.div_ceil(60);
    Some(format!("{:02}:{:02}", minutes / 60, minutes % 60))
}

/// Parses `HH:MM` or `HH:MM:SS` as minutes. Pipedrive returns both.
fn minutes(time: Option<&Value>) -> Option<u64> {
    let mut parts = time?.as_str()?.split(':').map(str::parse::<u32>);
    Some(u64::from(parts.next()?.ok()?) * 60 + u64::from(parts.next()?.ok()?))
}

/// Returns the values of a form field under each of its two names. A value is an id, or an object that contains it.
fn additional<'a>(log: &'a NewCallLog, keys: [&str; 2]) -> impl Iterator<Item = Option<&'a Value>> {
    keys.map(|key| log.additional.get(key).map(|value| value.get("id").unwrap_or(value))).into_iter()
}

/// Reads a number, which may be written as text.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

/// Returns the text if it can be the id of a lead, which is a UUID.
fn lead_id(value: Option<&Value>) -> Option<&str> {
    let text = value?.as_str()?.trim();
    let lengths = text.split('-').map(str::len);
    let hexadecimal = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (hexadecimal && lengths.eq([8, 4, 4, 4, 12])).then_some(text)
}

/// Sets a field unless its value is `None`.
fn set(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Returns the user's id in Pipedrive: `12345` of `12345-pipedrive`.
fn owner(access: &Access<'_>) -> Option<u64> {
    access.user.as_str().split('-').next()?.parse().ok()
}

fn person_id(contact: &ContactId) -> Result<u64, Error> {
    contact
        .as_str()
        .trim()
        .parse()
        .map_err(|_| Error::rejected(format!("The contact id \"{contact}\" is not a number.")))
}

fn activity_path(id: &CallLogId) -> Result<String, Error> {
    let not_found = |_| Error::new(ErrorKind::NotFound, Effect::None, "the record id is not a number");
    id.as_str().parse::<u64>().map(|id| format!("/api/v2/activities/{id}")).map_err(not_found)
}

fn is_deleted(entity: &Value) -> bool {
    entity.get("is_deleted") == Some(&Value::Bool(true))
}

/// Returns the `data` of a successful response. `"success": false` in a response with status 2xx is malformed and not a
/// rejection, because Pipedrive rejects with a status.
fn data(response: &Value) -> Result<&Value, Error> {
    let succeeded = response.get("success") != Some(&Value::Bool(false));
    response.get("data").filter(|data| succeeded && !data.is_null()).ok_or_else(Error::malformed)
}
