//! Update: queues the details of a call in the table, then writes them into the call's CRM record.
//!
//! The lease holder writes everything that is queued. So concurrent updates become one change, and no two changes of one
//! record are ever in flight at once. If another invocation holds the lease, this one queues its details and waits a
//! moment to see them written.

use crate::{
    adapters::Crm,
    delivery::{
        attempt::{Attempt, Claim},
        breaker::RequestBreaker,
        draft::queued_fields,
        failure::Failure,
        lease,
        place::{self, Found, Place},
        services::Services,
        tenancy::{self, Admitted, KnownUser, Tenancy},
        write,
    },
    model::{
        CallDetails, CallKey, CallLogId, Deadline, LogKey, NoteSource, Secret, Sender, UpdateCallLog, Zone,
        random_name,
    },
    note::Section,
    store::{
        self, CallItem, Change, ClaimUpdate, Enqueued, Event, Origin, Queued, Rearmed, Release, State,
        StoredUser,
    },
};

/// The delay of the redrive after an update whose user is not connected or could not be read, in milliseconds.
const UNUSABLE_USER_MS: i64 = 60_000;

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
    /// The call had been given up. It is logged again, with the details.
    LoggedAgain {
        /// Why it had been given up.
        reason: String,
    },
    /// Several logs of the call could be meant. Nothing was written.
    SeveralLogs,
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The token was issued before the user moved to another CRM account, or was revoked.
    Moved,
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

/// Updates the log of a call for the sender of the request.
///
/// # Errors
/// Fails if the table fails. Details that were queued before are written later.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    command: UpdateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let header_user = command.authorization.as_ref().map(|_| sender.user.id.clone());
    let Some(mut tenancy) = Tenancy::of(services, sender).await? else { return Ok(Outcome::NotConnected) };
    loop {
        let call = CallKey {
            tenant: tenancy.tenant.clone(),
            session: command.session.clone(),
            header_user: header_user.clone(),
        };
        let request = Request { services, crm, sender, command: &command, holder: random_name(), deadline };
        match request.update(&tenancy, &call).await? {
            Some(outcome) => return Ok(outcome),
            None => match Tenancy::of(services, sender).await? {
                Some(stored) => tenancy = stored,
                None => return Ok(Outcome::NotConnected),
            },
        }
    }
}

/// One request to update the log of a call.
struct Request<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    sender: &'a Sender,
    command: &'a UpdateCallLog,
    holder: String,
    deadline: Deadline,
}

