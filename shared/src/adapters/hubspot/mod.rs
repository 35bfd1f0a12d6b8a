//! HubSpot, over its CRM API v3: a call becomes a call on the timeline of the contact. Only associations come from v4.
//!
//! The call tag is a unique property of calls ([`key`]). If an account has none, the tag is in `hs_call_external_id`, which a
//! search finds some time later.
//!
//! Source: HubSpot's API reference (developers.hubspot.com/docs/api-reference), pages "Calls", "Contacts", "Search the CRM",
//! "Associations v4", "Properties", "Owners", "Account information" and "OAuth tokens", and the guides "API usage guidelines" and
//! "Error handling".

mod contacts;
mod fields;
mod identity;
mod key;
mod outcome;
mod presentation;
mod problem;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use self::{
    contacts::search_request,
    identity::PAGE_HOSTS,
    wire::{CALL_PROPERTIES, Call, Created, Found, equals, link},
};
use super::{
    Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, Choices, ClientAuthentication,
    CompareAndSet, Crm, CrmRequest, CrmResponse, Effect, Error, ErrorKind, Fields, Finish, HeaderMap,
    LimitScope, NewCallLog, NewContact, OAuth, Presentation, Profile, RateLimits, Recovery,
    budget::Allowance,
    exchange::Method,
    is_listed,
    json::{Few, number},
};
use crate::{
    model::{CallLogId, Contact, Credentials, CrmUser, User},
    note::{Format, Limits, TextUnit},
};

/// The host of the API, which all accounts share.
const API: &str = "https://api.hubapi.com";
/// The time after which the search shows a call. HubSpot promises "a few moments"; people report tens of seconds.
const SEARCH_LAG: Duration = Duration::from_secs(60);
/// The property with the call tag where [`key::KEY`] is not set up. It is not unique.
const EXTERNAL_ID: &str = "hs_call_external_id";
/// The form's choice of a deal.
const DEALS: &str = "deals";
/// The links of a call to other records (API reference, "Associations v4", list of types).
const CALL_TO_CONTACT: u32 = 194;
const CALL_TO_DEAL: u32 = 206;
/// The longest value of a property. HubSpot does not document the unit; in UTF-16 units, a text is never too long.
const LONGEST_TEXT: usize = 65_536;
/// The scopes that we ask for.
const SCOPES: [&str; 6] = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.deals.read",
    "crm.objects.owners.read",
    "crm.schemas.contacts.read",
];

/// The adapter of HubSpot.
#[derive(Debug)]
pub(super) struct HubSpot;

