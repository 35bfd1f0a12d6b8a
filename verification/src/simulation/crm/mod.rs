//! A CRM in memory, one per thread. Requests to it can land late or never, and responses can be lost. Its list shows
//! every record that was created before.
//!
//! The CRM knows the ground truth: for each record, which call's attempt created it with which request. It does not
//! learn that from what the record says, but from the scheduler, which knows for which call an invocation acts. A
//! change or a deletion by an attempt for another call is a violation.

mod adapter;

use std::{cell::RefCell, time::Duration};

use async_trait::async_trait;
use call_log::{
    adapters::{
        Access, Authentication, Authorization, CallFacts, CallLog, CallLogChange, Capabilities,
        ClientAuthentication, CompareAndSet, Crm, Effect, Error, ErrorKind, Fields, Finish, LimitScope,
        NewCallLog, NewContact, OAuth, Presentation, RateLimits, Recovery, budget::Allowance,
    },
    model::{CallLogId, Contact, ContactId, Credentials, SessionId, User},
    note::{Format, Limits},
};
use chrono::{DateTime, Utc};

use super::{
    requests::{self, Detail},
    scheduler::{self, Position},
    tokens::TokenHost,
};

/// The part of an invocation's time that the adapters keep in reserve.
const RESERVE: Duration = Duration::from_millis(1_500);
/// The least time with which the adapters start a request.
const MIN_TIME: Duration = Duration::from_millis(250);
/// The longest time from the sender's deadline, or the moment it stops waiting, to the effect of its request, in
/// milliseconds.
pub const GRACE_MS: i64 = 30_000;
/// The name of the field with the duration in seconds.
const DURATION: &str = "duration";
/// The window of the rate limit, in milliseconds.
const WINDOW_MS: i64 = 2_000;

/// The adapter of a CRM without compare-and-set.
pub static PLAIN: FakeCrm = FakeCrm { format: Format::Plain, compare_and_set: false };
/// The adapter of a CRM with compare-and-set.
pub static CONDITIONAL: FakeCrm = FakeCrm { format: Format::Html, compare_and_set: true };

/// The registry with only [`PLAIN`].
pub(super) static ONLY_PLAIN: [&dyn Crm; 1] = [&PLAIN];
/// The registry with only [`CONDITIONAL`].
pub(super) static ONLY_CONDITIONAL: [&dyn Crm; 1] = [&CONDITIONAL];

/// An adapter of this thread's CRM.
#[derive(Debug)]
pub struct FakeCrm {
    /// The format of a record's body.
    pub format: Format,
    /// The CRM refuses to change a record that has changed since it was read.
    pub compare_and_set: bool,
}

/// The sender of a request that may change the CRM, as the simulation knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The number of the invocation.
    pub invocation: usize,
    /// The number of the step at which it is paused while the request is on its way.
    pub paused_step: u64,
    /// The call for which it acts.
    pub call: SessionId,
}

/// A record of the CRM.
#[derive(Clone, Debug)]
pub struct CrmRecord {
    /// The id.
    pub id: CallLogId,
    /// The call that the record belongs to.
    pub call: SessionId,
    /// The sender of the create; `None` if a scenario added the record.
    pub created_by: Option<Sender>,
    /// The contact.
    pub contact: ContactId,
    /// When the call began.
    pub start: Option<DateTime<Utc>>,
    /// The subject.
    pub subject: String,
    /// The body.
    pub body: String,
    /// The duration of the call in seconds; empty while it is unknown.
    pub duration: String,
    /// The number of the version, for compare-and-set.
    pub version: u64,
    /// The actor that deleted the record.
    pub deleted_by: Option<Deleter>,
    /// A person has changed the record.
    pub is_edited: bool,
}

/// The actor that deleted a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleter {
    /// A user of the CRM.
    Person,
    /// The duplicate sweep.
    Sweep,
}

/// A defect that mistakes the record of one call for that of another. Tests of the oracle inject it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixUp {
    /// A search returns the records of every call with the same contact.
    FindsOtherCalls,
    /// The response to a create names the record of another call.
    NamesOtherCall,
    /// A change is applied to the record of another call.
    ChangesOtherCall,
}

/// A request that may change the CRM.
#[derive(Clone, Debug)]
enum Request {
    Create(Box<NewCallLog>),
    Change(CallLogId, CallLogChange),
    Remove(CallLogId),
}

