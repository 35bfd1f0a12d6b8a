//! Log a call: claim it, make the log, write down where it is.
//!
//! At most one attempt is in flight. An attempt without an answer is never repeated before it is certain that it left
//! no log: the CRM is asked for what that attempt may have made. What an attempt brings is kept with the claim, so that
//! it is logged even if nobody asks again. See `docs/exactly-once.md`.

use crate::{
    adapters::{Crm, Effect, NewCallLog, Recovery},
    delivery::{
        draft::Draft,
        grant::{Failure, Grant},
        lease::{self, GRACE_MS},
        retry,
        services::Services,
        update,
    },
    model::{CallDetails, CallKey, CallLogId, Contact, CreateCallLog, Deadline, Payload, Secret, Zone},
    note::{self, Content, Fingerprints},
    store::{
        self, CallItem, ClaimCreate, Event, Finish, LastWritten, Lease, Purpose, RecoveryCriteria, Release,
        State, StoredUser,
    },
    telemetry::{self, Metric},
};

/// How far the clocks of a CRM and ours may differ, in minutes.
pub(crate) const CLOCK_SKEW_MINUTES: i64 = 5;
/// How often a claim that was refused by an attempt that then failed is tried again.
const ROUNDS: usize = 3;

/// What became of the request.
#[derive(Debug)]
pub enum Outcome {
    Logged(CallLogId),
    AlreadyLogged(CallLogId),
    /// Another invocation is at it and takes long.
    BeingLogged,
    /// An attempt before this one had no answer; when it can be looked for, in milliseconds from now.
    Unsettled {
        wait_ms: i64,
        /// It is then logged without anybody asking.
        is_deferred: bool,
    },
    NoContact {
        number: Option<String>,
    },
    NotConnected,
    /// The CRM did not do it.
    Failed {
        failure: Failure,
        /// It is tried again without anybody asking.
        is_deferred: bool,
    },
}

/// Logs a call for the caller.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    key: CallKey,
    command: CreateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let Some(contact) = command.contact else {
        return Ok(Outcome::NoContact { number: command.details.contact_number });
    };
    let (details, additional, zone) = (command.details, command.additional, command.zone);
    let payload = Payload { contact, details, additional, zone };
    let me = lease::new_owner();

    for _ in 0..ROUNDS {
        let now_ms = services.clock.now_ms();
        let lease = Lease { key: &key, holder: &me, now_ms, until_ms: deadline.0 + GRACE_MS };
        let (user, claim) = tokio::join!(
            services.sync_points.reach("create.user", services.store.user(&key.user)),
            services
                .sync_points
                .reach("create.claim", services.store.claim_create(&lease, Purpose::Request(&payload)))
        );
        let item = match claim? {
            ClaimCreate::Claimed(item) => item,
            ClaimCreate::Rejected(item) => match wait_for_peer(services, &key, *item, deadline).await? {
                Some(outcome) => return Ok(outcome),
                None => continue,
            },
            ClaimCreate::Absent => {
                return Err(store::Error::Unavailable("a refusal without the item".to_owned()));
            }
        };
        telemetry::attempt(item.fence);
        let attempt = Attempt { services, crm, lease, item: *item };
        let user = match user {
            Ok(user) => user,
            Err(error) => {
                attempt.failed(Failure::Store(store::Error::Unavailable(String::new()))).await?;
                return Err(error);
            }
        };
        let Some(user) = user.filter(|user| user.user.credentials.is_some()) else {
            attempt.give_back_forgotten("not connected").await?;
            return Ok(Outcome::NotConnected);
        };
        return attempt.go(user, command.authorization, deadline, payload).await;
    }
    Err(store::Error::Unavailable("others try to log the call, and fail".to_owned()))
}

/// Goes on with what an earlier request brought; the item is claimed.
pub(crate) async fn resume(
    services: &Services,
    crm: &'static dyn Crm,
    lease: Lease<'_>,
    item: CallItem,
    user: StoredUser,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let payload = services.store.payload(lease.key, &item)?;
    let attempt = Attempt { services, crm, lease, item };
    match payload {
        Some(payload) => attempt.go(user, None, deadline, payload).await,
        None => {
            Err(store::Error::Unreadable("call".to_owned(), "it was claimed without a payload".to_owned()))
        }
    }
}

