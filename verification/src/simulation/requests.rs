//! The requests of callers, and the responses to them.

use std::sync::Arc;

use call_log::{
    adapters::NewCallLog,
    delivery::{create, redrive, update},
    model::{
        CallDetails, CallDuration, CallLogId, Contact, ContactId, CreateCallLog, Direction, Party, SessionId,
        UpdateCallLog,
    },
    store,
};
use chrono::DateTime;
use serde_json::{Map, Value};

use super::{
    crm::CrmRecord,
    senders::{Account, Extension, Names, Origin, Who},
};

/// When the first call of a schedule began, in milliseconds since 1970.
pub const START_MS: i64 = 1_741_794_325_000;
/// The ids of the contacts of a create, and of a create with another contact.
pub(super) const CONTACTS: [&str; 2] = ["77", "78"];
/// The number of the first of these contacts, which is the caller's in every call.
pub(super) const NUMBER: &str = "+12135550111";
/// The beginning of the note of a create, before the name of the call.
const NOTE: &str = "Wants a quote (";
/// The field of a create's additional submission that names the call, so that the fake CRM knows whose payload it gets. The
/// application passes the field on and does not use it.
const NAME_FIELD: &str = "name";

/// The name by which the simulation knows the log of a call. The application does not see it.
pub type CallName = Arc<str>;

/// A call as one extension has it: what has one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The name, which no other call of the schedule has.
    pub name: CallName,
    /// The CRM account in which it is logged.
    pub account: Account,
    /// The session id. Calls of other extensions and accounts can have the same one.
    pub session: SessionId,
    /// The extension, if its senders know one.
    pub extension: Option<Extension>,
    /// When the call began, in milliseconds since 1970, if its senders know it.
    pub start_ms: Option<i64>,
    /// The create requests bring the duration of the call.
    pub has_duration: bool,
    /// The tokens of its senders name the account, unless a request says otherwise.
    pub names_account: bool,
}

impl Call {
    /// Returns a call that began so many seconds after [`START_MS`].
    ///
    /// # Panics
    ///
    /// Panics if the session id is empty.
    pub fn new(session: impl Into<String>, seconds: i64) -> Call {
        let session = SessionId::new(session).expect("a valid session id");
        Call {
            name: session.as_str().into(),
            account: Account::Own,
            session,
            extension: None,
            start_ms: Some(START_MS + seconds * 1_000),
            has_duration: true,
            names_account: true,
        }
    }

    /// Returns the origin of a request of which nothing else is said: it knows everything.
    pub fn origin(&self) -> Origin {
        let who = if self.account == Account::Own { Who::Agent } else { Who::Stranger };
        let names = if self.extension.is_some() { Names::Both } else { Names::Nothing };
        Origin { who, names, names_account: self.names_account }
    }

    /// Returns the agent's note that a create brings. No other call has it.
    pub fn note(&self) -> String {
        format!("{NOTE}{}).", self.name)
    }
}

/// A field that an update can bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The link to the recording.
    Recording,
    /// The agent's note.
    Note,
    /// The duration of the call.
    Duration,
    /// The note of the AI assistant.
    AiNote,
    /// The result of the call.
    Result,
    /// The transcript.
    Transcript,
    /// The subject of the record.
    Subject,
}

impl Field {
    /// Every field.
    pub const ALL: [Field; 7] = [
        Field::Recording,
        Field::Note,
        Field::Duration,
        Field::AiNote,
        Field::Result,
        Field::Transcript,
        Field::Subject,
    ];
}

/// One detail of an update: a field and the number of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Detail {
    /// The field.
    pub field: Field,
    /// The number of the value. Two updates may bring the same value or different ones.
    pub value: u32,
}

impl Detail {
    /// Returns call details with only this detail.
    pub fn call_details(self) -> CallDetails {
        let text = Some(self.text());
        let none = CallDetails::default();
        match self.field {
            Field::Recording => CallDetails { recording: text, ..none },
            Field::Note => CallDetails { note: text, ..none },
            Field::Duration => CallDetails { duration: Some(CallDuration::Seconds(self.seconds())), ..none },
            Field::AiNote => CallDetails { ai_note: text, ..none },
            Field::Result => CallDetails { result: text, ..none },
            Field::Transcript => CallDetails { transcript: text, ..none },
            Field::Subject => CallDetails { subject: text, ..none },
        }
    }

    fn seconds(self) -> u64 {
        130 + u64::from(self.value)
    }

    /// Returns the text of the detail in a record. A duration has no text. No text is part of another.
    pub fn text(self) -> String {
        match self.field {
            Field::Recording => format!("https://rec.example/{}.", self.value),
            field => format!("The {field:?} {}.", self.value),
        }
    }

    /// Returns `true` if a CRM record has this detail, except where a person has replaced it.
    pub fn is_kept_in(self, record: &CrmRecord) -> bool {
        match self.field {
            Field::Duration if record.edited_duration().is_some() => true,
            Field::Subject if record.edited_subject().is_some() => record.body.contains(&self.text()),
            _ => self.is_in(record),
        }
    }

