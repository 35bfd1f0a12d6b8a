//! The messages that the user sees: the response to each outcome of the delivery, and its log fields.

use std::{fmt, time::Duration};

use http::StatusCode;
use tracing::Level;

use crate::{
    adapters::{Crm, ErrorKind},
    api::{
        answer::Answer,
        wire::{AcceptedBody, InputError, LogQuery, LogsBody, ResponseBody},
    },
    delivery::{Failure, LeftOut, OwnerRefusal, choices, create, lookup, update},
    model::RecordPart,
    note::Section,
    store,
    telemetry::{self, Metric},
};

/// The title of the section that says what the service will do.
const NEXT: &str = "What happens next";
/// The title of the section that says which parts of the note are missing in the CRM.
const SHORTENED: &str = "Shortened";
/// The title of the section that says which fields of the request could not be read.
const UNREAD: &str = "Left out";
/// The number of such fields, or of contacts, that a response names.
const MOST_NAMED: usize = 5;
/// The title of the section that says what the CRM did not accept.
const REFUSED: &str = "Not accepted";
/// The title of the section that says who owns the record.
const OWNER: &str = "Owner";
/// The title of the section that says what the user can do.
const ACTION: &str = "What to do";

/// Logs the outcome of a create and returns its response.
pub(super) fn created(crm: &dyn Crm, outcome: create::Outcome) -> (StatusCode, ResponseBody) {
    use create::Outcome;
    telemetry::set_field("outcome", variant(&outcome));
    let name = crm.display_name();
    match outcome {
        Outcome::Logged { log, shortened, owner_refusal, left_out } => {
            let body = ResponseBody::success("Call logged", 2000).with_log_id(&log);
            let body = with_left_out(with_shortened(body, name, &shortened), name, &left_out);
            ok(with_owner(body, name, owner_refusal))
        }
        Outcome::AlreadyLogged(log) => {
            ok(ResponseBody::success("Call already logged", 3000).with_log_id(&log))
        }
        Outcome::BeingLogged => ok(ResponseBody::success("The call is being logged.", 3000)),
        Outcome::Unsettled { wait_ms, is_deferred } => {
            let wait = seconds(wait_ms.div_euclid(1_000) + 1);
            let next = if is_deferred {
                format!(
                    "We'll check {name} again in {wait} and log the call if it's missing. You don't need to do \
                     anything."
                )
            } else {
                format!(
                    "Log the call again in {wait}. We'll check {name} first, so the call won't be logged twice."
                )
            };
            let text = format!("{name} didn't respond to an earlier attempt to log this call. {next}");
            ok(not_answering(name).with_section(NEXT, text))
        }
        Outcome::NoContact { number, candidates } => {
            let number = number.as_deref().unwrap_or("unknown");
            let body = ResponseBody::warning(format!("Contact not found for number {number}"), 5000);
            ok(with_candidates(body, name, &candidates))
        }
        Outcome::NotConnected => not_connected(),
        Outcome::Moved => moved(),
        Outcome::Failed { failure, is_deferred } => failed(name, failure, "The call", is_deferred),
    }
}

/// Logs the outcome of an update and returns its response.
pub(super) fn updated(crm: &dyn Crm, outcome: update::Outcome) -> (StatusCode, ResponseBody) {
    use update::Outcome;
    telemetry::set_field("outcome", variant(&outcome));
    let name = crm.display_name();
    match outcome {
        Outcome::Updated { log, body, shortened } => {
            let body =
                ResponseBody::success("Call log updated.", 2000).with_log_id(&log).with_updated_note(body);
            ok(with_shortened(body, name, &shortened))
        }
        Outcome::UpdatedByOther { log } => {
            ok(ResponseBody::success("Call log updated.", 2000).with_log_id(&log))
        }
        Outcome::Queued { log } => {
            ok(ResponseBody::success("The update will be added in a moment.", 3000).with_log_id(&log))
        }
        Outcome::WaitingForCall => {
            telemetry::count(Metric::Parked);
            ok(ResponseBody::success("The update will be added when the call is logged.", 3000))
        }
        Outcome::Deleted => ok(ResponseBody::warning(format!("The call log was deleted in {name}."), 5000)),
        Outcome::LoggedAgain { reason } => {
            let message = "The call is being logged again. Your update will be added.";
            let text = format!("The last attempt failed: {reason}.");
            ok(ResponseBody::success(message, 5000).as_warning().with_section(NEXT, text))
        }
        Outcome::SeveralLogs => {
            let text = format!(
                "Several people have logged this call, and the update doesn't say whose log it is for. Change the call \
                 log in {name}."
            );
            let message = "More than one log belongs to this call.";
            ok(ResponseBody::warning(message, 5000).with_section(ACTION, text))
        }
        Outcome::NotConnected => not_connected(),
        Outcome::Moved => moved(),
        Outcome::Failed { failure, is_deferred } => failed(name, failure, "The update", is_deferred),
    }
}

