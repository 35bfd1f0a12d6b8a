//! A CRM with features that Pipedrive lacks: Pipedrive's adapter and fake, behind an adapter that follows a script.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use call_log::{
    adapters::{
        self, Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, Crm, Effect, Error,
        ErrorKind, Fields, Finish, NewCallLog, NewContact, Recovery,
    },
    model::{CallLogId, CallTag, Contact, Credentials},
};
use chrono::{DateTime, Utc};

use super::*;

/// The outcome of a create that differs from Pipedrive's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Create {
    /// The record is created, but there is no response.
    ResponseLost,
    /// There is no response, and no record.
    RequestLost,
    /// An earlier request of ours has created the record. The response names it or not.
    Exists { is_named: bool },
}

/// The outcome of a finish step that differs from success.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Fails(ErrorKind, Effect),
    /// The response never comes.
    Hangs,
}

/// The state of the CRM, and its next responses.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The outcomes of the next creates.
    pub(super) creates: VecDeque<Create>,
    /// The outcomes of the next finish steps.
    pub(super) finishes: VecDeque<Step>,
    /// The CRM does not take the call tag as a key.
    pub(super) refuses_keys: bool,
    /// The user cannot see records.
    pub(super) hides_records: bool,
    keys: BTreeMap<CallTag, CallLogId>,
    requests: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Scripted {
    pipedrive: &'static dyn Crm,
    recovery: &'static [Recovery],
    finish: Finish,
    script: Mutex<Script>,
}

/// Starts an app whose CRM has these ways of recovery and this finish step.
pub(super) async fn start(recovery: &'static [Recovery], finish: Finish) -> (TestApp, &'static Scripted) {
    let mut test = TestApp::start().await;
    let pipedrive = adapters::find("pipedrive").unwrap();
    let crm = Box::leak(Box::new(Scripted { pipedrive, recovery, finish, script: Mutex::default() }));
    use_crm(&mut test.app, crm);
    (test, crm)
}

/// Replaces the CRM of an app.
pub(super) fn use_crm(app: &mut Arc<App>, crm: &'static Scripted) {
    let crms: &[&dyn Crm] = Box::leak(Box::new([crm as &dyn Crm]));
    Arc::get_mut(app).unwrap().api.services.crms = crms;
}

impl Scripted {
    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Returns the requests since the last call: what each did, and in which way.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.script().requests)
    }

    fn record(&self, request: impl Into<String>) {
        self.script().requests.push(request.into());
    }
}

fn no_response() -> Error {
    Error::new(ErrorKind::Unavailable, Effect::Unknown, "the script")
}

#[async_trait]
impl Crm for Scripted {
    fn platform(&self) -> &'static str {
        self.pipedrive.platform()
    }

    fn display_name(&self) -> &'static str {
        self.pipedrive.display_name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { recovery: self.recovery, finish: self.finish, ..self.pipedrive.capabilities() }
    }

    fn base_url(&self, user: &User) -> Option<String> {
        self.pipedrive.base_url(user)
    }

    fn authentication(&self, credentials: &Credentials) -> Authentication {
        self.pipedrive.authentication(credentials)
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        self.pipedrive.fields(facts)
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        self.record(format!("create {}", log.recovery.name()));
        let has_key = log.recovery == Recovery::ByKey;
        let outcome = {
            let mut script = self.script();
            if has_key && script.refuses_keys {
                return Err(Error::new(ErrorKind::KeyRefused, Effect::None, "the script"));
            }
            if let Some(id) = script.keys.get(&log.tag).filter(|_| has_key) {
                let id = Some(id.clone()).filter(|_| !script.hides_records);
                return Err(Error::new(ErrorKind::AlreadyExists(id), Effect::None, "the script"));
            }
            script.creates.pop_front()
        };
        if outcome == Some(Create::RequestLost) {
            return Err(no_response());
        }
        let id = self.pipedrive.create_record(access, log).await?;
        if has_key {
            self.script().keys.insert(log.tag.clone(), id.clone());
        }
        match outcome {
            None => Ok(id),
            Some(Create::Exists { is_named }) => {
                let kind = ErrorKind::AlreadyExists(is_named.then_some(id));
                Err(Error::new(kind, Effect::None, "the script"))
            }
            Some(Create::ResponseLost | Create::RequestLost) => Err(no_response()),
        }
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        self.record("read");
        self.pipedrive.read_record(access, id).await
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        self.record("update");
        self.pipedrive.update_record(access, id, change).await
    }

    async fn finish_record(&self, _: &Access<'_>, _: &CallLogId, facts: &CallFacts) -> Result<(), Error> {
        self.record(format!("finish {:?}", facts.seconds()));
        let step = self.script().finishes.pop_front();
        match step {
            None => Ok(()),
            Some(Step::Fails(kind, effect)) => Err(Error::new(kind, effect, "the script")),
            Some(Step::Hangs) => pending().await,
        }
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        self.record(format!("find {}", log.recovery.name()));
        if log.recovery != Recovery::ByKey {
            return self.pipedrive.find_records(access, log, since).await;
        }
        let script = self.script();
        match script.refuses_keys {
            true => Err(Error::new(ErrorKind::KeyRefused, Effect::None, "the script")),
            false => {
                Ok(script.keys.get(&log.tag).filter(|_| !script.hides_records).cloned().into_iter().collect())
            }
        }
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        self.pipedrive.delete_record(access, id).await
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        self.pipedrive.find_contacts(access, phone_number).await
    }

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error> {
        self.pipedrive.create_contact(access, contact).await
    }
}
