//! The invocations, what is done to them, and the time.

mod runtime;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use call_log::{
    adapters::ErrorKind,
    auth::Caller,
    delivery::{create, grant::unstored::UnstoredGrants, redrive, sync_point::Steps, update},
    model::{Clock, Credentials, Deadline, Platform, Secret, SessionId, Settings, User, UserId},
    startup::{app::App, config::Config},
    store::BreakerState,
    telemetry::Trace,
};
use tokio::time::Instant;

pub use self::runtime::{runtime, runtime_with_sockets};

use super::{
    crm::{self, Account, Memory},
    requests::{self, Answer, Request},
    scheduler::{self, Place, Stops, Ticket},
    table::{self, Way},
};

/// When every schedule begins, in milliseconds since 1970: a minute after the call did.
pub const NOW_MS: i64 = requests::START_MS + 65_000;
/// How long an invocation has, in milliseconds.
pub const INVOCATION_MS: i64 = 25_000;
/// How long the redrive has, in milliseconds.
pub const REDRIVE_MS: i64 = 55_000;
/// What the redrive calls the company of the one user.
const TENANT: &str = "memory#12345-memory";
/// How many schedules one database serves.
const SCHEDULES_PER_DATABASE: u64 = 1_000;

/// What a thread's schedules have in common.
#[derive(Debug)]
pub struct World {
    pub app: App,
    pub user: User,
    clock: Arc<AtomicI64>,
    schedules: u64,
}

/// One invocation.
struct Task<'w> {
    request: Request,
    future: Option<Pin<Box<dyn Future<Output = Answer> + 'w>>>,
    answer: Option<Answer>,
    began: usize,
    ended: usize,
}

/// What is known of a request when all is over.
#[derive(Debug)]
pub struct Told<'a> {
    pub request: &'a Request,
    /// Nothing: its invocation died.
    pub answer: Option<&'a Answer>,
    /// In the order in which requests begin and end.
    pub began: usize,
    pub ended: usize,
}

/// One schedule under way.
pub struct Driver<'w> {
    world: &'w World,
    pub crm: &'static Memory,
    pub session: SessionId,
    tasks: Vec<Task<'w>>,
    started: Instant,
    moments: usize,
    trace: Option<Vec<String>>,
}

impl std::fmt::Debug for Driver<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Driver").field("session", &self.session).field("trace", &self.trace).finish()
    }
}

