//! Fault injection: each fault at each step of each scenario, alone and beside a second request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    thread,
};

use call_log::adapters::{Effect, ErrorKind};

use super::{
    application::{Simulation, runtime},
    crm,
    driver::Driver,
    oracle::{self, BrokenAssumptions, Completion},
    requests::{Call, Detail, Field, Request},
    scenarios::{self, Action, Scenario},
    scheduler::{self, PausedStep, Position},
    table::{self, Responses},
    tokens::{TokenExchange, TokenHost},
};

/// Longer than any lease and the grace after it, in milliseconds.
const LONG_MS: i64 = 60_000;
/// Just before the end of the grace, in milliseconds.
const LATE_MS: i64 = crm::GRACE_MS - 1_000;
/// More turns than any run needs.
const MAX_TURNS: usize = 1_000;

/// The number of injected faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At each step a crash before it, a crash after it, a lost response and a late landing.
    Short,
    /// Every fault.
    Full,
}

/// A fault at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The invocation crashes before the step.
    CrashBefore,
    /// The invocation crashes after the step.
    CrashAfter,
    /// The invocation crashes while its request is on its way. The request lands after this time, in milliseconds, or
    /// never.
    CrashInFlight(Option<i64>),
    /// The response is lost. The request lands after this time, in milliseconds, or never.
    ResponseLost(Option<i64>),
    /// The invocation pauses before the step for longer than its lease.
    Pause,
    /// The table gives these responses, of [`table::FAULTY`].
    Table(&'static str, Responses),
    /// The CRM refuses the request.
    Refused,
    /// The read fails.
    ReadFails,
    /// The exchange of a refresh token has this result.
    Tokens(TokenExchange),
}

/// Returns the faults that are injected at a step.
fn faults_at(step: &str, depth: Depth) -> Vec<Fault> {
    let (first, rest) = match step {
        "crm.create_log" | "crm.update_log" | "crm.finish_log" | "crm.remove_log" => (
            vec![Fault::ResponseLost(Some(0)), Fault::ResponseLost(Some(LATE_MS))],
            vec![
                Fault::ResponseLost(None),
                Fault::CrashInFlight(Some(0)),
                Fault::CrashInFlight(Some(LATE_MS)),
                Fault::CrashInFlight(None),
                Fault::Refused,
                Fault::Pause,
            ],
        ),
        "crm.read_log" | "crm.find_logs" | "grant.login" => (vec![Fault::ReadFails, Fault::Pause], vec![]),
        "grant.exchange" | "grant.exchange_again" => (
            vec![Fault::Tokens(TokenExchange::ResponseLost), Fault::Pause],
            vec![Fault::Tokens(TokenExchange::NotDelivered), Fault::Tokens(TokenExchange::Overloaded)],
        ),
        "wait.pause" | "grant.wait" | "grant.pause" | "redrive.spare" => (vec![Fault::Pause], vec![]),
        _ => {
            let faults = table::FAULTY.iter().map(|(name, responses)| (name, Fault::Table(name, responses)));
            let (first, rest): (Vec<_>, Vec<_>) =
                faults.partition(|(name, _)| [table::ALL_RESPONSES_LOST, table::LATE].contains(name));
            let faults = |named: Vec<(_, Fault)>| named.into_iter().map(|(_, fault)| fault);
            (faults(first).collect(), faults(rest).chain([Fault::Pause]).collect())
        }
    };
    let rest = rest.into_iter().filter(|_| depth == Depth::Full);
    [Fault::CrashBefore, Fault::CrashAfter].into_iter().chain(first).chain(rest).collect()
}

/// A second request at the moment of the fault, and how the call is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// No second request; the client sends its requests again.
    None,
    /// A create; a redrive completes the call.
    Create,
    /// An update; a redrive completes the call.
    Update,
    /// No second request; a redrive completes the call.
    Redrive,
}

const PEERS: [Peer; 4] = [Peer::None, Peer::Create, Peer::Update, Peer::Redrive];

/// The result of all runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The steps at which faults were injected, by name, with the number of runs.
    pub steps: BTreeMap<&'static str, usize>,
    /// The number of places in scenarios at which faults were injected.
    pub places: usize,
    /// The number of runs.
    pub runs: usize,
    /// The runs that broke a promise, each with its trace.
    pub broken: Vec<(String, Vec<String>)>,
}

