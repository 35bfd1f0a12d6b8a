//! The oracle: completes every call, then checks every promise.
//!
//! It decides by ground truth which record belongs to which call: by the call for which the invocation acted that
//! created the record ([`crm::CrmRecord::call`]). It never compares contacts, times, subjects or bodies to decide that,
//! and it uses none of the application's functions that recognise a record. So it finds a record that the application
//! mistakes for that of another call.

use call_log::{
    adapters::{ErrorKind, Recovery},
    delivery::{Failure, create, update},
    model::{CallDetails, CallLogId, UserId},
    store::{CallItem, QueuedUpdate, State},
};

use super::{
    crm::{self, CrmRecord, Deleter, record::Allowed},
    driver::{Driver, Interaction},
    requests::{Call, CallName, Detail, Field, Request, Response},
    senders::{Account, Who},
    table,
};

/// The number of delivery attempts after which a call counts as stuck.
const MAX_ROUNDS: usize = 12;
const MINUTE_MS: i64 = 60_000;
/// The remark that a note has if a person has edited it.
const EDITED: &str = "edited in the CRM";

/// The assumptions of the protocol that a schedule broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokenAssumptions {
    /// A request to the CRM landed after the grace.
    pub late_crm_writes: bool,
    /// A write to the table was carried out after the SDK had given it up.
    pub late_table_writes: bool,
}

/// The way in which the calls of a schedule are completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The client sends its requests again until the call is logged.
    Client,
    /// No request comes any more: redrives deliver what is due.
    Redrive,
}

/// Completes the calls. Returns the broken promises.
///
/// # Panics
///
/// Panics if the table does not respond.
pub async fn complete(
    driver: &mut Driver<'_>,
    completion: Completion,
    broken_assumptions: BrokenAssumptions,
) -> Vec<String> {
    driver.add_trace(|| format!("completion: {completion:?}"));
    table::disarm();
    while let Some(write) = table::deliver_late_write() {
        driver.add_trace(|| format!("a late write arrives: {write}"));
    }
    let mut items = read_items(driver).await;
    for round in 0.. {
        if is_complete(driver, &items) {
            break;
        }
        if round == MAX_ROUNDS {
            return vec![format!("delivery does not end: {items:?}")];
        }
        let due = items.iter().filter_map(|(_, item)| item.as_ref()?.due_at).max().unwrap_or(0);
        driver.advance(MINUTE_MS.max(due - driver.now_ms())).await;
        driver.connect_again().await;
        // What waits for a user who moved is discarded by the redrive alone.
        let mut needs_redrive = completion == Completion::Redrive || driver.has_moved();
        for (call, item) in items.iter().filter(|_| completion == Completion::Client) {
            if is_unlogged(item.as_ref()) {
                driver.start_for(call, Request::Create).await;
            } else if round < 2 {
                driver.start_for(call, Request::Update(Vec::new())).await;
            } else {
                needs_redrive = true;
            }
        }
        if needs_redrive {
            driver.start(Request::Redrive).await;
        }
        driver.run_to_end().await;
        items = read_items(driver).await;
    }
    check(driver, &items, broken_assumptions).await
}

async fn read_items(driver: &Driver<'_>) -> Vec<(Call, Option<CallItem>)> {
    let mut items = Vec::new();
    for call in driver.calls() {
        items.push((call.clone(), driver.item(call).await));
    }
    items
}

fn is_unlogged(item: Option<&CallItem>) -> bool {
    item.is_some_and(|item| item.log_id.is_none() && item.state != State::Queued)
}

/// Returns `true` if nothing is left to be delivered and no message is on its way.
fn is_complete(driver: &Driver<'_>, items: &[(Call, Option<CallItem>)]) -> bool {
    let is_settled = |item: &CallItem| {
        // No other user can find out what an attempt of the colleague did. It waits for days.
        let has_creator_moved = driver.has_moved() && item.creator.as_ref().is_some_and(is_colleague);
        if has_creator_moved && item.outcome_unknown && item.lease_holder.is_none() {
            return true;
        }
        let is_free =
            item.lease_holder.is_none() && item.lease_expires_at <= driver.now_ms() && item.due_at.is_none();
        let is_unfinished = matches!(item.state, State::Creating | State::OutcomeUnknown)
            || item.state == State::Retry && item.payload.is_some();
        is_free && !is_unfinished
    };
    items.iter().all(|(_, item)| item.as_ref().is_none_or(is_settled)) && crm::with(|crm| crm.is_quiet())
}

