//! The driver of a schedule: it starts invocations, resumes or crashes them, and advances the time.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::Poll,
    time::Duration,
};

use call_log::{
    adapters::ErrorKind,
    delivery::{create, redrive, update},
    model::{CallKey, Credentials, Deadline, LogKey, TenantKey, User},
    store::CallItem,
    telemetry::Trace,
};
use tokio::time::Instant;

use super::{
    application::Simulation,
    crm,
    requests::{self, Call, Request, Response},
    scenarios,
    scheduler::{self, PausedStep, Position},
    senders::{Origin, Who},
    table::{self, Responses},
};

/// When every schedule begins, in milliseconds since 1970: a minute after its first call began.
pub const NOW_MS: i64 = requests::START_MS + 65_000;
/// The time of an invocation with a request, in milliseconds.
const INVOCATION_MS: i64 = 25_000;
/// The time of a redrive, in milliseconds.
const REDRIVE_MS: i64 = 55_000;
/// An invocation of a function.
struct Invocation<'s> {
    /// The call of the request; `None` if it is a redrive.
    call: Option<Call>,
    origin: Option<Origin>,
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
    /// Where the request comes from; `None` if it is a redrive.
    pub origin: Option<Origin>,
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

impl<'s> Driver<'s> {
    /// Returns the driver of a schedule about these calls.
    pub(super) fn new(simulation: &'s Simulation, calls: Vec<Call>, keeps_trace: bool) -> Driver<'s> {
        Driver {
            simulation,
            calls,
            invocations: Vec::new(),
            started: Instant::now(),
            moments: 0,
            interruptions: 0,
            trace: keeps_trace.then(Vec::new),
        }
    }

    /// Stores the agent with these credentials.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn connect(&self, credentials: Option<Credentials>) {
        let user = User { credentials, ..Who::Agent.user(self.simulation.crm) };
        self.simulation.app.store.put_user(&user).await.expect("the user is stored");
    }

    /// The colleague moves to the other account.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn move_colleague(&mut self) {
        self.add_trace(|| "the colleague moves to the other account".to_owned());
        self.simulation.move_colleague().await;
    }

    /// Stores the users of both accounts as members of one.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn mix_accounts(&self) {
        self.simulation.mix_accounts().await;
    }

    /// Returns `true` if the colleague has moved to the other account.
    pub fn has_moved(&self) -> bool {
        self.simulation.has_moved.load(Ordering::Relaxed)
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
        let user = self.simulation.stored_agent().await;
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
        self.simulation.stored_agent().await.session_ended
    }

    /// Returns the calls of the schedule.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Returns the items of the logs that creates of this call have claimed, with their keys.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn logs(&self, call: &Call) -> Vec<(LogKey, CallItem)> {
        let mut logs = Vec::new();
        for key in scheduler::claimed_by(&call.name) {
            let slot =
                key.rsplit('#').next().and_then(|slot| slot.parse().ok()).expect("a key ends in its slot");
            let key = self.key(call).log(slot);
            logs.extend(self.read(&key).await.filter(CallItem::is_log).map(|item| (key, item)));
        }
        logs
    }

    /// Returns the item of a call: of its log, or the one in which its updates wait.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn item(&self, call: &Call) -> Option<CallItem> {
        if let Some((_, item)) = self.logs(call).await.into_iter().next() {
            return Some(item);
        }
        let first = self.key(call).log(0);
        let claim = scheduler::claim_of(&item_key(&first));
        let is_of_other = claim.is_some_and(|claim| claim != call.name);
        self.read(&first).await.filter(|item| !is_of_other || !item.is_log())
    }

    /// Returns the item in which the updates of a call wait until it has a log.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn waiting_room(&self, call: &Call) -> Option<CallItem> {
        self.read(&self.key(call).log(0)).await
    }

    fn key(&self, call: &Call) -> CallKey {
        let platform = Who::Agent.key(self.simulation.crm).platform;
        let tenant = TenantKey { platform, account: call.account.id().to_owned() };
        CallKey { tenant, session: call.session.clone(), header_user: None }
    }

    async fn read(&self, key: &LogKey) -> Option<CallItem> {
        // The table's faults are for invocations.
        scheduler::set_running(usize::MAX, None);
        self.simulation.app.store.call(key).await.expect("the table responds")
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
        self.start_from(call.origin(), call, request).await
    }

    /// Starts an invocation with a request for this call from there. Returns its number.
    pub async fn start_from(&mut self, origin: Origin, call: &Call, request: Request) -> usize {
        let number = self.invocations.len();
        let call = (request != Request::Redrive).then(|| call.clone());
        self.add_trace(|| match &call {
            Some(call) => format!("#{number} starts for {} by {origin:?}: {request:?}", call.name),
            None => format!("#{number} starts: {request:?}"),
        });
        let (simulation, crm) = (self.simulation, self.simulation.crm);
        let time_ms = if request == Request::Redrive { REDRIVE_MS } else { INVOCATION_MS };
        let deadline = Deadline(self.now_ms() + time_ms);
        let sent = (call.clone(), request.clone());
        let future: Pin<Box<dyn Future<Output = Response> + 's>> = Box::pin(async move {
            let (app, caller) = (&simulation.app, origin.caller(crm));
            match sent {
                (None, _) | (_, Request::Redrive) => {
                    let trace = Trace::new("simulation", None);
                    Response::Redrive(redrive::run(app, deadline, trace).await)
                }
                (Some(call), request) if request.is_create() => {
                    let command = requests::create(&call, origin, &request);
                    let sender = caller.sender(app.hash_key().identity(&command.extension));
                    Response::Create(create::run(app, crm, &sender, None, command, deadline).await)
                }
                (Some(call), request) => {
                    let command = requests::update(&call, origin, &request);
                    let sender = caller.sender(app.hash_key().identity(&command.extension));
                    Response::Update(update::run(app, crm, &sender, command, deadline).await)
                }
            }
        });
        self.moments += 1;
        let began = self.moments;
        let future = Some(future);
        let origin = call.is_some().then_some(origin);
        self.invocations.push(Invocation {
            call,
            origin,
            request,
            future,
            response: None,
            began,
            ended: usize::MAX,
        });
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
            origin: invocation.origin,
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
        scheduler::set_running(number, invocation.call.as_ref().map(|call| call.name.clone()));
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

fn item_key(key: &LogKey) -> String {
    let CallKey { tenant, session, .. } = &key.call;
    let partition = format!("C#{}#{}#{session}", tenant.platform, tenant.account);
    table::item_key(&partition, &format!("L#{}", key.slot))
}
