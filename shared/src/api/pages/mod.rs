//! The pages on which people connect a CRM account without the extension, and the page to which a CRM sends people.
//!
//! A flow that begins here carries a state that we sealed and that belongs to a cookie of the same browser, so that no
//! other website can make the browser finish it. It is finished on the server, and its result is shown at an address without
//! secrets. A flow that the extension began has a state of the extension; its code is left to the extension.

mod document;

use bytes::Bytes;
use http::{HeaderMap, Request, header::COOKIE, header::SET_COOKIE};
use serde::{Deserialize, Serialize};

use self::document::{escaped, page};
use crate::{
    adapters::{Crm, oauth::AuthorizationCode, presentation::Connect},
    api::{
        Api,
        answer::Answer,
        login::{Way, greeting, login, offered, own_page, refusal},
        outcome::log_store_error,
        route::{HandlerFuture, Invocation, Rejection, Route},
        wire::{
            AuthorizationResponse, KeyForm, read_authorization_response, read_chosen_crm, read_key_form,
            read_ticket,
        },
    },
    login::{Connected, LoginError, Proof},
    model::{Secret, UserKey, random_name},
    store::{ConnectedPerson, FlowReport},
};

/// `GET /connect`: the CRMs that can be connected.
pub const SHOW_CONNECT_PAGE: Route = Route::open("GET", "/connect", "connect", show_connect_page);

/// `GET /connect/start`: sends the browser to the CRM's page.
pub const START_CONNECT: Route = Route::open("GET", "/connect/start", "connect", start);

/// `POST /connect/key`: connects an account with a key.
pub const CONNECT_BY_FORM: Route = Route::open("POST", "/connect/key", "connect", connect_with_key);

/// `GET /connect/result`: the result of a flow.
pub const SHOW_CONNECT_RESULT: Route = Route::open("GET", "/connect/result", "result", show_result);

/// `GET /connect/own-redirect`, and the paths that adapters name: the pages to which CRMs send people.
pub const SHOW_LANDING_PAGE: Route = Route::open("GET", LANDING, "landing", land);

/// The end of the paths of all landing pages.
const LANDING: &str = "-redirect";
/// The path of the landing page of CRMs that name none.
const OWN_LANDING: &str = "/connect/own-redirect";

/// The time that a person has to sign in at the CRM, in seconds.
const FLOW_S: i64 = 600;
/// The time for which the result of a flow can be shown, in seconds.
const RESULT_S: i64 = 60;
/// The cookie of a flow: the name of the flow, and the proof key of its code.
const FLOW_COOKIE: &str = "call-log-flow";
/// The cookie with the result of a flow.
const RESULT_COOKIE: &str = "call-log-result";
/// The cookie with the ticket of a command that waits for the flow.
const TICKET_COOKIE: &str = "call-log-ticket";
/// The time for which a ticket can be used, in seconds.
pub const TICKET_S: i64 = 600;

/// The state of a flow.
#[derive(Serialize, Deserialize)]
struct State {
    crm: String,
    flow: String,
}

/// The ticket of a command that waits for a person to connect.
#[derive(Serialize, Deserialize)]
struct Ticket {
    crm: String,
    /// The name under which the command finds the result.
    name: String,
}

/// Returns the address at which a person connects this CRM while a command waits for it. `name`: the name under which the
/// command finds how the flow ended ([`Store::flow_report`](crate::store::Store::flow_report)).
pub fn address_with_ticket(api: &Api, url: &str, crm: &dyn Crm, name: &str) -> String {
    let ticket = Ticket { crm: crm.platform().to_owned(), name: name.to_owned() };
    let sealed = api.token_keys().seal(TICKET_COOKIE, ticket, api.services.clock.now(), TICKET_S);
    format!("{url}/connect?ticket={sealed}")
}

/// A flow that this browser began a short while ago.
struct Flow {
    crm: &'static dyn Crm,
    /// The proof key of its code.
    verifier: Option<String>,
}

/// The result of a flow.
#[derive(Serialize, Deserialize)]
struct Outcome {
    is_good: bool,
    message: String,
}

