//! The users of a company.

use super::wire::{CompanyUser, data};
use crate::{
    adapters::{Access, CrmRequest, Error, json::Few},
    model::CrmUser,
};

/// Returns the users who are active, in one page (API reference, "Get all users"; API v2 has no such endpoint).
///
/// # Errors
///
/// Those of the request.
pub(super) async fn list(access: &Access<'_>) -> Result<Vec<CrmUser>, Error> {
    let response = access.send(CrmRequest::read("users", "/v1/users").page()).await?;
    let Few(users) = data::<Few<CompanyUser>>(&response)?;
    let active = users.into_iter().filter(|user| user.active_flag && !user.is_deleted);
    let user =
        |CompanyUser { id, name, email, .. }: CompanyUser| CrmUser { id: id.0.to_string(), name, email };
    Ok(active.map(user).collect())
}
