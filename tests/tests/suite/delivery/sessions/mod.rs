//! CRMs whose API takes a session token, and API hosts that come with a response.

pub(super) mod crm;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use call_log::{
    adapters::{
        Crm,
        hosts::{self, ForeignHost},
    },
    model::{Clock, Credentials, CrmAccount, Platform, Secret, Settings, User, UserId},
    startup::{app::App, config::Config},
    store::StoredUser,
};
use chrono::DateTime;
use serde_json::json;
use tests::{
    dynamodb::DynamoDb,
    log::Log,
    messages::{LOGGED, RATE_LIMITED, SESSION_ENDED, UNAUTHORIZED},
    proxy::Fault,
    test_app::{HASH_KEY, INVOCATION_MS, JWT_SECRET, NOW_MS, Response, call, close_breaker, key_file, send},
};

use self::crm::{CREATE, FakeSessionCrm, HEADER, LOGIN, PLATFORM, SessionCrm, TOKEN};
use super::start;

const NOT_ANSWERING: &str = "Session CRM is not answering";
const MINUTE: i64 = 60_000;

/// A table, a server of the CRM, and a user whose session is `session-1`.
struct Test {
    app: Arc<App>,
    crm: FakeSessionCrm,
    dynamodb: DynamoDb,
    clock: Arc<AtomicI64>,
    user: User,
}

impl Test {
    /// Starts an app. The user's session ends this many milliseconds from now; `None`: its end is not known.
    async fn start(expires_in: Option<i64>) -> Test {
        let (crm, dynamodb) = (FakeSessionCrm::start("session-1"), DynamoDb::start());
        let clock = Arc::new(AtomicI64::new(NOW_MS));
        let app = app(&dynamodb, &crm, &clock).await;
        app.store.create_table().await.unwrap();
        let user = User {
            credentials: Some(Credentials::OAuth {
                access_token: Secret::new("session-1"),
                refresh_token: Some(Secret::new("refresh-0")),
                expires_at: expires_in.and_then(|ms| DateTime::from_timestamp_millis(NOW_MS + ms)),
            }),
            ..user(CrmAccount::default())
        };
        app.store.put_user(&user).await.unwrap();
        Test { app, crm, dynamodb, clock, user }
    }

    /// Starts an app like another process.
    async fn another_app(&self) -> Arc<App> {
        app(&self.dynamodb, &self.crm, &self.clock).await
    }

    /// Logs a call, and checks the message.
    async fn log(&self, session: &str, message: &str, case: &str) {
        let token = self.app.issue_token(&self.user, 1);
        let body = call(session).to_string().into_bytes();
        check(&send(&self.app, "POST", &token, body, INVOCATION_MS).await, message, case);
    }

    /// Asserts how many token requests, logins and creates arrived.
    fn check_requests(&self, expected: (usize, usize, usize), case: &str) {
        let counted = [TOKEN, LOGIN, CREATE].map(|target| self.crm.proxy.count(target));
        assert_eq!(<(usize, usize, usize)>::from(counted), expected, "{case}");
    }

    async fn stored(&self) -> StoredUser {
        self.app.store.user(&self.user.key()).await.unwrap().unwrap()
    }

    /// Asserts which session token and which refresh token are stored.
    async fn check_stored(&self, expected: (&str, &str), case: &str) {
        let stored = self.stored().await;
        assert!(!stored.session_ended, "{case}");
        let Some(Credentials::OAuth { access_token, refresh_token: Some(refresh_token), .. }) =
            stored.user.credentials
        else {
            panic!("{case}: no grant")
        };
        assert_eq!((access_token.expose(), refresh_token.expose()), expected, "{case}");
    }
}

fn check(response: &Response, message: &str, case: &str) {
    assert_eq!(response.message(), message, "{case}: {}", response.body);
}

pub(super) fn user(account: CrmAccount) -> User {
    User {
        id: UserId::new(format!("12345-{PLATFORM}")).unwrap(),
        platform: Platform::new(PLATFORM).unwrap(),
        hostname: None,
        account,
        zone: None,
        settings: Settings::default(),
        credentials: None,
    }
}