impl Request {
    /// Returns `true` if the request writes this detail into a record.
    fn writes(&self, detail: Detail) -> bool {
        let (subject, body) = match self {
            Request::Create(log) => (Some(&log.subject), Some(&log.body)),
            Request::Change(_, change) => (change.subject.as_ref(), change.body.as_ref()),
            Request::Remove(_) => (None, None),
        };
        subject.into_iter().chain(body).any(|text| text.contains(&detail.text()))
    }
}

/// A request on its way to the CRM, or the response on its way back.
#[derive(Clone, Debug)]
pub struct Message {
    sender: Sender,
    /// The request lands before this time or never, in milliseconds since 1970.
    lands_before: i64,
    request: Request,
    /// The response; `None` if the request has not landed.
    response: Option<Result<CallLogId, Error>>,
    abandoned: Option<Abandoned>,
}

/// A request whose sender has stopped waiting for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Abandoned {
    /// When it lands, in milliseconds since 1970; `None` if never.
    lands_at: Option<i64>,
}

impl Message {
    fn new(sender: Sender, lands_before: i64, request: Request) -> Message {
        Message { sender, lands_before, request, response: None, abandoned: None }
    }

    /// Returns when the request lands although its sender has stopped waiting, in milliseconds since 1970.
    fn lands_at(&self) -> Option<i64> {
        self.abandoned.and_then(|abandoned| abandoned.lands_at)
    }
}

/// The state of the CRM.
#[derive(Debug, Default)]
pub struct CrmState {
    /// Every record that was ever created.
    pub records: Vec<CrmRecord>,
    /// The messages on their way.
    pub messages: Vec<Message>,
    /// The number of changes that took effect.
    pub changed: usize,
    /// The error that the next read returns instead of a result.
    pub next_read_fails: Option<Error>,
    /// The token host that knows which access tokens are valid; `None` if all are.
    pub tokens: Option<TokenHost>,
    /// The rest of a burst budget of a hundred requests.
    pub burst_budget: Option<i64>,
    /// The CRM responds to nothing.
    pub is_down: bool,
    /// The number of requests that were sent, also while the CRM is down.
    pub attempts: usize,
    /// The number of requests that the CRM accepts in two seconds.
    pub limit: Option<i64>,
    /// The start of the window in milliseconds since 1970, and the number of requests in it.
    window: (i64, i64),
    /// The number of requests over the limit.
    pub over_limit: usize,
    /// The CRM rejects every record with this detail.
    pub rejects: Option<Detail>,
    /// Creates may land after the grace.
    pub breaks_grace: bool,
    /// The defect that mistakes records.
    pub mix_up: Option<MixUp>,
    /// Requests that were sent while another that may change the same record could still land.
    pub collisions: Vec<String>,
    /// Requests for one call that touched the record of another call.
    pub violations: Vec<String>,
}

thread_local! {
    static CRM: RefCell<CrmState> = RefCell::default();
}

/// Gives access to the state of this thread's CRM.
pub fn with<T>(use_crm: impl FnOnce(&mut CrmState) -> T) -> T {
    CRM.with_borrow_mut(use_crm)
}

/// Returns a failure as the adapters report it.
pub fn failure(kind: ErrorKind, effect: Effect) -> Error {
    Error::new(kind, effect, "simulated")
}

impl CrmState {
    /// Returns the records that are not deleted.
    pub fn live(&self) -> impl Iterator<Item = &CrmRecord> {
        self.records.iter().filter(|record| record.deleted_by.is_none())
    }

    /// Returns the records of a call that are not deleted.
    pub fn live_of(&self, call: &SessionId) -> impl Iterator<Item = &CrmRecord> {
        self.live().filter(move |record| record.call == *call)
    }

    /// Removes and returns the violations and collisions.
    pub(super) fn take_violations(&mut self) -> Vec<String> {
        let mut all = std::mem::take(&mut self.violations);
        all.append(&mut self.collisions);
        all
    }

    /// Returns the call that a record belongs to.
    pub fn owner(&self, id: &CallLogId) -> Option<&SessionId> {
        self.records.iter().find(|record| record.id == *id).map(|record| &record.call)
    }

    /// The request of this paused step lands.
    pub fn land(&mut self, paused_step: u64) {
        let Some(index) = self.index_of(paused_step) else { return };
        if self.messages[index].response.is_none() {
            let Message { sender, request, .. } = self.messages[index].clone();
            let response = self.carry_out(&sender, &request);
            self.messages[index].response = Some(response);
        }
    }

