//! The handlers of a user's settings.

use std::pin::pin;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;

use crate::{
    adapters::Crm,
    api::{
        Api,
        answer::{Answer, RefusalForm},
        outcome::{moved, not_connected},
        route::{self, Callers, HandlerFuture, Invocation, Rejection, Route, sender},
        wire::read_settings_change,
    },
    auth::Caller,
    delivery::{
        connection::{self, Connection},
        settings,
    },
    model::{NamedExtension, User},
};

/// `GET /user/settings`: the settings of the user.
pub const SHOW_SETTINGS: Route =
    Route { method: "GET", path: "/user/settings", callers: Callers::Known, handler: show };

/// `POST /user/settings`: changes settings of the user.
pub const CHANGE_SETTINGS: Route =
    Route { method: "POST", path: "/user/settings", callers: Callers::Known, handler: change };

fn show<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async {
            let is_extension = RefusalForm::of(request.headers(), request.uri()) == RefusalForm::Text;
            // The extension reads the settings before it disconnects, also with a token that no longer counts.
            let nothing = || Answer::json(&json!({}));
            let caller = match route::admit(api, &request) {
                Ok(caller) => caller,
                Err(Rejection::Token(_)) if is_extension => return Ok(nothing()),
                Err(rejection) => return Err(rejection),
            };
            let answer = match user_of(api, &caller).await? {
                Known::User(crm, user) => {
                    let shown = settings::show(&api.services, crm, &user, caller.login.as_deref()).await?;
                    Answer::json(&shown.0)
                }
                Known::Nobody(_) if is_extension => nothing(),
                Known::Nobody(refusal) => *refusal,
            };
            Ok(answer.renewing(api, &caller))
        });
        route::respond(api, "settings", (request.headers(), request.uri()), invocation, result).await
    })
}

fn change<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let result = pin!(async {
            let caller = route::admit(api, &request)?;
            let change = read_settings_change(request.body())?;
            let answer = match user_of(api, &caller).await? {
                Known::User(crm, user) => {
                    let login = caller.login.as_deref();
                    let shown = settings::change(&api.services, crm, &user, login, &change).await?;
                    Answer::json(&json!({ "userSettings": shown.0 }))
                }
                Known::Nobody(refusal) => *refusal,
            };
            Ok(answer.renewing(api, &caller))
        });
        route::respond(api, "settings", (request.headers(), request.uri()), invocation, result).await
    })
}

/// The user of a caller, or the refusal.
enum Known {
    User(&'static dyn Crm, Box<User>),
    Nobody(Box<Answer>),
}

async fn user_of(api: &Api, caller: &Caller) -> Result<Known, Rejection> {
    let (crm, sender) = sender(api, caller, &NamedExtension::default())?;
    Ok(match connection::of(&api.services, &sender).await? {
        // Settings do not need the CRM.
        Connection::Connected(user) | Connection::Ended(user) => Known::User(crm, user),
        Connection::NotConnected => {
            Known::Nobody(Box::new((StatusCode::BAD_REQUEST, not_connected().1).into()))
        }
        Connection::Moved => Known::Nobody(Box::new(moved().into())),
    })
}
