//! Disconnection: our credential is removed first, whatever the CRM says, and then the grant is ended there.

use crate::{
    adapters::{Crm, oauth::revoke_grant},
    delivery::services::Services,
    model::{Credentials, UserKey},
    store,
};

/// Removes the credentials of a user and revokes the user's tokens, so that nothing acts for the user any more. Then the CRM
/// is asked to end the grant; its response changes nothing. Queued updates of the user wait until the same person connects
/// again, or are discarded. A user who is not connected stays so.
///
/// # Errors
/// Fails if the table does. The disconnection can be repeated.
pub async fn disconnect(services: &Services, crm: &dyn Crm, user: &UserKey) -> Result<(), store::Error> {
    let Some(before) = services.store.disconnect_user(user, services.clock.now_ms()).await? else {
        return Ok(());
    };
    services.tenant_hints.forget(user);
    let Some(Credentials::OAuth { refresh_token: Some(refresh_token), .. }) = &before.user.credentials else {
        return Ok(());
    };
    let Some(oauth) = services.oauth(crm, &before.user) else { return Ok(()) };
    let client = services.oauth_client(crm).await.ok();
    let status = revoke_grant(&services.http, &oauth, client.as_ref(), refresh_token).await;
    tracing::info!(crm = crm.platform(), ?status, "the CRM was asked to end a grant");
    Ok(())
}
