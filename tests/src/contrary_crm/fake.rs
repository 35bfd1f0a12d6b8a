//! A running Contrary CRM, as the conformance suite sees it.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use call_log::{
    adapters::{Crm, Effect, ErrorKind, Recovery},
    model::{CallLogId, Clock, Contact, Credentials, OAuthClient, Secret},
};
use chrono::TimeDelta;

use super::{
    ContraryCrm,
    adapter::API_VERSION,
    records::{API_KEY, CLIENT, ORGANISATION, REFRESH_TOKEN, Records, SESSION},
    server::{basic, lock, router},
};
use crate::{
    fake_crm::{Change, FakeCrm, OwnError, Routes, contact},
    proxy::{Proxy, Target},
};

/// A running fake; it stops when it is dropped.
#[derive(Debug)]
pub struct FakeContraryCrm {
    proxy: Proxy,
    records: Arc<Mutex<Records>>,
}

impl FakeContraryCrm {
    /// Starts a fake with a person, a company and no calls.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> FakeContraryCrm {
        let records = Arc::new(Mutex::new(Records::new(Clock::System)));
        FakeContraryCrm { proxy: Proxy::around(router(records.clone())), records }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }
}

impl FakeCrm for FakeContraryCrm {
    fn adapter(&self) -> &'static dyn Crm {
        &ContraryCrm
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn credentials(&self) -> Vec<Credentials> {
        let session = Credentials::OAuth {
            access_token: Secret::new(SESSION),
            refresh_token: Some(Secret::new(REFRESH_TOKEN)),
            expires_at: None,
        };
        vec![Credentials::ApiKey(Secret::new(API_KEY)), session]
    }

    fn authorization_header(&self) -> String {
        basic()
    }

    fn account(&self) -> String {
        ORGANISATION.to_owned()
    }

    fn contacts(&self) -> [Contact; 2] {
        let records = self.records();
        [0, 1].map(|at: usize| contact(&records.parties[at].id, Some(&records.parties[at].kind)))
    }

    fn routes(&self, recovery: Recovery) -> Routes {
        let target = |method, path| Target { method, path };
        let is_keyed = recovery == Recovery::ByKey;
        let by_key = |method| target(method, "/v3/calls/*");
        Routes {
            create: if is_keyed { by_key("PUT") } else { target("POST", "/v3/calls") },
            read: target("GET", "/v3/calls/*"),
            update: target("POST", "/v3/calls/*"),
            find: if is_keyed { by_key("GET") } else { target("GET", "/v3/search/calls") },
            finish: Some(target("POST", "/v3/calls/*/time")),
            find_contacts: target("GET", "/v3/parties"),
            create_contact: target("POST", "/v3/parties"),
        }
    }

    fn errors(&self) -> Vec<OwnError> {
        let error = |status, body, kind| OwnError { status, body, kind, effect: Effect::None };
        let limited = ErrorKind::RateLimited { retry_after: None };
        vec![
            OwnError::rejection(
                200,
                r#"{"status": "error", "code": "INVALID_DATA", "message": ["The party is archived.", "headline"]}"#,
                "The party is archived.; headline",
            ),
            error(
                200,
                r#"{"status": "error", "code": "UNABLE_TO_LOCK", "message": ["Another user saves this party."]}"#,
                ErrorKind::Unavailable,
            ),
            error(
                200,
                r#"{"status": "error", "code": "TOO_MANY_REQUESTS", "message": ["Slow down."]}"#,
                limited,
            ),
            error(
                409,
                r#"{"status": "error", "code": "STALE", "message": ["The call has changed."]}"#,
                ErrorKind::Conflict,
            ),
            error(
                401,
                r#"{"status": "error", "code": "NO_SESSION", "message": ["Log in."]}"#,
                ErrorKind::Unauthorized,
            ),
        ]
    }

    fn record_count(&self) -> usize {
        self.records().calls.len()
    }

    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)] {
        &[
            (Some("eu.contrary-crm.example"), "https://eu.contrary-crm.example"),
            (Some("us.contrary-crm.example"), "https://us.contrary-crm.example"),
        ]
    }

    fn foreign_hosts(&self) -> &'static [&'static str] {
        &[
            "contrary-crm.example",
            "de.contrary-crm.example",
            "login.eu.contrary-crm.example",
            "EU.contrary-crm.example",
            "eu.contrary-crm.example.evil.example",
            "eu.contrary-crm.example/",
            "evil.example/eu.contrary-crm.example",
        ]
    }

    fn fixed_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[API_VERSION]
    }

    fn oauth_client(&self) -> OAuthClient {
        let [id, secret] = CLIENT;
        OAuthClient { id: id.to_owned(), secret: Secret::new(secret) }
    }

    fn end_access(&self) {
        let mut records = self.records();
        records.sessions.clear();
        records.access.clear();
    }

    fn advance(&self, time: Duration) {
        self.records().advanced += TimeDelta::from_std(time).expect("a short time");
    }

    fn refuse_keys(&self, on: bool) {
        self.records().keys_are_off = on;
    }

    fn completions(&self, id: &CallLogId) -> Vec<String> {
        let records = self.records();
        let position = records.position(id.as_str()).expect("a call");
        records.calls[position].time.iter().map(|entry| format!("{} s", entry.seconds)).collect()
    }

    fn edit_completion(&self, id: &CallLogId) {
        let mut records = self.records();
        let position = records.position(id.as_str()).expect("a call");
        let entry = records.calls[position].time.first_mut().expect("a time entry");
        (entry.seconds, entry.changed_by) = (1, "person");
    }

    fn changes(&self) -> &'static [Change] {
        &[Change::StripsAstral, Change::Composes, Change::CrLf, Change::Trims]
    }

    fn switch(&self, change: Change, on: bool) {
        let mut records = self.records();
        match on {
            true => records.changes.insert(change),
            false => records.changes.remove(&change),
        };
    }
}
