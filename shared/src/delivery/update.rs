//! Add what became known later: note the facts, and write them into the log unless somebody else is at it.
//!
//! CallDetails are noted in the table first. Whoever owns the call writes all that is noted, so updates that come together
//! become one change, and no two changes of one log are ever under way at once. A log is never changed without having
//! been read: what a person wrote there is merged with, not written over.

use crate::{
    adapters::{CallLog, CallLogChange, Crm, Effect, Error, ErrorKind},
    delivery::{
        grant::{Failure, Grant},
        lease::{self, GRACE_MS},
        retry,
        services::Services,
        sweep,
    },
    model::{CallDetails, CallDuration, CallKey, CallLogId, Deadline, Secret, UpdateCallLog, Zone},
    note::{self, Content, Section, subject_fingerprint},
    store::{
        self, CallItem, Change, ClaimUpdate, Enqueued, Event, Finish, LastWritten, Lease, Release, State,
        StoredUser,
    },
    telemetry::{self, Metric},
};

/// When it is tried again to write for a user who could not be read, in milliseconds.
const UNUSABLE_USER_MS: i64 = 60_000;
/// How often a claim that changes under one's hands is tried again.
const ROUNDS: usize = 4;
/// How many changes one invocation writes for others that came meanwhile, or after somebody else's.
const CHANGES: usize = 5;

/// What became of the request.
#[derive(Debug)]
pub enum Outcome {
    /// It is in the log, which now has this body.
    Updated {
        log: CallLogId,
        body: String,
    },
    /// Another invocation has written it.
    UpdatedByOther {
        log: CallLogId,
    },
    /// Another invocation is about to write it.
    Queued {
        log: CallLogId,
    },
    /// It waits for the call.
    WaitingForCall,
    /// The log was deleted in the CRM.
    Deleted,
    NotConnected,
    /// The CRM did not do it.
    Failed {
        failure: Failure,
        /// It is tried again without anybody asking.
        is_deferred: bool,
    },
}

/// Updates the caller's log of a call.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    key: CallKey,
    command: UpdateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let me = lease::new_owner();
    let (own, mut key) = (key.clone(), key);
    let mut change = Change::New(&command.details);

    for _ in 0..ROUNDS {
        let now_ms = services.clock.now_ms();
        let lease = Lease { key: &key, holder: &me, now_ms, until_ms: deadline.0 + GRACE_MS };
        let (user, claim) = tokio::join!(
            services.sync_points.reach("update.user", services.store.user(&key.user)),
            services.sync_points.reach("update.claim", services.store.claim_update(&lease, change))
        );
        let claim = claim?;
        let user = match user {
            Ok(Some(user)) if user.user.credentials.is_some() => user,
            unusable => {
                if let ClaimUpdate::Claimed(item) = &claim {
                    let release = Release {
                        due_ms: Some(now_ms + UNUSABLE_USER_MS),
                        ..Release::new(Event::Failed, "the user is not connected or could not be read")
                    };
                    services
                        .sync_points
                        .reach("update.give_back", services.store.release(&lease, item, release))
                        .await?;
                }
                return unusable.map(|_| Outcome::NotConnected);
            }
        };
        let item = match claim {
            ClaimUpdate::Claimed(item) => {
                return go(services, crm, lease, *item, user, command.authorization, command.zone, deadline)
                    .await;
            }
            // What waits there for its call may wait for another extension's.
            ClaimUpdate::Rejected(item) if key == own || item.state != State::Queued => item,
            ClaimUpdate::Absent if key.extension.is_some() => {
                // This extension has no log of its own: the one that belongs to no extension is meant, if any.
                key = key.without_extension();
                continue;
            }
            ClaimUpdate::Absent | ClaimUpdate::Rejected(_) => {
                key = own.clone();
                match services
                    .sync_points
                    .reach("update.park", services.store.enqueue_first(&key, &command.details, now_ms))
                    .await?
                {
                    Enqueued::Queued(_) => return Ok(Outcome::WaitingForCall),
                    Enqueued::ItemChanged => continue,
                }
            }
        };
        if item.state == State::Deleted {
            return Ok(Outcome::Deleted);
        }
        match services
            .sync_points
            .reach("update.enqueue", services.store.enqueue(&key, &command.details, now_ms))
            .await?
        {
            Enqueued::Queued(item) => {
                if let Some(outcome) = wait_for_owner(services, &key, *item, deadline).await? {
                    return Ok(outcome);
                }
                change = Change::AlreadyQueued;
            }
            Enqueued::ItemChanged => {}
        }
    }
    Err(store::Error::Unavailable("the call log is being changed by others".to_owned()))
}