async fn check(
    driver: &Driver<'_>,
    items: &[(Call, Option<CallItem>)],
    broken_assumptions: BrokenAssumptions,
) -> Vec<String> {
    let (records, mut violations, collisions) = crm::with(|crm| {
        let (violations, collisions) = (&mut crm.violations, &mut crm.collisions);
        (crm.records.clone(), std::mem::take(violations), std::mem::take(collisions))
    });
    if !broken_assumptions.late_crm_writes {
        violations.extend(collisions);
    }
    for record in &records {
        if items.iter().any(|(call, _)| call.name == record.call && call.account != record.account) {
            let (id, call) = (&record.id, &record.call);
            violations.push(format!("the record {id} of {call} was created in another account"));
        }
        if !items.iter().any(|(call, _)| call.name == record.call) {
            violations.push(format!(
                "the record {} was created for {}, a call of another schedule",
                record.id, record.call
            ));
        }
    }
    let interactions = driver.interactions();
    for (call, item) in items {
        let (own, others): (Vec<_>, Vec<_>) =
            interactions.iter().partition(|interaction| interaction.call == Some(call));
        let records = records.iter().filter(|record| record.call == call.name).collect();
        let logs = driver.logs(call).await;
        if logs.len() > 1 {
            violations.push(format!("call {}: it has {} logs: {logs:?}", call.name, logs.len()));
        }
        let waiting_room = driver.waiting_room(call).await;
        let view = CallView {
            call,
            item: item.as_ref(),
            waiting: waiting_room.map(|item| item.waiting).unwrap_or_default(),
            records,
            own,
            others,
            has_moved: driver.has_moved(),
            broken_assumptions,
            interruptions: driver.interruptions(),
        };
        violations.extend(
            view.violations().into_iter().map(|violation| format!("call {}: {violation}", call.name)),
        );
    }
    violations
}

/// Everything about one call.
struct CallView<'a> {
    call: &'a Call,
    item: Option<&'a CallItem>,
    /// The updates that wait until their call has a log.
    waiting: Vec<QueuedUpdate>,
    /// The records that belong to the call by ground truth, also deleted ones.
    records: Vec<&'a CrmRecord>,
    /// The requests for the call.
    own: Vec<&'a Interaction<'a>>,
    /// The requests for other calls.
    others: Vec<&'a Interaction<'a>>,
    /// The colleague has moved to another account. What waited for them then is discarded.
    has_moved: bool,
    broken_assumptions: BrokenAssumptions,
    /// The number of crashes, lost responses and pauses.
    interruptions: usize,
}

