//! Pipedrive, over its API v2: a call becomes a done activity of the company's type for calls. Only the activity types and
//! the current user come from v1, because v2 has no endpoints for them.
//!
//! Source: the Pipedrive API reference (developers.pipedrive.com/docs/api/v1), pages "Activities", "Persons",
//! "ActivityTypes" and "Users".

mod call_type;
mod contacts;
mod presentation;
mod users;
mod wire;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use self::{
    call_type::{call_type, forget_types},
    wire::{Activity, Change, Created, CurrentUser, NewActivity, NewParticipant, Page, Person, Times, data},
};
use super::{
    Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, Choices, ClientAuthentication,
    CompareAndSet, Crm, CrmRequest, CrmResponse, Effect, Error, ErrorKind, Fields, Finish, HostAccount,
    LimitScope, NewCallLog, NewContact, OAuth, Presentation, Profile, Recovery, account_label,
    exchange::body,
    json::{Few, number},
};
use crate::{
    model::{CallLogId, Contact, ContactId, Credentials, CrmUser, User, Zone},
    note::{Format, Limits, TextUnit},
};

/// The number of a contact's activities in one page. With notes of the greatest length, it is not too long.
const PAGE: &str = "30";
/// The number of pages of a contact's activities that are searched for a lost attempt.
const MAX_PAGES: usize = 10;
/// The name of the field with the due date and time in UTC, as `YYYY-MM-DD HH:MM`: the start of the call.
const DUE: &str = "due";
/// The name of the field with the duration, as `HH:MM`.
const DURATION: &str = "duration";

