//! Redrive: delivers the work that is due, with the code that a request runs, without a caller.
//!
//! One run reads everything that is due and delivers it tenant by tenant, or user by user if the CRM's rate limits are for
//! a user. If the CRM is down or rate-limiting for one of them, its [`Breaker`] pauses delivery; then one call goes first,
//! as a probe. Live requests have priority: half of a CRM's burst budget is left to them. A fifth of its daily budget is
//! left to them and to the company's other software.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tracing::Level;

use crate::{
    adapters::Crm,
    delivery::{
        attempt::Claim, breaker::Breaker, creation, failure::Failure, lease, retry::LONGEST_WAIT_MS,
        services::Services, write,
    },
    model::{BreakerKey, Deadline, TenantKey, TenantSettings, UserKey, random_name},
    store::{self, CallItem, Change, ClaimCreate, ClaimUpdate, Due, Purpose, State, StoredUser},
    telemetry::{self, Metric, Trace},
};

/// The number of groups that are served at the same time.
const GROUPS_AT_ONCE: usize = 8;
/// The number of calls of one group that are delivered at the same time.
const CALLS_AT_ONCE: usize = 4;
/// The number of users that are read at the same time.
const USERS_AT_ONCE: usize = 16;
/// The longest time for one call, in milliseconds. It is short, because no request can claim the call meanwhile.
const CALL_MS: i64 = 20_000;

/// The result of one run, in numbers of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls that were due.
    pub due: usize,
    /// Calls that were delivered: logged, updated, or found to be so; or that ended, because the CRM has no contact for them.
    pub delivered: usize,
    /// Calls that were tried and failed.
    pub failed: usize,
    /// Calls that were not tried: the breaker is open, the CRM's daily budget is nearly used, the user has to connect
    /// again, or the time was over.
    pub waiting: usize,
    /// Calls that were set aside, because this version cannot read their items.
    pub unreadable: usize,
}

