//! Pipedrive: activities of the type whose name says "call", over API v2. Version 1 is asked only for the activity
//! types, which version 2 does not have.

mod call_type;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use self::call_type::{call_type, forget_call_type};
use super::{
    Access, CallLog, CallLogChange, Crm, Effect, Error, ErrorKind, NewCallLog, NewContact, Recovery,
};
use crate::{
    model::{CallDuration, CallLogId, Contact, ContactId},
    note::Format,
};

/// How many pages of a contact's activities are searched for a lost attempt.
const PAGES: usize = 3;
/// Digits at the end of a telephone number that a national and an international spelling share.
const SHARED_DIGITS: usize = 8;

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
        let label = hostname?.strip_suffix(".pipedrive.com")?;
        let is_label = (1..=63).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        is_label.then(|| format!("https://{label}.pipedrive.com"))
    }

    fn token_url(&self) -> Option<&'static str> {
        Some("https://oauth.pipedrive.com/oauth/token")
    }

    async fn create_log(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let person = person_id(&log.contact.id)?;
        let org = organisation(access, person).await?;
        let call_type = call_type(access).await?;
        let activity = new_activity(log, person, org, owner(access), &call_type);
        let made = access.post("/api/v2/activities", &activity).await;
        if let Err(Error { kind: ErrorKind::Rejected { .. }, .. }) = made {
            // It may be the type that was refused: an administrator can switch it off at any time.
            forget_call_type(access);
        }
        let id = number(data(&made?)?.get("id")).ok_or_else(Error::malformed)?;
        CallLogId::new(id.to_string()).ok_or_else(Error::malformed)
    }

    async fn read_log(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let answer = access.get(&activity_path(id)?, &[]).await?;
        let activity = data(&answer).map_err(Error::harmless)?;
        if is_deleted(activity) {
            return Err(Error::new(ErrorKind::NotFound, Effect::None, "the activity is deleted"));
        }
        let body = match activity.get("note") {
            Some(Value::String(note)) => note.clone(),
            Some(Value::Null) => String::new(),
            // Without it nobody knows what the note is, and a note that is not known must not be written over.
            _ => return Err(Error::malformed().harmless()),
        };
        let subject = activity.get("subject").and_then(Value::as_str).map(str::to_owned);
        Ok(CallLog { subject, body, version: None })
    }

    async fn update_log(
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
        let answer = access.patch(&activity_path(id)?, &Value::Object(fields), None).await?;
        let succeeded = answer.get("success") == Some(&Value::Bool(true)) || data(&answer).is_ok();
        if succeeded { Ok(()) } else { Err(Error::malformed()) }
    }

    async fn find_logs(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let person = person_id(&log.contact.id)?;
        let expected = new_activity(log, person, None, owner(access), &call_type(access).await?);
        let mut ids: Vec<u64> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let answer = activities_of(access, person, since, cursor.as_deref()).await?;
            let page =
                data(&answer).ok().and_then(Value::as_array).ok_or_else(|| Error::malformed().harmless())?;
            let hits = page.iter().filter(|activity| is_same(activity, &expected, log, person));
            ids.extend(hits.filter_map(|activity| number(activity.get("id"))));
            cursor =
                answer.pointer("/additional_data/next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        if ids.is_empty() && cursor.is_some() {
            // Not found is not proven, and whoever takes it for proven makes a second log.
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "too many activities to search"));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids.into_iter().filter_map(|id| CallLogId::new(id.to_string())).collect())
    }

    async fn remove_log(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        let path = activity_path(id)?;
        let answer = match access.get(&path, &[]).await {
            Err(Error { kind: ErrorKind::NotFound, .. }) => return Ok(true),
            answer => answer?,
        };
        let activity = data(&answer).map_err(Error::harmless)?;
        if is_deleted(activity) {
            return Ok(true);
        }
        let time = |field: &str| activity.get(field).and_then(Value::as_str);
        if time("add_time").is_none() || time("add_time") != time("update_time") {
            return Ok(false);
        }
        match access.delete(&path, None).await {
            Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn find_contact(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let wanted = digits(phone_number);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let term = &wanted[wanted.len().saturating_sub(SHARED_DIGITS)..];
        let query = [("term", term), ("fields", "phone"), ("limit", "100")];
        let answer = access.get("/api/v2/persons/search", &query).await?;
        let items = data(&answer).ok().and_then(|data| data.get("items")?.as_array());
        let items = items.ok_or_else(|| Error::malformed().harmless())?;
        Ok(items.iter().filter_map(|entry| person_with_number(entry.get("item")?, phone_number)).collect())
    }

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error> {
        let mut person = Map::new();
        set(&mut person, "name", Some(contact.name.as_str()));
        set(&mut person, "owner_id", owner(access));
        let phone = json!({ "value": contact.phone_number, "primary": true, "label": "work" });
        person.insert("phones".to_owned(), json!([phone]));
        let answer = access.post("/api/v2/persons", &Value::Object(person)).await?;
        let id = number(data(&answer)?.get("id")).ok_or_else(Error::malformed)?;
        Ok(Contact {
            id: ContactId::new(id.to_string()).ok_or_else(Error::malformed)?,
            kind: Some("contact".to_owned()),
            name: Some(contact.name.clone()),
            phone_number: Some(contact.phone_number.clone()),
        })
    }
}

/// The activity that a log becomes.
fn new_activity(
    log: &NewCallLog,
    person: u64,
    org: Option<u64>,
    owner: Option<u64>,
    call_type: &str,
) -> Value {
    let deal = additional(log, ["deals", "deal"]).find_map(number).filter(|id| *id > 0);
    // Pipedrive links one of them, and the deal would win.
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
    // `person_id` is read-only: it follows the primary participant.
    activity.insert("participants".to_owned(), json!([{ "person_id": person, "primary": true }]));
    Value::Object(activity)
}

/// Whether an activity is what an earlier attempt to create `log` has made; `expected` is what it sent.
fn is_same(activity: &Value, expected: &Value, log: &NewCallLog, person: u64) -> bool {
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
        && log.is_told_by(Format::Html, note).unwrap_or_else(|| same("subject") && same_time("duration"))
}

/// A page of a person's done activities, the newest first.
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

/// The organisation of a person, when they have one.
async fn organisation(access: &Access<'_>, person: u64) -> Result<Option<u64>, Error> {
    match access.get(&format!("/api/v2/persons/{person}"), &[]).await {
        Ok(answer) => Ok(number(data(&answer).map_err(Error::harmless)?.get("org_id"))),
        Err(Error { kind: ErrorKind::NotFound, .. }) => {
            Err(refused("The contact is no longer in Pipedrive."))
        }
        Err(error) => Err(error),
    }
}

/// A found person as a contact, if one of their numbers is the wanted one.
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

/// Whether two spellings are of one number: in full, or one of them without country code or with a trunk zero.
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

/// A duration in whole minutes, rounded up, as `HH:MM`. One that is not known is left out.
fn hours_and_minutes(duration: Option<CallDuration>) -> Option<String> {
    let CallDuration::Seconds(seconds) = duration? else { return None };
    let minutes = seconds.div_ceil(60);
    Some(format!("{:02}:{:02}", minutes / 60, minutes % 60))
}

/// The minutes of `HH:MM` or `HH:MM:SS`: both come back.
fn minutes(time: Option<&Value>) -> Option<u64> {
    let mut steps = time?.as_str()?.split(':').map(str::parse::<u32>);
    Some(u64::from(steps.next()?.ok()?) * 60 + u64::from(steps.next()?.ok()?))
}

/// What the form gave under either spelling: an id, or an object around it.
fn additional<'a>(log: &'a NewCallLog, keys: [&str; 2]) -> impl Iterator<Item = Option<&'a Value>> {
    keys.map(|key| log.additional.get(key).map(|value| value.get("id").unwrap_or(value))).into_iter()
}