impl CallView<'_> {
    /// Returns the broken promises.
    fn violations(&self) -> Vec<String> {
        let mut violations = self.ids_of_other_calls();
        let live: Vec<&CrmRecord> =
            self.records.iter().copied().filter(|record| record.deleted_by.is_none()).collect();
        let created = self.records.iter().filter(|record| record.created_by.is_some()).count();
        if self.records.iter().any(|record| record.deleted_by == Some(Deleter::Person)) {
            if created != 1 || !live.is_empty() {
                violations.push("the record that a person deleted was created again".to_owned());
            }
            return violations;
        }
        let late = self.broken_assumptions.late_crm_writes;
        let is_of_colleague = |interaction: &Interaction<'_>| {
            interaction.request.is_create()
                && interaction.origin.is_some_and(|origin| origin.who == Who::Colleague)
        };
        let is_discarded = self.has_moved && self.own.iter().any(|own| is_of_colleague(own));
        // A CRM that shows nothing gets a create again if the outcome is unknown. That may make a further record. So does
        // one whose administrator switched off the keys by which it would have shown the record, and a create after one
        // that was discarded.
        let may_repeat = is_discarded
            || crm::capabilities().recovery.contains(&Recovery::None)
            || crm::with(|crm| crm.hides_keyed);
        let most = if may_repeat { 1 + self.interruptions } else { 1 };
        // A call that the CRM rejects, or whose user is not connected, is given up. Alarms report that.
        let is_given_up =
            self.item.is_some_and(|item| matches!(item.state, State::DeadLetter | State::Retry));
        let is_promised = !is_given_up
            && !is_discarded
            && self.own.iter().any(|interaction| interaction.response.is_some_and(promises_record));
        if created > most && !late || live.len() > most || is_promised && live.is_empty() {
            violations.push(format!("{created} records were created, {} exist", live.len()));
        }
        let is_unnamed =
            |response: &Response| matches!(response, Response::Create(Ok(create::Outcome::NoContact { .. })));
        if self.own.iter().any(|interaction| interaction.response.is_some_and(is_unnamed)) {
            violations.push("the contact was not found".to_owned());
        }
        let named = self.item.and_then(|item| item.log_id.as_ref());
        let record = live.iter().copied().find(|record| Some(&record.id) == named).or(live.first().copied());
        for id in self.own.iter().filter_map(|interaction| interaction.response?.record()) {
            let is_own = record.is_some_and(|record| record.id == *id)
                || may_repeat && live.iter().any(|record| record.id == *id);
            if !late && !is_own {
                violations.push(format!("a response names the record {id}, which is not the call's record"));
            }
        }
        let is_forgotten = is_discarded && self.item.is_none_or(|item| item.log_id.is_none());
        if named != record.map(|record| &record.id) && !is_forgotten {
            violations.push(format!("the item does not name the record: {:?}", self.item));
        }
        if let Some(item) = self.item.filter(|item| item.state == State::Logged) {
            let is_clean = item.recovery_criteria.is_empty()
                && item.payload.is_none()
                && !item.outcome_unknown
                && !item.has_undelivered();
            if !is_discarded && (!is_clean || !item.queue.is_empty()) {
                violations.push(format!("the item of a logged call is not clean: {item:?}"));
            }
        }
        match record.filter(|_| !is_forgotten) {
            Some(record) => {
                violations.extend(record.lost_edits());
                let allowed = crm::with(|crm| match () {
                    () if crm.rejects_completion => Allowed::Never,
                    // No other user may ever write to the log of a colleague who moved.
                    () if self.has_moved || crm.forbidden_completions.contains(&record.id) => {
                        Allowed::Sometimes
                    }
                    () => Allowed::Always,
                });
                violations.extend(record.completion_problem(&crm::capabilities(), allowed));
                // The note of another user counts as a person's text.
                let is_of_one_user = self.own.iter().all(|own| is_of_same_user(own, self.own[0]));
                if record.edits.is_empty() && is_of_one_user && !late && record.body.contains(EDITED) {
                    let body = &record.body;
                    violations.push(format!("the note counts as edited, and no person edited it: {body}"));
                }
                if record.start.map(|start| start.timestamp_millis()) != self.call.start_ms {
                    violations.push(format!("the record {} has the start of another call", record.id));
                }
                let is_there = |detail: Detail| detail.is_kept_in(record);
                violations.extend(self.missing_details(is_there));
                violations.extend(self.details_of_other_calls(record));
            }
            None => {
                let queued = self.item.into_iter().flat_map(|item| &item.queue).chain(&self.waiting);
                let queued: Vec<_> = queued.map(|update| &update.details).collect();
                let is_there = |detail| queued.iter().any(|queued| is_queued(queued, detail));
                violations.extend(self.missing_details(is_there));
            }
        }
        violations
    }

    /// Returns a violation for each record of another call that the item or a response names.
    fn ids_of_other_calls(&self) -> Vec<String> {
        let in_item = self.item.and_then(|item| item.log_id.as_ref()).map(|id| ("the item", id));
        let in_responses = self.own.iter().filter_map(|interaction| interaction.response?.record());
        let named = in_item.into_iter().chain(in_responses.map(|id| ("a response", id)));
        let owner = |id: &CallLogId| owner_of(self.call.account, id);
        let is_other = |id: &CallLogId| owner(id).is_some_and(|owner| owner != self.call.name);
        let others = named.filter(|(_, id)| is_other(id));
        others.map(|(what, id)| format!("{what} names the record {id} of another call")).collect()
    }

    /// Returns a violation for each detail in the record that only another call's updates brought.
    fn details_of_other_calls(&self, record: &CrmRecord) -> Vec<String> {
        let foreign = self.others.iter().flat_map(|interaction| interaction.request.details());
        let foreign = foreign.filter(|detail| detail.is_in(record));
        let details =
            foreign.map(|detail| format!("{detail:?} of another call is in the record {}", record.id));
        let others = self.others.iter().filter_map(|interaction| interaction.call);
        let notes = others.map(Call::note).filter(|note| record.body.contains(note));
        details
            .chain(notes.map(|note| format!("{note:?} of another call is in the record {}", record.id)))
            .collect()
    }

    /// Returns a violation for each detail that a caller was promised and that is neither there nor replaced by a later one.
    fn missing_details(&self, is_there: impl Fn(Detail) -> bool) -> Vec<String> {
        let is_discarded = |interaction: &&&Interaction<'_>| {
            self.has_moved && interaction.origin.is_some_and(|origin| origin.who == Who::Colleague)
        };
        let (discarded, lasting): (Vec<_>, Vec<_>) = self.own.iter().partition(|own| is_discarded(own));
        missing_details(&lasting, &discarded, self.broken_assumptions, is_there)
    }
}

