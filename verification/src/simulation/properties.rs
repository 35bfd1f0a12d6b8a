//! What holds of many requests at once, of every order, and after a long outage.

use call_log::model::{Credentials, Secret, SessionId};

use super::{
    crm::{self, CAREFUL, Memory, PLAIN},
    driver::{Driver, NOW_MS, World, runtime, runtime_with_sockets},
    oracle::{self, Beyond, Finish},
    requests::{Fact, Field, Request},
    scheduler::{self, Place, Ticket},
    tokens::TokenHost,
};

const MINUTE_MS: i64 = 60_000;

/// Runs a law in a world of its own.
fn world<T>(law: impl AsyncFnOnce(&mut World) -> T) -> T {
    runtime().block_on(tokio::task::coop::unconstrained(async { law(&mut World::start().await).await }))
}

fn update(field: Field, value: u32) -> Request {
    Request::Update(vec![Fact { field, value }])
}

/// Lets anybody go on, in any order, until all have answered.
async fn shuffle(
    driver: &mut Driver<'_>,
    rng: &mut fastrand::Rng,
    mut between: impl FnMut(&mut fastrand::Rng, &[Ticket]),
) {
    while !driver.running().is_empty() {
        let waiting = scheduler::waiting();
        between(rng, &waiting);
        let has_sleepers = !driver.sleepers().is_empty();
        if waiting.is_empty() || has_sleepers && rng.u8(..16) == 0 {
            driver.sleep().await;
        } else {
            driver.go_on(waiting[rng.usize(..waiting.len())]).await;
        }
    }
}

/// Whatever becomes known in whatever order, and however the requests overlap: the body is the same. The bodies that
/// there were.
pub fn orders(cases: u64) -> Vec<String> {
    world(async |world| {
        let mut bodies: Vec<String> = Vec::new();
        for case in 0..cases {
            let mut rng = fastrand::Rng::with_seed(case);
            let mut driver = world.begin(&PLAIN, &format!("order-{case}"), false).await;
            let mut requests = vec![Request::Create];
            requests.extend(
                [Field::Recording, Field::Note, Field::Duration, Field::AiNote].map(|field| update(field, 1)),
            );
            rng.shuffle(&mut requests);
            // Some overlap, some follow each other.
            for request in requests {
                driver.start(request).await;
                if rng.bool() {
                    shuffle(&mut driver, &mut rng, |_, _| ()).await;
                }
            }
            shuffle(&mut driver, &mut rng, |_, _| ()).await;
            driver.pass(MINUTE_MS).await;
            driver.start(Request::Redrive).await;
            driver.settle().await;
            let body = crm::with(|account| {
                account.live().map(|entry| entry.body.clone()).collect::<Vec<_>>().join("|")
            });
            if !bodies.contains(&body) {
                bodies.push(body);
            }
        }
        bodies
    })
}

/// What many updates of one session at once came to.
#[derive(Clone, Debug)]
pub struct Crowd {
    pub wrong: Vec<String>,
    /// How many changes the CRM got.
    pub changes: usize,
}

/// So many updates of one session at once.
pub fn crowd(updates: u32, seed: u64) -> Crowd {
    world(async |world| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut driver = world.begin(&CAREFUL, "crowd", false).await;
        driver.start(Request::Create).await;
        driver.settle().await;
        for value in 0..updates {
            driver.start(update(Field::ALL[value as usize % Field::ALL.len()], value)).await;
        }
        shuffle(&mut driver, &mut rng, |_, _| ()).await;
        driver.pass(MINUTE_MS).await;
        driver.start(Request::Redrive).await;
        driver.settle().await;
        let (entries, mut wrong, changes) = crm::with(|account| {
            (
                account.live().cloned().collect::<Vec<_>>(),
                std::mem::take(&mut account.broken),
                account.changed,
            )
        });
        match entries.as_slice() {
            [entry] => wrong.extend(oracle::facts_missing(&driver.told(), entry)),
            entries => wrong.push(format!("{} logs", entries.len())),
        }
        Crowd { wrong, changes }
    })
}

/// What many requests at the end of a grant came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    pub token_calls: u64,
    pub logged: usize,
}

/// So many calls of one user at once, whose token has ended, or will in so many seconds.
pub fn expiry(calls: usize, seconds_left: i64) -> Expiry {
    runtime_with_sockets().block_on(tokio::task::coop::unconstrained(async {
        let mut world = World::start().await;
        let host = TokenHost::start();
        world.renew().await;
        let end = chrono::DateTime::from_timestamp_millis(NOW_MS + seconds_left * 1_000);
        world
            .connect(Some(Credentials::OAuth {
                access_token: Secret::new("access-0"),
                refresh_token: Some(Secret::new("refresh-0")),
                expires_at: end,
            }))
            .await;
        let mut driver = world.begin(&PLAIN, "expiry", false).await;
        crm::with(|account| account.tokens = Some(host.clone()));
        let mut tasks = Vec::new();
        for call in 0..calls {
            let session = SessionId::new(call.to_string()).expect("a session");
            tasks.push(driver.start_for(session, Request::Create).await);
        }
        driver.settle().await;
        let logged =
            tasks.iter().filter(|task| driver.answer_of(**task).is_some_and(oracle::is_logged)).count();
        Expiry { token_calls: host.exchanges(), logged }
    }))
}