    /// Returns `true` if a CRM record has this detail.
    pub fn is_in(self, record: &CrmRecord) -> bool {
        match self.field {
            Field::Duration => record.duration == self.seconds().to_string(),
            Field::Subject => record.subject == self.text() && record.body.contains(&self.text()),
            _ => record.body.contains(&self.text()),
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Logs the call.
    Create,
    /// Logs the same call with another contact, and with RingSense's score.
    CreateWithOtherContact,
    /// Logs the same call, and leaves it to the application to find the contact.
    CreateWithoutContact,
    /// Updates the call with these details.
    Update(Vec<Detail>),
    /// Brings this note, which waits for the call. A create of the same user replaces it.
    CacheNote(Detail),
    /// Delivers everything that is due.
    Redrive,
}

impl Request {
    /// Returns the details that an update brings.
    pub fn details(&self) -> &[Detail] {
        match self {
            Request::Update(details) => details,
            Request::CacheNote(note) => std::slice::from_ref(note),
            Request::Create
            | Request::CreateWithOtherContact
            | Request::CreateWithoutContact
            | Request::Redrive => &[],
        }
    }

    /// Returns `true` if the request logs the call.
    pub fn is_create(&self) -> bool {
        matches!(self, Request::Create | Request::CreateWithOtherContact | Request::CreateWithoutContact)
    }
}

/// The response to a request.
#[derive(Debug)]
pub enum Response {
    /// The response to a create.
    Create(Result<create::Outcome, store::Error>),
    /// The response to an update.
    Update(Result<update::Outcome, store::Error>),
    /// The report of a redrive.
    Redrive(Result<redrive::Report, store::Error>),
}

impl Response {
    /// Returns the id of the record that the response names.
    pub fn record(&self) -> Option<&CallLogId> {
        match self {
            Response::Create(Ok(
                create::Outcome::Logged { log, .. } | create::Outcome::AlreadyLogged(log),
            )) => Some(log),
            Response::Update(Ok(
                update::Outcome::Updated { log, .. }
                | update::Outcome::UpdatedByOther { log }
                | update::Outcome::Queued { log },
            )) => Some(log),
            _ => None,
        }
    }

    /// Returns a short description, for traces.
    pub fn summary(&self) -> String {
        let text = match self {
            Response::Create(Ok(outcome)) => format!("{outcome:?}"),
            Response::Update(Ok(update::Outcome::Updated { log, .. })) => format!("Updated({log})"),
            Response::Update(Ok(outcome)) => format!("{outcome:?}"),
            Response::Redrive(Ok(report)) => format!("{report:?}"),
            Response::Create(Err(error)) | Response::Update(Err(error)) | Response::Redrive(Err(error)) => {
                error.to_string()
            }
        };
        text.chars().take(120).collect()
    }
}

/// Returns the command of a create request.
///
/// # Panics
///
/// Panics if an id of the simulation is invalid.
pub fn create(call: &Call, origin: Origin, request: &Request) -> CreateCallLog {
    let number = NUMBER.to_owned();
    let is_other = *request == Request::CreateWithOtherContact;
    let contact = Contact {
        id: ContactId::new(CONTACTS[usize::from(is_other)]).expect("a valid contact id"),
        kind: None,
        name: Some("Bob Client".to_owned()),
        // No record shows it.
        phone_number: Some((*call.name).to_owned()),
    };
    let facts = CallDetails {
        session: Some(call.session.clone()),
        direction: Some(Direction::Inbound),
        from: Some(Party { phone_number: Some(number.clone()), ..Party::default() }),
        contact_number: Some(number),
        note: Some(call.note()),
        start: call.start_ms.and_then(DateTime::from_timestamp_millis),
        duration: Some(if call.has_duration { CallDuration::Seconds(65) } else { CallDuration::Pending }),
        ace_score: is_other.then(|| "9".to_owned()),
        ..CallDetails::default()
    };
    CreateCallLog {
        session: call.session.clone(),
        extension: origin.names.of(call.extension),
        user: None,
        owner_token: None,
        owner_extension: None,
        contact: Some(contact).filter(|_| *request != Request::CreateWithoutContact),
        details: facts,
        has_note: true,
        additional: Map::from_iter([(NAME_FIELD.to_owned(), (&*call.name).into())]),
        authorization: None,
        zone: None,
    }
}

/// Returns the call whose create request brought this record's content. A record may lack any place of its name, because the
/// CRM rejected that part, or has its own number of the contact.
pub(super) fn name_of(log: &NewCallLog) -> Option<CallName> {
    let in_form = log.additional.get(NAME_FIELD).and_then(Value::as_str);
    let in_contact = || log.contact.as_ref()?.phone_number.as_deref().filter(|number| *number != NUMBER);
    let in_note = || log.body.split_once(NOTE)?.1.split_once(')').map(|(name, _)| name);
    in_form.or_else(in_contact).or_else(in_note).map(Into::into)
}

/// Returns the command of a request that brings details.
pub fn update(call: &Call, origin: Origin, request: &Request) -> UpdateCallLog {
    let mut all = CallDetails { session: Some(call.session.clone()), ..CallDetails::default() };
    for detail in request.details() {
        let one = detail.call_details();
        all = CallDetails {
            session: all.session,
            recording: one.recording.or(all.recording),
            note: one.note.or(all.note),
            duration: one.duration.or(all.duration),
            ai_note: one.ai_note.or(all.ai_note),
            result: one.result.or(all.result),
            transcript: one.transcript.or(all.transcript),
            subject: one.subject.or(all.subject),
            ..CallDetails::default()
        };
    }
    UpdateCallLog {
        session: call.session.clone(),
        extension: origin.names.of(call.extension),
        user: None,
        details: all,
        is_cached_note: matches!(request, Request::CacheNote(_)),
        authorization: None,
        zone: None,
    }
}
