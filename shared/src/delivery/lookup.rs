//! Lookup: which calls have a log, and what a log says. Nothing is written.
//!
//! Whether a call has a log, the table says. What a log says is read from the CRM with the caller's own credential, because a
//! person may have changed it. What waits to be written is known only to the table, and is shown only to the user who sent it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{
    adapters::{Crm, ErrorKind},
    delivery::{
        breaker::RequestBreaker,
        failure::Failure,
        grant::Grant,
        services::Services,
        subject::Subject,
        tenancy::{Admitted, Tenancy},
    },
    model::{
        CallDetails, CallKey, CallLogId, Deadline, LogKey, Match, Sender, SessionId, match_log, random_name,
    },
    note::{self, Section},
    store::{self, CallItem, Depth, LookedUp, State, StoredUser},
};

/// The result of a lookup.
#[derive(Debug)]
pub enum Outcome {
    /// The logs of the calls that have one.
    Found(HashMap<SessionId, FoundLog>),
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The token was issued before the user moved to another CRM account, or was revoked.
    Moved,
    /// Several logs of a call could be meant, so that none of them is shown.
    SeveralLogs,
    /// A log was deleted in the CRM.
    Deleted,
    /// A log is not in the CRM yet, and what it will say is another user's.
    NotYet,
    /// The CRM did not show a log.
    Failed(Failure),
}

/// The log of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundLog {
    /// The CRM record. `None`: the log is kept, and is not in the CRM yet.
    pub record: Option<CallLogId>,
    /// Its content, if that was asked for.
    pub content: Option<LogContent>,
}

/// The texts and choices of a log, which a person can change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogContent {
    /// The title.
    pub subject: String,
    /// The agent's note.
    pub note: String,
    /// The choices of the form.
    pub choices: Map<String, Value>,
}

/// Looks the logs of these calls up. `with_content`: also what they say.
///
/// # Errors
/// Fails if the table fails.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    sessions: &[SessionId],
    with_content: bool,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    let Some(mut tenancy) = Tenancy::of(services, sender).await? else { return Ok(Outcome::NotConnected) };
    loop {
        let lookup = Lookup { services, crm, sender, with_content, holder: random_name(), deadline };
        match lookup.run(&tenancy, sessions).await? {
            Some(outcome) => return Ok(outcome),
            None => match Tenancy::of(services, sender).await? {
                Some(stored) => tenancy = stored,
                None => return Ok(Outcome::NotConnected),
            },
        }
    }
}

/// One lookup.
struct Lookup<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    sender: &'a Sender,
    with_content: bool,
    holder: String,
    deadline: Deadline,
}

