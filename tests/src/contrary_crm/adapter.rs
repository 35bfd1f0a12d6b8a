//! The adapter of the Contrary CRM.
//!
//! The reference of its API is the documentation of `server.rs`.

use std::time::Duration;

use async_trait::async_trait;
use call_log::{
    adapters::{
        Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, ClientAuthentication,
        CompareAndSet, Crm, CrmRequest, CrmResponse, Effect, Error, ErrorKind, Fields, Finish, HeaderMap,
        LimitScope, NewCallLog, NewContact, OAuth, Presentation, Profile, RateLimits, Recovery, Session,
        budget::Allowance,
        exchange::{Intent, Method, StatusCode},
        json::Few,
        meaning::retry_after,
        presentation::{Choice, Connect},
    },
    model::{CallLogId, Contact, ContactId, Credentials, Direction, Secret, User},
    note::{Format, Limits, TextUnit},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// The time after which the search shows a record.
pub const SEARCH_LAG: Duration = Duration::from_secs(2);
/// The longest body that the CRM stores, in UTF-16 code units.
pub const MAX_BODY: usize = 2_000;
/// The longest subject that the CRM stores, in UTF-16 code units.
pub const MAX_SUBJECT: usize = 80;
/// The version of the API, which each request names.
pub const API_VERSION: (&str, &str) = ("x-api-version", "3");

/// The version of a record that was not changed after its creation.
const FIRST_VERSION: &str = "W/\"1\"";
/// The name of the field with the direction.
const WAY: &str = "way";
/// The name of the field with the start.
const START: &str = "startedAt";
/// The name of the field with the result.
const OUTCOME: &str = "outcome";
/// The regions, each with a host of its own. There are no others.
const REGIONS: [&str; 2] = ["eu", "us"];

/// The adapter of the Contrary CRM.
#[derive(Debug)]
pub struct ContraryCrm;

/// A successful response that has a body.
#[derive(Debug, Deserialize)]
struct Success<T> {
    result: T,
}

/// An error, which may have status 200.
#[derive(Debug, Deserialize)]
struct Problem {
    status: String,
    code: String,
    /// The record that a create found in its place.
    id: Option<String>,
}

/// A call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    id: String,
    headline: String,
    text: String,
    way: Option<String>,
    outcome: Option<String>,
    started_at: Option<DateTime<Utc>>,
    reference: Option<String>,
}

/// The time entry of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimeEntry {
    id: String,
    seconds: u64,
    changed_by: String,
}

/// A person or a company.
#[derive(Debug, Deserialize)]
struct Party {
    kind: String,
    id: String,
    name: String,
    number: String,
}

/// The user to whom a credential belongs.
#[derive(Debug, Deserialize)]
struct Me {
    organisation: String,
}

/// The session that an access token opens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    session: String,
    valid_for_seconds: u64,
}