    /// The request of this paused step lands, and the CRM refuses it.
    pub fn refuse(&mut self, paused_step: u64, kind: ErrorKind) {
        let Some(index) = self.index_of(paused_step) else { return };
        if self.messages[index].response.is_none() {
            self.messages[index].response = Some(Err(failure(kind, Effect::None)));
        }
    }

    /// The sender of this paused step stops waiting. If its request has not landed, it lands at `lands_at`, but before
    /// `lands_before`; or never. The invocation cannot know which.
    pub fn abandon(&mut self, paused_step: u64, lands_at: Option<i64>, lands_before: i64) {
        if let Some(index) = self.index_of(paused_step) {
            let message = &mut self.messages[index];
            message.lands_before = message.lands_before.min(lands_before);
            let breaks_grace = self.breaks_grace && matches!(message.request, Request::Create(_));
            let bound = if breaks_grace { i64::MAX } else { message.lands_before };
            message.abandoned = Some(Abandoned { lands_at: lands_at.map(|at| at.min(bound - 1)) });
        }
        self.messages.retain(|message| message.abandoned.is_none() || message.response.is_none());
    }

    fn index_of(&self, paused_step: u64) -> Option<usize> {
        self.messages.iter().position(|message| message.sender.paused_step == paused_step)
    }

    /// A person adds text at the start or at the end of each body.
    pub fn edit(&mut self, text: &str, at_start: bool) {
        for record in self.records.iter_mut().filter(|record| record.deleted_by.is_none()) {
            record.body = if at_start {
                format!("{text}\n{}", record.body)
            } else {
                format!("{}\n{text}\n", record.body)
            };
            record.version += 1;
            record.is_edited = true;
        }
    }

    /// A person deletes the records.
    pub fn delete(&mut self) {
        self.records.iter_mut().for_each(|record| record.deleted_by = Some(Deleter::Person));
    }

    /// Counts a request. Returns the error if the CRM is down or the request is over the limit.
    fn refuse_early(&mut self, access: &Access<'_>, now_ms: i64) -> Option<Error> {
        self.attempts += 1;
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
        access.budgets.record(&access.budget, None, &burst(limit, left.max(0), reset.unsigned_abs()), now_ms);
        self.over_limit += usize::from(left < 0);
        (left < 0).then(|| failure(ErrorKind::RateLimited { retry_after: None }, Effect::None))
    }

    /// Adds a duplicate of the first record, as a create that lands too late makes one.
    pub fn add_duplicate(&mut self) {
        if let Some(record) = self.records.first().cloned() {
            let id = self.next_id();
            self.records.push(CrmRecord { id, created_by: None, ..record });
        }
    }

    fn next_id(&self) -> CallLogId {
        CallLogId::new(format!("{}", 5_000 + self.records.len())).expect("a valid record id")
    }

    /// Lands the abandoned requests that are due, and drops those that can no longer land.
    pub fn advance_to(&mut self, now_ms: i64) {
        let is_due = |message: &Message| message.lands_at().is_some_and(|at| at <= now_ms);
        while let Some(index) = self.messages.iter().position(is_due) {
            let message = self.messages.remove(index);
            let _ = self.carry_out(&message.sender, &message.request);
        }
        // Nothing lands after the grace, even if the sender still waits.
        let breaks_grace = self.breaks_grace;
        self.messages.retain(|message| {
            let is_over = message.response.is_none() && message.lands_before <= now_ms;
            let may_land = breaks_grace && matches!(message.request, Request::Create(_));
            !is_over || may_land && message.abandoned != Some(Abandoned { lands_at: None })
        });
    }

