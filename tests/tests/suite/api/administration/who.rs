//! Who is an administrator, and that no other person is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use call_log::{
    model::{CrmAccount, TenantKey, User, UserId},
    startup::app::App,
};
use tests::{proxy::Fault, ringcentral::FakeRingCentral, test_app::grant};

use super::*;

/// The routes, each with a valid body.
fn routes() -> [(&'static str, &'static str, Value); 6] {
    let settings = json!({"adminSettings": {"version": 0, "userMappingsVersion": 0, "userSettings": {}}});
    let extensions = json!({"rcExtensionList": []});
    [
        ("GET", "/admin/settings", Value::Null),
        ("POST", "/admin/settings", settings),
        ("POST", "/admin/userMapping", extensions.clone()),
        ("POST", "/admin/reinitializeUserMapping", extensions),
        ("GET", "/admin/serverLoggingSettings", Value::Null),
        ("POST", "/admin/serverLoggingSettings", json!({"additionalFieldValues": {}})),
    ]
}

/// The account at RingCentral that is bound to the company.
const ACCOUNT: &str = "37439510";

/// A company whose administrators are those of an account at RingCentral.
struct Company {
    test: TestApp,
    app: Arc<App>,
    ringcentral: FakeRingCentral,
}

impl Company {
    async fn start() -> Company {
        let company = Company::unbound().await;
        company.bind(&company.test.user.tenant(), true).await;
        company
    }

    async fn unbound() -> Company {
        let test = TestApp::start().await;
        let ringcentral = FakeRingCentral::start();
        let app = test.app_with(&[("RINGCENTRAL_BASE_URL", &ringcentral.base_url())]).await.unwrap();
        for (token, account, is_administrator) in
            [("admin", ACCOUNT, true), ("agent", ACCOUNT, false), ("stranger", "1", true)]
        {
            ringcentral.issue(token, account, is_administrator);
        }
        Company { test, app, ringcentral }
    }

    async fn bind(&self, tenant: &TenantKey, is_bound: bool) {
        assert!(self.app.store.bind_ringcentral_account(tenant, ACCOUNT, is_bound).await.unwrap());
    }

    /// Sends a request of a user as the extension does. `query`: parameters beside the token.
    async fn send(&self, user: &User, (method, path, body): &(&str, &str, Value), query: &str) -> Response {
        let token = self.app.issue_token(user, 1);
        let path = if query.is_empty() { (*path).to_owned() } else { format!("{path}?{query}") };
        send_with_headers(&self.app, method, &path, &token, &[], body).await
    }

    /// Expects that no route of administrators answers a user, and that each gives this message.
    async fn check_refused(&self, user: &User, query: &str, status: u16, message: &str, case: &str) {
        for route in &routes() {
            let response = self.send(user, route, query).await;
            assert_eq!((response.status, &response.body), (status, &json!(message)), "{case}: {route:?}");
        }
    }

    async fn check_admitted(&self, user: &User, query: &str, case: &str) {
        for route in &routes() {
            let response = self.send(user, route, query).await;
            assert_eq!(response.status, 200, "{case}: {route:?} {response:?}");
        }
    }
}

const NO_PROOF: &str = "Only an administrator can do this. Ask the operator of this server to run: call-log user admin \
                        12345-pipedrive";
const NOT_ACCEPTED: &str =
    "RingCentral did not accept your sign-in. Sign in to RingCentral in the extension again.";
const UNAVAILABLE: &str =
    "RingCentral is not answering, so it is not known if you are an administrator. Try again in a minute.";
const BY_ADMIN: &str = "rcAccessToken=admin";

