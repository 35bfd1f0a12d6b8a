//! Log a call: claim it, make the log, write down where it is.
//!
//! At most one attempt is in flight. An attempt without an answer is never repeated before it is certain that it left
//! no log: the CRM is asked for what that attempt may have made. See `docs/exactly-once.md`.

use serde_json::{Map, Value};

use crate::{
    adapters::{Crm, Effect, ErrorKind, NewLog},
    app::App,
    auth::{
        Caller,
        grant::{Failure, Grant},
    },
    lease::{self, GRACE_MS},
    model::{CallKey, Contact, CreateCallLog, Deadline, Direction, Facts, LogId, Zone},
    note::{self, Content},
    store::{self, CallItem, ClaimCreate, Finish, Lease, Sought, State, Written},
    update::{self, fingerprint},
};

/// How far the clocks of a CRM and ours may differ, in minutes.
const CLOCK_SKEW_MINUTES: i64 = 5;
/// How often a claim that was refused by an attempt that then failed is tried again.
const ROUNDS: usize = 3;

/// What became of the request.
#[derive(Debug)]
pub enum Outcome {
    Logged(LogId),
    AlreadyLogged(LogId),
    /// Another invocation is at it and takes long.
    BeingLogged,
    /// An attempt before this one had no answer; when it can be looked for, in milliseconds from now.
    Unsettled {
        wait_ms: i64,
    },
    NoContact {
        number: Option<String>,
    },
    NotConnected,
    /// The CRM did not do it.
    Failed(Failure),
}

/// Logs a call for the caller.
pub async fn run(
    app: &App,
    crm: &'static dyn Crm,
    caller: &Caller,
    command: CreateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let Some(contact) = command.contact.clone() else {
        return Ok(Outcome::NoContact { number: command.facts.contact_number });
    };
    let key = caller.call(&command.session, command.extension.as_ref());
    let me = lease::new_owner();
    let sought = Sought { contact: contact.id.clone(), start: command.facts.start, zone: command.zone };

    for _ in 0..ROUNDS {
        let now_ms = app.clock.now_ms();
        let lease = Lease { key: &key, owner: &me, now_ms, until_ms: deadline.0 + GRACE_MS };
        let (user, claim) = tokio::join!(
            app.steps.take("create.user", app.store.user(&key.platform, &key.user)),
            app.steps.take("create.claim", app.store.claim_create(&lease, &sought))
        );
        let item = match claim? {
            ClaimCreate::Claimed(item) => item,
            ClaimCreate::Refused(item) => match wait_for_peer(app, &key, *item, deadline).await? {
                Some(outcome) => return Ok(outcome),
                None => continue,
            },
        };
        let attempt = Attempt { app, crm, lease, item: *item };
        let user = match user {
            Ok(user) => user,
            Err(error) => {
                attempt.give_back(State::Retry, "the user could not be read").await?;
                return Err(error);
            }
        };
        let Some(user) = user.filter(|user| user.user.credentials.is_some()) else {
            attempt.give_back(State::Retry, "not connected").await?;
            return Ok(Outcome::NotConnected);
        };
        return match Grant::obtain(app, crm, user, command.authorization.clone(), deadline, &me).await {
            Ok(grant) => attempt.make(grant, command, contact).await,
            Err(failure) => attempt.failed(failure).await,
        };
    }
    Err(store::Error::Unavailable("others try to log the call, and fail".to_owned()))
}

/// What another invocation's hold on the call means for this one; `None`: it has let go, claim again.
async fn wait_for_peer(
    app: &App,
    key: &CallKey,
    item: CallItem,
    deadline: Deadline,
) -> Result<Option<Outcome>, store::Error> {
    let is_settled = |item: &CallItem| item.log.is_some() || item.owner.is_none();
    let item = lease::wait_until(app, key, item, deadline, is_settled).await?;
    let wait_ms = item.busy_until - app.clock.now_ms();
    Ok(match item {
        CallItem { log: Some(log), .. } => Some(Outcome::AlreadyLogged(log)),
        CallItem { owner: Some(_), .. } if wait_ms > 0 => Some(Outcome::BeingLogged),
        CallItem { owner: None, .. } if wait_ms > 0 => Some(Outcome::Unsettled { wait_ms }),
        _ => None,
    })
}

