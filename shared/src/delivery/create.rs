//! Create: claims the call, creates its CRM record, and stores the record's id.
//!
//! At most one attempt is in flight. After an attempt without a response, the CRM is searched for its record before
//! another record is created. The content of the create is stored with the claim, so the redrive can finish the work if
//! the caller does not send the call again.

use crate::{
    adapters::{Crm, Effect, ErrorKind},
    delivery::{
        attempt::{Attempt, Claim},
        draft::{Draft, Record},
        failure::Failure,
        lease,
        services::Services,
        ways, write,
    },
    model::{CallDetails, CallKey, CallLogId, CreateCallLog, Deadline, Payload, Secret},
    note::Section,
    store::{self, CallItem, ClaimCreate, Event, Finish, Purpose, Release, State, StoredUser},
    telemetry::{self, Metric},
};

/// The number of times that a request claims the call, if the attempts of other invocations fail meanwhile.
const MAX_CLAIMS: usize = 3;

/// The result of a request to log a call.
#[derive(Debug)]
pub enum Outcome {
    /// The call is logged.
    Logged {
        /// The record.
        log: CallLogId,
        /// The sections of the note that the record does not show in full, because the CRM accepts only shorter notes.
        shortened: Vec<Section>,
    },
    /// An earlier request logged the call as this CRM record.
    AlreadyLogged(CallLogId),
    /// Another invocation is logging the call and has not finished yet.
    BeingLogged,
    /// An earlier attempt got no response, and its record may still appear.
    Unsettled {
        /// The time until the CRM is searched for that record, in milliseconds.
        wait_ms: i64,
        /// The redrive will search for the record, and log the call if there is none.
        is_deferred: bool,
    },
    /// The caller found no contact for this number.
    NoContact {
        /// The contact's telephone number.
        number: Option<String>,
    },
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The call is not logged.
    Failed {
        /// The reason.
        failure: Failure,
        /// The redrive will try again.
        is_deferred: bool,
    },
}

/// Logs a call for the caller whose user the key names.
///
/// # Errors
/// Fails if the table fails. The call is logged later if it was claimed.
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
    let holder = lease::new_holder();

    for _ in 0..MAX_CLAIMS {
        let now_ms = services.clock.now_ms();
        let lease = lease::new(crm, &key, &holder, now_ms, deadline);
        let way = services.ways.expected(crm, &key.user, now_ms).name();
        let user = services.store.user(&key.user);
        let claim = services.store.claim_create(&lease, Purpose::Request(&payload, way));
        let (user, claim) = tokio::join!(
            services.sync_points.reach("create.user", user),
            services.sync_points.reach("create.claim", claim)
        );
        let item = match claim? {
            ClaimCreate::Claimed(item) => *item,
            ClaimCreate::Rejected(item) => match wait_for_holder(services, &key, *item, deadline).await? {
                Some(outcome) => return Ok(outcome),
                None => continue,
            },
            ClaimCreate::Absent => {
                return Err(store::Error::Unavailable("the claim failed without an item".to_owned()));
            }
        };
        let claim = Claim::new(services, crm, lease, item, deadline);
        return match user {
            Ok(Some(user)) if user.user.credentials.is_some() => {
                claim.create(user, command.authorization, payload).await
            }
            Ok(_) => {
                claim.forget().await?;
                Ok(Outcome::NotConnected)
            }
            Err(error) => {
                let unread = store::Error::Unavailable("the user could not be read".to_owned());
                claim.fail_create(unread.into()).await?;
                Err(error)
            }
        };
    }
    Err(store::Error::Unavailable("other attempts to log the call keep failing".to_owned()))
}

/// Waits for the invocation that holds the lease. Returns `None` if the call can be claimed again.
async fn wait_for_holder(
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

impl Claim<'_> {
    /// Creates the record of the claimed call. Requests and the redrive continue here.
    pub(crate) async fn create(
        self,
        user: StoredUser,
        authorization: Option<Secret>,
        payload: Payload,
    ) -> Result<Outcome, store::Error> {
        match self.grant(user, authorization).await {
            Ok(grant) => self.attempt(grant, payload.zone).create_record(&payload).await,
            Err(failure) => self.fail_create(failure).await,
        }
    }

    /// Gives the lease back after a failure: there is no record, or it is not known whether there is one.
    async fn fail_create(&self, failure: Failure) -> Result<Outcome, store::Error> {
        let failed = self.fail("create.release", failure).await?;
        if let Some(state) = self.item.state.after(failed.event) {
            telemetry::state(self.item.state.name(), state.name());
        }
        Ok(Outcome::Failed { failure: failed.failure, is_deferred: failed.is_deferred })
    }

    /// Gives the lease back and drops the payload, because there is no user to log the call for.
    async fn forget(&self) -> Result<(), store::Error> {
        let release = Release {
            outcome_unknown: self.item.outcome_unknown,
            drops_payload: true,
            ..Release::new(Event::Failed, "the user is not connected")
        };
        self.release("create.forget", release).await
    }
}