#[tokio::test]
async fn only_administrators_are_admitted() {
    let company = Company::start().await;
    let user = &company.test.user;
    company.check_admitted(user, BY_ADMIN, "an administrator of the account").await;
    let not_bound = "Your RingCentral account is not bound to pipedrive:3151823 here. Ask the operator of this server to \
                     run: call-log ringcentral bind pipedrive:3151823 1";
    for (query, message, case) in [
        ("", NO_PROOF, "no token of RingCentral"),
        ("rcAccessToken=", NO_PROOF, "an empty token"),
        ("rcAccessToken=undefined", NO_PROOF, "the word of a program"),
        ("rcAccessToken=agent", NO_PROOF, "an agent of the account"),
        ("rcAccessToken=stranger", not_bound, "an administrator of another account"),
        ("rcAccessToken=forged", NOT_ACCEPTED, "a forged token"),
        ("rcAccountId=37439510", NO_PROOF, "the id of the account"),
        (
            "rcAccessToken=stranger&rcAccountId=37439510",
            not_bound,
            "a foreign token with the id of the account",
        ),
        ("rcAccessToken=stranger&rcAccessToken=admin", not_bound, "the first token counts"),
    ] {
        company.check_refused(user, query, 403, message, case).await;
    }
    // A token of ours whose signature is wrong.
    for (method, path, body) in &routes() {
        let token = company.app.issue_token(user, 1);
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        let path = format!("{path}?{BY_ADMIN}");
        let response = send_with_headers(&company.app, method, &path, &forged, &[], body).await;
        assert_eq!(response.status, 401, "{response:?}");
    }
}

#[tokio::test]
async fn an_administrator_of_one_company_is_none_in_another() {
    let company = Company::start().await;
    let account = CrmAccount { id: Some("42".to_owned()), ..CrmAccount::default() };
    let id = UserId::new("7-pipedrive").unwrap();
    let other = User { id, account, ..company.test.user.clone() };
    company.app.store.put_user(&other).await.unwrap();
    let message = NO_PROOF.replace("12345", "7");
    company.check_refused(&other, BY_ADMIN, 403, &message, "the account is bound to another company").await;
    company.bind(&other.tenant(), true).await;
    company.check_admitted(&other, BY_ADMIN, "bound").await;
    // Each sees only what is decided in the company of the token.
    let lock = json!({"adminSettings": {"version": 0, "userMappingsVersion": 0,
        "userSettings": {"addCallLogNote": {"value": false, "customizable": false}}}});
    let posted = company.send(&other, &("POST", "/admin/settings", lock), BY_ADMIN).await;
    assert_eq!(posted.body["version"], 1, "{posted:?}");
    let seen = company.send(&company.test.user, &("GET", "/admin/settings", Value::Null), BY_ADMIN).await;
    assert_eq!(seen.body["userSettings"], json!({}));
    company.bind(&other.tenant(), false).await;
    company.check_refused(&other, BY_ADMIN, 403, &message, "no longer bound").await;
}

#[tokio::test]
async fn an_operator_makes_a_user_an_administrator_of_the_users_company() {
    let company = Company::unbound().await;
    let user = &company.test.user;
    let store = &company.app.store;
    company.check_refused(user, BY_ADMIN, 403, NO_PROOF, "no account is bound").await;
    assert!(store.set_administrator(&user.key(), Some(&user.tenant())).await.unwrap());
    company.check_admitted(user, "", "an administrator").await;
    assert_eq!(company.ringcentral.count(), 0, "RingCentral is not asked where it decides nothing");
    // Settings do not need the CRM, a list of its users does.
    store.put_user(&User { credentials: Some(grant(-1, "ended")), ..user.clone() }).await.unwrap();
    let shown = company.send(user, &("GET", "/admin/settings", Value::Null), "").await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let mapped =
        company.send(user, &("POST", "/admin/userMapping", json!({"rcExtensionList": []})), "").await;
    assert!(mapped.status >= 400, "{mapped:?}");
    // The decision is about one company.
    let elsewhere = CrmAccount { id: Some("42".to_owned()), ..CrmAccount::default() };
    let moved = User { account: elsewhere, ..user.clone() };
    store.put_user(&moved).await.unwrap();
    company.check_refused(&moved, "", 403, NO_PROOF, "the user has moved").await;
    company.check_refused(user, "", 401, "User session expired. Please connect again.", "an old token").await;
    store.put_user(user).await.unwrap();
    company.check_admitted(user, "", "the user is back").await;
    assert!(store.set_administrator(&user.key(), None).await.unwrap());
    company.check_refused(user, "", 403, NO_PROOF, "no longer an administrator").await;
    store.put_user(&User { credentials: None, ..user.clone() }).await.unwrap();
    let message = "User not found. Please connect to your CRM.";
    company.check_refused(user, BY_ADMIN, 400, message, "not connected").await;
}