/// A claimed call.
struct Attempt<'a> {
    app: &'a App,
    crm: &'static dyn Crm,
    lease: Lease<'a>,
    item: CallItem,
}

impl Attempt<'_> {
    async fn make(
        self,
        mut grant: Grant<'_>,
        command: CreateCallLog,
        contact: Contact,
    ) -> Result<Outcome, store::Error> {
        let zone = command.zone.or(grant.user().user.zone).unwrap_or(Zone::UTC);
        // What is parked came later than the call's end, so it is newer than what the call brings.
        let facts = lease::overlay(command.facts.clone(), &self.item.wanted);
        let mut draft = Draft::new(&grant, &facts, &contact, &command.additional, zone);

        if self.item.ambiguous {
            match self.find(&mut grant, &draft.log, &facts, zone).await {
                Ok(Some(found)) => return self.adopt(grant, found, &draft, facts, zone).await,
                Ok(None) => {}
                Err(failure) => return self.failed(failure).await,
            }
        }
        let mut made = grant.create_log(&draft.log).await;
        // What is parked must not keep the call from being logged: it may be what the CRM refuses.
        let is_alone = self.item.wanted != Facts::default() && made.as_ref().is_err_and(Failure::is_refusal);
        if is_alone {
            draft = Draft::new(&grant, &command.facts, &contact, &command.additional, zone);
            made = grant.create_log(&draft.log).await;
        }
        match made {
            Ok(id) if is_alone => self.add(grant, id, &draft.written, Facts::default(), zone).await,
            Ok(id) => self.finish(grant, id, &draft.written, zone).await,
            Err(failure) if failure.effect() == Effect::Unknown => {
                // The answer was lost; perhaps the log was not. A log that is found now is certainly ours. One that
                // is not found may still land, so nothing follows from that.
                match self.find(&mut grant, &draft.log, &facts, zone).await {
                    Ok(Some(found)) => self.adopt(grant, found, &draft, facts, zone).await,
                    _ => self.failed(failure).await,
                }
            }
            Err(failure) => self.failed(failure).await,
        }
    }

    /// The log that an earlier attempt made; of several the first, always the same.
    async fn find(
        &self,
        grant: &mut Grant<'_>,
        log: &NewLog,
        facts: &Facts,
        zone: Zone,
    ) -> Result<Option<LogId>, Failure> {
        let first_at = self.item.first_at.unwrap_or_else(|| self.app.clock.now());
        let since = first_at - chrono::TimeDelta::minutes(CLOCK_SKEW_MINUTES);
        let mut found = grant.find_logs(log, since).await?;
        if found.is_empty()
            && let Some(earlier) = self.sought_otherwise(grant, log, facts, zone)
        {
            found = grant.find_logs(&earlier, since).await?;
        }
        if found.len() > 1 {
            tracing::warn!(duplicates = found.len() - 1, "the CRM has more than one log of this call");
        }
        Ok(found.into_iter().next())
    }

    /// The log as an earlier attempt would have made it, if that was told of another contact, time or zone.
    fn sought_otherwise(&self, grant: &Grant<'_>, log: &NewLog, facts: &Facts, zone: Zone) -> Option<NewLog> {
        let sought = self.item.sought.as_ref().filter(|_| self.item.ambiguous)?;
        let user = &grant.user().user;
        let then = sought.zone.or(user.zone).unwrap_or(Zone::UTC);
        if (&sought.contact, sought.start, then) == (&log.contact.id, log.start, zone) {
            return None;
        }
        let facts = Facts { start: sought.start, ..facts.clone() };
        Some(NewLog {
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
        id: LogId,
        written: &Written,
        zone: Zone,
    ) -> Result<Outcome, store::Error> {
        let finish = self.app.store.finish(&self.lease, &id, &self.item, written);
        match self.app.steps.take("create.finish", finish).await? {
            Finish::Released => {}
            Finish::MoreWanted(item) => {
                update::write(self.app, &self.lease, grant, *item, Facts::default(), zone).await?;
            }
            Finish::Lost => tracing::warn!("the lease ran out before the log's id was stored"),
        }
        Ok(Outcome::Logged(id))
    }

    /// The log is there from an earlier attempt, which may have brought other facts: brings it up to date.
    async fn adopt(
        self,
        grant: Grant<'_>,
        id: LogId,
        draft: &Draft,
        facts: Facts,
        zone: Zone,
    ) -> Result<Outcome, store::Error> {
        tracing::info!("found the log of an attempt whose answer was lost");
        let written = Written {
            subject: draft.written.subject.clone(),
            // An earlier attempt may have sent another one.
            duration: draft.written.duration.filter(|_| !self.item.ambiguous),
            ..Written::default()
        };
        self.add(grant, id, &written, facts, zone).await
    }

    /// The log is there, with less in it than is known: adds the rest.
    async fn add(
        self,
        grant: Grant<'_>,
        id: LogId,
        written: &Written,
        facts: Facts,
        zone: Zone,
    ) -> Result<Outcome, store::Error> {
        let keep = self.app.store.keep(&self.lease, &id, written);
        match self.app.steps.take("create.keep", keep).await? {
            Finish::MoreWanted(item) => {
                update::write(self.app, &self.lease, grant, *item, facts, zone).await?;
            }
            Finish::Released | Finish::Lost => {}
        }
        Ok(Outcome::Logged(id))
    }

    /// There is no log, or nobody knows.
    async fn failed(self, failure: Failure) -> Result<Outcome, store::Error> {
        let reason = failure.to_string();
        match &failure {
            failure if failure.effect() == Effect::Unknown => {
                let busy = self.app.clock.now_ms() + GRACE_MS;
                let release = self.app.store.release(&self.lease, State::Unknown, busy, true, &reason, None);
                self.app.steps.take("create.unanswered", release).await?;
            }
            Failure::Crm(error) if is_final(&error.kind) => self.give_back(State::Dead, &reason).await?,
            _ => self.give_back(State::Retry, &reason).await?,
        }
        Ok(Outcome::Failed(failure))
    }

    /// Lets go at once: this attempt changed nothing.
    async fn give_back(&self, state: State, reason: &str) -> Result<(), store::Error> {
        let release = self.app.store.release(&self.lease, state, 0, self.item.ambiguous, reason, None);
        self.app.steps.take("create.give_back", release).await
    }
}

/// A log to be made, and what will then be known of it.
struct Draft {
    log: NewLog,
    written: Written,
}

impl Draft {
    fn new(
        grant: &Grant<'_>,
        facts: &Facts,
        contact: &Contact,
        additional: &Map<String, Value>,
        zone: Zone,
    ) -> Draft {
        let content = Content::new(facts, &grant.user().user.settings, zone);
        let log = NewLog {
            subject: subject(facts, contact),
            body: note::compose(grant.crm().format(), &content),
            contact: contact.clone(),
            direction: facts.direction.unwrap_or(Direction::Outbound),
            start: facts.start,
            duration: facts.duration,
            result: facts.result.clone(),
            additional: additional.clone(),
        };
        let written = Written {
            sections: content.fingerprints(),
            subject: Some(fingerprint(&log.subject)),
            duration: log.duration,
        };
        Draft { log, written }
    }
}

/// Whether the same data would be refused again.
fn is_final(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Rejected { .. } | ErrorKind::NotFound | ErrorKind::Conflict)
}

/// The custom subject, or who called whom.
fn subject(facts: &Facts, contact: &Contact) -> String {
    if let Some(subject) = &facts.subject {
        return subject.clone();
    }
    let party = facts.other_party();
    let name = [
        contact.name.as_deref(),
        party.and_then(|party| party.name.as_deref()),
        facts.contact_number.as_deref(),
    ];
    let name = name.into_iter().flatten().next().unwrap_or("unknown");
    match facts.direction {
        Some(Direction::Inbound) => format!("Inbound Call from {name}"),
        _ => format!("Outbound Call to {name}"),
    }
}