/// The form's choice of a deal.
const DEALS: &str = "deals";
/// The form's choice of a lead.
const LEADS: &str = "leads";
/// The longest texts that Pipedrive accepts. It does not document the unit; in bytes, a text is never too long.
const LIMITS: Limits = Limits { max_subject: Some(255), max_body: Some(100_000), unit: TextUnit::Bytes };

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

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            format: Format::Html,
            recovery: &[Recovery::ConsistentList],
            compare_and_set: CompareAndSet::None,
            finish: Finish::None,
            limits: LIMITS,
            limit_scope: LimitScope::Account,
            // Automations of the account can change an activity, and then its time of change.
            shows_edits: false,
        }
    }

    fn presentation(&self) -> Presentation {
        presentation::PRESENTATION
    }

    fn base_url(&self, user: &User) -> Option<String> {
        let label = account_label(user.hostname.as_deref()?, "pipedrive.com")?;
        Some(format!("https://{label}.pipedrive.com"))
    }

    fn authentication(&self, credentials: &Credentials) -> Authentication {
        match credentials {
            Credentials::ApiKey(_) => Authentication::Header("x-api-token"),
            Credentials::OAuth { .. } => Authentication::BEARER,
        }
    }

    fn oauth(&self, _: &User) -> Option<OAuth> {
        Some(OAuth {
            authorize_url: "https://oauth.pipedrive.com/oauth/authorize".to_owned(),
            token_url: "https://oauth.pipedrive.com/oauth/token".to_owned(),
            revoke_url: Some("https://oauth.pipedrive.com/oauth/revoke".to_owned()),
            client_authentication: ClientAuthentication::Basic,
            scopes: Vec::new(),
            has_pkce: false,
            extra: Vec::new(),
        })
    }

    /// A host belongs to one company, which can change it.
    fn host_account(&self, _: &User) -> HostAccount {
        HostAccount::One
    }

    /// "Get current user data" (API v1; v2 has no such endpoint).
    async fn identify(&self, access: &Access<'_>) -> Result<Profile, Error> {
        let response = access.send(CrmRequest::read("users/me", "/v1/users/me")).await?;
        let user: CurrentUser = data(&response)?;
        let offset = || user.timezone_offset.as_deref().and_then(Zone::parse);
        Ok(Profile {
            user_id: Some(user.id.0.to_string()),
            account: Some(user.company_id.0.to_string()),
            account_name: user.company_name,
            hostname: user.company_domain.map(|label| format!("{}.pipedrive.com", label.to_lowercase())),
            owner_id: None,
            zone: user.timezone_name.as_deref().and_then(Zone::parse).or_else(offset),
            name: user.name,
        })
    }

    /// The host that belongs to no company.
    fn identity_url(&self) -> Option<String> {
        Some("https://api.pipedrive.com".to_owned())
    }

    /// `"success": false` with status 2xx is malformed and not a rejection, because Pipedrive rejects with a status.
    fn classify(&self, response: &CrmResponse) -> Option<Error> {
        #[derive(Deserialize)]
        struct Outcome {
            success: Option<bool>,
        }
        let outcome = response.status.is_success().then(|| response.json::<Outcome>().ok())??;
        (outcome.success == Some(false)).then(|| response.malformed())
    }

    fn is_own_error(&self, response: &CrmResponse) -> bool {
        #[derive(Deserialize)]
        struct Own {
            #[serde(rename = "success")]
            _success: bool,
        }
        response.json::<Own>().is_ok()
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        let due = facts
            .start
            .map(|start| due(&start.format("%Y-%m-%d").to_string(), &start.format("%H:%M").to_string()));
        let duration = facts.seconds().map(|seconds| in_hours(seconds.div_ceil(60)));
        [(DUE, due.unwrap_or_default()), (DURATION, duration.unwrap_or_default())].into()
    }

    fn chosen(&self, form: &Map<String, Value>) -> Map<String, Value> {
        let deal = deal(form).map(|id| (DEALS.to_owned(), id.into()));
        let lead = lead(form).map(|id| (LEADS.to_owned(), id.into()));
        deal.into_iter().chain(lead).collect()
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let person = person(log)?;
        let org = match person {
            Some(person) => organisation(access, person).await?,
            None => None,
        };
        let fields = self.fields(&log.facts);
        let send = async |kind: Option<&str>| {
            let activity = new_activity(log, &fields, person, org, kind);
            access.send(CrmRequest::create("activities", "/api/v2/activities", body(&activity))).await
        };
        let kind = call_type(access).await?;
        let mut created = send(kind.as_deref()).await;
        if let Err(Error { kind: ErrorKind::Rejected { .. }, .. }) = created
            && forget_types(access)
        {
            // The reason may be the type: an administrator can deactivate it at any time.
            let now = call_type(access).await?;
            if now != kind {
                created = send(now.as_deref()).await;
            }
        }
        let response = created?;
        let Created { id } = data(&response)?;
        CallLogId::new(id.0.to_string()).ok_or_else(|| response.malformed())
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let activity = read_activity(access, id).await?;
        let fields = shown_fields(&activity);
        let choices = [
            (DEALS, activity.deal_id.map(|id| id.0.into())),
            (LEADS, activity.lead_id.clone().map(Value::from)),
        ];
        let note = activity
            .note
            .ok_or_else(|| Error::new(ErrorKind::Malformed, Effect::None, "the response contains no note"))?;
        Ok(CallLog {
            subject: activity.subject,
            body: note.unwrap_or_default(),
            fields,
            version: None,
            created_at: activity.add_time.as_deref().and_then(timestamp),
            // Both times have whole seconds, so an edit in the first second goes unnoticed.
            is_changed: activity.add_time.is_some().then_some(activity.add_time != activity.update_time),
            choices: choices
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
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
        let fields = Change {
            subject: change.subject.as_deref(),
            note: change.body.as_deref(),
            deal_id: deal(&change.choices),
            lead_id: lead(&change.choices),
            times: times(&change.fields),
        };
        let request = CrmRequest::update("activities/{id}", activity_path(id)?, body(&fields));
        access.send(request).await?.json::<IgnoredAny>().map(drop)
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let person = person(log)?;
        let owner = number_of(log.owner.as_deref().unwrap_or(access.user.crm_owner_id()));
        let place = person.map_or(("owner_id", owner), |person| ("person_id", Some(person)));
        let call_type = call_type(access).await?;
        let fields = self.fields(&log.facts);
        let expected = new_activity(log, &fields, person, None, call_type.as_deref());
        let mut ids: Vec<u64> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let response = access.send(activities_of(place, since, cursor.as_deref())).await?;
            let page: Few<Activity> = data(&response)?;
            let hits = page.0.iter().filter(|activity| is_similar(activity, &expected, &fields, log));
            ids.extend(hits.map(|activity| activity.id.0));
            cursor = response.json::<Page>()?.additional_data.and_then(|page| page.next_cursor);
            if cursor.is_none() {
                break;
            }
        }
        if cursor.is_some() {
            // The search was not exhaustive: if the record that is looked for is missing, that would lead to a second one.
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "too many activities to search"));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids.into_iter().filter_map(|id| CallLogId::new(id.to_string())).collect())
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        let activity = match read_activity(access, id).await {
            Err(Error { kind: ErrorKind::NotFound, .. }) => return Ok(true),
            activity => activity?,
        };
        // Pipedrive has no versions. Both times have whole seconds, so an edit in the first second goes unnoticed.
        if activity.add_time.is_none() || activity.add_time != activity.update_time {
            return Ok(false);
        }
        match access.send(CrmRequest::delete("activities/{id}", activity_path(id)?)).await {
            Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        contacts::find(access, phone_number).await
    }

    async fn find_contacts_by_name(&self, access: &Access<'_>, name: &str) -> Result<Vec<Contact>, Error> {
        contacts::find_by_name(access, name).await
    }

    async fn users(&self, access: &Access<'_>) -> Result<Vec<CrmUser>, Error> {
        users::list(access).await
    }

    async fn choices(&self, access: &Access<'_>, contact: &Contact) -> Result<Choices, Error> {
        contacts::choices(access, contact).await
    }

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error> {
        let phone = json!({ "value": contact.phone_number, "primary": true, "label": "work" });
        let mut person = json!({ "name": contact.name, "phones": [phone] });
        if let Some(owner) = number_of(access.user.crm_owner_id()) {
            person["owner_id"] = json!(owner);
        }
        let response = access.send(CrmRequest::create("persons", "/api/v2/persons", person)).await?;
        let Created { id } = data(&response)?;
        Ok(Contact {
            id: ContactId::new(id.0.to_string()).ok_or_else(|| response.malformed())?,
            kind: Some("contact".to_owned()),
            name: Some(contact.name.clone()),
            phone_number: Some(contact.phone_number.clone()),
        })
    }
}

