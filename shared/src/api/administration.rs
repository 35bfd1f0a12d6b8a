//! The handlers of administrators: settings and locks of a tenant's people, and which extension belongs to whom.
//!
//! A person who is no administrator gets no status below 400: the extension shows its administration pages after any other one. All
//! data are those of the tenant of the caller's token. An id of an account in the request is not believed.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;
use tracing::Level;

use crate::{
    adapters::{Crm, ErrorKind},
    api::{
        Api,
        answer::Answer,
        outcome::{log_store_error, moved, not_connected, unavailable, variant},
        route::{self, HandlerFuture, Invocation, Rejection, Route, sender},
        wire::{
            AdministrationBody, MappedUserEntry, ResponseBody, read_administration_change, read_extensions,
            read_logging_values, read_ringcentral_token,
        },
    },
    auth::Caller,
    delivery::{
        Failure,
        administration::{self, Changed},
        connection::{self, Connection},
    },
    login::administrator::{self, NotAdministrator},
    model::NamedExtension,
    store::StoredUser,
    telemetry,
};

/// `GET /admin/settings`: what the administrators of the tenant have decided.
pub const SHOW_ADMINISTRATION: Route = Route::with_token("GET", "/admin/settings", "administration", show);

/// `POST /admin/settings`: changes it.
pub const CHANGE_ADMINISTRATION: Route =
    Route::with_token("POST", "/admin/settings", "administration", change);

/// `POST /admin/userMapping`: the users of the CRM with their extensions.
pub const MAP_USERS: Route = Route::with_token("POST", "/admin/userMapping", "mapping", map);

/// `POST /admin/reinitializeUserMapping`: the same, after everything that was decided is forgotten.
pub const MAP_USERS_AGAIN: Route =
    Route::with_token("POST", "/admin/reinitializeUserMapping", "mapping", map_again);

/// `GET /admin/serverLoggingSettings`: the additional values of server-side logging.
pub const SHOW_LOGGING_VALUES: Route =
    Route::with_token("GET", "/admin/serverLoggingSettings", "logging_values", show_logging);

/// `POST /admin/serverLoggingSettings`: changes them.
pub const CHANGE_LOGGING_VALUES: Route =
    Route::with_token("POST", "/admin/serverLoggingSettings", "logging_values", change_logging);

/// An administrator.
struct Administrator {
    crm: &'static dyn Crm,
    caller: Caller,
    user: StoredUser,
}

impl Administrator {
    /// Returns the name of the login, or of the user if the token is not of a login.
    fn login(&self) -> &str {
        self.caller.login.as_deref().unwrap_or(self.caller.user.id.as_str())
    }
}

/// Carries out what an administrator asks for. Anyone else is refused before `work` begins.
async fn as_administrator(
    api: &Api,
    request: &Request<Bytes>,
    work: impl AsyncFnOnce(&Administrator) -> Result<Answer, Rejection>,
) -> Result<Answer, Rejection> {
    let caller = route::admit(api, request)?;
    let (crm, sender) = sender(api, &caller, &NamedExtension::default())?;
    let user = match connection::of(&api.services, &sender).await? {
        // Most of it does not need the CRM.
        Connection::Connected(user) | Connection::Ended(user) => *user,
        Connection::NotConnected => return Ok((StatusCode::BAD_REQUEST, not_connected().1).into()),
        Connection::Moved => return Ok(moved().into()),
    };
    let token = read_ringcentral_token(request);
    if let Err(refusal) = administrator::check(&api.services, &user, token.as_ref()).await {
        return refused(&user, refusal);
    }
    let administrator = Administrator { crm, caller, user };
    Ok(work(&administrator).await?.renewing(api, &administrator.caller))
}

fn show<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        as_administrator(api, &request, async |administrator| {
            let state = administration::show(&api.services, &administrator.user.user.tenant()).await?;
            Ok(Answer::json(&AdministrationBody::from(&state)))
        })
        .await
    })
}

