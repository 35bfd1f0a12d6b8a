//! How we may call a CRM: the stored credential, renewed when it is about to expire, by one invocation at a time.
//!
//! Providers rotate refresh tokens: each works once. So a renewal is claimed in the table first, and stored under the
//! condition that nobody stored another meanwhile. While the present token is still good nobody waits for the one who
//! renews it.

pub mod unstored;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    adapters::{
        self, Access, Authorization, CallLog, CallLogChange, Crm, Effect, ErrorKind, NewCallLog,
        client::{RenewalError, renew_grant},
    },
    delivery::services::Services,
    model::{CallLogId, Credentials, Deadline, Secret},
    store::{self, StoredUser},
    telemetry::{self, Metric},
};

/// From so long before its end on, a token is renewed by whoever comes first; the others go on with it.
const SOFT_WINDOW: TimeDelta = TimeDelta::minutes(10);
/// So long before its end a token counts as ended.
const HARD_WINDOW: TimeDelta = TimeDelta::minutes(2);
/// A renewal needs so much time: one that ends with the invocation may take the only refresh token along.
const RENEWAL_TIME: Duration = Duration::from_secs(8);
/// While so much time is left a new grant that the table did not take is stored again.
const STORING_TIME: Duration = Duration::from_secs(3);
/// How long the one who renews has for it, in milliseconds.
const RENEWAL_LEASE_MS: i64 = 15_000;
/// How often, and how far apart, the others look whether the renewal is done.
const WAITS: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_200),
    Duration::from_millis(1_300),
];

/// Why a request to a CRM was not made, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user has to connect again.
    #[error("the CRM session has ended")]
    SessionEnded,
    #[error(transparent)]
    Crm(#[from] adapters::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Failure {
    /// Whether the CRM may have changed.
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Failure::Crm(error) => error.effect,
            Failure::SessionEnded | Failure::Store(_) => Effect::None,
        }
    }

    /// Whether the CRM refused the data.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Failure::Crm(adapters::Error { kind: ErrorKind::Rejected { .. }, .. }))
    }

    fn unavailable(detail: &str) -> Failure {
        Failure::Crm(adapters::Error::new(ErrorKind::Unavailable, Effect::None, detail))
    }
}

/// The right to call one user's CRM during one invocation.
#[derive(Debug)]
pub struct Grant<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    user: StoredUser,
    base_url: String,
    /// The caller's own header, which is never renewed.
    header: Option<Secret>,
    deadline: Deadline,
    /// This invocation.
    me: &'a str,
    /// The CRM did not accept a token that should have been good.
    was_refused: bool,
}

