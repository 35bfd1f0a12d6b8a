//! The owner of a record: the caller, unless a create names another user of the same tenant. It names one by that user's own
//! token, or by an extension, which the tenant's administrators have mapped to a user.

use crate::{
    adapters::Crm,
    delivery::{services::Services, tenancy},
    model::{LogKey, Payload, UserId},
    store::{self, StoredUser},
};

/// Why a record belongs to the caller although its create asks for another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerRefusal {
    /// The token of the other user is not valid in the caller's tenant.
    Token,
    /// The other user is not connected to the caller's tenant.
    NotConnected,
    /// No user of the CRM has the extension, or several have it.
    NotMapped,
}

/// Those who may own the record of a create, as the table has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    /// The user that the create names.
    named_user: Option<UserId>,
    /// The extension that the create names.
    named_extension: Option<String>,
    /// The user whose token the create brings.
    user: Option<StoredUser>,
    /// The CRM's id of the user to whom the extension belongs that the create names.
    mapped: Option<String>,
}

/// The owner of a record, if that is not the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) user: UserId,
    /// The id by which the CRM knows the user as the owner of records; `None`: it does not.
    pub(crate) crm_id: Option<String>,
}

/// The decision who owns the record of a create.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ownership {
    /// The owner. `None`: the caller.
    pub(crate) owner: Option<Owner>,
    /// The owner is the one who has the extension: another one may have it at the next attempt.
    pub(crate) is_mapped: bool,
    /// The CRM's id of the user whose token the create brings, if it is not the owner. An earlier attempt may have decided
    /// otherwise.
    pub(crate) other: Option<String>,
    /// Why it is the caller although the create asks for another owner.
    pub(crate) refusal: Option<OwnerRefusal>,
}

/// Reads those whom a create asks for as owner.
pub(crate) async fn read(
    services: &Services,
    key: &LogKey,
    payload: &Payload,
) -> Result<Candidates, store::Error> {
    let (user, mapped) =
        tokio::join!(named_user(services, key, payload), mapped_user(services, key, payload));
    Ok(Candidates {
        named_user: payload.owner.clone(),
        named_extension: payload.owner_extension.clone(),
        user: user?,
        mapped: mapped?,
    })
}

async fn named_user(
    services: &Services,
    key: &LogKey,
    payload: &Payload,
) -> Result<Option<StoredUser>, store::Error> {
    match &payload.owner {
        Some(owner) => tenancy::user(services, None, &key.user(owner), "create.owner").await,
        None => Ok(None),
    }
}

async fn mapped_user(
    services: &Services,
    key: &LogKey,
    payload: &Payload,
) -> Result<Option<String>, store::Error> {
    let Some(extension) = &payload.owner_extension else { return Ok(None) };
    let read = services.store.user_mapping(&key.call.tenant);
    let mapping = services.sync_points.reach("create.mapping", read).await?;
    Ok(mapping.content.user_of(extension).map(str::to_owned))
}

/// Returns those whom a create asks for as owner, if they can be read: as the request has read them before, or as the table has
/// them.
pub(crate) async fn read_once(
    services: &Services,
    key: &LogKey,
    payload: &Payload,
    known: Option<&Candidates>,
) -> Option<Candidates> {
    match known {
        Some(known) => Some(known.clone()),
        None => read(services, key, payload).await.ok(),
    }
}

impl Candidates {
    /// Returns `true` if these were read for a create that asks for the same owner.
    pub(crate) fn are_of(&self, payload: &Payload) -> bool {
        self.named_user == payload.owner && self.named_extension == payload.owner_extension
    }

    /// Decides who owns the record of a create: the user of the token who is connected to the tenant, and whose token was not
    /// revoked; else the user who has the extension.
    pub(crate) fn decide(&self, crm: &dyn Crm, key: &LogKey, payload: &Payload) -> Ownership {
        let user = self.user.as_ref().filter(|user| user.user.tenant() == key.call.tenant);
        let owner_of =
            |user: &StoredUser| Owner { user: user.user.id.clone(), crm_id: crm.owner_id(&user.user) };
        let is_accepted = |user: &&StoredUser| {
            user.user.credentials.is_some() && user.accepts(payload.owner_token_issued_at)
        };
        if let Some(accepted) = user.filter(is_accepted) {
            return Ownership { owner: Some(owner_of(accepted)), ..Ownership::default() };
        }
        let other = user.and_then(|user| owner_of(user).crm_id);
        let platform = &key.call.tenant.platform;
        let mapped = self.mapped.as_ref().and_then(|crm_id| {
            Some(Owner { user: UserId::new(format!("{crm_id}-{platform}"))?, crm_id: Some(crm_id.clone()) })
        });
        let refusal = match (&mapped, &payload.owner, &payload.owner_extension) {
            (Some(_), ..) | (None, None, None) => None,
            (None, Some(_), _) => Some(OwnerRefusal::NotConnected),
            (None, None, Some(_)) => Some(OwnerRefusal::NotMapped),
        };
        Ownership { is_mapped: mapped.is_some(), owner: mapped, other, refusal }
    }
}