fn show_connect_page<'a>(
    api: &'a Api,
    request: Request<Bytes>,
    invocation: &'a Invocation,
) -> HandlerFuture<'a> {
    Box::pin(async move {
        let (url, flow) = (api.url(invocation)?, random_name());
        let sealed = read_ticket(request.uri().query().unwrap_or_default());
        let ticket = sealed.as_deref().map(|sealed| opened_ticket(api, sealed));
        if let Some(None) = ticket {
            let body =
                "<p>This link has expired, or it belongs to another server. Run the command again.</p>\n";
            return Ok(page("Connect your CRM", body));
        }
        let ticket = ticket.flatten();
        let is_shown = |crm: &&dyn Crm| ticket.as_ref().is_none_or(|ticket| ticket.crm == crm.platform());
        let mut sections = String::new();
        for crm in api.services.crms.iter().copied().filter(is_shown) {
            sections += &section(api, crm, invocation, (&url, &flow)).await;
        }
        let body = match sections.as_str() {
            "" => "<p>Nothing can be connected here. Ask your administrator.</p>\n".to_owned(),
            _ => format!("<p>Your phone calls will be logged there.</p>\n{sections}"),
        };
        let shown =
            page("Connect your CRM", &body).with(SET_COOKIE, cookie(FLOW_COOKIE, &flow, FLOW_S, &url));
        Ok(match sealed.filter(|_| ticket.is_some()) {
            Some(sealed) => shown.with(SET_COOKIE, cookie(TICKET_COOKIE, &sealed, TICKET_S, &url)),
            None => shown,
        })
    })
}

fn opened_ticket(api: &Api, sealed: &str) -> Option<Ticket> {
    api.token_keys().open(TICKET_COOKIE, sealed, api.services.clock.now())
}

/// Returns the part of the page about one CRM, which is empty if it cannot be connected here.
async fn section(
    api: &Api,
    crm: &'static dyn Crm,
    invocation: &Invocation,
    (url, flow): (&str, &str),
) -> String {
    let (mut ways, name) = (String::new(), crm.platform());
    if api.services.identity_url(crm).is_none() {
        return ways;
    }
    let shown = escaped(crm.display_name());
    for way in crm.presentation().connect {
        match way {
            Connect::OAuth { .. } => {
                if login(api, crm, invocation).authorization_server().await.is_ok() {
                    ways += &format!(
                        "<p><a class=\"button\" href=\"{url}/connect/start?crm={name}\">Sign in at {shown}</a></p>\n"
                    );
                }
            }
            Connect::ApiKey { title } => {
                let title = escaped(title);
                let state = state(api, crm, flow);
                ways += &format!(
                    "<form method=\"post\" action=\"{url}/connect/key\">\n\
                     <input type=\"hidden\" name=\"state\" value=\"{state}\">\n\
                     <label>{title}\n<input type=\"password\" name=\"apiKey\" autocomplete=\"off\" required></label>\n\
                     <button>Connect with this key</button>\n</form>\n"
                );
            }
        }
    }
    match ways.as_str() {
        "" => ways,
        _ => format!("<section>\n<h2>{shown}</h2>\n{ways}</section>\n"),
    }
}

fn start<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let crm = offered(api, &read_chosen_crm(request.uri().query().unwrap_or_default())?)?;
        let url = api.url(invocation)?;
        let Ok((oauth, client)) = login(api, crm, invocation).authorization_server().await else {
            return Ok(
                finish(api, (&url, request.headers()), (crm, Way::Page), Err(LoginError::NotSetUp)).await
            );
        };
        let (flow, verifier) = (random_name(), format!("{}{}", random_name(), random_name()));
        let page = landing_page(crm, &url);
        let location = oauth.authorize_url(&client.id, &page, &state(api, crm, &flow), &verifier);
        let flow = format!("{flow}.{verifier}");
        Ok(Answer::see_other(location).with(SET_COOKIE, cookie(FLOW_COOKIE, &flow, FLOW_S, &url)))
    })
}

fn connect_with_key<'a>(
    api: &'a Api,
    request: Request<Bytes>,
    invocation: &'a Invocation,
) -> HandlerFuture<'a> {
    Box::pin(async move {
        let KeyForm { state, key } = read_key_form(request.body())?;
        let url = api.url(invocation)?;
        let Some(Flow { crm, .. }) = flow_of(api, request.headers(), &state)? else {
            return Ok(finish_foreign(api, &url));
        };
        let connected = login(api, crm, invocation).connect(Proof::Key(key)).await;
        Ok(finish(api, (&url, request.headers()), (crm, Way::Key), connected).await)
    })
}