impl Report {
    /// Returns each number with its name.
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

/// Delivers the work that is due, as far as there is time. Writes one log line for the run and one for each call.
///
/// # Errors
/// Fails if the table fails before anything is delivered. Later failures are logged, and the calls stay due.
pub async fn run(services: &Services, deadline: Deadline, trace: Trace) -> Result<Report, store::Error> {
    let run = Run { services, deadline, trace: &trace, report: Mutex::default() };
    let work = async {
        let report = run.deliver_due().await;
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

/// One run of the redrive.
struct Run<'a> {
    services: &'a Services,
    deadline: Deadline,
    trace: &'a Trace,
    /// The calls that were tried so far. Groups and calls are served concurrently.
    report: Mutex<Report>,
}

/// A call that can be delivered.
struct Delivery {
    due: Due,
    crm: &'static dyn Crm,
    user: Arc<StoredUser>,
    /// The creator of the log, if that user's credential can be used.
    creator: Option<Arc<StoredUser>>,
}

/// The result for one call.
#[derive(Debug)]
enum Outcome {
    Delivered,
    /// The CRM has no contact for the call, or several. Its create ends.
    NoContact,
    /// Another invocation holds the lease, or there was nothing to do.
    Untouched,
    Failed(Failure),
    Unreadable,
}

impl Run<'_> {
    async fn deliver_due(&self) -> Result<Report, store::Error> {
        let now_ms = self.services.clock.now_ms();
        let unsettled = self.services.store.unsettled(now_ms);
        let (unsettled, unreadable) = self.services.sync_points.reach("redrive.unsettled", unsettled).await?;
        for _ in 0..unreadable {
            telemetry::count(Metric::Unreadable);
            tracing::error!("an item that another version wrote was taken out of the index of due work");
        }
        let is_due = |due: &Due| due.due_ms <= now_ms;
        let due = unsettled.iter().filter(|call| is_due(call)).count() + unreadable;
        self.report().unreadable += unreadable;

        let mut calls = self.deliverable(unsettled, now_ms).await?;
        let waiting_since = calls.iter().filter_map(|call| call.due.waiting_since_ms);
        let oldest_ms = waiting_since.fold(now_ms, i64::min);
        telemetry::record(Metric::QueueAgeMax, (now_ms - oldest_ms) / 1_000);

        calls.retain(|call| is_due(&call.due));
        stream::iter(self.groups(calls))
            .for_each_concurrent(GROUPS_AT_ONCE, |(key, calls)| async move {
                if let Err(error) = self.serve(&key, &calls).await {
                    tracing::warn!(%error, "the table failed while work was delivered");
                }
            })
            .await;
        let report = *self.report();
        let waiting = due - report.delivered - report.failed - report.unreadable;
        Ok(Report { due, waiting, ..report })
    }

    /// Returns the calls that can be delivered, in the order in which they are due. It leaves out the calls of CRMs that
    /// this version does not know, and of users who have to connect again.
    async fn deliverable(&self, unsettled: Vec<Due>, now_ms: i64) -> Result<Vec<Delivery>, store::Error> {
        let users = self.users(&unsettled).await;
        let mut calls = Vec::new();
        for due in unsettled {
            let Some(crm) = self.services.crm(due.key.call.tenant.platform.as_str()) else { continue };
            let [own, creator] = [Some(&due.user), due.creator.as_ref()]
                .map(|id| id.and_then(|id| users.get(&due.key.user(id))).cloned());
            if let Some(Some(user)) = &own {
                // A person who has disconnected does not want others to write their work.
                let disconnected_ms = user.disconnected_at_ms.map(|at| now_ms - at);
                let is_lost =
                    has_moved(user, &due) || disconnected_ms.is_some_and(|ms| ms >= LONGEST_WAIT_MS);
                if is_lost && due.due_ms <= now_ms {
                    self.discard(&due, now_ms).await;
                }
                if is_lost || disconnected_ms.is_some() {
                    continue;
                }
            }
            let connected_at_ms = own.as_ref().and_then(|user| user.as_ref()?.connected_at_ms);
            let waiting_since_ms = after_login(due.waiting_since_ms, connected_at_ms);
            let is_overdue = waiting_since_ms.is_some_and(|since| now_ms - since >= LONGEST_WAIT_MS);
            let usable = |user: &Option<Option<Arc<StoredUser>>>| {
                let is_usable = |user: &Arc<StoredUser>| {
                    user.user.credentials.is_some() && !user.session_ended && may_deliver(user, &due)
                };
                user.clone().flatten().filter(is_usable)
            };
            let creator = usable(&creator);
            let user = usable(&own).or_else(|| creator.clone());
            match (own, user) {
                (_, Some(user)) => calls.push(Delivery { due, crm, user, creator }),
                // An overdue call of an ended session is tried, so that it fails and becomes a dead letter.
                (Some(Some(user)), None) if is_overdue => calls.push(Delivery { due, crm, user, creator }),
                (Some(None), None) if is_overdue => {
                    if let Err(error) = self.set_aside(&due).await {
                        tracing::warn!(%error, "a call of an unknown user could not be set aside");
                    }
                }
                _ => {}
            }
        }
        Ok(calls)
    }

    /// Returns the users of these calls, with the settings that count in their tenants: `None` if a user is unknown, or has no
    /// credentials and has not disconnected; no entry if one cannot be read.
    async fn users(&self, calls: &[Due]) -> BTreeMap<UserKey, Option<Arc<StoredUser>>> {
        let ids = calls
            .iter()
            .flat_map(|call| [Some(&call.user), call.creator.as_ref()].map(|id| Some(call.key.user(id?))));
        let keys: BTreeSet<_> = ids.flatten().collect();
        let read = stream::iter(keys).map(async |key| {
            let read = self.services.store.user(&key);
            let user = self.services.sync_points.reach("redrive.user", read).await;
            (key, user)
        });
        let users: Vec<_> = read.buffer_unordered(USERS_AT_ONCE).collect().await;
        let readable = users.into_iter().filter_map(|(key, user)| match user {
            Ok(user) => {
                let user =
                    user.filter(|user| user.user.credentials.is_some() || user.disconnected_at_ms.is_some());
                Some((key, user))
            }
            Err(error) => {
                tracing::warn!(%error, "a user could not be read");
                None
            }
        });
        let users: Vec<_> = readable.collect();
        let tenants: BTreeSet<_> =
            users.iter().filter_map(|(_, user)| Some(user.as_ref()?.user.tenant())).collect();
        let settings = self.tenant_settings(tenants).await;
        let governed = users.into_iter().filter_map(|(key, user)| {
            let Some(user) = user else { return Some((key, None)) };
            let settings = settings.get(&user.user.tenant())?.clone();
            Some((key, Some(Arc::new(user.governed(settings)))))
        });
        governed.collect()
    }

    /// Returns the settings of these tenants. One whose settings cannot be read has no entry.
    async fn tenant_settings(
        &self,
        tenants: BTreeSet<TenantKey>,
    ) -> BTreeMap<TenantKey, Arc<TenantSettings>> {
        let read = stream::iter(tenants).map(async |tenant| {
            let read = self.services.store.tenant_settings(&tenant);
            let settings = self.services.sync_points.reach("redrive.settings", read).await;
            (tenant, settings)
        });
        let read: Vec<_> = read.buffer_unordered(USERS_AT_ONCE).collect().await;
        let readable = read.into_iter().filter_map(|(tenant, settings)| match settings {
            Ok(settings) => Some((tenant, Arc::new(settings))),
            Err(error) => {
                tracing::warn!(%error, "the settings of a tenant could not be read");
                None
            }
        });
        readable.collect()
    }

    /// Groups calls by those who share the CRM's rate limits, and keeps their order. The group whose first call has been
    /// due the longest comes first.
    fn groups(&self, calls: Vec<Delivery>) -> Vec<(BreakerKey, Vec<Delivery>)> {
        let mut groups: BTreeMap<_, Vec<Delivery>> = BTreeMap::new();
        for call in calls {
            groups.entry(self.services.breaker_key(call.crm, &call.user.user)).or_default().push(call);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, calls)| calls[0].due.due_ms);
        groups
    }

