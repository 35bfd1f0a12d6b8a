//! Credentials and personal data stay where they belong: no adapter sends or logs them elsewhere.

use std::{cell::RefCell, collections::BTreeSet};

use axum::Router;
use call_log::{
    adapters::{Access, Authorization, CallFacts, Effect, ErrorKind, NewCallLog, NewContact},
    model::{CallLogId, Contact, Credentials, Secret, User},
    telemetry::{self, Trace},
};
use serde_json::Value;
use tests::{
    fake_crm::FAKES,
    log::{self, Log},
    proxy::{Fault, Proxy},
};

use super::{
    body,
    connected::{Connected, START, user},
    each, each_recovery, kind_and_effect,
};

#[test]
fn a_credential_goes_only_to_hosts_of_the_crm() {
    const HOSTILE: [&str; 9] = [
        "",
        " ",
        ".",
        "evil.example",
        "127.0.0.1",
        "[::1]",
        "user@evil.example",
        "evil.example/path",
        "evil.example\n",
    ];
    for start in FAKES {
        let fake = start();
        let crm = fake.adapter();
        let platform = crm.platform();
        let own = fake.own_hosts();
        let base_url =
            |host: Option<&str>| crm.base_url(&User { hostname: host.map(str::to_owned), ..user(crm) });
        assert!(!own.is_empty(), "{platform} has hosts");
        for (host, url) in own {
            assert_eq!(base_url(*host).as_deref(), Some(*url), "{platform} {host:?}");
        }
        let foreign = fake.foreign_hosts();
        // An adapter that ignores the user's host sends everything to one URL. Any other accepts only its own hosts.
        let only_url = if foreign.is_empty() { Some(own[0].1) } else { None };
        for host in foreign.iter().chain(&HOSTILE) {
            assert_eq!(base_url(Some(host)).as_deref(), only_url, "{platform} {host:?}");
        }
        // The refresh token and our client secret go to the authorization server.
        let token_url = |host: Option<&str>| {
            let user = User { hostname: host.map(str::to_owned), ..user(crm) };
            crm.oauth(&user).map(|oauth| oauth.token_url)
        };
        let own_urls: BTreeSet<_> = own.iter().filter_map(|(host, _)| token_url(*host)).collect();
        assert!(own_urls.iter().all(|url| url.starts_with("https://")), "{platform}: {own_urls:?}");
        for host in foreign.iter().chain(&HOSTILE) {
            let url = token_url(Some(host));
            let is_fixed = url.iter().all(|url| own_urls.len() == 1 && own_urls.contains(url));
            assert!(is_fixed, "{platform} {host:?}: {url:?} depends on a host that is not the CRM's");
        }
        let is_own = own.iter().any(|(host, _)| host.is_none());
        assert!(is_own || base_url(None).is_none(), "{platform}: a user without a host");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_to_another_host() {
    each_recovery(async |connected| {
        let other = Proxy::around(Router::new());
        let fault = Fault::Redirect(format!("{}/v1/calls", other.base_url()));
        super::faults::check_every_request(connected, &fault, &ErrorKind::Malformed, Effect::Unknown).await;
        assert_eq!(other.exchanges().len(), 0, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_credential_is_sent_and_an_invalid_one_is_unauthorized() {
    each(async |connected| {
        let oauth = |token: &str| Credentials::OAuth {
            access_token: Secret::new(token),
            refresh_token: None,
            expires_at: None,
        };
        let key = |key: &str| Credentials::ApiKey(Secret::new(key));
        let valid = connected.fake.credentials();
        assert!(matches!(valid[0], Credentials::ApiKey(_)), "{}", connected.name());
        let header = Authorization::Header(Secret::new(connected.fake.authorization_header()));
        let valid = valid.into_iter().map(Authorization::Stored).chain([header]);
        let wrong = [key("wrong"), oauth("wrong"), key(""), oauth("no\nheader")].map(Authorization::Stored);
        let wrong = wrong.into_iter().chain([Authorization::Header(Secret::new("Bearer wrong"))]);
        let rows = valid.map(|valid| (valid, true)).chain(wrong.map(|wrong| (wrong, false)));
        for (authorization, is_valid) in rows {
            let access = Access { authorization, ..connected.access() };
            match connected.crm.create_record(&access, &connected.log(START)).await {
                Ok(_) => assert!(is_valid, "{}: {:?}", connected.name(), access.authorization),
                Err(error) => {
                    assert!(!is_valid, "{}: {error:?}", connected.name());
                    let expected = (ErrorKind::Unauthorized, Effect::None);
                    assert_eq!(kind_and_effect(error), expected, "{}", connected.name());
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_request_has_the_headers_that_the_crm_requires() {
    each_recovery(async |connected| {
        send_every_request(connected, &connected.log(START)).await;
        for exchange in connected.proxy().exchanges() {
            let request = format!("{}: {} {}", connected.name(), exchange.method, exchange.path);
            for (name, value) in connected.fake.fixed_headers() {
                assert_eq!(exchange.header(name), Some(*value), "{request}");
            }
            if !exchange.body.is_empty() {
                assert_eq!(exchange.header("content-type"), Some("application/json"), "{request}");
            }
        }
    })
    .await;
}

/// Sends each request of the port once, and returns the record and the contact that were created.
async fn send_every_request(connected: &Connected, log: &NewCallLog) -> (CallLogId, Contact) {
    let (crm, access) = (connected.crm, connected.access());
    let new =
        NewContact { name: "Canaria Bird".to_owned(), phone_number: "+12135559911".to_owned(), kind: None };
    let contact = crm.create_contact(&access, &new).await.unwrap();
    crm.find_contacts(&access, &new.phone_number).await.unwrap();
    let log = NewCallLog { contact: Some(contact.clone()), ..log.clone() };
    let id = connected.create(&log).await;
    connected.find(&log).await;
    connected.read(&id).await;
    crm.finish_record(&access, &id, &log.facts).await.unwrap();
    crm.update_record(&access, &id, &body("canary-text")).await.unwrap();
    crm.delete_record(&access, &id).await.unwrap();
    (id, contact)
}

#[tokio::test]
async fn no_log_line_contains_an_identifier_or_a_text_of_a_request() {
    each_recovery(async |connected| {
        let log = Log::capture_details();
        let session = "canary-session";
        let call = NewCallLog {
            subject: "canary-subject".to_owned(),
            facts: CallFacts { result: Some("canary-result".to_owned()), ..connected.log(START).facts },
            ..connected.with_session(START, session)
        };
        let sent = RefCell::new(None);
        let trace = Trace::new("test-request", None);
        let work = async {
            *sent.borrow_mut() = Some(send_every_request(connected, &call).await);
            // Failures are logged too. A CRM may quote what it got.
            let quote = r#"{"error": "canary-quote", "message": "canary-quote"}"#;
            for status in [400, 404, 409, 422, 500] {
                connected.proxy().next(connected.routes.create, Fault::Refusal(status, quote));
                let error = connected.crm.create_record(&connected.access(), &call).await.unwrap_err();
                tracing::warn!(%error, "the create failed");
            }
        };
        telemetry::instrument(&connected.clock, "POST /callLog", "create", trace, work).await;
        let (id, contact) = sent.take().unwrap();
        let lines = log.take();
        let requests = lines.iter().filter(|line| line["crm_route"].is_string()).count();
        assert!(requests >= connected.proxy().exchanges().len(), "{}: {lines:?}", connected.name());
        assert_eq!(log::endings(&lines).len(), 1, "{}: {lines:?}", connected.name());
        let tag = call.tag.to_string();
        let private = [
            ("a record id", id.as_str()),
            ("a contact id", contact.id.as_str()),
            ("a call tag", &tag),
            ("a session", session),
            ("a number", "2135559911"),
            ("a name", "Canaria"),
            ("a text", "canary"),
        ];
        let credentials = connected.fake.credentials();
        let secrets = credentials.iter().map(|credentials| match credentials {
            Credentials::ApiKey(key) => key.expose(),
            Credentials::OAuth { access_token, .. } => access_token.expose(),
        });
        let private: Vec<_> =
            private.into_iter().chain(secrets.map(|secret| ("a credential", secret))).collect();
        for text in lines.iter().flat_map(texts) {
            for (kind, private) in &private {
                assert!(!text.contains(*private), "{}: {kind} is in a log line: {text}", connected.name());
            }
        }
    })
    .await;
}

/// Returns the texts in a log line, without its times, whose digits may be those of an id.
fn texts(line: &Value) -> Vec<String> {
    match line {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "timestamp")
            .flat_map(|(name, value)| [vec![name.clone()], texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}
