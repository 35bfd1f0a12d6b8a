//! The requests that connect a CRM account, and the response to them.

use serde::Serialize;

use super::{InputError, ReturnMessage, fields::Fields, json, query::Query, value};
use crate::model::Secret;

/// The authorization response of a CRM, as the extension passes it on in `callbackUri`.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The CRM that the state of the flow names.
    pub platform: String,
    /// The page to which the CRM sent the person, without its query.
    pub page: String,
    /// The code.
    pub code: Secret,
}

/// A key, as the form of the extension sends it.
#[derive(Clone, Debug)]
pub struct KeyLogin {
    /// The CRM.
    pub platform: String,
    /// The key.
    pub key: Secret,
}

/// The authorization response with which a CRM sends a person to a page of ours (RFC 6749, section 4.1.2).
#[derive(Clone, Debug)]
pub struct AuthorizationResponse {
    /// The code; `None`: the person did not grant access, or has not been asked.
    pub code: Option<Secret>,
    /// The state of the flow.
    pub state: Option<String>,
    /// The person did not grant access.
    pub is_refused: bool,
}

/// The form of the page on which a key is entered.
#[derive(Clone, Debug)]
pub struct KeyForm {
    /// The state of the flow.
    pub state: String,
    /// The key.
    pub key: Secret,
}

/// The response to a login.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginBody {
    /// Always `true`.
    pub successful: bool,
    /// The caller's token.
    pub jwt_token: String,
    /// The name of the user in the CRM.
    pub name: String,
    /// The message for the user.
    pub return_message: ReturnMessage,
}

/// Reads the query of `GET /oauth-callback`. The extension does not encode the address in `callbackUri`, so that the
/// parameters after its first one stand beside it.
///
/// # Errors
///
/// If the address, its code or the CRM is missing. The messages quote nothing, because all of it is secret.
pub fn read_callback(query: &str) -> Result<Callback, InputError> {
    let error = |message: &str| InputError::new(message.to_owned());
    let outer = Query::of(query);
    let raw = query.split('&').find_map(|parameter| parameter.strip_prefix("callbackUri="));
    let address = outer.get("callbackUri").filter(|address| *address != "undefined");
    let (Some(raw), Some(address)) = (raw, address) else {
        return Err(error("`callbackUri` is missing: press Connect to sign in at the CRM first"));
    };
    // Written plainly, it is decoded with the query around it.
    let address = if raw.contains("://") { raw } else { address };
    let (page, inner) = address.split_once('?').unwrap_or((address, ""));
    let inner = Query::of(inner);
    let get = |name| inner.get(name).or_else(|| outer.get(name)).filter(|value| *value != "undefined");
    let code = get("code").ok_or_else(|| error("the CRM sent no code: press Connect again"))?;
    let platform = get("state").and_then(platform_of).or_else(|| platform_of(query));
    let platform =
        platform.ok_or_else(|| error("`state` does not name a CRM: expected `platform=<name>`"))?;
    Ok(Callback { platform, page: page.to_owned(), code: Secret::new(code) })
}

/// Returns the name behind `platform=`, in lower case.
fn platform_of(state: &str) -> Option<String> {
    let (_, rest) = state.split_once("platform=")?;
    let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    (!name.is_empty()).then(|| name.to_lowercase())
}

/// Reads the body of `POST /apiKeyLogin`. The key is at the top or among the fields of the form, and the CRM may be in the
/// query only.
///
/// # Errors
///
/// If the body is not a JSON object, or the CRM or the key is missing.
pub fn read_key_login(query: &str, body: &[u8]) -> Result<KeyLogin, InputError> {
    let body = json::read_object(body, "body")?;
    let top = Fields::of_input(&body);
    let in_query = || Query::of(query).get("state").and_then(platform_of);
    let platform =
        top.get("platform", &value::TEXT)?.map(|name| name.trim().to_lowercase()).or_else(in_query);
    let form = top.clone().or(top.part("additionalInfo"));
    let key = form.require("apiKey", &value::TEXT)?;
    match platform.filter(|name| !name.is_empty()) {
        Some(platform) => Ok(KeyLogin { platform, key: Secret::new(key) }),
        None => Err(InputError::new("`platform` is missing: expected the name of a CRM")),
    }
}

