//! Grant: the right to call one user's CRM. Stored credentials are renewed before they expire, by one invocation at a
//! time.
//!
//! Many providers rotate refresh tokens, so that each works only once. Therefore an invocation claims the renewal in the
//! table before it asks the token host, and stores the new grant on the condition that no other was stored meanwhile.
//! While the present token is still good, other invocations continue with it and do not wait.

mod requests;
pub mod unstored;

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    adapters::{
        self, Access, Authorization, Crm, Effect, ErrorKind,
        oauth::{GrantError, OAuth, Session, end_after, renew_grant},
    },
    delivery::{failure::Failure, services::Services},
    model::{Credentials, Deadline, OAuthClientError, Secret, Zone},
    store::{self, StoredUser},
    telemetry::{self, Metric},
};

/// The time before a token's expiry in which one invocation renews it and the others continue with it.
const RENEWAL_WINDOW: TimeDelta = TimeDelta::minutes(10);
/// The time before its expiry from which a token counts as expired.
const EXPIRY_MARGIN: TimeDelta = TimeDelta::minutes(2);
/// The time that a renewal needs. If the invocation ended during a renewal, the only refresh token could be lost.
const RENEWAL_TIME: Duration = Duration::from_secs(8);
/// The time that must be left for another attempt to store a renewed grant.
const STORING_TIME: Duration = Duration::from_secs(3);
/// The pause between two attempts to store a renewed grant.
const STORING_PAUSE: Duration = Duration::from_millis(200);
/// The time that one invocation has for a renewal before another may claim it, in milliseconds.
const RENEWAL_LEASE_MS: i64 = 15_000;
/// The time that a CRM has while a person waits, in milliseconds, with the reserve that a client of a CRM keeps free.
const PATIENCE_MS: i64 = 5_500;
/// The pauses between reads of the user while another invocation renews the grant.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_200),
    Duration::from_millis(1_300),
];

/// The right to call one user's CRM during one invocation.
#[derive(Debug)]
pub struct Grant<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    user: StoredUser,
    /// The caller's own authorization, which takes precedence over the stored credentials and is never renewed.
    authorization: Option<Secret>,
    deadline: Deadline,
    /// The end of a request to the CRM, if it is earlier. A renewal may take longer: cut short, it could end the session.
    patience: Deadline,
    /// The name of this invocation.
    holder: &'a str,
    /// The CRM has rejected a token that should have been good.
    was_rejected: bool,
}

