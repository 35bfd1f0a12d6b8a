//! The messages of the API with their causes, for `docs/errors.md`. Requests do not use this module.

use std::time::Duration;

use http::StatusCode;

use crate::{
    adapters::{self, Crm, Effect, ErrorKind},
    api::{
        outcome::{created, updated, variant},
        route::{Invocation, Rejection, rejected},
        wire::{ResponseBody, read_update},
    },
    auth::TokenError,
    delivery::{Failure, create, update},
    model::{CallLogId, Deadline, Explanation},
    store,
};

/// A response of the API.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// `returnMessage.message`.
    pub message: String,
    /// The texts of `returnMessage.details`.
    pub details: Vec<String>,
    /// The field `outcome` of the log line.
    pub outcome: String,
    /// The cause, and what to do.
    pub explanation: Explanation,
}

impl Response {
    fn new(
        (status, body): (StatusCode, ResponseBody),
        outcome: String,
        explanation: Explanation,
    ) -> Response {
        let details = body.return_message.details.iter().flat_map(|section| &section.items);
        Response {
            status: status.as_u16(),
            details: details.map(|item| item.text.clone()).collect(),
            message: body.return_message.message,
            outcome,
            explanation,
        }
    }
}

/// Returns every response of `POST /callLog` to a request that was admitted.
pub fn create_responses(crm: &dyn Crm) -> Vec<Response> {
    use create::Outcome;
    let mut outcomes = vec![
        Outcome::Logged { log: log(), shortened: Vec::new(), owner_refusal: None, left_out: Vec::new() },
        Outcome::AlreadyLogged(log()),
        Outcome::BeingLogged,
        Outcome::Unsettled { wait_ms: 30_000, is_deferred: true },
        Outcome::NoContact { number: Some("+12135550111".to_owned()), candidates: Vec::new() },
        Outcome::NotConnected,
    ];
    outcomes.extend(failures().map(|failure| Outcome::Failed { failure, is_deferred: true }));
    let respond = |outcome| {
        let (name, explanation) = (variant(&outcome), explain_create(&outcome));
        Response::new(created(crm, outcome), name, explanation)
    };
    outcomes.into_iter().map(respond).collect()
}

/// Returns every response of `PATCH /callLog` to a request that was admitted, except for the failures of
/// [`create_responses`].
pub fn update_responses(crm: &dyn Crm) -> Vec<Response> {
    use update::Outcome;
    let outcomes = [
        Outcome::Updated { log: log(), body: String::new(), shortened: Vec::new() },
        Outcome::UpdatedByOther { log: log() },
        Outcome::Queued { log: log() },
        Outcome::WaitingForCall,
        Outcome::Deleted,
    ];
    let respond = |outcome| {
        let (name, explanation) = (variant(&outcome), explain_update(&outcome)?);
        Some(Response::new(updated(crm, outcome), name, explanation))
    };
    outcomes.into_iter().filter_map(respond).collect()
}

/// Returns every response to a request that is rejected.
pub fn rejections() -> Vec<Response> {
    let invocation = Invocation {
        deadline: Deadline(0),
        request_id: "8f507cfc-xmpl".to_owned(),
        xray_trace_id: None,
        url: None,
    };
    let rejections = [
        Rejection::NotFound,
        Rejection::Method("POST".to_owned()),
        Rejection::Unreadable,
        Rejection::TooLarge("1 MiB"),
        Rejection::Token(TokenError::Missing),
        Rejection::Token(TokenError::Malformed),
        Rejection::Token(TokenError::Signature),
        Rejection::Token(TokenError::NotYet),
        Rejection::Token(TokenError::Expired),
        Rejection::OtherUser,
        Rejection::UnknownCrm,
        Rejection::ForeignPage,
        Rejection::NoUrl,
        Rejection::NotConnected,
        Rejection::Store(store::Error::Unavailable(String::new())),
        Rejection::Store(store::Error::TooLarge),
        Rejection::Store(store::Error::Rejected(String::new())),
        Rejection::Store(store::Error::Unreadable(String::new(), String::new())),
    ];
    let respond = |rejection: Rejection| {
        let outcome = match &rejection {
            Rejection::Store(error) => variant(error),
            rejection => variant(rejection),
        };
        let explanation = explain_rejection(&rejection);
        Response::new(rejected(&rejection, &invocation), outcome, explanation)
    };
    let invalid = read_update(b"{}").err().map(Rejection::Invalid);
    rejections.into_iter().chain(invalid).map(respond).collect()
}

fn log() -> CallLogId {
    CallLogId::new("5001").expect("the id is not empty")
}

/// A failure of each kind that has a response of its own.
fn failures() -> impl Iterator<Item = Failure> {
    let kinds = [
        ErrorKind::Forbidden { message: String::new() },
        ErrorKind::RateLimited { retry_after: None },
        ErrorKind::QuotaExceeded { resets_in: Some(Duration::from_secs(5 * 3_600)) },
        ErrorKind::AlreadyExists(None),
        ErrorKind::KeyRefused,
        ErrorKind::Rejected { message: "deal_id: Deal not found".to_owned() },
        ErrorKind::Unavailable,
    ];
    let errors = kinds.map(|kind| adapters::Error::new(kind, Effect::None, ""));
    [Failure::SessionEnded].into_iter().chain(errors.map(Failure::Crm))
}

