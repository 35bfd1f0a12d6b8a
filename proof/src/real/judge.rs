//! What must hold in the end.

use shared::{
    adapters::ErrorKind,
    auth::grant::Failure,
    create,
    model::Facts,
    store::{CallItem, State},
    update,
};

use super::{
    crm::{self, Entry},
    driver::{Driver, Told},
    requests::{Answer, Fact, Request},
    table,
};

/// How often a caller sends a request again before it is taken for lost, a minute apart.
const RETRIES: usize = 6;
const MINUTE_MS: i64 = 60_000;

/// How an unfinished call is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The client sends again what it was not told is done.
    Client,
}

/// Lets everything come to its end, and says what is wrong then.
pub async fn finish(driver: &mut Driver<'_>, finish: Finish) -> Vec<String> {
    driver.note(|| format!("to the end: {finish:?}"));
    table::disarm();
    while let Some(what) = table::arrive() {
        driver.note(|| format!("a late write arrives: {what}"));
    }
    let has_create = driver.told().iter().any(|told| *told.request == Request::Create);
    let mut item = read(driver).await;
    let mut tries = 0;
    while !is_quiet(driver, item.as_ref(), has_create) {
        if tries == RETRIES {
            return vec![format!("the call never comes to rest: {item:?}")];
        }
        tries += 1;
        driver.pass(MINUTE_MS).await;
        if has_create && !item.as_ref().is_some_and(|item| item.log.is_some()) {
            driver.start(Request::Create).await;
        } else {
            driver.start(Request::Update(Vec::new())).await;
        }
        driver.settle().await;
        item = read(driver).await;
    }
    let mut wrong = crm::with(|account| std::mem::take(&mut account.broken));
    judge(driver, item.as_ref(), has_create, &mut wrong);
    wrong
}

async fn read(driver: &Driver<'_>) -> Option<CallItem> {
    let key = driver.caller().call(&driver.session, None);
    driver.app().store.call(&key).await.expect("the table answers")
}

/// Whether nothing is left to be done by anybody.
fn is_quiet(driver: &Driver<'_>, item: Option<&CallItem>, has_create: bool) -> bool {
    let is_settled = item.is_none_or(|item| item.owner.is_none() && item.busy_until <= driver.now_ms());
    let is_done = match item {
        None => !has_create,
        Some(item) if has_create => item.state == State::Logged && item.wanted == Facts::default(),
        Some(item) => item.state == State::Parked,
    };
    is_settled && is_done && crm::with(|account| account.messages.is_empty())
}

fn judge(driver: &Driver<'_>, item: Option<&CallItem>, has_create: bool, wrong: &mut Vec<String>) {
    let told = driver.told();
    let (entries, created) = crm::with(|account| (account.entries.clone(), account.created));
    let live: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_deleted).collect();
    if created > 1 || live.len() != usize::from(has_create) {
        wrong.push(format!("{created} logs were made, {} are there", live.len()));
    }
    for log in told.iter().filter_map(|told| told.answer?.log()) {
        if live.first().is_none_or(|entry| entry.id != *log) {
            wrong.push(format!("somebody was told of {log}, which is not the log"));
        }
    }
    if let Some(item) = item {
        let is_clean = item.owner.is_none() && item.sought.is_none() && !item.ambiguous;
        let is_right = item.log.as_ref() == live.first().map(|entry| &entry.id);
        if !is_clean || !is_right {
            wrong.push(format!("the item is not clean: {item:?}"));
        }
    }
    match live.first() {
        Some(entry) => check_facts(&told, |fact| fact.is_in(entry), wrong),
        None => {
            let waiting = item.map(|item| item.wanted.clone()).unwrap_or_default();
            check_facts(&told, |fact| waits(&waiting, fact), wrong);
        }
    }
}

fn waits(waiting: &Facts, fact: Fact) -> bool {
    let Ok(serde_json::Value::Object(told)) = serde_json::to_value(fact.told()) else { return false };
    let waiting = serde_json::to_value(waiting).unwrap_or_default();
    told.iter().filter(|(_, value)| !value.is_null() && !value.is_array()).all(|(name, value)| waiting[name] == *value)
}

/// Of each field that somebody was promised, a value must be there that nothing promised later replaces.
fn check_facts(told: &[Told<'_>], is_there: impl Fn(Fact) -> bool, wrong: &mut Vec<String>) {
    let updates: Vec<(Fact, &Told<'_>)> = told
        .iter()
        .filter_map(|told| match told.request {
            Request::Update(facts) => Some(facts.iter().map(move |fact| (*fact, told))),
            Request::Create => None,
        })
        .flatten()
        .collect();
    for (fact, told) in &updates {
        if !is_promised(told) {
            continue;
        }
        let mut rivals = updates.iter().filter(|(rival, other)| {
            rival.field == fact.field && (rival.value == fact.value || other.ended >= told.began)
        });
        if !rivals.any(|(rival, _)| is_there(*rival)) {
            wrong.push(format!("{fact:?} was promised and is not there"));
        }
    }
}

/// Whether the caller may rely on it: all but what was refused, and what died on the way.
fn is_promised(told: &Told<'_>) -> bool {
    match told.answer {
        Some(Answer::Update(Ok(update::Outcome::Failed(Failure::Crm(error))))) => {
            !matches!(error.kind, ErrorKind::Rejected { .. })
        }
        Some(Answer::Update(Ok(update::Outcome::Deleted | update::Outcome::NotConnected))) => false,
        Some(Answer::Update(Ok(_))) => true,
        _ => false,
    }
}

/// Whether a create was told that the call is logged.
pub fn is_logged(answer: &Answer) -> bool {
    matches!(answer, Answer::Create(Ok(create::Outcome::Logged(_) | create::Outcome::AlreadyLogged(_))))
}
