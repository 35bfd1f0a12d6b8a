//! The second half of a create: the record of a claimed call is found or created, and stored with the call.

use crate::{
    adapters::{Effect, ErrorKind},
    delivery::{
        attempt::{Attempt, Claim},
        contact::ContactSearch,
        draft::{Draft, LeftOut, Record},
        failure::Failure,
        lease,
        owner::{self, Candidates, OwnerRefusal, Ownership},
        recovery::Search,
        reduction, ways, write,
    },
    model::{CallDetails, CallLogId, Payload, RecordPart, Secret},
    note::Section,
    store::{self, Finish, State, StoredUser},
    telemetry::{self, Metric},
};

/// The result of an attempt to create the record of a claimed call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The call is logged.
    Logged {
        /// The record.
        log: CallLogId,
        /// The sections of the note that the record does not show in full.
        shortened: Vec<Section>,
        /// Why the record does not belong to the user whom the create asks for.
        owner_refusal: Option<OwnerRefusal>,
        /// The parts that the record lacks, because the CRM did not accept them.
        left_out: Vec<LeftOut>,
    },
    /// Another invocation took the lease before the record was sent.
    Overtaken,
    /// A record was found, and it is not known yet which call it belongs to.
    Later {
        /// The time until it is known, in milliseconds.
        wait_ms: i64,
        /// The redrive will try again.
        is_deferred: bool,
    },
    /// The create names no contact, and the CRM has none with its number, or several. Nothing is kept of it.
    NoContact {
        /// The number.
        number: Option<String>,
        /// The names of the contacts that have it.
        candidates: Vec<String>,
    },
    /// The call is not logged.
    Failed {
        /// The reason.
        failure: Failure,
        /// The redrive will try again.
        is_deferred: bool,
    },
}

impl Claim<'_> {
    /// Creates the record of the claimed call. Requests and the redrive continue here. `owner`: those whom the create asks for as
    /// owner, if the request has read them.
    pub(crate) async fn create(
        mut self,
        user: StoredUser,
        owner: Option<Candidates>,
        authorization: Option<Secret>,
        payload: Payload,
    ) -> Result<Outcome, store::Error> {
        let ownership = match self.decide_owner(&payload, owner).await {
            Ok(ownership) => ownership,
            Err(error) => return self.fail_create(error.into()).await,
        };
        match self.grant(user, authorization).await {
            Ok(grant) => {
                let mut attempt = Attempt { ownership, ..self.attempt(grant, payload.zone) };
                let number = payload.details.contact_number.clone();
                match attempt.with_contact(payload).await {
                    Ok(ContactSearch::Known(payload)) => attempt.create_record(&payload).await,
                    Ok(ContactSearch::Unknown(candidates)) => {
                        attempt.claim.withdraw().await?;
                        Ok(Outcome::NoContact { number, candidates })
                    }
                    Ok(ContactSearch::Overtaken) => Ok(overtaken()),
                    Err(failure) => attempt.claim.fail_create(failure).await,
                }
            }
            Err(failure) => self.fail_create(failure).await,
        }
    }

    /// Decides who owns the record of a create. `known`: what the request has read for it.
    async fn decide_owner(
        &mut self,
        payload: &Payload,
        known: Option<Candidates>,
    ) -> Result<Ownership, store::Error> {
        let key = self.lease.key;
        // The create of an earlier request may ask for another owner than this one.
        let candidates = match known.filter(|known| known.are_of(payload)) {
            Some(known) => known,
            None => owner::read(self.services, key, payload).await?,
        };
        let ownership = candidates.decide(self.crm, key, payload);
        self.item.owner = ownership.owner.as_ref().map(|owner| owner.user.clone());
        Ok(ownership)
    }

    /// Gives the lease back after a failure: there is no record, or it is not known whether there is one.
    pub(crate) async fn fail_create(&self, failure: Failure) -> Result<Outcome, store::Error> {
        let failed = self.fail("create.release", failure).await?;
        if let Some(state) = self.item.state.after(failed.event) {
            telemetry::state(self.item.state.name(), state.name());
        }
        Ok(Outcome::Failed { failure: failed.failure, is_deferred: failed.is_deferred })
    }

    /// Gives the lease back until it is known which call the record that was found belongs to.
    async fn wait(&self, until_ms: i64) -> Result<Outcome, store::Error> {
        let is_deferred = self.postpone("create.wait", until_ms).await?;
        Ok(Outcome::Later { wait_ms: until_ms - self.services.clock.now_ms(), is_deferred })
    }
}