/// Returns the activity that a call log becomes.
fn new_activity<'a>(
    log: &'a NewCallLog,
    fields: &'a Fields,
    person: Option<u64>,
    org: Option<u64>,
    kind: Option<&'a str>,
) -> NewActivity<'a> {
    NewActivity {
        subject: &log.subject,
        kind,
        owner_id: log.owner.as_deref().and_then(number_of),
        org_id: org,
        deal_id: deal(&log.additional),
        lead_id: lead(&log.additional),
        times: times(fields),
        done: true,
        note: &log.body,
        participants: person
            .map(|person_id| NewParticipant { person_id, primary: true })
            .into_iter()
            .collect(),
    }
}

/// Returns `true` if an attempt that sent `expected`, with these fields, may have made this activity of the log.
fn is_similar(activity: &Activity, expected: &NewActivity<'_>, sent: &Fields, log: &NewCallLog) -> bool {
    let person = expected.participants.first().map(|participant| participant.person_id);
    let participants = || activity.participants.iter().flatten().map(|other| other.person_id.0);
    let participates = || match person {
        Some(person) => {
            activity.person_id.map(|id| id.0) == Some(person) || participants().any(|id| id == person)
        }
        None => activity.person_id.is_none(),
    };
    let mut owners = log.owner.iter().chain(&log.earlier_owners).map(|id| number_of(id));
    let shown = shown_fields(activity);
    let is_shown = |sent: &str| sent.is_empty() || shown.get(DUE).is_some_and(|shown| shown == sent);
    !activity.is_deleted
        && expected.kind.is_none_or(|kind| activity.kind.as_deref() == Some(kind))
        && (expected.owner_id.is_none()
            || owners.any(|id| id.is_some() && id == activity.owner_id.map(|id| id.0)))
        && is_shown(&sent[DUE])
        && participates()
}

/// Parses a time of an activity: RFC 3339, or the form `2025-03-12 15:46:30` of older responses, which is in UTC.
fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    let older = || Some(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?.and_utc());
    text.parse().ok().or_else(older)
}