    /// Carries a request out and compares the record that it touches with the ground truth.
    fn carry_out(&mut self, sender: &Sender, request: &Request) -> Result<CallLogId, Error> {
        if self.rejects.is_some_and(|detail| request.writes(detail)) {
            let message = "this detail is not allowed".to_owned();
            return Err(failure(ErrorKind::Rejected { message }, Effect::None));
        }
        match request {
            Request::Create(log) => {
                let id = self.next_id();
                let named = self.other_record(sender, MixUp::NamesOtherCall);
                self.records.push(CrmRecord {
                    id: id.clone(),
                    call: sender.call.clone(),
                    created_by: Some(sender.clone()),
                    contact: log.contact.id.clone(),
                    start: log.facts.start,
                    subject: log.subject.clone(),
                    body: log.body.clone(),
                    duration: log.facts.seconds().map(|seconds| seconds.to_string()).unwrap_or_default(),
                    version: 1,
                    deleted_by: None,
                    is_edited: false,
                });
                match requests::session_of(&log.additional) {
                    Some(call) if call == sender.call => {}
                    call => self.report(sender, format!("created {id} with the payload of {call:?}")),
                }
                Ok(named.unwrap_or(id))
            }
            Request::Change(id, change) => {
                let other = self.other_record(sender, MixUp::ChangesOtherCall);
                let record = self.live_mut(other.as_ref().unwrap_or(id));
                let record = record.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
                let is_stale = |version: &String| *version != record.version.to_string();
                if other.is_none() && change.version.as_ref().is_some_and(is_stale) {
                    return Err(failure(ErrorKind::Conflict, Effect::None));
                }
                record.version += 1;
                if let Some(body) = &change.body {
                    record.body.clone_from(body);
                }
                if let Some(subject) = &change.subject {
                    record.subject.clone_from(subject);
                }
                if let Some(duration) = change.fields.get(DURATION) {
                    record.duration.clone_from(duration);
                }
                let (changed, owner) = (record.id.clone(), record.call.clone());
                self.changed += 1;
                if owner != sender.call {
                    self.report(sender, format!("changed the record {changed} of call {owner}"));
                }
                Ok(id.clone())
            }
            Request::Remove(id) => {
                if let Some(record) = self.live_mut(id) {
                    if record.is_edited {
                        return Err(failure(ErrorKind::Conflict, Effect::None));
                    }
                    record.deleted_by = Some(Deleter::Sweep);
                    let owner = record.call.clone();
                    if owner != sender.call {
                        self.report(sender, format!("deleted the record {id} of call {owner}"));
                    }
                }
                Ok(id.clone())
            }
        }
    }

    fn live_mut(&mut self, id: &CallLogId) -> Option<&mut CrmRecord> {
        self.records.iter_mut().find(|record| record.id == *id && record.deleted_by.is_none())
    }

    /// Returns the record of another call, if this defect is injected.
    fn other_record(&self, sender: &Sender, mix_up: MixUp) -> Option<CallLogId> {
        let mut others = self.live().filter(|record| record.call != sender.call);
        (self.mix_up == Some(mix_up)).then(|| others.next().map(|record| record.id.clone()))?
    }

    fn report(&mut self, sender: &Sender, what: String) {
        let Sender { invocation, paused_step, call } = sender;
        let violation = format!("an attempt for call {call} (#{invocation}, pause {paused_step}) {what}");
        self.violations.push(violation);
    }

    /// Puts a message on its way. Two requests that may change one record must never be on their way at the same time.
    fn receive(&mut self, message: Message) {
        let others =
            self.messages.iter().filter(|other| other.response.is_none() && may_collide(other, &message));
        for other in others {
            self.collisions.push(format!(
                "a request is sent while {} may still land, until {}",
                match other.request {
                    Request::Create(_) => "a create",
                    Request::Change(..) | Request::Remove(_) => "a change",
                },
                other.lands_before
            ));
        }
        self.messages.push(message);
    }

    /// Removes the message of this paused step and returns the response to it.
    fn response_to(&mut self, paused_step: u64) -> Result<CallLogId, Error> {
        let is_awaited =
            |message: &Message| message.sender.paused_step == paused_step && message.abandoned.is_none();
        let index = self.messages.iter().position(is_awaited);
        let response = index.and_then(|index| {
            self.messages[index].response.clone().inspect(|_| drop(self.messages.remove(index)))
        });
        response.unwrap_or_else(|| Err(failure(ErrorKind::Unavailable, Effect::Unknown)))
    }
}

/// A rate limit that a response reports.
fn burst(limit: i64, remaining: i64, seconds: u64) -> RateLimits {
    let resets_in = Some(Duration::from_secs(seconds));
    RateLimits { burst: Some(Allowance { limit: Some(limit), remaining, resets_in }), daily: None }
}

/// Returns `true` if two requests may change the same record, or create two records of one call.
fn may_collide(one: &Message, other: &Message) -> bool {
    match (&one.request, &other.request) {
        (Request::Create(_), Request::Create(_)) => one.sender.call == other.sender.call,
        (
            Request::Change(one, _) | Request::Remove(one),
            Request::Change(other, _) | Request::Remove(other),
        ) => one == other,
        _ => false,
    }
}
