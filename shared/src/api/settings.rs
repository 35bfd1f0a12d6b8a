//! The handlers of a user's settings.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;

use crate::{
    adapters::Crm,
    api::{
        Api,
        answer::{Answer, RefusalForm},
        outcome::{moved, not_connected},
        route::{self, HandlerFuture, Invocation, Rejection, Route, sender},
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
pub const SHOW_SETTINGS: Route = Route::with_token("GET", "/user/settings", "settings", show);

/// `POST /user/settings`: changes settings of the user.
pub const CHANGE_SETTINGS: Route = Route::with_token("POST", "/user/settings", "settings", change);

fn show<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
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
            Known::NotConnected(_) if is_extension => nothing(),
            Known::NotConnected(refusal) => *refusal,
        };
        Ok(answer.renewing(api, &caller))
    })
}

fn change<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let change = read_settings_change(request.body())?;
        let answer = match user_of(api, &caller).await? {
            Known::User(crm, user) => {
                let login = caller.login.as_deref();
                let shown = settings::change(&api.services, crm, &user, login, &change).await?;
                Answer::json(&json!({ "userSettings": shown.0 }))
            }
            Known::NotConnected(refusal) => *refusal,
        };
        Ok(answer.renewing(api, &caller))
    })
}

/// The user of a caller, or the refusal.
enum Known {
    User(&'static dyn Crm, Box<User>),
    NotConnected(Box<Answer>),
}

async fn user_of(api: &Api, caller: &Caller) -> Result<Known, Rejection> {
    let (crm, sender) = sender(api, caller, &NamedExtension::default())?;
    Ok(match connection::of(&api.services, &sender).await? {
        // Settings do not need the CRM.
        Connection::Connected(user) | Connection::Ended(user) => Known::User(crm, Box::new(user.user)),
        Connection::NotConnected => {
            Known::NotConnected(Box::new((StatusCode::BAD_REQUEST, not_connected().1).into()))
        }
        Connection::Moved => Known::NotConnected(Box::new(moved().into())),
    })
}