#[async_trait]
impl Crm for ContraryCrm {
    fn platform(&self) -> &'static str {
        "contrary"
    }

    fn display_name(&self) -> &'static str {
        "Contrary CRM"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            format: Format::Markdown,
            recovery: &[Recovery::ByKey, Recovery::TagSearch(SEARCH_LAG)],
            compare_and_set: CompareAndSet::Exact,
            finish: Finish::WithDuration,
            limits: Limits {
                max_subject: Some(MAX_SUBJECT),
                max_body: Some(MAX_BODY),
                unit: TextUnit::Utf16,
            },
            limit_scope: LimitScope::User,
            shows_edits: true,
        }
    }

    fn presentation(&self) -> Presentation {
        Presentation {
            connect: &[
                Connect::OAuth { page: None },
                Connect::ApiKey { title: "Access code (My profile, Codes)" },
            ],
            url_identifier: "*.contrary-crm.example/app*",
            contact_page_url: Some("https://{hostname}/app/{contactType}/{contactId}"),
            log_page_url: None,
            contact_types: &[
                Choice { value: "person", display: "Person" },
                Choice { value: "company", display: "Company" },
            ],
            call_log_fields: &[],
            settings: &[],
        }
    }

    fn base_url(&self, user: &User) -> Option<String> {
        region(user).map(|region| format!("https://{region}.contrary-crm.example"))
    }

    fn authentication(&self, credentials: &Credentials) -> Authentication {
        match credentials {
            Credentials::ApiKey(_) => Authentication::Basic,
            Credentials::OAuth { .. } => Authentication::Header("x-session"),
        }
    }

    fn oauth(&self, user: &User) -> Option<OAuth> {
        let login = format!("https://login.{}.contrary-crm.example", region(user)?);
        Some(OAuth {
            authorize_url: format!("{login}/login/authorize"),
            token_url: format!("{login}/login/token"),
            revoke_url: None,
            client_authentication: ClientAuthentication::Form,
            scopes: vec!["calls".to_owned()],
            has_pkce: true,
            extra: vec![("audience", "calls".to_owned())],
        })
    }

    async fn identify(&self, access: &Access<'_>) -> Result<Profile, Error> {
        let me: Me = result(&send(access, CrmRequest::read("me", "/v3/me")).await?)?;
        Ok(Profile { account: Some(me.organisation), ..Profile::default() })
    }

    fn is_grant_refused(&self, response: &Value) -> bool {
        response["code"] == "GRANT_ENDED"
    }

    async fn open_session(
        &self,
        access: &Access<'_>,
        access_token: &Secret,
    ) -> Result<Option<Session>, Error> {
        let request = CrmRequest::read("login", "/login")
            .header("authorization", format!("Bearer {}", access_token.expose()));
        let login: Login = result(&send(access, request).await?)?;
        Ok(Some(Session {
            token: Secret::new(login.session),
            expires_in: Some(login.valid_for_seconds),
            api_host: None,
        }))
    }

    fn classify(&self, response: &CrmResponse) -> Option<Error> {
        let problem: Option<Problem> = response.json().ok();
        let Some(problem) = problem.filter(|problem| problem.status == "error") else {
            // The condition of a create fails only if the record exists, whatever has become of the body.
            let exists = response.intent == Intent::Create
                && response.status == StatusCode::PRECONDITION_FAILED
                && response.body.is_empty();
            return exists.then(|| Error::new(ErrorKind::AlreadyExists(None), Effect::None, "status 412"));
        };
        let kind = match problem.code.as_str() {
            "KEY_EXISTS" => ErrorKind::AlreadyExists(problem.id.and_then(CallLogId::new)),
            "KEY_FIELD_OFF" => ErrorKind::KeyRefused,
            "STALE" => ErrorKind::Conflict,
            "TOO_MANY_REQUESTS" => ErrorKind::RateLimited { retry_after: retry_after(&response.headers) },
            "UNABLE_TO_LOCK" => ErrorKind::Unavailable,
            _ if response.status.is_success() => ErrorKind::rejected_with(&response.body),
            _ => return None,
        };
        Some(Error::new(kind, Effect::None, format!("an error with status {}", response.status.as_u16())))
    }

    fn rate_limits(&self, headers: &HeaderMap) -> RateLimits {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<i64>().ok();
        let interval = number("x-limit-interval-ms").map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let burst = number("x-limit-remaining").map(|remaining| Allowance {
            limit: number("x-limit-max"),
            remaining,
            resets_in: interval,
        });
        RateLimits { burst, daily: None }
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        let way = facts.direction.map(|direction| match direction {
            Direction::Inbound => "in",
            Direction::Outbound => "out",
        });
        fields(way.map(str::to_owned), facts.result.clone(), facts.start)
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let mut call = written(&self.fields(&log.facts));
        if let Some(contact) = &log.contact {
            call.insert("party".to_owned(), json!({ "kind": kind(contact), "id": contact.id.as_str() }));
        }
        call.insert("headline".to_owned(), json!(log.subject));
        call.insert("text".to_owned(), json!(log.body));
        let response = if log.recovery == Recovery::ByKey {
            let request = CrmRequest::create("calls/key:{tag}", key_path(log), Value::Object(call));
            send(access, request.method(Method::PUT).header("if-none-match", "*")).await?
        } else {
            call.insert("reference".to_owned(), json!(log.tag.as_str()));
            send(access, CrmRequest::create("calls", "/v3/calls", Value::Object(call))).await?
        };
        let id = created(&response, "/v3/calls/")?;
        CallLogId::new(id).ok_or_else(|| response.malformed())
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let response = send(access, CrmRequest::read("calls/{id}", call_path(id)?)).await?;
        let call: Call = result(&response)?;
        let version = response.header("etag").ok_or_else(|| response.malformed())?;
        Ok(CallLog {
            subject: Some(call.headline),
            body: call.text,
            fields: fields(call.way, call.outcome, call.started_at),
            version: Some(version.to_owned()),
            created_at: None,
            is_changed: Some(version != FIRST_VERSION),
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
        let mut fields = written(&change.fields);
        let texts = [("headline", &change.subject), ("text", &change.body)];
        fields.extend(
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?)))),
        );
        let mut request = CrmRequest::update("calls/{id}", call_path(id)?, Value::Object(fields));
        if let Some(version) = &change.version {
            request = request.header("if-match", version);
        }
        send(access, request.method(Method::POST)).await.map(drop)
    }

    /// Lists the time entries first, so that the step can be repeated.
    async fn finish_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        facts: &CallFacts,
    ) -> Result<(), Error> {
        let Some(seconds) = facts.seconds() else { return Ok(()) };
        let path = format!("{}/time", call_path(id)?);
        let listed = send(access, CrmRequest::read("calls/{id}/time", path.as_str())).await?;
        let Few(entries): Few<TimeEntry> = result(&listed)?;
        let body = json!({ "seconds": seconds });
        let request = match entries.first() {
            None => CrmRequest::create("calls/{id}/time", path, body),
            Some(entry) if entry.seconds == seconds || entry.changed_by == "person" => return Ok(()),
            Some(entry) => CrmRequest::update("calls/{id}/time/{id}", format!("{path}/{}", entry.id), body)
                .method(Method::POST),
        };
        send(access, request).await.map(drop)
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        if log.recovery == Recovery::ByKey {
            return match send(access, CrmRequest::read("calls/key:{tag}", key_path(log))).await {
                Ok(response) => {
                    let call: Call = result(&response)?;
                    Ok(CallLogId::new(call.id).into_iter().collect())
                }
                Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let request = CrmRequest::read("search/calls", "/v3/search/calls")
            .query("reference", log.tag.as_str())
            .query("createdSince", timestamp(since))
            .bucket("search")
            .page();
        let Few(found): Few<Call> = result(&send(access, request).await?)?;
        let same = found.into_iter().filter(|call| call.reference.as_deref() == Some(log.tag.as_str()));
        Ok(same.filter_map(|call| CallLogId::new(call.id)).collect())
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        let request = CrmRequest::delete("calls/{id}", call_path(id)?).header("if-match", FIRST_VERSION);
        match send(access, request).await {
            Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(Error { kind: ErrorKind::Conflict, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        if !phone_number.contains(|char: char| char.is_ascii_digit()) {
            return Ok(Vec::new());
        }
        let request = CrmRequest::read("parties", "/v3/parties").query("number", phone_number);
        let Few(found): Few<Party> = result(&send(access, request).await?)?;
        let contact = |party: Party| {
            Some(Contact {
                id: ContactId::new(party.id)?,
                kind: Some(party.kind),
                name: Some(party.name),
                phone_number: Some(party.number),
            })
        };
        Ok(found.into_iter().filter_map(contact).collect())
    }

    async fn create_contact(&self, access: &Access<'_>, new: &NewContact) -> Result<Contact, Error> {
        let kind = kind_of(new.kind.as_deref());
        let party = json!({ "kind": kind, "name": new.name, "number": new.phone_number });
        let response = send(access, CrmRequest::create("parties", "/v3/parties", party)).await?;
        let id = created(&response, &format!("/v3/parties/{kind}/"))?;
        Ok(Contact {
            id: ContactId::new(id).ok_or_else(|| response.malformed())?,
            kind: Some(kind.to_owned()),
            name: Some(new.name.clone()),
            phone_number: Some(new.phone_number.clone()),
        })
    }
}

/// Returns the region of a user's host.
fn region(user: &User) -> Option<&'static str> {
    let hostname = user.hostname.as_deref()?;
    REGIONS.into_iter().find(|region| hostname.strip_prefix(region) == Some(".contrary-crm.example"))
}

/// Sends a request with the version of the API.
async fn send(access: &Access<'_>, request: CrmRequest) -> Result<CrmResponse, Error> {
    access.send(request.header(API_VERSION.0, API_VERSION.1)).await
}

fn result<T: DeserializeOwned>(response: &CrmResponse) -> Result<T, Error> {
    Ok(response.json::<Success<T>>()?.result)
}

/// Returns the id of a record that was created, which is the last step of the header `Location`.
fn created<'r>(response: &'r CrmResponse, path: &str) -> Result<&'r str, Error> {
    let id = response.header("location").and_then(|location| location.strip_prefix(path));
    id.filter(|id| is_guid(id)).ok_or_else(|| response.malformed())
}

/// Returns the fields, from what is known of a call or from its record.
fn fields(way: Option<String>, outcome: Option<String>, start: Option<DateTime<Utc>>) -> Fields {
    [(WAY, way), (OUTCOME, outcome), (START, start.map(timestamp))]
        .map(|(name, text)| (name, text.unwrap_or_default()))
        .into()
}

/// Returns the fields of a request. A field without a value is left out.
fn written(fields: &Fields) -> Map<String, Value> {
    let with_value = fields.iter().filter(|(_, text)| !text.is_empty());
    with_value.map(|(name, text)| ((*name).to_owned(), json!(text))).collect()
}

/// Returns the kind of a contact. Its id is an id of this kind only.
fn kind(contact: &Contact) -> &'static str {
    kind_of(contact.kind.as_deref())
}

/// Returns the CRM's word for a kind of contact. RingCentral writes kinds in any case.
fn kind_of(kind: Option<&str>) -> &'static str {
    let is_company = kind.is_some_and(|kind| ["company", "account"].contains(&kind.to_lowercase().as_str()));
    if is_company { "company" } else { "person" }
}

fn key_path(log: &NewCallLog) -> String {
    format!("/v3/calls/key:{}", log.tag)
}

/// Returns the path of a call. Any character that no GUID has could lead to another path.
fn call_path(id: &CallLogId) -> Result<String, Error> {
    if is_guid(id.as_str()) {
        Ok(format!("/v3/calls/{id}"))
    } else {
        Err(Error::new(ErrorKind::NotFound, Effect::None, "the record id is no GUID"))
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