/// Starts an app whose only CRM is this one.
async fn app(dynamodb: &DynamoDb, crm: &FakeSessionCrm, clock: &Arc<AtomicI64>) -> Arc<App> {
    let key_file = key_file("credentials");
    let environment = BTreeMap::from([
        ("CREDENTIALS_KEY_FILE", key_file.as_str()),
        ("TABLE_NAME", "calls"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("HASH_KEY", HASH_KEY),
    ]);
    let config = Config::read(|name| environment.get(name).map(|value| (*value).to_owned())).unwrap();
    let mut app = App::new(config, Clock::Manual(clock.clone())).await.unwrap();
    app.api.services.crms = &[&SessionCrm as &dyn Crm];
    app.api.services.crm_base_urls.insert(PLATFORM.to_owned(), crm.proxy.base_url());
    Arc::new(app)
}

#[tokio::test]
async fn a_session_token_is_sent_in_the_header_that_the_adapter_names() {
    let test = Test::start(Some(0)).await;
    test.log("1", LOGGED, "an expired session").await;
    test.check_requests((1, 1, 1), "a login after the renewal");
    assert_eq!(test.crm.sent(HEADER), [Some("session-2".to_owned())]);
    assert_eq!(test.crm.sent("authorization"), [None]);
    assert_eq!(
        (test.crm.sent_to_log_in(HEADER), test.crm.sent_to_log_in("authorization")),
        (vec![None], vec![None])
    );
    test.check_stored(("session-2", "refresh-1"), "the session").await;
    test.log("2", LOGGED, "the session goes on").await;
    test.check_requests((1, 1, 2), "its end is not known");
}

#[tokio::test]
async fn a_session_whose_end_is_known_is_renewed_before_it() {
    let test = Test::start(Some(0)).await;
    test.crm.limit_sessions(3_600);
    test.log("1", LOGGED, "an expired session").await;
    for (minutes, renewals) in [(49, 1), (2, 2)] {
        test.clock.fetch_add(minutes * MINUTE, Ordering::SeqCst);
        test.log(&format!("after {minutes}"), LOGGED, "a valid session").await;
        assert_eq!(test.crm.proxy.count(TOKEN), renewals, "{minutes}");
    }
}

#[tokio::test]
async fn a_rejected_session_is_renewed_and_logged_in_to_again_once() {
    let test = Test::start(None).await;
    test.log("1", LOGGED, "a valid session").await;
    test.check_requests((0, 0, 1), "a session without a known end is not renewed");
    test.crm.end_sessions();
    test.log("2", LOGGED, "a new session").await;
    test.check_requests((1, 1, 3), "one renewal");
    assert_eq!(test.crm.records(), 2);

    for _ in 0..2 {
        test.crm.proxy.next(CREATE, Fault::Status(401));
    }
    test.log("3", UNAUTHORIZED, "the new session is rejected too").await;
    test.check_requests((2, 2, 5), "no second renewal");
}

#[tokio::test]
async fn two_processes_renew_a_rejected_session_once() {
    let test = Test::start(None).await;
    let apps = [test.app.clone(), test.another_app().await];
    test.crm.end_sessions();
    test.crm.proxy.gather(2);
    let [one, other] = &apps;
    let sent = [(one, "1"), (other, "2")].map(|(app, session)| start(app, &test.user, "POST", call(session)));
    for response in sent {
        check(&response.await.unwrap(), LOGGED, "each process");
    }
    test.check_requests((1, 1, 4), "each create was rejected once");
    assert_eq!(test.crm.records(), 2);
}

#[tokio::test]
async fn a_failed_login_does_not_lose_the_new_refresh_token() {
    for (fault, message, session) in [
        (Fault::Status(503), NOT_ANSWERING, "session-2"),
        (Fault::DropBeforeEffect, NOT_ANSWERING, "session-2"),
        (Fault::DropBeforeAnswer, NOT_ANSWERING, "session-3"),
        (Fault::Html, NOT_ANSWERING, "session-2"),
        (Fault::RateLimited { retry_after: Some(1) }, RATE_LIMITED, "session-2"),
        (Fault::Status(401), UNAUTHORIZED, "session-2"),
    ] {
        let case = format!("{fault:?}");
        // The session has expired.
        let test = Test::start(Some(-MINUTE)).await;
        test.crm.proxy.next(LOGIN, fault.clone());
        test.log("1", message, &case).await;
        test.check_stored(("session-1", "refresh-1"), &case).await;
        close_breaker(&test.app, &test.user).await;
        test.log("1", LOGGED, &format!("{case}: the same create again")).await;
        test.check_stored((session, "refresh-2"), &case).await;
        test.check_requests((2, 2, 1), &case);

        // The session was rejected.
        let test = Test::start(None).await;
        test.crm.end_sessions();
        test.crm.proxy.next(LOGIN, fault.clone());
        test.log("1", message, &case).await;
        test.check_stored(("session-1", "refresh-1"), &case).await;
        close_breaker(&test.app, &test.user).await;
        test.log("1", LOGGED, &format!("{case}: the same create again")).await;
        test.check_requests((2, 2, 2), &format!("{case}: the rejected session is not sent again"));

        // The session is still good, and is used on.
        let test = Test::start(Some(5 * MINUTE)).await;
        test.crm.proxy.next(LOGIN, fault);
        test.log("1", LOGGED, &case).await;
        test.check_stored(("session-1", "refresh-1"), &case).await;
        assert_eq!(test.crm.sent(HEADER), [Some("session-1".to_owned())], "{case}");
    }
}

#[tokio::test]
async fn a_refused_refresh_token_ends_the_session_without_a_login() {
    let test = Test::start(Some(0)).await;
    test.crm.proxy.next(TOKEN, Fault::Refusal(200, r#"{"error": "invalid_code"}"#));
    test.log("1", SESSION_ENDED, "refused with 200").await;
    test.check_requests((1, 0, 0), "no login");
    assert!(test.stored().await.session_ended);
}

#[tokio::test]
async fn a_refusal_that_is_not_the_end_of_the_grant_leaves_the_user_connected() {
    for refusal in [
        Fault::Refusal(400, r#"{"error": "invalid_client"}"#),
        Fault::Refusal(400, r#"{"error": "rate_limit_exceeded"}"#),
        Fault::Refusal(400, r#"{"error": "invalid_grant", "error_description": "ip restricted"}"#),
        Fault::Refusal(200, r#"{"error": "Access Denied"}"#),
        Fault::Status(429),
    ] {
        let test = Test::start(Some(0)).await;
        let case = format!("{refusal:?}");
        test.crm.proxy.next(TOKEN, refusal);
        test.log("1", NOT_ANSWERING, &case).await;
        test.check_stored(("session-1", "refresh-0"), &case).await;
        test.check_requests((1, 0, 0), &format!("{case}: not sent again at once"));
        test.log("2", LOGGED, &case).await;
    }
}

/// The host that a response names: that of the other server, a foreign one, or none.
#[tokio::test]
async fn requests_follow_the_api_host_that_a_response_names() {
    let log = Log::capture();
    for (in_token, in_session, moves, warnings) in [
        ("", "", false, 0),
        ("other", "", true, 0),
        ("", "other", true, 0),
        ("foreign", "other", true, 1),
        ("foreign", "", false, 1),
        ("foreign", "foreign", false, 2),
    ] {
        let case = format!("{in_token:?} {in_session:?}");
        let (test, other) = (Test::start(Some(0)).await, FakeSessionCrm::start("session-2"));
        let url = other.proxy.base_url();
        let host = |name: &str| match name {
            "" => None,
            "other" => Some(url.clone()),
            _ => Some("https://foreign.example".to_owned()),
        };
        // If the token endpoint moves the API, the session is opened at the other server.
        let login_moves = in_token == "other";
        test.crm.name_hosts(host(in_token).as_deref(), host(in_session).as_deref());
        log.take();
        if login_moves {
            other.proxy.next(LOGIN, Fault::Refusal(200, r#"{"session": "session-2"}"#));
        }
        test.log("1", LOGGED, &case).await;
        let lines = log.take_text();
        assert_eq!(lines.matches("names a host that is not one of its own").count(), warnings, "{case}");
        assert!(!lines.contains("foreign.example"), "{case}: {lines}");
        let moved = moves.then(|| url.clone());
        assert_eq!(test.stored().await.user.account.api_host, moved, "{case}");
        assert_eq!(other.proxy.count(LOGIN), usize::from(login_moves), "{case}");

        // Another process reads the host with the grant.
        let (token, body) = (test.app.issue_token(&test.user, 1), call("2").to_string().into_bytes());
        let response = send(&*test.another_app().await, "POST", &token, body, INVOCATION_MS).await;
        check(&response, LOGGED, &case);
        let expected = if moves { (0, 2) } else { (2, 0) };
        assert_eq!((test.crm.records(), other.records()), expected, "{case}");
        assert_eq!(test.crm.proxy.count(TOKEN), 1, "{case}: token requests go where they went");
    }
}

/// A request that was rejected at one host is sent again to the one that the renewal named.
#[tokio::test]
async fn a_rejected_request_is_sent_again_to_the_host_that_the_renewal_names() {
    let (test, other) = (Test::start(None).await, FakeSessionCrm::start("session-2"));
    test.crm.name_hosts(None, Some(&other.proxy.base_url()));
    test.crm.end_sessions();
    test.log("1", LOGGED, "after the renewal").await;
    assert_eq!((test.crm.proxy.count(CREATE), other.proxy.count(CREATE)), (1, 1));
}

/// The table is unavailable after the renewal, so that the new grant and its host cannot be stored at once.
#[tokio::test]
async fn a_host_that_could_not_be_stored_is_stored_with_its_grant_by_the_next_request() {
    let (test, other) = (Test::start(Some(0)).await, FakeSessionCrm::start("session-2"));
    test.crm.name_hosts(None, Some(&other.proxy.base_url()));
    let address = test.dynamodb.url.trim_start_matches("http://").parse().unwrap();
    let table = tests::proxy::Proxy::before(address);
    let proxied = DynamoDb { url: table.base_url() };
    let app = app(&proxied, &test.crm, &test.clock).await;
    let token = app.issue_token(&test.user, 1);
    let request = async |session: &str| {
        send(&app, "POST", &token, call(session).to_string().into_bytes(), INVOCATION_MS).await
    };
    test.crm.proxy.next(LOGIN, Fault::Delay(Duration::from_millis(300)));
    let outage = async {
        while test.crm.proxy.count(LOGIN) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        table.outage(Some(Fault::Status(400)));
    };
    let (first, ()) = tokio::join!(request("1"), outage);
    assert_eq!(first.status, 500, "{}", first.body);
    test.check_stored(("session-1", "refresh-0"), "during the outage").await;
    table.outage(None);
    check(&request("2").await, LOGGED, "after the outage");
    test.check_stored(("session-2", "refresh-1"), "after the outage").await;
    assert_eq!(test.stored().await.user.account.api_host, Some(other.proxy.base_url()));
    assert_eq!((test.crm.records(), other.records()), (0, 1));
}

#[test]
fn a_stored_host_must_be_the_one_that_the_adapter_uses() {
    let (api, login) = (ForeignHost::Api, ForeignHost::Login);
    for (api_host, login_host, expected) in [
        (None, None, Ok(())),
        (Some("api.crm.example"), Some("login.crm.example"), Ok(())),
        (Some("acme.crm4.example"), Some("acme.login.crm.example"), Ok(())),
        (Some("acme.crm.example"), None, Err(api)),
        (Some("acme.crm4.example.evil.com"), None, Err(api)),
        (Some("http://127.0.0.1:7001"), None, Err(api)),
        (Some("api.crm.example:443"), None, Err(api)),
        (Some("api.crm.example/rest"), None, Err(api)),
        (Some(""), None, Err(api)),
        (None, Some("crm.example"), Err(login)),
        (None, Some("user@login.crm.example"), Err(login)),
        (Some("evil.com"), Some("evil.com"), Err(api)),
    ] {
        let (api_host, login_host) = (api_host.map(str::to_owned), login_host.map(str::to_owned));
        let user = user(CrmAccount { api_host, login_host, ..CrmAccount::default() });
        let case = format!("{:?}", user.account);
        assert_eq!(hosts::check(&SessionCrm, &user), expected, "{case}");
        assert_eq!(hosts::base_url(&SessionCrm, &user).is_some(), expected != Err(api), "{case}");
    }
    // An adapter that has one host for all users does not go to another one.
    let pipedrive = call_log::adapters::find("pipedrive").unwrap();
    let foreign = CrmAccount { api_host: Some("other.pipedrive.com".to_owned()), ..CrmAccount::default() };
    let user = User { hostname: Some("acme.pipedrive.com".to_owned()), ..user(foreign) };
    assert_eq!(hosts::base_url(pipedrive, &user), None);
}

#[test]
fn a_response_moves_requests_only_to_hosts_of_the_crm() {
    let present = user(CrmAccount { id: Some("7".to_owned()), ..CrmAccount::default() });
    for (named, expected) in [
        ("https://acme.crm4.example", Some("acme.crm4.example")),
        ("https://Acme.CRM4.example/", Some("acme.crm4.example")),
        ("acme.crm4.example", Some("acme.crm4.example")),
        ("api.crm.example", Some("api.crm.example")),
        ("http://acme.crm4.example", None),
        ("https://acme.crm4.example:8443", None),
        ("https://acme.crm4.example/rest", None),
        ("https://user@acme.crm4.example", None),
        ("https://evil.com", None),
        ("https://evil.com/.crm4.example", None),
        ("http://127.0.0.1:7001", None),
        ("https://127.0.0.1", None),
        ("", None),
    ] {
        assert_eq!(hosts::accepted_host(&SessionCrm, &present, named).as_deref(), expected, "{named}");
    }
}

#[test]
fn hosts_and_settings_of_an_authorization_server_come_from_the_users_tenant() {
    let login_host = Some("acme.login.crm.example".to_owned());
    let oauth = hosts::oauth(&SessionCrm, &user(CrmAccount { login_host, ..CrmAccount::default() })).unwrap();
    assert_eq!(
        json!([oauth.authorize_url, oauth.token_url, oauth.revoke_url]),
        json!([
            "https://acme.login.crm.example/authorize",
            "https://acme.login.crm.example/token",
            "https://acme.login.crm.example/revoke",
        ])
    );
}