impl Request<'_> {
    /// Claims the log that the request is about, and writes into its record, or queues the details. Returns `None` if the user
    /// belongs to another tenant than this process remembered.
    async fn update(&self, tenancy: &Tenancy, call: &CallKey) -> Result<Option<Outcome>, store::Error> {
        let Request { services, crm, command, .. } = *self;
        let fields = queued_fields(crm, &command.details);
        let Sender { user, identity, .. } = self.sender;
        let origin = Origin { request: &self.holder, user: &user.id, identity };
        let source = match command.is_cached_note {
            true => NoteSource::CachedNote(services.clock.now_ms()),
            false => NoteSource::Other,
        };
        let queued = Queued { details: &command.details, fields: &fields, sender: origin, source };
        let (mut is_queued, mut place) = (false, Place::Unread);
        let mut known = KnownUser { user: tenancy.user.clone(), breaker: None };
        let breaker_key = tenancy.breaker_key(crm, user);

        for _ in 0..lease::MAX_CLAIMS {
            let key = call.log(place.slot());
            let now_ms = services.clock.now_ms();
            let lease = lease::new(crm, &key, &user.id, &self.holder, now_ms, self.deadline);
            let change = if is_queued { Change::AlreadyQueued } else { Change::New(queued, place.basis()) };
            let claim = services.store.claim_update(&lease, change);
            let seen = std::mem::take(&mut known);
            let ((read, breaker), claim) = tokio::join!(
                tenancy::user_and_breaker(services, seen, user, &breaker_key, &tenancy.tenant, "update.user"),
                services.sync_points.reach("update.claim", claim)
            );
            let claim = claim?;
            let user = match tenancy.admit(services, read) {
                Ok(Admitted::User(user)) => *user,
                refused => {
                    if let ClaimUpdate::Claimed(item, undo) = claim {
                        let claim = Claim::new(services, crm, lease, *item, self.deadline);
                        match refused {
                            Ok(_) => {
                                let undo = services.store.undo(&claim.lease, &undo, &self.holder);
                                services.sync_points.reach("update.undo", undo).await?;
                            }
                            Err(_) => claim.defer().await?,
                        }
                    }
                    return Ok(Outcome::refused(&refused?));
                }
            };
            let item = match claim {
                ClaimUpdate::Claimed(item, _) => {
                    let claim = Claim::new(services, crm, lease, *item, self.deadline);
                    let breaker = RequestBreaker::new(services, crm, &user.user, &breaker_key, breaker);
                    if let Err(paused) = breaker.check().await {
                        return Ok(Some(claim.fail_write(paused).await?.into()));
                    }
                    let written = claim.update(user, command.authorization.clone(), command.zone).await?;
                    match &written {
                        write::Outcome::Updated { .. } => breaker.record(None).await,
                        write::Outcome::Failed { failure, .. } => breaker.record(Some(failure)).await,
                        write::Outcome::Deleted => {}
                    }
                    return Ok(Some(written.into()));
                }
                ClaimUpdate::Rejected(item) if key.slot > 0 => item,
                ClaimUpdate::Rejected(first) => match place::find(self.sender, first) {
                    Found::First(item) => item,
                    Found::Further(slot, first) => {
                        let further = call.log(slot);
                        let teach = services.store.teach_log(&further, &first, identity);
                        let is_taught = services.sync_points.reach("update.teach", teach).await?;
                        place = if is_taught { Place::Further(slot) } else { Place::Unread };
                        known = KnownUser { user: Some(user), breaker: Some(breaker) };
                        continue;
                    }
                    Found::Several(..) => return Ok(Some(Outcome::SeveralLogs)),
                    Found::Missing(first) => {
                        if self.park(&key, queued, Some(&first), now_ms).await? {
                            return Ok(Some(Outcome::WaitingForCall));
                        }
                        (place, known) =
                            (Place::Unread, KnownUser { user: Some(user), breaker: Some(breaker) });
                        continue;
                    }
                },
                ClaimUpdate::Absent => {
                    if self.park(&key, queued, None, now_ms).await? {
                        return Ok(Some(Outcome::WaitingForCall));
                    }
                    (place, known) = (Place::Unread, KnownUser { user: Some(user), breaker: Some(breaker) });
                    continue;
                }
            };
            known = KnownUser { user: Some(user), breaker: Some(breaker) };
            if item.state == State::Deleted {
                return Ok(Some(Outcome::Deleted));
            }
            place = if key.slot == 0 { Place::First(item.clone()) } else { Place::Further(key.slot) };
            if item.state == State::Logged && item.lease_expires_at <= now_ms {
                continue;
            }
            let enqueue = services.store.enqueue(&key, queued, place.basis(), now_ms);
            match services.sync_points.reach("update.enqueue", enqueue).await? {
                Enqueued::Queued(item) => {
                    if let Some(outcome) = self.follow(&key, *item).await? {
                        return Ok(Some(outcome));
                    }
                    is_queued = true;
                }
                Enqueued::ItemChanged => place = Place::Unread,
            }
        }
        Err(store::Error::Unavailable("other invocations keep changing the call log".to_owned()))
    }

    /// Queues the details until the call has a log that they match. Returns `false` if the item is not as it was seen.
    async fn park(
        &self,
        first: &LogKey,
        queued: Queued<'_>,
        seen: Option<&CallItem>,
        now_ms: i64,
    ) -> Result<bool, store::Error> {
        let park = self.services.store.enqueue_first(first, queued, seen, now_ms);
        let parked = self.services.sync_points.reach("update.park", park).await?;
        Ok(matches!(parked, Enqueued::Queued(_)))
    }

    /// Returns the answer to a request whose details are queued in this item. Returns `None` if the request has to write them
    /// itself. An update of a dead letter makes it due again.
    async fn follow(&self, key: &LogKey, item: CallItem) -> Result<Option<Outcome>, store::Error> {
        let services = self.services;
        if item.state == State::DeadLetter {
            let reason = item.reason.clone().unwrap_or_default();
            let rearm = services.store.rearm(key, &item, services.clock.now_ms());
            return Ok(Some(match services.sync_points.reach("update.rearm", rearm).await? {
                Rearmed::Done => Outcome::LoggedAgain { reason },
                Rearmed::Nothing => Outcome::WaitingForCall,
            }));
        }
        self.wait_for_holder(key, item).await
    }

    /// Waits until the lease holder has written the details that were just queued. Returns `None` if it gave the lease back
    /// without writing them.
    async fn wait_for_holder(&self, key: &LogKey, item: CallItem) -> Result<Option<Outcome>, store::Error> {
        let services = self.services;
        let own_version = item.queued_version;
        let is_settled =
            move |item: &CallItem| item.applied_version >= own_version || item.lease_holder.is_none();
        let item = lease::wait_until(services, key, item, self.deadline, is_settled).await?;
        if !place::is_same_log(self.sender, key.slot, &item) {
            return Ok(Some(Outcome::WaitingForCall));
        }
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
}