fn land<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let url = api.url(invocation)?;
        let response = read_authorization_response(request.uri().query().unwrap_or_default());
        let path = request.uri().path().trim_end_matches('/');
        let known = api.services.crms.iter().copied();
        let crm = known.clone().find(|crm| own_page(*crm).is_some_and(|page| path.ends_with(page)));
        let is_ours = |state: &String| opened(api, state).is_some();
        match (&response.state, crm) {
            (Some(state), _) if is_ours(state) => {
                let Some(flow) = flow_of(api, request.headers(), state)? else {
                    return Ok(finish_foreign(api, &url));
                };
                let crm = flow.crm;
                let connected = finish_flow(api, flow, invocation, (&url, response)).await;
                Ok(finish(api, (&url, request.headers()), (crm, Way::Page), connected).await)
            }
            (_, Some(crm)) => Ok(show_landing_page(api, crm, invocation, (&url, &response)).await),
            (_, None) => Err(Rejection::NotFound),
        }
    })
}

/// Returns the address of the page of ours to which a CRM sends people. A code is exchanged with the same address with which the
/// flow began (RFC 6749, section 4.1.3).
fn landing_page(crm: &dyn Crm, url: &str) -> String {
    format!("{url}{}", own_page(crm).unwrap_or(OWN_LANDING))
}

/// Connects the person whom the CRM has sent back to a flow of ours.
async fn finish_flow(
    api: &Api,
    Flow { crm, verifier }: Flow,
    invocation: &Invocation,
    (url, response): (&str, AuthorizationResponse),
) -> Result<Connected, LoginError> {
    let code = response.code.ok_or(LoginError::Refused(String::new()))?;
    let redirect_uri = landing_page(crm, url);
    let code = AuthorizationCode { code, redirect_uri, verifier: verifier.map(Secret::new) };
    login(api, crm, invocation).connect(Proof::Code(code)).await
}

/// Returns the page on which the extension takes over: it writes into `rc-stepper`, and takes the code from the address.
async fn show_landing_page(
    api: &Api,
    crm: &'static dyn Crm,
    invocation: &Invocation,
    (url, response): (&str, &AuthorizationResponse),
) -> Answer {
    let name = escaped(crm.display_name());
    let title = format!("Connect {}", crm.display_name());
    if response.code.is_some() {
        let body = "<p id=\"rc-stepper\">(1/3) Waiting for the RingCentral App Connect extension. If it is not installed, \
                    install it, and then refresh this page.</p>\n\
                    <p>If “(3/3)” does not appear within a minute, or the extension does not say that you are connected, \
                    press Connect in the extension again.</p>\n";
        return page(&title, body);
    }
    let Ok((oauth, client)) = login(api, crm, invocation).authorization_server().await else {
        let body = "<p id=\"rc-stepper\"></p>\n<p>Signing in is not set up on this server. Ask your administrator.</p>\n";
        return page(&title, body);
    };
    let landing = landing_page(crm, url);
    let location = oauth.authorize_url(&client.id, &landing, &format!("platform={}", crm.platform()), "");
    let lead = match response.is_refused {
        true => format!("{name} did not grant access. "),
        false => String::new(),
    };
    let body = format!(
        "<p id=\"rc-stepper\"></p>\n<p>{lead}Sign in to log your phone calls in {name}.</p>\n\
         <p><a class=\"button\" href=\"{}\">Sign in at {name}</a></p>\n",
        escaped(&location)
    );
    page(&title, &body)
}

fn show_result<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let url = api.url(invocation)?;
        let sealed = cookie_of(request.headers(), RESULT_COOKIE);
        let outcome: Option<Outcome> =
            sealed.and_then(|text| api.token_keys().open(RESULT_COOKIE, text, api.services.clock.now()));
        let (title, class, message) = match outcome {
            Some(Outcome { is_good: true, message }) => ("You are connected", "result good", message),
            Some(Outcome { message, .. }) => ("You are not connected", "result", message),
            None => ("There is no result", "result", "Start again.".to_owned()),
        };
        let body = format!(
            "<p class=\"{class}\">{}</p>\n<p><a href=\"{url}/connect\">Connect another account</a></p>\n",
            escaped(&message)
        );
        Ok(page(title, &body))
    })
}