/// One run of a scenario.
#[derive(Clone, Debug)]
struct Run {
    scenario: Scenario,
    /// The name of the step, the number of its occurrence, and the fault.
    fault: Option<(&'static str, usize, Fault)>,
    peer: Peer,
}

impl Run {
    /// Returns `true` if the CRM accepts each refresh token once, and the one that replaces it may be lost.
    fn may_lose_grant(&self) -> bool {
        const STEPS: [&str; 5] =
            ["grant.exchange", "grant.exchange_again", "grant.login", "grant.keep", "grant.pause"];
        let is_lost = |action: &Action| matches!(action, Action::Tokens(next) if next.contains(&TokenExchange::ResponseLost));
        self.scenario.crm == crm::kind::contrary()
            && (self.fault.is_some_and(|(step, ..)| STEPS.contains(&step))
                || self.scenario.before.iter().any(is_lost))
    }
}

/// The simulation of one thread, with its token host.
struct Runner {
    simulation: Simulation,
    host: TokenHost,
    runs: u64,
    /// The table holds nothing that affects the next run.
    is_clean: bool,
}

impl Runner {
    async fn start() -> Runner {
        Runner { simulation: Simulation::start().await, host: TokenHost::default(), runs: 0, is_clean: false }
    }

    /// Runs a scenario without a fault. Returns the steps of its main request, each with the number of its occurrence.
    async fn steps_of(&mut self, scenario: &Scenario) -> Result<Vec<(&'static str, usize)>, String> {
        let run = Run { scenario: scenario.clone(), fault: None, peer: Peer::Redrive };
        let mut steps = Vec::new();
        let (violations, trace) = self.run(&run, true, &mut steps).await;
        if violations.is_empty() { Ok(steps) } else { Err(format!("{violations:?}\n{}", trace.join("\n"))) }
    }