fn change<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        as_administrator(api, &request, async |administrator| {
            let change = read_administration_change(request.body())?;
            let (crm, tenant) = (administrator.crm, administrator.user.user.tenant());
            let login = administrator.login();
            let changed = administration::change(&api.services, crm, &tenant, login, &change).await?;
            telemetry::set_field("outcome", variant(&changed));
            Ok(match changed {
                Changed::Stored(state) => Answer::json(&AdministrationBody::from(&*state)),
                Changed::Overtaken => {
                    let message = "Another administrator has changed the settings meanwhile, so yours are not saved. \
                                   Close the extension, open it again, and make your change once more.";
                    (StatusCode::CONFLICT, ResponseBody::warning(message, 10_000)).into()
                }
            })
        })
        .await
    })
}

fn map<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(map_users(api, request, invocation, false))
}

fn map_again<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(map_users(api, request, invocation, true))
}

async fn map_users(
    api: &Api,
    request: Request<Bytes>,
    invocation: &Invocation,
    is_reset: bool,
) -> Result<Answer, Rejection> {
    as_administrator(api, &request, async |administrator| {
        let extensions = read_extensions(request.body())?;
        let Administrator { crm, user, .. } = administrator;
        let (login, deadline) = (administrator.login(), invocation.deadline);
        let mapped = administration::map_users(
            &api.services,
            *crm,
            user.clone(),
            login,
            &extensions,
            is_reset,
            deadline,
        );
        Ok(match mapped.await {
            Ok((users, mapping)) => Answer::json(&MappedUserEntry::all(&users, &mapping, &extensions)),
            Err(failure) => unmapped(*crm, failure),
        })
    })
    .await
}

fn show_logging<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move { as_administrator(api, &request, async |_| Ok(no_values())).await })
}

fn change_logging<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        as_administrator(api, &request, async |_| {
            read_logging_values(request.body())?;
            Ok(no_values())
        })
        .await
    })
}

/// Returns the additional values of server-side logging of a CRM that has no fields for them.
fn no_values() -> Answer {
    Answer::json(&json!({}))
}

/// Returns the response to a person who is not admitted as an administrator of the user's tenant.
fn refused(user: &StoredUser, refusal: NotAdministrator) -> Result<Answer, Rejection> {
    let tenant = user.user.tenant();
    telemetry::set_field("outcome", variant(&refusal));
    let reason = refusal.to_string();
    let (status, message) = match refusal {
        NotAdministrator::Store(error) => return Err(error.into()),
        NotAdministrator::NoProof => (
            StatusCode::FORBIDDEN,
            format!(
                "Only an administrator can do this. Ask the operator of this server to run: call-log user admin {}",
                user.user.id
            ),
        ),
        NotAdministrator::TokenRefused => (
            StatusCode::FORBIDDEN,
            "RingCentral did not accept your sign-in. Sign in to RingCentral in the extension again.".to_owned(),
        ),
        NotAdministrator::NotBound { account } => (
            StatusCode::FORBIDDEN,
            format!(
                "Your RingCentral account is not bound to {tenant} here. Ask the operator of this server to run: call-log \
                 ringcentral bind {tenant} {account}"
            ),
        ),
        NotAdministrator::Unavailable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "RingCentral is not answering, so it is not known if you are an administrator. Try again in a minute."
                .to_owned(),
        ),
    };
    telemetry::failed(Level::INFO, reason);
    Ok((status, ResponseBody::warning(message, 5000)).into())
}

/// Returns the response to a request for users whom the CRM does not list.
fn unmapped(crm: &dyn Crm, failure: Failure) -> Answer {
    let name = crm.display_name();
    if let Failure::Store(error) = &failure {
        log_store_error(Level::WARN, error);
        return unavailable().into();
    }
    telemetry::failed(Level::WARN, &failure);
    if matches!(failure, Failure::SessionEnded) {
        return moved().into();
    }
    let (status, message) = match failure.kind() {
        Some(ErrorKind::Forbidden { .. } | ErrorKind::Unauthorized) => (
            StatusCode::BAD_REQUEST,
            format!(
                "{name} does not show its users to you. Ask a {name} administrator for the permission, or connect again."
            ),
        ),
        _ => (StatusCode::SERVICE_UNAVAILABLE, format!("{name} is not answering. Try again in a minute.")),
    };
    (status, ResponseBody::warning(message, 5000)).into()
}
