//! The records of the fake CRM.

use call_log::{
    adapters::{CallLog, CallLogChange, Capabilities, CompareAndSet, Finish, NewCallLog, Recovery},
    model::{CallLogId, ContactId},
};
use chrono::{DateTime, Utc};

use super::{DIRECTION, DURATION, START};
use crate::simulation::{requests::CallName, senders::Account};

/// The sender of a request that may change the CRM, as the simulation knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The number of the invocation.
    pub invocation: usize,
    /// The number of the step at which it is paused while the request is on its way.
    pub paused_step: u64,
    /// The account whose credential it has.
    pub account: Account,
    /// The call for which it acts.
    pub call: CallName,
}

/// The actor that deleted a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleter {
    /// A user of the CRM.
    Person,
    /// The duplicate sweep.
    Sweep,
}

/// A person's edit of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// This line was added to the body, at the start or at the end.
    Line(String, End),
    /// The subject was replaced by this one.
    Subject(String),
    /// The duration was replaced by this one.
    Duration(String),
}

/// The frequency with which the CRM allows the completion of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulation) enum Allowed {
    /// Each time.
    Always,
    /// Not each time.
    Sometimes,
    /// Never: it rejects it.
    Never,
}

/// An end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Before the first line.
    Start,
    /// After the last line.
    Last,
}

/// A record of the CRM.
#[derive(Clone, Debug)]
pub struct CrmRecord {
    /// The id.
    pub id: CallLogId,
    /// The account that has the record.
    pub account: Account,
    /// The call that the record belongs to.
    pub call: CallName,
    /// The sender of the create; `None` if a scenario added the record.
    pub created_by: Option<Sender>,
    /// When the create took effect, in milliseconds since 1970.
    pub created_at: i64,
    /// The call tag.
    pub tag: String,
    /// The way in which the call tag was sent.
    pub sent_as: Recovery,
    /// The contact.
    pub contact: Option<ContactId>,
    /// The direction of the call; empty while it is unknown.
    pub direction: String,
    /// When the call began.
    pub start: Option<DateTime<Utc>>,
    /// The subject.
    pub subject: String,
    /// The body.
    pub body: String,
    /// The duration of the call in seconds; empty while it is unknown.
    pub duration: String,
    /// The number of the version.
    pub version: u64,
    /// When the record was last changed, in milliseconds since 1970.
    pub changed_at: i64,
    /// The durations of its time entries, with [`Finish::WithDuration`].
    pub entries: Vec<String>,
    /// It is closed, with [`Finish::AfterEachChange`].
    pub is_closed: bool,
    /// The actor that deleted the record.
    pub deleted_by: Option<Deleter>,
    /// People's edits, in their order.
    pub edits: Vec<Edit>,
}

impl CrmRecord {
    pub(super) fn new(id: CallLogId, sender: &Sender, log: &NewCallLog, now_ms: i64) -> CrmRecord {
        CrmRecord {
            id,
            account: sender.account,
            call: sender.call.clone(),
            created_by: Some(sender.clone()),
            created_at: now_ms,
            tag: log.tag.to_string(),
            sent_as: log.recovery,
            contact: log.contact.as_ref().map(|contact| contact.id.clone()),
            direction: log.facts.direction.map(|direction| direction.as_str().to_owned()).unwrap_or_default(),
            start: log.facts.start,
            subject: log.subject.clone(),
            body: log.body.clone(),
            duration: log.facts.seconds().map(|seconds| seconds.to_string()).unwrap_or_default(),
            version: 1,
            changed_at: now_ms,
            entries: Vec::new(),
            is_closed: false,
            deleted_by: None,
            edits: Vec::new(),
        }
    }

    /// Returns `true` if this is the record of an account with this id.
    pub(super) fn has_id(&self, account: Account, id: &CallLogId) -> bool {
        self.account == account && self.id == *id
    }

    /// Returns the record as the CRM shows it.
    pub(super) fn shown(&self, compare_and_set: CompareAndSet) -> CallLog {
        CallLog {
            subject: Some(self.subject.clone()),
            body: self.body.clone(),
            fields: [
                (DIRECTION, self.direction.clone()),
                (START, self.start.map(|start| start.timestamp_millis().to_string()).unwrap_or_default()),
                (DURATION, self.duration.clone()),
            ]
            .into(),
            version: self.shown_version(compare_and_set),
            created_at: DateTime::from_timestamp_millis(self.created_at),
            is_changed: Some(self.version > 1),
            ..CallLog::default()
        }
    }