impl Attempt<'_> {
    /// Creates the record, unless the CRM shows that an earlier attempt has created it.
    async fn create_record(mut self, payload: &Payload) -> Result<Outcome, store::Error> {
        // Queued updates were sent after the call ended, so they are newer than the create.
        let details = payload.details.clone().overlay(&self.claim.item.queued_details);
        self.learn(&details);
        let way =
            self.claim.services.ways.of(self.claim.crm, &self.grant.user().user, self.claim.lease.now_ms);
        let draft = self.draft(payload, details, way);
        if self.claim.item.outcome_unknown {
            match self.find_record(&draft).await {
                Ok(Some(record)) => return self.complete(record).await,
                Ok(None) => {}
                Err(failure) => return self.claim.fail_create(failure).await,
            }
        }
        let may_duplicate = self.has_untraceable_attempt();
        if !self.record_criteria(payload, way).await? {
            return Ok(overtaken());
        }
        if may_duplicate {
            telemetry::count(Metric::DuplicatePossible);
        }
        match self.send(draft).await {
            Ok(Some(record)) => self.complete(record).await,
            Ok(None) => Ok(overtaken()),
            Err(failure) => self.claim.fail_create(failure).await,
        }
    }

    /// Sends the record to the CRM: again in the next way if the CRM does not take the call tag, and again without the
    /// queued details if it rejects the data. Searches for the record if the response is lost. Returns `None` if another
    /// invocation has taken the lease.
    async fn send(&mut self, mut draft: Draft<'_>) -> Result<Option<Record>, Failure> {
        let services = self.claim.services;
        let has_queued = self.claim.item.queued_details != CallDetails::default();
        let (mut lacks_queued, mut is_next_way) = (false, false);
        loop {
            let failure = match self.grant.create_record(&draft.record).await {
                Ok(id) => {
                    if is_next_way {
                        let (user, now_ms) = (&self.grant.user().user, self.grant.now_ms());
                        services.ways.remember(user, draft.record.recovery, now_ms);
                    }
                    let missing = lacks_queued.then(CallDetails::default);
                    return Ok(Some(Record {
                        id,
                        written: draft.written,
                        shortened: draft.shortened,
                        missing,
                    }));
                }
                Err(failure) => failure,
            };
            match failure.kind() {
                Some(ErrorKind::KeyRefused) => {
                    telemetry::count(Metric::KeyRefused);
                    let refused = draft.record.recovery;
                    let Some(way) = ways::next(self.claim.crm, refused) else { return Err(failure) };
                    tracing::warn!(
                        refused = refused.name(),
                        next = way.name(),
                        "the CRM does not take the call tag; it is sent in the next way"
                    );
                    // If this invocation dies, the next one has to look for the record in this way too.
                    if !self.record_criteria(draft.payload, way).await? {
                        return Ok(None);
                    }
                    draft.record.recovery = way;
                    is_next_way = true;
                }
                // Queued details must not keep the call from being logged: one of them may be what the CRM rejects.
                Some(ErrorKind::Rejected { .. }) if has_queued && !lacks_queued => {
                    let details = draft.payload.details.clone();
                    draft = self.draft(draft.payload, details, draft.record.recovery);
                    lacks_queued = true;
                }
                Some(ErrorKind::AlreadyExists(id)) => {
                    return self.existing_record(id.clone(), &draft).await.map(Some);
                }
                _ if failure.effect() == Effect::Unknown => {
                    telemetry::count(Metric::Ambiguous);
                    // A record that is found now is certainly ours. If none is found, the request may still arrive.
                    return match self.find_record(&draft).await {
                        Ok(Some(record)) => Ok(Some(record)),
                        _ => Err(failure),
                    };
                }
                _ => return Err(failure),
            }
        }
    }

    /// Settles the record of the call, and returns the outcome for the caller.
    async fn complete(self, record: Record) -> Result<Outcome, store::Error> {
        let log = record.id.clone();
        let shortened = self.settle(record).await?;
        telemetry::count(Metric::Created);
        Ok(Outcome::Logged { log, shortened })
    }

    /// Stores the record's id, adds the details that the record lacks, completes the record, and gives the lease back.
    /// Returns the sections that the record does not show in full.
    async fn settle(mut self, record: Record) -> Result<Vec<Section>, store::Error> {
        let Record { id, written, shortened, missing } = record;
        let queued_version = self.claim.item.queued_version;
        self.claim.item.finish_pending = self.has_finish();
        if missing.is_some() || self.needs_finish() {
            let Finish::MoreQueued(item) = self.claim.keep("create.keep", &id, &written).await? else {
                lease::lost("the lease expired before the record's id was stored");
                return Ok(shortened);
            };
            self.claim.item = *item;
            if missing.is_some() || self.claim.item.queued_version != queued_version {
                return self.write(missing.unwrap_or_default()).await.map(write::Outcome::shortened);
            }
            if let Err(failure) = self.finish_record(&id).await {
                return self.claim.fail_write(failure).await.map(|_| shortened);
            }
        } else {
            telemetry::state(self.claim.item.state.name(), State::Logged.name());
        }
        match self.claim.finish("create.finish", &id, &written).await? {
            Finish::Released => {}
            Finish::MoreQueued(item) => {
                self.claim.item = *item;
                return self.write(CallDetails::default()).await.map(write::Outcome::shortened);
            }
            Finish::Lost => lease::lost("the lease expired before the record's id was stored"),
        }
        Ok(shortened)
    }
}

/// Returns the outcome if another invocation took the lease before the record was sent.
fn overtaken() -> Outcome {
    lease::lost("the lease expired before the record was created");
    Outcome::BeingLogged
}