/// Waits a moment until whoever is at the log has written what was noted; `None`: they have let go without.
async fn wait_for_owner(
    services: &Services,
    key: &CallKey,
    item: CallItem,
    deadline: Deadline,
) -> Result<Option<Outcome>, store::Error> {
    let noted = item.queued_version;
    let is_settled = move |item: &CallItem| item.applied_version >= noted || item.lease_holder.is_none();
    let item = lease::wait_until(services, key, item, deadline, is_settled).await?;
    let is_busy = item.lease_expires_at > services.clock.now_ms();
    Ok(match item.log_id {
        Some(_) if item.state == State::Deleted => Some(Outcome::Deleted),
        Some(log) if item.applied_version >= noted => Some(Outcome::UpdatedByOther { log }),
        Some(log) if is_busy && item.lease_holder.is_some() => Some(Outcome::Queued { log }),
        Some(_) if is_busy => {
            let detail = "a change before this one had no answer";
            let failure = Error::new(ErrorKind::Unavailable, Effect::None, detail).into();
            Some(Outcome::Failed { failure, is_deferred: true })
        }
        Some(_) => None,
        None => Some(Outcome::WaitingForCall),
    })
}

/// Goes on with a log that is claimed.
#[expect(clippy::too_many_arguments, reason = "a request's and a redrive's, side by side")]
pub(crate) async fn go(
    services: &Services,
    crm: &'static dyn Crm,
    lease: Lease<'_>,
    item: CallItem,
    user: StoredUser,
    authorization: Option<Secret>,
    zone: Option<Zone>,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    telemetry::attempt(item.fence);
    let payload = match services.store.payload(lease.key, &item) {
        Ok(payload) => payload,
        Err(error) => {
            tracing::error!(%error, "what the call brought is lost; the update is written");
            None
        }
    };
    let mut grant = match Grant::obtain(services, crm, user, authorization, deadline, lease.holder).await {
        Ok(grant) => grant,
        Err(failure) => return failed(services, crm, &lease, &item, failure).await,
    };
    let mut item = item;
    if item.sweep_at.is_some_and(|at| at <= services.clock.now_ms())
        && let Some(log) = item.log_id.clone()
    {
        if let Err(failure) = sweep::remove_duplicates(&mut grant, lease.key, &item, &log).await {
            return failed(services, crm, &lease, &item, failure).await;
        }
        // From here on the release takes it out of the item: had it been taken out before, a crash would lose it.
        item.sweep_at = None;
    }
    let zone = zone.or(payload.as_ref().and_then(|payload| payload.zone));
    let zone = zone.or(grant.user().user.zone).unwrap_or(Zone::UTC);
    // A log that was found may lack what the request brought that would have made it.
    let session = CallDetails { session: Some(lease.key.session.clone()), ..CallDetails::default() };
    let extra = payload.map_or(session, |payload| payload.details);
    write(services, &lease, grant, item, extra, zone).await
}