/// What another invocation's hold on the call means for this one; `None`: it has let go, claim again.
async fn wait_for_peer(
    services: &Services,
    key: &CallKey,
    item: CallItem,
    deadline: Deadline,
) -> Result<Option<Outcome>, store::Error> {
    let is_settled = |item: &CallItem| item.log_id.is_some() || item.lease_holder.is_none();
    let item = lease::wait_until(services, key, item, deadline, is_settled).await?;
    let wait_ms = item.lease_expires_at - services.clock.now_ms();
    let is_deferred = item.payload.is_some();
    Ok(match item {
        CallItem { log_id: Some(log), .. } => Some(Outcome::AlreadyLogged(log)),
        CallItem { lease_holder: Some(_), .. } if wait_ms > 0 => Some(Outcome::BeingLogged),
        CallItem { lease_holder: None, .. } if wait_ms > 0 => {
            Some(Outcome::Unsettled { wait_ms, is_deferred })
        }
        _ => None,
    })
}

/// A claimed call.
struct Attempt<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    lease: Lease<'a>,
    item: CallItem,
}

impl Attempt<'_> {
    async fn go(
        self,
        user: StoredUser,
        authorization: Option<Secret>,
        deadline: Deadline,
        payload: Payload,
    ) -> Result<Outcome, store::Error> {
        let (services, owner) = (self.services, self.lease.holder);
        match Grant::obtain(services, self.crm, user, authorization, deadline, owner).await {
            Ok(grant) => self.make(grant, payload).await,
            Err(failure) => self.failed(failure).await,
        }
    }

    async fn make(self, mut grant: Grant<'_>, payload: Payload) -> Result<Outcome, store::Error> {
        let zone = payload.zone.or(grant.user().user.zone).unwrap_or(Zone::UTC);
        // What is parked came later than the call's end, so it is newer than what the call brings.
        let facts = payload.details.clone().overlay(&self.item.queued_details);
        let mut draft = Draft::new(&grant, &facts, &payload, zone);

        if self.item.outcome_unknown {
            match self.find(&mut grant, &draft.log, &facts, zone).await {
                Ok(Some(found)) => return self.adopt(grant, found, &draft, &payload, facts, zone).await,
                Ok(None) => {}
                Err(failure) => return self.failed(failure).await,
            }
            if !self.is_sought(&payload).await? {
                lease::lost("the lease ran out before the log was made");
                return Ok(Outcome::BeingLogged);
            }
        }
        let mut made = grant.create_record(&draft.log).await;
        // What is parked must not keep the call from being logged: it may be what the CRM refuses.
        let is_alone = self.item.queued_details != CallDetails::default()
            && made.as_ref().is_err_and(Failure::is_refusal);
        if is_alone {
            draft = Draft::new(&grant, &payload.details, &payload, zone);
            made = grant.create_record(&draft.log).await;
        }
        match made {
            Ok(id) if is_alone => self.add(grant, id, &draft.written, CallDetails::default(), zone).await,
            Ok(id) => self.finish(grant, id, &draft.written, zone).await,
            Err(failure) if failure.effect() == Effect::Unknown => {
                telemetry::count(Metric::Ambiguous);
                // The answer was lost; perhaps the log was not. A log that is found now is certainly ours. One that
                // is not found may still land, so nothing follows from that.
                match self.find(&mut grant, &draft.log, &facts, zone).await {
                    Ok(Some(found)) => self.adopt(grant, found, &draft, &payload, facts, zone).await,
                    _ => self.failed(failure).await,
                }
            }
            Err(failure) => self.failed(failure).await,
        }
    }

    /// Sees to it that whoever comes after this attempt looks for what it is about to make, if it is told of another
    /// contact, time or zone than those before it. False: somebody else has the call by now.
    async fn is_sought(&self, payload: &Payload) -> Result<bool, store::Error> {
        let own = RecoveryCriteria::of(payload);
        if self.item.recovery_criteria.contains(&own) {
            return Ok(true);
        }
        let all: Vec<_> = self.item.recovery_criteria.iter().cloned().chain([own]).collect();
        self.services
            .sync_points
            .reach("create.seek", self.services.store.record_criteria(&self.lease, &all))
            .await
    }

    /// The log that an earlier attempt made; of several the first, always the same: the others are left to the audit.
    async fn find(
        &self,
        grant: &mut Grant<'_>,
        log: &NewCallLog,
        facts: &CallDetails,
        zone: Zone,
    ) -> Result<Option<CallLogId>, Failure> {
        match self.crm.recovery() {
            Recovery::ConsistentList | Recovery::LaggingSearch(_) => {}
            // Making it again makes no second one; or there is nothing to ask.
            Recovery::Upsert | Recovery::None => return Ok(None),
        }
        let first_at = self.item.first_at.unwrap_or_else(|| self.services.clock.now());
        let since = first_at - chrono::TimeDelta::minutes(CLOCK_SKEW_MINUTES);
        let mut found = grant.find_records(log, since).await?;
        for sought in self.item.recovery_criteria.iter().filter(|_| self.item.outcome_unknown) {
            if found.is_empty()
                && let Some(earlier) = self.sought_otherwise(sought, grant, log, facts, zone)
            {
                found = grant.find_records(&earlier, since).await?;
            }
        }
        if found.len() > 1 {
            tracing::warn!(duplicates = found.len() - 1, "the CRM has more than one log of this call");
        }
        Ok(found.into_iter().next())
    }

    /// The log as an earlier attempt would have made it, if that was told of another contact, time or zone.
    fn sought_otherwise(
        &self,
        sought: &RecoveryCriteria,
        grant: &Grant<'_>,
        log: &NewCallLog,
        facts: &CallDetails,
        zone: Zone,
    ) -> Option<NewCallLog> {
        let user = &grant.user().user;
        let then = sought.zone.or(user.zone).unwrap_or(Zone::UTC);
        if (&sought.contact, sought.start, then) == (&log.contact.id, log.start, zone) {
            return None;
        }
        let facts = CallDetails { start: sought.start, ..facts.clone() };
        Some(NewCallLog {
            body: note::compose(self.crm.format(), &Content::new(&facts, &user.settings, then)),
            contact: Contact { id: sought.contact.clone(), ..log.contact.clone() },
            start: sought.start,
            ..log.clone()
        })
    }

    /// The log is there.
    async fn finish(
        self,
        grant: Grant<'_>,
        id: CallLogId,
        written: &LastWritten,
        zone: Zone,
    ) -> Result<Outcome, store::Error> {
        let finish = self.services.store.finish(&self.lease, &id, &self.item, written);
        telemetry::state(self.item.state.name(), State::Logged.name());
        match self.services.sync_points.reach("create.finish", finish).await? {
            Finish::Released => {}
            Finish::MoreQueued(item) => {
                update::write(self.services, &self.lease, grant, *item, CallDetails::default(), zone).await?;
            }
            Finish::Lost => lease::lost("the lease ran out before the log's id was stored"),
        }
        telemetry::count(Metric::Created);
        Ok(Outcome::Logged(id))
    }

    /// The log is there from an earlier attempt, which may have brought other facts: brings it up to date.
    async fn adopt(
        self,
        grant: Grant<'_>,
        id: CallLogId,
        draft: &Draft,
        payload: &Payload,
        facts: CallDetails,
        zone: Zone,
    ) -> Result<Outcome, store::Error> {
        telemetry::count(Metric::Reconciled);
        // An earlier attempt may have sent less, or others.
        let least = Content::new(&payload.details, &grant.user().user.settings, zone).fingerprints();
        let written = LastWritten {
            sections: Fingerprints::perhaps([&draft.written.sections, &least]),
            subject: draft.written.subject.clone().filter(|_| !self.item.outcome_unknown),
            duration: draft.written.duration.filter(|_| !self.item.outcome_unknown),
        };
        self.add(grant, id, &written, facts, zone).await
    }

    /// The log is there, with less in it than is known: adds the rest.
    async fn add(
        self,
        grant: Grant<'_>,
        id: CallLogId,
        written: &LastWritten,
        facts: CallDetails,
        zone: Zone,
    ) -> Result<Outcome, store::Error> {
        let keep = self.services.store.keep(&self.lease, &id, &self.item, written);
        match self.services.sync_points.reach("create.keep", keep).await? {
            Finish::MoreQueued(item) => {
                update::write(self.services, &self.lease, grant, *item, facts, zone).await?;
            }
            Finish::Released | Finish::Lost => {
                lease::lost("the lease ran out before the log was brought up to date")
            }
        }
        telemetry::count(Metric::Created);
        Ok(Outcome::Logged(id))
    }

    /// There is no log, or nobody knows: says who goes on when.
    async fn failed(self, failure: Failure) -> Result<Outcome, store::Error> {
        let (reason, now_ms) = (failure.to_string(), self.services.clock.now_ms());
        let release = retry::release(self.crm, self.lease.key, &self.item, &failure, &reason, now_ms);
        let is_deferred = release.due_ms.is_some();
        if let Some(state) = self.item.state.after(release.event) {
            telemetry::state(self.item.state.name(), state.name());
        }
        self.give_back("create.release", release).await?;
        Ok(Outcome::Failed { failure, is_deferred })
    }

    /// Lets go at once, and keeps nothing of what the request brought: there is nobody to log it for.
    async fn give_back_forgotten(&self, reason: &str) -> Result<(), store::Error> {
        let release = Release {
            outcome_unknown: self.item.outcome_unknown,
            drops_payload: true,
            ..Release::new(Event::Failed, reason)
        };
        self.give_back("create.forget", release).await
    }

    async fn give_back(&self, step: &'static str, release: Release<'_>) -> Result<(), store::Error> {
        self.services
            .sync_points
            .reach(step, self.services.store.release(&self.lease, &self.item, release))
            .await
    }
}
