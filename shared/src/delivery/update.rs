//! Update: queues the details of a call in the table, then writes them into the call's CRM record.
//!
//! The lease holder writes everything that is queued. So concurrent updates become one change, and no two changes of one
//! record are ever in flight at once. If another invocation holds the lease, this one queues its details and waits a
//! moment to see them written.

use crate::{
    adapters::Crm,
    delivery::{attempt::Claim, draft::queued_fields, failure::Failure, lease, services::Services, write},
    model::{CallDetails, CallKey, CallLogId, Deadline, Secret, UpdateCallLog, Zone},
    note::Section,
    store::{self, CallItem, Change, ClaimUpdate, Enqueued, Event, Queued, Release, State, StoredUser},
};

/// The delay of the redrive after an update whose user is not connected or could not be read, in milliseconds.
const UNUSABLE_USER_MS: i64 = 60_000;
/// The number of times that a request claims the call, if other invocations change the item meanwhile.
const MAX_CLAIMS: usize = 4;

/// The result of a request to update the log of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The CRM record has the details.
    Updated {
        /// The record.
        log: CallLogId,
        /// The record's note.
        body: String,
        /// The sections of the note that the record does not show in full, because the CRM accepts only shorter notes.
        shortened: Vec<Section>,
    },
    /// Another invocation has written the details.
    UpdatedByOther {
        /// The record.
        log: CallLogId,
    },
    /// Another invocation holds the lease and will write the details.
    Queued {
        /// The record.
        log: CallLogId,
    },
    /// The call is not logged yet. The create will write the details.
    WaitingForCall,
    /// The record was deleted in the CRM.
    Deleted,
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The record lacks details.
    Failed {
        /// The reason.
        failure: Failure,
        /// The redrive will try again.
        is_deferred: bool,
    },
}

impl From<write::Outcome> for Outcome {
    fn from(outcome: write::Outcome) -> Outcome {
        match outcome {
            write::Outcome::Updated { log, body, shortened } => Outcome::Updated { log, body, shortened },
            write::Outcome::Deleted => Outcome::Deleted,
            write::Outcome::Failed { failure, is_deferred } => Outcome::Failed { failure, is_deferred },
        }
    }
}

/// Updates the log of a call for the caller whose user the key names.
///
/// # Errors
/// Fails if the table fails. Details that were queued before are written later.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    key: CallKey,
    command: UpdateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let holder = lease::new_holder();
    let (own_key, mut key) = (key.clone(), key);
    let fields = queued_fields(crm, &command.details);
    let queued = Queued { details: &command.details, fields: &fields };
    let mut change = Change::New(queued);

    for _ in 0..MAX_CLAIMS {
        let now_ms = services.clock.now_ms();
        let lease = lease::new(crm, &key, &holder, now_ms, deadline);
        let user = services.store.user(&key.user);
        let claim = services.store.claim_update(&lease, change);
        let (user, claim) = tokio::join!(
            services.sync_points.reach("update.user", user),
            services.sync_points.reach("update.claim", claim)
        );
        let claim = claim?;
        let user = match user {
            Ok(Some(user)) if user.user.credentials.is_some() => user,
            unusable => {
                if let ClaimUpdate::Claimed(item) = claim {
                    Claim::new(services, crm, lease, *item, deadline).defer().await?;
                }
                return unusable.map(|_| Outcome::NotConnected);
            }
        };
        let item = match claim {
            ClaimUpdate::Claimed(item) => {
                let claim = Claim::new(services, crm, lease, *item, deadline);
                return Ok(claim.update(user, command.authorization, command.zone).await?.into());
            }
            // Updates that are queued without an extension may wait for the call of another extension.
            ClaimUpdate::Rejected(item) if key == own_key || item.state != State::Queued => item,
            ClaimUpdate::Absent if key.extension.is_some() => {
                // The extension has no log of its own. The call may have been logged without an extension.
                key = key.without_extension();
                continue;
            }
            ClaimUpdate::Absent | ClaimUpdate::Rejected(_) => {
                key = own_key.clone();
                let enqueue = services.store.enqueue_first(&key, queued, now_ms);
                match services.sync_points.reach("update.park", enqueue).await? {
                    Enqueued::Queued(_) => return Ok(Outcome::WaitingForCall),
                    Enqueued::ItemChanged => continue,
                }
            }
        };
        if item.state == State::Deleted {
            return Ok(Outcome::Deleted);
        }
        let enqueue = services.store.enqueue(&key, queued, now_ms);
        match services.sync_points.reach("update.enqueue", enqueue).await? {
            Enqueued::Queued(item) => {
                if let Some(outcome) = wait_for_holder(services, &key, *item, deadline).await? {
                    return Ok(outcome);
                }
                change = Change::AlreadyQueued;
            }
            Enqueued::ItemChanged => {}
        }
    }
    Err(store::Error::Unavailable("other invocations keep changing the call log".to_owned()))
}

/// Waits until the lease holder has written the details that were just queued. Returns `None` if it gave the lease back
/// without writing them.
async fn wait_for_holder(
    services: &Services,
    key: &CallKey,
    item: CallItem,
    deadline: Deadline,
) -> Result<Option<Outcome>, store::Error> {
    let own_version = item.queued_version;
    let is_settled =
        move |item: &CallItem| item.applied_version >= own_version || item.lease_holder.is_none();
    let item = lease::wait_until(services, key, item, deadline, is_settled).await?;
    let is_leased = item.lease_expires_at > services.clock.now_ms();
    Ok(match item.log_id {
        Some(_) if item.state == State::Deleted => Some(Outcome::Deleted),
        Some(log) if item.applied_version >= own_version => Some(Outcome::UpdatedByOther { log }),
        Some(log) if is_leased && item.lease_holder.is_some() => Some(Outcome::Queued { log }),
        Some(_) if is_leased => {
            let failure = Failure::unavailable("an earlier change got no response and may still arrive");
            Some(Outcome::Failed { failure, is_deferred: true })
        }
        Some(_) => None,
        None => Some(Outcome::WaitingForCall),
    })
}

impl Claim<'_> {
    /// Sweeps duplicates if that is due, and writes everything that is queued. Requests and the redrive continue here.
    pub(crate) async fn update(
        self,
        user: StoredUser,
        authorization: Option<Secret>,
        zone: Option<Zone>,
    ) -> Result<write::Outcome, store::Error> {
        // A recovered record may lack details of the create, whose payload is then still stored.
        let payload = self.services.store.payload(self.lease.key, &self.item).unwrap_or_else(|error| {
            tracing::error!(%error, "the payload of the create is lost; the update is written without it");
            None
        });
        let zone = zone.or(payload.as_ref().and_then(|payload| payload.zone));
        let session = CallDetails { session: Some(self.lease.key.session.clone()), ..CallDetails::default() };
        let details = payload.map_or(session, |payload| payload.details);

        let mut attempt = match self.grant(user, authorization).await {
            Ok(grant) => self.attempt(grant, zone),
            Err(failure) => return self.fail_write(failure).await,
        };
        match attempt.sweep_if_due().await {
            Ok(()) => attempt.write(details).await,
            Err(failure) => attempt.claim.fail_write(failure).await,
        }
    }

    /// Gives the lease back and leaves the queued details to the redrive.
    async fn defer(&self) -> Result<(), store::Error> {
        let release = Release {
            due_ms: Some(self.lease.now_ms + UNUSABLE_USER_MS),
            ..Release::new(Event::Failed, "the user is not connected or could not be read")
        };
        self.release("update.give_back", release).await
    }
}
