//! Orders and faults drawn from a seed.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use call_log::adapters::{Effect, ErrorKind};

use super::{
    crm::{self, CAREFUL, PLAIN},
    driver::{Driver, World, runtime},
    oracle::{self, Beyond, Finish},
    requests::{Fact, Field, Request},
    scheduler::{self, Place, Ticket},
    table,
};

/// More than any schedule needs.
const MOVES: usize = 3_000;

/// A schedule that broke a promise.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    pub wrong: Vec<String>,
}

/// What many schedules came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub schedules: u64,
    pub moves: u64,
    pub table_requests: u64,
    pub killed: u64,
    pub faults: u64,
    pub broken: Vec<Broken>,
}

/// What one schedule may still do.
struct Plan {
    rng: fastrand::Rng,
    requests: Vec<Request>,
    kills: u32,
    faults: u32,
    pauses: u32,
    /// What the CRM refuses, of all that is told.
    refuses: Option<Fact>,
    /// Messages to the CRM may land after the grace.
    breaks_grace: bool,
    beyond: Beyond,
    moves: u64,
    killed: u64,
    faulted: u64,
}

impl Plan {
    fn draw(seed: u64) -> Plan {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Mostly small: what goes wrong shows with few, and time is better spent on more orders of them.
        let creates = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 0][rng.usize(..12)];
        let updates = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3][rng.usize(..12)];
        let mut requests = vec![Request::Create; creates];
        for value in 0..updates {
            let facts = 1 + usize::from(rng.u8(..3) == 0);
            let fact = |_| Fact { field: Field::ALL[rng.usize(..Field::ALL.len())], value };
            requests.push(Request::Update((0..facts).map(fact).collect()));
        }
        if requests.is_empty() {
            requests.push(Request::Create);
        }
        if rng.u8(..8) == 0 {
            requests.push(Request::Redrive);
        }
        let told = requests.iter().flat_map(|request| match request {
            Request::Update(facts) => facts.as_slice(),
            _ => &[],
        });
        let told: Vec<Fact> = told.copied().filter(|fact| fact.field != Field::Duration).collect();
        let refuses = (!told.is_empty() && rng.u8(..8) == 0).then(|| told[rng.usize(..told.len())]);
        rng.shuffle(&mut requests);
        let kills = [0, 0, 1, 1, 2][rng.usize(..5)];
        let faults = [0, 1, 1, 2, 3][rng.usize(..5)];
        let pauses = [0, 0, 1, 2][rng.usize(..4)];
        let breaks_grace = rng.u8(..12) == 0;
        let beyond = Beyond { grace: breaks_grace, late_writes: false };
        Plan {
            rng,
            requests,
            kills,
            faults,
            pauses,
            refuses,
            breaks_grace,
            beyond,
            moves: 0,
            killed: 0,
            faulted: 0,
        }
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(..count) == 0
    }

    /// Whether one of so many is taken, each with one chance in `count`.
    fn take(&mut self, left: fn(&mut Plan) -> &mut u32, count: u32) -> bool {
        if *left(self) == 0 || !self.one_in(count) {
            return false;
        }
        *left(self) -= 1;
        true
    }

    /// When a message that nobody waits for lands: at once, within the grace, or never.
    fn landing(&mut self) -> Option<i64> {
        match self.rng.u8(..3) {
            0 => Some(0),
            1 if self.breaks_grace => Some(self.rng.i64(1..600_000)),
            1 => Some(self.rng.i64(1..60_000)),
            _ => None,
        }
    }

    async fn step(&mut self, driver: &mut Driver<'_>) {
        self.moves += 1;
        let waiting = scheduler::waiting();
        let sleepers = driver.sleepers().len();
        if !self.requests.is_empty() && (waiting.is_empty() && sleepers == 0 || self.one_in(4)) {
            if let Some(request) = self.requests.pop() {
                driver.start(request).await;
            }
            return;
        }
        if self.take(|plan| &mut plan.pauses, 12) {
            let ms = [200, 3_000, 12_000, 31_000, 60_000][self.rng.usize(..5)];
            driver.note(|| format!("nobody moves for {ms} ms"));
            driver.pass(ms).await;
            return;
        }
        if table::late() > 0 && self.one_in(6) {
            if let Some(what) = table::arrive() {
                driver.note(|| format!("a late write arrives: {what}"));
            }
            return;
        }
        if waiting.is_empty() || sleepers > 0 && self.one_in(3) {
            driver.sleep().await;
            return;
        }
        let ticket = waiting[self.rng.usize(..waiting.len())];
        if self.take(|plan| &mut plan.kills, 25) {
            let landing = self.landing();
            self.killed += 1;
            driver.note(|| format!("#{} dies {}, lands: {landing:?}", ticket.task, at(ticket)));
            driver.kill(ticket.task, landing);
            return;
        }
        let faulty = self.take(|plan| &mut plan.faults, 12);
        self.faulted += u64::from(faulty);
        if ticket.place == Place::Under {
            return self.crm_write(driver, ticket, faulty).await;
        }
        if faulty && ticket.place == Place::Before && ticket.step.starts_with("crm.") {
            let is_read = matches!(ticket.step, "crm.read_log" | "crm.find_logs");
            if is_read {
                driver.note(|| format!("#{} {}: fails", ticket.task, at(ticket)));
                let error = crm::failure(ErrorKind::Unavailable, Effect::None);
                crm::with(|account| account.next_read = Some(error));
            }
            return driver.go(ticket, table::FINE).await;
        }
        let way = if faulty && ticket.place == Place::Before && !ticket.step.contains("pause") {
            let (name, way) = table::WAYS[self.rng.usize(..table::WAYS.len())];
            self.beyond.late_writes |= way.contains(&table::Wire::Late);
            driver.note(|| format!("#{} {}: the table is {name}", ticket.task, at(ticket)));
            way
        } else {
            driver.note(|| format!("#{} {}", ticket.task, at(ticket)));
            table::FINE
        };
        driver.go(ticket, way).await;
    }

    async fn crm_write(&mut self, driver: &mut Driver<'_>, ticket: Ticket, faulty: bool) {
        let task = ticket.task;
        if !faulty {
            driver.note(|| format!("#{task} {}: lands and is answered", at(ticket)));
            return driver.answer(ticket).await;
        }
        match self.rng.u8(..6) {
            0 | 1 => {
                driver.note(|| format!("#{task} {}: lands, the answer is lost", at(ticket)));
                crm::with(|account| account.land(ticket.number));
                driver.lose(ticket, None).await;
            }
            2 | 3 => {
                let landing = self.landing();
                driver.note(|| format!("#{task} {}: no answer, lands: {landing:?}", at(ticket)));
                driver.lose(ticket, landing).await;
            }
            _ => {
                let kind = [ErrorKind::RateLimited { retry_after: None }, ErrorKind::Forbidden];
                let kind = kind[self.rng.usize(..2)].clone();
                driver.note(|| format!("#{task} {}: refused: {kind}", at(ticket)));
                driver.refuse(ticket, kind).await;
            }
        }
    }
}