    async fn run(
        &mut self,
        run: &Run,
        keeps_trace: bool,
        steps: &mut Vec<(&'static str, usize)>,
    ) -> (Vec<String>, Vec<String>) {
        fastrand::seed(0);
        self.host.reset(true);
        let scenario = &run.scenario;
        // A person's actions and an unreadable item must not affect the next run.
        let is_plain = scenario.credentials == scenarios::connected() && scenario.after.is_empty();
        let is_contrary = scenario.crm == crm::kind::contrary();
        if !(self.is_clean && (is_plain || is_contrary)) {
            self.simulation.renew().await;
        }
        self.is_clean = (is_plain || is_contrary && scenario.after.is_empty())
            && !scenario.before.iter().any(|action| matches!(action, Action::AddUnreadableItem));
        self.runs += 1;
        let Scenario { has_duration, names_account, .. } = *scenario;
        let call = Call { has_duration, names_account, ..Call::new(format!("run-{}", self.runs), 0) };
        let mut driver = self.simulation.begin(scenario.crm, vec![call], keeps_trace).await;
        crm::with(|crm| crm.tokens = Some(self.host.clone()));
        if !is_plain || is_contrary {
            driver.connect(crm::connection(scenario.credentials.clone())).await;
        }
        for action in &scenario.before {
            act(&mut driver, &self.host, action, None).await;
        }
        let main = driver.start(scenario.main.clone()).await;
        if !play(&mut driver, &self.host, run, main, steps).await {
            self.is_clean = false;
            return (vec!["the request does not end".to_owned()], driver.trace().to_vec());
        }
        table::disarm();
        self.host.set_next(&[]);
        crm::with(|crm| crm.next_read_fails = None);
        for action in &scenario.after {
            act(&mut driver, &self.host, action, None).await;
        }
        let completion = if run.peer == Peer::None { Completion::Client } else { Completion::Redrive };
        let is_late = |fault| matches!(fault, Fault::Table(_, responses) if responses.contains(&table::TableResponse::DeliveredLate));
        let broken_assumptions = BrokenAssumptions {
            late_crm_writes: false,
            late_table_writes: run.fault.is_some_and(|(_, _, fault)| is_late(fault)),
        };
        let mut violations = oracle::complete(&mut driver, completion, broken_assumptions).await;
        let must_connect = driver.has_session_ended().await || crm::with(|crm| crm.reconnections > 0);
        if must_connect && !run.may_lose_grant() {
            violations.push("the user has to connect again".to_owned());
        }
        let trace = driver.trace().to_vec();
        self.is_clean &= violations.is_empty();
        (violations, trace)
    }
}

/// Plays the main request to its end, with its fault and its script. Returns `false` if it does not end.
async fn play(
    driver: &mut Driver<'_>,
    host: &TokenHost,
    run: &Run,
    main: usize,
    steps: &mut Vec<(&'static str, usize)>,
) -> bool {
    let mut occurrences: BTreeMap<(&'static str, Position), usize> = BTreeMap::new();
    let mut fault_in_flight: Option<Fault> = None;
    let mut seen = BTreeSet::new();
    for turn in 0..MAX_TURNS {
        if !driver.running().contains(&main) {
            break;
        }
        let all = scheduler::paused();
        let Some(paused) = all.iter().find(|paused| paused.invocation == main).copied() else {
            // The other invocations and the time advance in turns.
            match all.first() {
                Some(paused) if turn % 3 == 2 => driver.proceed_normally(*paused).await,
                _ => driver.advance_to_timer().await,
            }
            continue;
        };
        // A paused step counts once, also if other invocations continue before it is resumed.
        if seen.insert(paused.number) {
            *occurrences.entry((paused.step, paused.position)).or_default() += 1;
        }
        let occurrence = occurrences[&(paused.step, paused.position)];
        let position = paused.position;
        driver.add_trace(|| format!("#{main} {position:?} {} ({occurrence})", paused.step));
        let here = (paused.step, position, occurrence);
        let scripted = run.scenario.script.iter().find(|(step, at, number, _)| (*step, *at, *number) == here);
        let fault = run.fault.filter(|(step, number, _)| (*step, *number) == (paused.step, occurrence));
        if let (Position::Before, None) = (position, run.fault) {
            steps.push((paused.step, occurrence));
        }
        match (position, fault.map(|(_, _, fault)| fault)) {
            (Position::Before, Some(fault)) => {
                start_peer(driver, run.peer).await;
                driver.add_trace(|| format!("#{main} {}: {fault:?}", paused.step));
                fault_in_flight = Some(fault);
                inject_before(driver, host, paused, fault).await;
            }
            (Position::InFlight, Some(_)) if fault_in_flight.is_some() => match fault_in_flight.take() {
                Some(Fault::ResponseLost(lands)) => lose_response(driver, paused, lands).await,
                Some(Fault::CrashInFlight(lands)) => {
                    if lands == Some(0) {
                        crm::with(|crm| crm.land(paused.number));
                    }
                    driver.crash(main, lands);
                }
                Some(Fault::Refused) => {
                    driver.refuse(paused, ErrorKind::RateLimited { retry_after: None }).await;
                }
                _ => driver.respond(paused).await,
            },
            (Position::After, Some(Fault::CrashAfter)) => driver.crash(main, None),
            _ => match scripted {
                Some((_, _, _, action)) => act(driver, host, action, Some(paused)).await,
                None => driver.proceed_normally(paused).await,
            },
        }
    }
    if driver.running().contains(&main) {
        return false;
    }
    driver.run_to_end().await;
    true
}

/// Injects the faults that happen before a step or in its requests to the table.
async fn inject_before(driver: &mut Driver<'_>, host: &TokenHost, paused: PausedStep, fault: Fault) {
    match fault {
        Fault::CrashBefore => return driver.crash(paused.invocation, None),
        Fault::Pause => driver.advance(LONG_MS).await,
        Fault::ReadFails => fail_next_read(),
        Fault::Tokens(exchange) => host.set_next(&[exchange]),
        Fault::Table(_, responses) => return driver.proceed(paused, responses).await,
        Fault::CrashAfter | Fault::CrashInFlight(_) | Fault::ResponseLost(_) | Fault::Refused => {}
    }
    driver.proceed(paused, table::NORMAL).await;
}

/// Starts the second request and runs it as far as it comes without time.
async fn start_peer(driver: &mut Driver<'_>, peer: Peer) {
    let request = match peer {
        Peer::None | Peer::Redrive => return,
        Peer::Create => Request::Create,
        Peer::Update => Request::Update(vec![Detail { field: Field::Result, value: 9 }]),
    };
    run_ahead(driver, request).await;
}

async fn run_ahead(driver: &mut Driver<'_>, request: Request) {
    let invocation = driver.start(request).await;
    run_until(driver, invocation, |_| false).await;
}

/// Runs an invocation until it is paused there, sleeps, or responds.
async fn run_until(
    driver: &mut Driver<'_>,
    invocation: usize,
    is_there: impl Fn(&PausedStep) -> bool,
) -> Option<PausedStep> {
    while let Some(paused) = scheduler::paused().into_iter().find(|paused| paused.invocation == invocation) {
        if is_there(&paused) {
            return Some(paused);
        }
        driver.proceed_normally(paused).await;
    }
    None
}

async fn lose_response(driver: &mut Driver<'_>, paused: PausedStep, lands: Option<i64>) {
    if lands == Some(0) {
        crm::with(|crm| crm.land(paused.number));
    }
    driver.lose_response(paused, lands).await;
}

fn fail_next_read() {
    crm::with(|crm| crm.next_read_fails = Some(crm::failure(ErrorKind::Unavailable, Effect::None)));
}

/// Carries out an action of a scenario, while the main request is paused at this step if it has started.
async fn act(driver: &mut Driver<'_>, host: &TokenHost, action: &Action, paused: Option<PausedStep>) {
    driver.add_trace(|| format!("{action:?}"));
    match (action, paused) {
        (Action::Refuse(kind), Some(paused)) => return driver.refuse(paused, kind.clone()).await,
        (Action::LoseResponse(lands), Some(paused)) => return lose_response(driver, paused, *lands).await,
        (Action::Table(responses), Some(paused)) => return driver.proceed(paused, responses).await,
        (Action::Send(request), _) => {
            driver.start(request.clone()).await;
            driver.run_to_end().await;
        }
        (Action::RunAhead(request), _) => run_ahead(driver, request.clone()).await,
        (Action::CrashAt(request, step, position, lands), _) => {
            let invocation = driver.start(request.clone()).await;
            let is_there = |paused: &PausedStep| (paused.step, paused.position) == (*step, *position);
            run_until(driver, invocation, is_there).await;
            driver.crash(invocation, *lands);
        }
        (Action::PauseAt(request, step, position), _) => {
            let invocation = driver.start(request.clone()).await;
            let is_there = |paused: &PausedStep| (paused.step, paused.position) == (*step, *position);
            run_until(driver, invocation, is_there).await;
        }
        (Action::SendRefused(request, kind), _) => {
            let invocation = driver.start(request.clone()).await;
            let is_write = |paused: &PausedStep| paused.position == Position::InFlight;
            while let Some(paused) = run_until(driver, invocation, is_write).await {
                driver.refuse(paused, kind.clone()).await;
            }
            driver.run_to_end().await;
        }
        (Action::Advance(ms), _) => driver.advance(*ms).await,
        (Action::FailNextRead, _) => fail_next_read(),
        (Action::Tokens(exchanges), _) => host.set_next(exchanges),
        (Action::DeleteRecord, _) => crm::with(|crm| crm.delete()),
        (Action::RefuseKey(refuses), _) => crm::with(|crm| crm.refuses_key = *refuses),
        (Action::RejectCompletion, _) => crm::with(|crm| crm.rejects_completion = true),
        (Action::AddDuplicate, _) => crm::with(|crm| crm.add_duplicate()),
        (Action::SetBurstBudget(left), _) => crm::with(|crm| crm.burst_budget = Some(*left)),
        (Action::Disconnect, _) => driver.connect(None).await,
        (Action::Connect, _) => driver.connect(crm::connection(scenarios::connected())).await,
        (Action::ClaimRenewal, _) => driver.claim_renewal().await,
        (Action::AddUnreadableItem, _) => table::execute("PutItem", scenarios::UNREADABLE_ITEM),
        (Action::Refuse(_) | Action::LoseResponse(_) | Action::Table(_), None) => {}
    }
    if let Some(paused) = paused {
        driver.proceed_normally(paused).await;
    }
}

/// Injects each fault at each step of each scenario, in so many threads.
///
/// # Panics
///
/// Panics if a thread of the simulation panics.
pub fn run(threads: usize, depth: Depth) -> Summary {
    let scenarios = Mutex::new(scenarios::all());
    let work = || {
        runtime().block_on(tokio::task::coop::unconstrained(async {
            let mut runner = Runner::start().await;
            let mut summary = Summary::default();
            let next = || scenarios.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some(scenario) = next() {
                try_all(&mut runner, &scenario, depth, &mut summary).await;
            }
            summary
        }))
    };
    let summaries = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread ends")).collect::<Vec<_>>()
    });
    summaries.into_iter().fold(Summary::default(), |mut all, one| {
        all.places += one.places;
        all.runs += one.runs;
        all.broken.extend(one.broken);
        for (step, count) in one.steps {
            *all.steps.entry(step).or_default() += count;
        }
        all
    })
}

async fn try_all(runner: &mut Runner, scenario: &Scenario, depth: Depth, summary: &mut Summary) {
    summary.runs += 1;
    let steps = match runner.steps_of(scenario).await {
        Ok(steps) => steps,
        Err(violations) => {
            return summary.broken.push((format!("{}, without a fault", scenario.name), vec![violations]));
        }
    };
    for (step, occurrence) in steps {
        summary.places += 1;
        for fault in faults_at(step, depth) {
            for peer in PEERS {
                summary.runs += 1;
                *summary.steps.entry(step).or_default() += 1;
                let run = Run { scenario: scenario.clone(), fault: Some((step, occurrence, fault)), peer };
                let (violations, _) = runner.run(&run, false, &mut Vec::new()).await;
                if !violations.is_empty() {
                    let (_, trace) = runner.run(&run, true, &mut Vec::new()).await;
                    let violations = violations.join("; ");
                    let name = format!(
                        "{}, {step} ({occurrence}) {fault:?}, peer {peer:?}: {violations}",
                        scenario.name
                    );
                    summary.broken.push((name, trace));
                }
            }
        }
    }
}
