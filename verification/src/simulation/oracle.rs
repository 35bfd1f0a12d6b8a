//! What must hold in the end.

use call_log::{
    adapters::ErrorKind,
    delivery::{Failure, create, update},
    model::CallDetails,
    store::{CallItem, State},
};

use super::{
    crm::{self, Entry},
    driver::{Driver, Told},
    requests::{Answer, Fact, Request},
    table,
};

/// How often what is left is taken up again before it is taken for lost.
const ROUNDS: usize = 12;
const MINUTE_MS: i64 = 60_000;
/// What a note says of what a person has made of it.
const EDITED: &str = "edited in the CRM";

/// What a schedule did that the assumptions do not cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// A message to the CRM landed after the grace.
    pub grace: bool,
    /// A write to the table was carried out after the SDK had given it up.
    pub late_writes: bool,
}

/// How an unfinished call is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The client sends again what it was not told is done.
    Client,
    /// Nobody asks any more: what is due is delivered.
    Redrive,
}

/// Lets everything come to its end, and says what is wrong then.
pub async fn finish(driver: &mut Driver<'_>, finish: Finish, beyond: Beyond) -> Vec<String> {
    driver.note(|| format!("to the end: {finish:?}"));
    table::disarm();
    while let Some(what) = table::arrive() {
        driver.note(|| format!("a late write arrives: {what}"));
    }
    let mut item = read(driver).await;
    for round in 0.. {
        if is_quiet(driver, item.as_ref()) {
            break;
        }
        if round == ROUNDS {
            return vec![format!("the call never comes to rest: {item:?}")];
        }
        let due = item.as_ref().and_then(|item| item.due_at).unwrap_or(0);
        driver.pass(MINUTE_MS.max(due - driver.now_ms())).await;
        if finish == Finish::Client && is_unlogged(item.as_ref()) {
            driver.start(Request::Create).await;
        } else if finish == Finish::Client && round < 2 {
            driver.start(Request::Update(Vec::new())).await;
        } else {
            driver.start(Request::Redrive).await;
        }
        driver.settle().await;
        item = read(driver).await;
    }
    let broken = crm::with(|account| std::mem::take(&mut account.broken));
    let mut wrong = if beyond.grace { Vec::new() } else { broken };
    judge(driver, item.as_ref(), beyond, &mut wrong);
    wrong
}

async fn read(driver: &Driver<'_>) -> Option<CallItem> {
    let key = driver.caller().call(&driver.session, None);
    driver.app().store.call(&key).await.expect("the table answers")
}

fn is_unlogged(item: Option<&CallItem>) -> bool {
    item.is_some_and(|item| item.log_id.is_none() && item.state != State::Queued)
}

/// Whether nothing is left to be done by anybody.
fn is_quiet(driver: &Driver<'_>, item: Option<&CallItem>) -> bool {
    let is_settled = item.is_none_or(|item| {
        let is_free =
            item.lease_holder.is_none() && item.lease_expires_at <= driver.now_ms() && item.due_at.is_none();
        let is_left = matches!(item.state, State::Creating | State::OutcomeUnknown)
            || item.state == State::Retry && item.payload.is_some();
        is_free && !is_left
    });
    is_settled && crm::with(|account| account.messages.is_empty())
}

