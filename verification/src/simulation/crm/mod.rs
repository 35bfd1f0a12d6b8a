//! A CRM in memory, one per thread. Requests to it can land late or never, and responses can be lost. Its [`kind`] says
//! what it can do. The CRMs of most kinds have an adapter of their own here, which passes values; the Contrary CRM has its
//! real adapter, whose HTTP requests the [`network`] takes to its real fake.
//!
//! The CRM knows the ground truth: for each record, which call's attempt created it with which request. It does not
//! learn that from what the record says, but from the scheduler, which knows for which call an invocation acts. A
//! change, a completion or a deletion by an attempt for another call is a violation.

mod adapter;
mod contrary;
pub mod kind;
mod message;
pub mod network;
pub mod record;
mod registry;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use async_trait::async_trait;
use call_log::{
    adapters::{
        Access, Authentication, Authorization, CallFacts, CallLog, CallLogChange, Capabilities,
        ClientAuthentication, Crm, Effect, Error, ErrorKind, Fields, Finish, HostAccount, NewCallLog,
        NewContact, OAuth, Presentation, RateLimits, Recovery, budget::Allowance,
    },
    model::{CallLogId, Contact, ContactId, Credentials, User},
};
use chrono::{DateTime, Utc};
use contrary::Contrary;
pub(super) use contrary::HOST;
pub use contrary::connection;
pub use kind::{BLIND, CLOSING, CONDITIONAL, Defect, Kind, PLAIN, TIMED};
use message::{Abandoned, Completion, Message, Reply, Request, Write, deliver};
pub use record::{CrmRecord, Deleter, Edit, End, Sender};
use registry::account_of;
pub(super) use registry::{REGISTRY, adapter};

use super::{
    requests::{self, CONTACTS, CallName, Detail, NUMBER},
    senders::Account,
    tokens::TokenHost,
};

/// The part of an invocation's time that the adapters keep in reserve.
const RESERVE: Duration = Duration::from_millis(1_500);
/// The least time with which the adapters start a request.
const MIN_TIME: Duration = Duration::from_millis(250);
/// The longest time from the sender's deadline, or the moment it stops waiting, to the effect of its request, in
/// milliseconds.
pub const GRACE_MS: i64 = 30_000;
/// The name of the field with the direction.
const DIRECTION: &str = "direction";
/// The name of the field with the start, in milliseconds since 1970.
const START: &str = "start";
/// The name of the field with the duration in seconds.
const DURATION: &str = "duration";
/// The window of the rate limit, in milliseconds.
const WINDOW_MS: i64 = 2_000;
/// The number of the first record of the first schedule.
const FIRST_RECORD: u64 = 5_000;
/// More records than any schedule creates.
const RECORDS_PER_SCHEDULE: u64 = 1_000;

/// The adapter of this thread's CRM.
#[derive(Debug)]
pub struct FakeCrm;

/// The state of the CRM.
#[derive(Debug, Default)]
pub struct CrmState {
    /// Every record that was ever created.
    pub records: Vec<CrmRecord>,
    /// The messages on their way.
    messages: Vec<Message>,
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
    /// The CRM refuses creates with a key.
    pub refuses_key: bool,
    /// The CRM's refusal of a record that exists already does not name it.
    pub hides_existing: bool,
    /// The CRM rejects every completion of a record.
    pub rejects_completion: bool,
    /// Creates may land after the grace.
    pub breaks_grace: bool,
    /// The Contrary CRM, if this is it. [`records`](CrmState::records) are then copies of its records.
    contrary: Option<Contrary>,
    /// The CRM has refused to look for a record by its key. It may have one.
    pub(super) hides_keyed: bool,
    /// The number of times that the user had to connect again.
    pub(super) reconnections: usize,
    /// The colleague has moved to the other account, and the table does not know it.
    pub(super) has_colleague_moved: bool,
    /// The records whose completion was forbidden. It may be missing in the end.
    pub(super) forbidden_completions: Vec<CallLogId>,
    /// The records whose completion got no response.
    unanswered_completions: Vec<CallLogId>,
    /// The time in milliseconds since 1970.
    now_ms: i64,
    /// The id of the first record.
    first_record: u64,
    /// Requests that were sent while another that may change the same record could still land.
    pub collisions: Vec<String>,
    /// Requests for one call that touched the record of another call.
    pub violations: Vec<String>,
}