#[async_trait]
impl Crm for HubSpot {
    fn platform(&self) -> &'static str {
        "hubspot"
    }

    fn display_name(&self) -> &'static str {
        "HubSpot"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            format: Format::Html,
            recovery: &[Recovery::ByKey, Recovery::TagSearch(SEARCH_LAG)],
            compare_and_set: CompareAndSet::None,
            finish: Finish::None,
            limits: Limits {
                max_subject: Some(LONGEST_TEXT),
                max_body: Some(LONGEST_TEXT),
                unit: TextUnit::Utf16,
            },
            limit_scope: LimitScope::Account,
            // HubSpot itself changes a call after its creation, and so do workflows.
            shows_edits: false,
        }
    }

    fn presentation(&self) -> Presentation {
        presentation::PRESENTATION
    }

    /// All accounts have the same API host. The host of the page only shows that the user is one of HubSpot.
    fn base_url(&self, user: &User) -> Option<String> {
        is_listed(user.hostname.as_deref()?, &PAGE_HOSTS).then(|| API.to_owned())
    }

    fn authentication(&self, _: &Credentials) -> Authentication {
        Authentication::BEARER
    }

    fn oauth(&self, _: &User) -> Option<OAuth> {
        Some(OAuth {
            authorize_url: "https://app.hubspot.com/oauth/authorize".to_owned(),
            token_url: format!("{API}/oauth/2026-03/token"),
            revoke_url: Some(format!("{API}/oauth/2026-03/token/revoke")),
            client_authentication: ClientAuthentication::Form,
            scopes: SCOPES.map(str::to_owned).into(),
            has_pkce: false,
            extra: Vec::new(),
        })
    }

    fn is_grant_refused(&self, response: &Value) -> bool {
        const REFUSALS: [&str; 3] = ["BAD_REFRESH_TOKEN", "BAD_AUTH_CODE", "EXPIRED_AUTH_CODE"];
        let is_status = |status: &str| REFUSALS.contains(&status);
        response["error"] == "invalid_grant" || response["status"].as_str().is_some_and(is_status)
    }

    async fn identify(&self, access: &Access<'_>) -> Result<Profile, Error> {
        identity::identify(access).await
    }

    fn identity_url(&self) -> Option<String> {
        Some(API.to_owned())
    }

    fn classify(&self, response: &CrmResponse) -> Option<Error> {
        problem::classify(response)
    }

    fn rate_limits(&self, headers: &HeaderMap) -> RateLimits {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
        let allowance = |limit: &str, remaining: &str, resets_in| {
            number(remaining).map(|remaining| Allowance { limit: number(limit), remaining, resets_in })
        };
        let window = number("x-hubspot-ratelimit-interval-milliseconds");
        let window = window.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs()));
        RateLimits {
            burst: allowance("x-hubspot-ratelimit-max", "x-hubspot-ratelimit-remaining", window),
            daily: allowance("x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining", None),
        }
    }

    /// The id of an owner is not that of the user.
    fn owner_id(&self, user: &User) -> Option<String> {
        user.account.owner_id.clone()
    }

    fn requires_start(&self) -> bool {
        true
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        fields::of(facts)
    }

    fn chosen(&self, form: &Map<String, Value>) -> Map<String, Value> {
        deal(form).map(|id| (DEALS.to_owned(), id.into())).into_iter().collect()
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        let contact = log.contact.as_ref().map(contacts::number).transpose()?;
        if log.recovery == Recovery::ByKey {
            key::check(access).await?;
        }
        let send = async |contact: Option<u64>| {
            access.send(CrmRequest::create("calls", "/crm/v3/objects/calls", new_call(log, contact))).await
        };
        let mut created = send(contact).await;
        if let (Err(Error { kind: ErrorKind::Rejected { .. }, .. }), Some(id)) = (&created, contact)
            && let Ok(Some(merged)) = contacts::merged_into(access, id).await
        {
            // The earlier id of a merged contact cannot be linked.
            created = send(Some(merged)).await;
        }
        match created {
            Ok(response) => {
                let Created { id } = response.json()?;
                CallLogId::new(id.0.to_string()).ok_or_else(|| response.malformed())
            }
            Err(error) => Err(match error.kind {
                ErrorKind::AlreadyExists(named) => {
                    // What the words of a refusal name is believed only if the call cannot be read.
                    let found = key::find(access, &log.tag).await.ok().flatten();
                    Error { kind: ErrorKind::AlreadyExists(found.or(named)), ..error }
                }
                ErrorKind::KeyRefused => {
                    key::forget(access);
                    error
                }
                _ => error,
            }),
        }
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let request = CrmRequest::read("calls/{id}", call_path(id)?)
            .query("properties", CALL_PROPERTIES)
            .query("associations", "deals");
        let call: Call = access.send(request).await?.json()?;
        let fields = fields::shown(&call.properties);
        let deals = call.associations.and_then(|associations| associations.deals);
        let body = call
            .properties
            .body
            .ok_or_else(|| Error::new(ErrorKind::Malformed, Effect::None, "the response contains no body"))?;
        Ok(CallLog {
            subject: call.properties.title,
            body: body.unwrap_or_default(),
            fields,
            version: None,
            created_at: call.created_at,
            is_changed: None,
            choices: shown_deals(deals).map(|deals| (DEALS.to_owned(), deals)).into_iter().collect(),
        })
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let path = call_path(id)?;
        // First, so that a deal that is refused leaves the call as it was.
        if let Some(deal) = deal(&change.choices) {
            link_deal(access, &path, deal).await?;
        }
        if let Some(deal) = deal(&change.replaced) {
            unlink_deal(access, &path, deal).await?;
        }
        let mut properties = fields::written(&change.fields);
        let texts = [("hs_call_title", &change.subject), ("hs_call_body", &change.body)];
        let texts =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        properties.extend(texts);
        if properties.is_empty() {
            return Ok(());
        }
        let request = CrmRequest::update("calls/{id}", path, json!({ "properties": properties }));
        access.send(request).await?.json::<Created>().map(drop)
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        _: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        if log.recovery == Recovery::ByKey {
            return Ok(key::find(access, &log.tag).await?.into_iter().collect());
        }
        let tag = log.tag.as_str();
        let body = json!({
            "filterGroups": [{ "filters": [equals(EXTERNAL_ID, tag)] }],
            "properties": [EXTERNAL_ID, "hs_call_body"],
            "limit": 100,
        });
        let response =
            access.send(search_request("calls/search", "/crm/v3/objects/calls/search", body)).await?;
        let Found { results: Few(calls), paging } = response.json::<Found<Call>>()?;
        if paging.is_some_and(|paging| paging.next.is_some()) {
            return Err(Error::new(ErrorKind::Unavailable, Effect::None, "too many calls have the tag"));
        }
        let mut ids: Vec<u64> = calls
            .into_iter()
            .filter(|call| call.properties.external_id.as_deref() == Some(tag))
            .map(|call| call.id.0)
            .collect();
        ids.sort_unstable();
        Ok(ids.into_iter().filter_map(|id| CallLogId::new(id.to_string())).collect())
    }

    /// Keeps every call: HubSpot's own software changes a call after its creation, so that an edit cannot be told from that.
    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        match self.read_record(access, id).await {
            Ok(_) => Ok(false),
            Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        contacts::find(access, phone_number).await
    }

    async fn find_contacts_by_name(&self, access: &Access<'_>, name: &str) -> Result<Vec<Contact>, Error> {
        contacts::find_by_name(access, name).await
    }

    async fn choices(&self, access: &Access<'_>, contact: &Contact) -> Result<Choices, Error> {
        contacts::choices(access, contact).await
    }

    async fn missing_setup(&self, access: &Access<'_>) -> Result<Option<String>, Error> {
        let wrong = match key::state(access).await? {
            key::State::Unique => return Ok(None),
            key::State::Missing => "is missing",
            key::State::NotUnique => "is not unique, and can only be deleted and created again",
            key::State::Unknown => {
                "cannot be read, because the app lacks the scope crm.schemas.contacts.read"
            }
        };
        Ok(Some(format!("the property {} of calls {wrong}", key::KEY)))
    }

    async fn set_up(&self, access: &Access<'_>) -> Result<(), Error> {
        match key::state(access).await? {
            key::State::Unique => Ok(()),
            key::State::NotUnique => {
                let words = "The property exists and is not unique. Delete it in HubSpot first.";
                Err(Error::rejected(words))
            }
            key::State::Missing | key::State::Unknown => key::create(access).await,
        }
    }

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error> {
        contacts::create(access, contact).await
    }

    async fn users(&self, access: &Access<'_>) -> Result<Vec<CrmUser>, Error> {
        identity::users(access).await
    }
}