/// Returns the response to a request that changes choices. After a success there is no message: the update of the same edit has
/// one.
pub(super) fn chosen(crm: &dyn Crm, outcome: choices::Outcome) -> Answer {
    let choices::Outcome::Update(outcome) = outcome else {
        telemetry::set_field("outcome", "Nothing");
        return accepted();
    };
    match updated(crm, outcome) {
        (StatusCode::OK, body) if body.successful => accepted(),
        refused => refused.into(),
    }
}

/// Returns the response to a request that brings a note before its call is logged. It is a 200 unless the token is not accepted,
/// because the extension does nothing more about a call after any other status.
pub(super) fn cached(crm: &dyn Crm, outcome: update::Outcome) -> Answer {
    let is_moved = matches!(outcome, update::Outcome::Moved);
    let is_deferred = matches!(outcome, update::Outcome::Failed { is_deferred: true, .. });
    match updated(crm, outcome) {
        (_, body) if body.successful || is_deferred => accepted(),
        (status, body) => (if is_moved { status } else { StatusCode::OK }, body).into(),
    }
}

fn accepted() -> Answer {
    Answer::json(&AcceptedBody { successful: true })
}

/// Returns the response to a request for the logs of calls.
pub(super) fn found(crm: &dyn Crm, query: &LogQuery, outcome: lookup::Outcome) -> Answer {
    use lookup::Outcome;
    telemetry::set_field("outcome", variant(&outcome));
    let name = crm.display_name();
    let refused = |status, message: String| Answer::from((status, ResponseBody::warning(message, 5000)));
    match outcome {
        Outcome::Found(logs) => Answer::json(&LogsBody::new(query, &logs)),
        Outcome::NotConnected => {
            let (_, body) = not_connected();
            let return_message = Some(body.return_message);
            Answer::json(&LogsBody { successful: false, logs: Vec::new(), return_message })
        }
        Outcome::Moved => moved().into(),
        // Not a 200 without the content: the extension would save an empty form over the log.
        Outcome::SeveralLogs => refused(
            StatusCode::BAD_REQUEST,
            format!("More than one log belongs to this call. Change the call log in {name}."),
        ),
        Outcome::Deleted => refused(StatusCode::BAD_REQUEST, format!("The call log was deleted in {name}.")),
        Outcome::NotYet => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The call is not in {name} yet. Try again in a minute."),
        ),
        Outcome::Failed(Failure::SessionEnded) => moved().into(),
        Outcome::Failed(failure) => {
            telemetry::failed(Level::WARN, &failure);
            let message = format!("{name} is not answering. Try again in a minute.");
            refused(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }
}

/// Adds to a response which contacts have the number.
fn with_candidates(body: ResponseBody, crm: &str, candidates: &[String]) -> ResponseBody {
    if candidates.is_empty() {
        return body;
    }
    let named: Vec<_> = candidates.iter().take(MOST_NAMED).map(String::as_str).collect();
    let more = match candidates.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let named = named.join(", ");
    let text = format!(
        "{crm} has several contacts with this number: {named}{more}. Choose one and log the call again."
    );
    body.with_section(ACTION, text)
}

/// Adds to a response which sections of the note the CRM does not show in full.
fn with_shortened(body: ResponseBody, crm: &str, shortened: &[Section]) -> ResponseBody {
    if shortened.is_empty() {
        return body;
    }
    let sections: Vec<_> = shortened.iter().map(|section| section.label()).collect();
    let text = format!("The note is longer than {crm} accepts. Cut or left out: {}.", sections.join(", "));
    body.with_section(SHORTENED, text)
}

/// Adds to a response which fields of the request could not be read, and logs them.
pub(super) fn with_unread(
    (status, body): (StatusCode, ResponseBody),
    unread: &[InputError],
) -> (StatusCode, ResponseBody) {
    if unread.is_empty() {
        return (status, body);
    }
    let named: Vec<_> = unread.iter().take(MOST_NAMED).map(|error| error.without_value()).collect();
    telemetry::set_field("unread", named.join("; "));
    let more = match unread.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" And {more} more."),
    };
    let text = format!("These could not be read and were left out: {}.{more}", named.join("; "));
    (status, body.with_section(UNREAD, text))
}