/// The request for a page of the done activities of a person or an owner, newest first.
fn activities_of(
    place: (&'static str, Option<u64>),
    since: DateTime<Utc>,
    cursor: Option<&str>,
) -> CrmRequest {
    let request = CrmRequest::read("activities", "/api/v2/activities")
        .query("done", "true")
        .query("updated_since", since.to_rfc3339_opts(SecondsFormat::Secs, true))
        .query("sort_by", "add_time")
        .query("sort_direction", "desc")
        .query("limit", PAGE)
        .page();
    let request = match place {
        (name, Some(id)) => request.query(name, id.to_string()),
        (_, None) => request,
    };
    match cursor {
        Some(cursor) => request.query("cursor", cursor),
        None => request,
    }
}

/// Requests an activity that was not deleted.
async fn read_activity(access: &Access<'_>, id: &CallLogId) -> Result<Activity, Error> {
    let response = access.send(CrmRequest::read("activities/{id}", activity_path(id)?)).await?;
    let activity: Activity = data(&response)?;
    match activity.is_deleted {
        true => Err(Error::new(ErrorKind::NotFound, Effect::None, "the activity is deleted")),
        false => Ok(activity),
    }
}

/// Requests the organisation of a person, if the person has one.
async fn organisation(access: &Access<'_>, person: u64) -> Result<Option<u64>, Error> {
    match access.send(CrmRequest::read("persons/{id}", format!("/api/v2/persons/{person}"))).await {
        Ok(response) => Ok(data::<Person>(&response)?.org_id.map(|id| id.0)),
        Err(Error { kind: ErrorKind::NotFound, .. }) => {
            Err(Error::rejected("The contact is no longer in Pipedrive."))
        }
        Err(error) => Err(error),
    }
}

/// Returns the fields of an activity. One that the response does not contain is left out.
fn shown_fields(activity: &Activity) -> Fields {
    let Activity { due_date, due_time, duration, .. } = activity;
    let due = due_date.as_ref().zip(due_time.as_ref()).map(|(date, time)| match date {
        Some(date) => due(date, time.as_deref().unwrap_or_default()),
        None => String::new(),
    });
    let duration = duration.as_ref().map(|time| minutes(time.as_deref()).map(in_hours).unwrap_or_default());
    [(DUE, due), (DURATION, duration)].into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

/// Returns the times of a request from fields. One without a value is left out.
fn times(fields: &Fields) -> Times<'_> {
    let (due_date, due_time) = fields.get(DUE).and_then(|due| due.split_once(' ')).unzip();
    let duration = fields.get(DURATION).map(String::as_str).filter(|duration| !duration.is_empty());
    Times { due_date, due_time, duration }
}

/// Returns a due date and its time as one text. An activity of a whole day has no time.
fn due(date: &str, time: &str) -> String {
    match minutes(Some(time)) {
        Some(minutes) => format!("{date} {}", in_hours(minutes)),
        None => date.to_owned(),
    }
}

/// Formats minutes as `HH:MM`.
fn in_hours(minutes: u64) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Parses `HH:MM` or `HH:MM:SS` as minutes. Pipedrive returns both.
fn minutes(time: Option<&str>) -> Option<u64> {
    let mut parts = time?.split(':').map(str::parse::<u32>);
    Some(u64::from(parts.next()?.ok()?) * 60 + u64::from(parts.next()?.ok()?))
}

/// Returns the deal that a form chooses.
fn deal(form: &Map<String, Value>) -> Option<u64> {
    values(form, [DEALS, "deal"]).find_map(number).filter(|id| *id > 0)
}

/// Returns the lead that a form chooses. Pipedrive links an activity to a deal or to a lead; if both are sent, it keeps the deal.
fn lead(form: &Map<String, Value>) -> Option<&str> {
    values(form, [LEADS, "lead"]).find_map(lead_id).filter(|_| deal(form).is_none())
}

/// Returns the values of a form field under each of its two names. A value is an id, or an object that contains it.
fn values<'a>(form: &'a Map<String, Value>, keys: [&str; 2]) -> impl Iterator<Item = &'a Value> {
    keys.map(|key| form.get(key).map(|value| value.get("id").unwrap_or(value))).into_iter().flatten()
}

/// Returns the text if it can be the id of a lead, which is a UUID.
fn lead_id(value: &Value) -> Option<&str> {
    let text = value.as_str()?.trim();
    let lengths = text.split('-').map(str::len);
    let hexadecimal = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (hexadecimal && lengths.eq([8, 4, 4, 4, 12])).then_some(text)
}

/// Returns the id of a user in Pipedrive as a number.
fn number_of(user: &str) -> Option<u64> {
    user.parse().ok()
}

/// Returns the person of a log, if it has a contact.
fn person(log: &NewCallLog) -> Result<Option<u64>, Error> {
    let Some(Contact { id, .. }) = &log.contact else { return Ok(None) };
    let not_a_number = |_| Error::rejected(format!("The contact id \"{id}\" is not a number."));
    id.as_str().trim().parse().map(Some).map_err(not_a_number)
}

fn activity_path(id: &CallLogId) -> Result<String, Error> {
    let not_found = |_| Error::new(ErrorKind::NotFound, Effect::None, "the record id is not a number");
    id.as_str().parse::<u64>().map(|id| format!("/api/v2/activities/{id}")).map_err(not_found)
}
