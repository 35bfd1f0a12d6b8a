//! Who is an administrator: a user whom an operator has made one, or a person whose own extension at RingCentral has the
//! permission, in an account that an operator has bound to the tenant.
//!
//! Nothing else proves it: what a request says of its sender, such as the id of an account, is not believed.

use crate::{
    adapters::ErrorKind,
    delivery::services::Services,
    model::{Secret, TenantKey},
    store::{self, StoredUser},
};

/// Why a person is not admitted as an administrator.
#[derive(Debug, thiserror::Error)]
pub enum NotAdministrator {
    /// Nothing shows that the person is one.
    #[error("the person is no administrator")]
    NoProof,
    /// RingCentral does not accept the token.
    #[error("RingCentral does not accept the token")]
    TokenRefused,
    /// The person administrates an account at RingCentral that is not bound to the tenant.
    #[error("the account at RingCentral is not bound to the tenant")]
    NotBound {
        /// RingCentral's id of the account.
        account: String,
    },
    /// RingCentral did not say it.
    #[error("RingCentral did not say who the person is: {0}")]
    Unavailable(String),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Checks that a user administrates the tenant that the user belongs to. `token`: a token of RingCentral that the request
/// brings. It is neither stored nor logged.
///
/// # Errors
/// Fails if the person is not admitted, and if the table fails.
pub async fn check(
    services: &Services,
    user: &StoredUser,
    token: Option<&Secret>,
) -> Result<(), NotAdministrator> {
    if user.is_administrator() {
        return Ok(());
    }
    let Some(token) = token else { return Err(NotAdministrator::NoProof) };
    let tenant: TenantKey = user.user.tenant();
    let bound = services.store.ringcentral_accounts(&tenant).await?;
    // An agent's extension asks too. RingCentral is not asked where no answer of it would count.
    if bound.is_empty() {
        return Err(NotAdministrator::NoProof);
    }
    let own = services.ringcentral.own_extension(&services.http, &services.clock, token).await;
    let own = own.map_err(|error| match error.kind {
        ErrorKind::Unauthorized => NotAdministrator::TokenRefused,
        _ => NotAdministrator::Unavailable(error.reason),
    })?;
    match own.is_administrator {
        false => Err(NotAdministrator::NoProof),
        true if bound.contains(&own.account) => Ok(()),
        true => Err(NotAdministrator::NotBound { account: own.account }),
    }
}
