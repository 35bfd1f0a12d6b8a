//! Create: claims the call, creates its CRM record, and stores the record's id.
//!
//! At most one attempt is in flight. After an attempt without a response, the CRM is searched for its record before
//! another record is created. The content of the create is stored with the claim, so the redrive can finish the work if
//! the caller does not send the call again.

use crate::{
    adapters::Crm,
    delivery::{
        attempt::Claim,
        breaker::RequestBreaker,
        contact::may_be_found,
        creation,
        draft::{LeftOut, queued_fields},
        failure::Failure,
        lease,
        owner::{self, Candidates, Owner, OwnerRefusal},
        place::{self, Found, Place},
        services::Services,
        tenancy::{self, Admitted, KnownUser, Tenancy},
        update,
    },
    model::{
        AskedOwner, CallDetails, CallKey, CallLogId, CreateCallLog, Deadline, LogKey, NamedExtension,
        NoteSource, Payload, Secret, Sender, UpdateCallLog, UserId, random_name,
    },
    note::Section,
    store::{
        self, Basis, CallItem, ClaimCreate, Earlier, Enqueued, Lease, Origin, Purpose, Queued, StoredUser,
    },
};

/// The result of a request to log a call.
#[derive(Debug)]
pub enum Outcome {
    /// The call is logged.
    Logged {
        /// The record.
        log: CallLogId,
        /// The sections of the note that the record does not show in full, because the CRM accepts only shorter notes.
        shortened: Vec<Section>,
        /// Why the record does not belong to the user whom the create asks for.
        owner_refusal: Option<OwnerRefusal>,
        /// The parts that the record lacks, because the CRM did not accept them.
        left_out: Vec<LeftOut>,
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
    /// The create names no contact, and not exactly one has its number.
    NoContact {
        /// The contact's telephone number.
        number: Option<String>,
        /// The names of the contacts that have it.
        candidates: Vec<String>,
    },
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The token was issued before the user moved to another CRM account, or was revoked.
    Moved,
    /// The call is not logged.
    Failed {
        /// The reason.
        failure: Failure,
        /// The redrive will try again.
        is_deferred: bool,
    },
}

impl From<creation::Outcome> for Outcome {
    fn from(outcome: creation::Outcome) -> Outcome {
        match outcome {
            creation::Outcome::Logged { log, shortened, owner_refusal, left_out } => {
                Outcome::Logged { log, shortened, owner_refusal, left_out }
            }
            creation::Outcome::NoContact { number, candidates } => Outcome::NoContact { number, candidates },
            creation::Outcome::Overtaken => Outcome::BeingLogged,
            creation::Outcome::Later { wait_ms, is_deferred } => Outcome::Unsettled { wait_ms, is_deferred },
            creation::Outcome::Failed { failure, is_deferred } => Outcome::Failed { failure, is_deferred },
        }
    }
}

/// Logs a call for the sender of the request. `owner`: the user who should own the record, if that is not the sender.
///
/// # Errors
/// Fails if the table fails. The call is logged later if it was claimed.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    owner: Option<AskedOwner>,
    command: CreateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let CreateCallLog { session, contact, details, has_note, additional, authorization, zone, .. } = command;
    if contact.is_none() && !may_be_found(&details) {
        return Ok(Outcome::NoContact { number: details.contact_number, candidates: Vec::new() });
    }
    let has_authorization = authorization.is_some();
    let mut payload = Payload {
        contact,
        details,
        has_note,
        additional,
        owner: None,
        owner_token_issued_at: owner.as_ref().and_then(AskedOwner::issued_at),
        owner_extension: command.owner_extension,
        zone,
        has_authorization,
    };
    let header_user = authorization.as_ref().map(|_| sender.user.id.clone());
    let Some(mut tenancy) = Tenancy::of(services, sender).await? else { return Ok(Outcome::NotConnected) };
    loop {
        let call = CallKey {
            tenant: tenancy.tenant.clone(),
            session: session.clone(),
            header_user: header_user.clone(),
        };
        payload.owner = owner.as_ref().and_then(|owner| owner.id_in(&tenancy.tenant).cloned());
        let has_bad_token = owner.is_some() && payload.owner.is_none();
        let request = Request { services, crm, sender, holder: random_name(), deadline };
        match request.create(&tenancy, &call, &payload, authorization.clone()).await? {
            Reply::Answer(Outcome::Logged { log, shortened, owner_refusal, left_out }) => {
                // The extension may name the owner whom the token does not.
                let is_refused = owner_refusal.is_some() || payload.owner_extension.is_none();
                let owner_refusal =
                    if has_bad_token && is_refused { Some(OwnerRefusal::Token) } else { owner_refusal };
                return Ok(Outcome::Logged { log, shortened, owner_refusal, left_out });
            }
            Reply::Answer(outcome) => return Ok(outcome),
            Reply::News(log, details) => {
                let news = UpdateCallLog {
                    session,
                    extension: NamedExtension::default(),
                    user: None,
                    details: *details,
                    is_cached_note: false,
                    authorization,
                    zone: payload.zone,
                };
                update::run(services, crm, sender, news, deadline).await?;
                return Ok(Outcome::AlreadyLogged(log));
            }
            Reply::Outdated => match Tenancy::of(services, sender).await? {
                Some(stored) => tenancy = stored,
                None => return Ok(Outcome::NotConnected),
            },
        }
    }
}

