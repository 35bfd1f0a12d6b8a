//! A CRM in memory, of this thread. Its messages can be late, lost or unanswered; its list shows what was made before.
//!
//! It tells when two messages that may change one log are under way at once, and counts what was made.

mod adapter;

use std::{cell::RefCell, time::Duration};

use async_trait::async_trait;
use call_log::{
    adapters::{
        Access, Authorization, CallLog, CallLogChange, Crm, Effect, Error, ErrorKind, NewCallLog, NewContact,
        Recovery,
    },
    model::{CallDuration, CallLogId, Contact, ContactId, Credentials},
    note::Format,
};
use chrono::{DateTime, Utc};

use super::{
    requests::Fact,
    scheduler::{self, Place},
    tokens::TokenHost,
};

/// What the adapters keep back of an invocation's time, and the least that they begin a request with.
const RESERVE: Duration = Duration::from_millis(1_500);
const LEAST: Duration = Duration::from_millis(250);
/// How long a request may still land after its sender has given it up, or would have had to; in milliseconds.
pub const GRACE_MS: i64 = 30_000;

/// How long a burst's window is, in milliseconds.
const WINDOW_MS: i64 = 2_000;

/// A CRM without compare-and-set, and one with it.
pub static PLAIN: Memory = Memory { format: Format::Plain, compare_and_set: false };
pub static CAREFUL: Memory = Memory { format: Format::Html, compare_and_set: true };

/// Each of them as the one that callers can be users of.
pub static ONLY_PLAIN: [&dyn Crm; 1] = [&PLAIN];
pub static ONLY_CAREFUL: [&dyn Crm; 1] = [&CAREFUL];

/// The adapter of this thread's CRM.
#[derive(Debug)]
pub struct Memory {
    pub format: Format,
    pub compare_and_set: bool,
}

/// A log in the CRM.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: CallLogId,
    pub contact: ContactId,
    pub start: Option<DateTime<Utc>>,
    pub subject: String,
    pub body: String,
    pub duration: Option<CallDuration>,
    pub version: u64,
    pub is_deleted: bool,
    /// A person has changed it.
    pub is_edited: bool,
}

/// What a message asks for.
#[derive(Clone, Debug)]
enum Request {
    Create(Box<NewCallLog>),
    Change(CallLogId, CallLogChange),
    Remove(CallLogId),
}

impl Request {
    /// Whether it would write that into a log.
    fn tells(&self, fact: Fact) -> bool {
        let (subject, body) = match self {
            Request::Create(log) => (Some(&log.subject), Some(&log.body)),
            Request::Change(_, change) => (change.subject.as_ref(), change.body.as_ref()),
            Request::Remove(_) => (None, None),
        };
        subject.into_iter().chain(body).any(|text| text.contains(&fact.text()))
    }
}

/// A message that may change something.
#[derive(Clone, Debug)]
pub struct Message {
    /// The ticket of whoever waits for the answer.
    pub ticket: u64,
    /// Until when it lands, or never, in milliseconds since 1970.
    pub latest: i64,
    request: Request,
    /// What the CRM answered; nothing: it has not got there.
    answer: Option<Result<CallLogId, Error>>,
    /// Its sender does not wait any more, and when it lands nevertheless.
    given_up: Option<Option<i64>>,
}

