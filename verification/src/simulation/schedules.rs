//! Random schedules: orders and faults drawn from a seed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use call_log::{
    adapters::{CompareAndSet, Effect, ErrorKind},
    store::State,
};

use super::{
    application::{Simulation, runtime},
    crm::{self, Defect, Edit, End, Kind},
    driver::Driver,
    oracle::{self, Completion},
    plan::{Plan, Planned, Twin},
    requests::Call,
    scheduler::{self, PausedStep, Position},
    table,
    tokens::TokenExchange,
};

/// The ways in which the exchange of a refresh token fails.
const FAILURES: [TokenExchange; 3] =
    [TokenExchange::ResponseLost, TokenExchange::NotDelivered, TokenExchange::Overloaded];
/// More moves than any schedule needs.
const MAX_MOVES: u64 = 3_000;
/// A thread's summary with so many broken schedules ends the run.
const MAX_BROKEN: usize = 3;

/// A schedule that broke a promise.
#[derive(Clone, Debug)]
pub struct BrokenSchedule {
    /// The seed.
    pub seed: u64,
    /// The kind of the CRM.
    pub kind: Kind,
    /// The broken promises.
    pub violations: Vec<String>,
}

/// The result of many schedules.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The number of schedules of each kind of CRM.
    pub kinds: BTreeMap<Kind, u64>,
    /// The number of calls with a further record, because the CRM shows nothing and the create was repeated.
    pub repeated: usize,
    /// The number of moves of the driver.
    pub moves: u64,
    /// The number of requests to the table.
    pub table_requests: u64,
    /// The number of invocations that crashed.
    pub crashes: u64,
    /// The number of other faults.
    pub faults: u64,
    /// The number of schedules with a second call, by the difference between the calls.
    pub twins: BTreeMap<Twin, u64>,
    /// The number of schedules in which a user moved to another account.
    pub relocations: u64,
    /// The schedules that broke a promise.
    pub broken: Vec<BrokenSchedule>,
}

impl Summary {
    /// Returns the number of schedules.
    pub fn schedules(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// The restrictions of a run of schedules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The kind of the CRM; `None`: the kind that belongs to the seed.
    pub kind: Option<Kind>,
    /// The defect that is injected, so that a test sees whether the oracle finds it.
    pub defect: Option<Defect>,
}

impl Plan {
    fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(..count) == 0
    }

    /// Takes one of those that are left, with one chance in `count`. Returns `true` if one was taken.
    fn take(&mut self, left: fn(&mut Plan) -> &mut u32, count: u32) -> bool {
        if *left(self) == 0 || !self.one_in(count) {
            return false;
        }
        *left(self) -= 1;
        true
    }

    /// Draws when an abandoned request lands, in milliseconds from now: at once, within the grace, or never.
    fn landing(&mut self) -> Option<i64> {
        match self.rng.u8(..3) {
            0 => Some(0),
            1 if self.broken_assumptions.late_crm_writes => Some(self.rng.i64(1..600_000)),
            1 => Some(self.rng.i64(1..60_000)),
            _ => None,
        }
    }

