//! The oracle: completes every call, then checks every promise.

use call_log::{
    adapters::ErrorKind,
    delivery::{create, grant::Failure, update},
    model::CallDetails,
    store::{CallItem, State},
};

use super::{
    crm::{self, CrmRecord},
    driver::{Driver, Interaction},
    requests::{Detail, Request, Response},
    table,
};

/// How many times delivery is tried again before a call counts as stuck.
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

/// How the calls of a schedule are completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The client sends its requests again until the call is logged.
    Client,
    /// No request comes any more: redrives deliver what is due.
    Redrive,
}

/// Completes the call. Returns the broken promises.
///
/// # Panics
///
/// Panics if the table does not respond.
pub async fn complete(
    driver: &mut Driver<'_>,
    completion: Completion,
    broken_assumptions: BrokenAssumptions,
) -> Vec<String> {
    driver.record(|| format!("completion: {completion:?}"));
    table::disarm();
    while let Some(write) = table::deliver_late_write() {
        driver.record(|| format!("a late write arrives: {write}"));
    }
    let mut item = driver.item().await;
    for round in 0.. {
        if is_complete(driver, item.as_ref()) {
            break;
        }
        if round == MAX_ROUNDS {
            return vec![format!("delivery does not end: {item:?}")];
        }
        let due = item.as_ref().and_then(|item| item.due_at).unwrap_or(0);
        driver.advance(MINUTE_MS.max(due - driver.now_ms())).await;
        if completion == Completion::Client && is_unlogged(item.as_ref()) {
            driver.start(Request::Create).await;
        } else if completion == Completion::Client && round < 2 {
            driver.start(Request::Update(Vec::new())).await;
        } else {
            driver.start(Request::Redrive).await;
        }
        driver.run_to_end().await;
        item = driver.item().await;
    }
    let collisions = crm::with(|crm| std::mem::take(&mut crm.violations));
    let mut violations = if broken_assumptions.late_crm_writes { Vec::new() } else { collisions };
    check(driver, item.as_ref(), broken_assumptions, &mut violations);
    violations
}

fn is_unlogged(item: Option<&CallItem>) -> bool {
    item.is_some_and(|item| item.log_id.is_none() && item.state != State::Queued)
}

/// Returns `true` if nothing is left to be delivered and no message is on its way.
fn is_complete(driver: &Driver<'_>, item: Option<&CallItem>) -> bool {
    let is_settled = item.is_none_or(|item| {
        let is_free =
            item.lease_holder.is_none() && item.lease_expires_at <= driver.now_ms() && item.due_at.is_none();
        let is_unfinished = matches!(item.state, State::Creating | State::OutcomeUnknown)
            || item.state == State::Retry && item.payload.is_some();
        is_free && !is_unfinished
    });
    is_settled && crm::with(|crm| crm.messages.is_empty())
}

fn check(
    driver: &Driver<'_>,
    item: Option<&CallItem>,
    broken_assumptions: BrokenAssumptions,
    violations: &mut Vec<String>,
) {
    let interactions = driver.interactions();
    let (records, created) = crm::with(|crm| (crm.records.clone(), crm.created));
    let live: Vec<&CrmRecord> = records.iter().filter(|record| !record.is_deleted).collect();
    if crm::with(|crm| crm.is_deleted) {
        if created != 1 || !live.is_empty() {
            violations.push("the record that a person deleted was created again".to_owned());
        }
        return;
    }
    let late = broken_assumptions.late_crm_writes;
    // A call that the CRM rejects, or whose user is not connected, is given up. Alarms report that.
    let is_given_up = item.is_some_and(|item| matches!(item.state, State::DeadLetter | State::Retry));
    let is_promised = !is_given_up
        && interactions.iter().any(|interaction| interaction.response.is_some_and(promises_record));
    if created > 1 && !late || live.len() > 1 || is_promised && live.is_empty() {
        violations.push(format!("{created} records were created, {} exist", live.len()));
    }
    for id in interactions.iter().filter_map(|interaction| interaction.response?.record()) {
        if !late && live.first().is_none_or(|record| record.id != *id) {
            violations.push(format!("a response names the record {id}, which is not the call's record"));
        }
    }
    if item.and_then(|item| item.log_id.as_ref()) != live.first().map(|record| &record.id) {
        violations.push(format!("the item does not name the record: {item:?}"));
    }
    if let Some(item) = item.filter(|item| item.state == State::Logged) {
        let is_clean = item.recovery_criteria.is_empty()
            && item.payload.is_none()
            && !item.outcome_unknown
            && !item.waits();
        if !is_clean || item.queued_details != CallDetails::default() {
            violations.push(format!("the item of a logged call is not clean: {item:?}"));
        }
    }
    match live.first() {
        Some(record) if !record.is_edited && !late && record.body.contains(EDITED) => {
            violations.push(format!("the note counts as edited, and no person edited it: {}", record.body));
        }
        Some(record) => {
            check_details(&interactions, broken_assumptions, |detail| detail.is_in(record), violations);
        }
        None => {
            let queued = item.map(|item| item.queued_details.clone()).unwrap_or_default();
            check_details(&interactions, broken_assumptions, |detail| is_queued(&queued, detail), violations);
        }
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

/// Returns the broken promises about the details in a record.
pub(super) fn missing_details(interactions: &[Interaction<'_>], record: &CrmRecord) -> Vec<String> {
    let mut violations = Vec::new();
    let is_there = |detail: Detail| detail.is_in(record);
    check_details(interactions, BrokenAssumptions::default(), is_there, &mut violations);
    violations
}

/// Checks that, for each field that a caller was promised, a value is there that no later promise replaces.
fn check_details(
    interactions: &[Interaction<'_>],
    broken_assumptions: BrokenAssumptions,
    is_there: impl Fn(Detail) -> bool,
    violations: &mut Vec<String>,
) {
    let updates: Vec<(Detail, &Interaction<'_>)> = interactions
        .iter()
        .filter_map(|interaction| match interaction.request {
            Request::Update(details) => Some(details.iter().map(move |detail| (*detail, interaction))),
            Request::Create | Request::CreateWithOtherContact | Request::Redrive => None,
        })
        .flatten()
        .collect();
    let rejected = crm::with(|crm| crm.rejects);
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
}

/// Returns `true` if the caller may rely on the call being logged without another request.
fn promises_record(response: &Response) -> bool {
    use create::Outcome;
    match response {
        Response::Create(Ok(outcome)) => match outcome {
            Outcome::Logged(_) | Outcome::AlreadyLogged(_) | Outcome::BeingLogged => true,
            Outcome::Unsettled { is_deferred, .. } | Outcome::Failed { is_deferred, .. } => *is_deferred,
            Outcome::NoContact { .. } | Outcome::NotConnected => false,
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
            | Outcome::WaitingForCall => true,
            Outcome::Failed { failure: Failure::Crm(error), .. } => {
                !matches!(error.kind, ErrorKind::Rejected { .. })
            }
            Outcome::Failed { .. } => true,
            Outcome::Deleted | Outcome::NotConnected => false,
        },
        _ => false,
    }
}

/// Returns `true` if the response to a create says that the call is logged.
pub(super) fn is_logged(response: &Response) -> bool {
    matches!(response, Response::Create(Ok(create::Outcome::Logged(_) | create::Outcome::AlreadyLogged(_))))
}
