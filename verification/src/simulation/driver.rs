//! The driver of a schedule: it starts invocations, resumes or crashes them, and advances the time.

use std::{
    collections::BTreeMap,
    fmt,
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
    adapters::{Capabilities, Crm, ErrorKind},
    auth::Caller,
    delivery::{create, grant::unstored::UnstoredGrants, redrive, sync_point::SyncPoints, update},
    model::{BreakerKey, CallKey, Clock, Credentials, Deadline, OAuthClient, Secret, User},
    startup::{app::App, config::Config, data_keys},
    store::{BreakerState, CallItem, StoredUser},
    telemetry::Trace,
};
use tests::contrary_crm::{ContraryCrm, records::CLIENT};
use tokio::{runtime, time::Instant};

use super::{
    crm::{self, network::Network},
    requests::{self, Call, Request, Response},
    scenarios,
    scheduler::{self, PauseEverywhere, PausedStep, Position},
    table::{self, Responses},
};

/// When every schedule begins, in milliseconds since 1970: a minute after its first call began.
pub const NOW_MS: i64 = requests::START_MS + 65_000;
/// The time of an invocation with a request, in milliseconds.
const INVOCATION_MS: i64 = 25_000;
/// The time of a redrive, in milliseconds.
const REDRIVE_MS: i64 = 55_000;
/// The number of schedules that use one database.
const SCHEDULES_PER_DATABASE: u64 = 1_000;

/// Returns a runtime whose time advances only when the driver says so.
///
/// # Panics
///
/// Panics if the runtime cannot be built.
pub fn runtime() -> runtime::Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// The application, its table and its users: what the schedules of one thread share.
#[derive(Debug)]
pub struct Simulation {
    app: App,
    /// The CRM of the schedule.
    crm: &'static dyn Crm,
    /// Its user.
    user: User,
    clock: Arc<AtomicI64>,
    /// The number of schedules that have used the database.
    schedules: u64,
}

/// An invocation of a function.
struct Invocation<'s> {
    /// The call of the request; `None` if it is a redrive.
    call: Option<Call>,
    request: Request,
    /// `None` if the invocation has responded or crashed.
    future: Option<Pin<Box<dyn Future<Output = Response> + 's>>>,
    response: Option<Response>,
    began: usize,
    ended: usize,
}

/// A request and its response.
#[derive(Debug)]
pub struct Interaction<'a> {
    /// The call of the request; `None` if it is a redrive.
    pub call: Option<&'a Call>,
    /// The request.
    pub request: &'a Request,
    /// The response; `None` if the invocation crashed.
    pub response: Option<&'a Response>,
    /// When the request began, in the order in which requests begin and end.
    pub began: usize,
    /// When the request ended, in the same order.
    pub ended: usize,
}

/// The driver of one schedule.
pub struct Driver<'s> {
    simulation: &'s Simulation,
    calls: Vec<Call>,
    invocations: Vec<Invocation<'s>>,
    started: Instant,
    /// The number of requests that have begun or ended.
    moments: usize,
    /// The number of crashes, lost responses and pauses, each of which leaves an outcome unknown.
    interruptions: usize,
    trace: Option<Vec<String>>,
}

impl fmt::Debug for Driver<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Driver").field("calls", &self.calls).field("trace", &self.trace).finish()
    }
}

