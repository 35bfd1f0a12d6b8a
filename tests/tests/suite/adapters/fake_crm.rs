//! A CRM to run an adapter against, for each of them.

use std::time::Duration;

use call_log::{
    adapters::{Access, Budgets, CallLog, Crm, NewCallLog, client::Authorization},
    model::{
        CallDuration, CallLogId, Clock, Contact, ContactId, Credentials, Deadline, Direction, Secret, UserId,
    },
    note::Format,
    startup::transport,
};
use chrono::{DateTime, Utc};
use serde_json::Map;
use tests::{
    pipedrive::{API_KEY, BOB, FakePipedrive, SOLO},
    proxy::{Proxy, Target},
};

use super::pipedrive;

pub(super) const START: &str = "2025-03-12T15:45:25Z";

/// A CRM to run an adapter against.
pub(super) struct FakeCrm {
    pub(super) crm: &'static dyn Crm,
    pub(super) server: Server,
    pub(super) http: reqwest::Client,
    pub(super) clock: Clock,
    pub(super) budgets: Budgets,
    pub(super) user: UserId,
    /// Two contacts that the CRM knows.
    pub(super) contacts: [String; 2],
    pub(super) routes: Routes,
}

pub(super) enum Server {
    Pipedrive(FakePipedrive),
    Example(Proxy),
}

pub(super) struct Routes {
    pub(super) create: Target,
    pub(super) read: Target,
    pub(super) update: Target,
    pub(super) list: Target,
    pub(super) find_contact: Target,
    pub(super) create_contact: Target,
}

impl FakeCrm {
    /// The stand of an adapter. Whoever registers an adapter gives it one.
    pub(super) fn of(crm: &'static dyn Crm) -> FakeCrm {
        let (server, contacts, routes) = match crm.platform() {
            "example" => {
                (Server::Example(example_crm()), ["c-1", "c-2"].map(str::to_owned), example_routes())
            }
            "pipedrive" => (
                Server::Pipedrive(FakePipedrive::start()),
                [BOB, SOLO].map(|id| id.to_string()),
                pipedrive::routes(),
            ),
            other => panic!("the adapter {other} has no stand to be tested against"),
        };
        FakeCrm {
            crm,
            server,
            http: transport::client().unwrap(),
            clock: Clock::System,
            budgets: Budgets::default(),
            user: UserId::new(format!("12345-{}", crm.platform())).unwrap(),
            contacts,
            routes,
        }
    }

    pub(super) fn proxy(&self) -> &Proxy {
        match &self.server {
            Server::Pipedrive(stand_in) => stand_in.proxy(),
            Server::Example(proxy) => proxy,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.crm.platform()
    }

    pub(super) fn access(&self) -> Access<'_> {
        self.access_for(Duration::from_secs(20))
    }

    /// Access that may use this much time.
    pub(super) fn access_for(&self, time: Duration) -> Access<'_> {
        Access {
            http: &self.http,
            clock: &self.clock,
            budgets: &self.budgets,
            deadline: Deadline(self.clock.now_ms() + 1_500 + time.as_millis() as i64),
            base_url: self.proxy().base_url(),
            authorization: Authorization::Stored(Credentials::ApiKey(Secret::new(API_KEY))),
            user: &self.user,
        }
    }

    /// A log of a call that started then, with a body as our notes are.
    pub(super) fn log(&self, start: &str) -> NewCallLog {
        let start: DateTime<Utc> = start.parse().unwrap();
        let shown = start.format("%Y-%m-%d %I:%M:%S %p");
        let body = match self.crm.format() {
            Format::Html => format!(
                "<b>Agent notes</b><br>Wants a quote<br><br><b>Call details</b><ul>\
                 <li><b>Caller phone number</b>: +12135550111</li><li><b>Date/time</b>: {shown}</li>\
                 <li><b>Duration</b>: 1 minute, 5 seconds</li></ul>"
            ),
            _ => format!(
                "- Note: Wants a quote\n- Contact Number: +12135550111\n- Date/Time: {shown}\n\
                 - Duration: 1 minute, 5 seconds\n"
            ),
        };
        NewCallLog {
            subject: "Inbound Call from Bob Client".to_owned(),
            body,
            contact: self.contact(&self.contacts[0]),
            direction: Direction::Inbound,
            start: Some(start),
            duration: Some(CallDuration::Seconds(65)),
            result: Some("Accepted".to_owned()),
            additional: Map::new(),
        }
    }

    /// The same without a line that says when.
    pub(super) fn undated(&self, start: &str) -> NewCallLog {
        let body = match self.crm.format() {
            Format::Html => "<b>Agent notes</b><br>Hi<br><br><b>Call details</b><ul></ul>",
            _ => "- Note: Hi\n",
        };
        NewCallLog { body: body.to_owned(), ..self.log(start) }
    }

    pub(super) fn contact(&self, id: &str) -> Contact {
        Contact { id: ContactId::new(id).unwrap(), kind: None, name: None, phone_number: None }
    }

    pub(super) async fn create(&self, log: &NewCallLog) -> CallLogId {
        self.crm
            .create_log(&self.access(), log)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    pub(super) async fn read(&self, id: &CallLogId) -> CallLog {
        self.crm
            .read_log(&self.access(), id)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    pub(super) async fn find(&self, log: &NewCallLog) -> Vec<CallLogId> {
        let since = self.clock.now() - Duration::from_secs(300);
        self.crm.find_logs(&self.access(), log, since).await.unwrap()
    }
}

/// The Example CRM as `call-log serve` has it.
fn example_crm() -> Proxy {
    let crm = cli::example_crm::ExampleCrm::open(None, API_KEY, Clock::System).unwrap();
    Proxy::around(cli::example_crm::router(crm))
}

fn example_routes() -> Routes {
    let target = |method, path| Target { method, path };
    Routes {
        create: target("POST", "/example-crm/v1/activities"),
        read: target("GET", "/example-crm/v1/activities/*"),
        update: target("PATCH", "/example-crm/v1/activities/*"),
        list: target("GET", "/example-crm/v1/activities"),
        find_contact: target("GET", "/example-crm/v1/contacts"),
        create_contact: target("POST", "/example-crm/v1/contacts"),
    }
}
