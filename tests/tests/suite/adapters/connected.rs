//! An adapter that is connected to the fake of its CRM.

use std::time::Duration;

use call_log::{
    adapters::{Access, Authorization, Budgets, CallFacts, CallLog, CompareAndSet, Crm, NewCallLog},
    model::{
        CallDetails, CallDuration, CallKey, CallLogId, CallTag, Clock, Contact, ContactId, Credentials,
        Deadline, Direction, Platform, Secret, SessionId, Settings, User, UserId, Zone,
    },
    note::{self, Content},
    startup::transport,
};
use serde_json::{Map, json};
use tests::{
    fake_crm::{FakeCrm, Routes},
    proxy::Proxy,
};

/// A user of this CRM, without a host and without credentials.
pub(super) fn user(crm: &dyn Crm) -> User {
    User {
        id: UserId::new(format!("12345-{}", crm.platform())).unwrap(),
        platform: Platform::new(crm.platform()).unwrap(),
        hostname: None,
        zone: None,
        settings: Settings::default(),
        credentials: None,
    }
}

/// The start of most calls of the suite.
pub(super) const START: &str = "2025-03-12T15:45:25Z";

/// An adapter, the fake of its CRM, and what the adapter needs for requests.
pub(super) struct Connected<F: ?Sized = dyn FakeCrm> {
    pub(super) crm: &'static dyn Crm,
    pub(super) http: reqwest::Client,
    pub(super) clock: Clock,
    pub(super) budgets: Budgets,
    pub(super) user: User,
    /// The requests of this adapter.
    pub(super) routes: Routes,
    pub(super) fake: Box<F>,
}

impl<F: FakeCrm + ?Sized> Connected<F> {
    pub(super) fn new(fake: Box<F>) -> Connected<F> {
        let crm = fake.adapter();
        Connected {
            crm,
            http: transport::client().unwrap(),
            clock: Clock::System,
            budgets: Budgets::default(),
            user: user(crm),
            routes: fake.routes(),
            fake,
        }
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
            authorization: Authorization::Stored(Credentials::ApiKey(Secret::new(self.fake.api_key()))),
            user: &self.user,
        }
    }

    /// The log of a call that started at this time, with a composed note as its body.
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
            tag: self.tag(start),
            recovery: self.crm.capabilities().recovery[0],
            subject: "Inbound Call from Bob Client".to_owned(),
            body: note::compose(
                self.crm.capabilities().format,
                &Content::new(&details, &settings, Zone::UTC),
            ),
            contact: self.contact(&self.fake.contacts()[0]),
            facts: CallFacts {
                direction: Some(Direction::Inbound),
                start: Some(start.parse().unwrap()),
                duration: Some(CallDuration::Seconds(65)),
                result: Some("Accepted".to_owned()),
            },
            first_attempt: start.parse().unwrap(),
            additional: Map::new(),
        }
    }

    /// The tag of a call that started at this time.
    fn tag(&self, start: &str) -> CallTag {
        let session = SessionId::new(start).unwrap();
        CallTag::of(&CallKey { user: self.user.key(), session, extension: None })
    }

    /// Returns `true` if the CRM can change a record on the condition that it has the version that was read.
    pub(super) fn versions(&self) -> bool {
        self.crm.capabilities().compare_and_set != CompareAndSet::None
    }

    pub(super) fn contact(&self, id: &str) -> Contact {
        Contact { id: ContactId::new(id).unwrap(), kind: None, name: None, phone_number: None }
    }

    pub(super) async fn create(&self, log: &NewCallLog) -> CallLogId {
        let created = self.crm.create_record(&self.access(), log).await;
        created.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    pub(super) async fn read(&self, id: &CallLogId) -> CallLog {
        let record = self.crm.read_record(&self.access(), id).await;
        record.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    /// Searches the records of the last five minutes, after the time that the CRM's search lags.
    pub(super) async fn find(&self, log: &NewCallLog) -> Vec<CallLogId> {
        tokio::time::sleep(self.crm.capabilities().search_lag()).await;
        let since = self.clock.now() - Duration::from_secs(300);
        let found = self.crm.find_records(&self.access(), log, since).await;
        found.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }
}
