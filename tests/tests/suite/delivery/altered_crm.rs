//! Pipedrive's adapter with what a test changes about it: another declaration, or another meaning of responses.

use std::sync::Arc;

use async_trait::async_trait;
use call_log::{
    adapters::{
        self, Access, Authentication, CallFacts, CallLog, CallLogChange, Capabilities, Crm, CrmRequest,
        CrmResponse, Error, Fields, HeaderMap, NewCallLog, NewContact, OAuth, Presentation, Profile,
        RateLimits,
    },
    model::{CallLogId, Contact, Credentials, User},
    startup::app::App,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// An adapter that does as Pipedrive's, except for what its fields change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlteredCrm {
    /// The declaration. If searches lag, they show no record that is younger.
    pub(crate) capabilities: Capabilities,
    /// The error that a response is.
    pub(crate) classify: fn(&CrmResponse) -> Option<Error>,
    /// The rate limits that a response reports.
    pub(crate) rate_limits: fn(&HeaderMap) -> RateLimits,
    /// The rate limit of its own that searches for records count towards.
    pub(crate) search_bucket: Option<&'static str>,
}

impl Default for AlteredCrm {
    fn default() -> AlteredCrm {
        AlteredCrm {
            capabilities: pipedrive().capabilities(),
            classify: |_| None,
            rate_limits: RateLimits::from_common_headers,
            search_bucket: None,
        }
    }
}

impl AlteredCrm {
    /// Returns Pipedrive's adapter, for a company without automations.
    pub(crate) fn showing_edits() -> AlteredCrm {
        let pipedrive = AlteredCrm::default();
        let capabilities = Capabilities { shows_edits: true, ..pipedrive.capabilities };
        AlteredCrm { capabilities, ..pipedrive }
    }

    /// Uses this adapter in an app that nothing else refers to.
    pub(crate) fn install(self, app: &mut Arc<App>) {
        let crm: &'static dyn Crm = Box::leak(Box::new(self));
        let app = Arc::get_mut(app).expect("nothing else refers to the app");
        app.api.services.crms = Box::leak(Box::new([crm]));
    }
}

fn pipedrive() -> &'static dyn Crm {
    adapters::find("pipedrive").expect("the registry has Pipedrive")
}

#[async_trait]
impl Crm for AlteredCrm {
    fn platform(&self) -> &'static str {
        pipedrive().platform()
    }

    fn display_name(&self) -> &'static str {
        pipedrive().display_name()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn presentation(&self) -> Presentation {
        pipedrive().presentation()
    }

    fn base_url(&self, user: &User) -> Option<String> {
        pipedrive().base_url(user)
    }

    fn authentication(&self, credentials: &Credentials) -> Authentication {
        pipedrive().authentication(credentials)
    }

    fn oauth(&self, user: &User) -> Option<OAuth> {
        pipedrive().oauth(user)
    }

    async fn identify(&self, access: &Access<'_>) -> Result<Profile, Error> {
        pipedrive().identify(access).await
    }

    fn classify(&self, response: &CrmResponse) -> Option<Error> {
        (self.classify)(response).or_else(|| pipedrive().classify(response))
    }

    fn rate_limits(&self, headers: &HeaderMap) -> RateLimits {
        (self.rate_limits)(headers)
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        pipedrive().fields(facts)
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        pipedrive().create_record(access, log).await
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        pipedrive().read_record(access, id).await
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        pipedrive().update_record(access, id, change).await
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        if let Some(bucket) = self.search_bucket {
            access.send(CrmRequest::read("activities", "/api/v2/activities").bucket(bucket)).await?;
        }
        let lag = TimeDelta::from_std(self.capabilities.search_lag()).expect("a short time");
        let mut found = Vec::new();
        for id in pipedrive().find_records(access, log, since).await? {
            let request = CrmRequest::read("activities/{id}", format!("/api/v2/activities/{id}"));
            let record: Value = access.send(request).await?.json()?;
            let created: DateTime<Utc> =
                record["data"]["add_time"].as_str().and_then(|time| time.parse().ok()).expect("a time");
            if access.clock.now() - created >= lag {
                found.push(id);
            }
        }
        Ok(found)
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        pipedrive().delete_record(access, id).await
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        pipedrive().find_contacts(access, phone_number).await
    }

    async fn create_contact(&self, access: &Access<'_>, contact: &NewContact) -> Result<Contact, Error> {
        pipedrive().create_contact(access, contact).await
    }
}