fn at(ticket: Ticket) -> String {
    let place = match ticket.place {
        Place::Before => "before",
        Place::Under => "under way in",
        Place::After => "after",
    };
    format!("{place} {}", ticket.step)
}

/// Runs the schedule of that seed; what is wrong then, and what was done.
pub async fn run_one(
    world: &mut World,
    seed: u64,
    keeps_trace: bool,
    summary: &mut Summary,
) -> (Vec<String>, Vec<String>) {
    let mut plan = Plan::draw(seed);
    let crm = if plan.rng.bool() { &CAREFUL } else { &PLAIN };
    let finish = if plan.rng.u8(..3) == 0 { Finish::Client } else { Finish::Redrive };
    let mut driver = world.begin(crm, &seed.to_string(), keeps_trace).await;
    // The SDK draws its pauses from here. What came before may have drawn too: a new table, say.
    fastrand::seed(seed);
    crm::with(|account| {
        account.breaks_grace = plan.breaks_grace;
        account.refuses = plan.refuses;
    });
    driver.note(|| format!("the CRM refuses {:?}", plan.refuses));
    let mut wrong = Vec::new();
    while !plan.requests.is_empty() || !driver.running().is_empty() {
        if plan.moves as usize > MOVES {
            wrong.push("the schedule has no end".to_owned());
            break;
        }
        plan.step(&mut driver).await;
    }
    if wrong.is_empty() {
        wrong = oracle::finish(&mut driver, finish, plan.beyond).await;
    }
    let trace = driver.trace().to_vec();
    summary.schedules += 1;
    summary.moves += plan.moves;
    summary.killed += plan.killed;
    summary.faults += plan.faulted;
    if !wrong.is_empty() {
        summary.broken.push(Broken { seed, wrong: wrong.clone() });
    }
    (wrong, trace)
}

/// Runs one schedule and keeps what was done.
pub fn replay(seed: u64) -> (Vec<String>, Vec<String>) {
    runtime().block_on(tokio::task::coop::unconstrained(async {
        let mut world = World::start().await;
        let mut summary = Summary::default();
        run_one(&mut world, seed, true, &mut summary).await
    }))
}

/// Runs that many schedules from that seed on, in so many threads; stops at the first that breaks a promise.
pub fn run(first: u64, count: u64, threads: usize) -> Summary {
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    let worker = || {
        runtime().block_on(tokio::task::coop::unconstrained(async {
            let mut world = World::start().await;
            let mut summary = Summary::default();
            while !is_over.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    break;
                }
                run_one(&mut world, seed, false, &mut summary).await;
                if summary.broken.len() >= 3 {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
            summary.table_requests = table::requests();
            summary
        }))
    };
    let summaries = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).collect::<Vec<_>>()
    });
    summaries.into_iter().fold(Summary::default(), |mut all, one| {
        all.schedules += one.schedules;
        all.moves += one.moves;
        all.table_requests += one.table_requests;
        all.killed += one.killed;
        all.faults += one.faults;
        all.broken.extend(one.broken);
        all
    })
}