/// One request to log a call.
struct Request<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    sender: &'a Sender,
    holder: String,
    deadline: Deadline,
}

impl<'a> Request<'a> {
    /// Claims the log that the request is about, and creates its record.
    async fn create(
        &self,
        tenancy: &Tenancy,
        call: &CallKey,
        payload: &Payload,
        authorization: Option<Secret>,
    ) -> Result<Reply, store::Error> {
        let Request { services, crm, .. } = *self;
        let mut known = KnownUser { user: tenancy.user.clone(), breaker: None };
        let breaker_key = tenancy.breaker_key(crm, &self.sender.user);
        let mut known_owner = None;
        let mut place = Place::Unread;
        for _ in 0..lease::MAX_CLAIMS {
            let key = call.log(place.slot());
            let now_ms = services.clock.now_ms();
            let lease = lease::new(crm, &key, &self.sender.user.id, &self.holder, now_ms, self.deadline);
            let accepted =
                known_owner.as_ref().and_then(|known: &Candidates| known.decide(crm, &key, payload).owner);
            let read = std::mem::take(&mut known);
            let ((user, breaker), owner, claim) = tokio::join!(
                tenancy::user_and_breaker(
                    services,
                    read,
                    &self.sender.user,
                    &breaker_key,
                    &tenancy.tenant,
                    "create.user"
                ),
                owner::read_once(services, &key, payload, known_owner.as_ref()),
                self.claim(&lease, &place, payload, accepted.as_ref())
            );
            known_owner = owner;
            let user = tenancy.admit(services, user);
            let (item, earlier, undo) = match claim? {
                Some(ClaimCreate::Claimed { item, earlier, undo }) => (*item, earlier, undo),
                rejected => {
                    match user? {
                        Admitted::User(user) => {
                            known = KnownUser { user: Some(*user), breaker: Some(breaker) }
                        }
                        refused => return Ok(Reply::refused(&refused)),
                    }
                    match rejected {
                        Some(ClaimCreate::Rejected(item)) => match self.follow(&key, item, payload).await? {
                            Next::Reply(reply) => return Ok(reply),
                            Next::At(next) => place = next,
                        },
                        // The logs of the call have changed since they were read.
                        _ => place = Place::Unread,
                    }
                    continue;
                }
            };
            let claim = Claim::new(services, crm, lease, item, self.deadline);
            let mut claim = Claim { undo: Some(undo), ..claim };
            let user = match user {
                Ok(Admitted::User(user)) => *user,
                Ok(refused) => {
                    claim.withdraw().await?;
                    return Ok(Reply::refused(&refused));
                }
                Err(error) => {
                    let unread = store::Error::Unavailable("the user could not be read".to_owned());
                    claim.fail_create(unread.into()).await?;
                    return Err(error);
                }
            };
            let (payload, user) = match earlier {
                Earlier::None => (payload.clone(), user),
                Earlier::Promised | Earlier::GivenUp => {
                    let user = match self.attempt_user(&claim, earlier, tenancy, user).await {
                        Ok(user) => user,
                        Err(failure) => {
                            let failed = claim.fail_create(failure).await?;
                            return Ok(Reply::Answer(failed.into()));
                        }
                    };
                    let Some(payload) = self.join(&mut claim, payload, earlier, &user.user.id).await? else {
                        place = Place::Unread;
                        continue;
                    };
                    (payload, user)
                }
            };
            let breaker = RequestBreaker::new(services, crm, &user.user, &breaker_key, breaker);
            if let Err(paused) = breaker.check().await {
                return Ok(Reply::Answer(claim.fail_create(paused).await?.into()));
            }
            let created = claim.create(user, known_owner, authorization, payload).await?;
            match &created {
                creation::Outcome::Logged { .. } | creation::Outcome::NoContact { .. } => {
                    breaker.record(None).await;
                }
                creation::Outcome::Failed { failure, .. } => breaker.record(Some(failure)).await,
                creation::Outcome::Overtaken | creation::Outcome::Later { .. } => {}
            }
            return Ok(Reply::Answer(created.into()));
        }
        Err(store::Error::Unavailable("other attempts to log the call keep failing".to_owned()))
    }

