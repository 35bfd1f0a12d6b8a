//! The handlers of `/callLog`: `POST` logs a call, `PATCH` updates its log, `GET` says which calls have a log. And those of
//! `/callDisposition`, which updates the choices of a log, and of `/callLog/cacheNote`, which brings a note before there is a
//! log.

use bytes::Bytes;
use http::Request;

use crate::{
    adapters::Crm,
    api::{
        Api,
        answer::Answer,
        outcome,
        route::{self, HandlerFuture, Invocation, Rejection, Route},
        wire::{Read, read_cached_note, read_create, read_disposition, read_log_query, read_update},
    },
    auth::Caller,
    delivery::{choices, create, lookup, update},
    model::{AskedOwner, NamedExtension, Secret, Sender, SessionId},
    telemetry,
};

/// `POST /callLog`: logs a call.
pub const CREATE_CALL_LOG: Route = Route::with_token("POST", "/callLog", "create", create);

/// `PATCH /callLog`: updates the log of a call.
pub const UPDATE_CALL_LOG: Route = Route::with_token("PATCH", "/callLog", "update", update);

/// `GET /callLog`: says which calls have a log, and what is in it.
pub const FIND_CALL_LOGS: Route = Route::with_token("GET", "/callLog", "find", find);

/// `PUT /callDisposition`: updates what a log says about the choices of the form.
pub const UPDATE_CHOICES: Route = Route::with_token("PUT", "/callDisposition", "disposition", choose);

/// `POST /callLog/cacheNote`: brings a note that a person typed, before the call is logged.
pub const CACHE_NOTE: Route = Route::with_token("POST", "/callLog/cacheNote", "note", cache_note);

/// The header with the hash of the sender's extension. Only a note that is cached is matched by it, because its body names no
/// extension.
const EXTENSION_HEADER: &str = "rc-extension-id";

fn create<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let Read { command, unread } = read_create(request.body())?;
        route::check_user(&caller, command.user.as_ref())?;
        let (crm, sender) = target(api, &caller, &command.session, &command.extension)?;
        let owner = command.owner_token.as_ref().map(|token| asked_owner(api, token));
        let outcome = create::run(&api.services, crm, &sender, owner, command, invocation.deadline).await?;
        let answer = outcome::with_unread(outcome::created(crm, outcome), &unread);
        Ok(Answer::from(answer).renewing(api, &caller))
    })
}

fn update<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let Read { command, unread } = read_update(request.body())?;
        route::check_user(&caller, command.user.as_ref())?;
        let (crm, sender) = target(api, &caller, &command.session, &command.extension)?;
        let outcome = update::run(&api.services, crm, &sender, command, invocation.deadline).await?;
        let answer = outcome::with_unread(outcome::updated(crm, outcome), &unread);
        Ok(Answer::from(answer).renewing(api, &caller))
    })
}

fn find<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let query = read_log_query(request.uri().query().unwrap_or_default())?;
        let (crm, sender) = route::sender(api, &caller, &query.extension)?;
        let sessions: Vec<_> = query.sessions.iter().filter_map(|(_, session)| session.clone()).collect();
        let found =
            lookup::run(&api.services, crm, &sender, &sessions, query.with_content, invocation.deadline);
        let answer = outcome::found(crm, &query, found.await?);
        Ok(answer.renewing(api, &caller))
    })
}

fn choose<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let disposition = read_disposition(request.body())?;
        let (crm, sender) = target(api, &caller, &disposition.session, &disposition.extension)?;
        let command = disposition.update(crm);
        let outcome = choices::run(&api.services, crm, &sender, command, invocation.deadline).await?;
        Ok(outcome::chosen(crm, outcome).renewing(api, &caller))
    })
}

fn cache_note<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let extension = request.headers().get(EXTENSION_HEADER).and_then(|hash| hash.to_str().ok());
        let command = read_cached_note(request.body(), extension)?;
        let (crm, sender) = target(api, &caller, &command.session, &command.extension)?;
        let outcome = update::run(&api.services, crm, &sender, command, invocation.deadline).await?;
        Ok(outcome::cached(crm, outcome).renewing(api, &caller))
    })
}

/// Returns the user whom a token names as the owner of a record.
fn asked_owner(api: &Api, token: &Secret) -> AskedOwner {
    match api.token_keys().verify(token.expose(), api.services.clock.now()) {
        Ok(Caller { user, tenant, issued_at, .. }) => AskedOwner::User { user, tenant, issued_at },
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
    route::sender(api, caller, extension)
}
