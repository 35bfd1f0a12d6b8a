//! What callers send, and what they were told.

use call_log::{
    delivery::{create, redrive, update},
    model::{
        CallDetails, CallDuration, CallLogId, Contact, ContactId, CreateCallLog, Direction, Party, SessionId,
        UpdateCallLog,
    },
    store,
};
use chrono::DateTime;
use serde_json::Map;

use super::crm::Entry;

/// When the call began, in milliseconds since 1970.
pub const START_MS: i64 = 1_741_794_325_000;

/// What an update can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    Recording,
    Note,
    Duration,
    AiNote,
    Result,
    Transcript,
    Subject,
}

impl Field {
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

/// A field and which of its values: two updates may tell the same or another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fact {
    pub field: Field,
    pub value: u32,
}

impl Fact {
    /// As an update tells it.
    pub fn told(self) -> CallDetails {
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

    /// What stands in the log then, but for a duration.
    pub fn text(self) -> String {
        match self.field {
            Field::Recording => format!("https://rec.example/{}.", self.value),
            // One is no part of another.
            field => format!("The {field:?} {}.", self.value),
        }
    }

    /// Whether a log in the CRM says so.
    pub fn is_in(self, entry: &Entry) -> bool {
        match self.field {
            Field::Duration => entry.duration == Some(CallDuration::Seconds(self.seconds())),
            Field::Subject => entry.subject == self.text() && entry.body.contains(&self.text()),
            _ => entry.body.contains(&self.text()),
        }
    }
}

/// What a caller sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Create,
    /// The same call, told of another contact.
    CreateElsewhere,
    Update(Vec<Fact>),
    /// What is due is delivered.
    Redrive,
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    Create(Result<create::Outcome, store::Error>),
    Update(Result<update::Outcome, store::Error>),
    Redrive(Result<redrive::Report, store::Error>),
}

impl Answer {
    /// The log's id, when the caller is told one.
    pub fn log(&self) -> Option<&CallLogId> {
        match self {
            Answer::Create(Ok(create::Outcome::Logged(log) | create::Outcome::AlreadyLogged(log))) => {
                Some(log)
            }
            Answer::Update(Ok(
                update::Outcome::Updated { log, .. }
                | update::Outcome::UpdatedByOther { log }
                | update::Outcome::Queued { log },
            )) => Some(log),
            _ => None,
        }
    }

    /// In a word or two.
    pub fn word(&self) -> String {
        let text = match self {
            Answer::Create(Ok(outcome)) => format!("{outcome:?}"),
            Answer::Update(Ok(update::Outcome::Updated { log, .. })) => format!("Updated({log})"),
            Answer::Update(Ok(outcome)) => format!("{outcome:?}"),
            Answer::Redrive(Ok(report)) => format!("{report:?}"),
            Answer::Create(Err(error)) | Answer::Update(Err(error)) | Answer::Redrive(Err(error)) => {
                error.to_string()
            }
        };
        text.chars().take(120).collect()
    }
}

/// When the call of a session began: sessions that are numbers are calls of their own.
fn start_of(session: &SessionId) -> i64 {
    START_MS + session.as_str().parse::<i64>().map_or(0, |number| number % 100_000 * 1_000)
}

/// The tests' call.
pub fn create(session: &SessionId) -> CreateCallLog {
    let number = "+12135550111".to_owned();
    let contact = Contact {
        id: ContactId::new("77").expect("an id"),
        kind: None,
        name: Some("Bob Client".to_owned()),
        phone_number: Some(number.clone()),
    };
    let facts = CallDetails {
        session: Some(session.clone()),
        direction: Some(Direction::Inbound),
        from: Some(Party { phone_number: Some(number.clone()), ..Party::default() }),
        contact_number: Some(number),
        note: Some("Wants a quote".to_owned()),
        start: DateTime::from_timestamp_millis(start_of(session)),
        duration: Some(CallDuration::Seconds(65)),
        ..CallDetails::default()
    };
    CreateCallLog {
        session: session.clone(),
        extension: None,
        user: None,
        contact: Some(contact),
        details: facts,
        additional: Map::new(),
        authorization: None,
        zone: None,
    }
}

/// The tests' call, told of another contact if the request says so.
pub fn create_of(request: &Request, session: &SessionId) -> CreateCallLog {
    let mut command = create(session);
    if let (Request::CreateElsewhere, Some(contact)) = (request, &mut command.contact) {
        contact.id = ContactId::new("78").expect("an id");
    }
    command
}

/// An update of the tests' call.
pub fn update(session: &SessionId, facts: &[Fact]) -> UpdateCallLog {
    let mut told = CallDetails { session: Some(session.clone()), ..CallDetails::default() };
    for fact in facts {
        let one = fact.told();
        told = CallDetails {
            session: told.session,
            recording: one.recording.or(told.recording),
            note: one.note.or(told.note),
            duration: one.duration.or(told.duration),
            ai_note: one.ai_note.or(told.ai_note),
            result: one.result.or(told.result),
            transcript: one.transcript.or(told.transcript),
            subject: one.subject.or(told.subject),
            ..CallDetails::default()
        };
    }
    UpdateCallLog {
        session: session.clone(),
        extension: None,
        user: None,
        details: told,
        authorization: None,
        zone: None,
    }
}