    /// Makes one move.
    async fn step(&mut self, driver: &mut Driver<'_>) {
        self.moves += 1;
        let all = scheduler::paused();
        let has_sleeping = !driver.sleeping().is_empty();
        if !self.requests.is_empty() && (all.is_empty() && !has_sleeping || self.one_in(4)) {
            if let Some(Planned { call, origin, request }) = self.requests.pop() {
                driver.start_from(origin, &self.calls[call], request).await;
            }
            return;
        }
        if self.take(|plan| &mut plan.pauses_left, 12) {
            let ms = [200, 3_000, 12_000, 31_000, 60_000][self.rng.usize(..5)];
            driver.add_trace(|| format!("every invocation pauses for {ms} ms"));
            driver.advance(ms).await;
            return;
        }
        if self.take(|plan| &mut plan.key_changes_left, 12) {
            let refuses = crm::with(|crm| {
                crm.refuses_key ^= true;
                crm.refuses_key
            });
            driver.add_trace(|| format!("the CRM {} the key", if refuses { "refuses" } else { "accepts" }));
            return;
        }
        if self.take(|plan| &mut plan.relocations_left, 12) {
            return driver.move_colleague().await;
        }
        if self.take(|plan| &mut plan.edits_left, 12) {
            return self.edit(driver).await;
        }
        if table::late_writes() > 0 && self.one_in(6) {
            if let Some(write) = table::deliver_late_write() {
                driver.add_trace(|| format!("a late write arrives: {write}"));
            }
            return;
        }
        if all.is_empty() || has_sleeping && self.one_in(3) {
            driver.advance_to_timer().await;
            return;
        }
        let paused = all[self.rng.usize(..all.len())];
        let number = paused.invocation;
        if self.take(|plan| &mut plan.crashes_left, 25) {
            let landing = self.landing();
            self.crashes += 1;
            driver.add_trace(|| format!("#{number} crashes {}, lands: {landing:?}", describe(paused)));
            driver.crash(number, landing);
            return;
        }
        let is_faulty = self.take(|plan| &mut plan.faults_left, 12);
        self.faults += u64::from(is_faulty);
        if is_faulty && paused.position == Position::Before && self.fail_renewal(paused, driver) {
            return driver.proceed(paused, table::NORMAL).await;
        }
        if paused.position == Position::InFlight {
            return self.crm_write(driver, paused, is_faulty).await;
        }
        if is_faulty && paused.position == Position::Before && paused.step.starts_with("crm.") {
            if matches!(paused.step, "crm.read_log" | "crm.find_logs" | "crm.find_contacts") {
                driver.add_trace(|| format!("#{number} {}: fails", describe(paused)));
                let error = crm::failure(ErrorKind::Unavailable, Effect::None);
                crm::with(|crm| crm.next_read_fails = Some(error));
            }
            return driver.proceed(paused, table::NORMAL).await;
        }
        let responses = if is_faulty && paused.position == Position::Before && !paused.step.contains("pause")
        {
            let (name, responses) = table::FAULTY[self.rng.usize(..table::FAULTY.len())];
            self.broken_assumptions.late_table_writes |=
                responses.contains(&table::TableResponse::DeliveredLate);
            driver.add_trace(|| format!("#{number} {}: the table: {name}", describe(paused)));
            responses
        } else {
            driver.add_trace(|| format!("#{number} {}", describe(paused)));
            table::NORMAL
        };
        driver.proceed(paused, responses).await;
    }

    /// Lets the exchange of a refresh token or the login after it fail. Returns `false` if the step is another one.
    fn fail_renewal(&mut self, paused: PausedStep, driver: &mut Driver<'_>) -> bool {
        let exchange = match paused.step {
            "grant.exchange" | "grant.exchange_again" => Some(FAILURES[self.rng.usize(..FAILURES.len())]),
            "grant.login" => None,
            _ => return false,
        };
        driver.add_trace(|| format!("#{} {}: fails: {exchange:?}", paused.invocation, describe(paused)));
        self.lost_renewals |= exchange == Some(TokenExchange::ResponseLost);
        crm::with(|crm| match exchange {
            Some(exchange) => crm.tokens.get_or_insert_default().set_next(&[exchange]),
            None => crm.next_read_fails = Some(crm::failure(ErrorKind::Unavailable, Effect::None)),
        });
        true
    }

