//! The fake as the conformance suite sees it.

use std::time::Duration;

use call_log::{
    adapters::{self, Crm, Effect, ErrorKind, Recovery},
    model::{Contact, Credentials, OAuthClient, Secret},
};
use chrono::TimeDelta;

use super::{ACCESS_TOKEN, API_KEY, BOB, CLIENT, FakeHubSpot, HUB, KeyProperty, Kind, REFRESH_TOKEN, Route};
use crate::{
    fake_crm::{Change, FakeCrm, OwnError, Routes, contact},
    proxy::Proxy,
};

impl FakeCrm for FakeHubSpot {
    fn adapter(&self) -> &'static dyn Crm {
        adapters::find("hubspot").expect("the adapter is in the registry")
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn credentials(&self) -> Vec<Credentials> {
        let grant = Credentials::OAuth {
            access_token: Secret::new(ACCESS_TOKEN),
            refresh_token: Some(Secret::new(REFRESH_TOKEN)),
            expires_at: None,
        };
        vec![Credentials::ApiKey(Secret::new(API_KEY)), grant]
    }

    fn authorization_header(&self) -> String {
        format!("Bearer {ACCESS_TOKEN}")
    }

    fn contacts(&self) -> [Contact; 2] {
        [BOB, BOB + 1].map(|id| contact(&id.to_string(), None))
    }

    fn account(&self) -> String {
        HUB.to_string()
    }

    fn routes(&self, recovery: Recovery) -> Routes {
        let find = if recovery == Recovery::ByKey { Route::GetCall } else { Route::SearchCalls };
        Routes {
            create: Route::CreateCall.target(),
            read: Route::GetCall.target(),
            update: Route::UpdateCall.target(),
            find: find.target(),
            finish: None,
            find_contacts: Route::SearchContacts.target(),
            create_contact: Route::CreateContact.target(),
        }
    }

    fn errors(&self) -> Vec<OwnError> {
        let error = |status, body, kind| OwnError { status, body, kind, effect: Effect::None };
        let limited =
            |seconds: Option<u64>| ErrorKind::RateLimited { retry_after: seconds.map(Duration::from_secs) };
        let scope = ErrorKind::Forbidden {
            message: "The app needs the scope crm.objects.contacts.write.".to_owned(),
        };
        vec![
            OwnError::rejection(
                400,
                r#"{"status": "error", "message": "Property values were not valid: [{\"isValid\":false,\"message\":\"The owner 7 is not active\",\"error\":\"INVALID_OWNER_ID\",\"name\":\"hubspot_owner_id\"}]", "correlationId": "c0ffee", "category": "VALIDATION_ERROR"}"#,
                "The owner 7 is not active",
            ),
            OwnError::rejection(
                400,
                r#"{"status": "error", "message": "Invalid input JSON on line 1, column 9", "correlationId": "c0ffee"}"#,
                "Invalid input JSON on line 1, column 9",
            ),
            error(
                403,
                r#"{"status": "error", "message": "This app hasn't been granted all required scopes.", "errors": [{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}], "category": "MISSING_SCOPES"}"#,
                scope,
            ),
            error(
                429,
                r#"{"status": "error", "message": "You have reached your ten_secondly_rolling limit.", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}"#,
                limited(None),
            ),
            error(
                429,
                r#"{"status": "error", "message": "You have reached your daily limit.", "errorType": "RATE_LIMIT", "policyName": "DAILY"}"#,
                ErrorKind::QuotaExceeded { resets_in: None },
            ),
            error(423, r#"{"status": "error", "message": "Locked"}"#, limited(Some(2))),
            error(477, r#"{"status": "error", "message": "Migration in progress"}"#, limited(None)),
        ]
    }

    fn record_count(&self) -> usize {
        let records = self.records();
        records.objects.iter().filter(|((kind, _), call)| *kind == Kind::Call && !call.is_archived).count()
    }

    fn own_hosts(&self) -> &'static [(Option<&'static str>, &'static str)] {
        &[
            (Some("app.hubspot.com"), "https://api.hubapi.com"),
            (Some("app-eu1.hubspot.com"), "https://api.hubapi.com"),
            (Some("app-na2.hubspot.com"), "https://api.hubapi.com"),
        ]
    }

    fn foreign_hosts(&self) -> &'static [&'static str] {
        &[
            "hubspot.com",
            "www.hubspot.com",
            "acme.hubspot.com",
            "app-eu.hubspot.com",
            "app-xx1.hubspot.com",
            "APP.hubspot.com",
            "app.hubspot.com.evil.example",
            "app.hubspot.com:443",
            "evil.example/app.hubspot.com",
            "api.hubapi.com",
        ]
    }

    fn keeps_records(&self) -> Option<&'static str> {
        Some("HubSpot itself changes a call after its creation")
    }

    fn oauth_client(&self) -> OAuthClient {
        let [id, secret] = CLIENT;
        OAuthClient { id: id.to_owned(), secret: Secret::new(secret) }
    }

    fn end_access(&self) {
        self.records().access.retain(|access| access == API_KEY);
    }

    fn advance(&self, time: Duration) {
        self.records().advanced += TimeDelta::from_std(time).expect("a short time");
    }

    fn refuse_keys(&self, on: bool) {
        self.records().key_property = if on { KeyProperty::Missing } else { KeyProperty::Unique };
    }

    fn changes(&self) -> &'static [Change] {
        &[Change::RewritesMarkup, Change::Trims]
    }

    fn switch(&self, change: Change, on: bool) {
        let mut records = self.records();
        match on {
            true => records.changes.insert(change),
            false => records.changes.remove(&change),
        };
    }
}
