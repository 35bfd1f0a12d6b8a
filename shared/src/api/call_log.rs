//! The handlers of `/callLog`: `POST` logs a call, `PATCH` updates its log.

use std::pin::pin;

use bytes::Bytes;
use http::Request;

use crate::{
    adapters::Crm,
    api::{
        Api, outcome,
        route::{self, HandlerFuture, Invocation, Rejection, Route},
        wire::{read_create, read_update},
    },
    auth::Caller,
    delivery::{create, update},
    model::{CallKey, Extension, SessionId, UserId},
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
            let command = read_create(request.body())?;
            let user = command.user.as_ref();
            let (crm, key) = target(api, &caller, user, &command.session, command.extension.as_ref())?;
            let outcome = create::run(&api.services, crm, key, command, invocation.deadline).await?;
            Ok(outcome::created(crm, outcome))
        });
        route::respond(api, "create", request.headers(), invocation, result).await
    })
}

fn update<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async {
            let caller = route::admit(api, &request, &UPDATE_CALL_LOG)?;
            let command = read_update(request.body())?;
            let user = command.user.as_ref();
            let (crm, key) = target(api, &caller, user, &command.session, command.extension.as_ref())?;
            let outcome = update::run(&api.services, crm, key, command, invocation.deadline).await?;
            Ok(outcome::updated(crm, outcome))
        });
        route::respond(api, "update", request.headers(), invocation, result).await
    })
}

/// Returns the CRM and the key of the call log that a request is about. `user` is the user that the body names.
fn target(
    api: &Api,
    caller: &Caller,
    user: Option<&UserId>,
    session: &SessionId,
    extension: Option<&Extension>,
) -> Result<(&'static dyn Crm, CallKey), Rejection> {
    route::check_user(caller, user)?;
    telemetry::session(&caller.user, session);
    let crm = api.services.crm(caller.user.platform.as_str()).ok_or(Rejection::NotConnected)?;
    telemetry::set_field("crm", crm.platform());
    Ok((crm, caller.call(session, extension)))
}