    /// Returns the user whose credential creates a record that an earlier request may have created already: the creator of the
    /// log, because another user's search may not show the creator's records. If the creator is not connected, it is this
    /// user, unless there may be a record.
    ///
    /// # Errors
    /// Fails if there may be a record of a creator who is not connected.
    async fn attempt_user(
        &self,
        claim: &Claim<'_>,
        earlier: Earlier,
        tenancy: &Tenancy,
        user: StoredUser,
    ) -> Result<StoredUser, Failure> {
        if earlier == Earlier::GivenUp && !claim.item.outcome_unknown {
            return Ok(user);
        }
        let Some(creator) = claim.item.creator.clone().filter(|creator| *creator != user.user.id) else {
            return Ok(user);
        };
        let key = claim.lease.key.user(&creator);
        let read = tenancy::user(self.services, None, &key, "create.creator").await?;
        match read.filter(|creator| tenancy.may_act(creator)) {
            Some(creator) => Ok(creator.governed(user.tenant_settings)),
            None if claim.item.outcome_unknown => {
                Err(Failure::unavailable("the record may exist, and its creator has to connect again"))
            }
            None => Ok(user),
        }
    }

    /// Joins this create with the earlier one that the claimed item keeps, and returns what to send. Returns `None` if another
    /// invocation has taken the lease. `user`: the user whose credential sends it.
    ///
    /// If the earlier create was promised, what this one brings is an update of it. If it was given up, this one corrects it.
    async fn join(
        &self,
        claim: &mut Claim<'_>,
        payload: &Payload,
        earlier: Earlier,
        user: &UserId,
    ) -> Result<Option<Payload>, store::Error> {
        let (store, sync_points) = (&self.services.store, &self.services.sync_points);
        let key = claim.lease.key;
        let Some(mut kept) = store.payload(key, &claim.item)? else { return Ok(Some(payload.clone())) };
        let (is_given_up, creator) = (earlier == Earlier::GivenUp, claim.item.creator.clone());
        if is_given_up {
            kept = Payload { details: kept.details, ..payload.clone() };
            if creator.as_ref() == Some(&self.sender.user.id) {
                kept.details = kept.details.overlay(&payload.details);
            }
        }
        kept.has_note |= claim.item.has_note && creator.as_ref() == Some(user);
        // A contact that a sender names needs no look-up.
        let brings_contact = kept.contact.is_none() && payload.contact.is_some();
        kept.contact = kept.contact.or_else(|| payload.contact.clone());
        if is_given_up || brings_contact || creator.as_ref() != Some(user) {
            let replace = store.replace_payload(&claim.lease, &kept, user);
            if !sync_points.reach("create.replace", replace).await? {
                return Ok(None);
            }
            claim.item.creator = Some(user.clone());
            claim.item.has_note = kept.has_note;
        }
        let more = news_beside(&payload.details, &kept, &claim.item);
        match self.enqueue_news(key, payload, &more, &claim.item, Basis::Further).await? {
            Some(Enqueued::ItemChanged) => return Ok(None),
            Some(Enqueued::Queued(item)) => claim.item = *item,
            None => {}
        }
        Ok(Some(kept))
    }

    /// Claims a log of the call, or adds one. Returns `None` if the logs of the call have changed since they were read.
    /// `owner`: the accepted owner of the record, if that is not the sender.
    async fn claim(
        &self,
        lease: &Lease<'_>,
        place: &Place,
        payload: &Payload,
        owner: Option<&Owner>,
    ) -> Result<Option<ClaimCreate>, store::Error> {
        let Request { services, crm, .. } = *self;
        let way = services.ways.of(crm, &lease.key.call.tenant, lease.now_ms).name();
        let (store, sender) = (&services.store, self.origin());
        match place {
            Place::Missing(first) => {
                let owner = owner.map(|owner| &owner.user);
                let add = store.add_log(lease, first, payload, way, sender, owner);
                services.sync_points.reach("create.add", add).await
            }
            _ => {
                let purpose = Purpose::Request { payload, way, sender, basis: place.basis() };
                let claim = store.claim_create(lease, purpose);
                services.sync_points.reach("create.claim", claim).await.map(Some)
            }
        }
    }

