//! The Example CRM's contacts and activities, and the news of their changes.

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
    record::{Activity, ActivityChange, Change, Contact, Data, Kind, NewActivity, NewContact},
};

/// How many changes a listener may be late before it has to start over.
const BACKLOG: usize = 1024;

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum Refusal {
    NotFound,
    /// The record has another version than the caller thinks.
    VersionDiffers,
    /// The data makes no sense; in words.
    Invalid(String),
    /// The file cannot be written.
    NotKept(io::Error),
}

/// The records of one CRM.
#[derive(Debug)]
pub(crate) struct Store {
    clock: Clock,
    /// Absent: in memory only.
    path: Option<PathBuf>,
    /// A std mutex, held while the file is written too: changes are short, and the file must follow their order.
    data: Mutex<Data>,
    changes: broadcast::Sender<Change>,
}

impl Store {
    pub(crate) fn open(directory: Option<PathBuf>, clock: Clock) -> io::Result<Store> {
        let path = directory.map(|directory| file::path_in(&directory)).transpose()?;
        let kept = match &path {
            Some(path) => file::read(path, clock.now_ms())?,
            None => None,
        };
        let data = match (kept, &path) {
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

    /// The changes from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// All contacts, or those with that number, however it is punctuated.
    pub(crate) fn contacts(&self, phone_number: Option<&str>) -> Vec<Contact> {
        let wanted = phone_number.map(digits);
        let matches = |contact: &&Contact| match &wanted {
            Some(wanted) => !wanted.is_empty() && digits(&contact.phone_number) == *wanted,
            None => true,
        };
        self.data().contacts.iter().filter(matches).cloned().collect()
    }

    pub(crate) fn contact(&self, id: &str) -> Option<Contact> {
        self.data().contacts.iter().find(|contact| contact.id == id).cloned()
    }

    pub(crate) fn add_contact(&self, new: NewContact) -> Result<Contact, Refusal> {
        let name = new.name.trim();
        if name.is_empty() {
            return Err(Refusal::Invalid("a contact needs a name".to_owned()));
        }
        if digits(&new.phone_number).is_empty() {
            return Err(Refusal::Invalid(format!("{:?} is not a telephone number", new.phone_number)));
        }
        self.change(Kind::Contact, |data| {
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

    /// The activities, newest first: all, or those of a contact, or those made at or after an instant.
    pub(crate) fn activities(&self, contact: Option<&str>, since: Option<DateTime<Utc>>) -> Vec<Activity> {
        // Records carry milliseconds; what was made in the same one counts.
        let since = since.map(|since| since.timestamp_millis());
        let matches = |activity: &&Activity| {
            contact.is_none_or(|id| activity.contact_id == id)
                && since.is_none_or(|since| milliseconds(&activity.created_at) >= since)
        };
        self.data().activities.iter().rev().filter(matches).cloned().collect()
    }

    pub(crate) fn activity(&self, id: &str) -> Option<Activity> {
        self.data().activities.iter().find(|activity| activity.id == id).cloned()
    }

    pub(crate) fn add_activity(&self, new: NewActivity) -> Result<Activity, Refusal> {
        let direction = ["Inbound", "Outbound"]
            .into_iter()
            .find(|direction| direction.eq_ignore_ascii_case(&new.direction))
            .ok_or_else(|| Refusal::Invalid("the direction is neither Inbound nor Outbound".to_owned()))?;
        let start_time = match new.start_time {
            Some(text) => Some(written(text.parse::<DateTime<Utc>>().map_err(|_| {
                Refusal::Invalid(format!("the startTime {text:?} is not a time as RFC 3339 writes it"))
            })?)),
            None => None,
        };
        let now = written(self.clock.now());
        self.change(Kind::Activity, |data| {
            if !data.contacts.iter().any(|contact| contact.id == new.contact_id) {
                return Err(Refusal::Invalid(format!("there is no contact {:?}", new.contact_id)));
            }
            let activity = Activity {
                id: data.next_activity.to_string(),
                contact_id: new.contact_id,
                subject: new.subject,
                body: new.body,
                direction: direction.to_owned(),
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

    /// Changes an activity, if it still has one of the versions that `expected` accepts.
    pub(crate) fn change_activity(
        &self,
        id: &str,
        expected: impl Fn(u64) -> bool,
        change: ActivityChange,
    ) -> Result<Activity, Refusal> {
        let now = written(self.clock.now());
        self.change(Kind::Activity, |data| {
            let activity =
                data.activities.iter_mut().find(|activity| activity.id == id).ok_or(Refusal::NotFound)?;
            if !expected(activity.version) {
                return Err(Refusal::VersionDiffers);
            }
            if let Some(subject) = change.subject {
                activity.subject = subject;
            }
            if let Some(body) = change.body {
                activity.body = body;
            }
            if let Some(seconds) = change.duration_seconds {
                activity.duration_seconds = Some(seconds);
            }
            activity.version += 1;
            activity.updated_at = now;
            Ok((activity.id.clone(), activity.clone()))
        })
    }

    /// Removes an activity, if it still has one of the versions that `expected` accepts.
    pub(crate) fn remove_activity(&self, id: &str, expected: impl Fn(u64) -> bool) -> Result<(), Refusal> {
        self.change(Kind::Activity, |data| {
            let place =
                data.activities.iter().position(|activity| activity.id == id).ok_or(Refusal::NotFound)?;
            if !expected(data.activities[place].version) {
                return Err(Refusal::VersionDiffers);
            }
            data.activities.remove(place);
            Ok((id.to_owned(), ()))
        })
    }

    /// Makes one change: in memory, in the file, and known to the listeners; or not at all.
    fn change<T>(
        &self,
        kind: Kind,
        apply: impl FnOnce(&mut Data) -> Result<(String, T), Refusal>,
    ) -> Result<T, Refusal> {
        let mut data = self.data();
        let before = self.path.is_some().then(|| data.clone());
        let (id, outcome) = apply(&mut data)?;
        if let (Some(path), Some(before)) = (&self.path, before)
            && let Err(error) = file::write(path, &data)
        {
            *data = before;
            return Err(Refusal::NotKept(error));
        }
        // Fails when nobody listens.
        let _ = self.changes.send(Change { kind, id });
        Ok(outcome)
    }

    /// The data. It is whole even after a panic elsewhere: nothing panics between the parts of a change.
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes two telephone numbers the same.
fn digits(phone_number: &str) -> String {
    phone_number.chars().filter(char::is_ascii_digit).collect()
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn milliseconds(written: &str) -> i64 {
    written.parse::<DateTime<Utc>>().map(|time| time.timestamp_millis()).unwrap_or_default()
}