thread_local! {
    static CRM: RefCell<CrmState> = RefCell::default();
    static CAPABILITIES: Cell<Capabilities> = const { Cell::new(PLAIN) };
    static DEFECT: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Replaces this thread's CRM by an empty one that can do this. `schedule`: the number of the schedule in its database, which
/// still names the records of the earlier ones.
pub(super) fn renew(capabilities: Capabilities, now_ms: i64, schedule: u64) {
    let first_record = FIRST_RECORD + schedule * RECORDS_PER_SCHEDULE;
    CAPABILITIES.set(capabilities);
    DEFECT.set(None);
    let contrary = (capabilities == kind::contrary()).then(|| Contrary::new(now_ms));
    with(|crm| *crm = CrmState { now_ms, first_record, contrary, ..CrmState::default() });
}

/// Returns what this thread's CRM can do.
pub fn capabilities() -> Capabilities {
    CAPABILITIES.get()
}

/// Injects a defect until the CRM is replaced.
pub fn inject(defect: Defect) {
    DEFECT.set(Some(defect));
}

/// Returns `true` if this defect is injected.
pub(super) fn has(defect: Defect) -> bool {
    DEFECT.get() == Some(defect)
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
    pub fn live_of(&self, call: &CallName) -> impl Iterator<Item = &CrmRecord> {
        self.live().filter(move |record| record.call == *call)
    }

    /// Returns `true` if no request is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.messages.is_empty()
    }

    /// Removes and returns the violations and collisions.
    pub(super) fn take_violations(&mut self) -> Vec<String> {
        let mut all = std::mem::take(&mut self.violations);
        all.append(&mut self.collisions);
        all
    }

    /// Returns the call that a record of this account belongs to.
    pub fn owner(&self, account: Account, id: &CallLogId) -> Option<&CallName> {
        self.records.iter().find(|record| record.has_id(account, id)).map(|record| &record.call)
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
            if let (Some(id), ErrorKind::Forbidden { .. }) = (self.messages[index].request.completes(), &kind)
            {
                self.forbidden_completions.push(id.clone());
            }
            self.messages[index].response = Some(Err(failure(kind, Effect::None)));
        }
    }

    /// The sender of this paused step stops waiting. If its request has not landed, it lands at `lands_at`, but before
    /// `lands_before`; or never. The invocation cannot know which.
    pub fn abandon(&mut self, paused_step: u64, lands_at: Option<i64>, lands_before: i64) {
        if let Some(index) = self.index_of(paused_step) {
            let message = &mut self.messages[index];
            message.lands_before = message.lands_before.min(lands_before);
            let breaks_grace = self.breaks_grace && message.request.creates();
            let bound = if breaks_grace { i64::MAX } else { message.lands_before };
            message.abandoned = Some(Abandoned { lands_at: lands_at.map(|at| at.min(bound - 1)) });
            if let Some(id) = message.request.completes() {
                self.unanswered_completions.push(id.clone());
            }
        }
        self.messages.retain(|message| message.abandoned.is_none() || message.response.is_none());
    }

    fn index_of(&self, paused_step: u64) -> Option<usize> {
        self.messages.iter().position(|message| message.sender.paused_step == paused_step)
    }

    /// A person edits the records that are not deleted.
    pub fn edit(&mut self, edit: &Edit) {
        let ids: Vec<_> = self.live().map(|record| (record.account, record.id.clone())).collect();
        ids.iter().for_each(|(account, id)| self.edit_record(*account, id, edit.clone()));
    }

    /// A person edits this record.
    pub(super) fn edit_record(&mut self, account: Account, id: &CallLogId, edit: Edit) {
        let now_ms = self.now_ms;
        let Some(record) = self.live_mut(account, id) else { return };
        record.edit(edit, now_ms);
        let record = record.clone();
        if let Some(contrary) = &self.contrary {
            contrary.write(&record);
            self.copy_records(None);
        }
    }

    /// Returns `true` if a change may still land.
    pub(super) fn has_change_on_its_way(&self) -> bool {
        self.is_on_its_way(Write::Change)
    }

    fn is_on_its_way(&self, write: Write) -> bool {
        let mut messages = self.messages.iter();
        messages.any(|message| message.response.is_none() && message.request.target().0 == write)
    }

    /// A person deletes the records.
    pub fn delete(&mut self) {
        self.records.iter_mut().for_each(|record| record.deleted_by = Some(Deleter::Person));
        self.contrary.iter().for_each(Contrary::delete);
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
            let id = self.contrary.as_ref().map_or_else(|| self.next_id(record.account), Contrary::duplicate);
            self.records.push(CrmRecord { id, created_by: None, ..record });
        }
    }

    /// Returns the id of the next record of an account. Records of other accounts have the same ids.
    fn next_id(&self, account: Account) -> CallLogId {
        let count = self.records.iter().filter(|record| record.account == account).count();
        let number = self.first_record + count as u64;
        CallLogId::new(number.to_string()).expect("a valid record id")
    }

    /// Lands the abandoned requests that are due, and drops those that can no longer land.
    pub fn advance_to(&mut self, now_ms: i64) {
        let is_due = |message: &Message| message.lands_at().is_some_and(|at| at <= now_ms);
        loop {
            let due = self.messages.iter().enumerate().filter(|(_, message)| is_due(message));
            let Some((index, _)) = due.min_by_key(|(_, message)| message.lands_at()) else { break };
            let message = self.messages.remove(index);
            self.now_ms = message.lands_at().unwrap_or(now_ms).max(self.now_ms);
            let _ = self.carry_out(&message.sender, &message.request);
        }
        self.now_ms = now_ms;
        // Nothing lands after the grace, even if the sender still waits.
        let breaks_grace = self.breaks_grace;
        self.messages.retain(|message| {
            let is_over = message.response.is_none() && message.lands_before <= now_ms;
            let may_land = breaks_grace && message.request.creates();
            !is_over || may_land && message.abandoned != Some(Abandoned { lands_at: None })
        });
    }

    /// Carries a request out and compares the record that it touches with the ground truth.
    fn carry_out(&mut self, sender: &Sender, request: &Request) -> Result<Reply, Error> {
        if self.rejects.is_some_and(|detail| request.writes(detail)) {
            let message = "this detail is not allowed".to_owned();
            return Err(failure(ErrorKind::Rejected { message }, Effect::None));
        }
        if self.rejects_completion && request.completes().is_some() {
            let message = "this record cannot be completed".to_owned();
            return Err(failure(ErrorKind::Rejected { message }, Effect::None));
        }
        let id = match request {
            Request::Http(_, _, http) => {
                let response = self.carry_out_http(http);
                self.copy_records(Some(sender));
                return Ok(Reply::Http(response));
            }
            Request::Create(log) => self.create(sender, log)?,
            Request::Change(id, change) => {
                let other = self.other_record(sender, Defect::ChangesOtherCall);
                let now_ms = self.now_ms;
                let record = self.live_mut(sender.account, other.as_ref().unwrap_or(id));
                let record = record.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
                let is_conflict = change.version.is_some()
                    && change.version != record.shown_version(capabilities().compare_and_set);
                if other.is_none() && is_conflict {
                    return Err(failure(ErrorKind::Conflict, Effect::None));
                }
                record.change(change, now_ms);
                self.changed += 1;
                let touched = other.unwrap_or_else(|| id.clone());
                self.check_owner(sender, &touched, "changed");
                id.clone()
            }
            Request::Complete(id, completion) => {
                let record = self.live_mut(sender.account, id);
                let record = record.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
                match completion {
                    Completion::AddEntry(duration) => record.entries.push(duration.clone()),
                    Completion::CorrectEntry(duration) => record.entries[0].clone_from(duration),
                    Completion::Close => record.is_closed = true,
                }
                self.check_owner(sender, id, "completed");
                id.clone()
            }
            Request::Remove(id) => {
                let other = self.other_record(sender, Defect::ChangesOtherCall);
                let id = other.as_ref().unwrap_or(id);
                if let Some(record) = self.live_mut(sender.account, id) {
                    if !record.edits.is_empty() {
                        return Err(failure(ErrorKind::Conflict, Effect::None));
                    }
                    record.deleted_by = Some(Deleter::Sweep);
                    self.check_owner(sender, id, "deleted");
                }
                id.clone()
            }
        };
        Ok(Reply::Record(id))
    }

    fn create(&mut self, sender: &Sender, log: &NewCallLog) -> Result<CallLogId, Error> {
        if log.recovery == Recovery::ByKey {
            if self.refuses_key {
                return Err(failure(ErrorKind::KeyRefused, Effect::None));
            }
            let hides = self.hides_existing;
            let has_key = |record: &&mut CrmRecord| {
                record.deleted_by.is_none()
                    && record.account == sender.account
                    && record.sent_as == Recovery::ByKey
                    && record.tag == log.tag.as_str()
            };
            if let Some(existing) = self.records.iter_mut().find(has_key) {
                let id = existing.id.clone();
                if has(Defect::CreateOverwrites) {
                    (existing.subject, existing.body) = (log.subject.clone(), log.body.clone());
                    return Ok(id);
                }
                return Err(failure(ErrorKind::AlreadyExists((!hides).then_some(id)), Effect::None));
            }
        }
        let id = self.next_id(sender.account);
        let named = self.other_record(sender, Defect::NamesOtherCall);
        self.records.push(CrmRecord::new(id.clone(), sender, log, self.now_ms));
        match requests::name_of(log) {
            Some(call) if call == sender.call => {}
            call => self.report(sender, format!("created {id} with the payload of {call:?}")),
        }
        Ok(named.unwrap_or(id))
    }

    /// Returns the records that a search in the way of `log` shows.
    fn found(&self, account: Account, log: &NewCallLog) -> Vec<CallLogId> {
        let ways = capabilities().recovery;
        let ignores_start = has(Defect::FindsOtherCalls);
        // A real CRM does not know the session either: an adapter has to recognise a record by its contents or its tag.
        let is_same = |record: &CrmRecord| match ways {
            [Recovery::ByKey, ..] if !ignores_start => {
                record.tag == log.tag.as_str() && record.sent_as.name() == log.recovery.name()
            }
            _ => {
                record.contact == log.contact.as_ref().map(|contact| contact.id.clone())
                    && (ignores_start || record.start == log.facts.start)
            }
        };
        let is_shown = |record: &CrmRecord| match log.recovery {
            Recovery::ByKey => {
                !(has(Defect::KeyNotRead) || has(Defect::EarlierWayForgotten) && self.refuses_key)
            }
            Recovery::ConsistentList => true,
            Recovery::LaggingSearch(_) | Recovery::TagSearch(_) => {
                record.created_at + capabilities().search_lag().as_millis() as i64 <= self.now_ms
            }
            Recovery::None => false,
        };
        let of_account = self.live().filter(|record| record.account == account);
        let found = of_account.filter(|record| is_same(record) && is_shown(record));
        found.map(|record| record.id.clone()).collect()
    }

    fn live_mut(&mut self, account: Account, id: &CallLogId) -> Option<&mut CrmRecord> {
        self.records.iter_mut().find(|record| record.has_id(account, id) && record.deleted_by.is_none())
    }

    /// Returns the record of another call, if this defect is injected.
    fn other_record(&self, sender: &Sender, defect: Defect) -> Option<CallLogId> {
        let mut others =
            self.live().filter(|record| record.account == sender.account && record.call != sender.call);
        has(defect).then(|| others.next().map(|record| record.id.clone()))?
    }

    /// Reports a request that has touched the record of another call.
    fn check_owner(&mut self, sender: &Sender, id: &CallLogId, what: &str) {
        if let Some(owner) = self.owner(sender.account, id).filter(|owner| **owner != sender.call).cloned() {
            self.report(sender, format!("{what} the record {id} of call {owner}"));
        }
    }

    fn report(&mut self, sender: &Sender, what: String) {
        let Sender { invocation, paused_step, call, .. } = sender;
        let violation = format!("an attempt for call {call} (#{invocation}, pause {paused_step}) {what}");
        self.violations.push(violation);
    }

    /// Puts a message on its way. Two requests that may change one record must never be on their way at the same time.
    fn receive(&mut self, message: Message) {
        let others =
            self.messages.iter().filter(|other| other.response.is_none() && other.may_collide(&message));
        for other in others {
            self.collisions.push(format!(
                "a request is sent while {} may still land, until {}",
                if other.request.creates() { "a create" } else { "a change" },
                other.lands_before
            ));
        }
        self.messages.push(message);
    }

    /// Removes the message of this paused step and returns the response to it.
    fn response_to(&mut self, paused_step: u64) -> Result<Reply, Error> {
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