fn judge(driver: &Driver<'_>, item: Option<&CallItem>, beyond: Beyond, wrong: &mut Vec<String>) {
    let told = driver.told();
    let (entries, created) = crm::with(|account| (account.entries.clone(), account.created));
    let live: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_deleted).collect();
    if crm::with(|account| account.is_deleted) {
        if created != 1 || !live.is_empty() {
            wrong.push("the log that was deleted has come back".to_owned());
        }
        return;
    }
    // What is refused for good, or has nobody to be logged for, is given up, and that is told elsewhere.
    let is_given_up = item.is_some_and(|item| matches!(item.state, State::DeadLetter | State::Retry));
    let is_promised = !is_given_up && told.iter().any(|told| told.answer.is_some_and(promises_log));
    if created > 1 && !beyond.grace || live.len() > 1 || is_promised && live.is_empty() {
        wrong.push(format!("{created} logs were made, {} are there", live.len()));
    }
    for log in told.iter().filter_map(|told| told.answer?.log()) {
        if !beyond.grace && live.first().is_none_or(|entry| entry.id != *log) {
            wrong.push(format!("somebody was told of {log}, which is not the log"));
        }
    }
    let log = item.and_then(|item| item.log_id.as_ref());
    if log != live.first().map(|entry| &entry.id) {
        wrong.push(format!("the item does not know the log: {item:?}"));
    }
    if let Some(item) = item.filter(|item| item.state == State::Logged) {
        let is_clean = item.recovery_criteria.is_empty()
            && item.payload.is_none()
            && !item.outcome_unknown
            && !item.waits();
        if !is_clean || item.queued_details != CallDetails::default() {
            wrong.push(format!("the item is not clean: {item:?}"));
        }
    }
    match live.first() {
        Some(entry) if !entry.is_edited && !beyond.grace && entry.body.contains(EDITED) => {
            wrong.push(format!("what nobody has edited passes for edited: {}", entry.body));
        }
        Some(entry) => check_facts(&told, beyond, |fact| fact.is_in(entry), wrong),
        None => {
            let waiting = item.map(|item| item.queued_details.clone()).unwrap_or_default();
            check_facts(&told, beyond, |fact| waits(&waiting, fact), wrong);
        }
    }
}

fn waits(waiting: &CallDetails, fact: Fact) -> bool {
    let Ok(serde_json::Value::Object(told)) = serde_json::to_value(fact.told()) else { return false };
    let waiting = serde_json::to_value(waiting).unwrap_or_default();
    let mut told = told.iter().filter(|(_, value)| !value.is_null() && !value.is_array());
    told.all(|(name, value)| waiting[name] == *value)
}

/// What is wrong with a log, by what its updates were told.
pub fn facts_missing(told: &[Told<'_>], entry: &Entry) -> Vec<String> {
    let mut wrong = Vec::new();
    check_facts(told, Beyond::default(), |fact| fact.is_in(entry), &mut wrong);
    wrong
}

/// Of each field that somebody was promised, a value must be there that nothing promised later replaces.
fn check_facts(told: &[Told<'_>], beyond: Beyond, is_there: impl Fn(Fact) -> bool, wrong: &mut Vec<String>) {
    let updates: Vec<(Fact, &Told<'_>)> = told
        .iter()
        .filter_map(|told| match told.request {
            Request::Update(facts) => Some(facts.iter().map(move |fact| (*fact, told))),
            Request::Create | Request::CreateElsewhere | Request::Redrive => None,
        })
        .flatten()
        .collect();
    let refused = crm::with(|account| account.refuses);
    for (fact, told) in &updates {
        // What came in the place of a fact takes its place even if the CRM refuses it then.
        let is_refused = |(rival, other): &(Fact, &Told<'_>)| {
            rival.field == fact.field && Some(*rival) == refused && other.ended >= told.began
        };
        if !told.answer.is_some_and(promises_facts) || updates.iter().any(is_refused) {
            continue;
        }
        // A write of the table that comes late brings an older value back.
        let is_rival = |rival: &Fact, other: &Told<'_>| {
            rival.field == fact.field && (beyond.late_writes || other.ended >= told.began)
        };
        let mut rivals = updates.iter().filter(|(rival, other)| is_rival(rival, other));
        if !rivals.any(|(rival, _)| is_there(*rival)) {
            wrong.push(format!("{fact:?} was promised and is not there"));
        }
    }
}

/// Whether the caller may rely on the call being logged without sending it again.
fn promises_log(answer: &Answer) -> bool {
    use create::Outcome;
    match answer {
        Answer::Create(Ok(outcome)) => match outcome {
            Outcome::Logged(_) | Outcome::AlreadyLogged(_) | Outcome::BeingLogged => true,
            Outcome::Unsettled { is_deferred, .. } | Outcome::Failed { is_deferred, .. } => *is_deferred,
            Outcome::NoContact { .. } | Outcome::NotConnected => false,
        },
        _ => false,
    }
}

/// Whether the caller may rely on the update being in the log once there is one.
fn promises_facts(answer: &Answer) -> bool {
    use update::Outcome;
    match answer {
        Answer::Update(Ok(outcome)) => match outcome {
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

/// Whether a create was told that the call is logged.
pub fn is_logged(answer: &Answer) -> bool {
    matches!(answer, Answer::Create(Ok(create::Outcome::Logged(_) | create::Outcome::AlreadyLogged(_))))
}