    /// A person edits the record of a call, unless that would be lost: without an exact compare-and-set, an edit between
    /// the reading of a record and its change is.
    async fn edit(&mut self, driver: &mut Driver<'_>) {
        if self.crm.compare_and_set == CompareAndSet::OneSecond {
            driver.advance(1_000).await;
        }
        let call = &self.calls[self.rng.usize(..self.calls.len())].clone();
        let item = driver.item(call).await;
        // The first subject that is known of a recovered record counts as ours.
        let logged = item.filter(|item| item.state == State::Logged && item.written.subject.is_some());
        let Some(id) = logged.and_then(|item| item.log_id) else { return };
        let is_between = |paused: &PausedStep| {
            (paused.step, paused.position) == ("crm.read_log", Position::After)
                || paused.step == "crm.update_log" && paused.position != Position::After
        };
        let now_ms = driver.now_ms();
        let is_lost = match self.crm.compare_and_set {
            CompareAndSet::Exact => false,
            CompareAndSet::OneSecond => {
                crm::with(|crm| crm.live().any(|record| record.changed_at / 1_000 == now_ms / 1_000))
            }
            CompareAndSet::None => {
                scheduler::paused().iter().any(is_between) || crm::with(|crm| crm.has_change_on_its_way())
            }
        };
        if is_lost {
            return;
        }
        let number = self.edits_left;
        let edit = match self.rng.u8(..4) {
            0 => Edit::Line(format!("A person's line {number}."), End::Start),
            1 => Edit::Line(format!("A person's line {number}."), End::Last),
            2 => Edit::Subject(format!("A person's subject {number}.")),
            _ => Edit::Duration(format!("{}", 9_000 + number)),
        };
        if matches!(edit, Edit::Duration(_)) && crm::with(|crm| crm.keeps_no_duration()) {
            return;
        }
        driver.add_trace(|| format!("a person edits {id}: {edit:?}"));
        crm::with(|crm| crm.edit_record(call.account, &id, edit));
    }

    /// Decides about a request on its way to the CRM.
    async fn crm_write(&mut self, driver: &mut Driver<'_>, paused: PausedStep, is_faulty: bool) {
        let what = format!("#{} {}", paused.invocation, describe(paused));
        if !is_faulty {
            driver.add_trace(|| format!("{what}: lands, the response arrives"));
            return driver.respond(paused).await;
        }
        match self.rng.u8(..6) {
            0 | 1 => {
                driver.add_trace(|| format!("{what}: lands, the response is lost"));
                crm::with(|crm| crm.land(paused.number));
                driver.lose_response(paused, None).await;
            }
            2 | 3 => {
                let landing = self.landing();
                driver.add_trace(|| format!("{what}: no response, lands: {landing:?}"));
                driver.lose_response(paused, landing).await;
            }
            _ => {
                let kinds = [
                    ErrorKind::RateLimited { retry_after: None },
                    ErrorKind::Forbidden { message: String::new() },
                ];
                let kind = kinds[self.rng.usize(..2)].clone();
                driver.add_trace(|| format!("{what}: refused: {kind}"));
                driver.refuse(paused, kind).await;
            }
        }
    }
}

fn describe(paused: PausedStep) -> String {
    let position = match paused.position {
        Position::Before => "before",
        Position::InFlight => "in flight at",
        Position::After => "after",
    };
    format!("{position} {}", paused.step)
}

