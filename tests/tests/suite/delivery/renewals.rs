//! Token requests: the form that is sent, and what each response means for the user's grant.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    routing::any,
};
use call_log::{
    adapters::{
        ClientAuthentication, Crm, OAuth,
        oauth::{GrantError, IssuedGrant, renew_grant},
    },
    model::{CrmAccount, OAuthClient, Secret},
    startup::transport,
};
use tests::proxy::Proxy;

use super::sessions::{crm::SessionCrm, user};

const CLIENT_ID: &str = "our app";
/// A secret that a form and HTTP Basic have to encode.
const CLIENT_SECRET: &str = "s3cr3t & more: 100%";

/// A request that arrived.
type Seen = (Uri, HeaderMap, Bytes);

/// Sends a token request to a server that gives this response. Returns the result, and the request as it arrived.
async fn renew(
    client: Option<ClientAuthentication>,
    extra: &[(&'static str, &str)],
    (status, body): (u16, &'static str),
) -> (Result<IssuedGrant, GrantError>, Seen) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let respond =
        async move |State(seen): State<Arc<Mutex<Vec<Seen>>>>, uri: Uri, headers: HeaderMap, sent: Bytes| {
            seen.lock().unwrap().push((uri, headers, sent));
            (StatusCode::from_u16(status).unwrap(), body)
        };
    let server = Proxy::around(Router::new().fallback(any(respond)).with_state(seen.clone()));
    let oauth = OAuth {
        authorize_url: String::new(),
        token_url: format!("{}/oauth/v2/token", server.base_url()),
        revoke_url: None,
        client_authentication: client.unwrap_or(ClientAuthentication::Form),
        scopes: vec!["calls".to_owned()],
        has_pkce: false,
        extra: extra.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    };
    let registration =
        client.map(|_| OAuthClient { id: CLIENT_ID.to_owned(), secret: Secret::new(CLIENT_SECRET) });
    let http = transport::client().unwrap().into();
    let refresh_token = Secret::new("refresh+token/1=");
    let renewed = renew_grant(&http, &SessionCrm, &oauth, registration.as_ref(), &refresh_token).await;
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 1, "one request");
    (renewed, seen.remove(0))
}

/// Returns the fields of a form.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let url = format!("http://form/?{}", std::str::from_utf8(body).unwrap());
    let url = reqwest::Url::parse(&url).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[tokio::test]
async fn a_token_request_carries_the_client_as_the_adapter_says_and_never_in_its_url() {
    let basic = format!("Basic {}", aws_smithy_types::base64::encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "refresh+token/1=")];
    let scope = ("scope", "https://acme.crm4.example/.default offline_access");
    let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    for (authentication, extra, authorization, fields) in [
        (None, vec![], None, grant.to_vec()),
        (None, vec![scope], None, [&grant[..], &[scope]].concat()),
        (Some(ClientAuthentication::Basic), vec![], Some(&basic), grant.to_vec()),
        (Some(ClientAuthentication::Basic), vec![scope], Some(&basic), [&grant[..], &[scope]].concat()),
        (Some(ClientAuthentication::Form), vec![], None, [&grant[..], &client].concat()),
        (Some(ClientAuthentication::Form), vec![scope], None, [&grant[..], &[scope], &client].concat()),
    ] {
        let case = format!("{authentication:?} {extra:?}");
        let granted = (200, r#"{"access_token": "a"}"#);
        let (_, (uri, headers, body)) = renew(authentication, &extra, granted).await;
        assert_eq!(uri.to_string(), "/oauth/v2/token", "{case}");
        let sent = |name| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(sent(header::AUTHORIZATION), authorization.map(String::as_str), "{case}");
        assert_eq!(sent(header::CONTENT_TYPE), Some("application/x-www-form-urlencoded"), "{case}");
        let expected: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(form(&body), expected, "{case}");
    }
}

#[tokio::test]
async fn each_response_of_the_token_endpoint_has_one_meaning() {
    for (status, body, expected) in [
        // The grant was renewed.
        (
            200,
            r#"{"access_token": "a", "refresh_token": "r", "expires_in": 3600}"#,
            r#"a Some("r") Some(3600) None"#,
        ),
        (200, r#"{"access_token": "a", "expires_in": "3600"}"#, "a None Some(3600) None"),
        (200, r#"{"access_token": "a"}"#, "a None None None"),
        (200, r#"{"access_token": "a", "expires_in": -1}"#, "a None None None"),
        (
            200,
            r#"{"access_token": "a", "instance_url": "https://acme.crm4.example"}"#,
            r#"a None None Some("https://acme.crm4.example")"#,
        ),
        // The refresh token will never work again.
        (400, r#"{"error": "invalid_grant"}"#, "rejected"),
        (401, r#"{"error": "invalid_grant", "error_description": "expired"}"#, "rejected"),
        (200, r#"{"error": "invalid_grant"}"#, "rejected"),
        (200, r#"{"error": "invalid_code"}"#, "rejected"),
        (400, r#"{"status": "BAD_REFRESH_TOKEN", "message": "unknown"}"#, "rejected"),
        // The grant was not renewed, and the refresh token still works.
        (400, r#"{"error": "invalid_grant", "error_description": "ip restricted"}"#, "failed 400"),
        (400, r#"{"error": "invalid_client"}"#, "failed 400"),
        (401, r#"{"error": "invalid_client"}"#, "failed 401"),
        (400, r#"{"error": "rate_limit_exceeded"}"#, "failed 400"),
        (400, r#"{"error": "Access Denied"}"#, "failed 400"),
        (200, r#"{"error": "Access Denied"}"#, "failed 200"),
        (400, r#"["invalid_grant"]"#, "failed 400"),
        (400, "", "failed 400"),
        (403, "<html>blocked</html>", "failed 403"),
        (404, "", "failed 404"),
        (429, r#"{"error": "too many requests"}"#, "failed 429"),
        (302, "", "failed 302"),
        // The grant may have been renewed.
        (200, "", "outcome unknown"),
        (200, "{}", "outcome unknown"),
        (200, r#"{"access_token": 7}"#, "outcome unknown"),
        (200, "<html>", "outcome unknown"),
        (200, r#"{"access_token": "a", "#, "outcome unknown"),
        (500, r#"{"error": "server_error"}"#, "outcome unknown"),
        (502, "<html>", "outcome unknown"),
        (503, r#"{"error": "temporarily_unavailable"}"#, "outcome unknown"),
    ] {
        for client in [None, Some(ClientAuthentication::Basic), Some(ClientAuthentication::Form)] {
            let (renewed, _) = renew(client, &[], (status, body)).await;
            let meaning = match renewed {
                Ok(grant) => {
                    let refresh_token = grant.refresh_token.as_ref().map(Secret::expose);
                    let access_token = grant.access_token.expose();
                    format!("{access_token} {refresh_token:?} {:?} {:?}", grant.expires_in, grant.api_host)
                }
                Err(GrantError::Rejected) => "rejected".to_owned(),
                Err(GrantError::OutcomeUnknown) => "outcome unknown".to_owned(),
                Err(GrantError::NotSent) => "not sent".to_owned(),
                Err(GrantError::Failed(status)) => format!("failed {status}"),
            };
            assert_eq!(meaning, expected, "{status} {body} {client:?}");
        }
    }
}

#[tokio::test]
async fn a_token_request_without_a_connection_was_not_sent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let user = user(CrmAccount::default());
    let oauth = OAuth { token_url: format!("http://{closed}/token"), ..SessionCrm.oauth(&user).unwrap() };
    let http = transport::client().unwrap().into();
    let renewed = renew_grant(&http, &SessionCrm, &oauth, None, &Secret::new("r")).await;
    assert!(matches!(renewed, Err(GrantError::NotSent)), "{renewed:?}");
}
