//! The owner of a record: the caller, unless a create names another user of the same tenant by that user's own token.

use crate::{
    delivery::{attempt::Claim, services::Services, tenancy},
    model::{LogKey, Payload},
    store::{self, StoredUser},
};

/// Why a record belongs to the caller although its create asks for another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerRefusal {
    /// The token of the other user is not valid in the caller's tenant.
    Token,
    /// The other user is not connected to the caller's tenant.
    NotConnected,
}

/// Reads the user whom a create asks for as owner.
pub(crate) async fn read(
    services: &Services,
    key: &LogKey,
    payload: &Payload,
) -> Result<Option<StoredUser>, store::Error> {
    match &payload.owner {
        Some(owner) => tenancy::user(services, None, &key.user(owner), "create.owner").await,
        None => Ok(None),
    }
}

/// Returns `true` if a user may own the record of a create: one who is connected to the tenant, and whose token was not revoked.
pub(crate) fn is_accepted(key: &LogKey, payload: &Payload, user: &StoredUser) -> bool {
    user.user.tenant() == key.call.tenant
        && user.user.credentials.is_some()
        && user.accepts(payload.owner_token_issued_at)
}

impl Claim<'_> {
    /// Decides who owns the record of a create, and returns the user who was asked for, if that is a user of the tenant.
    /// `known`: the user, if the request has read it.
    pub(crate) async fn decide_owner(
        &mut self,
        payload: &Payload,
        known: Option<StoredUser>,
    ) -> Result<Option<StoredUser>, store::Error> {
        let key = self.lease.key;
        let known = known.filter(|user| payload.owner.as_ref() == Some(&user.user.id));
        let asked = match known {
            Some(known) => Some(known),
            None => read(self.services, key, payload).await?,
        };
        let accepted = asked.as_ref().filter(|user| is_accepted(key, payload, user));
        self.item.owner = accepted.map(|user| user.user.id.clone());
        Ok(asked.filter(|user| user.user.tenant() == key.call.tenant))
    }
}