    /// Delivers the calls of a group until all are delivered, the breaker opens, most of the daily budget is used, or the
    /// time is over.
    async fn serve(&self, key: &BreakerKey, calls: &[Delivery]) -> Result<(), store::Error> {
        let now_ms = self.services.clock.now_ms();
        let stored = self.services.store.breaker(key);
        let stored = self.services.sync_points.reach("redrive.rest", stored).await?;
        if stored.open_until_ms > now_ms {
            return Ok(());
        }
        let breaker = Breaker::new(stored);
        let mut calls = calls.iter();
        let budget = key.to_string();
        let is_day_nearly_used =
            || self.services.budgets.is_day_nearly_used(&budget, self.services.clock.now_ms());
        let may_continue = || !breaker.is_open() && self.has_time() && !is_day_nearly_used();
        if breaker.needs_probe()
            && may_continue()
            && let Some(call) = calls.next()
        {
            self.deliver(call, &breaker).await;
        }
        stream::iter(calls)
            .for_each_concurrent(CALLS_AT_ONCE, |call| async {
                if may_continue() {
                    self.spare_budget(&budget).await;
                    self.deliver(call, &breaker).await;
                }
            })
            .await;
        if is_day_nearly_used() {
            tracing::warn!("most of a CRM's daily budget is used; the redrive leaves the rest to others");
        }
        let state = breaker.state();
        if state != stored {
            let set = self.services.store.set_breaker(key, state, now_ms);
            self.services.sync_points.reach("redrive.set_breaker", set).await?;
        }
        Ok(())
    }

    /// Returns `true` if there is time for one more call.
    fn has_time(&self) -> bool {
        self.deadline.remaining(&self.services.clock) >= Duration::from_millis(CALL_MS as u64)
    }

