//! The tenant that a request belongs to.
//!
//! Tokens of ours name it, so that the call can be claimed while the user is read. For other tokens it is the stored user's,
//! which this process may remember. The stored user decides in any case: a user can move to another CRM account.

use std::sync::Arc;

use crate::{
    adapters::{Crm, LimitScope},
    delivery::services::Services,
    model::{BreakerKey, Sender, TenantKey, UserKey},
    store::{self, BreakerState, StoredUser},
    telemetry::{self, Metric},
};

/// The tenant of a request, and how it is known.
#[derive(Debug)]
pub(crate) struct Tenancy {
    pub(crate) tenant: TenantKey,
    source: Source,
    issued_at: Option<i64>,
    /// The user, if the tenant was not known without.
    pub(crate) user: Option<StoredUser>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The token names it.
    Token,
    /// This process remembers it.
    Memory,
    /// The user was read.
    User,
}

/// The user of a request, or why there is none to log calls for.
#[derive(Debug)]
pub(crate) enum Admitted {
    User(Box<StoredUser>),
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The tenant that this process remembered of the user is out of date.
    Outdated,
    /// The token was issued before the user moved, or was revoked.
    Moved,
}

impl Tenancy {
    /// Returns the tenant of a request; `None` if the user is unknown.
    pub(crate) async fn of(services: &Services, sender: &Sender) -> Result<Option<Tenancy>, store::Error> {
        let issued_at = sender.issued_at;
        let known = |tenant, source| Some(Tenancy { tenant, source, issued_at, user: None });
        if let Some(tenant) = &sender.tenant {
            return Ok(known(tenant.clone(), Source::Token));
        }
        if let Some(tenant) = services.tenant_hints.get(&sender.user) {
            return Ok(known(tenant, Source::Memory));
        }
        let user = services.store.user(&sender.user);
        let user = services.sync_points.reach("tenancy.user", user).await?;
        Ok(user.map(|user| Tenancy::of_user(services, issued_at, user)))
    }

    fn of_user(services: &Services, issued_at: Option<i64>, user: StoredUser) -> Tenancy {
        let tenant = user.user.tenant();
        services.tenant_hints.remember(user.user.key(), tenant.clone());
        Tenancy { tenant, source: Source::User, issued_at, user: Some(user) }
    }

    /// Returns the key of the breaker for a user of this tenant.
    pub(crate) fn breaker_key(&self, crm: &dyn Crm, user: &UserKey) -> BreakerKey {
        match crm.capabilities().limit_scope {
            LimitScope::Account => BreakerKey::Tenant(self.tenant.clone()),
            LimitScope::User => BreakerKey::User(user.clone()),
        }
    }

    /// Returns `true` if calls of this tenant may be written with a user's credential.
    pub(crate) fn may_act(&self, user: &StoredUser) -> bool {
        user.user.tenant() == self.tenant && user.user.credentials.is_some() && !user.session_ended
    }

    /// Returns the user of a request if the table has one who belongs to this tenant now and has a credential.
    ///
    /// # Errors
    /// The error of reading the user.
    pub(crate) fn admit(
        &self,
        services: &Services,
        read: Result<Option<StoredUser>, store::Error>,
    ) -> Result<Admitted, store::Error> {
        let Some(user) = read? else { return Ok(Admitted::NotConnected) };
        if user.user.tenant() != self.tenant {
            telemetry::count(Metric::TenantMismatch);
            return Ok(match self.source {
                Source::Token => Admitted::Moved,
                Source::Memory | Source::User => {
                    services.tenant_hints.forget(&user.user.key());
                    Admitted::Outdated
                }
            });
        }
        if !user.accepts(self.issued_at) {
            return Ok(Admitted::Moved);
        }
        Ok(if user.user.credentials.is_some() {
            Admitted::User(Box::new(user))
        } else {
            Admitted::NotConnected
        })
    }
}

/// The user of a request and the state of the CRM, as far as the request has read them.
#[derive(Debug, Default)]
pub(crate) struct KnownUser {
    pub(crate) user: Option<StoredUser>,
    pub(crate) breaker: Option<BreakerState>,
}

/// Returns the user of a request and the state of the breaker: as this request has read them before, or as the table has them. A
/// breaker that cannot be read counts as closed. The user has the settings that count in the tenant. `step`: the sync point.
pub(crate) async fn user_and_breaker(
    services: &Services,
    known: KnownUser,
    user: &UserKey,
    breaker: &BreakerKey,
    tenant: &TenantKey,
    step: &'static str,
) -> (Result<Option<StoredUser>, store::Error>, BreakerState) {
    let KnownUser { user: known_user, breaker: known_breaker } = known;
    match (known_user, known_breaker) {
        (Some(user), Some(state)) => (Ok(Some(user)), state),
        (Some(user), None) => {
            let read = services.store.settings_and_breaker(tenant, breaker);
            match services.sync_points.reach(step, read).await {
                Ok((settings, state)) => (Ok(Some(user.governed(Arc::new(settings)))), state),
                Err(error) => (Err(error), BreakerState::default()),
            }
        }
        (None, _) => {
            let read = services.store.user_and_breaker(user, breaker, tenant);
            match services.sync_points.reach(step, read).await {
                Ok((user, state)) => (Ok(user), state),
                Err(error) => (Err(error), BreakerState::default()),
            }
        }
    }
}

/// Returns the user of a request: as this request has read it before, or as the table has it. `step`: the sync point.
pub(crate) async fn user(
    services: &Services,
    known: Option<StoredUser>,
    user: &UserKey,
    step: &'static str,
) -> Result<Option<StoredUser>, store::Error> {
    match known {
        Some(user) => Ok(Some(user)),
        None => services.sync_points.reach(step, services.store.user(user)).await,
    }
}
