//! The real functions under load. An agent's extension and an administrator's server-side logging report the same calls, each
//! with its own name for the extension. The functions are killed at random times, and the CRM's responses are dropped, delayed,
//! repeated and truncated. Afterwards every call is in the CRM once, with all of its details.
//!
//! `CHAOS_INSTANCES=32 CHAOS_CALLS=50 cargo test --workspace --test suite chaos -- --nocapture` runs a larger load.

#![allow(clippy::print_stdout, reason = "a run prints its counts, with --nocapture")]
#![allow(clippy::disallowed_methods, reason = "variables choose a larger load")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use call_log::{
    model::{Clock, Deadline},
    startup::{app::App, config::Config},
    telemetry::Trace,
};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    pipedrive::{API_KEY, FakePipedrive, Route, USER},
    proxy::Fault,
    runtime_api::{Function, event, with_body},
    test_app::{api_key, call, environment, user},
};

/// The number of calls, unless `CHAOS_CALLS` has another one.
use crate::harness::with;

const CALLS: usize = 16;
/// The number of functions at the same time, besides the redrive, unless `CHAOS_INSTANCES` has another one.
const INSTANCES: usize = 3;
/// The longest time of the load for each call, in milliseconds.
const LOAD_MS: u64 = 8_000;
/// RingCentral's id of the extension in all calls, which server-side logging sends.
const EXTENSION_ID: &str = "62264425";
/// The note that server-side logging sends until the agent writes one.
const PENDING: &str = "From auto logging (Pending)";
/// The time of an invocation. It is short, so that the lease of a killed invocation expires soon.
const INVOCATION: Duration = Duration::from_secs(4);
/// The time from the end of an invocation to the end of its lease.
const GRACE: Duration = Duration::from_secs(31);
/// The longest life of a process under load, in milliseconds.
const LIFE_MS: u64 = 600;
/// The number of times that a client sends a request before it gives up.
const TRIES: u32 = 2;

/// A request that a client wants to succeed.
#[derive(Clone, Debug)]
struct Job {
    verb: &'static str,
    sender: Sender,
    body: Value,
    tries: u32,
}

/// The senders, by their positions in [`Chaos::tokens`].
#[derive(Clone, Copy, Debug)]
enum Sender {
    Agent,
    Administrator,
}

/// Counts of what happened, for the test's output.
#[derive(Debug, Default)]
struct Counts {
    responses: AtomicUsize,
    killed: AtomicUsize,
    faults: AtomicUsize,
}

#[derive(Debug)]
struct Chaos {
    environment: BTreeMap<String, String>,
    tokens: [String; 2],
    jobs: Mutex<VecDeque<Job>>,
    counts: Counts,
    random: Mutex<u64>,
}

impl Chaos {
    /// Returns a number below `bound` (xorshift, so that the seed reproduces the load).
    fn random(&self, bound: u64) -> u64 {
        let mut state = self.random.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % bound
    }