/// Returns the call that a record of this account belongs to.
pub(super) fn owner_of(account: Account, id: &CallLogId) -> Option<CallName> {
    crm::with(|crm| crm.owner(account, id).cloned())
}

fn is_queued(queued: &CallDetails, detail: Detail) -> bool {
    let Ok(serde_json::Value::Object(wanted)) = serde_json::to_value(detail.call_details()) else {
        return false;
    };
    let queued = serde_json::to_value(queued).unwrap_or_default();
    let mut wanted = wanted.iter().filter(|(_, value)| !value.is_null() && !value.is_array());
    wanted.all(|(name, value)| queued[name] == *value)
}

/// Returns the broken promises about details: for each field that a caller was promised, a value has to be there that
/// no later promise replaces. `discarded`: requests that may replace a value, and promise nothing.
pub(super) fn missing_details(
    interactions: &[&Interaction<'_>],
    discarded: &[&Interaction<'_>],
    broken_assumptions: BrokenAssumptions,
    is_there: impl Fn(Detail) -> bool,
) -> Vec<String> {
    let mut updates: Vec<(Detail, &Interaction<'_>)> = Vec::new();
    for interaction in interactions.iter().chain(discarded) {
        updates.extend(interaction.request.details().iter().map(|detail| (*detail, *interaction)));
    }
    let rejected = crm::with(|crm| crm.rejects);
    let mut violations = Vec::new();
    for (detail, update) in &updates {
        // A later value replaces the detail also if the CRM then rejects that value.
        let is_rejected_rival = |(rival, other): &(Detail, &Interaction<'_>)| {
            rival.field == detail.field && Some(*rival) == rejected && other.ended >= update.began
        };
        let is_discarded = discarded.iter().any(|other| other.began == update.began);
        // A create of the same user replaces a cached note.
        let is_cached = matches!(update.request, Request::CacheNote(_));
        if is_discarded
            || is_cached
            || !update.response.is_some_and(promises_details)
            || updates.iter().any(is_rejected_rival)
        {
            continue;
        }
        // A late write to the table can bring an older value back.
        let is_rival = |rival: &Detail, other: &Interaction<'_>| {
            rival.field == detail.field
                // The notes of two people both stay.
                && (rival.field != Field::Note || is_of_same_user(update, other))
                && (broken_assumptions.late_table_writes || other.ended >= update.began)
        };
        let mut rivals = updates.iter().filter(|(rival, other)| is_rival(rival, other));
        if !rivals.any(|(rival, _)| is_there(*rival)) {
            violations.push(format!("{detail:?} was promised and is not there"));
        }
    }
    violations
}

fn is_colleague(user: &UserId) -> bool {
    crm::REGISTRY.iter().any(|crm| Who::Colleague.key(*crm).id == *user)
}

fn is_of_same_user(one: &Interaction<'_>, other: &Interaction<'_>) -> bool {
    one.origin.map(|origin| origin.who) == other.origin.map(|origin| origin.who)
}

/// Returns `true` if the caller may rely on the call being logged without another request.
fn promises_record(response: &Response) -> bool {
    use create::Outcome;
    match response {
        Response::Create(Ok(outcome)) => match outcome {
            Outcome::Logged { .. } | Outcome::AlreadyLogged(_) | Outcome::BeingLogged => true,
            Outcome::Unsettled { is_deferred, .. } | Outcome::Failed { is_deferred, .. } => *is_deferred,
            Outcome::NoContact { .. } | Outcome::NotConnected | Outcome::Moved => false,
        },
        _ => false,
    }
}

/// Returns `true` if the caller may rely on the update being in the record once there is one.
fn promises_details(response: &Response) -> bool {
    use update::Outcome;
    match response {
        Response::Update(Ok(outcome)) => match outcome {
            Outcome::Updated { .. }
            | Outcome::UpdatedByOther { .. }
            | Outcome::Queued { .. }
            | Outcome::WaitingForCall
            | Outcome::LoggedAgain { .. } => true,
            Outcome::Failed { failure: Failure::Crm(error), .. } => {
                !matches!(error.kind, ErrorKind::Rejected { .. })
            }
            Outcome::Failed { .. } => true,
            Outcome::Deleted | Outcome::SeveralLogs | Outcome::NotConnected | Outcome::Moved => false,
        },
        _ => false,
    }
}

/// Returns the id of the record, if the response to a create says that the call is logged.
pub(super) fn logged_record(response: &Response) -> Option<&CallLogId> {
    match response {
        Response::Create(_) => response.record(),
        Response::Update(_) | Response::Redrive(_) => None,
    }
}