impl Simulation {
    /// Starts the application.
    ///
    /// # Panics
    ///
    /// Panics if the application does not start.
    pub async fn start() -> Simulation {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key_file = directory.path().join("credentials.key");
        data_keys::create_key_file(&key_file).expect("the key file can be created");
        let environment = BTreeMap::from([
            ("CREDENTIALS_KEY_FILE", key_file.to_str().expect("a path in UTF-8")),
            ("TABLE_NAME", "calls"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost"),
            ("JWT_SECRET", "a secret for simulations that is long enough"),
            ("HASH_KEY", "a key of hashes for simulations"),
        ]);
        let config = Config::read(|name| environment.get(name).map(|value| (*value).to_owned()));
        let mut config = config.expect("a valid configuration");
        let [id, secret] = CLIENT;
        let client = OAuthClient { id: id.to_owned(), secret: Secret::new(secret) };
        config.oauth_clients.insert(ContraryCrm.platform().to_owned(), client);
        let clock = Arc::new(AtomicI64::new(NOW_MS));
        let app = App::new(config, Clock::Manual(clock.clone())).await;
        let mut app = app.expect("the application starts");
        app.api.services.store = app.store.with_sdk(table::configure);
        app.api.services.sync_points = SyncPoints::observed_by(Arc::new(PauseEverywhere));
        app.api.services.crms = &crm::REGISTRY;
        app.api.services.http = app.http.clone().through(Arc::new(Network));
        let crm = crm::REGISTRY[0];
        Simulation { app, crm, user: crm::user(crm), clock, schedules: SCHEDULES_PER_DATABASE }
    }

    /// Begins a schedule about these calls, with a CRM that can do this.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn begin(&mut self, crm: Capabilities, calls: Vec<Call>, keeps_trace: bool) -> Driver<'_> {
        scheduler::clear();
        table::clear();
        self.crm = crm::adapter(crm);
        self.user = crm::user(self.crm);
        self.clock.store(NOW_MS, Ordering::SeqCst);
        if self.schedules >= SCHEDULES_PER_DATABASE {
            self.renew().await;
        }
        crm::renew(crm, NOW_MS, self.schedules);
        self.schedules += 1;
        if table::take_breaker_written() {
            // A schedule must not find the circuit breaker of an earlier one.
            for user in crm::REGISTRY.map(crm::user) {
                for key in [BreakerKey::Tenant(user.tenant()), BreakerKey::User(user.key())] {
                    let closed = self.app.store.set_breaker(&key, BreakerState::default(), NOW_MS).await;
                    closed.expect("the table responds");
                }
            }
            table::take_breaker_written();
        }
        self.app.api.services.ways = Default::default();
        self.app.api.services.cleaning = Default::default();
        self.app.api.services.tenant_hints = Default::default();
        self.app.api.services.unstored_grants = UnstoredGrants::default();
        Driver {
            simulation: self,
            calls,
            invocations: Vec::new(),
            started: Instant::now(),
            moments: 0,
            interruptions: 0,
            trace: keeps_trace.then(Vec::new),
        }
    }

    /// Replaces the table by one with only the users.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn renew(&mut self) {
        table::clear();
        table::renew();
        self.schedules = 0;
        self.app.store.create_table().await.expect("the table is created");
        for user in crm::REGISTRY.map(crm::user) {
            self.app.store.put_user(&user).await.expect("the user is stored");
        }
    }

    fn caller(&self) -> Caller {
        Caller { user: self.user.key(), tenant: self.user.known_tenant() }
    }

    async fn stored_user(&self) -> StoredUser {
        let user = self.app.store.user(&self.user.key()).await;
        user.expect("the table responds").expect("the user is stored")
    }
}

