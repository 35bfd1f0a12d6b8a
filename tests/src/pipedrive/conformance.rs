//! The fake as the conformance suite sees it.

use call_log::{
    adapters::{self, Crm, Effect, ErrorKind, Recovery},
    model::{Contact, Credentials},
};

use super::{ACCESS_TOKEN, API_KEY, BOB, COMPANY, FakePipedrive, REFRESH_TOKEN, Route, SOLO};
use crate::{
    fake_crm::{Change, FakeCrm, OwnError, Routes, contact, key_and_token},
    proxy::Proxy,
};

impl FakeCrm for FakePipedrive {
    fn adapter(&self) -> &'static dyn Crm {
        adapters::find("pipedrive").expect("the adapter is in the registry")
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn credentials(&self) -> Vec<Credentials> {
        key_and_token(API_KEY, Some(REFRESH_TOKEN))
    }

    fn authorization_header(&self) -> String {
        format!("Bearer {ACCESS_TOKEN}")
    }

    fn account(&self) -> String {
        COMPANY.to_string()
    }

    fn contacts(&self) -> [Contact; 2] {
        [BOB, SOLO].map(|id| contact(&id.to_string(), None))
    }

    fn routes(&self, _: Recovery) -> Routes {
        Routes {
            create: Route::CreateActivity.target(),
            read: Route::GetActivity.target(),
            update: Route::UpdateActivity.target(),
            find: Route::ListActivities.target(),
            finish: None,
            find_contacts: Route::SearchPersons.target(),
            create_contact: Route::CreatePerson.target(),
        }
    }

    fn errors(&self) -> Vec<OwnError> {
        let refusal =
            r#"{"success": false, "error": "Bad request", "error_info": "The deal is closed", "data": null}"#;
        let contradiction = OwnError {
            status: 200,
            body: r#"{"success": false, "error": "Bad request"}"#,
            kind: ErrorKind::Malformed,
            effect: Effect::Unknown,
        };
        vec![OwnError::rejection(400, refusal, "The deal is closed"), contradiction]
    }

    fn record_count(&self) -> usize {
        self.activities().len()
    }

    fn end_access(&self) {
        FakePipedrive::end_access(self);
    }

    fn changes(&self) -> &'static [Change] {
        &[Change::RewritesMarkup]
    }

    fn switch(&self, _: Change, on: bool) {
        self.normalise(on);
    }

    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)] {
        &[
            (Some("acme.pipedrive.com"), "https://acme.pipedrive.com"),
            (Some("a-1.pipedrive.com"), "https://a-1.pipedrive.com"),
        ]
    }

    fn foreign_hosts(&self) -> &'static [&'static str] {
        &[
            "pipedrive.com",
            ".pipedrive.com",
            "a.b.pipedrive.com",
            "ACME.pipedrive.com",
            "acme.pipedrive.com.",
            "acme.pipedrive.com:443",
            "user@acme.pipedrive.com",
            "evil.com/.pipedrive.com",
            "evil.com#.pipedrive.com",
            "acme.pipedrive.com.evil.com",
            "acmé.pipedrive.com",
            "acme.pipedrive.com\n",
            // The label has 64 characters, one too many.
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.pipedrive.com",
        ]
    }
}
