//! The person whose credential it is, and the other users of the account.

use serde_json::json;

use super::wire::{Account, Found, Owner, TokenInfo};
use crate::{
    adapters::{
        Access, Authorization, CrmRequest, Effect, Error, ErrorKind, Profile, exchange::Method, is_listed,
    },
    model::{Credentials, CrmUser, Zone},
};

/// The most pages of owners that are read, each of 500.
const MOST_PAGES: usize = 10;

/// The hosts of HubSpot's pages. An account has one, by the place of its data.
pub(super) const PAGE_HOSTS: [&str; 4] =
    ["app.hubspot.com", "app-na#.hubspot.com", "app-eu#.hubspot.com", "app-ap#.hubspot.com"];

/// Asks for the account, the user and the user's id as an owner.
pub(super) async fn identify(access: &Access<'_>) -> Result<Profile, Error> {
    let account: Account =
        access.send(CrmRequest::read("account-info", "/account-info/v3/details")).await?.json()?;
    let response = access.send(token_info(access)).await?;
    let info: TokenInfo = response.json()?;
    if info.hub_id != account.portal_id {
        return Err(response.malformed());
    }
    let owner = owner(access, info.user_id.0).await?;
    Ok(Profile {
        user_id: Some(info.user_id.0.to_string()),
        name: owner.as_ref().and_then(Owner::full_name).or(info.user),
        account: Some(account.portal_id.0.to_string()),
        account_name: info.hub_domain,
        hostname: account.ui_domain.filter(|host| is_listed(host, &PAGE_HOSTS)),
        owner_id: owner.map(|owner| owner.id.0.to_string()),
        zone: account.time_zone.as_deref().and_then(Zone::parse),
    })
}

/// The request for what is known of a token. Its path may contain the token, so the name of the route does not.
fn token_info(access: &Access<'_>) -> CrmRequest {
    let token = access.authorization.secret().unwrap_or_default();
    match access.authorization {
        Authorization::Stored(Credentials::ApiKey(_)) => {
            let path = "/oauth/v2/private-apps/get/access-token-info";
            let request = CrmRequest::read("private-apps/access-token-info", path).method(Method::POST);
            CrmRequest { body: Some(json!({ "tokenKey": token })), ..request }
        }
        _ => CrmRequest::read("access-tokens/{token}", format!("/oauth/v1/access-tokens/{}", in_path(token))),
    }
}

/// Returns a text as a step of a path. Characters that no token has are escaped.
fn in_path(token: &str) -> String {
    form_urlencoded::byte_serialize(token.as_bytes()).collect()
}

/// Returns the owner that a user is ("Get an owner by ID"). `None`: the user owns no records, is inactive, or the app may not read
/// owners.
async fn owner(access: &Access<'_>, user_id: u64) -> Result<Option<Owner>, Error> {
    let request =
        CrmRequest::read("owners/{id}", format!("/crm/v3/owners/{user_id}")).query("idProperty", "userId");
    match access.send(request).await {
        Ok(response) => Ok(Some(response.json::<Owner>()?).filter(|owner| !owner.archived)),
        Err(Error { kind: ErrorKind::NotFound | ErrorKind::Forbidden { .. }, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the users who own records ("Get a page of owners"). Their ids are those of owners. Queues of teams are left out.
///
/// # Errors
///
/// Those of the requests, and if the account has more users than are read.
pub(super) async fn users(access: &Access<'_>) -> Result<Vec<CrmUser>, Error> {
    let (mut users, mut after) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let request = CrmRequest::read("owners", "/crm/v3/owners/").query("limit", "500").page();
        let request = after.into_iter().fold(request, |request, after: String| request.query("after", after));
        let found: Found<Owner> = access.send(request).await?.json()?;
        let people = found.results.into_iter().filter(|owner| owner.kind.as_deref() != Some("QUEUE"));
        users.extend(people.map(|owner| CrmUser {
            id: owner.id.0.to_string(),
            name: owner.full_name(),
            email: owner.email,
        }));
        after = found.paging.and_then(|paging| paging.next).map(|next| next.after);
        if after.is_none() {
            return Ok(users);
        }
    }
    Err(Error::new(ErrorKind::Unavailable, Effect::None, "the account has too many users"))
}