impl<'s> Driver<'s> {
    /// Stores the user with these credentials.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn connect(&self, credentials: Option<Credentials>) {
        let user = User { credentials, ..self.simulation.user.clone() };
        self.simulation.app.store.put_user(&user).await.expect("the user is stored");
    }

    /// The user connects again, if the session has ended.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn connect_again(&mut self) {
        if crm::with(|crm| crm.has_single_use_grants()) && self.has_session_ended().await {
            self.add_trace(|| "the user connects again".to_owned());
            crm::with(|crm| crm.reconnections += 1);
            self.connect(crm::connection(scenarios::connected())).await;
        }
    }

    /// Another process claims the renewal of the user's grant.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn claim_renewal(&self) {
        let user = self.simulation.stored_user().await;
        let now_ms = self.now_ms();
        let claim =
            self.simulation.app.store.claim_renewal(&user, "another process", now_ms, now_ms + 15_000);
        claim.await.expect("the table responds");
    }

    /// Returns `true` if the user has to connect again.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn has_session_ended(&self) -> bool {
        self.simulation.stored_user().await.session_ended
    }

    /// Returns the calls of the schedule.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Returns the item of a call.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn item(&self, call: &Call) -> Option<CallItem> {
        // The table's faults are for invocations.
        scheduler::set_running(usize::MAX, None);
        let tenant = self.simulation.user.tenant();
        let key = CallKey { tenant, session: call.session.clone(), header_user: None };
        self.simulation.app.store.call(&key.log(0)).await.expect("the table responds")
    }

    /// Returns the simulated time, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.simulation.clock.load(Ordering::SeqCst)
    }

    /// Returns a line for each thing that has happened, if the trace is kept.
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Adds a line to the trace.
    pub fn add_trace(&mut self, what: impl FnOnce() -> String) {
        let after = self.now_ms() - NOW_MS;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7}.{:03} s  {}", after / 1_000, after % 1_000, what()));
        }
    }

    /// Starts an invocation with a request for the first call. Returns its number.
    ///
    /// # Panics
    ///
    /// Panics if the schedule has no call.
    pub async fn start(&mut self, request: Request) -> usize {
        let call = self.calls[0].clone();
        self.start_for(&call, request).await
    }

    /// Starts an invocation with a request for this call. Returns its number. A redrive is not for one call only.
    pub async fn start_for(&mut self, call: &Call, request: Request) -> usize {
        let number = self.invocations.len();
        let call = (request != Request::Redrive).then(|| call.clone());
        self.add_trace(|| match &call {
            Some(call) => format!("#{number} starts for {}: {request:?}", call.session),
            None => format!("#{number} starts: {request:?}"),
        });
        let (simulation, crm) = (self.simulation, self.simulation.crm);
        let time_ms = if request == Request::Redrive { REDRIVE_MS } else { INVOCATION_MS };
        let deadline = Deadline(self.now_ms() + time_ms);
        let sent = (call.clone(), request.clone());
        let future: Pin<Box<dyn Future<Output = Response> + 's>> = Box::pin(async move {
            let (app, caller) = (&simulation.app, simulation.caller());
            match sent {
                (Some(call), request @ (Request::Create | Request::CreateWithOtherContact)) => {
                    let command = requests::create(&call, &request);
                    let sender = caller.sender(app.hash_key().identity(&command.extension));
                    Response::Create(create::run(app, crm, &sender, command, deadline).await)
                }
                (Some(call), Request::Update(details)) => {
                    let command = requests::update(&call, &details);
                    let sender = caller.sender(app.hash_key().identity(&command.extension));
                    Response::Update(update::run(app, crm, &sender, command, deadline).await)
                }
                (None, _) | (_, Request::Redrive) => {
                    let trace = Trace::new("simulation", None);
                    Response::Redrive(redrive::run(app, deadline, trace).await)
                }
            }
        });
        self.moments += 1;
        let began = self.moments;
        let future = Some(future);
        self.invocations.push(Invocation { call, request, future, response: None, began, ended: usize::MAX });
        self.poll(number).await;
        number
    }

    /// Resumes a paused step. If the step starts now, the table gives these responses to its requests.
    pub async fn proceed(&mut self, paused: PausedStep, responses: Responses) {
        self.interruptions += usize::from(responses != table::NORMAL);
        if paused.position == Position::Before {
            table::arm(paused.invocation, paused.step, responses);
        }
        scheduler::resume(paused);
        self.poll(paused.invocation).await;
    }

    /// The request on its way lands, and the CRM responds.
    pub async fn respond(&mut self, paused: PausedStep) {
        crm::with(|crm| crm.land(paused.number));
        scheduler::resume(paused);
        self.poll(paused.invocation).await;
    }

    /// The request on its way lands, and the CRM refuses it.
    pub async fn refuse(&mut self, paused: PausedStep, kind: ErrorKind) {
        crm::with(|crm| crm.refuse(paused.number, kind));
        scheduler::resume(paused);
        self.poll(paused.invocation).await;
    }

    /// The invocation stops waiting for the response. A request that is still on its way lands after this time, in
    /// milliseconds, or never.
    pub async fn lose_response(&mut self, paused: PausedStep, lands_in_ms: Option<i64>) {
        self.interruptions += 1;
        let now_ms = self.now_ms();
        let lands_at = lands_in_ms.map(|ms| now_ms + ms);
        crm::with(|crm| crm.abandon(paused.number, lands_at, now_ms + crm::GRACE_MS));
        scheduler::resume(paused);
        self.poll(paused.invocation).await;
    }

    /// The invocation crashes. Its requests on their way to the CRM land after this time, in milliseconds, or never.
    pub fn crash(&mut self, invocation: usize, lands_in_ms: Option<i64>) {
        self.interruptions += 1;
        let lands_at = lands_in_ms.map(|ms| self.now_ms() + ms);
        for paused in scheduler::paused().into_iter().filter(|paused| paused.invocation == invocation) {
            crm::with(|crm| crm.abandon(paused.number, lands_at, i64::MAX));
        }
        self.invocations[invocation].future = None;
    }

    /// Advances the time while every invocation stands still. Requests on their way land.
    pub async fn advance(&mut self, ms: i64) {
        self.interruptions += usize::from(!self.running().is_empty());
        tokio::time::advance(Duration::from_millis(ms.unsigned_abs())).await;
        self.catch_up().await;
    }

    /// Advances the time to the next timer of a sleeping invocation.
    ///
    /// # Panics
    ///
    /// Panics if no timer expires within an hour.
    pub async fn advance_to_timer(&mut self) {
        let mut guard = pin!(tokio::time::sleep(Duration::from_secs(3_600)));
        let mut is_first = true;
        poll_fn(|context| {
            assert!(guard.as_mut().poll(context).is_pending(), "an invocation waits for nothing");
            if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        self.catch_up().await;
    }

    async fn catch_up(&mut self) {
        let now_ms = NOW_MS + self.started.elapsed().as_millis() as i64;
        self.simulation.clock.store(now_ms, Ordering::SeqCst);
        crm::with(|crm| crm.advance_to(now_ms));
        for invocation in self.sleeping() {
            self.poll(invocation).await;
        }
    }

    /// Returns the invocations that are not paused at a step: they wait for a timer.
    pub fn sleeping(&self) -> Vec<usize> {
        let paused = scheduler::paused();
        let is_asleep = |number: &usize| !paused.iter().any(|paused| paused.invocation == *number);
        self.running().into_iter().filter(is_asleep).collect()
    }

    /// Returns the invocations that have neither responded nor crashed.
    pub fn running(&self) -> Vec<usize> {
        (0..self.invocations.len()).filter(|number| self.invocations[*number].future.is_some()).collect()
    }

    /// Forgets all requests, if none is running.
    pub fn forget_ended(&mut self) {
        if self.running().is_empty() {
            self.invocations.clear();
        }
    }

    /// Returns the number of crashes, lost responses and pauses so far.
    pub fn interruptions(&self) -> usize {
        self.interruptions
    }

    /// Returns the response of an invocation.
    pub fn response_of(&self, invocation: usize) -> Option<&Response> {
        self.invocations[invocation].response.as_ref()
    }

    /// Returns all requests with their responses.
    pub fn interactions(&self) -> Vec<Interaction<'_>> {
        let interactions = self.invocations.iter().map(|invocation| Interaction {
            call: invocation.call.as_ref(),
            request: &invocation.request,
            response: invocation.response.as_ref(),
            began: invocation.began,
            ended: invocation.ended,
        });
        interactions.collect()
    }

    async fn poll(&mut self, number: usize) {
        let invocation = &mut self.invocations[number];
        let Some(future) = &mut invocation.future else { return };
        scheduler::set_running(number, invocation.call.as_ref().map(|call| call.session.clone()));
        let response = poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(response) = response.await {
            invocation.future = None;
            self.moments += 1;
            invocation.ended = self.moments;
            let summary = response.summary();
            invocation.response = Some(response);
            self.add_trace(|| format!("#{number} responds: {summary}"));
        }
    }

    /// Resumes a paused step without a fault.
    pub async fn proceed_normally(&mut self, paused: PausedStep) {
        match paused.position {
            Position::InFlight => self.respond(paused).await,
            Position::Before | Position::After => self.proceed(paused, table::NORMAL).await,
        }
    }

    /// Runs all invocations to their end without faults.
    pub async fn run_to_end(&mut self) {
        while !self.running().is_empty() {
            match scheduler::paused().first() {
                Some(paused) => self.proceed_normally(*paused).await,
                None => self.advance_to_timer().await,
            }
        }
    }
}
