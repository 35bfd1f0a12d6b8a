//! Each fault at each step.

mod kinds;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    thread,
};

use call_log::adapters::{Effect, ErrorKind};

pub use self::kinds::Depth;
use self::kinds::kinds;
use super::{
    crm::{self, CAREFUL, PLAIN},
    driver::{Driver, World, runtime_with_sockets},
    oracle::{self, Beyond, Finish},
    requests::{Fact, Field, Request},
    scenarios::{self, Deed, Scenario},
    scheduler::{self, Place, Ticket},
    table,
    tokens::{Exchange, TokenHost},
};

/// Longer than any lease and the grace after it, in milliseconds.
const LONG_MS: i64 = 60_000;
/// Just before the end of the grace, in milliseconds.
const LATE_MS: i64 = crm::GRACE_MS - 1_000;
/// More than any run needs.
const MOVES: usize = 1_000;

/// A step that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    DiesBefore,
    DiesAfter,
    /// Its invocation dies while it is under way; it lands after so long, or never.
    DiesUnder(Option<i64>),
    /// The answer is lost; it lands after so long, or never.
    Lost(Option<i64>),
    /// The invocation stands still before it for longer than its lease.
    Sleeps,
    /// The table goes that way, of [`table::WAYS`].
    Table(usize),
    Refused,
    ReadFails,
    Tokens(Exchange),
}

/// Who comes when the step goes wrong, and who finishes what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    Nobody,
    Create,
    Update,
    Redrive,
}

const PEERS: [Peer; 4] = [Peer::Nobody, Peer::Create, Peer::Update, Peer::Redrive];

/// What was run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The steps that faults were tried on, by name, with how many faults.
    pub steps: BTreeMap<&'static str, usize>,
    /// How many places of scenarios faults were tried at.
    pub places: usize,
    pub runs: usize,
    /// What broke a promise, and what was done.
    pub broken: Vec<(String, Vec<String>)>,
}

/// One run.
#[derive(Clone, Debug)]
struct Run {
    scenario: Scenario,
    fault: Option<(&'static str, usize, Kind)>,
    peer: Peer,
}

/// A thread's world, and the host that renews its grants.
struct Stage {
    world: World,
    host: TokenHost,
    runs: u64,
    /// The table has nothing that others than the last run would not leave.
    is_clean: bool,
}

impl Stage {
    async fn start() -> Stage {
        Stage { world: World::start().await, host: TokenHost::start(), runs: 0, is_clean: false }
    }

    /// The steps of the main request, in order, without a fault.
    async fn rehearse(&mut self, scenario: &Scenario) -> Result<Vec<(&'static str, usize)>, String> {
        let run = Run { scenario: scenario.clone(), fault: None, peer: Peer::Redrive };
        let mut steps = Vec::new();
        let (wrong, trace) = self.run(&run, true, &mut steps).await;
        if wrong.is_empty() { Ok(steps) } else { Err(format!("{wrong:?}\n{}", trace.join("\n"))) }
    }

