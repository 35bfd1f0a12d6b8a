//! The fake of the Example CRM: the Example CRM itself, in memory, as `call-log serve` contains it.

use call_log::{
    adapters::{self, Crm, Recovery},
    model::{Clock, Contact, Credentials},
};

use cli::example_crm::{ExampleCrm, router};

use crate::{
    fake_crm::{FakeCrm, OwnError, Routes, contact, key_and_token},
    proxy::{Proxy, Target},
};

/// The key that the Example CRM accepts.
pub const API_KEY: &str = "example-api-key";

/// A running Example CRM; it stops when it is dropped.
#[derive(Debug)]
pub struct FakeExampleCrm {
    proxy: Proxy,
    crm: ExampleCrm,
}

impl FakeExampleCrm {
    /// Starts an Example CRM with its usual contacts and no activities.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> FakeExampleCrm {
        let crm = ExampleCrm::open(None, API_KEY, Clock::System)
            .expect("a CRM in memory has no file that could be unreadable");
        FakeExampleCrm { proxy: Proxy::around(router(crm.clone())), crm }
    }
}

impl FakeCrm for FakeExampleCrm {
    fn adapter(&self) -> &'static dyn Crm {
        adapters::find("example").expect("the adapter is in the registry")
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn credentials(&self) -> Vec<Credentials> {
        key_and_token(API_KEY, None)
    }

    fn authorization_header(&self) -> String {
        format!("Bearer {API_KEY}")
    }

    fn account(&self) -> String {
        "example".to_owned()
    }

    fn contacts(&self) -> [Contact; 2] {
        ["c-1", "c-2"].map(|id| contact(id, None))
    }

    fn routes(&self, _: Recovery) -> Routes {
        let target = |method, path| Target { method, path };
        Routes {
            create: target("POST", "/example-crm/v1/activities"),
            read: target("GET", "/example-crm/v1/activities/*"),
            update: target("PATCH", "/example-crm/v1/activities/*"),
            find: target("GET", "/example-crm/v1/activities"),
            finish: None,
            find_contacts: target("GET", "/example-crm/v1/contacts"),
            create_contact: target("POST", "/example-crm/v1/contacts"),
        }
    }

    fn errors(&self) -> Vec<OwnError> {
        let body = r#"{"error": "`subject` is missing"}"#;
        vec![OwnError::rejection(422, body, "`subject` is missing")]
    }

    fn record_count(&self) -> usize {
        self.crm.activity_count()
    }

    /// The Example CRM runs on this machine, whatever the user's host.
    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)] {
        &[(None, "http://127.0.0.1:3000"), (Some("example.com"), "http://127.0.0.1:3000")]
    }

    fn foreign_hosts(&self) -> &'static [&'static str] {
        &[]
    }
}
