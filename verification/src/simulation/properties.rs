//! Properties of many requests at the same time, of every order, of a long outage, and of people's edits.

use call_log::{
    adapters::{Capabilities, CompareAndSet},
    model::{Credentials, Secret},
};

use super::{
    application::{Simulation, runtime},
    crm::{self, CONDITIONAL, Edit, End, PLAIN},
    driver::{Driver, Interaction, NOW_MS},
    oracle::{self, BrokenAssumptions, Completion},
    requests::{Call, Detail, Field, Request},
    scheduler::{self, PausedStep, Position},
    senders::Account,
    tokens::TokenHost,
};

const MINUTE_MS: i64 = 60_000;
/// The minutes after which the redrive has noticed an outage.
const NOTICE_MINUTES: i64 = 10;
/// The minutes within which everything is delivered after an outage.
const RECOVERY_MINUTES: usize = 15;

/// Checks a property in a simulation of its own.
fn simulate<T>(property: impl AsyncFnOnce(&mut Simulation) -> T) -> T {
    runtime()
        .block_on(tokio::task::coop::unconstrained(async { property(&mut Simulation::start().await).await }))
}

fn update(field: Field, value: u32) -> Request {
    Request::Update(vec![Detail { field, value }])
}

/// Returns so many calls that began one second after the other.
fn numbered_calls(count: usize) -> Vec<Call> {
    (0..count).map(|number| Call::new(number.to_string(), number as i64)).collect()
}

/// Runs all invocations to their end in a random order. Calls `between` before each step.
async fn shuffle(
    driver: &mut Driver<'_>,
    rng: &mut fastrand::Rng,
    mut between: impl FnMut(&mut fastrand::Rng, &[PausedStep]),
) {
    while !driver.running().is_empty() {
        let paused = scheduler::paused();
        between(rng, &paused);
        let has_sleeping = !driver.sleeping().is_empty();
        if paused.is_empty() || has_sleeping && rng.u8(..16) == 0 {
            driver.advance_to_timer().await;
        } else {
            driver.proceed_normally(paused[rng.usize(..paused.len())]).await;
        }
    }
}

/// Sends a create and four updates in random orders, overlapping or one after the other. Returns the different bodies
/// that the records have in the end: one, if the order does not matter.
///
/// # Panics
///
/// Panics if the simulation does not start.
pub fn orders(cases: u64) -> Vec<String> {
    simulate(async |simulation| {
        let mut bodies: Vec<String> = Vec::new();
        for case in 0..cases {
            let mut rng = fastrand::Rng::with_seed(case);
            let mut driver =
                simulation.begin(PLAIN, vec![Call::new(format!("order-{case}"), 0)], false).await;
            let mut requests = vec![Request::Create];
            requests.extend(
                [Field::Recording, Field::Note, Field::Duration, Field::AiNote].map(|field| update(field, 1)),
            );
            rng.shuffle(&mut requests);
            for request in requests {
                driver.start(request).await;
                if rng.bool() {
                    shuffle(&mut driver, &mut rng, |_, _| ()).await;
                }
            }
            shuffle(&mut driver, &mut rng, |_, _| ()).await;
            driver.advance(MINUTE_MS).await;
            driver.start(Request::Redrive).await;
            driver.run_to_end().await;
            let body =
                crm::with(|crm| crm.live().map(|record| record.body.clone()).collect::<Vec<_>>().join("|"));
            if !bodies.contains(&body) {
                bodies.push(body);
            }
        }
        bodies
    })
}

/// The result of [`concurrent_updates`].
#[derive(Clone, Debug)]
pub struct ConcurrentUpdates {
    /// The broken promises.
    pub violations: Vec<String>,
    /// The number of changes in the CRM.
    pub changes: usize,
}

/// Sends so many updates of one call at the same time.
///
/// # Panics
///
/// Panics if the simulation does not start.
pub fn concurrent_updates(updates: u32, seed: u64) -> ConcurrentUpdates {
    simulate(async |simulation| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut driver = simulation.begin(CONDITIONAL, vec![Call::new("concurrent", 0)], false).await;
        driver.start(Request::Create).await;
        driver.run_to_end().await;
        for value in 0..updates {
            driver.start(update(Field::ALL[value as usize % Field::ALL.len()], value)).await;
        }
        shuffle(&mut driver, &mut rng, |_, _| ()).await;
        driver.advance(MINUTE_MS).await;
        driver.start(Request::Redrive).await;
        driver.run_to_end().await;
        let (records, mut violations, changes) =
            crm::with(|crm| (crm.live().cloned().collect::<Vec<_>>(), crm.take_violations(), crm.changed));
        match records.as_slice() {
            [record] => violations.extend(oracle::missing_details(
                &driver.interactions().iter().collect::<Vec<_>>(),
                &[],
                BrokenAssumptions::default(),
                |detail| detail.is_in(record),
            )),
            records => violations.push(format!("{} records", records.len())),
        }
        ConcurrentUpdates { violations, changes }
    })
}

/// The result of [`grant_expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantExpiry {
    /// The number of requests to the token host.
    pub token_requests: u64,
    /// The number of creates whose response names a record of their own call.
    pub logged: usize,
}