    async fn run(
        &mut self,
        run: &Run,
        keeps_trace: bool,
        steps: &mut Vec<(&'static str, usize)>,
    ) -> (Vec<String>, Vec<String>) {
        fastrand::seed(0);
        self.host.reset(true);
        // What a person did, and what only a later version reads, must not meet the next run.
        let is_plain = run.scenario.credentials == scenarios::connected() && run.scenario.after.is_empty();
        if !(is_plain && self.is_clean) {
            self.world.renew().await;
            self.world.connect(run.scenario.credentials.clone()).await;
        }
        self.is_clean = is_plain && !run.scenario.before.iter().any(|deed| matches!(deed, Deed::Unreadable));
        self.runs += 1;
        let session = format!("run-{}", self.runs);
        let is_careful = run.scenario.name.len().is_multiple_of(2);
        let crm = if is_careful { &CAREFUL } else { &PLAIN };
        let mut driver = self.world.begin(crm, &session, keeps_trace).await;
        crm::with(|account| account.tokens = Some(self.host.clone()));
        for deed in &run.scenario.before {
            act(&mut driver, &self.host, deed, None).await;
        }
        let main = driver.start(run.scenario.main.clone()).await;
        let wrong = play(&mut driver, &self.host, run, main, steps).await;
        if !wrong.is_empty() {
            self.is_clean = false;
            return (wrong, driver.trace().to_vec());
        }
        table::disarm();
        self.host.next(&[]);
        crm::with(|account| account.next_read = None);
        for deed in &run.scenario.after {
            act(&mut driver, &self.host, deed, None).await;
        }
        let finish = if run.peer == Peer::Nobody { Finish::Client } else { Finish::Redrive };
        let has_late =
            |kind: Kind| matches!(kind, Kind::Table(way) if table::WAYS[way].1.contains(&table::Wire::Late));
        let late_writes = run.fault.is_some_and(|(_, _, kind)| has_late(kind));
        let mut wrong = oracle::finish(&mut driver, finish, Beyond { grace: false, late_writes }).await;
        let user = driver.app().store.user(&driver.caller().platform, &driver.caller().user).await;
        if user.is_ok_and(|user| user.is_some_and(|user| user.session_ended)) {
            wrong.push("the user has to connect again".to_owned());
        }
        let trace = driver.trace().to_vec();
        self.is_clean &= wrong.is_empty();
        (wrong, trace)
    }
}

/// Plays the main request to its end, with what happens on its way.
async fn play(
    driver: &mut Driver<'_>,
    host: &TokenHost,
    run: &Run,
    main: usize,
    steps: &mut Vec<(&'static str, usize)>,
) -> Vec<String> {
    let mut times: BTreeMap<(&'static str, Place), usize> = BTreeMap::new();
    let mut under: Option<Kind> = None;
    let mut seen = BTreeSet::new();
    for turn in 0..MOVES {
        if !driver.running().contains(&main) {
            break;
        }
        let waiting = scheduler::waiting();
        let Some(ticket) = waiting.iter().find(|ticket| ticket.task == main).copied() else {
            // Time passes and the others go on by turns.
            match waiting.first() {
                Some(ticket) if turn % 3 == 2 => driver.go_on(*ticket).await,
                _ => driver.sleep().await,
            }
            continue;
        };
        // A ticket is come to once, however often something else happens meanwhile.
        if seen.insert(ticket.number) {
            *times.entry((ticket.step, ticket.place)).or_default() += 1;
        }
        let time = times[&(ticket.step, ticket.place)];
        let place = ticket.place;
        driver.note(|| format!("#{main} {place:?} {} ({time})", ticket.step));
        let scripted = run
            .scenario
            .script
            .iter()
            .find(|(step, place, when, _)| (*step, *place, *when) == (ticket.step, ticket.place, time));
        let fault = run.fault.filter(|(step, when, _)| (*step, *when) == (ticket.step, time));
        if let (Place::Before, None) = (place, run.fault) {
            steps.push((ticket.step, time));
        }
        match (place, fault.map(|(_, _, kind)| kind)) {
            (Place::Before, Some(kind)) => {
                come(driver, run.peer).await;
                driver.note(|| format!("#{main} {}: {kind:?}", ticket.step));
                under = Some(kind);
                before(driver, host, ticket, kind).await;
            }
            (Place::Under, Some(_)) if under.is_some() => match under.take() {
                Some(Kind::Lost(lands)) => lose(driver, ticket, lands).await,
                Some(Kind::DiesUnder(lands)) => {
                    if lands == Some(0) {
                        crm::with(|account| account.land(ticket.number));
                    }
                    driver.kill(main, lands);
                }
                Some(Kind::Refused) => {
                    driver.refuse(ticket, ErrorKind::RateLimited { retry_after: None }).await;
                }
                _ => driver.answer(ticket).await,
            },
            (Place::After, Some(Kind::DiesAfter)) => driver.kill(main, None),
            _ => match scripted {
                Some((_, _, _, deed)) => act(driver, host, deed, Some(ticket)).await,
                None => driver.go_on(ticket).await,
            },
        }
    }
    if driver.running().contains(&main) {
        return vec!["the request has no end".to_owned()];
    }
    driver.settle().await;
    Vec::new()
}

async fn before(driver: &mut Driver<'_>, host: &TokenHost, ticket: Ticket, kind: Kind) {
    match kind {
        Kind::DiesBefore => return driver.kill(ticket.task, None),
        Kind::Sleeps => driver.pass(LONG_MS).await,
        Kind::ReadFails => fail_read(),
        Kind::Tokens(exchange) => host.next(&[exchange]),
        Kind::Table(way) => return driver.go(ticket, table::WAYS[way].1).await,
        Kind::DiesAfter | Kind::DiesUnder(_) | Kind::Lost(_) | Kind::Refused => {}
    }
    driver.go(ticket, table::FINE).await;
}

/// Somebody else comes, and goes as far as it can without time.
async fn come(driver: &mut Driver<'_>, peer: Peer) {
    match peer {
        Peer::Nobody | Peer::Redrive => {}
        Peer::Create => join(driver, Request::Create).await,
        Peer::Update => {
            join(driver, Request::Update(vec![Fact { field: Field::Result, value: 9 }])).await;
        }
    }
}

async fn join(driver: &mut Driver<'_>, request: Request) {
    let task = driver.start(request).await;
    run_to(driver, task, |_| false).await;
}

/// Lets an invocation go on until it comes there, or sleeps, or answers.
async fn run_to(driver: &mut Driver<'_>, task: usize, is_there: impl Fn(&Ticket) -> bool) -> Option<Ticket> {
    while let Some(ticket) = scheduler::waiting().into_iter().find(|ticket| ticket.task == task) {
        if is_there(&ticket) {
            return Some(ticket);
        }
        driver.go_on(ticket).await;
    }
    None
}

async fn lose(driver: &mut Driver<'_>, ticket: Ticket, lands: Option<i64>) {
    if lands == Some(0) {
        crm::with(|account| account.land(ticket.number));
    }
    driver.lose(ticket, lands).await;
}

fn fail_read() {
    crm::with(|account| account.next_read = Some(crm::failure(ErrorKind::Unavailable, Effect::None)));
}

async fn act(driver: &mut Driver<'_>, host: &TokenHost, deed: &Deed, ticket: Option<Ticket>) {
    driver.note(|| format!("{deed:?}"));
    match (deed, ticket) {
        (Deed::Refuse(kind), Some(ticket)) => return driver.refuse(ticket, kind.clone()).await,
        (Deed::Lose(lands), Some(ticket)) => return lose(driver, ticket, *lands).await,
        (Deed::Table(way), Some(ticket)) => return driver.go(ticket, way).await,
        (Deed::Send(request), _) => {
            driver.start(request.clone()).await;
            driver.settle().await;
        }
        (Deed::Join(request), _) => join(driver, request.clone()).await,
        (Deed::Die(request, step, place, lands), _) => {
            let task = driver.start(request.clone()).await;
            run_to(driver, task, |ticket| (ticket.step, ticket.place) == (*step, *place)).await;
            driver.kill(task, *lands);
        }
        (Deed::Stay(request, step, place), _) => {
            let task = driver.start(request.clone()).await;
            run_to(driver, task, |ticket| (ticket.step, ticket.place) == (*step, *place)).await;
        }
        (Deed::PutOff(request), _) => {
            let task = driver.start(request.clone()).await;
            if let Some(ticket) = run_to(driver, task, |ticket| ticket.place == Place::Under).await {
                driver.refuse(ticket, ErrorKind::RateLimited { retry_after: None }).await;
            }
            driver.settle().await;
        }
        (Deed::Pass(ms), _) => driver.pass(*ms).await,
        (Deed::FailRead, _) => fail_read(),
        (Deed::Tokens(exchanges), _) => host.next(exchanges),
        (Deed::Delete, _) => crm::with(|account| account.delete()),
        (Deed::Duplicate, _) => crm::with(|account| account.duplicate()),
        (Deed::Burst(left), _) => crm::with(|account| account.burst = Some(*left)),
        (Deed::Disconnect, _) => driver.connect(None).await,
        (Deed::Connect, _) => driver.connect(scenarios::connected()).await,
        (Deed::ClaimRenewal, _) => driver.claim_renewal().await,
        (Deed::Unreadable, _) => table::execute("PutItem", scenarios::UNREADABLE),
        (Deed::Refuse(_) | Deed::Lose(_) | Deed::Table(_), None) => {}
    }
    if let Some(ticket) = ticket {
        driver.go_on(ticket).await;
    }
}

/// Runs each fault at each step of each scenario, in so many threads.
pub fn run(threads: usize, depth: Depth) -> Summary {
    let scenarios = Mutex::new(scenarios::all());
    let worker = || {
        runtime_with_sockets().block_on(tokio::task::coop::unconstrained(async {
            let mut stage = Stage::start().await;
            let mut summary = Summary::default();
            let next = || scenarios.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some(scenario) = next() {
                try_all(&mut stage, &scenario, depth, &mut summary).await;
            }
            summary
        }))
    };
    let summaries = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).collect::<Vec<_>>()
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

async fn try_all(stage: &mut Stage, scenario: &Scenario, depth: Depth, summary: &mut Summary) {
    summary.runs += 1;
    let steps = match stage.rehearse(scenario).await {
        Ok(steps) => steps,
        Err(wrong) => {
            return summary.broken.push((format!("{}, without a fault", scenario.name), vec![wrong]));
        }
    };
    for (step, time) in steps {
        summary.places += 1;
        for kind in kinds(step, depth) {
            for peer in PEERS {
                summary.runs += 1;
                *summary.steps.entry(step).or_default() += 1;
                let fault = Some((step, time, kind));
                let run = Run { scenario: scenario.clone(), fault, peer };
                let (wrong, _) = stage.run(&run, false, &mut Vec::new()).await;
                if !wrong.is_empty() {
                    let (_, trace) = stage.run(&run, true, &mut Vec::new()).await;
                    let name = format!(
                        "{}, {step} ({time}) {kind:?}, then {peer:?}: {}",
                        scenario.name,
                        wrong.join("; ")
                    );
                    summary.broken.push((name, trace));
                }
            }
        }
    }
}
