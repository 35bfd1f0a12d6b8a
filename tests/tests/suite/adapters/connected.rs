//! An adapter that is connected to the fake of its CRM.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use call_log::{
    adapters::{
        Access, Authorization, Budgets, CallFacts, CallLog, CompareAndSet, Crm, ErrorKind, Finish,
        HttpClient, NewCallLog, Recovery,
    },
    model::{
        CallDetails, CallDuration, CallKey, CallLogId, CallTag, Clock, Contact, CrmAccount, Deadline,
        Direction, Platform, SessionId, Settings, User, UserId, Zone,
    },
    note::{self, Content, Limits},
    startup::transport,
};
use serde_json::{Map, json};
use tests::{
    fake_crm::{self, FAKES, FakeCrm, Routes},
    proxy::Proxy,
};

/// A user of this CRM, without a host and without credentials.
pub(super) fn user(crm: &dyn Crm) -> User {
    User {
        id: UserId::new(format!("12345-{}", crm.platform())).unwrap(),
        platform: Platform::new(crm.platform()).unwrap(),
        hostname: None,
        account: CrmAccount::default(),
        zone: None,
        settings: Settings::default(),
        credentials: None,
    }
}

/// The start of most calls of the suite.
pub(super) const START: &str = "2025-03-12T15:45:25Z";

/// A feature that a CRM may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// Finding the record of an attempt whose response was lost ([`Crm::find_records`]).
    FindRecords,
    /// A key that makes creates unique ([`Recovery::ByKey`]).
    Keys,
    /// Changing a record on a condition ([`CompareAndSet`]).
    CompareAndSet,
    /// Completing a record ([`Crm::finish_record`]).
    Finish,
    /// A limit on the length of texts ([`Limits`]).
    Limits,
    /// An authorization server ([`Crm::oauth`]).
    OAuth,
    /// Deleting a record that was not changed after its creation ([`Crm::delete_record`]).
    DeleteRecord,
}

/// An adapter, the fake of its CRM, and what the adapter needs for requests.
pub(super) struct Connected<F: ?Sized = dyn FakeCrm> {
    pub(super) crm: &'static dyn Crm,
    pub(super) http: HttpClient,
    pub(super) clock: Clock,
    pub(super) budgets: Budgets,
    pub(super) user: User,
    /// The way in which the record of a lost attempt is found.
    pub(super) recovery: Recovery,
    /// The requests of this adapter.
    pub(super) routes: Routes,
    /// The number of logs that were made.
    pub(super) logs: AtomicU64,
    pub(super) fake: Box<F>,
}

impl Connected {
    /// Connects the same adapter to a new fake of its CRM.
    pub(super) fn restarted(&self) -> Connected {
        let start = FAKES.iter().find(|start| start().adapter().platform() == self.name());
        Connected::with(start.expect("the fake is in the list")(), self.recovery)
    }
}

impl<F: FakeCrm + ?Sized> Connected<F> {
    /// Connects an adapter that finds lost attempts in its best way.
    pub(super) fn new(fake: Box<F>) -> Connected<F> {
        let recovery = fake.adapter().capabilities().recovery[0];
        Connected::with(fake, recovery)
    }

    pub(super) fn with(fake: Box<F>, recovery: Recovery) -> Connected<F> {
        let crm = fake.adapter();
        Connected {
            crm,
            http: transport::client().unwrap().into(),
            clock: Clock::System,
            budgets: Budgets::default(),
            user: User {
                hostname: fake.own_hosts()[0].0.map(str::to_owned),
                account: CrmAccount { id: Some(fake.account()), ..CrmAccount::default() },
                ..user(crm)
            },
            recovery,
            routes: fake.routes(recovery),
            logs: AtomicU64::new(0),
            fake,
        }
    }

