//! The oracle: completes every call, then checks every promise.
//!
//! It decides by ground truth which record belongs to which call: by the call for which the invocation acted that
//! created the record ([`crm::CrmRecord::call`]). It never compares contacts, times, subjects or bodies to decide that,
//! and it uses none of the application's functions that recognise a record. So it finds a record that the application
//! mistakes for that of another call.

use call_log::{
    adapters::{ErrorKind, Recovery},
    delivery::{Failure, create, update},
    model::{CallDetails, CallLogId, SessionId},
    store::{CallItem, State},
};

use super::{
    crm::{self, CrmRecord, Deleter, record::Allowed},
    driver::{Driver, Interaction},
    requests::{Call, Detail, Request, Response},
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
        let mut needs_redrive = completion == Completion::Redrive;
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
    check(driver, &items, broken_assumptions)
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
        let is_free =
            item.lease_holder.is_none() && item.lease_expires_at <= driver.now_ms() && item.due_at.is_none();
        let is_unfinished = matches!(item.state, State::Creating | State::OutcomeUnknown)
            || item.state == State::Retry && item.payload.is_some();
        is_free && !is_unfinished
    };
    items.iter().all(|(_, item)| item.as_ref().is_none_or(is_settled)) && crm::with(|crm| crm.is_quiet())
}

fn check(
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
        if !items.iter().any(|(call, _)| call.session == record.call) {
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
        let records = records.iter().filter(|record| record.call == call.session).collect();
        let view = CallView {
            call,
            item: item.as_ref(),
            records,
            own,
            others,
            broken_assumptions,
            interruptions: driver.interruptions(),
        };
        violations.extend(
            view.violations().into_iter().map(|violation| format!("call {}: {violation}", call.session)),
        );
    }
    violations
}

/// Everything about one call.
struct CallView<'a> {
    call: &'a Call,
    item: Option<&'a CallItem>,
    /// The records that belong to the call by ground truth, also deleted ones.
    records: Vec<&'a CrmRecord>,
    /// The requests for the call.
    own: Vec<&'a Interaction<'a>>,
    /// The requests for other calls.
    others: Vec<&'a Interaction<'a>>,
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
        // A CRM that shows nothing gets a create again if the outcome is unknown. That may make a further record. So does
        // one whose administrator switched off the keys by which it would have shown the record.
        let may_repeat =
            crm::capabilities().recovery.contains(&Recovery::None) || crm::with(|crm| crm.hides_keyed);
        let most = if may_repeat { 1 + self.interruptions } else { 1 };
        // A call that the CRM rejects, or whose user is not connected, is given up. Alarms report that.
        let is_given_up =
            self.item.is_some_and(|item| matches!(item.state, State::DeadLetter | State::Retry));
        let is_promised = !is_given_up
            && self.own.iter().any(|interaction| interaction.response.is_some_and(promises_record));
        if created > most && !late || live.len() > most || is_promised && live.is_empty() {
            violations.push(format!("{created} records were created, {} exist", live.len()));
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
        if named != record.map(|record| &record.id) {
            violations.push(format!("the item does not name the record: {:?}", self.item));
        }
        if let Some(item) = self.item.filter(|item| item.state == State::Logged) {
            let is_clean = item.recovery_criteria.is_empty()
                && item.payload.is_none()
                && !item.outcome_unknown
                && !item.has_undelivered();
            if !is_clean || !item.queue.is_empty() {
                violations.push(format!("the item of a logged call is not clean: {item:?}"));
            }
        }
        match record {
            Some(record) => {
                violations.extend(record.lost_edits());
                let allowed = crm::with(|crm| match () {
                    () if crm.rejects_completion => Allowed::Never,
                    () if crm.forbidden_completions.contains(&record.id) => Allowed::Sometimes,
                    () => Allowed::Always,
                });
                violations.extend(record.completion_problem(&crm::capabilities(), allowed));
                if record.edits.is_empty() && !late && record.body.contains(EDITED) {
                    let body = &record.body;
                    violations.push(format!("the note counts as edited, and no person edited it: {body}"));
                }
                if record.start.map(|start| start.timestamp_millis()) != Some(self.call.start_ms) {
                    violations.push(format!("the record {} has the start of another call", record.id));
                }
                let is_there = |detail: Detail| detail.is_kept_in(record);
                violations.extend(missing_details(&self.own, self.broken_assumptions, is_there));
                violations.extend(self.details_of_other_calls(record));
            }
            None => {
                let queued = self.item.into_iter().flat_map(|item| item.queue.iter().chain(&item.waiting));
                let queued = queued.fold(CallDetails::default(), |all, update| all.overlay(&update.details));
                let is_there = |detail| is_queued(&queued, detail);
                violations.extend(missing_details(&self.own, self.broken_assumptions, is_there));
            }
        }
        violations
    }

    /// Returns a violation for each record of another call that the item or a response names.
    fn ids_of_other_calls(&self) -> Vec<String> {
        let in_item = self.item.and_then(|item| item.log_id.as_ref()).map(|id| ("the item", id));
        let in_responses = self.own.iter().filter_map(|interaction| interaction.response?.record());
        let named = in_item.into_iter().chain(in_responses.map(|id| ("a response", id)));
        let is_other = |id: &CallLogId| owner_of(id).is_some_and(|owner| owner != self.call.session);
        let others = named.filter(|(_, id)| is_other(id));
        others.map(|(what, id)| format!("{what} names the record {id} of another call")).collect()
    }

    /// Returns a violation for each detail in the record that only another call's updates brought.
    fn details_of_other_calls(&self, record: &CrmRecord) -> Vec<String> {
        let foreign = self.others.iter().flat_map(|interaction| details_of(interaction.request));
        let foreign = foreign.filter(|detail| detail.is_in(record));
        foreign.map(|detail| format!("{detail:?} of another call is in the record {}", record.id)).collect()
    }
}

/// Returns the call that a record belongs to.
pub(super) fn owner_of(id: &CallLogId) -> Option<SessionId> {
    crm::with(|crm| crm.owner(id).cloned())
}

fn details_of(request: &Request) -> &[Detail] {
    match request {
        Request::Update(details) => details,
        Request::Create | Request::CreateWithOtherContact | Request::Redrive => &[],
    }
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
/// no later promise replaces.
pub(super) fn missing_details(
    interactions: &[&Interaction<'_>],
    broken_assumptions: BrokenAssumptions,
    is_there: impl Fn(Detail) -> bool,
) -> Vec<String> {
    let mut updates: Vec<(Detail, &Interaction<'_>)> = Vec::new();
    for interaction in interactions {
        updates.extend(details_of(interaction.request).iter().map(|detail| (*detail, *interaction)));
    }
    let rejected = crm::with(|crm| crm.rejects);
    let mut violations = Vec::new();
    for (detail, update) in &updates {
        // A later value replaces the detail also if the CRM then rejects that value.
        let is_rejected_rival = |(rival, other): &(Detail, &Interaction<'_>)| {
            rival.field == detail.field && Some(*rival) == rejected && other.ended >= update.began
        };
        if !update.response.is_some_and(promises_details) || updates.iter().any(is_rejected_rival) {
            continue;
        }
        // A late write to the table can bring an older value back.
        let is_rival = |rival: &Detail, other: &Interaction<'_>| {
            rival.field == detail.field
                && (broken_assumptions.late_table_writes || other.ended >= update.began)
        };
        let mut rivals = updates.iter().filter(|(rival, other)| is_rival(rival, other));
        if !rivals.any(|(rival, _)| is_there(*rival)) {
            violations.push(format!("{detail:?} was promised and is not there"));
        }
    }
    violations
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