/// Writes what is noted into the log, and `extra`, until nothing is left; the lease is given back.
pub(crate) async fn write(
    services: &Services,
    lease: &Lease<'_>,
    mut grant: Grant<'_>,
    mut item: CallItem,
    extra: CallDetails,
    zone: Zone,
) -> Result<Outcome, store::Error> {
    let Some(log) = item.log_id.clone() else {
        return Err(store::Error::Unreadable("call".to_owned(), "it is logged without an id".to_owned()));
    };
    let mut facts = extra.overlay(&item.queued_details);
    let mut own = None;
    for _ in 0..CHANGES {
        let mut changed = change(&mut grant, &log, &item.written, &facts, zone).await;
        let mut refused = None;
        let alone = facts.split();
        if changed.as_ref().is_err_and(Failure::is_refusal) && alone.len() > 1 {
            (changed, refused) = change_one_by_one(&mut grant, &log, &item.written, &alone, zone).await;
        }
        let plan = match changed {
            Ok(plan) => plan,
            Err(failure) => {
                let crm = grant.crm();
                let outcome = failed(services, crm, lease, &item, failure).await?;
                // What this invocation was asked to write may be in the log already, and only what others wanted is
                // not: they see that nobody is at it any more.
                return Ok(own.filter(|_| !matches!(outcome, Outcome::Deleted)).unwrap_or(outcome));
            }
        };
        let finish = services.store.finish(lease, &log, &item, &plan.written);
        match services.sync_points.reach("update.finish", finish).await? {
            Finish::Released => {
                telemetry::count(Metric::Updated);
                return Ok(match refused {
                    Some(failure) => Outcome::Failed { failure, is_deferred: false },
                    None => Outcome::Updated { log, body: plan.body },
                });
            }
            Finish::Lost => {
                lease::lost("the lease ran out before the update was noted as written");
                return Ok(Outcome::Updated { log, body: plan.body });
            }
            Finish::MoreQueued(next) => {
                item = *next;
                facts = item.queued_details.clone();
                facts.session = Some(lease.key.session.clone());
                own = Some(Outcome::Updated { log: log.clone(), body: plan.body });
            }
        }
    }
    let now_ms = services.clock.now_ms();
    let release = Release { due_ms: Some(now_ms), ..Release::new(Event::Failed, "others may go on") };
    services.sync_points.reach("update.leave", services.store.release(lease, &item, release)).await?;
    Ok(own.unwrap_or(Outcome::Queued { log }))
}

/// Which of several facts the CRM refuses can only be tried. What the log is when all others are in it, and the
/// refusal; or the refusal alone, when it refuses each.
async fn change_one_by_one(
    grant: &mut Grant<'_>,
    log: &CallLogId,
    before: &LastWritten,
    alone: &[CallDetails],
    zone: Zone,
) -> (Result<Plan, Failure>, Option<Failure>) {
    let (mut latest, mut refused): (Option<Plan>, _) = (None, None);
    for fact in alone {
        let before = latest.as_ref().map_or(before, |plan| &plan.written);
        match self::change(grant, log, before, fact, zone).await {
            Ok(plan) => latest = Some(plan),
            Err(failure) if failure.is_refusal() => refused = Some(failure),
            Err(failure) => return (Err(failure), None),
        }
    }
    match (latest, refused) {
        (Some(plan), refused) => (Ok(plan), refused),
        (None, Some(failure)) => (Err(failure), None),
        (None, None) => {
            let nothing = Error::new(ErrorKind::Conflict, Effect::None, "there is nothing to change").into();
            (Err(nothing), None)
        }
    }
}