    /// Returns the reason why the CRM lacks a feature, or `None` if it has it. Only the adapter can give a reason.
    pub(super) fn lacks(&self, feature: Feature) -> Option<&'static str> {
        let capabilities = self.crm.capabilities();
        let has = |is_way: fn(&Recovery) -> bool| capabilities.recovery.iter().any(is_way);
        let (is_declared, reason) = match feature {
            Feature::FindRecords => (has(|way| *way != Recovery::None), "`recovery` is `None`"),
            Feature::Keys => (has(|way| *way == Recovery::ByKey), "no way of `recovery` is a key"),
            Feature::CompareAndSet => {
                (capabilities.compare_and_set != CompareAndSet::None, "`compare_and_set` is `None`")
            }
            Feature::Finish => (capabilities.finish != Finish::None, "`finish` is `None`"),
            Feature::Limits => (capabilities.limits != Limits::UNLIMITED, "`limits` is `UNLIMITED`"),
            Feature::OAuth => (self.crm.oauth(&self.user).is_some(), "`oauth` returns `None`"),
            Feature::DeleteRecord => return self.fake.keeps_records(),
        };
        (!is_declared).then_some(reason)
    }

    pub(super) fn name(&self) -> &'static str {
        self.crm.platform()
    }

    pub(super) fn proxy(&self) -> &Proxy {
        self.fake.proxy()
    }

    pub(super) fn access(&self) -> Access<'_> {
        self.access_for(Duration::from_secs(20))
    }

    /// Access whose requests may take this long.
    pub(super) fn access_for(&self, time: Duration) -> Access<'_> {
        Access {
            http: &self.http,
            clock: &self.clock,
            budgets: &self.budgets,
            // The client keeps the last 1.5 s of an invocation free of requests.
            deadline: Deadline(self.clock.now_ms() + 1_500 + time.as_millis() as i64),
            crm: self.crm,
            base_url: self.proxy().base_url(),
            budget: self.name().to_owned(),
            authorization: Authorization::Stored(self.fake.credentials().remove(0)),
            user: &self.user,
        }
    }

    /// The log of a call that started at this time, with a composed note as its body. Each log is of another call.
    pub(super) fn log(&self, start: &str) -> NewCallLog {
        self.log_of(start, self.details(start))
    }

    /// The log of a call that started at this time, whose body does not contain the time.
    pub(super) fn undated(&self, start: &str) -> NewCallLog {
        self.log_of(start, CallDetails { note: Some("Hi".to_owned()), ..CallDetails::default() })
    }

    /// The log of a call that started at this time, whose body contains a session id too.
    pub(super) fn with_session(&self, start: &str, id: &str) -> NewCallLog {
        self.log_of(start, CallDetails { session: SessionId::new(id), ..self.details(start) })
    }

    fn details(&self, start: &str) -> CallDetails {
        CallDetails {
            contact_number: Some("+12135550111".to_owned()),
            note: Some("Wants a quote".to_owned()),
            start: start.parse().ok(),
            duration: Some(CallDuration::Seconds(65)),
            ..CallDetails::default()
        }
    }

    fn log_of(&self, start: &str, details: CallDetails) -> NewCallLog {
        let settings = Settings([("addCallSessionId".to_owned(), json!(true))].into());
        NewCallLog {
            tag: self.new_tag(),
            recovery: self.recovery,
            subject: "Inbound Call from Bob Client".to_owned(),
            body: note::compose(
                self.crm.capabilities().format,
                &Content::new(&details, &settings, Zone::UTC),
            ),
            contact: Some(self.fake.contacts()[0].clone()),
            owner: self.crm.owner_id(&self.user),
            earlier_owners: Vec::new(),
            facts: CallFacts {
                direction: Some(Direction::Inbound),
                start: Some(start.parse().unwrap()),
                duration: Some(CallDuration::Seconds(65)),
                result: Some("Accepted".to_owned()),
                from: Some("+12135550111".to_owned()),
                to: Some("+16505550100".to_owned()),
                recording: None,
            },
            first_attempt: start.parse().unwrap(),
            additional: Map::new(),
        }
    }

    /// The tag of another call.
    pub(super) fn new_tag(&self) -> CallTag {
        let session = SessionId::new(self.logs.fetch_add(1, Ordering::Relaxed).to_string()).unwrap();
        CallTag::of(&CallKey { tenant: self.user.tenant(), session, header_user: None }.log(0))
    }

    /// Returns the number of records that are made if a log is created this often.
    pub(super) fn records_of(&self, creates: usize) -> usize {
        if self.recovery == Recovery::ByKey { 1 } else { creates }
    }

    /// Returns `true` if the CRM can change a record on the condition that it has the version that was read.
    pub(super) fn versions(&self) -> bool {
        self.crm.capabilities().compare_and_set != CompareAndSet::None
    }

    pub(super) fn contact(&self, id: &str) -> Contact {
        fake_crm::contact(id, None)
    }

    pub(super) async fn create(&self, log: &NewCallLog) -> CallLogId {
        let created = self.crm.create_record(&self.access(), log).await;
        created.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    pub(super) async fn read(&self, id: &CallLogId) -> CallLog {
        let record = self.crm.read_record(&self.access(), id).await;
        record.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    /// Creates a log that may exist already. Returns the id of the record in either case.
    pub(super) async fn create_again(&self, log: &NewCallLog) -> CallLogId {
        match self.crm.create_record(&self.access(), log).await {
            Ok(id) => id,
            Err(error) => match error.kind {
                ErrorKind::AlreadyExists(Some(id)) => id,
                _ => panic!("{}: {error:?}", self.name()),
            },
        }
    }

    /// Searches the records of the last five minutes, after the time that the CRM's search lags.
    pub(super) async fn find(&self, log: &NewCallLog) -> Vec<CallLogId> {
        self.fake.advance(self.crm.capabilities().search_lag());
        self.find_now(log).await
    }

    /// Searches the records of the last five minutes that the CRM shows now.
    pub(super) async fn find_now(&self, log: &NewCallLog) -> Vec<CallLogId> {
        let since = self.clock.now() - Duration::from_secs(300);
        let found = self.crm.find_records(&self.access(), log, since).await;
        found.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }
}
