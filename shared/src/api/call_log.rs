//! The handlers of `/callLog`: `POST` logs a call, `PATCH` updates its log.

use std::pin::pin;

use bytes::Bytes;
use http::Request;

use crate::{
    adapters::Crm,
    api::{
        Api, outcome,
        route::{self, HandlerFuture, Invocation, Rejection, Route},
        wire::{Read, read_create, read_update},
    },
    auth::Caller,
    delivery::{create, update},
    model::{AskedOwner, NamedExtension, Secret, Sender, SessionId},
    telemetry,
};

/// `POST /callLog`: logs a call.
pub const CREATE_CALL_LOG: Route = Route { method: "POST", path: "/callLog", handler: create };

/// `PATCH /callLog`: updates the log of a call.
pub const UPDATE_CALL_LOG: Route = Route { method: "PATCH", path: "/callLog", handler: update };

fn create<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async {
            let caller = route::admit(api, &request, &CREATE_CALL_LOG)?;
            let Read { command, unread } = read_create(request.body())?;
            route::check_user(&caller, command.user.as_ref())?;
            let (crm, sender) = target(api, &caller, &command.session, &command.extension)?;
            let owner = command.owner_token.as_ref().map(|token| asked_owner(api, token));
            let outcome =
                create::run(&api.services, crm, &sender, owner, command, invocation.deadline).await?;
            Ok(outcome::with_unread(outcome::created(crm, outcome), &unread))
        });
        route::respond(api, "create", request.headers(), invocation, result).await
    })
}

fn update<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async {
            let caller = route::admit(api, &request, &UPDATE_CALL_LOG)?;
            let Read { command, unread } = read_update(request.body())?;
            route::check_user(&caller, command.user.as_ref())?;
            let (crm, sender) = target(api, &caller, &command.session, &command.extension)?;
            let outcome = update::run(&api.services, crm, &sender, command, invocation.deadline).await?;
            Ok(outcome::with_unread(outcome::updated(crm, outcome), &unread))
        });
        route::respond(api, "update", request.headers(), invocation, result).await
    })
}

/// Returns the user whom a token names as the owner of a record.
fn asked_owner(api: &Api, token: &Secret) -> AskedOwner {
    match api.token_keys().verify(token.expose(), api.services.clock.now()) {
        Ok(Caller { user, tenant, .. }) => AskedOwner::User(user, tenant),
        Err(_) => AskedOwner::Unproven,
    }
}

/// Returns the CRM of a request, and who sends it for which extension.
fn target(
    api: &Api,
    caller: &Caller,
    session: &SessionId,
    extension: &NamedExtension,
) -> Result<(&'static dyn Crm, Sender), Rejection> {
    telemetry::session(&caller.user.platform, session);
    let crm = api.services.crm(caller.user.platform.as_str()).ok_or(Rejection::NotConnected)?;
    telemetry::set_field("crm", crm.platform());
    Ok((crm, caller.sender(api.hash_key().identity(extension))))
}