/// A number, also when it is written as text.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

/// A lead's id: a UUID.
fn lead_id(value: Option<&Value>) -> Option<&str> {
    let text = value?.as_str()?.trim();
    let lengths = text.split('-').map(str::len);
    let hexadecimal = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (hexadecimal && lengths.eq([8, 4, 4, 4, 12])).then_some(text)
}

fn set(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The user's number in Pipedrive: `12345` of `12345-pipedrive`.
fn owner(access: &Access<'_>) -> Option<u64> {
    access.user.as_str().split('-').next()?.parse().ok()
}

fn person_id(contact: &ContactId) -> Result<u64, Error> {
    contact
        .as_str()
        .trim()
        .parse()
        .map_err(|_| refused(&format!("The contact id \"{contact}\" is not a number.")))
}

fn activity_path(id: &CallLogId) -> Result<String, Error> {
    let not_found = |_| Error::new(ErrorKind::NotFound, Effect::None, "the log id is not a number");
    id.as_str().parse::<u64>().map(|id| format!("/api/v2/activities/{id}")).map_err(not_found)
}

fn is_deleted(entity: &Value) -> bool {
    entity.get("is_deleted") == Some(&Value::Bool(true))
}

/// What an answer is about. A success that is none in its text is no refusal either: Pipedrive refuses with a status.
fn data(answer: &Value) -> Result<&Value, Error> {
    let succeeded = answer.get("success") != Some(&Value::Bool(false));
    answer.get("data").filter(|data| succeeded && !data.is_null()).ok_or_else(Error::malformed)
}

/// A refusal before anything was sent.
fn refused(message: &str) -> Error {
    let kind = ErrorKind::Rejected { message: message.to_owned() };
    Error::new(kind, Effect::None, "refused by the adapter")
}