impl<'a> Grant<'a> {
    /// Returns the grant of a connected user. Renews it first if it is about to expire.
    ///
    /// # Errors
    /// Fails if the user has to connect again, if the stored host is not one of the CRM's own, or if a grant that has
    /// expired cannot be renewed now.
    pub async fn obtain(
        services: &'a Services,
        crm: &'static dyn Crm,
        user: StoredUser,
        authorization: Option<Secret>,
        deadline: Deadline,
        holder: &'a str,
    ) -> Result<Grant<'a>, Failure> {
        let (patience, was_rejected) = (deadline, false);
        let mut grant =
            Grant { services, crm, user, authorization, deadline, patience, holder, was_rejected };
        grant.base_url()?;
        if let Some(unstored) = services.unstored_grants.take(&mut grant.user) {
            grant.store(unstored).await?;
        }
        match grant.freshness() {
            Freshness::Fresh => {}
            Freshness::ExpiresSoon => grant.renew_ahead().await,
            Freshness::Expired => grant.renew().await?,
        }
        Ok(grant)
    }

    /// Returns the grant of a request for which a person waits: from now on, the CRM has four seconds to answer.
    pub(crate) fn impatient(mut self) -> Grant<'a> {
        self.patience = Deadline(self.deadline.0.min(self.now_ms() + PATIENCE_MS));
        self
    }

    /// Returns the user as the table has them.
    pub(crate) fn user(&self) -> &StoredUser {
        &self.user
    }

    /// Returns `true` if requests carry the authorization that the caller brought.
    pub(crate) fn is_of_caller(&self) -> bool {
        self.authorization.is_some()
    }

    /// Returns the CRM that the grant is for.
    pub(crate) fn crm(&self) -> &'static dyn Crm {
        self.crm
    }

    /// Returns the time in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.services.clock.now_ms()
    }

    /// Returns the time zone of the note: the request's own, else the user's, else UTC.
    pub(crate) fn zone(&self, requested: Option<Zone>) -> Zone {
        requested.or(self.user.user.zone).unwrap_or(Zone::UTC)
    }

    fn access(&self) -> Result<Access<'_>, Failure> {
        Ok(self.access_with(match (&self.authorization, &self.user.user.credentials) {
            (Some(header), _) => Authorization::Header(header.clone()),
            (None, Some(credentials)) => Authorization::Stored(credentials.clone()),
            (None, None) => return Err(Failure::SessionEnded),
        })?)
    }

    fn access_with(&self, authorization: Authorization) -> Result<Access<'_>, adapters::Error> {
        Ok(Access {
            http: &self.services.http,
            clock: &self.services.clock,
            budgets: &self.services.budgets,
            deadline: self.patience,
            crm: self.crm,
            base_url: self.base_url()?,
            budget: self.services.budget(self.crm, &self.user.user),
            authorization,
            user: &self.user.user,
        })
    }

    fn base_url(&self) -> Result<String, adapters::Error> {
        self.services.crm_base_url(self.crm, &self.user.user).ok_or_else(|| {
            let reason = "the stored host is not a host of this CRM";
            adapters::Error::new(ErrorKind::Forbidden { message: String::new() }, Effect::None, reason)
        })
    }

    /// Renews the grant if the CRM rejected the present token, at most once. The rejected request changed nothing, so it
    /// can be sent again.
    async fn is_renewed_after<T>(&mut self, response: &Result<T, adapters::Error>) -> Result<bool, Failure> {
        let is_rejected = response.as_ref().is_err_and(|error| error.kind == ErrorKind::Unauthorized);
        if !is_rejected || self.was_rejected || !self.is_renewable() {
            return Ok(false);
        }
        self.was_rejected = true;
        self.renew().await.map(|()| true)
    }

    fn is_renewable(&self) -> bool {
        self.authorization.is_none() && self.refresh_token().is_some() && self.oauth().is_some()
    }

    fn oauth(&self) -> Option<OAuth> {
        self.services.oauth(self.crm, &self.user.user)
    }

    /// Sends requests from now on to the API host that a response of the CRM names, if it is one of the CRM's own.
    fn follow(&mut self, named: Option<&str>) {
        let Some(named) = named else { return };
        match self.services.accepted_host(self.crm, &self.user.user, named) {
            Some(host) => self.user.user.account.api_host = Some(host),
            None => tracing::warn!("a response of the CRM names a host that is not one of its own"),
        }
    }

    fn refresh_token(&self) -> Option<&Secret> {
        match &self.user.user.credentials {
            Some(Credentials::OAuth { refresh_token, .. }) => refresh_token.as_ref(),
            _ => None,
        }
    }

    fn freshness(&self) -> Freshness {
        let Some(Credentials::OAuth { expires_at: Some(end), .. }) = &self.user.user.credentials else {
            return Freshness::Fresh;
        };
        if !self.is_renewable() {
            return Freshness::Fresh;
        }
        match *end - self.services.clock.now() {
            left if left <= EXPIRY_MARGIN => Freshness::Expired,
            left if left <= RENEWAL_WINDOW && !self.user.session_ended => Freshness::ExpiresSoon,
            _ => Freshness::Fresh,
        }
    }

    /// Renews the grant unless another invocation does. The present token is still good, so a failure does not matter
    /// yet.
    async fn renew_ahead(&mut self) {
        if self.has_time(RENEWAL_TIME)
            && let Ok(true) = self.claim_renewal().await
            && let Err(failure) = self.exchange().await
        {
            tracing::warn!(%failure, "the grant could not be renewed ahead of its expiry");
        }
    }

    /// Replaces the present token: with a new one from the token host, or with one that another invocation stored.
    async fn renew(&mut self) -> Result<(), Failure> {
        if self.user.session_ended {
            return Err(Failure::SessionEnded);
        }
        if self.has_time(RENEWAL_TIME) && self.claim_renewal().await? {
            return self.exchange().await;
        }
        for pause in PAUSES {
            if self.adopt_newer().await? {
                return Ok(());
            }
            if self.user.session_ended {
                return Err(Failure::SessionEnded);
            }
            let pause = pause.min(self.deadline.remaining(&self.services.clock));
            self.services.sync_points.reach("grant.wait", tokio::time::sleep(pause)).await;
        }
        if self.adopt_newer().await? {
            Ok(())
        } else {
            Err(Failure::unavailable("another invocation is still renewing the grant"))
        }
    }

    async fn claim_renewal(&self) -> Result<bool, Failure> {
        let now_ms = self.services.clock.now_ms();
        let claim =
            self.services.store.claim_renewal(&self.user, self.holder, now_ms, now_ms + RENEWAL_LEASE_MS);
        Ok(self.services.sync_points.reach("grant.claim", claim).await?)
    }

    /// Exchanges the refresh token for a new grant and stores it. This invocation has claimed the renewal.
    async fn exchange(&mut self) -> Result<(), Failure> {
        let present = self.user.user.credentials.clone();
        let (
            Some(oauth),
            Some(Credentials::OAuth { access_token, refresh_token: Some(refresh_token), expires_at }),
        ) = (self.oauth(), present)
        else {
            return Err(Failure::SessionEnded);
        };
        let client = self.services.oauth_client(self.crm);
        let client = self.services.sync_points.reach("grant.client", client).await;
        // Without the client that it expects, a CRM could end the session. Reading the client may have taken too long.
        let is_sendable = matches!(client, Ok(_) | Err(OAuthClientError::NotConfigured(_)));
        if !is_sendable || !self.has_time(RENEWAL_TIME) {
            return self.give_up_renewal(GrantError::NotSent, false, client.err()).await;
        }
        let exchange =
            || renew_grant(&self.services.http, self.crm, &oauth, client.as_ref().ok(), &refresh_token);
        let mut renewed = self.services.sync_points.reach("grant.exchange", exchange()).await;
        let mut may_be_lost = matches!(renewed, Err(GrantError::OutcomeUnknown));
        if matches!(renewed, Err(GrantError::OutcomeUnknown | GrantError::NotSent))
            && self.has_time(RENEWAL_TIME)
        {
            // A lost response may have contained a rotated token. A provider that rotates tokens accepts the old one
            // once more in this case (FAPI 2.0 Security Profile).
            renewed = self.services.sync_points.reach("grant.exchange_again", exchange()).await;
            may_be_lost |= matches!(renewed, Err(GrantError::OutcomeUnknown));
        }
        let renewed = match renewed {
            Ok(renewed) => renewed,
            Err(error) => return self.give_up_renewal(error, may_be_lost, client.err()).await,
        };
        telemetry::count(Metric::RefreshCount);
        self.follow(renewed.api_host.as_deref());
        let opened = self.open_session(&renewed.access_token).await;
        let (access_token, expires_at) = match &opened {
            Ok(None) => (renewed.access_token, end_after(self.services.clock.now(), renewed.expires_in)),
            Ok(Some(session)) => {
                self.follow(session.api_host.as_deref());
                (session.token.clone(), end_after(self.services.clock.now(), session.expires_in))
            }
            // The session before may still be good. The new refresh token has to be stored in any case, because the one
            // before may no longer work.
            Err(_) if self.was_rejected => (access_token, end_after(self.services.clock.now(), Some(0))),
            Err(_) => (access_token, expires_at),
        };
        let refresh_token = Some(renewed.refresh_token.unwrap_or(refresh_token));
        self.store(Credentials::OAuth { access_token, refresh_token, expires_at }).await?;
        Ok(opened.map(drop)?)
    }

    /// Opens the session that requests need, if the CRM has sessions.
    async fn open_session(&self, access_token: &Secret) -> Result<Option<Session>, adapters::Error> {
        let access = self.access_with(Authorization::None)?;
        let login = self.crm.open_session(&access, access_token);
        // A login changes no record. If its response is lost, the records are as they were.
        self.services.sync_points.reach("grant.login", login).await.map_err(adapters::Error::without_effect)
    }

    /// Gives the claim on the renewal back. The session ends if the token host rejected the refresh token. `no_client`
    /// says why the request had no client.
    async fn give_up_renewal(
        &mut self,
        error: GrantError,
        may_be_lost: bool,
        no_client: Option<OAuthClientError>,
    ) -> Result<(), Failure> {
        let is_rejected = matches!(error, GrantError::Rejected);
        // The rejection is final only if no other grant was stored meanwhile.
        if is_rejected && self.adopt_newer().await? {
            return Ok(());
        }
        if may_be_lost {
            telemetry::count(Metric::RefreshLost);
        }
        let give_up = self.services.store.give_up_renewal(&self.user, self.holder, is_rejected);
        if is_rejected {
            self.services.sync_points.reach("grant.end", give_up).await?;
            self.user.session_ended = true;
            return Err(Failure::SessionEnded);
        }
        tracing::warn!(reason = ?error, "the grant could not be renewed");
        self.services.sync_points.reach("grant.give_up", give_up).await?;
        let cause = no_client.map(|error| format!(": {error}")).unwrap_or_default();
        Err(Failure::unavailable(&format!("the grant could not be renewed{cause}")))
    }

    /// Stores a new grant. It may be the only one that works from now on. Therefore storing is repeated while there is
    /// time, and the process's next request tries again.
    async fn store(&mut self, credentials: Credentials) -> Result<(), Failure> {
        let is_stored = loop {
            let store = self.services.store.finish_renewal(&self.user, self.holder, &credentials);
            match self.services.sync_points.reach("grant.keep", store).await {
                Err(store::Error::Unavailable(_)) if self.has_time(STORING_TIME) => {
                    self.services.sync_points.reach("grant.pause", tokio::time::sleep(STORING_PAUSE)).await;
                }
                Err(error) => {
                    telemetry::count(Metric::RefreshLost);
                    self.services.unstored_grants.put(&self.user, credentials);
                    return Err(error.into());
                }
                Ok(is_stored) => break is_stored,
            }
        };
        if !is_stored {
            // Another grant was stored meanwhile.
            self.adopt_newer().await?;
            return Ok(());
        }
        self.user.user.credentials = Some(credentials);
        self.user.token_version += 1;
        self.user.session_ended = false;
        Ok(())
    }

    /// Reads the user again. Returns `true` if another invocation has stored a newer grant, which is used from now on.
    async fn adopt_newer(&mut self) -> Result<bool, Failure> {
        let key = self.user.user.key();
        let read = self.services.store.user(&key);
        let Some(stored) = self.services.sync_points.reach("grant.read", read).await? else {
            return Err(Failure::SessionEnded);
        };
        // A grant of another CRM account must not be used for this call. The redrive discards the call.
        if stored.user.tenant() != self.user.user.tenant() {
            return Err(Failure::SessionEnded);
        }
        let is_newer = stored.token_version != self.user.token_version;
        if is_newer || stored.session_ended {
            self.user = stored.governed(self.user.tenant_settings.clone());
        }
        Ok(is_newer)
    }

    fn has_time(&self, time: Duration) -> bool {
        self.deadline.remaining(&self.services.clock) > time
    }
}

/// The time that a token has left.
enum Freshness {
    Fresh,
    ExpiresSoon,
    Expired,
}
