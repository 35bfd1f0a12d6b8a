//! The CRM account of a user who is stored, which makes the user a member of a tenant.

use call_log::{
    adapters::Crm,
    login::account::{AccountSource, find_account},
    model::{Credentials, CrmAccount, Deadline, User},
};
use tests::{
    pipedrive::{API_KEY, COMPANY, REFRESH_TOKEN},
    test_app::{api_key, grant, user},
};

use super::{altered_crm::AlteredCrm, *};
use AccountSource::{Crm as AskedCrm, Given, OtherUser, Stored, Unknown};

/// The host of all users of `test_app`.
const HOST: &str = "acme.pipedrive.com";

/// Returns a user whose account is not known.
fn stranger(id: &str, host: &str, credentials: Option<Credentials>) -> User {
    let account = CrmAccount::default();
    User { hostname: Some(host.to_owned()), account, ..user(id, credentials) }
}

/// Stores a user with the account that is found. Returns its source and its id.
async fn store(test: &TestApp, mut user: User) -> (AccountSource, Option<String>) {
    let crm = test.app.crm("pipedrive").unwrap();
    let deadline = Deadline(test.now_ms() + INVOCATION_MS);
    let source = find_account(&test.app, crm, &mut user, deadline).await.unwrap();
    test.app.store.put_user(&user).await.unwrap();
    (source, user.account.id)
}

fn id(account: u64) -> Option<String> {
    Some(account.to_string())
}

#[tokio::test]
async fn the_account_is_the_given_one_or_else_the_one_that_the_crm_names_for_the_credential() {
    let test = TestApp::start().await;
    let asked = || test.crm.count(Route::CurrentUser);
    let mut given = stranger("1-pipedrive", HOST, Some(api_key(API_KEY)));
    given.account.id = id(7);
    assert_eq!((store(&test, given).await, asked()), ((Given, id(7)), 0));
    let key = || Some(api_key(API_KEY));
    assert_eq!(store(&test, stranger("2-pipedrive", HOST, key())).await, (AskedCrm, id(COMPANY)));
    let fresh = Some(grant(3_600_000, REFRESH_TOKEN));
    assert_eq!(
        store(&test, stranger("3-pipedrive", "b.pipedrive.com", fresh)).await,
        (AskedCrm, id(COMPANY))
    );
    assert_eq!(asked(), 2);

    // A user who has moved to another company, and everyone else of that host.
    test.crm.move_to(8);
    assert_eq!(store(&test, stranger("2-pipedrive", HOST, key())).await, (AskedCrm, id(8)));
    assert_eq!(store(&test, stranger("4-pipedrive", HOST, None)).await, (OtherUser, id(8)));
}

#[tokio::test]
async fn without_a_response_an_earlier_one_for_the_user_or_the_host_counts() {
    let test = TestApp::start().await;
    let (one, other) = ("one.pipedrive.com", "other.pipedrive.com");
    let key = || Some(api_key(API_KEY));
    assert_eq!(store(&test, stranger("1-pipedrive", one, key())).await, (AskedCrm, id(COMPANY)));
    test.crm.move_to(8);

    let expired = || Some(grant(-1, REFRESH_TOKEN));
    let before = test.crm.requests().len();
    for credentials in [None, expired()] {
        // Nothing is sent: the grant is expired, and renewing it would take it from another server.
        let case = format!("{credentials:?}");
        assert_eq!(
            store(&test, stranger("1-pipedrive", one, credentials.clone())).await,
            (Stored, id(COMPANY)),
            "{case}"
        );
        assert_eq!(
            store(&test, stranger("2-pipedrive", one, credentials.clone())).await.1,
            id(COMPANY),
            "{case}"
        );
        assert_eq!(
            store(&test, stranger("3-pipedrive", other, credentials)).await,
            (Unknown, None),
            "{case}"
        );
    }
    assert_eq!(test.crm.requests().len(), before);
    for fault in
        [Fault::Status(500), Fault::Status(401), Fault::DropBeforeEffect, Fault::Html, Fault::Truncated]
    {
        test.crm.fail(Route::CurrentUser, fault.clone());
        assert_eq!(store(&test, stranger("4-pipedrive", one, key())).await.1, id(COMPANY), "{fault:?}");
        test.crm.fail(Route::CurrentUser, fault.clone());
        assert_eq!(store(&test, stranger("3-pipedrive", other, key())).await, (Unknown, None), "{fault:?}");
    }
    // What was stored for another host says nothing.
    test.crm.next(Route::CurrentUser, Fault::Status(500));
    assert_eq!(store(&test, stranger("1-pipedrive", other, key())).await, (Unknown, None));
}

#[tokio::test]
async fn a_host_that_several_accounts_have_says_nothing_about_the_account() {
    let mut test = TestApp::start().await;
    AlteredCrm::default().install(&mut test.app);
    let key = || Some(api_key(API_KEY));
    assert_eq!(store(&test, stranger("1-pipedrive", HOST, key())).await, (AskedCrm, id(COMPANY)));
    let fail = || test.crm.next(Route::CurrentUser, Fault::Status(500));
    fail();
    assert_eq!(
        store(&test, stranger("1-pipedrive", HOST, key())).await,
        (Stored, id(COMPANY)),
        "the same credential"
    );
    fail();
    let other_key = Some(api_key("another key"));
    assert_eq!(
        store(&test, stranger("1-pipedrive", HOST, other_key)).await,
        (Unknown, None),
        "another credential"
    );
    assert_eq!(store(&test, stranger("2-pipedrive", HOST, None)).await, (Unknown, None), "another user");
}

#[tokio::test]
async fn a_token_names_the_account_of_its_user_as_the_tenant() {
    let test = TestApp::start().await;
    let crm: &dyn Crm = test.app.crm("pipedrive").unwrap();
    let mut known = stranger("1-pipedrive", HOST, Some(api_key(API_KEY)));
    let tenant_of = |user: &User| {
        let headers = [("authorization", format!("Bearer {}", test.app.issue_token(user, 1)))];
        let headers =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let caller =
            call_log::api::authenticate(&test.app.api, &headers.collect(), &"/callLog".parse().unwrap());
        caller.unwrap().tenant
    };
    assert_eq!(tenant_of(&known), None, "the account is not known");
    find_account(&test.app, crm, &mut known, Deadline(test.now_ms() + INVOCATION_MS)).await.unwrap();
    assert_eq!(tenant_of(&known), Some(known.tenant()));
    assert_eq!(known.tenant().account, COMPANY.to_string());
}