impl<'a> Grant<'a> {
    /// The grant of a connected user, renewed if it is about to expire.
    pub async fn obtain(
        services: &'a Services,
        crm: &'static dyn Crm,
        user: StoredUser,
        header: Option<Secret>,
        deadline: Deadline,
        me: &'a str,
    ) -> Result<Grant<'a>, Failure> {
        let Some(base_url) = services.crm_base_url(crm, &user.user) else {
            let detail = "the stored host is not one of the CRM's own";
            return Err(adapters::Error::new(ErrorKind::Forbidden, Effect::None, detail).into());
        };
        let mut grant = Grant { services, crm, user, base_url, header, deadline, me, was_refused: false };
        if let Some(unstored) = services.unstored_grants.take(&grant.user) {
            grant.keep(unstored).await?;
        }
        match grant.freshness() {
            Freshness::Good => {}
            Freshness::Soft => grant.renew_ahead().await,
            Freshness::Ended => grant.renew().await?,
        }
        Ok(grant)
    }

    /// The user, as the table has them.
    pub(crate) fn user(&self) -> &StoredUser {
        &self.user
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.services.clock.now_ms()
    }

    pub(crate) fn crm(&self) -> &'static dyn Crm {
        self.crm
    }

    /// See [`Crm::create_record`].
    pub(crate) async fn create_record(&mut self, log: &NewCallLog) -> Result<CallLogId, Failure> {
        loop {
            let answer = {
                let access = self.access()?;
                self.services.sync_points.reach("crm.create_log", self.crm.create_record(&access, log)).await
            };
            if !self.renewed_after(&answer).await? {
                return Ok(answer?);
            }
        }
    }

    /// See [`Crm::read_record`].
    pub(crate) async fn read_record(&mut self, id: &CallLogId) -> Result<CallLog, Failure> {
        loop {
            let answer = {
                let access = self.access()?;
                self.services.sync_points.reach("crm.read_log", self.crm.read_record(&access, id)).await
            };
            if !self.renewed_after(&answer).await? {
                return Ok(answer?);
            }
        }
    }

    /// See [`Crm::update_record`].
    pub(crate) async fn update_record(
        &mut self,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Failure> {
        loop {
            let answer = {
                let access = self.access()?;
                self.services
                    .sync_points
                    .reach("crm.update_log", self.crm.update_record(&access, id, change))
                    .await
            };
            if !self.renewed_after(&answer).await? {
                return Ok(answer?);
            }
        }
    }

    /// See [`Crm::find_records`].
    pub(crate) async fn find_records(
        &mut self,
        log: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Failure> {
        loop {
            let answer = {
                let access = self.access()?;
                self.services
                    .sync_points
                    .reach("crm.find_logs", self.crm.find_records(&access, log, since))
                    .await
            };
            if !self.renewed_after(&answer).await? {
                return Ok(answer?);
            }
        }
    }

    /// See [`Crm::delete_record`].
    pub(crate) async fn delete_record(&mut self, id: &CallLogId) -> Result<bool, Failure> {
        loop {
            let answer = {
                let access = self.access()?;
                self.services.sync_points.reach("crm.remove_log", self.crm.delete_record(&access, id)).await
            };
            if !self.renewed_after(&answer).await? {
                return Ok(answer?);
            }
        }
    }

    /// Gets a new token if the CRM did not accept the present one, once: then the request changed nothing and can be
    /// made again.
    async fn renewed_after<T>(&mut self, answer: &Result<T, adapters::Error>) -> Result<bool, Failure> {
        let is_refused = answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Unauthorized);
        if !is_refused || self.was_refused || !self.is_renewable() {
            return Ok(false);
        }
        self.was_refused = true;
        self.renew().await.map(|()| true)
    }

    fn access(&self) -> Result<Access<'_>, Failure> {
        let authorization = match (&self.header, &self.user.user.credentials) {
            (Some(header), _) => Authorization::Header(header.clone()),
            (None, Some(credentials)) => Authorization::Stored(credentials.clone()),
            (None, None) => return Err(Failure::SessionEnded),
        };
        Ok(Access {
            http: &self.services.http,
            clock: &self.services.clock,
            budgets: &self.services.budgets,
            deadline: self.deadline,
            base_url: self.base_url.clone(),
            authorization,
            user: &self.user.user.id,
        })
    }

    fn is_renewable(&self) -> bool {
        self.header.is_none() && self.refresh_token().is_some() && self.services.token_url(self.crm).is_some()
    }

    fn refresh_token(&self) -> Option<&Secret> {
        match &self.user.user.credentials {
            Some(Credentials::OAuth { refresh_token, .. }) => refresh_token.as_ref(),
            _ => None,
        }
    }

    fn freshness(&self) -> Freshness {
        let Some(Credentials::OAuth { expires_at: Some(end), .. }) = &self.user.user.credentials else {
            return Freshness::Good;
        };
        if !self.is_renewable() {
            return Freshness::Good;
        }
        let left = *end - self.services.clock.now();
        match left {
            left if left <= HARD_WINDOW => Freshness::Ended,
            left if left <= SOFT_WINDOW && !self.user.session_ended => Freshness::Soft,
            _ => Freshness::Good,
        }
    }

    /// Renews if nobody else does. The present token is still good, so no failure matters yet.
    async fn renew_ahead(&mut self) {
        if self.has(RENEWAL_TIME)
            && let Ok(true) = self.claim().await
            && let Err(failure) = self.renew_claimed().await
        {
            tracing::warn!(%failure, "renewing the grant ahead of its end failed");
        }
    }

    /// A token other than the present one, from the CRM or from whoever got it meanwhile.
    async fn renew(&mut self) -> Result<(), Failure> {
        if self.user.session_ended {
            return Err(Failure::SessionEnded);
        }
        if self.has(RENEWAL_TIME) && self.claim().await? {
            return self.renew_claimed().await;
        }
        for wait in WAITS {
            if self.adopt().await? {
                return Ok(());
            }
            if self.user.session_ended {
                return Err(Failure::SessionEnded);
            }
            let wait = wait.min(self.deadline.remaining(&self.services.clock));
            self.services.sync_points.reach("grant.wait", tokio::time::sleep(wait)).await;
        }
        if self.adopt().await? {
            Ok(())
        } else {
            Err(Failure::unavailable("the grant is still being renewed"))
        }
    }

    async fn claim(&self) -> Result<bool, Failure> {
        let now = self.services.clock.now_ms();
        let claim = self.services.store.claim_renewal(&self.user, self.me, now, now + RENEWAL_LEASE_MS);
        Ok(self.services.sync_points.reach("grant.claim", claim).await?)
    }

    async fn renew_claimed(&mut self) -> Result<(), Failure> {
        let (Some(url), Some(refresh_token)) =
            (self.services.token_url(self.crm), self.refresh_token().cloned())
        else {
            return Err(Failure::SessionEnded);
        };
        let client = self.services.oauth_client(self.crm);
        let client = self.services.sync_points.reach("grant.client", client).await;
        let exchange = || renew_grant(&self.services.http, &url, client.as_ref(), &refresh_token);
        let mut renewed = self.services.sync_points.reach("grant.exchange", exchange()).await;
        let mut may_be_lost = matches!(renewed, Err(RenewalError::OutcomeUnknown));
        if matches!(renewed, Err(RenewalError::OutcomeUnknown | RenewalError::NotSent))
            && self.has(RENEWAL_TIME)
        {
            // The answer is lost, and with it perhaps a rotated token. A provider that rotates honours the old one
            // once more in this case (FAPI 2.0).
            renewed = self.services.sync_points.reach("grant.exchange_again", exchange()).await;
            may_be_lost |= matches!(renewed, Err(RenewalError::OutcomeUnknown));
        }
        match renewed {
            Ok(renewed) => {
                telemetry::count(Metric::RefreshCount);
                let expires_at = renewed.expires_in.map(|seconds| {
                    self.services.clock.now()
                        + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(0).min(31_536_000))
                });
                let credentials = Credentials::OAuth {
                    access_token: renewed.access_token,
                    refresh_token: Some(renewed.refresh_token.unwrap_or(refresh_token)),
                    expires_at,
                };
                self.keep(credentials).await
            }
            Err(RenewalError::Rejected) => {
                // Final only if nobody has stored another grant meanwhile.
                if self.adopt().await? {
                    return Ok(());
                }
                if may_be_lost {
                    telemetry::count(Metric::RefreshLost);
                }
                let give_up = self.services.store.give_up_renewal(&self.user, self.me, true);
                self.services.sync_points.reach("grant.end", give_up).await?;
                self.user.session_ended = true;
                Err(Failure::SessionEnded)
            }
            Err(error) => {
                if may_be_lost {
                    telemetry::count(Metric::RefreshLost);
                }
                tracing::warn!(reason = ?error, "the grant could not be renewed");
                let give_up = self.services.store.give_up_renewal(&self.user, self.me, false);
                self.services.sync_points.reach("grant.give_up", give_up).await?;
                Err(Failure::unavailable("the grant could not be renewed"))
            }
        }
    }

    /// Stores a new grant. It may be the only one that works from now on, so that storing it is tried as long as
    /// there is time, and again with the process's next request.
    async fn keep(&mut self, credentials: Credentials) -> Result<(), Failure> {
        let stored = loop {
            let keep = self.services.store.finish_renewal(&self.user, self.me, &credentials);
            match self.services.sync_points.reach("grant.keep", keep).await {
                Err(store::Error::Unavailable(_)) if self.has(STORING_TIME) => {
                    let pause = tokio::time::sleep(Duration::from_millis(200));
                    self.services.sync_points.reach("grant.pause", pause).await;
                }
                Err(error) => {
                    telemetry::count(Metric::RefreshLost);
                    self.services.unstored_grants.put(&self.user, credentials);
                    return Err(error.into());
                }
                Ok(stored) => break stored,
            }
        };
        if stored {
            self.user.user.credentials = Some(credentials);
            self.user.token_version += 1;
            self.user.session_ended = false;
            Ok(())
        } else {
            self.adopt().await.map(drop)
        }
    }

    /// Whether so much time is left.
    fn has(&self, time: Duration) -> bool {
        self.deadline.remaining(&self.services.clock) > time
    }

    /// Takes over a grant that somebody else has stored. False: it is still the same.
    async fn adopt(&mut self) -> Result<bool, Failure> {
        let key = self.user.user.key();
        let read = self.services.store.user(&key);
        let Some(stored) = self.services.sync_points.reach("grant.read", read).await? else {
            return Err(Failure::SessionEnded);
        };
        let newer = stored.token_version != self.user.token_version;
        if newer || stored.session_ended {
            self.user = stored;
        }
        Ok(newer)
    }
}

/// How near a token's end is.
enum Freshness {
    Good,
    Soft,
    Ended,
}