/// Logs so many calls of one user at the same time. The user's access token expires in so many seconds, or has expired if
/// the number is negative.
///
/// # Panics
///
/// Panics if the simulation does not start.
pub fn grant_expiry(calls: usize, seconds_left: i64) -> GrantExpiry {
    runtime().block_on(tokio::task::coop::unconstrained(async {
        let mut simulation = Simulation::start().await;
        let host = TokenHost::default();
        simulation.renew().await;
        let calls = numbered_calls(calls);
        let mut driver = simulation.begin(PLAIN, calls.clone(), false).await;
        crm::with(|crm| crm.tokens = Some(host.clone()));
        let expires_at = chrono::DateTime::from_timestamp_millis(NOW_MS + seconds_left * 1_000);
        driver
            .connect(Some(Credentials::OAuth {
                access_token: Secret::new("access-0"),
                refresh_token: Some(Secret::new("refresh-0")),
                expires_at,
            }))
            .await;
        for call in &calls {
            driver.start_for(call, Request::Create).await;
        }
        driver.run_to_end().await;
        let is_logged = |interaction: &Interaction<'_>| {
            let owner = interaction
                .response
                .and_then(oracle::logged_record)
                .and_then(|id| oracle::owner_of(Account::Own, id));
            owner.is_some() && owner.as_ref() == interaction.call.map(|call| &call.name)
        };
        let logged = driver.interactions().into_iter().filter(is_logged).count();
        GrantExpiry { token_requests: host.requests(), logged }
    }))
}

/// The result of [`outage`].
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// The number of calls.
    pub calls: usize,
    /// The promises that are broken a quarter of an hour after the end of the outage.
    pub violations: Vec<String>,
    /// The most requests that the redrive sent in one minute of the outage.
    pub most_probes: usize,
    /// The number of requests over the CRM's rate limit.
    pub over_limit: usize,
    /// The minutes from the end of the outage until everything was delivered.
    pub minutes: usize,
}

/// Takes the CRM down for so many hours. Every so many minutes a call ends, and two updates follow.
///
/// # Panics
///
/// Panics if the simulation does not start.
pub fn outage(hours: i64, minutes_apart: i64) -> Outage {
    simulate(async |simulation| {
        let calls = numbered_calls((0..hours * 60).step_by(minutes_apart as usize).count());
        let mut driver = simulation.begin(PLAIN, calls.clone(), false).await;
        let mut outage = Outage::default();
        crm::with(|crm| {
            crm.is_down = true;
            crm.limit = Some(80);
        });
        for minute in 0..hours * 60 {
            driver.advance(MINUTE_MS).await;
            if minute % minutes_apart == 0 {
                let call = &calls[outage.calls];
                outage.calls += 1;
                driver.start_for(call, Request::Create).await;
                driver.run_to_end().await;
                for value in [1, 2] {
                    driver.start_for(call, update(Field::Note, value)).await;
                    driver.run_to_end().await;
                }
            }
            let before = crm::with(|crm| crm.attempts);
            driver.start(Request::Redrive).await;
            driver.run_to_end().await;
            let probes = crm::with(|crm| crm.attempts) - before;
            if minute > NOTICE_MINUTES {
                outage.most_probes = outage.most_probes.max(probes);
            }
            driver.forget_ended();
        }
        crm::with(|crm| crm.is_down = false);
        let is_complete = |call: &&Call| {
            crm::with(|crm| {
                let records: Vec<_> = crm.records.iter().filter(|record| record.call == call.name).collect();
                matches!(records.as_slice(), [record] if has_last_note(&record.body))
            })
        };
        let complete = || calls.iter().filter(is_complete).count();
        for minute in 1..=RECOVERY_MINUTES {
            driver.advance(MINUTE_MS).await;
            driver.start(Request::Redrive).await;
            driver.run_to_end().await;
            outage.minutes = minute;
            if complete() == outage.calls {
                break;
            }
        }
        let complete = complete();
        crm::with(|crm| {
            outage.over_limit = crm.over_limit;
            outage.violations = crm.take_violations();
            if complete != outage.calls || crm.records.len() != outage.calls {
                let (calls, records) = (outage.calls, crm.records.len());
                let violation = format!("{calls} calls, {records} records, {complete} calls complete");
                outage.violations.push(violation);
            }
        });
        outage
    })
}

/// Returns `true` if a body has the later of the two notes.
fn has_last_note(body: &str) -> bool {
    body.contains("Note 2.") && !body.contains("Note 1.")
}

/// The result of [`edits`].
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// The number of edits.
    pub edits: u64,
    /// The lost edits, and the broken promises.
    pub violations: Vec<String>,
}

/// Lets people edit a record while updates come. With compare-and-set they edit at any time; without it, not between the
/// reading of a body and its change.
///
/// # Panics
///
/// Panics if the simulation does not start.
pub fn edits(cases: u64, crm: Capabilities) -> Edits {
    simulate(async |simulation| {
        let mut all = Edits::default();
        for case in 0..cases {
            let mut rng = fastrand::Rng::with_seed(case);
            let mut driver = simulation.begin(crm, vec![Call::new(format!("edits-{case}"), 0)], false).await;
            driver.start(Request::Create).await;
            driver.run_to_end().await;
            for value in 0..rng.u32(1..4) {
                driver.start(update(Field::ALL[rng.usize(..Field::ALL.len())], value)).await;
            }
            let mut written = 0;
            shuffle(&mut driver, &mut rng, |rng, paused| {
                let is_between = paused.iter().any(|paused| {
                    matches!(
                        (paused.step, paused.position),
                        ("crm.read_log", Position::After)
                            | ("crm.update_log", Position::Before | Position::InFlight)
                    )
                });
                if rng.u8(..4) == 0 && (crm.compare_and_set == CompareAndSet::Exact || !is_between) {
                    written += 1;
                    let end = if rng.bool() { End::Start } else { End::Last };
                    crm::with(|crm| crm.edit(&Edit::Line(format!("human{written}."), end)));
                }
            })
            .await;
            // Updates that meet an edit at each attempt are deferred.
            let violations =
                oracle::complete(&mut driver, Completion::Redrive, BrokenAssumptions::default()).await;
            all.violations
                .extend(violations.into_iter().map(|violation| format!("case {case}: {violation}")));
            all.edits += written;
        }
        all
    })
}