impl Attempt<'_> {
    /// Creates the record, unless the CRM shows that an earlier attempt has created it.
    async fn create_record(mut self, payload: &Payload) -> Result<Outcome, store::Error> {
        // Queued updates were sent after the call ended, so they are newer than the create.
        let details = payload.details.clone().overlay(&self.claim.item.queued_details());
        self.learn(&details);
        let lease = &self.claim.lease;
        let way = self.claim.services.ways.of(self.claim.crm, &lease.key.call.tenant, lease.now_ms);
        let draft = self.draft(payload, details, way);
        if self.claim.crm.capabilities().recovers_by_content() {
            self.claim.item.indexed_in = Some(self.claim.lease.key.call.tenant.clone());
        }
        if self.claim.item.outcome_unknown {
            match self.find_record(&draft).await {
                Ok(Search::Found(record)) => return self.complete(*record).await,
                Ok(Search::Later(at_ms)) => return self.claim.wait(at_ms).await,
                Ok(Search::Nothing) => {}
                Err(failure) => return self.claim.fail_create(failure).await,
            }
        }
        let may_duplicate = self.has_untraceable_attempt();
        if !self.record_criteria(&draft).await? {
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

    /// Sends the record to the CRM: again in the next way if the CRM does not take the call tag, and again without a part of it
    /// if the CRM rejects the data. Searches for the record by its tag if the response is lost. Returns `None` if another
    /// invocation has taken the lease.
    async fn send(&mut self, mut draft: Draft<'_>) -> Result<Option<Record>, Failure> {
        let services = self.claim.services;
        let mut reductions = self.reductions(&draft).into_iter();
        let (mut rejection, mut is_next_way) = (None, false);
        loop {
            let failure = match self.grant.create_record(&draft.record).await {
                Ok(id) => {
                    if is_next_way {
                        let tenant = &self.claim.lease.key.call.tenant;
                        services.ways.remember(tenant, draft.record.recovery, self.grant.now_ms());
                    }
                    return Ok(Some(self.created(id, draft, rejection.as_ref())));
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
                    draft.record.recovery = way;
                    is_next_way = true;
                    // If this invocation dies, the next one has to look for the record in this way too.
                    if !self.record_criteria(&draft).await? {
                        return Ok(None);
                    }
                }
                Some(kind) if reduction::is_refusal(kind) => {
                    let Some(left_out) = reductions.next() else { return Err(failure) };
                    tracing::warn!(%failure, ?left_out, "the CRM rejects the record; it is sent without a part");
                    draft = self.reduce(&draft, &left_out).await;
                    rejection = Some(failure);
                    if !self.record_criteria(&draft).await? {
                        return Ok(None);
                    }
                }
                Some(ErrorKind::AlreadyExists(id)) => {
                    return self.existing_record(id.clone(), &draft).await.map(Some);
                }
                _ if failure.effect() == Effect::Unknown => {
                    telemetry::count(Metric::Ambiguous);
                    self.add_sent(&draft);
                    // A record with the call tag is certainly ours. If none is found, the request may still arrive.
                    return match self.find_by_tag(&draft).await {
                        Ok(Some(record)) => Ok(Some(record)),
                        _ => Err(failure),
                    };
                }
                _ => return Err(failure),
            }
        }
    }

    /// Returns the record that the CRM has created from a draft. `rejection`: why parts of it were left out.
    fn created(&mut self, id: CallLogId, draft: Draft<'_>, rejection: Option<&Failure>) -> Record {
        let left_out = rejection.and_then(|rejection| LeftOut::of(&draft, rejection));
        self.claim.item.left_out = left_out.iter().flat_map(|left_out| left_out.parts.clone()).collect();
        if draft.left_out.contains(&RecordPart::Owner) {
            self.claim.item.owner = None;
        }
        let has_all_details = !draft.left_out.contains(&RecordPart::Details);
        let details = if has_all_details { CallDetails::default() } else { draft.payload.details.clone() };
        Record {
            id,
            written: draft.written,
            shortened: draft.shortened,
            missing: rejection.map(|_| details),
            left_out,
        }
    }

    /// Settles the record of the call, and returns the outcome for the caller.
    async fn complete(self, mut record: Record) -> Result<Outcome, store::Error> {
        let log = record.id.clone();
        let left_out = record.left_out.take();
        let owner_refusal = self.ownership.refusal;
        let (shortened, rejection) = self.settle(record).await?;
        telemetry::count(Metric::Created);
        let details = rejection.map(|failure| LeftOut::because(vec![RecordPart::Details], &failure));
        let left_out = left_out.into_iter().chain(details).collect();
        Ok(Outcome::Logged { log, shortened, owner_refusal, left_out })
    }

    /// Stores the record's id, adds the details that the record lacks, completes the record, and gives the lease back.
    /// Returns the sections that the record does not show in full, and why it lacks details.
    async fn settle(mut self, record: Record) -> Result<(Vec<Section>, Option<Failure>), store::Error> {
        let Record { id, written, shortened, missing, .. } = record;
        let queued_version = self.claim.item.queued_version;
        self.claim.item.finish_pending = self.has_finish();
        if missing.is_some() || self.needs_finish() {
            let Finish::MoreQueued(item) = self.claim.keep("create.keep", &id, &written).await? else {
                lease::lost("the lease expired before the record's id was stored");
                return Ok((shortened, None));
            };
            self.claim.item = *item;
            if missing.is_some() || self.claim.item.queued_version != queued_version {
                return self.write(missing.unwrap_or_default()).await.map(write::Outcome::remainder);
            }
            if let Err(failure) = self.finish_record(&id).await {
                return self.claim.fail_write(failure).await.map(|_| (shortened, None));
            }
        } else {
            telemetry::state(self.claim.item.state.name(), State::Logged.name());
        }
        match self.claim.finish("create.finish", &id, &written).await? {
            Finish::Released => {}
            Finish::MoreQueued(item) => {
                self.claim.item = *item;
                return self.write(CallDetails::default()).await.map(write::Outcome::remainder);
            }
            Finish::Lost => lease::lost("the lease expired before the record's id was stored"),
        }
        Ok((shortened, None))
    }
}

/// Returns the outcome if another invocation took the lease before the record was sent.
fn overtaken() -> Outcome {
    lease::lost("the lease expired before the record was created");
    Outcome::Overtaken
}
