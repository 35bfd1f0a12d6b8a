//! The services that the protocol works with. `startup` builds them once per process and lends them to every request.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    adapters::{Budgets, Crm, HttpClient, LimitScope, OAuth, client::with_base_url},
    delivery::{grant::unstored::UnstoredGrants, sync_point::SyncPoints, ways::Ways},
    model::{Clock, OAuthClient, SecretReader, User},
    store::{BreakerKey, Store},
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
    /// The ways in which the CRMs of some tenants take the call tag.
    pub ways: Ways,
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
            None => crm.base_url(user),
        }
    }

    /// Returns the authorization server of the user's tenant. A replaced base URL also replaces its host.
    pub(crate) fn oauth(&self, crm: &dyn Crm, user: &User) -> Option<OAuth> {
        let oauth = crm.oauth(user)?;
        let Some(base_url) = self.crm_base_urls.get(crm.platform()) else { return Some(oauth) };
        Some(OAuth { token_url: with_base_url(&oauth.token_url, base_url)?, ..oauth })
    }

    /// Returns the key of those whose requests the CRM counts together with this user's.
    pub(crate) fn breaker_key(&self, crm: &dyn Crm, user: &User) -> BreakerKey {
        match crm.capabilities().limit_scope {
            LimitScope::Account => BreakerKey::Tenant(user.tenant()),
            LimitScope::User => BreakerKey::User(user.key()),
        }
    }

    /// Returns the key of the rate limits that this user's requests count towards.
    pub(crate) fn budget(&self, crm: &dyn Crm, user: &User) -> String {
        self.breaker_key(crm, user).to_string()
    }

    /// Returns our registration with the CRM, if there is one.
    pub(crate) async fn oauth_client(&self, crm: &dyn Crm) -> Option<OAuthClient> {
        self.secrets.oauth_client(crm.platform()).await
    }
}