impl World {
    /// This thread's world, with one connected user.
    pub async fn start() -> World {
        let environment = BTreeMap::from([
            ("TABLE_NAME", "calls"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost"),
            ("JWT_SECRET", "a secret for proofs that is long enough"),
        ]);
        let config = Config::read(|name| environment.get(name).map(|value| (*value).to_owned()));
        let clock = Arc::new(AtomicI64::new(NOW_MS));
        let app = App::new(config.expect("a configuration"), Clock::Manual(clock.clone())).await;
        let mut app = app.expect("the app starts");
        app.store = app.store.with_sdk(table::set_up);
        app.steps = Steps::observed_by(Arc::new(Stops));
        let user = User {
            id: UserId::new("12345-memory").expect("an id"),
            platform: Platform::new("memory").expect("a name"),
            hostname: None,
            zone: None,
            settings: Settings::default(),
            credentials: Some(Credentials::ApiKey(Secret::new("key"))),
        };
        World { app, user, clock, schedules: SCHEDULES_PER_DATABASE }
    }

    /// Begins a schedule about that session.
    pub async fn begin(&mut self, crm: &'static Memory, session: &str, keeps_trace: bool) -> Driver<'_> {
        scheduler::clear();
        table::clear();
        crm::with(|account| *account = Account::default());
        self.clock.store(NOW_MS, Ordering::SeqCst);
        if self.schedules >= SCHEDULES_PER_DATABASE {
            self.renew().await;
        }
        self.schedules += 1;
        if table::is_rest_written() {
            // A schedule must not find what another one left.
            self.app
                .store
                .set_breaker(TENANT, BreakerState::default(), NOW_MS)
                .await
                .expect("the table answers");
            table::is_rest_written();
        }
        self.app.unstored_grants = UnstoredGrants::default();
        self.app.crms = if crm.compare_and_set { &crm::ONLY_CAREFUL } else { &crm::ONLY_PLAIN };
        Driver {
            world: self,
            crm,
            session: SessionId::new(session).expect("a session"),
            tasks: Vec::new(),
            started: Instant::now(),
            moments: 0,
            trace: keeps_trace.then(Vec::new),
        }
    }

    /// An empty table with the one user.
    pub async fn renew(&mut self) {
        table::clear();
        table::renew();
        self.schedules = 0;
        self.app.store.create_table().await.expect("the table can be made");
        self.connect(self.user.credentials.clone()).await;
    }

    /// Stores the user with these credentials.
    pub async fn connect(&self, credentials: Option<Credentials>) {
        let user = User { credentials, ..self.user.clone() };
        self.app.store.put_user(&user).await.expect("the user can be stored");
    }

    /// Who sends the requests.
    pub fn caller(&self) -> Caller {
        Caller { user: self.user.id.clone(), platform: self.user.platform.clone() }
    }
}

impl<'w> Driver<'w> {
    pub fn app(&self) -> &'w App {
        &self.world.app
    }

    pub fn caller(&self) -> Caller {
        self.world.caller()
    }

    /// Stores the user with these credentials.
    pub async fn connect(&self, credentials: Option<Credentials>) {
        self.world.connect(credentials).await;
    }

    /// Somebody else takes the right to renew the grant.
    pub async fn claim_renewal(&self) {
        let store = &self.world.app.store;
        let user = store.user(&self.world.user.platform, &self.world.user.id).await;
        let user = user.expect("the table answers").expect("the user is there");
        let now_ms = self.now_ms();
        store.claim_renewal(&user, "somebody else", now_ms, now_ms + 15_000).await.expect("it is free");
    }

    pub fn now_ms(&self) -> i64 {
        self.world.clock.load(Ordering::SeqCst)
    }

    /// What was done.
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Writes down what is done.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        let after = self.now_ms() - NOW_MS;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7}.{:03} s  {}", after / 1_000, after % 1_000, what()));
        }
    }

    /// A request comes in; its number.
    pub async fn start(&mut self, request: Request) -> usize {
        self.start_for(self.session.clone(), request).await
    }

    /// A request of another session comes in.
    pub async fn start_for(&mut self, session: SessionId, request: Request) -> usize {
        let number = self.tasks.len();
        self.note(|| format!("#{number} comes: {request:?}"));
        let (world, crm) = (self.world, self.crm);
        let time_ms = if request == Request::Redrive { REDRIVE_MS } else { INVOCATION_MS };
        let deadline = Deadline(self.now_ms() + time_ms);
        let caller = world.caller();
        let sent = request.clone();
        let future: Pin<Box<dyn Future<Output = Answer> + 'w>> = Box::pin(async move {
            match sent {
                request @ (Request::Create | Request::CreateElsewhere) => {
                    let command = requests::create_of(&request, &session);
                    Answer::Create(create::run(&world.app, crm, &caller, command, deadline).await)
                }
                Request::Update(facts) => {
                    let command = requests::update(&session, &facts);
                    Answer::Update(update::run(&world.app, crm, &caller, command, deadline).await)
                }
                Request::Redrive => {
                    let trace = Trace::new("proof", None);
                    Answer::Redrive(redrive::run(&world.app, deadline, trace).await)
                }
            }
        });
        self.moments += 1;
        let began = self.moments;
        self.tasks.push(Task { request, future: Some(future), answer: None, began, ended: usize::MAX });
        self.poll(number).await;
        number
    }

    /// The step begins, or its outcome is looked at; a request to the table goes this way.
    pub async fn go(&mut self, ticket: Ticket, way: Way) {
        if ticket.place == Place::Before {
            table::arm(ticket.task, ticket.step, way);
        }
        scheduler::let_go(ticket);
        self.poll(ticket.task).await;
        if ticket.place == Place::Before && ticket.step.starts_with("grant.exchange") {
            self.wait_for_tokens(ticket.task).await;
        }
    }

    /// Waits for the token host, which is the only one outside; no time passes meanwhile.
    async fn wait_for_tokens(&mut self, task: usize) {
        while self.sleepers().contains(&task) {
            std::thread::sleep(Duration::from_micros(20));
            tokio::task::yield_now().await;
            self.poll(task).await;
        }
    }

    /// The CRM gets the message that is under way, and answers.
    pub async fn answer(&mut self, ticket: Ticket) {
        crm::with(|account| account.land(ticket.number));
        scheduler::let_go(ticket);
        self.poll(ticket.task).await;
    }

    /// The CRM gets the message that is under way, and refuses it.
    pub async fn refuse(&mut self, ticket: Ticket, kind: ErrorKind) {
        crm::with(|account| account.refuse(ticket.number, kind));
        scheduler::let_go(ticket);
        self.poll(ticket.task).await;
    }

    /// The sender of the message waits no more; if it is still under way, it lands after so long, or never.
    pub async fn lose(&mut self, ticket: Ticket, lands_in_ms: Option<i64>) {
        let now_ms = self.now_ms();
        let lands_at = lands_in_ms.map(|ms| now_ms + ms);
        crm::with(|account| account.give_up(ticket.number, lands_at, now_ms + crm::GRACE_MS));
        scheduler::let_go(ticket);
        self.poll(ticket.task).await;
    }

    /// The invocation dies. What it has sent to the CRM lands after so long, or never.
    pub fn kill(&mut self, task: usize, lands_in_ms: Option<i64>) {
        let lands_at = lands_in_ms.map(|ms| self.now_ms() + ms);
        for ticket in scheduler::waiting().into_iter().filter(|ticket| ticket.task == task) {
            crm::with(|account| account.give_up(ticket.number, lands_at, i64::MAX));
        }
        self.tasks[task].future = None;
    }

    /// Time passes, and nobody does anything meanwhile; requests that are under way land.
    pub async fn pass(&mut self, ms: i64) {
        tokio::time::advance(Duration::from_millis(ms.unsigned_abs())).await;
        self.catch_up().await;
    }

    /// Time passes until somebody who sleeps wakes up.
    pub async fn sleep(&mut self) {
        let mut guard = pin!(tokio::time::sleep(Duration::from_secs(3_600)));
        let mut is_first = true;
        poll_fn(|context| {
            assert!(guard.as_mut().poll(context).is_pending(), "somebody waits for nothing");
            if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        self.catch_up().await;
    }

    async fn catch_up(&mut self) {
        let now_ms = NOW_MS + self.started.elapsed().as_millis() as i64;
        self.world.clock.store(now_ms, Ordering::SeqCst);
        crm::with(|account| account.tick(now_ms));
        for task in self.sleepers() {
            self.poll(task).await;
        }
    }

    /// Those that stand at no step: they wait for a time.
    pub fn sleepers(&self) -> Vec<usize> {
        let waiting = scheduler::waiting();
        let is_asleep = |task: &usize| !waiting.iter().any(|ticket| ticket.task == *task);
        self.running().into_iter().filter(is_asleep).collect()
    }

    /// Those that have neither answered nor died.
    pub fn running(&self) -> Vec<usize> {
        (0..self.tasks.len()).filter(|task| self.tasks[*task].future.is_some()).collect()
    }

    /// Takes away the requests that are over; nobody asks for them any more.
    pub fn forget_done(&mut self) {
        if self.running().is_empty() {
            self.tasks.clear();
        }
    }

    pub fn answer_of(&self, task: usize) -> Option<&Answer> {
        self.tasks[task].answer.as_ref()
    }

    /// What is known of all requests.
    pub fn told(&self) -> Vec<Told<'_>> {
        let told = |task: &'_ Task<'_>| (task.began, task.ended);
        let tell = |task| -> Told<'_> {
            let (began, ended) = told(task);
            Told { request: &task.request, answer: task.answer.as_ref(), began, ended }
        };
        self.tasks.iter().map(tell).collect()
    }

    async fn poll(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        let Some(future) = &mut task.future else { return };
        scheduler::enter(number);
        let answer = poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(answer) = answer.await {
            task.future = None;
            self.moments += 1;
            task.ended = self.moments;
            let word = answer.word();
            task.answer = Some(answer);
            self.note(|| format!("#{number} answers: {word}"));
        }
    }

    /// Lets an invocation go on without a fault.
    pub async fn go_on(&mut self, ticket: Ticket) {
        match ticket.place {
            Place::Under => self.answer(ticket).await,
            _ => self.go(ticket, table::FINE).await,
        }
    }

    /// Runs on without faults until everybody has answered.
    pub async fn settle(&mut self) {
        while !self.running().is_empty() {
            match scheduler::waiting().first() {
                Some(ticket) => self.go_on(*ticket).await,
                None => self.sleep().await,
            }
        }
    }
}
