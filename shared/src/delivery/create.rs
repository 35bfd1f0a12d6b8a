//! Create: claims the call, creates its CRM record, and stores the record's id.
//!
//! At most one attempt is in flight. After an attempt without a response, the CRM is searched for its record before
//! another record is created. The content of the create is stored with the claim, so the redrive can finish the work if
//! the caller does not send the call again.

use crate::{
    adapters::{Crm, Effect},
    delivery::{
        attempt::{Attempt, Claim},
        draft::{Draft, Record},
        failure::Failure,
        lease,
        services::Services,
    },
    model::{CallDetails, CallKey, CallLogId, CreateCallLog, Deadline, Payload, Secret},
    store::{self, CallItem, ClaimCreate, Event, Finish, Purpose, Release, State, StoredUser},
    telemetry::{self, Metric},
};

/// The number of times that a request claims the call, if the attempts of other invocations fail meanwhile.
const MAX_CLAIMS: usize = 3;

/// The result of a request to log a call.
#[derive(Debug)]
pub enum Outcome {
    /// The call is logged as this CRM record.
    Logged(CallLogId),
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
        let lease = lease::new(crm, &key, &holder, services.clock.now_ms(), deadline);
        let user = services.store.user(&key.user);
        let claim = services.store.claim_create(&lease, Purpose::Request(&payload));
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
        let draft = Draft::new(&self.grant, self.claim.lease.key, payload, details, self.zone);
        if self.claim.item.outcome_unknown {
            match self.find_record(&draft).await {
                Ok(Some(record)) => return self.complete(record).await,
                Ok(None) => {}
                Err(failure) => return self.claim.fail_create(failure).await,
            }
            if !self.record_criteria(payload).await? {
                lease::lost("the lease expired before the record was created");
                return Ok(Outcome::BeingLogged);
            }
        }
        match self.send(draft).await {
            Ok(record) => self.complete(record).await,
            Err(failure) => self.claim.fail_create(failure).await,
        }
    }

    /// Sends the record to the CRM, and searches for it if the response is lost.
    async fn send(&mut self, mut draft: Draft<'_>) -> Result<Record, Failure> {
        let mut created = self.grant.create_record(&draft.record).await;
        // Queued details must not keep the call from being logged: one of them may be what the CRM rejects.
        let has_queued = self.claim.item.queued_details != CallDetails::default();
        let lacks_queued = has_queued && created.as_ref().is_err_and(Failure::is_rejection);
        if lacks_queued {
            let details = draft.payload.details.clone();
            draft = Draft::new(&self.grant, self.claim.lease.key, draft.payload, details, self.zone);
            created = self.grant.create_record(&draft.record).await;
        }
        let failure = match created {
            Ok(id) => {
                let missing = lacks_queued.then(CallDetails::default);
                return Ok(Record { id, written: draft.written, missing });
            }
            Err(failure) => failure,
        };
        if failure.effect() == Effect::Unknown {
            telemetry::count(Metric::Ambiguous);
            // A record that is found now is certainly ours. If none is found, the request may still arrive.
            if let Ok(Some(record)) = self.find_record(&draft).await {
                return Ok(record);
            }
        }
        Err(failure)
    }

    /// Stores the record's id, adds the details that the record lacks, and gives the lease back.
    async fn complete(mut self, record: Record) -> Result<Outcome, store::Error> {
        let Record { id, written, missing } = record;
        let stored = if missing.is_some() {
            self.claim.keep("create.keep", &id, &written).await?
        } else {
            telemetry::state(self.claim.item.state.name(), State::Logged.name());
            self.claim.finish("create.finish", &id, &written).await?
        };
        match stored {
            Finish::Released => {}
            Finish::MoreQueued(item) => {
                self.claim.item = *item;
                self.write(missing.unwrap_or_default()).await?;
            }
            Finish::Lost => lease::lost("the lease expired before the record's id was stored"),
        }
        telemetry::count(Metric::Created);
        Ok(Outcome::Logged(id))
    }
}