/// Returns the redirect to the result of a flow, whose cookie ends. A command that waits for it learns the result.
async fn finish(
    api: &Api,
    (url, headers): (&str, &HeaderMap),
    (crm, way): (&dyn Crm, Way),
    connected: Result<Connected, LoginError>,
) -> Answer {
    let message = match &connected {
        Ok(connected) => greeting(crm, connected),
        Err(error) => refusal(crm, way, error).return_message.message,
    };
    let person = connected.ok().map(|Connected { stored, name, account }| {
        let user = stored.user.key();
        (ConnectedPerson { id: user.id.to_string(), name, account }, user)
    });
    let outcome = Outcome { is_good: person.is_some(), message };
    let shown = show_later(api, url, &outcome);
    match cookie_of(headers, TICKET_COOKIE).and_then(|sealed| opened_ticket(api, sealed)) {
        Some(ticket) if ticket.crm == crm.platform() => {
            report(api, &ticket, outcome.message, person).await;
            shown.with(SET_COOKIE, cookie(TICKET_COOKIE, "", 0, url))
        }
        _ => shown,
    }
}

async fn report(api: &Api, ticket: &Ticket, message: String, person: Option<(ConnectedPerson, UserKey)>) {
    let (connected, user) = person.unzip();
    let report = FlowReport { message, connected };
    let (store, now_ms) = (&api.services.store, api.services.clock.now_ms());
    // The person is connected, or not, whether or not the command learns it.
    if let Err(error) = store.report_flow(&ticket.name, &report, user.as_ref(), now_ms).await {
        log_store_error(tracing::Level::WARN, &error);
    }
}

/// Returns the redirect for a flow that another browser began, or that has ended.
fn finish_foreign(api: &Api, url: &str) -> Answer {
    let message = "This sign-in began in another browser, or it took too long. Start again.".to_owned();
    show_later(api, url, &Outcome { is_good: false, message })
}

fn show_later(api: &Api, url: &str, outcome: &Outcome) -> Answer {
    let sealed = api.token_keys().seal(RESULT_COOKIE, outcome, api.services.clock.now(), RESULT_S);
    Answer::see_other(format!("{url}/connect/result"))
        .with(SET_COOKIE, cookie(FLOW_COOKIE, "", 0, url))
        .with(SET_COOKIE, cookie(RESULT_COOKIE, &sealed, RESULT_S, url))
}

/// Returns the state of a flow at this CRM.
fn state(api: &Api, crm: &dyn Crm, flow: &str) -> String {
    let state = State { crm: crm.platform().to_owned(), flow: flow.to_owned() };
    api.token_keys().seal(FLOW_COOKIE, state, api.services.clock.now(), FLOW_S)
}

fn opened(api: &Api, state: &str) -> Option<State> {
    api.token_keys().open(FLOW_COOKIE, state, api.services.clock.now())
}

/// Returns the flow with this state, if this browser began it a short while ago.
fn flow_of(api: &Api, headers: &HeaderMap, state: &str) -> Result<Option<Flow>, Rejection> {
    let Some(State { crm, flow }) = opened(api, state) else { return Ok(None) };
    let Some(cookie) = cookie_of(headers, FLOW_COOKIE) else { return Ok(None) };
    let (known, verifier) = match cookie.split_once('.') {
        Some((known, verifier)) => (known, Some(verifier.to_owned())),
        None => (cookie, None),
    };
    if known != flow {
        return Ok(None);
    }
    Ok(Some(Flow { crm: offered(api, &crm)?, verifier }))
}

/// Returns the value of a cookie (RFC 6265, section 4.2).
fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs
        .flat_map(|pairs| pairs.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Returns the header of a cookie for this number of seconds (RFC 6265, section 4.1). 0 removes it.
fn cookie(name: &str, value: &str, seconds: i64, url: &str) -> String {
    let secure = if url.starts_with("https:") { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}