    /// Waits while less than half of the CRM's burst budget is left: that half is for live requests.
    async fn spare_budget(&self, budget: &str) {
        let now_ms = self.services.clock.now_ms();
        if let Some(wait) = self.services.budgets.until_half_is_free(budget, now_ms) {
            self.services.sync_points.reach("redrive.spare", tokio::time::sleep(wait)).await;
        }
    }

    /// Delivers one call, writes its log line, and records the result.
    async fn deliver(&self, call: &Delivery, breaker: &Breaker) {
        let work = async {
            telemetry::call(&call.due.key);
            telemetry::set_field("crm", call.crm.platform());
            let outcome = self.attempt(call).await;
            match &outcome {
                Ok(Outcome::Failed(failure)) => telemetry::failed(Level::WARN, failure),
                Ok(_) => {}
                Err(error) => telemetry::failed(Level::WARN, error),
            }
            telemetry::set_field("outcome", outcome.as_ref().map_or("Unavailable", Outcome::name));
            outcome
        };
        let (clock, trace) = (&self.services.clock, self.trace.clone());
        match telemetry::instrument(clock, "redrive", "delivered", trace, Box::pin(work)).await {
            Ok(Outcome::Delivered | Outcome::NoContact) => {
                breaker.record_success();
                self.report().delivered += 1;
            }
            Ok(Outcome::Failed(failure)) => {
                breaker.record_failure(&failure, clock.now_ms());
                self.report().failed += 1;
            }
            Ok(Outcome::Unreadable) => self.report().unreadable += 1,
            Ok(Outcome::Untouched) | Err(_) => {}
        }
    }

    /// Claims one call and continues as a request would.
    async fn attempt(&self, call: &Delivery) -> Result<Outcome, store::Error> {
        let (services, key) = (self.services, &call.due.key);
        let item = match services.sync_points.reach("redrive.read", services.store.call(key)).await {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(Outcome::Untouched),
            Err(store::Error::Unreadable(item, problem)) => {
                telemetry::count(Metric::Unreadable);
                let reason = format!("{item} cannot be read ({problem}) and was set aside");
                telemetry::failed(Level::ERROR, reason);
                self.set_aside(&call.due).await?;
                return Ok(Outcome::Unreadable);
            }
            Err(error) => return Err(error),
        };
        let now_ms = services.clock.now_ms();
        let deadline = Deadline(self.deadline.0.min(now_ms + CALL_MS));
        let holder = random_name();
        // A search with another user's credential may not show the records that the creator's attempts have created.
        let has_attempts = item.state != State::Logged || item.sweep_at.is_some_and(|at| at <= now_ms);
        let user = call.creator.as_ref().filter(|_| has_attempts).unwrap_or(&call.user);
        if has_attempts && item.outcome_unknown && item.creator.as_ref().is_some_and(|id| *id != user.user.id)
        {
            return Ok(Outcome::Untouched);
        }
        let (user, id) = (StoredUser::clone(user), user.user.id.clone());
        let connected_at_ms = user.connected_at_ms;
        let lease = lease::new(call.crm, key, &id, &holder, now_ms, deadline);
        match item.state {
            State::Creating | State::OutcomeUnknown | State::Retry if item.payload.is_some() => {
                let claim = services.store.claim_create(&lease, Purpose::Redrive);
                let claim = services.sync_points.reach("redrive.claim_create", claim).await?;
                let ClaimCreate::Claimed { item, .. } = claim else { return Ok(Outcome::Untouched) };
                let payload = services.store.payload(key, &item)?.ok_or_else(|| {
                    store::Error::Unreadable("call".to_owned(), "it was claimed without a payload".to_owned())
                })?;
                let item = counted_after_login(*item, connected_at_ms);
                let claim = Claim::new(services, call.crm, lease, item, deadline);
                let claim = Claim { is_redrive: true, ..claim };
                Ok(match claim.create(user, None, None, payload).await? {
                    creation::Outcome::Failed { failure, is_deferred } => failed(failure, is_deferred),
                    creation::Outcome::Later { .. } => Outcome::Untouched,
                    creation::Outcome::NoContact { .. } => Outcome::NoContact,
                    _ => Outcome::Delivered,
                })
            }
            State::Logged if item.has_undelivered() || item.finish_pending || item.sweep_at.is_some() => {
                let claim = services.store.claim_update(&lease, Change::Due);
                let claim = services.sync_points.reach("redrive.claim_update", claim).await?;
                let ClaimUpdate::Claimed(item, _) = claim else { return Ok(Outcome::Untouched) };
                let item = counted_after_login(*item, connected_at_ms);
                let claim = Claim::new(services, call.crm, lease, item, deadline);
                Ok(match claim.sweep_and_update(user).await? {
                    write::Outcome::Failed { failure, is_deferred } => failed(failure, is_deferred),
                    _ => Outcome::Delivered,
                })
            }
            _ => {
                let settle = services.store.settle(key, &item, call.due.due_ms, now_ms);
                services.sync_points.reach("redrive.settle", settle).await?;
                Ok(Outcome::Untouched)
            }
        }
    }

