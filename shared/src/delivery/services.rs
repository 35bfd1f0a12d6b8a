//! The services that the protocol works with. `startup` builds them once per process and lends them to every request.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    adapters::{Budgets, Crm, HttpClient, LimitScope, OAuth, RingCentral, client::with_base_url, hosts},
    delivery::{
        cleaning::Cleaning, grant::unstored::UnstoredGrants, sync_point::SyncPoints,
        tenant_hints::TenantHints, ways::Ways,
    },
    model::{BreakerKey, Clock, OAuthClient, OAuthClientError, SecretReader, User},
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
    /// The ways in which the CRMs of some tenants take the call tag.
    pub ways: Ways,
    /// RingCentral, which says who is an administrator.
    pub ringcentral: RingCentral,
    /// The sections of notes that the CRMs of some tenants change.
    pub cleaning: Cleaning,
    /// The tenants of users, as far as this process has read them.
    pub tenant_hints: TenantHints,
    /// The points where a test can pause or stop an invocation.
    pub sync_points: SyncPoints,
}

impl Services {
    /// Returns the adapter with this name.
    pub fn crm(&self, platform: &str) -> Option<&'static dyn Crm> {
        self.crms.iter().copied().find(|crm| crm.platform() == platform)
    }

    /// Returns the base URL of the user's CRM, or `None` if a stored host is not one of the CRM's own. A replaced base URL
    /// can be moved only to another server on this machine.
    pub(crate) fn crm_base_url(&self, crm: &dyn Crm, user: &User) -> Option<String> {
        let Some(url) = self.crm_base_urls.get(crm.platform()) else { return hosts::base_url(crm, user) };
        let moved = user.account.api_host.as_ref().filter(|host| is_loopback(host));
        Some(moved.unwrap_or(url).clone())
    }

    /// Returns the base URL that is asked whose a new credential is, or `None` if people cannot connect by themselves.
    pub(crate) fn identity_url(&self, crm: &dyn Crm) -> Option<String> {
        self.crm_base_urls.get(crm.platform()).cloned().or_else(|| crm.identity_url())
    }

    /// Returns the API host of the user that a response of the CRM names, or `None` if it is not one of the CRM's own.
    pub(crate) fn accepted_host(&self, crm: &dyn Crm, user: &User, named: &str) -> Option<String> {
        if self.crm_base_urls.contains_key(crm.platform()) {
            return is_loopback(named).then(|| named.to_owned());
        }
        hosts::accepted_host(crm, user, named)
    }

    /// Returns the authorization server of the user's tenant, or `None` if there is none, or if the stored login host is
    /// not one of the CRM's own. A replaced base URL replaces its hosts.
    pub(crate) fn oauth(&self, crm: &dyn Crm, user: &User) -> Option<OAuth> {
        let oauth = hosts::oauth(crm, user)?;
        let Some(base_url) = self.crm_base_urls.get(crm.platform()) else { return Some(oauth) };
        let replaced = |url: &str| with_base_url(url, base_url);
        Some(OAuth {
            authorize_url: replaced(&oauth.authorize_url)?,
            token_url: replaced(&oauth.token_url)?,
            revoke_url: oauth.revoke_url.as_deref().and_then(replaced),
            ..oauth
        })
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

    /// Returns our registration with the CRM.
    pub(crate) async fn oauth_client(&self, crm: &dyn Crm) -> Result<OAuthClient, OAuthClientError> {
        self.secrets.oauth_client(crm.platform()).await
    }
}

/// Returns `true` for the base URL of a server on this machine: `http://127.0.0.1:<port>`.
fn is_loopback(url: &str) -> bool {
    url.strip_prefix("http://127.0.0.1:").is_some_and(|port| port.parse::<u16>().is_ok())
}