/// The CRM's side.
#[derive(Debug, Default)]
pub struct Account {
    pub entries: Vec<Entry>,
    pub messages: Vec<Message>,
    /// How many creates and changes had an effect.
    pub created: usize,
    pub changed: usize,
    /// Messages that the CRM got, whether it did them or not.
    pub received: usize,
    /// What the next read answers instead of what there is.
    pub next_read: Option<Error>,
    /// Who knows which access tokens are good; nobody: all are.
    pub tokens: Option<TokenHost>,
    /// What is left of the burst budget of a hundred requests.
    pub burst: Option<i64>,
    /// The CRM answers nothing at all, and how many requests it would have got.
    pub is_down: bool,
    pub knocks: usize,
    /// It takes so many requests in two seconds; since when, how many there were, and how many were too many.
    pub limit: Option<i64>,
    window: (i64, i64),
    pub too_many: usize,
    /// It takes no log in which this stands.
    pub refuses: Option<Fact>,
    /// A person has deleted the log.
    pub is_deleted: bool,
    /// Creates may land after the grace.
    pub breaks_grace: bool,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

thread_local! {
    static ACCOUNT: RefCell<Account> = RefCell::default();
}

/// Looks at this thread's CRM.
pub fn with<T>(look: impl FnOnce(&mut Account) -> T) -> T {
    ACCOUNT.with_borrow_mut(look)
}

/// A failure as the adapters report it.
pub fn failure(kind: ErrorKind, effect: Effect) -> Error {
    Error { kind, effect, reason: "as the schedule has it".to_owned() }
}

impl Account {
    /// The logs that are not deleted.
    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.is_deleted)
    }

    /// Whether the message of that ticket has not got there.
    pub fn is_under_way(&self, ticket: u64) -> bool {
        self.messages.iter().any(|message| message.ticket == ticket && message.answer.is_none())
    }

    /// The message of that ticket gets there.
    pub fn land(&mut self, ticket: u64) {
        let Some(at) = self.messages.iter().position(|message| message.ticket == ticket) else { return };
        if self.messages[at].answer.is_none() {
            let answer = self.carry_out(&self.messages[at].request.clone());
            self.messages[at].answer = Some(answer);
        }
    }

    /// The message of that ticket gets there, and is refused.
    pub fn refuse(&mut self, ticket: u64, kind: ErrorKind) {
        let message = self.messages.iter_mut().find(|message| message.ticket == ticket);
        if let Some(message) = message.filter(|message| message.answer.is_none()) {
            message.answer = Some(Err(failure(kind, Effect::None)));
        }
    }

    /// Nobody waits for the answer of that ticket's message any more. If it has not got there, it lands at `lands_at`,
    /// but before `latest`; or never, which nobody can know before.
    pub fn give_up(&mut self, ticket: u64, lands_at: Option<i64>, latest: i64) {
        if let Some(message) = self.messages.iter_mut().find(|message| message.ticket == ticket) {
            message.latest = message.latest.min(latest);
            let breaks_grace = self.breaks_grace && matches!(message.request, Request::Create(_));
            let bound = if breaks_grace { i64::MAX } else { message.latest };
            message.given_up = Some(lands_at.map(|at| at.min(bound - 1)));
        }
        self.messages.retain(|message| message.given_up.is_none() || message.answer.is_none());
    }

    /// A person writes something before or after everything else.
    pub fn edit(&mut self, text: &str, is_first: bool) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.is_deleted) {
            entry.body = if is_first {
                format!("{text}\n{}", entry.body)
            } else {
                format!("{}\n{text}\n", entry.body)
            };
            entry.version += 1;
            entry.is_edited = true;
        }
    }

    /// A person deletes the log.
    pub fn delete(&mut self) {
        self.is_deleted = true;
        self.entries.iter_mut().for_each(|entry| entry.is_deleted = true);
    }

    /// A request comes to the door; why it does not come in.
    fn knock(&mut self, access: &Access<'_>, now_ms: i64) -> Option<Error> {
        self.knocks += 1;
        if self.is_down {
            return Some(failure(ErrorKind::Unavailable, Effect::None));
        }
        let limit = self.limit?;
        if now_ms >= self.window.0 + WINDOW_MS {
            self.window = (now_ms, 0);
        }
        self.window.1 += 1;
        let left = limit - self.window.1;
        let reset = (self.window.0 + WINDOW_MS - now_ms + 999) / 1_000;
        access.budgets.record(&access.base_url, Some(limit), Some(left.max(0)), Some(reset), now_ms);
        self.too_many += usize::from(left < 0);
        (left < 0).then(|| failure(ErrorKind::RateLimited { retry_after: None }, Effect::None))
    }

    /// A second log of the same call appears.
    pub fn duplicate(&mut self) {
        if let Some(entry) = self.entries.first().cloned() {
            let id = CallLogId::new(format!("{}", 5_000 + self.entries.len())).expect("an id");
            self.entries.push(Entry { id, ..entry });
        }
    }

    /// What has been late long enough lands.
    pub fn tick(&mut self, now_ms: i64) {
        let due = |message: &Message| message.given_up.flatten().is_some_and(|at| at <= now_ms);
        while let Some(at) = self.messages.iter().position(due) {
            let message = self.messages.remove(at);
            let _ = self.carry_out(&message.request);
        }
        // Nothing lands after the grace, even if its sender still waits for it.
        let is_late = |message: &Message| message.answer.is_none() && message.latest <= now_ms;
        let breaks_grace = self.breaks_grace;
        self.messages.retain(|message| {
            let may_come = breaks_grace && matches!(message.request, Request::Create(_));
            !is_late(message) || may_come && message.given_up != Some(None)
        });
    }

    /// When the next late message lands.
    pub fn next_landing(&self) -> Option<i64> {
        self.messages.iter().filter_map(|message| message.given_up.flatten()).min()
    }

    fn carry_out(&mut self, request: &Request) -> Result<CallLogId, Error> {
        self.received += 1;
        if self.refuses.is_some_and(|fact| request.tells(fact)) {
            let message = "this is not taken".to_owned();
            return Err(failure(ErrorKind::Rejected { message }, Effect::None));
        }
        match request {
            Request::Create(log) => {
                self.created += 1;
                let id = CallLogId::new(format!("{}", 5_000 + self.entries.len())).expect("an id");
                self.entries.push(Entry {
                    id: id.clone(),
                    contact: log.contact.id.clone(),
                    start: log.start,
                    subject: log.subject.clone(),
                    body: log.body.clone(),
                    duration: log.duration,
                    version: 1,
                    is_deleted: false,
                    is_edited: false,
                });
                Ok(id)
            }
            Request::Change(id, change) => {
                let entry = self.entries.iter_mut().find(|entry| entry.id == *id && !entry.is_deleted);
                let entry = entry.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
                if change.version.as_ref().is_some_and(|version| *version != entry.version.to_string()) {
                    return Err(failure(ErrorKind::Conflict, Effect::None));
                }
                entry.version += 1;
                if let Some(body) = &change.body {
                    entry.body.clone_from(body);
                }
                if let Some(subject) = &change.subject {
                    entry.subject.clone_from(subject);
                }
                entry.duration = change.duration.or(entry.duration);
                self.changed += 1;
                Ok(id.clone())
            }
            Request::Remove(id) => {
                let entry = self.entries.iter_mut().find(|entry| entry.id == *id && !entry.is_deleted);
                if let Some(entry) = entry {
                    if entry.is_edited {
                        return Err(failure(ErrorKind::Conflict, Effect::None));
                    }
                    entry.is_deleted = true;
                }
                Ok(id.clone())
            }
        }
    }

    /// Sends a message; two that could change one log must never be under way at once.
    fn send(&mut self, message: Message) {
        let others = self
            .messages
            .iter()
            .filter(|other| other.answer.is_none() && is_same(&other.request, &message.request));
        for other in others {
            self.broken.push(format!(
                "a message is sent while {} may still land, until {}",
                match other.request {
                    Request::Create(_) => "a create",
                    Request::Change(..) | Request::Remove(_) => "a change",
                },
                other.latest
            ));
        }
        self.messages.push(message);
    }

    fn answer(&mut self, ticket: u64) -> Result<CallLogId, Error> {
        let at =
            self.messages.iter().position(|message| message.ticket == ticket && message.given_up.is_none());
        let answer =
            at.and_then(|at| self.messages[at].answer.clone().inspect(|_| drop(self.messages.remove(at))));
        answer.unwrap_or_else(|| Err(failure(ErrorKind::Unavailable, Effect::Unknown)))
    }
}

/// Whether two requests may change one log. A create may make any.
fn is_same(one: &Request, other: &Request) -> bool {
    match (one, other) {
        (Request::Create(one), Request::Create(other)) => one.start == other.start,
        (
            Request::Change(one, _) | Request::Remove(one),
            Request::Change(other, _) | Request::Remove(other),
        ) => one == other,
        _ => false,
    }
}