    /// Discards what waits in a log for its user, who has moved to another CRM account or disconnected 30 days ago. A failure
    /// leaves it to the next run, and keeps no other call waiting.
    async fn discard(&self, due: &Due, now_ms: i64) {
        let discard = self.services.store.discard_moved(&due.key, &due.user, now_ms);
        let count = match self.services.sync_points.reach("redrive.discard", discard).await {
            Ok(count) => count,
            Err(error) => {
                tracing::error!(%error, "the work of a user who has moved or disconnected could not be discarded");
                return;
            }
        };
        telemetry::record(Metric::DiscardedMoved, i64::try_from(count).unwrap_or(i64::MAX));
        if count > 0 {
            tracing::warn!(count, "work of a user who has moved or disconnected was discarded");
        }
    }

    /// Takes a call out of the index of due work, because it cannot be delivered. Nothing else of its item changes.
    async fn set_aside(&self, due: &Due) -> Result<(), store::Error> {
        let set_aside = self.services.store.set_aside(&due.key, due.due_ms, self.services.clock.now_ms());
        self.services.sync_points.reach("redrive.set_aside", set_aside).await
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Outcome::Delivered => "Delivered",
            Outcome::NoContact => "NoContact",
            Outcome::Untouched => "Untouched",
            Outcome::Failed(_) => "Failed",
            Outcome::Unreadable => "Unreadable",
        }
    }
}

/// Returns the time from which a wait counts: time before the user connected again does not count.
fn after_login(since_ms: Option<i64>, connected_at_ms: Option<i64>) -> Option<i64> {
    since_ms.map(|since| since.max(connected_at_ms.unwrap_or(since)))
}

/// Returns an item whose waits count from the last login of the user.
fn counted_after_login(item: CallItem, connected_at_ms: Option<i64>) -> CallItem {
    CallItem {
        waiting_since: after_login(item.waiting_since, connected_at_ms),
        failing_since: after_login(item.failing_since, connected_at_ms),
        ..item
    }
}

/// Returns `true` if a user is known to belong to another CRM account than a call.
fn has_moved(user: &StoredUser, due: &Due) -> bool {
    user.user.known_tenant().is_some() && !may_deliver(user, due)
}

/// Returns `true` if a user's credential may deliver a call: it is of the call's tenant. A call of a user whose account was
/// not known is the user's, whatever the account turned out to be.
fn may_deliver(user: &StoredUser, due: &Due) -> bool {
    [user.user.tenant(), TenantKey::of_user(&user.user.key())].contains(&due.key.call.tenant)
}

/// Returns the result of an attempt that failed. If it is not retried, it is a dead letter that no caller learns of.
fn failed(failure: Failure, is_deferred: bool) -> Outcome {
    if !is_deferred {
        telemetry::count(Metric::Dead);
        telemetry::set_field("given_up", true);
    }
    Outcome::Failed(failure)
}
