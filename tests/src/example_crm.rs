//! The fake of the Example CRM: the Example CRM itself, in memory, as `call-log serve` contains it.

use call_log::{
    adapters::{self, Crm},
    model::Clock,
};

use crate::{
    fake_crm::{FakeCrm, Routes},
    proxy::{Proxy, Target},
};

/// The key that the Example CRM accepts.
pub const API_KEY: &str = "example-api-key";

/// A running Example CRM; it stops when it is dropped.
#[derive(Debug)]
pub struct FakeExampleCrm {
    proxy: Proxy,
}

impl FakeExampleCrm {
    /// Starts an Example CRM with its usual contacts and no activities.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> FakeExampleCrm {
        let crm = cli::example_crm::ExampleCrm::open(None, API_KEY, Clock::System)
            .expect("a CRM in memory has no file that could be unreadable");
        FakeExampleCrm { proxy: Proxy::around(cli::example_crm::router(crm)) }
    }
}

impl FakeCrm for FakeExampleCrm {
    fn adapter(&self) -> &'static dyn Crm {
        adapters::find("example").expect("the adapter is in the registry")
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn api_key(&self) -> &'static str {
        API_KEY
    }

    fn contacts(&self) -> [String; 2] {
        ["c-1", "c-2"].map(str::to_owned)
    }

    fn routes(&self) -> Routes {
        let target = |method, path| Target { method, path };
        Routes {
            create: target("POST", "/example-crm/v1/activities"),
            read: target("GET", "/example-crm/v1/activities/*"),
            update: target("PATCH", "/example-crm/v1/activities/*"),
            list: target("GET", "/example-crm/v1/activities"),
            find_contacts: target("GET", "/example-crm/v1/contacts"),
            create_contact: target("POST", "/example-crm/v1/contacts"),
        }
    }

    /// The Example CRM runs on this machine, whatever the user's host.
    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)] {
        &[(None, "http://127.0.0.1:3000"), (Some("example.com"), "http://127.0.0.1:3000")]
    }

    fn foreign_hosts(&self) -> &'static [&'static str] {
        &[]
    }
}