fn explain_create(outcome: &create::Outcome) -> Explanation {
    use create::Outcome;
    let (cause, action) = match outcome {
        Outcome::Logged { .. } => ("The CRM has a new record.", "Nothing."),
        Outcome::AlreadyLogged(_) => {
            ("The call was logged before, or a concurrent request has logged it.", "Nothing.")
        }
        Outcome::BeingLogged => (
            "A concurrent request holds the lease of the call.",
            "Nothing. To learn the log's id, send the create again.",
        ),
        Outcome::Unsettled { .. } => (
            "An earlier attempt got no response from the CRM, and its record may still appear.",
            "Nothing. The CRM is searched before the call is logged again.",
        ),
        Outcome::NoContact { .. } => (
            "The request names no contact, and the CRM has none with the number of the call, or several. Nothing is kept.",
            "Create the contact in the CRM, or select one, and log the call again.",
        ),
        Outcome::NotConnected => (
            "The table has no user with the token's id and platform, or the user has no credentials.",
            "Connect to the CRM, or store the user with `call-log user put FILE`.",
        ),
        Outcome::Moved => (
            "The token was issued for another CRM account than the one that the user belongs to now, or was revoked.",
            "Connect again, or issue another token with `call-log token ID`.",
        ),
        Outcome::Failed { failure, .. } => return failure.explain(),
    };
    Explanation { cause, action }
}

/// Returns the explanation of an outcome that a create does not have too.
fn explain_update(outcome: &update::Outcome) -> Option<Explanation> {
    use update::Outcome;
    let (cause, action) = match outcome {
        Outcome::Updated { .. } => ("The record has the update.", "Nothing."),
        Outcome::UpdatedByOther { .. } => {
            ("A concurrent request has written this update together with its own.", "Nothing.")
        }
        Outcome::Queued { .. } => {
            ("A concurrent request holds the lease. It writes this update next.", "Nothing.")
        }
        Outcome::WaitingForCall => (
            "The call is not logged yet. The update waits for its create for 30 days.",
            "Nothing, if the call is logged later. Otherwise log it.",
        ),
        Outcome::Deleted => (
            "A person deleted the record in the CRM.",
            "Nothing. If a person restores the record, send the update again.",
        ),
        Outcome::LoggedAgain { .. } => (
            "The call had been given up: the CRM had rejected it, or delivery had taken too long.",
            "If the call is given up again, correct what the details say, and send another update.",
        ),
        Outcome::SeveralLogs => (
            "The request names no extension, and several extensions have logged the call.",
            "Name the extension in `hashedExtensionId`, `rcExtensionId` or `extensionNumber`, or edit the record in the \
             CRM.",
        ),
        Outcome::NotConnected | Outcome::Moved | Outcome::Failed { .. } => return None,
    };
    Some(Explanation { cause, action })
}

fn explain_rejection(rejection: &Rejection) -> Explanation {
    let (cause, action) = match rejection {
        Rejection::Unreadable => (
            "The path, the query or the header `Host` has a character that a URL cannot have, or the event is not HTTP.",
            "Encode the characters in the URL.",
        ),
        Rejection::NotFound => ("The path does not end with `/callLog`.", "Correct the URL."),
        Rejection::Method(_) => (
            "The function has no route with this path and method.",
            "Send `POST` to log a call, `PATCH` to update its log, and `GET` to ask for logs.",
        ),
        Rejection::TooLarge(_) => ("The body is too large.", "Shorten the texts."),
        Rejection::Token(error) => return error.explain(),
        Rejection::Invalid(_) => (
            "The body is not JSON, or a field is missing or has an unexpected value.",
            "Correct the field that the message names. `docs/http.md` describes all fields.",
        ),
        Rejection::OtherUser => (
            "`user.id` of the body differs from `id` of the token.",
            "Send the token of the user, or leave out `user.id`.",
        ),
        Rejection::UnknownCrm => (
            "The login names a CRM that this version does not support, or that people cannot connect here.",
            "Compare the name with `call-log crms`, and load the manifest again.",
        ),
        Rejection::ForeignPage => (
            "`callbackUri` is not the page to which this server lets the CRM send people. The code was not used.",
            "Load the manifest of this server in the extension. The redirect URL of your app in the CRM must be the one in \
             the manifest.",
        ),
        Rejection::NoUrl => (
            "The request came in an event that does not name the API's address, and PUBLIC_URL is not set.",
            "Set PUBLIC_URL to the address of the API, as browsers reach it.",
        ),
        Rejection::NotConnected => (
            "The token's `platform` is not a CRM that this version supports.",
            "Issue a token for a user of a supported CRM.",
        ),
        Rejection::Store(error) => return error.explain(),
    };
    Explanation { cause, action }
}