/// Reads the query of a page to which a CRM sends people (RFC 6749, section 4.1.2).
pub fn read_authorization_response(query: &str) -> AuthorizationResponse {
    let query = Query::of(query);
    AuthorizationResponse {
        code: query.get("code").map(Secret::new),
        state: query.get("state").map(str::to_owned),
        is_refused: query.get("error").is_some(),
    }
}

/// Reads the CRM that a person chose on our page.
///
/// # Errors
///
/// If it is missing.
pub fn read_chosen_crm(query: &str) -> Result<String, InputError> {
    let name = Query::of(query).get("crm").map(str::to_lowercase);
    name.ok_or_else(|| InputError::new("`crm` is missing: start at /connect"))
}

/// Reads the ticket of a command that waits for a login; `None`: there is none.
pub fn read_ticket(query: &str) -> Option<String> {
    Query::of(query).get("ticket").map(str::to_owned)
}

/// Reads the form with a key (WHATWG URL, "application/x-www-form-urlencoded").
///
/// # Errors
///
/// If the state or the key is missing.
pub fn read_key_form(body: &[u8]) -> Result<KeyForm, InputError> {
    let text = String::from_utf8_lossy(body);
    let form = Query::of(&text);
    let field = |name| {
        form.get(name).ok_or_else(|| InputError::new(format!("`{name}` is missing: start at /connect")))
    };
    Ok(KeyForm { state: field("state")?.to_owned(), key: Secret::new(field("apiKey")?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_read_however_its_address_is_written() {
        let page = "https://calls.example.com/redirect.html";
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let whole = encoded(&format!("{page}?code=a%2Fb%2Bc&state=platform%3Dexample"));
        for (query, expected) in [
            (format!("callbackUri={page}?code=x&state=platform=example&hostname=h"), Ok("x")),
            (format!("callbackUri={page}?code=a%2Fb%2Bc&state=platform%3DExample"), Ok("a/b+c")),
            (format!("callbackUri={whole}"), Ok("a/b+c")),
            (format!("callbackUri={}&code=x&state=platform=example", encoded(page)), Ok("x")),
            (format!("callbackUri={page}?state=filler,platform=example&code=x"), Ok("x")),
            (format!("callbackUri={page}?code=x&state=other&platform=example"), Ok("x")),
            (
                "callbackUri=undefined&state=platform=example".to_owned(),
                Err("`callbackUri` is missing: press Connect to sign in at the CRM first"),
            ),
            (
                "state=platform=example&code=x".to_owned(),
                Err("`callbackUri` is missing: press Connect to sign in at the CRM first"),
            ),
            (
                format!("callbackUri={page}?state=platform=example"),
                Err("the CRM sent no code: press Connect again"),
            ),
            (
                format!("callbackUri={page}?state=platform=example&code=undefined"),
                Err("the CRM sent no code: press Connect again"),
            ),
            (
                format!("callbackUri={page}?code=x&state=7"),
                Err("`state` does not name a CRM: expected `platform=<name>`"),
            ),
        ] {
            let read = read_callback(&query).map_err(|error| error.message);
            let code = read.as_ref().map(|callback| callback.code.expose()).map_err(String::as_str);
            assert_eq!(code, expected, "{query}");
            if let Ok(callback) = read {
                assert_eq!((&*callback.page, &*callback.platform), (page, "example"), "{query}");
            }
        }
    }

    #[test]
    fn a_key_is_read_from_either_place() {
        for (query, body, expected) in [
            ("", r#"{"platform": "Example", "apiKey": "k"}"#, Ok(("example", "k"))),
            ("", r#"{"platform": "example", "additionalInfo": {"apiKey": "k"}}"#, Ok(("example", "k"))),
            ("state=platform=example", r#"{"apiKey": "k"}"#, Ok(("example", "k"))),
            ("", r#"{"apiKey": "k"}"#, Err("`platform` is missing: expected the name of a CRM")),
            ("", r#"{"platform": "example"}"#, Err("`apiKey` is missing: expected a string")),
        ] {
            let read = read_key_login(query, body.as_bytes()).map_err(|error| error.message);
            let read = read.as_ref().map(|login| (&*login.platform, login.key.expose()));
            assert_eq!(read.map_err(String::as_str), expected, "{body}");
        }
    }
}
