//! Errors, as HubSpot reports them (guide "Error handling").

use std::time::Duration;

use serde::Deserialize;

use super::key::KEY;
use crate::{
    adapters::{
        CrmResponse, Effect, Error, ErrorKind,
        exchange::Intent,
        json::{Few, lenient},
        meaning::retry_after,
    },
    model::CallLogId,
    note::one_line,
};

/// The wait after a response that the account is locked.
const LOCKED_FOR: Duration = Duration::from_secs(2);
/// The most sentences that a person is shown.
const MOST_SENTENCES: usize = 3;
/// The longest text that a person is shown, in characters.
const LONGEST: usize = 500;

/// An error.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Problem {
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    category: Option<String>,
    #[serde(deserialize_with = "lenient")]
    policy_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    errors: Option<Few<Detail>>,
}

/// One of the things that are wrong.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
    /// The list of errors and the list in the message have the same codes under different names.
    #[serde(alias = "error", deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    context: Option<Context>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    #[serde(deserialize_with = "lenient")]
    property_name: Option<Few<String>>,
    #[serde(deserialize_with = "lenient")]
    required_granular_scopes: Option<Few<String>>,
}

impl Detail {
    /// Returns `true` if it is about the property with the call tag.
    fn is_about_key(&self) -> bool {
        let names = self.context.iter().flat_map(|context| &context.property_name).flatten();
        names.chain(&self.name).any(|name| name == KEY)
    }

    /// Returns the record that has the value of a unique property, as HubSpot names it.
    fn owner_of_value(&self) -> Option<CallLogId> {
        let (before, _) = self.message.as_deref()?.split_once(" already has that value")?;
        let id = before.rsplit(' ').next()?;
        CallLogId::new(id).filter(|_| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

impl Problem {
    /// Takes out what is wrong in single, which is a list, or a list in the message.
    fn take_details(&mut self) -> Vec<Detail> {
        if let Some(Few(listed)) = self.errors.take().filter(|listed| !listed.0.is_empty()) {
            return listed;
        }
        let in_message = self.message.as_deref().and_then(|message| message.split_once(": ["));
        let list =
            in_message.and_then(|(_, list)| serde_json::from_str::<Few<Detail>>(&format!("[{list}")).ok());
        list.map(|Few(list)| list).unwrap_or_default()
    }
}

/// Returns the error that a response is, if its status does not say it.
pub(super) fn classify(response: &CrmResponse) -> Option<Error> {
    let status = response.status.as_u16();
    let mut problem: Problem =
        Some(status).filter(|status| *status >= 400).and_then(|_| response.json().ok())?;
    let details = problem.take_details();
    let kind = match status {
        400 | 409 => rejected(response.intent, &problem, &details)?,
        403 if problem.category.as_deref() == Some("MISSING_SCOPES") => forbidden(&problem, &details),
        423 => ErrorKind::RateLimited { retry_after: Some(LOCKED_FOR) },
        429 if problem.policy_name.as_deref().is_some_and(|policy| policy.contains("DAILY")) => {
            ErrorKind::QuotaExceeded { resets_in: retry_after(&response.headers) }
        }
        // The account is moving to another data centre.
        477 => ErrorKind::RateLimited { retry_after: retry_after(&response.headers) },
        _ => return None,
    };
    Some(Error::new(kind, Effect::None, format!("status {status}")))
}

/// Returns the meaning of rejected data: the record exists, the property with the call tag is not set up, or something else is
/// wrong. `None`: the words are those that all CRMs use.
fn rejected(intent: Intent, problem: &Problem, details: &[Detail]) -> Option<ErrorKind> {
    if let Some(about_key) = details.iter().find(|detail| detail.is_about_key()) {
        return Some(match about_key.code.as_deref() {
            Some("CONFLICTING_UNIQUE_VALUE") => ErrorKind::AlreadyExists(about_key.owner_of_value()),
            _ => ErrorKind::KeyRefused,
        });
    }
    let message = problem.message.as_deref().unwrap_or_default();
    // A call was to be read by the property.
    if intent == Intent::Read
        && message.split(|char: char| !(char.is_alphanumeric() || char == '_')).any(|word| word == KEY)
    {
        return Some(ErrorKind::KeyRefused);
    }
    let sentences = details.iter().filter_map(|detail| detail.message.as_deref()).map(one_line);
    let sentences: Vec<_> = sentences.filter(|text| !text.trim().is_empty()).take(MOST_SENTENCES).collect();
    let message = sentences.join("; ").chars().take(LONGEST).collect();
    (!sentences.is_empty()).then_some(ErrorKind::Rejected { message })
}

/// Returns the meaning of a missing scope, with its name.
fn forbidden(problem: &Problem, details: &[Detail]) -> ErrorKind {
    let contexts = details.iter().filter_map(|detail| detail.context.as_ref());
    let scopes = contexts.flat_map(|context| &context.required_granular_scopes).flatten();
    let scopes: Vec<_> = scopes.map(String::as_str).collect();
    let message = match scopes.is_empty() {
        true => problem.message.as_deref().map(one_line).unwrap_or_default(),
        false => format!("The app needs the scope {}.", scopes.join(", ")),
    };
    ErrorKind::Forbidden { message: message.chars().take(LONGEST).collect() }
}
