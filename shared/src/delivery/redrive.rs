//! Deferred delivery: what could not be delivered when it was asked for is delivered as soon as it can be, by the code
//! that a request runs, without anybody asking.
//!
//! One look takes everything that is due, company by company. A company whose CRM is down or has had enough is left
//! alone for a while: then one call goes ahead as a probe. Live traffic comes first: of a CRM's burst budget half is
//! left to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tracing::Level;

use crate::{
    adapters::Crm,
    delivery::{
        breaker::Breaker,
        create,
        grant::Failure,
        lease::{self, GRACE_MS},
        retry::PATIENCE_WITH_PEOPLE_MS,
        services::Services,
        update,
    },
    model::{Deadline, TenantKey, UserKey},
    store::{self, Change, ClaimCreate, ClaimUpdate, Due, Lease, Purpose, State, StoredUser},
    telemetry::{self, Metric, Trace},
};

/// How many companies are served at once.
const TENANTS_AT_ONCE: usize = 8;
/// How many calls of one company are under way at once.
const CALLS_AT_ONCE: usize = 4;
/// How many users are read at once.
const USERS_AT_ONCE: usize = 16;
/// How long one call may take, in milliseconds: as long as it takes it cannot be touched by a request.
const CALL_MS: i64 = 20_000;

/// What one look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many calls were due.
    pub due: usize,
    /// Delivered: logged, updated, or found to be so.
    pub delivered: usize,
    /// Tried, and put off.
    pub failed: usize,
    /// Not tried: their CRM is left alone, or their user has to connect again, or the time was over.
    pub waiting: usize,
    /// Set aside, because this version cannot read them.
    pub unreadable: usize,
}

