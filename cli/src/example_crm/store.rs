//! The Example CRM's contacts and activities, and the stream of their changes.

use std::{
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use call_log::model::Clock;
use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::broadcast;

use super::{
    file,
    record::{Activity, ActivityChange, Change, Contact, Data, NewActivity, NewContact, RecordKind},
};

/// The number of changes by which a listener may fall behind before it is disconnected.
const BACKLOG: usize = 1024;

/// The reasons for which a change is not made.
#[derive(Debug)]
pub(crate) enum Rejection {
    NotFound,
    /// The record does not have the version that the request requires.
    VersionDiffers,
    /// The data is invalid, with the reason.
    Invalid(String),
    /// The file cannot be written.
    NotSaved(io::Error),
}

/// The records of one CRM.
#[derive(Debug)]
pub(crate) struct Store {
    clock: Clock,
    /// The path of the file; `None` if the records are only in memory.
    path: Option<PathBuf>,
    /// Locked also while the file is written: the file must have the order of the changes, and they are short.
    data: Mutex<Data>,
    changes: broadcast::Sender<Change>,
}

impl Store {
    pub(crate) fn open(directory: Option<PathBuf>, clock: Clock) -> io::Result<Store> {
        let path = directory.map(|directory| file::path_in(&directory)).transpose()?;
        let saved = match &path {
            Some(path) => file::read(path, clock.now_ms())?,
            None => None,
        };
        let data = match (saved, &path) {
            (Some(data), _) => data,
            (None, path) => {
                let data = Data::seed();
                if let Some(path) = path {
                    file::write(path, &data)?;
                }
                data
            }
        };
        Ok(Store { clock, path, data: Mutex::new(data), changes: broadcast::Sender::new(BACKLOG) })
    }

    /// Returns a receiver of all changes from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Returns all contacts, or those with this telephone number, whatever its punctuation, and with this text in their names.
    pub(crate) fn contacts(&self, phone_number: Option<&str>, name: Option<&str>) -> Vec<Contact> {
        let (wanted, name) = (phone_number.map(digits), name.map(str::to_lowercase));
        let matches = |contact: &&Contact| {
            let has_number = wanted
                .as_ref()
                .is_none_or(|wanted| !wanted.is_empty() && digits(&contact.phone_number) == *wanted);
            let has_name = name.as_ref().is_none_or(|name| contact.name.to_lowercase().contains(name.trim()));
            has_number && has_name
        };
        self.data().contacts.iter().filter(matches).cloned().collect()
    }

    pub(crate) fn contact(&self, id: &str) -> Option<Contact> {
        self.data().contacts.iter().find(|contact| contact.id == id).cloned()
    }

    pub(crate) fn add_contact(&self, new: NewContact) -> Result<Contact, Rejection> {
        let name = new.name.trim();
        if name.is_empty() {
            return Err(Rejection::Invalid("a contact requires a name".to_owned()));
        }
        if digits(&new.phone_number).is_empty() {
            return Err(Rejection::Invalid(format!("{:?} is not a telephone number", new.phone_number)));
        }
        self.change(RecordKind::Contact, |data| {
            let contact = Contact {
                id: format!("c-{}", data.next_contact),
                name: name.to_owned(),
                phone_number: new.phone_number.trim().to_owned(),
                kind: new.kind.unwrap_or_else(|| "contact".to_owned()),
            };
            data.next_contact += 1;
            data.contacts.push(contact.clone());
            Ok((contact.id.clone(), contact))
        })
    }

    /// Returns the activities, newest first: all, or those of one contact, or those created at this time or later.
    pub(crate) fn activities(&self, contact: Option<&str>, since: Option<DateTime<Utc>>) -> Vec<Activity> {
        // Records have milliseconds. An activity of the same millisecond is included.
        let since = since.map(|since| since.timestamp_millis());
        let matches = |activity: &&Activity| {
            contact.is_none_or(|id| activity.contact_id.as_deref() == Some(id))
                && since.is_none_or(|since| milliseconds(&activity.created_at) >= since)
        };
        self.data().activities.iter().rev().filter(matches).cloned().collect()
    }

    pub(crate) fn activity(&self, id: &str) -> Option<Activity> {
        self.data().activities.iter().find(|activity| activity.id == id).cloned()
    }

    pub(crate) fn add_activity(&self, new: NewActivity) -> Result<Activity, Rejection> {
        let direction = direction(&new.direction)?;
        let start_time = new.start_time.as_deref().map(start_time).transpose()?;
        let now = timestamp(self.clock.now());
        self.change(RecordKind::Activity, |data| {
            if let Some(id) =
                new.contact_id.as_ref().filter(|id| data.contacts.iter().all(|contact| contact.id != **id))
            {
                return Err(Rejection::Invalid(format!("there is no contact {id:?}")));
            }
            let activity = Activity {
                id: data.next_activity.to_string(),
                contact_id: new.contact_id,
                subject: new.subject,
                body: new.body,
                direction,
                start_time,
                duration_seconds: new.duration_seconds,
                result: new.result,
                version: 1,
                created_at: now.clone(),
                updated_at: now,
            };
            data.next_activity += 1;
            data.activities.push(activity.clone());
            Ok((activity.id.clone(), activity))
        })
    }

    /// Changes an activity if `expected` returns `true` for its version.
    pub(crate) fn change_activity(
        &self,
        id: &str,
        expected: impl Fn(u64) -> bool,
        change: ActivityChange,
    ) -> Result<Activity, Rejection> {
        let now = timestamp(self.clock.now());
        let direction = change.direction.as_deref().map(direction).transpose()?;
        let start_time = change.start_time.as_deref().map(start_time).transpose()?;
        self.change(RecordKind::Activity, |data| {
            let activity =
                data.activities.iter_mut().find(|activity| activity.id == id).ok_or(Rejection::NotFound)?;
            if !expected(activity.version) {
                return Err(Rejection::VersionDiffers);
            }
            if let Some(subject) = change.subject {
                activity.subject = subject;
            }
            if let Some(body) = change.body {
                activity.body = body;
            }
            if let Some(direction) = direction {
                activity.direction = direction;
            }
            activity.start_time = start_time.or_else(|| activity.start_time.take());
            activity.duration_seconds = change.duration_seconds.or(activity.duration_seconds);
            activity.result = change.result.or_else(|| activity.result.take());
            activity.version += 1;
            activity.updated_at = now;
            Ok((activity.id.clone(), activity.clone()))
        })
    }

    /// Deletes an activity if `expected` returns `true` for its version.
    pub(crate) fn delete_activity(&self, id: &str, expected: impl Fn(u64) -> bool) -> Result<(), Rejection> {
        self.change(RecordKind::Activity, |data| {
            let place =
                data.activities.iter().position(|activity| activity.id == id).ok_or(Rejection::NotFound)?;
            if !expected(data.activities[place].version) {
                return Err(Rejection::VersionDiffers);
            }
            data.activities.remove(place);
            Ok((id.to_owned(), ()))
        })
    }

    /// Makes a change in memory and in the file, and publishes it. If the file cannot be written, nothing changes.
    fn change<T>(
        &self,
        kind: RecordKind,
        apply: impl FnOnce(&mut Data) -> Result<(String, T), Rejection>,
    ) -> Result<T, Rejection> {
        let mut data = self.data();
        let before = self.path.is_some().then(|| data.clone());
        let (id, outcome) = apply(&mut data)?;
        if let (Some(path), Some(before)) = (&self.path, before)
            && let Err(error) = file::write(path, &data)
        {
            *data = before;
            return Err(Rejection::NotSaved(error));
        }
        // An error means that there are no listeners.
        let _ = self.changes.send(Change { kind, id });
        Ok(outcome)
    }

    /// Locks the data. A poisoned lock is no problem, because no code panics in the middle of a change.
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a direction as it is stored.
fn direction(text: &str) -> Result<String, Rejection> {
    let known = ["Inbound", "Outbound"].into_iter().find(|known| known.eq_ignore_ascii_case(text));
    let known =
        known.ok_or_else(|| Rejection::Invalid("the direction must be Inbound or Outbound".to_owned()))?;
    Ok(known.to_owned())
}

/// Returns a start as it is stored.
fn start_time(text: &str) -> Result<String, Rejection> {
    let invalid = |_| Rejection::Invalid(format!("the startTime {text:?} is not an RFC 3339 time"));
    text.parse::<DateTime<Utc>>().map(timestamp).map_err(invalid)
}

/// Returns the digits, by which two telephone numbers are compared.
fn digits(phone_number: &str) -> String {
    phone_number.chars().filter(char::is_ascii_digit).collect()
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn milliseconds(timestamp: &str) -> i64 {
    timestamp.parse::<DateTime<Utc>>().map(|time| time.timestamp_millis()).unwrap_or_default()
}
