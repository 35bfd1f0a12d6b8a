//! The handlers about the caller's own connection to the CRM.

use bytes::Bytes;
use http::{Request, StatusCode};

use crate::{
    api::{
        Api,
        answer::Answer,
        outcome::{moved, not_connected},
        route::{self, HandlerFuture, Invocation, Route, sender},
        wire::{LicenseBody, ResponseBody, ValidationBody},
    },
    delivery::connection::{self, Connection},
    model::NamedExtension,
};

/// `GET /hostname`: the host of the company's CRM, for the pages of contacts.
pub const SHOW_HOSTNAME: Route = Route::with_token("GET", "/hostname", "hostname", hostname);

/// `GET /authValidation`: says if the user is connected.
pub const VALIDATE: Route = Route::with_token("GET", "/authValidation", "validate", validate);

/// `GET /licenseStatus`: says that no licence is needed.
pub const SHOW_LICENSE: Route = Route::with_token("GET", "/licenseStatus", "license", license);

fn hostname<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let (crm, sender) = sender(api, &caller, &NamedExtension::default())?;
        let answer = match connection::of(&api.services, &sender).await? {
            Connection::Connected(user) => match user.user.hostname {
                Some(host) => Answer::text(host),
                None => {
                    let message = format!("{} has no page of your own.", crm.display_name());
                    (StatusCode::BAD_REQUEST, ResponseBody::warning(message, 5000)).into()
                }
            },
            // Not a 200, whose body the extension would take for the host.
            Connection::NotConnected => (StatusCode::BAD_REQUEST, not_connected().1).into(),
            Connection::Ended(_) | Connection::Moved => moved().into(),
        };
        Ok(answer.renewing(api, &caller))
    })
}

fn validate<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let (_, sender) = sender(api, &caller, &NamedExtension::default())?;
        let return_message = match connection::of(&api.services, &sender).await? {
            Connection::Connected(_) => None,
            Connection::NotConnected => Some(not_connected().1.return_message),
            Connection::Ended(_) | Connection::Moved => Some(moved().1.return_message),
        };
        let body = ValidationBody { successful: return_message.is_none(), return_message };
        Ok(Answer::json(&body).renewing(api, &caller))
    })
}

fn license<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        Ok(Answer::json(&LicenseBody::default()).renewing(api, &caller))
    })
}