#[tokio::test]
async fn a_token_of_ringcentral_comes_in_a_header_the_query_or_the_body() {
    let company = Company::start().await;
    let token = company.app.issue_token(&company.test.user, 1);
    let body = json!({"rcAccessToken": "admin", "rcExtensionList": []});
    for (headers, path, body) in [
        (vec![("x-rc-access-token", "admin")], "/admin/userMapping", json!({"rcExtensionList": []})),
        (vec![], "/admin/userMapping?rcAccessToken=admin", json!({"rcExtensionList": []})),
        (vec![], "/admin/userMapping", body),
    ] {
        let response = send_with_headers(&company.app, "POST", path, &token, &headers, &body).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[tokio::test]
async fn while_ringcentral_fails_no_person_is_an_administrator() {
    let company = Company::start().await;
    let user = &company.test.user;
    let huge = json!({"account": {"id": ACCOUNT}, "permissions": {"admin": {"enabled": true}}, "x": "x".repeat(300_000)});
    let own = "/restapi/v1.0/account/~/extension/~";
    let elsewhere = FakeRingCentral::start();
    elsewhere.issue("admin", ACCOUNT, true);
    for (fault, status, message) in [
        (Fault::Status(500), 503, UNAVAILABLE),
        (Fault::Status(429), 503, UNAVAILABLE),
        (Fault::Html, 503, UNAVAILABLE),
        (Fault::Redirect(format!("{}{own}", elsewhere.base_url())), 503, UNAVAILABLE),
        (Fault::Response(200, "application/json", huge.to_string().into()), 503, UNAVAILABLE),
        (Fault::Response(200, "application/json", "{}".into()), 503, UNAVAILABLE),
        (Fault::Truncated, 503, UNAVAILABLE),
        (Fault::DropBeforeAnswer, 503, UNAVAILABLE),
        (Fault::Status(204), 503, UNAVAILABLE),
        (Fault::Status(401), 403, NOT_ACCEPTED),
        (Fault::Status(403), 403, NOT_ACCEPTED),
    ] {
        company.ringcentral.outage(Some(fault.clone()));
        let response = company.send(user, &("GET", "/admin/settings", Value::Null), BY_ADMIN).await;
        assert_eq!((response.status, &response.body), (status, &json!(message)), "{fault:?}");
    }
    assert_eq!(elsewhere.count(), 0, "a redirect is not followed");
    company.ringcentral.outage(Some(Fault::Delay(Duration::from_secs(30))));
    let begun = Instant::now();
    let response = company.send(user, &("GET", "/admin/settings", Value::Null), BY_ADMIN).await;
    assert_eq!((response.status, response.body), (503, json!(UNAVAILABLE)));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    company.ringcentral.outage(None);
    company.check_admitted(user, BY_ADMIN, "RingCentral works again").await;
}

#[tokio::test]
async fn ringcentral_is_asked_about_a_token_once_in_five_minutes() {
    let company = Company::start().await;
    let user = &company.test.user;
    let asked = async |query: &str, count: usize| {
        company.send(user, &("GET", "/admin/settings", Value::Null), query).await;
        assert_eq!(company.ringcentral.count(), count, "{query}");
    };
    asked(BY_ADMIN, 1).await;
    asked(BY_ADMIN, 1).await;
    asked("rcAccessToken=agent", 2).await;
    asked("rcAccessToken=agent", 2).await;
    // A token that was not accepted may be accepted a moment later.
    asked("rcAccessToken=new", 3).await;
    company.ringcentral.issue("new", ACCOUNT, true);
    asked("rcAccessToken=new", 4).await;
    company.test.pass(5 * 60_000);
    asked(BY_ADMIN, 5).await;
    // The operator's decision counts at once.
    company.bind(&user.tenant(), false).await;
    company.check_refused(user, BY_ADMIN, 403, NO_PROOF, "no longer bound").await;
}
