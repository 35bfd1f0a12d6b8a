//! The handlers that connect and disconnect a CRM account for the extension.

use bytes::Bytes;
use http::{Request, StatusCode};

use crate::{
    adapters::{Crm, oauth::AuthorizationCode, presentation::Connect},
    api::{
        Api,
        answer::Answer,
        outcome::{log_store_error, unavailable},
        route::{self, HandlerFuture, Invocation, Rejection, Route},
        wire::{LoginBody, ResponseBody, read_callback, read_key_login},
    },
    login::{Connected, Login, LoginError, Proof, disconnect},
    telemetry::{self, Metric},
};

/// `GET /oauth-callback`: connects an account with the code of the CRM's page.
pub const CONNECT_WITH_CODE: Route = Route::open("GET", "/oauth-callback", "login", with_code);

/// `POST /apiKeyLogin`: connects an account with a key.
pub const CONNECT_WITH_KEY: Route = Route::open("POST", "/apiKeyLogin", "login", with_key);

/// `POST /unAuthorize`: disconnects the account.
pub const DISCONNECT: Route = Route::with_token("POST", "/unAuthorize", "disconnect", disconnect);

/// The page of the extension, from which it takes the code of a CRM that has no page of ours.
pub(super) const EXTENSION_PAGE: &str = "https://ringcentral.github.io/ringcentral-embeddable/redirect.html";

/// The life of the token of a login, in days. The extension 1.6.6 never renews it.
const TOKEN_DAYS: u32 = 180;

fn with_code<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let callback = read_callback(request.uri().query().unwrap_or_default())?;
        let crm = offered(api, &callback.platform)?;
        let own_page = own_page(crm);
        let page = match own_page {
            Some(path) => format!("{}{path}", api.url(invocation)?),
            None => EXTENSION_PAGE.to_owned(),
        };
        if callback.page != page {
            return Err(Rejection::ForeignPage);
        }
        let code = AuthorizationCode { code: callback.code, redirect_uri: page, verifier: None };
        Ok(match login(api, crm, invocation).connect(Proof::Code(code)).await {
            Ok(connected) => greet(api, crm, connected),
            // After any 200, the extension takes itself for connected where the page is ours.
            Err(error) if own_page.is_none() && error.is_for_person() => {
                (StatusCode::OK, refusal(crm, Way::Page, &error)).into()
            }
            Err(error) => refused(crm, Way::Page, &error),
        })
    })
}

fn with_key<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let read = read_key_login(request.uri().query().unwrap_or_default(), request.body())?;
        let crm = offered(api, &read.platform)?;
        Ok(match login(api, crm, invocation).connect(Proof::Key(read.key)).await {
            Ok(connected) => greet(api, crm, connected),
            Err(error) => refused(crm, Way::Key, &error),
        })
    })
}

fn disconnect<'a>(api: &'a Api, request: Request<Bytes>, _: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        // A token that no longer counts has nothing to disconnect. Its browser must still be able to forget it.
        if let Ok(caller) = route::admit(api, &request)
            && let Some(crm) = api.services.crm(caller.user.platform.as_str())
            && let Some(stored) = api.services.store.user(&caller.user).await?
            && stored.accepts(caller.issued_at)
            && caller.tenant.as_ref().is_none_or(|tenant| stored.user.tenant() == *tenant)
        {
            telemetry::set_field("crm", crm.platform());
            disconnect::disconnect(&api.services, crm, &caller.user).await?;
        }
        Ok(Answer::from((StatusCode::OK, ResponseBody::success("Disconnected.", 2000))))
    })
}

/// Returns the CRM with this name, if people can connect it here.
pub(super) fn offered(api: &Api, platform: &str) -> Result<&'static dyn Crm, Rejection> {
    let crm = api.services.crm(platform).filter(|crm| api.services.identity_url(*crm).is_some());
    let crm = crm.ok_or(Rejection::UnknownCrm)?;
    telemetry::set_field("crm", crm.platform());
    Ok(crm)
}

/// Returns the path of the page of ours to which a CRM sends people, if it has one.
pub fn own_page(crm: &dyn Crm) -> Option<&'static str> {
    crm.presentation().connect.iter().find_map(|way| match way {
        Connect::OAuth { page } => *page,
        Connect::ApiKey { .. } => None,
    })
}

pub(super) fn login<'a>(api: &'a Api, crm: &'static dyn Crm, invocation: &Invocation) -> Login<'a> {
    Login { services: &api.services, crm, allowed: &api.site.allowed, deadline: invocation.deadline }
}

/// Returns the response to a person who is connected now.
fn greet(api: &Api, crm: &dyn Crm, connected: Connected) -> Answer {
    let message = greeting(crm, &connected);
    let Connected { stored, name, .. } = connected;
    let user = &stored.user;
    let issued_at = stored.issued_at(api.services.clock.now());
    let jwt_token = api.token_keys().issue_for_login(&user.key(), &user.tenant(), issued_at, TOKEN_DAYS);
    let return_message = ResponseBody::success(message, 3000).return_message;
    Answer::json(&LoginBody { successful: true, jwt_token, name, return_message })
}

/// Returns the message for a person who is connected now.
pub(super) fn greeting(crm: &dyn Crm, connected: &Connected) -> String {
    telemetry::count(Metric::LoginCount);
    telemetry::set_field("outcome", "Connected");
    format!("Connected to {} as {} ({}).", crm.display_name(), connected.name, connected.account)
}

/// The thing that a person has to do again after a refused login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To sign in at the CRM's page.
    Page,
    /// To enter the key.
    Key,
}

/// Returns the refusal of a login.
fn refused(crm: &dyn Crm, way: Way, error: &LoginError) -> Answer {
    if let LoginError::Store(error) = error {
        log_store_error(tracing::Level::WARN, error);
        return unavailable().into();
    }
    let status = match error {
        LoginError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, refusal(crm, way, error)).into()
}

/// Returns the message about a refused login.
pub(super) fn refusal(crm: &dyn Crm, way: Way, error: &LoginError) -> ResponseBody {
    telemetry::count(Metric::LoginRefused);
    telemetry::set_field("outcome", "LoginRefused");
    telemetry::failed(tracing::Level::INFO, error);
    let name = crm.display_name();
    let message = match error {
        LoginError::NotSetUp => {
            format!("{name} cannot be connected in this way here. Ask your administrator to set it up.")
        }
        LoginError::CodeUsed => "This sign-in was already used. Press Connect again.".to_owned(),
        LoginError::Refused(words) => {
            let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
            match way {
                Way::Page => format!("{name} refused the sign-in{words}. Press Connect again."),
                Way::Key => format!("{name} refused the key{words}. Copy it from {name} again."),
            }
        }
        LoginError::Unidentified => {
            format!("{name} did not say whose account this is. Ask your administrator.")
        }
        LoginError::NotAllowed { account, tenant } => format!(
            "This server is not open to {account} ({tenant}). Ask its operator to run: call-log tenant allow {tenant}"
        ),
        LoginError::Unavailable(_) | LoginError::Store(_) => {
            format!("{name} is not answering. Try again in a minute.")
        }
    };
    ResponseBody::warning(message, 10_000)
}
