//! The services that the protocol works with. `startup` builds them once per process and lends them to every request.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    adapters::{Budgets, Crm, HttpClient, client::with_base_url},
    delivery::{grant::unstored::UnstoredGrants, sync_point::SyncPoints},
    model::{Clock, OAuthClient, OAuthClientError, SecretReader, User},
    store::Store,
};

/// Clock, clients, CRMs and secrets of one process.
#[derive(Debug)]
pub struct Services {
    /// The source of the time.
    pub clock: Clock,
    /// The client for requests to CRMs. It follows no redirects and repeats nothing.
    pub http: HttpClient,
    /// The table of users and calls.
    pub store: Store,
    /// The CRMs that callers can be users of.
    pub crms: &'static [&'static dyn Crm],
    /// Base URLs by platform that replace the CRMs' own hosts, in tests and local runs.
    pub crm_base_urls: BTreeMap<String, String>,
    /// The rate limits that each CRM has reported.
    pub budgets: Budgets,
    /// The source of secrets that belong to us rather than to a user.
    pub secrets: Arc<dyn SecretReader>,
    /// Renewed grants that the table has not stored yet.
    pub unstored_grants: UnstoredGrants,
    /// The points where a test can pause or stop an invocation.
    pub sync_points: SyncPoints,
}

impl Services {
    /// Returns the adapter with this name.
    pub fn crm(&self, platform: &str) -> Option<&'static dyn Crm> {
        self.crms.iter().copied().find(|crm| crm.platform() == platform)
    }

    /// Returns the base URL of the user's CRM, or `None` if the stored host is not one of the CRM's own.
    pub(crate) fn crm_base_url(&self, crm: &dyn Crm, user: &User) -> Option<String> {
        match self.crm_base_urls.get(crm.platform()) {
            Some(url) => Some(url.clone()),
            None => crm.base_url(user.hostname.as_deref()),
        }
    }

    /// Returns the URL where the CRM renews grants. A replaced base URL also replaces the host of this URL.
    pub(crate) fn token_url(&self, crm: &dyn Crm) -> Option<String> {
        let url = crm.token_url()?;
        match self.crm_base_urls.get(crm.platform()) {
            Some(base_url) => with_base_url(url, base_url),
            None => Some(url.to_owned()),
        }
    }

    /// Returns our registration with the CRM.
    pub(crate) async fn oauth_client(&self, crm: &dyn Crm) -> Result<OAuthClient, OAuthClientError> {
        self.secrets.oauth_client(crm.platform()).await
    }
}