impl Report {
    /// Each count by its name.
    pub fn fields(&self) -> [(&'static str, usize); 5] {
        [
            ("due", self.due),
            ("delivered", self.delivered),
            ("failed", self.failed),
            ("waiting", self.waiting),
            ("unreadable", self.unreadable),
        ]
    }
}

/// Delivers what is due, as far as there is time. Each look is a line in the log, and so is each call that is tried.
pub async fn run(services: &Services, deadline: Deadline, trace: Trace) -> Result<Report, store::Error> {
    let work = async {
        let report = look(services, deadline, &trace).await;
        match &report {
            Ok(report) => {
                for (name, count) in report.fields() {
                    telemetry::set_field(name, i64::try_from(count).unwrap_or(i64::MAX));
                }
                telemetry::set_field("outcome", "Looked");
            }
            Err(error) => telemetry::failed(Level::WARN, error),
        }
        report
    };
    telemetry::instrument(&services.clock, "redrive", "looked", trace.clone(), work).await
}

async fn look(services: &Services, deadline: Deadline, trace: &Trace) -> Result<Report, store::Error> {
    let now_ms = services.clock.now_ms();
    let unsettled = services.sync_points.reach("redrive.unsettled", services.store.unsettled()).await?;
    let count = unsettled.iter().filter(|call| call.due_ms <= now_ms).count();
    let (tenants, oldest_ms) = by_tenant(services, unsettled, now_ms).await?;
    telemetry::record(Metric::QueueAgeMax, (now_ms - oldest_ms).max(0) / 1_000);
    let tally = Tally::default();
    stream::iter(tenants)
        .for_each_concurrent(TENANTS_AT_ONCE, |tenant| async {
            if let Err(error) = serve(services, tenant, deadline, &tally, trace).await {
                tracing::warn!(%error, "the table failed while what is due was delivered");
            }
        })
        .await;
    let mut report = tally.report();
    report.due = count;
    report.waiting = count - report.delivered - report.failed - report.unreadable;
    Ok(report)
}

/// What is counted by many at once.
#[derive(Debug, Default)]
struct Tally {
    delivered: AtomicUsize,
    failed: AtomicUsize,
    unreadable: AtomicUsize,
}

impl Tally {
    fn report(&self) -> Report {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Report {
            delivered: count(&self.delivered),
            failed: count(&self.failed),
            unreadable: count(&self.unreadable),
            ..Report::default()
        }
    }
}

/// A company's CRM, and what is due there.
struct Tenant {
    key: TenantKey,
    crm: &'static dyn Crm,
    base_url: String,
    calls: Vec<(Due, Arc<StoredUser>)>,
}

/// What is due by company, in order; and since when the oldest waits, due or not, in milliseconds since 1970. The calls
/// of users who have to connect again are left as they are, and are not counted: nobody can help them in the night. So
/// are those of a CRM that this version does not know.
async fn by_tenant(
    services: &Services,
    unsettled: Vec<Due>,
    now_ms: i64,
) -> Result<(Vec<Tenant>, i64), store::Error> {
    let users: BTreeSet<_> = unsettled.iter().map(|call| call.key.user.clone()).collect();
    let read = stream::iter(users).map(async |key| {
        let user = services.sync_points.reach("redrive.user", services.store.user(&key)).await;
        (key, user)
    });
    let users: BTreeMap<_, _> = read.buffer_unordered(USERS_AT_ONCE).collect().await;
    let mut known: BTreeMap<UserKey, Option<Arc<StoredUser>>> = BTreeMap::new();
    for (id, user) in users {
        match user {
            Ok(Some(user)) if user.user.credentials.is_some() => drop(known.insert(id, Some(Arc::new(user)))),
            Ok(_) => drop(known.insert(id, None)),
            Err(error) => tracing::warn!(%error, "a user could not be read"),
        }
    }
    let is_old =
        |call: &Due| call.waiting_since_ms.is_some_and(|since| now_ms - since >= PATIENCE_WITH_PEOPLE_MS);
    let (mut tenants, mut oldest_ms): (Vec<Tenant>, i64) = (Vec::new(), now_ms);
    for call in unsettled {
        let Some(crm) = services.crm(call.key.user.platform.as_str()) else { continue };
        let user = match known.get(&call.key.user) {
            // After so long it is tried in vain, and thereby given up.
            Some(Some(user)) if !user.session_ended || is_old(&call) => user,
            Some(None) if is_old(&call) => {
                set_aside(services, &call).await?;
                continue;
            }
            _ => continue,
        };
        oldest_ms = oldest_ms.min(call.waiting_since_ms.unwrap_or(now_ms));
        if call.due_ms > now_ms {
            continue;
        }
        // One that is not the CRM's own has no budget; the attempt says so.
        let base_url = services.crm_base_url(crm, &user.user).unwrap_or_default();
        let key = user.user.tenant();
        match tenants.iter_mut().find(|tenant| tenant.key == key) {
            Some(tenant) => tenant.calls.push((call, user.clone())),
            None => tenants.push(Tenant { key, crm, base_url, calls: vec![(call, user.clone())] }),
        }
    }
    Ok((tenants, oldest_ms))
}

/// Delivers what is due at one company, until all is, or its CRM has had enough, or the time is over.
async fn serve(
    services: &Services,
    tenant: Tenant,
    deadline: Deadline,
    tally: &Tally,
    trace: &Trace,
) -> Result<(), store::Error> {
    let now_ms = services.clock.now_ms();
    let before = services.sync_points.reach("redrive.rest", services.store.breaker(&tenant.key)).await?;
    if before.open_until_ms > now_ms {
        return Ok(());
    }
    let breaker = Breaker::new(before);
    let has_time = || deadline.remaining(&services.clock) >= Duration::from_millis(CALL_MS as u64);
    let mut calls = tenant.calls.iter();
    if breaker.wants_probe() && has_time() {
        // One goes ahead: whether the CRM is back.
        for (due, user) in calls.by_ref().take(1) {
            let outcome = told(services, tenant.crm, user, due, deadline, trace).await;
            breaker.saw(failure_of(&outcome), now_ms);
            tally.count(&outcome);
        }
    }
    stream::iter(calls)
        .for_each_concurrent(CALLS_AT_ONCE, |(due, user)| async {
            if breaker.is_open() || !has_time() {
                return;
            }
            spare(services, &tenant.base_url).await;
            let outcome = told(services, tenant.crm, user, due, deadline, trace).await;
            breaker.saw(failure_of(&outcome), services.clock.now_ms());
            tally.count(&outcome);
        })
        .await;
    let after = breaker.rest();
    if after != before {
        services
            .sync_points
            .reach("redrive.set_breaker", services.store.set_breaker(&tenant.key, after, now_ms))
            .await?;
    }
    Ok(())
}

/// Waits while less than half of the CRM's burst budget is left: that half is for people who wait.
async fn spare(services: &Services, base_url: &str) {
    if let Some(wait) = services.budgets.until_half_is_free(base_url, services.clock.now_ms()) {
        services.sync_points.reach("redrive.spare", tokio::time::sleep(wait)).await;
    }
}

/// What became of one call.
#[derive(Debug)]
enum Delivery {
    Done,
    /// Somebody else is at it, or there was nothing to do.
    Untouched,
    Failed(Failure),
    Unreadable,
}

impl Delivery {
    fn name(&self) -> &'static str {
        match self {
            Delivery::Done => "Delivered",
            Delivery::Untouched => "Untouched",
            Delivery::Failed(_) => "Failed",
            Delivery::Unreadable => "Unreadable",
        }
    }
}