/// Adds to a response which parts of the record the CRM did not accept.
fn with_left_out(body: ResponseBody, crm: &str, left_out: &[LeftOut]) -> ResponseBody {
    let of_part = |LeftOut { other_contact, .. }: &LeftOut, part| match (part, other_contact) {
        (RecordPart::Form, _) => "The choices of the form, such as the deal, were left out.".to_owned(),
        (RecordPart::Contact, Some(other)) => {
            format!("{crm} has another contact with this number: the call is logged for {other}.")
        }
        (RecordPart::Contact, None) => {
            "The call is logged without a contact. Choose the contact in the record.".to_owned()
        }
        (RecordPart::Details, _) => "Some details of the call were left out.".to_owned(),
        (RecordPart::Owner, _) => format!("{crm} chose the owner of the record."),
    };
    left_out.iter().fold(body, |body, left_out| {
        let parts: Vec<_> = left_out.parts.iter().map(|part| of_part(left_out, *part)).collect();
        body.with_section(REFUSED, format!("{} {crm} says: {}", parts.join(" "), left_out.reason))
    })
}

/// Adds to a response why the record does not belong to the user whom the create asks for.
fn with_owner(body: ResponseBody, crm: &str, refusal: Option<OwnerRefusal>) -> ResponseBody {
    let reason = match refusal {
        None => return body,
        Some(OwnerRefusal::Token) => format!(
            "The token of the user who should own it is not valid, or has expired. That user has to connect {crm} again."
        ),
        Some(OwnerRefusal::NotConnected) => {
            format!("The user who should own it is not connected to your company's {crm}.")
        }
        Some(OwnerRefusal::NotMapped) => format!(
            "No user of {crm} belongs to the extension that took the call. An administrator can map it on the page User mapping."
        ),
    };
    telemetry::set_field("owner_refused", true);
    body.with_section(OWNER, format!("The call log belongs to you. {reason}"))
}

/// Returns the response to a user who is not connected to a CRM.
pub(super) fn not_connected() -> (StatusCode, ResponseBody) {
    telemetry::set_field("outcome", "NotConnected");
    ok(ResponseBody::warning("User not found. Please connect to your CRM.", 5000))
}

/// Returns the response to a token that was issued before its user moved to another CRM account, or that was revoked.
pub(super) fn moved() -> (StatusCode, ResponseBody) {
    let body = ResponseBody::warning("User session expired. Please connect again.", 5000);
    (StatusCode::UNAUTHORIZED, body.with_error_code("CRM_SESSION_REVOKED"))
}