    /// Returns the answer to a request whose claim was rejected with this item, or where it tries next.
    async fn follow(
        &self,
        key: &LogKey,
        item: Box<CallItem>,
        payload: &Payload,
    ) -> Result<Next, store::Error> {
        let services = self.services;
        let item = match key.slot {
            0 => match place::find(self.sender, item) {
                Found::First(item) | Found::Several(0, item) => item,
                Found::Missing(item) if item.known_logs().is_empty() => {
                    return Ok(Next::At(Place::First(item)));
                }
                Found::Missing(item) => return Ok(Next::At(Place::Missing(item))),
                Found::Further(slot, first) => {
                    let key = key.call.log(slot);
                    let teach = services.store.teach_log(&key, &first, &self.sender.identity);
                    let is_taught = services.sync_points.reach("create.teach", teach).await?;
                    return Ok(Next::At(if is_taught { Place::Further(slot) } else { Place::Unread }));
                }
                Found::Several(slot, _) => return Ok(Next::At(Place::Further(slot))),
            },
            _ if !item.is_log() => return Ok(Next::At(Place::Unread)),
            _ => item,
        };
        if let Some(log) = item.log_id.clone() {
            let news = payload.details.news(&item.brought);
            return Ok(Next::Reply(match news.is_empty() {
                true => Reply::Answer(Outcome::AlreadyLogged(log)),
                false => Reply::News(log, Box::new(news)),
            }));
        }
        let is_free = item.lease_expires_at <= services.clock.now_ms();
        let next = |item| if key.slot == 0 { Place::First(item) } else { Place::Further(key.slot) };
        if is_free {
            return Ok(Next::At(next(item)));
        }
        let place = next(item.clone());
        let more = match services.store.payload(key, &item)? {
            Some(kept) => news_beside(&payload.details, &kept, &item),
            None => payload.details.news(&item.brought),
        };
        let enqueued = self.enqueue_news(key, payload, &more, &item, place.basis()).await?;
        if matches!(enqueued, Some(Enqueued::ItemChanged)) {
            return Ok(Next::At(Place::Unread));
        }
        Ok(match self.wait_for_holder(key, *item).await? {
            Some(outcome) => Next::Reply(Reply::Answer(outcome)),
            None => Next::At(Place::Unread),
        })
    }

    /// Queues what this create adds to an earlier one of the same log. Returns `None` if it adds nothing. An empty note adds
    /// that there is none, if its user has cached one.
    async fn enqueue_news(
        &self,
        key: &LogKey,
        payload: &Payload,
        news: &CallDetails,
        item: &CallItem,
        basis: Basis<'_>,
    ) -> Result<Option<Enqueued>, store::Error> {
        let replaces_note = payload.has_note && item.has_cached_note(&self.sender.user.id);
        if news.is_empty() && !replaces_note {
            return Ok(None);
        }
        let fields = queued_fields(self.crm, news);
        let source = if payload.has_note { NoteSource::CreateWithNote } else { NoteSource::Other };
        let queued = Queued { details: news, fields: &fields, sender: self.origin(), source };
        let enqueue = self.services.store.enqueue(key, queued, basis, self.services.clock.now_ms());
        self.services.sync_points.reach("create.enqueue", enqueue).await.map(Some)
    }

    /// Waits for the invocation that holds the lease. Returns `None` if the call can be claimed again.
    async fn wait_for_holder(&self, key: &LogKey, item: CallItem) -> Result<Option<Outcome>, store::Error> {
        let services = self.services;
        let is_settled = |item: &CallItem| item.log_id.is_some() || item.lease_holder.is_none();
        let item = lease::wait_until(services, key, item, self.deadline, is_settled).await?;
        if !place::is_same_log(self.sender, key.slot, &item) {
            return Ok(None);
        }
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

    fn origin(&self) -> Origin<'_> {
        let Sender { user, identity, .. } = self.sender;
        Origin { request: &self.holder, user: &user.id, identity }
    }
}

/// Returns those of the details of a later create that neither the earlier one nor the updates in its item have.
fn news_beside(details: &CallDetails, earlier: &Payload, item: &CallItem) -> CallDetails {
    details.differing_from(&earlier.details).differing_from(&item.queued_details())
}

/// The end of an attempt to log a call in the tenant that was expected.
enum Reply {
    Answer(Outcome),
    /// The call is logged in this record, and the request has details that no request has brought before.
    News(CallLogId, Box<CallDetails>),
    /// The user belongs to another tenant than this process remembered.
    Outdated,
}

impl Reply {
    /// Returns the reply to a user for whom no calls are logged.
    fn refused(admitted: &Admitted) -> Reply {
        match admitted {
            Admitted::Moved => Reply::Answer(Outcome::Moved),
            Admitted::Outdated => Reply::Outdated,
            Admitted::NotConnected | Admitted::User(_) => Reply::Answer(Outcome::NotConnected),
        }
    }
}

/// The continuation after a rejected claim.
enum Next {
    Reply(Reply),
    At(Place),
}