/// Reads the log, merges, and changes it; what the log is then.
async fn change(
    grant: &mut Grant<'_>,
    log: &CallLogId,
    before: &LastWritten,
    facts: &CallDetails,
    zone: Zone,
) -> Result<Plan, Failure> {
    let mut unanswered: Option<(Failure, CallLogChange)> = None;
    for _ in 0..CHANGES {
        let read_at_ms = grant.now_ms();
        let current = match grant.read_record(log).await {
            Ok(current) => current,
            Err(failure) => return Err(unanswered.map_or(failure, |(first, _)| first)),
        };
        let plan = plan(grant, &current, before, facts, zone);
        match unanswered {
            // A change that is not there may still land.
            Some((failure, sent)) => return if plan.shows(&sent) { Ok(plan) } else { Err(failure) },
            None if plan.change.is_empty() => return Ok(plan),
            None => {}
        }
        let changed = grant.update_record(log, &plan.change).await;
        if !grant.crm().compare_and_set() {
            telemetry::record(Metric::EditWindow, grant.now_ms() - read_at_ms);
        }
        match changed {
            Ok(()) => return Ok(plan),
            Err(Failure::Crm(Error { kind: ErrorKind::Conflict, .. })) => {}
            Err(failure) if failure.effect() == Effect::Unknown => {
                telemetry::count(Metric::Ambiguous);
                unanswered = Some((failure, plan.change));
            }
            Err(failure) => return Err(failure),
        }
    }
    let conflict =
        || Error::new(ErrorKind::Conflict, Effect::None, "the log is being changed by others").into();
    Err(unanswered.map_or_else(conflict, |(failure, _)| failure))
}

/// A change, and what will then be known of the log.
struct Plan {
    change: CallLogChange,
    body: String,
    written: LastWritten,
}

impl Plan {
    /// Whether the log, as it was read for this plan, shows that this change was made: all of it or nothing is, and
    /// a duration alone cannot be seen.
    fn shows(&self, sent: &CallLogChange) -> bool {
        let told = sent.body.is_some() || sent.subject.is_some();
        self.change.is_empty() || (told && self.change.body.is_none() && self.change.subject.is_none())
    }
}

/// Merges what is told with what the CRM has.
fn plan(grant: &Grant<'_>, current: &CallLog, before: &LastWritten, facts: &CallDetails, zone: Zone) -> Plan {
    // That a duration is not known yet is no news of one that is.
    let is_known = matches!(before.duration, Some(CallDuration::Seconds(_)));
    let duration = facts.duration.filter(|time| *time != CallDuration::Pending || !is_known);
    let facts = &CallDetails { duration, ..facts.clone() };
    let content = Content::new(facts, &grant.user().user.settings, zone);
    let merged = note::merge(grant.crm().format(), &current.body, &before.sections, &content);

    let theirs = subject_fingerprint(current.subject.as_deref().unwrap_or_default());
    let ours = facts.subject.as_deref().map(subject_fingerprint);
    // Of a log that was found it is not known what was sent: whatever it has is ours.
    let is_ours = before.subject.as_ref().is_none_or(|before| *before == theirs)
        || before.sections.was_told(Section::Subject, current.subject.as_deref().unwrap_or_default())
        || ours.as_ref() == Some(&theirs);
    let subject = facts.subject.clone().filter(|_| is_ours && ours.as_ref() != Some(&theirs));

    let duration = duration.filter(|time| *time != CallDuration::Pending && Some(*time) != before.duration);
    let written = LastWritten {
        sections: merged.base,
        subject: if is_ours { ours.or(Some(theirs)) } else { before.subject.clone() },
        duration: duration.or(before.duration),
    };
    let change = CallLogChange {
        body: (merged.body != current.body).then(|| merged.body.clone()),
        subject,
        duration,
        version: current.version.clone(),
    };
    Plan { change, body: merged.body, written }
}

/// The update was not written, or nobody knows; what is noted stays noted unless it can never be written.
async fn failed(
    services: &Services,
    crm: &dyn Crm,
    lease: &Lease<'_>,
    item: &CallItem,
    failure: Failure,
) -> Result<Outcome, store::Error> {
    let (reason, now_ms) = (failure.to_string(), services.clock.now_ms());
    let release = retry::release(crm, lease.key, item, &failure, &reason, now_ms);
    let (event, is_deferred) = (release.event, release.due_ms.is_some());
    services.sync_points.reach("update.release", services.store.release(lease, item, release)).await?;
    Ok(match event {
        Event::Deleted => Outcome::Deleted,
        _ => Outcome::Failed { failure, is_deferred },
    })
}