impl Lookup<'_> {
    /// Returns `None` if the user belongs to another tenant than this process remembered.
    async fn run(&self, tenancy: &Tenancy, sessions: &[SessionId]) -> Result<Option<Outcome>, store::Error> {
        let Lookup { services, crm, sender, .. } = *self;
        let breaker_key = tenancy.breaker_key(crm, &sender.user);
        let depth = if self.with_content { Depth::Content } else { Depth::Identity };
        let key = |session: &SessionId| {
            CallKey { tenant: tenancy.tenant.clone(), session: session.clone(), header_user: None }.log(0)
        };
        let firsts: Vec<_> = sessions.iter().map(key).collect();
        let read = services.store.look_up(&sender.user, &breaker_key, &firsts, depth);
        let LookedUp { user, breaker, mut logs } = services.sync_points.reach("lookup.read", read).await?;
        let user = match tenancy.admit(services, Ok(user))? {
            Admitted::User(user) => *user,
            Admitted::NotConnected => return Ok(Some(Outcome::NotConnected)),
            Admitted::Moved => return Ok(Some(Outcome::Moved)),
            Admitted::Outdated => return Ok(None),
        };
        if !self.with_content {
            // Only the content of these tells if a create is kept.
            let is_open = |item: &CallItem| {
                matches!(item.state, State::Retry | State::DeadLetter) && item.log_id.is_none()
            };
            let open: Vec<_> =
                logs.iter().filter(|(_, item)| is_open(item)).map(|(key, _)| key.clone()).collect();
            if !open.is_empty() {
                let read = services.store.logs(&open, Depth::Content);
                logs.extend(services.sync_points.reach("lookup.open", read).await?);
            }
        }
        let Some(matched) = self.matched(logs, depth).await? else { return Ok(Some(Outcome::SeveralLogs)) };
        let mut found = HashMap::new();
        let mut grant = None;
        for (key, item) in matched {
            let content = match self.with_content {
                false => None,
                true if item.log_id.is_none() => match self.kept_content(&key, &item) {
                    Some(content) => Some(content),
                    None => return Ok(Some(Outcome::NotYet)),
                },
                true => {
                    let breaker = RequestBreaker::new(services, crm, &user.user, &breaker_key, breaker);
                    match self.content(&mut grant, &user, &breaker, &item).await {
                        Ok(content) => Some(content),
                        Err(failure) if failure.kind() == Some(&ErrorKind::NotFound) => {
                            return Ok(Some(Outcome::Deleted));
                        }
                        Err(failure) => return Ok(Some(Outcome::Failed(failure))),
                    }
                }
            };
            found.insert(key.call.session.clone(), FoundLog { record: item.log_id.clone(), content });
        }
        Ok(Some(Outcome::Found(found)))
    }

    /// Returns the logs that the sender means. Returns `None` if what several of them say was asked for.
    async fn matched(
        &self,
        firsts: HashMap<LogKey, CallItem>,
        depth: Depth,
    ) -> Result<Option<Vec<(LogKey, CallItem)>>, store::Error> {
        let (mut matched, mut further) = (Vec::new(), Vec::new());
        for (key, item) in firsts {
            let logs = item.known_logs();
            match match_log(&logs, &self.sender.identity, Some(&self.sender.user.id)) {
                Match::Several(_) if self.with_content => return Ok(None),
                Match::Log(0) | Match::Several(0) => matched.push((key, item)),
                Match::Log(slot) | Match::Several(slot) => further.push(key.call.log(slot)),
                Match::NoLog => {}
            }
        }
        if !further.is_empty() {
            let read = self.services.store.logs(&further, depth);
            matched.extend(self.services.sync_points.reach("lookup.further", read).await?);
        }
        Ok(Some(matched))
    }

    /// Returns what a record says, with what waits for it of this user.
    async fn content<'g>(
        &'g self,
        grant: &mut Option<Grant<'g>>,
        user: &StoredUser,
        breaker: &RequestBreaker<'_>,
        item: &CallItem,
    ) -> Result<LogContent, Failure> {
        let Some(record) = &item.log_id else { return Ok(LogContent::default()) };
        breaker.check().await?;
        let grant = match grant {
            Some(grant) => grant,
            None => {
                let (services, holder) = (self.services, self.holder.as_str());
                let obtained =
                    Grant::obtain(services, self.crm, user.clone(), None, self.deadline, holder).await?;
                grant.insert(obtained.impatient())
            }
        };
        let read = grant.read_record(record).await;
        breaker.record(read.as_ref().err()).await;
        let read = read?;
        let document = note::parse(self.crm.capabilities().format, &read.body);
        let content = LogContent {
            subject: read.subject.unwrap_or_default(),
            note: document.value(Section::AgentNote).unwrap_or_default(),
            choices: read.choices,
        };
        Ok(self.with_queued(content, item))
    }

    /// Returns what a log says that is kept, if the sender's create made it. `None`: its content is not the sender's.
    fn kept_content(&self, key: &LogKey, item: &CallItem) -> Option<LogContent> {
        if item.creator.as_ref() != Some(&self.sender.user.id) {
            return None;
        }
        let payload = self.services.store.payload(key, item).ok()??;
        let details = &payload.details;
        let name = payload.contact.as_ref().and_then(|contact| contact.name.as_deref());
        let subject = Subject::new(details, name, &self.crm.capabilities().limits);
        let content = LogContent {
            subject: subject.text,
            note: details.firm_note().unwrap_or_default().to_owned(),
            choices: self.crm.chosen(&payload.additional),
        };
        Some(self.with_queued(content, item))
    }

    /// Adds what the sender's queued updates will change.
    fn with_queued(&self, content: LogContent, item: &CallItem) -> LogContent {
        let own = item.to_write().filter(|update| update.user == self.sender.user.id);
        let queued = own.fold(CallDetails::default(), |all, update| all.overlay(&update.details));
        LogContent {
            note: queued.firm_note().map_or(content.note, str::to_owned),
            subject: queued.subject.clone().unwrap_or(content.subject),
            choices: if queued.choices.is_empty() { content.choices } else { queued.choices },
        }
    }
}
