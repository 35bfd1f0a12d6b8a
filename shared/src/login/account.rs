//! The CRM account of a user who is stored: it makes the user a member of a tenant.

use crate::{
    adapters::{Access, Authorization, Crm, HostAccount, Profile},
    delivery::services::Services,
    model::{Credentials, Deadline, User},
    store,
};

/// The source from which the account of a user is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountSource {
    /// The description of the user.
    Given,
    /// The user's host, which names the account.
    Host,
    /// The CRM's response to the user's credential.
    Crm,
    /// The user as they were stored before.
    Stored,
    /// Another user with the same host.
    OtherUser,
    /// None: the user is a tenant alone until the account is known.
    Unknown,
}

/// Finds the CRM account of a user who is about to be stored, and sets it in the user.
///
/// The account that the user already names takes precedence. Otherwise the CRM is asked with the user's own credential, and
/// its response is remembered for the host, and so is the user's id as an owner of records. Only if there is no response, an
/// earlier one counts: of this user, or of another user with the same host. `deadline` limits the time of the request.
///
/// # Errors
///
/// If the table fails. A CRM that does not respond is no error.
pub async fn find_account(
    services: &Services,
    crm: &dyn Crm,
    user: &mut User,
    deadline: Deadline,
) -> Result<AccountSource, store::Error> {
    if user.account.id.is_some() {
        return Ok(AccountSource::Given);
    }
    let host_account = crm.host_account(user);
    let is_host_of_one = host_account != HostAccount::Shared;
    let (account, source) = match host_account {
        HostAccount::Named(account) => (Some(account), AccountSource::Host),
        HostAccount::Shared | HostAccount::One => {
            let profile = ask(services, crm, user, deadline).await.unwrap_or_default();
            user.account.owner_id = user.account.owner_id.take().or(profile.owner_id);
            (profile.account.filter(|account| !account.trim().is_empty()), AccountSource::Crm)
        }
    };
    if let Some(account) = account {
        if let (HostAccount::One, Some(host)) = (crm.host_account(user), &user.hostname) {
            services.store.set_account_of_host(&user.platform, host, &account).await?;
        }
        user.account.id = Some(account);
        return Ok(source);
    }
    // With a host that users of several accounts have, only the same credential is of the same account.
    let stored = services.store.user(&user.key()).await?.map(|stored| stored.user).filter(|stored| {
        stored.hostname == user.hostname && (is_host_of_one || stored.credentials == user.credentials)
    });
    if let Some(account) = stored.and_then(|stored| stored.account.id) {
        user.account.id = Some(account);
        return Ok(AccountSource::Stored);
    }
    if let (true, Some(host)) = (is_host_of_one, &user.hostname) {
        user.account.id = services.store.account_of_host(&user.platform, host).await?;
    }
    Ok(if user.account.id.is_some() { AccountSource::OtherUser } else { AccountSource::Unknown })
}

/// Returns whose the user's credential is, as the CRM says it. `None`: there is no usable credential, or no usable response. An expired grant is not renewed, because another server may still use it.
async fn ask(services: &Services, crm: &dyn Crm, user: &User, deadline: Deadline) -> Option<Profile> {
    let credentials = user.credentials.clone()?;
    if let Credentials::OAuth { expires_at: Some(end), .. } = &credentials
        && *end <= services.clock.now()
    {
        return None;
    }
    let access = Access {
        http: &services.http,
        clock: &services.clock,
        budgets: &services.budgets,
        deadline,
        crm,
        base_url: services.crm_base_url(crm, user)?,
        budget: services.budget(crm, user),
        authorization: Authorization::Stored(credentials),
        user,
    };
    let response = crm.identify(&access).await.inspect_err(|error| {
        tracing::info!(crm = crm.platform(), reason = %error.reason, "the CRM did not name the user's account");
    });
    response.ok()
}