/// Logs a failure of the CRM or the table and returns its response. `subject` is "The call" or "The update".
/// `is_deferred`: it is stored and will be delivered later.
fn failed(crm: &str, failure: Failure, subject: &str, is_deferred: bool) -> (StatusCode, ResponseBody) {
    let next = match (&failure, is_deferred) {
        (Failure::SessionEnded, true) => {
            format!("{subject} is saved and will be added to {crm} after you connect again.")
        }
        (_, true) => format!(
            "{subject} is saved and will be added to {crm} as soon as possible. You don't need to do anything."
        ),
        (_, false) => {
            format!("{subject} is not in {crm} yet. Send it again in a minute. Nothing is ever logged twice.")
        }
    };
    if is_deferred {
        telemetry::count(Metric::Deferred);
    }
    let error = match failure {
        Failure::Crm(error) => error,
        Failure::SessionEnded => {
            telemetry::failed(Level::WARN, &failure);
            let body = ResponseBody::warning("User session expired. Please connect again.", 5000)
                .with_error_code("CRM_SESSION_REVOKED");
            return (StatusCode::UNAUTHORIZED, body.with_section(NEXT, next));
        }
        Failure::Paused(_) => {
            telemetry::failed(Level::WARN, &failure);
            return ok(not_answering(crm).with_section(NEXT, next));
        }
        Failure::Store(error) => {
            log_store_error(Level::ERROR, &error);
            return unavailable();
        }
    };
    telemetry::failed(Level::WARN, &error);
    ok(match error.kind {
        kind @ (ErrorKind::Unauthorized | ErrorKind::Forbidden { .. }) => {
            let text = format!(
                "{crm} did not accept your authorization. Check that your {crm} account is allowed to log calls, \
                 then disconnect and connect it again."
            );
            let body = ResponseBody::warning("Authorization error", 5000);
            let body = match kind {
                ErrorKind::Forbidden { message } if !message.is_empty() => {
                    body.with_section(format!("{crm} says"), message)
                }
                _ => body,
            };
            body.with_section(ACTION, text)
        }
        ErrorKind::RateLimited { retry_after } => {
            let wait =
                retry_after.map_or_else(|| "a minute".to_owned(), |wait| seconds(wait.as_secs() as i64));
            let text = format!("{crm} doesn't accept more requests right now. You can try again in {wait}.");
            ResponseBody::warning("Rate limit exceeded", 5000)
                .with_section(ACTION, text)
                .with_section(NEXT, next)
        }
        ErrorKind::QuotaExceeded { resets_in } => {
            let wait = resets_in.map_or_else(|| "about an hour".to_owned(), hours);
            let try_again = if is_deferred { "The next try is" } else { "You can try again" };
            let text =
                format!("The {crm} account has used up its requests for today. {try_again} in {wait}.");
            ResponseBody::warning("Rate limit exceeded", 5000)
                .with_section(ACTION, text)
                .with_section(NEXT, next)
        }
        ErrorKind::AlreadyExists(_) => {
            ResponseBody::warning(format!("The call is in {crm}, but you cannot see it."), 5000)
                .with_section(ACTION, format!("Ask your {crm} administrator to show you the record."))
                .with_section(NEXT, next)
        }
        ErrorKind::KeyRefused => {
            let text = format!("Ask your {crm} administrator to set up the field that identifies calls.");
            ResponseBody::warning(format!("{crm} refused the call log"), 5000).with_section(ACTION, text)
        }
        ErrorKind::Rejected { message } => ResponseBody::warning(format!("{crm} refused the call log"), 5000)
            .with_section(format!("{crm} says"), message),
        ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unavailable | ErrorKind::Malformed => {
            not_answering(crm).with_section(NEXT, next)
        }
    })
}

fn not_answering(crm: &str) -> ResponseBody {
    ResponseBody::warning(format!("{crm} is not answering"), 5000)
}

fn ok(body: ResponseBody) -> (StatusCode, ResponseBody) {
    (StatusCode::OK, body)
}

/// Returns a duration in words, at least one second.
fn seconds(seconds: i64) -> String {
    if seconds <= 1 { "a second".to_owned() } else { format!("{seconds} seconds") }
}

/// Returns a duration in words, rounded up to minutes or, from two hours on, to hours.
fn hours(duration: Duration) -> String {
    match duration.as_secs().div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes @ 2..120 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes.div_ceil(60)),
    }
}

/// Returns the response while the table is not available.
pub(super) fn unavailable() -> (StatusCode, ResponseBody) {
    let message = "The service is busy. Please try again in a moment.";
    (StatusCode::SERVICE_UNAVAILABLE, ResponseBody::warning(message, 5000))
}

/// Records an error of the table in the request's log line.
pub(super) fn log_store_error(level: Level, error: &store::Error) {
    if matches!(error, store::Error::Unreadable(..)) {
        telemetry::count(Metric::Unreadable);
    }
    telemetry::set_field("outcome", variant(error));
    telemetry::failed(level, error);
}

/// Returns the name of a value's variant, without its content.
pub(super) fn variant(value: &impl fmt::Debug) -> String {
    /// Stops the formatting after the first word, because the rest may be a whole note.
    struct FirstWord(String);
    impl fmt::Write for FirstWord {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.find(|letter: char| !letter.is_alphanumeric());
            self.0.push_str(&text[..end.unwrap_or(text.len())]);
            end.map_or(Ok(()), |_| Err(fmt::Error))
        }
    }
    let mut word = FirstWord(String::new());
    let _ = fmt::write(&mut word, format_args!("{value:?}"));
    word.0
}