    fn next(&self, verb: &str) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap();
        let at = jobs.iter().position(|job| job.verb == verb)?;
        jobs.remove(at)
    }

    /// Runs jobs in one process after the other, and kills each in the middle of a request.
    async fn work(&self, verb: &'static str) {
        let (name, template) = match verb {
            "POST" => ("create-call-log", "create-extension"),
            _ => ("update-call-log", "update-note"),
        };
        while self.jobs.lock().unwrap().iter().any(|job| job.verb == verb) {
            let mut function = Function::start(name, &self.environment);
            let death = tokio::time::sleep(Duration::from_millis(100 + self.random(LIFE_MS)));
            tokio::pin!(death);
            while let Some(mut job) = self.next(verb) {
                let event =
                    with_body(event(template, &self.tokens[job.sender as usize]), &job.body.to_string());
                tokio::select! {
                    response = function.invoke_for(event, INVOCATION) => {
                        self.counts.responses.fetch_add(1, Ordering::Relaxed);
                        job.tries += u32::from(response.body["successful"] != true);
                        if response.body["successful"] == true || job.tries >= TRIES {
                            continue;
                        }
                    }
                    () = &mut death => {
                        function.kill();
                        self.counts.killed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // A client without a successful response sends its request again.
                self.jobs.lock().unwrap().push_back(job);
                if death.is_elapsed() {
                    break;
                }
            }
        }
    }

    /// Runs redrives all the time, and kills their processes too.
    async fn redrive(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let mut function = Function::start("redrive-call-logs", &self.environment);
            let life = Duration::from_millis(300 + self.random(LIFE_MS));
            let redrives = async {
                loop {
                    // A redrive needs more time than the delivery of one call.
                    let report = function.invoke_raw(json!({}), Duration::from_secs(25)).await;
                    report.expect("a redrive does not fail");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let _ = tokio::time::timeout(life, redrives).await;
            function.kill();
            self.counts.killed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Injects faults into the CRM until the load has ended.
    async fn disturb(&self, crm: &FakePipedrive, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let late = Duration::from_millis(200 + self.random(1_500));
            let (route, fault) = match self.random(12) {
                0 => (Route::CreateActivity, Fault::DropBeforeAnswer),
                1 => (Route::CreateActivity, Fault::DropBeforeEffect),
                2 => (Route::CreateActivity, Fault::Delay(late)),
                3 => (Route::CreateActivity, Fault::DelayEffect(late)),
                4 => (Route::CreateActivity, Fault::Truncated),
                5 => (Route::CreateActivity, Fault::RateLimited { retry_after: Some(1) }),
                6 => (Route::UpdateActivity, Fault::DropBeforeAnswer),
                7 => (Route::UpdateActivity, Fault::DelayEffect(late)),
                8 => (Route::UpdateActivity, Fault::Repeat),
                9 => (Route::GetActivity, Fault::Truncated),
                10 => (Route::ListActivities, Fault::Status(502)),
                _ => (Route::GetPerson, Fault::Delay(late)),
            };
            crm.next(route, fault);
            self.counts.faults.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
}

/// Returns the load in random order: for each call, three creates and three updates of two senders. `hash`: the hash of the
/// extension, which the agent's requests have.
fn jobs(calls: usize, hash: &str, random: impl Fn(u64) -> u64) -> VecDeque<Job> {
    let mut jobs = Vec::new();
    for number in 0..calls {
        let mut job = |verb, sender, body: Value| {
            let extension = match sender {
                Sender::Agent if random(2) == 0 => {
                    json!({"hashedExtensionId": hash, "extensionNumber": "101"})
                }
                Sender::Agent => json!({"hashedExtensionId": hash}),
                Sender::Administrator => json!({"rcExtensionId": EXTENSION_ID}),
            };
            jobs.push(Job { verb, sender, body: with(body, extension), tries: 0 });
        };
        let start = json!({"startTime": 1_741_794_325_000_i64 + 60_000 * number as i64});
        let create = with(call(&session(number)), json!({"logInfo": start}));
        let update = |details| with(json!({"sessionId": session(number)}), details);
        job("POST", Sender::Agent, create.clone());
        job("POST", Sender::Agent, create.clone());
        job("POST", Sender::Administrator, with(create, json!({"note": PENDING})));
        let link = format!("https://media.example/{number}");
        job("PATCH", Sender::Administrator, update(json!({"recordingLink": link})));
        job("PATCH", Sender::Agent, update(json!({"aiNote": format!("Summary {number}.")})));
        job("PATCH", Sender::Administrator, update(json!({"transcript": format!("Transcript {number}.")})));
    }
    for at in (1..jobs.len()).rev() {
        jobs.swap(at, random(at as u64 + 1) as usize);
    }
    jobs.into()
}

fn session(number: usize) -> String {
    format!("77{number:03}")
}

/// Creates the table with the users. Returns the environment of the functions, the users' tokens, and the hash of the
/// extension.
async fn connected(
    dynamodb: &DynamoDb,
    crm: &FakePipedrive,
) -> (BTreeMap<String, String>, [String; 2], String) {
    let environment = environment(dynamodb, crm, &[]);
    let config = Config::read(|name| environment.get(name).cloned()).unwrap();
    let app = App::new(config, Clock::System).await.unwrap();
    app.store.create_table().await.unwrap();
    let users = [USER, 777].map(|id| user(&format!("{id}-pipedrive"), Some(api_key(API_KEY))));
    for user in &users {
        app.store.put_user(user).await.unwrap();
    }
    let tokens = users.map(|user| app.issue_token(&user, 1));
    (environment.clone(), tokens, app.hash_key().hash(EXTENSION_ID))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_are_killed_under_load_log_every_call_once() {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let (dynamodb, crm) = (DynamoDb::start(), Arc::new(FakePipedrive::start()));
    let (environment, tokens, hash) = connected(&dynamodb, &crm).await;
    let (calls, instances) = (size("CHAOS_CALLS", CALLS), size("CHAOS_INSTANCES", INSTANCES));
    let chaos = Chaos {
        environment: environment.clone(),
        tokens,
        jobs: Mutex::default(),
        counts: Counts::default(),
        random: Mutex::new(seed),
    };
    *chaos.jobs.lock().unwrap() = jobs(calls, &hash, |bound| chaos.random(bound));
    let is_over = AtomicBool::new(false);
    let load = async {
        let workers = (0..instances).map(|index| chaos.work(["POST", "PATCH"][index % 2]));
        let longest = Duration::from_millis(LOAD_MS * calls as u64);
        tokio::time::timeout(longest, futures_util::future::join_all(workers)).await.expect("the load ends");
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, chaos.disturb(&crm, &is_over), chaos.redrive(&is_over));
    let counts = &chaos.counts;
    println!(
        "{} responses, {} processes killed, {} faults",
        counts.responses.load(Ordering::Relaxed),
        counts.killed.load(Ordering::Relaxed),
        counts.faults.load(Ordering::Relaxed)
    );
    assert!(counts.killed.load(Ordering::Relaxed) > 5, "more than five processes were killed");

    crm.forget_faults();
    println!("{} delivered by redrives after the load", deliver(&environment).await);
    let overlapped = check(&crm, calls);
    println!("creates of different calls overlapped: {overlapped}");
}

/// Returns the number in an environment variable, else the default.
fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Delivers what is left, with a clock that passes the leases of killed processes, the retry delays and the duplicate
/// sweeps. Returns the number of delivered calls.
async fn deliver(environment: &BTreeMap<String, String>) -> usize {
    let now_ms = Clock::System.now_ms() + (INVOCATION + GRACE).as_millis() as i64;
    let clock = Arc::new(AtomicI64::new(now_ms));
    let config = Config::read(|name| environment.get(name).cloned()).unwrap();
    let app = App::new(config, Clock::Manual(clock.clone())).await.unwrap();
    let mut delivered = 0;
    for _ in 0..40 {
        let now_ms = clock.fetch_add(60_000, Ordering::SeqCst) + 60_000;
        let deadline = Deadline(now_ms + 60_000);
        let report =
            call_log::delivery::redrive::run(&app, deadline, Trace::new("test-redrive", None)).await.unwrap();
        delivered += report.delivered;
    }
    delivered
}

/// Asserts that every call is in the CRM once with all details. Returns `true` if creates of different calls
/// overlapped.
fn check(crm: &FakePipedrive, calls: usize) -> bool {
    let activities = crm.activities();
    let notes: Vec<_> = activities.iter().map(|activity| activity["note"].as_str().unwrap()).collect();
    for number in 0..calls {
        let link = format!("https://media.example/{number}\"");
        let ours: Vec<_> = notes.iter().filter(|note| note.contains(&link)).collect();
        assert_eq!(ours.len(), 1, "call {number}: {notes:#?}");
        for part in ["Wants a quote", &format!("Summary {number}."), &format!("Transcript {number}.")] {
            assert!(ours[0].contains(part), "call {number} lacks {part}: {}", ours[0]);
        }
        assert!(!ours[0].contains(PENDING), "{}", ours[0]);
    }
    assert_eq!(notes.len(), calls, "{notes:#?}");
    crm.proxy().overlapped(Route::CreateActivity.target())
}