/// What an outcome says of the CRM: it took it, or why it did not; nothing, when it was not asked.
fn failure_of(outcome: &Result<Delivery, store::Error>) -> Option<Result<(), &Failure>> {
    match outcome {
        Ok(Delivery::Done) => Some(Ok(())),
        Ok(Delivery::Failed(failure)) => Some(Err(failure)),
        Ok(Delivery::Untouched | Delivery::Unreadable) | Err(_) => None,
    }
}

impl Tally {
    fn count(&self, outcome: &Result<Delivery, store::Error>) {
        let counter = match outcome {
            Ok(Delivery::Done) => &self.delivered,
            Ok(Delivery::Unreadable) => &self.unreadable,
            Ok(Delivery::Failed(_)) => &self.failed,
            Ok(Delivery::Untouched) => return,
            Err(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Delivers one call, and has a line of its own in the log.
async fn told(
    services: &Services,
    crm: &'static dyn Crm,
    user: &StoredUser,
    due: &Due,
    deadline: Deadline,
    trace: &Trace,
) -> Result<Delivery, store::Error> {
    let work = async {
        telemetry::call(&due.key);
        telemetry::set_field("crm", crm.platform());
        let outcome = deliver(services, crm, user, due, deadline).await;
        match &outcome {
            Ok(Delivery::Failed(failure)) => telemetry::failed(Level::WARN, failure),
            Ok(_) => {}
            Err(error) => telemetry::failed(Level::WARN, error),
        }
        telemetry::set_field("outcome", outcome.as_ref().map_or("Unavailable", Delivery::name));
        outcome
    };
    telemetry::instrument(&services.clock, "redrive", "delivered", trace.clone(), Box::pin(work)).await
}

/// Delivers one call.
async fn deliver(
    services: &Services,
    crm: &'static dyn Crm,
    user: &StoredUser,
    due: &Due,
    deadline: Deadline,
) -> Result<Delivery, store::Error> {
    let key = &due.key;
    let item = match services.sync_points.reach("redrive.read", services.store.call(key)).await {
        Ok(Some(item)) => item,
        Ok(None) => return Ok(Delivery::Untouched),
        Err(store::Error::Unreadable(what, problem)) => {
            telemetry::count(Metric::Unreadable);
            telemetry::failed(
                Level::ERROR,
                format_args!("{what} cannot be read ({problem}); it is set aside"),
            );
            set_aside(services, due).await?;
            return Ok(Delivery::Unreadable);
        }
        Err(error) => return Err(error),
    };
    let now_ms = services.clock.now_ms();
    let deadline = Deadline(deadline.0.min(now_ms + CALL_MS));
    let me = lease::new_owner();
    let lease = Lease { key, holder: &me, now_ms, until_ms: deadline.0 + GRACE_MS };
    match item.state {
        State::Creating | State::OutcomeUnknown | State::Retry if item.payload.is_some() => {
            let claim = services.store.claim_create(&lease, Purpose::Redrive);
            let ClaimCreate::Claimed(item) =
                services.sync_points.reach("redrive.claim_create", claim).await?
            else {
                return Ok(Delivery::Untouched);
            };
            Ok(match create::resume(services, crm, lease, *item, user.clone(), deadline).await? {
                create::Outcome::Failed { failure, is_deferred } => given_up(failure, is_deferred),
                _ => Delivery::Done,
            })
        }
        State::Logged if item.has_undelivered() || item.sweep_at.is_some() => {
            let claim = services.store.claim_update(&lease, Change::Due);
            let ClaimUpdate::Claimed(item) =
                services.sync_points.reach("redrive.claim_update", claim).await?
            else {
                return Ok(Delivery::Untouched);
            };
            let outcome = update::go(services, crm, lease, *item, user.clone(), None, None, deadline).await?;
            Ok(match outcome {
                update::Outcome::Failed { failure, is_deferred } => given_up(failure, is_deferred),
                _ => Delivery::Done,
            })
        }
        _ => {
            let settle = services.store.settle(key, &item, due.due_ms, now_ms);
            services.sync_points.reach("redrive.settle", settle).await?;
            Ok(Delivery::Untouched)
        }
    }
}

async fn set_aside(services: &Services, due: &Due) -> Result<(), store::Error> {
    let aside = services.store.set_aside(&due.key, due.due_ms, services.clock.now_ms());
    services.sync_points.reach("redrive.set_aside", aside).await
}

/// A failure that nobody sees, and that is the last one, is a dead letter.
fn given_up(failure: Failure, is_deferred: bool) -> Delivery {
    if !is_deferred {
        telemetry::count(Metric::Dead);
        telemetry::set_field("given_up", true);
    }
    Delivery::Failed(failure)
}