/// What an outage came to.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    pub calls: usize,
    /// What was not there a quarter of an hour after the end.
    pub wrong: Vec<String>,
    /// The most requests that the redrive sent in one minute while the CRM was down.
    pub most_probes: usize,
    /// How often the CRM said that it had enough.
    pub too_many: usize,
    /// Minutes after the end until everything was there.
    pub minutes: usize,
}

/// The CRM is down for so many hours; every so many minutes a call ends, and two updates follow.
pub fn outage(hours: i64, minutes_apart: i64) -> Outage {
    world(async |world| {
        let mut driver = world.begin(&PLAIN, "outage", false).await;
        let mut outage = Outage::default();
        crm::with(|account| {
            account.is_down = true;
            account.limit = Some(80);
        });
        let session = |call: usize| SessionId::new(call.to_string()).expect("a session");
        for minute in 0..hours * 60 {
            driver.pass(MINUTE_MS).await;
            if minute % minutes_apart == 0 {
                let call = outage.calls;
                outage.calls += 1;
                driver.start_for(session(call), Request::Create).await;
                driver.settle().await;
                for value in [1, 2] {
                    driver.start_for(session(call), update(Field::Note, value)).await;
                    driver.settle().await;
                }
            }
            let before = crm::with(|account| account.knocks);
            driver.start(Request::Redrive).await;
            driver.settle().await;
            let probes = crm::with(|account| account.knocks) - before;
            // The first minutes are those in which it is found out.
            if minute > 10 {
                outage.most_probes = outage.most_probes.max(probes);
            }
            driver.forget_done();
        }
        crm::with(|account| account.is_down = false);
        for minute in 1..=15 {
            driver.pass(MINUTE_MS).await;
            driver.start(Request::Redrive).await;
            driver.settle().await;
            outage.minutes = minute;
            if crm::with(|account| account.live().filter(|entry| is_last(&entry.body)).count())
                == outage.calls
            {
                break;
            }
        }
        crm::with(|account| {
            outage.too_many = account.too_many;
            outage.wrong = std::mem::take(&mut account.broken);
            let whole = account.live().filter(|entry| is_last(&entry.body)).count();
            if whole != outage.calls || account.created != outage.calls {
                outage.wrong.push(format!(
                    "of {} calls {} were made, {whole} are whole",
                    outage.calls, account.created
                ));
            }
        });
        outage
    })
}

/// Whether the later of the two notes is there.
fn is_last(body: &str) -> bool {
    body.contains("Note 2.") && !body.contains("Note 1.")
}

/// What people wrote while we did.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    pub edits: u64,
    pub lost: Vec<String>,
}

/// People write into the body while updates come. With compare-and-set at any time; without, not between the reading
/// of a body and its change.
pub fn edits(cases: u64, crm: &'static Memory) -> Edits {
    world(async |world| {
        let mut all = Edits::default();
        for case in 0..cases {
            let mut rng = fastrand::Rng::with_seed(case);
            let mut driver = world.begin(crm, &format!("edits-{case}"), false).await;
            driver.start(Request::Create).await;
            driver.settle().await;
            for value in 0..rng.u32(1..4) {
                driver.start(update(Field::ALL[rng.usize(..Field::ALL.len())], value)).await;
            }
            let mut written = 0;
            shuffle(&mut driver, &mut rng, |rng, waiting| {
                let is_between = waiting.iter().any(|ticket| {
                    matches!(
                        (ticket.step, ticket.place),
                        ("crm.read_log", Place::After) | ("crm.update_log", Place::Before | Place::Under)
                    )
                });
                if rng.u8(..4) == 0 && (crm.compare_and_set || !is_between) {
                    written += 1;
                    crm::with(|account| account.edit(&format!("human{written}."), rng.bool()));
                }
            })
            .await;
            // Who meets a person at each try puts it off, more than once.
            let wrong = oracle::finish(&mut driver, Finish::Redrive, Beyond::default()).await;
            all.lost.extend(wrong.into_iter().map(|wrong| format!("case {case}: {wrong}")));
            all.edits += written;
            let body = crm::with(|account| account.live().next().map(|entry| entry.body.clone()))
                .unwrap_or_default();
            let lost = (1..=written)
                .map(|edit| format!("human{edit}."))
                .filter(|text| body.matches(text.as_str()).count() != 1);
            all.lost.extend(lost.map(|text| format!("case {case}: {text} in {body:?}")));
        }
        all
    })
}