/// Returns the body of the request that creates a call.
fn new_call(log: &NewCallLog, contact: Option<u64>) -> Value {
    let start = log.facts.start.or(Some(log.first_attempt));
    let facts = CallFacts { start, ..log.facts.clone() };
    let mut properties = fields::without_empty(fields::written(&fields::of(&facts)));
    let tag = if log.recovery == Recovery::ByKey { key::KEY } else { EXTERNAL_ID };
    let texts = [
        ("hs_call_title", Some(&*log.subject)),
        ("hs_call_body", Some(&*log.body)),
        ("hubspot_owner_id", log.owner.as_deref()),
        (tag, Some(log.tag.as_str())),
    ];
    properties.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))));
    let contact = contact.map(|id| link(id, CALL_TO_CONTACT));
    let deal = deal(&log.additional).map(|id| link(id, CALL_TO_DEAL));
    json!({ "properties": properties, "associations": contact.into_iter().chain(deal).collect::<Vec<_>>() })
}

/// Links a call to a deal ("Create the default association"). Repeating it changes nothing.
async fn link_deal(access: &Access<'_>, call: &str, deal: u64) -> Result<(), Error> {
    let id = call.rsplit('/').next().unwrap_or_default();
    let path = format!("/crm/v4/objects/calls/{id}/associations/default/deals/{deal}");
    let request = CrmRequest::delete("calls/{id}/associations/default/deals/{id}", path).method(Method::PUT);
    access.send(request).await.map(drop).map_err(|error| match error.kind {
        ErrorKind::NotFound => Error::rejected("HubSpot has no such deal."),
        _ => error,
    })
}

/// Removes the link of a call to a deal.
async fn unlink_deal(access: &Access<'_>, call: &str, deal: u64) -> Result<(), Error> {
    let id = call.rsplit('/').next().unwrap_or_default();
    let path = format!("/crm/v4/objects/calls/{id}/associations/deals/{deal}");
    match access.send(CrmRequest::delete("calls/{id}/associations/deals/{id}", path)).await {
        Ok(_) | Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the deals of a call as a choice: one, or the list of several.
fn shown_deals(deals: Option<Found<Created>>) -> Option<Value> {
    let mut ids: Vec<u64> = deals?.results.into_iter().map(|deal| deal.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [] => None,
        [one] => Some(json!(one)),
        several => Some(json!(several)),
    }
}

/// Returns the deal that a form chooses. A value is an id, or an object that contains it.
fn deal(form: &Map<String, Value>) -> Option<u64> {
    let values = [DEALS, "deal"].into_iter().filter_map(|key| form.get(key));
    values.map(|value| value.get("id").unwrap_or(value)).find_map(number).filter(|id| *id > 0)
}

/// Returns the path of a call. Any character that is no digit could lead to another path.
fn call_path(id: &CallLogId) -> Result<String, Error> {
    let is_number = !id.as_str().is_empty() && id.as_str().bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => Ok(format!("/crm/v3/objects/calls/{id}")),
        false => Err(Error::new(ErrorKind::NotFound, Effect::None, "the record id is not a number")),
    }
}