    /// Returns the version as the CRM shows it: exact, or only the second of the last change.
    pub(super) fn shown_version(&self, compare_and_set: CompareAndSet) -> Option<String> {
        match compare_and_set {
            CompareAndSet::Exact => Some(self.version.to_string()),
            CompareAndSet::OneSecond => Some((self.changed_at / 1_000).to_string()),
            CompareAndSet::None => None,
        }
    }

    pub(super) fn change(&mut self, change: &CallLogChange, now_ms: i64) {
        if let Some(body) = &change.body {
            self.body.clone_from(body);
        }
        if let Some(subject) = &change.subject {
            self.subject.clone_from(subject);
        }
        if let Some(direction) = change.fields.get(DIRECTION) {
            self.direction.clone_from(direction);
        }
        if let Some(start) = change.fields.get(START) {
            self.start = start.parse().ok().and_then(DateTime::from_timestamp_millis);
        }
        if let Some(duration) = change.fields.get(DURATION) {
            self.duration.clone_from(duration);
        }
        self.is_closed = false;
        self.touch(now_ms);
    }

    /// A person edits the record.
    pub(super) fn edit(&mut self, edit: Edit, now_ms: i64) {
        match &edit {
            Edit::Line(line, End::Start) => self.body = format!("{line}\n{}", self.body),
            Edit::Line(line, End::Last) => self.body = format!("{}\n{line}\n", self.body),
            Edit::Subject(subject) => self.subject.clone_from(subject),
            Edit::Duration(duration) => self.duration.clone_from(duration),
        }
        self.edits.push(edit);
        self.touch(now_ms);
    }

    fn touch(&mut self, now_ms: i64) {
        self.version += 1;
        self.changed_at = now_ms;
    }

    /// Returns the subject that a person gave the record last.
    pub fn edited_subject(&self) -> Option<&String> {
        self.edits.iter().rev().find_map(|edit| match edit {
            Edit::Subject(subject) => Some(subject),
            _ => None,
        })
    }

    /// Returns the duration that a person gave the record last.
    pub fn edited_duration(&self) -> Option<&String> {
        self.edits.iter().rev().find_map(|edit| match edit {
            Edit::Duration(duration) => Some(duration),
            _ => None,
        })
    }

    /// Returns a violation for each edit that is not in the record, or is there twice.
    pub fn lost_edits(&self) -> Vec<String> {
        let is_kept = |edit: &&Edit| match edit {
            Edit::Line(line, _) => self.body.matches(line.as_str()).count() == 1,
            Edit::Subject(_) => self.edited_subject() == Some(&self.subject),
            Edit::Duration(_) => self.edited_duration() == Some(&self.duration),
        };
        let lost = self.edits.iter().filter(|edit| !is_kept(edit));
        let (subject, duration, body) = (&self.subject, &self.duration, &self.body);
        lost.map(|edit| format!("{edit:?} is lost: {subject:?}, {duration:?}, {body:?}")).collect()
    }

    /// Returns what is wrong with the completion of the record, when nothing is left to be done.
    pub(in crate::simulation) fn completion_problem(
        &self,
        crm: &Capabilities,
        allowed: Allowed,
    ) -> Option<String> {
        let entries = &self.entries;
        let is_complete = match (crm.finish, allowed) {
            (Finish::None, _) => return None,
            (Finish::AfterEachChange, Allowed::Always) => self.is_closed,
            (Finish::AfterEachChange, Allowed::Sometimes) => true,
            (Finish::AfterEachChange, Allowed::Never) => !self.is_closed,
            (Finish::WithDuration, Allowed::Sometimes) => entries.len() <= 1,
            (Finish::WithDuration, Allowed::Never) => entries.is_empty(),
            (Finish::WithDuration, Allowed::Always) if self.duration.is_empty() => entries.is_empty(),
            // A person may have entered a duration that no request brings.
            (Finish::WithDuration, Allowed::Always) if self.edited_duration().is_some() => entries.len() <= 1,
            (Finish::WithDuration, Allowed::Always) => *entries == [self.duration.as_str()],
        };
        let (is_closed, duration) = (self.is_closed, &self.duration);
        (!is_complete).then(|| {
            format!("the record is not completed once: closed {is_closed}, {duration:?}, entries {entries:?}")
        })
    }
}