impl Outcome {
    /// Returns the outcome for a user for whom no calls are logged; `None`: the user's tenant has to be read again.
    fn refused(admitted: &Admitted) -> Option<Outcome> {
        match admitted {
            Admitted::Moved => Some(Outcome::Moved),
            Admitted::Outdated => None,
            Admitted::NotConnected | Admitted::User(_) => Some(Outcome::NotConnected),
        }
    }
}

impl<'a> Claim<'a> {
    /// Writes everything that is queued.
    pub(crate) async fn update(
        self,
        user: StoredUser,
        authorization: Option<Secret>,
        zone: Option<Zone>,
    ) -> Result<write::Outcome, store::Error> {
        match self.start_update(user, authorization, zone).await? {
            Ok((attempt, details)) => attempt.write(details).await,
            Err(outcome) => Ok(outcome),
        }
    }

    /// Removes duplicates of the record if that is due, and writes everything that is queued. The redrive continues here.
    pub(crate) async fn sweep_and_update(self, user: StoredUser) -> Result<write::Outcome, store::Error> {
        match self.start_update(user, None, None).await? {
            Ok((mut attempt, details)) => match attempt.sweep_if_due().await {
                Ok(()) => attempt.write(details).await,
                Err(failure) => attempt.fail_missing(failure).await,
            },
            Err(outcome) => Ok(outcome),
        }
    }

    /// Returns the attempt to write, and the details of the create that the record may lack. If the user has no usable
    /// credential, this gives the lease back and returns the outcome.
    async fn start_update(
        self,
        user: StoredUser,
        authorization: Option<Secret>,
        zone: Option<Zone>,
    ) -> Result<Result<(Attempt<'a>, CallDetails), write::Outcome>, store::Error> {
        // A recovered record may lack details of the create, whose payload is then still stored.
        let payload = self.services.store.payload(self.lease.key, &self.item).unwrap_or_else(|error| {
            tracing::error!(%error, "the payload of the create is lost; the update is written without it");
            None
        });
        let zone = zone.or(payload.as_ref().and_then(|payload| payload.zone));
        let session =
            CallDetails { session: Some(self.lease.key.call.session.clone()), ..CallDetails::default() };
        let details = payload.map_or(session, |payload| payload.details);
        match self.grant(user, authorization).await {
            Ok(grant) => Ok(Ok((self.attempt(grant, zone), details))),
            Err(failure) => self.fail_write(failure).await.map(Err),
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