/// Runs the schedule of a seed. Returns the broken promises and the trace.
async fn run_one(
    simulation: &mut Simulation,
    seed: u64,
    options: Options,
    keeps_trace: bool,
    summary: &mut Summary,
) -> (Vec<String>, Vec<String>) {
    let kind = options.kind.unwrap_or(Kind::of_seed(seed));
    let mut plan = Plan::draw(seed, kind);
    // Only a create that lands too late meets a record that has more.
    plan.broken_assumptions.late_crm_writes |= options.defect == Some(Defect::CreateOverwrites);
    let hides_existing = plan.rng.bool();
    let rejects_completion = plan.rng.u8(..8) == 0;
    let completion = if plan.rng.u8(..3) == 0 { Completion::Client } else { Completion::Redrive };
    let mut driver = simulation.begin(plan.crm, plan.calls.clone(), keeps_trace).await;
    if let Some(connection) = crm::with(|crm| crm.draw_connection(&mut plan.rng)) {
        driver.add_trace(|| format!("the user connects: {connection:?}"));
        driver.connect(Some(connection)).await;
    }
    // The SDK draws its pauses from this generator. Creating a new table may have drawn too.
    fastrand::seed(seed);
    crm::with(|crm| {
        crm.breaks_grace = plan.broken_assumptions.late_crm_writes;
        crm.rejects = plan.rejects;
        crm.hides_existing = hides_existing;
        crm.rejects_completion = rejects_completion;
    });
    options.defect.into_iter().for_each(crm::inject);
    if options.defect == Some(Defect::AccountsMixed) {
        driver.mix_accounts().await;
    }
    driver.add_trace(|| format!("the CRM: {:?}", plan.crm));
    driver.add_trace(|| {
        let (rejects, completion) = (&plan.rejects, if rejects_completion { " and completions" } else { "" });
        format!("it rejects {rejects:?}{completion}; it names existing records: {}", !hides_existing)
    });
    let mut violations = Vec::new();
    while !plan.requests.is_empty() || !driver.running().is_empty() {
        if plan.moves > MAX_MOVES {
            violations.push("the schedule does not end".to_owned());
            break;
        }
        plan.step(&mut driver).await;
    }
    if violations.is_empty() {
        violations = oracle::complete(&mut driver, completion, plan.broken_assumptions).await;
        let may_lose_grant = plan.lost_renewals || driver.interruptions() > 0;
        if crm::with(|crm| crm.reconnections > 0) && !may_lose_grant {
            violations.push("the user had to connect again".to_owned());
        }
    }
    let trace = driver.trace().to_vec();
    *summary.kinds.entry(kind).or_default() += 1;
    let count = |call: &Call| crm::with(|crm| crm.live_of(&call.name).count());
    summary.repeated += plan.calls.iter().filter(|call| count(call) > 1).count();
    plan.twin.into_iter().for_each(|twin| *summary.twins.entry(twin).or_default() += 1);
    summary.relocations += u64::from(driver.has_moved());
    summary.moves += plan.moves;
    summary.crashes += plan.crashes;
    summary.faults += plan.faults;
    if !violations.is_empty() {
        // The next schedule must not find what this one has left.
        drop(driver);
        simulation.discard_database();
        summary.broken.push(BrokenSchedule { seed, kind, violations: violations.clone() });
    }
    (violations, trace)
}

/// Runs the schedule of a seed. Returns the broken promises and the trace.
///
/// # Panics
///
/// Panics if the simulation does not start.
pub fn replay(seed: u64, options: Options) -> (Vec<String>, Vec<String>) {
    runtime().block_on(tokio::task::coop::unconstrained(async {
        let mut simulation = Simulation::start().await;
        run_one(&mut simulation, seed, options, true, &mut Summary::default()).await
    }))
}

/// Runs so many schedules, from the first seed on, in so many threads. Stops early after a few broken schedules.
///
/// # Panics
///
/// Panics if a thread of the simulation panics.
pub fn run(first: u64, count: u64, threads: usize, options: Options) -> Summary {
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    let work = || {
        runtime().block_on(tokio::task::coop::unconstrained(async {
            let mut simulation = Simulation::start().await;
            let mut summary = Summary::default();
            while !is_over.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    break;
                }
                run_one(&mut simulation, seed, options, false, &mut summary).await;
                if summary.broken.len() >= MAX_BROKEN {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
            summary.table_requests = table::requests();
            summary
        }))
    };
    let summaries = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread ends")).collect::<Vec<_>>()
    });
    summaries.into_iter().fold(Summary::default(), |mut all, one| {
        for (kind, count) in one.kinds {
            *all.kinds.entry(kind).or_default() += count;
        }
        for (twin, count) in one.twins {
            *all.twins.entry(twin).or_default() += count;
        }
        all.relocations += one.relocations;
        all.repeated += one.repeated;
        all.moves += one.moves;
        all.table_requests += one.table_requests;
        all.crashes += one.crashes;
        all.faults += one.faults;
        all.broken.extend(one.broken);
        all
    })
}
