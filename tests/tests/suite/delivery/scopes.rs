//! Rate limits of a user, of an account, and of some requests alone.

use call_log::adapters::{Capabilities, LimitScope};
use tests::test_app::{api_key, user};

use super::{altered_crm::AlteredCrm, redrive::item, *};

/// The time for which the CRM accepts no requests, in seconds.
const WAIT_S: u64 = 3_600;

/// Starts an app whose CRM counts requests like this.
async fn start_with(limit_scope: LimitScope, search_bucket: Option<&'static str>) -> TestApp {
    let mut test = TestApp::start().await;
    let pipedrive = AlteredCrm::default();
    let capabilities = Capabilities { limit_scope, ..pipedrive.capabilities };
    AlteredCrm { capabilities, search_bucket, ..pipedrive }.install(&mut test.app);
    test
}

/// Sends a create that the CRM does not answer, so that it is due for the redrive.
async fn leave_undelivered(test: &TestApp, user: &User, session: &str) {
    test.crm.next(Route::CreateActivity, Fault::Status(401));
    let token = test.app.issue_token(user, 1);
    let body = call(session).to_string().into_bytes();
    let response = send(&test.app, "POST", &token, body, INVOCATION_MS).await;
    assert_eq!(response.body["successful"], false, "{}", response.body);
    test.crm.forget_faults();
}

/// Asserts how many calls of a colleague are delivered after the CRM has refused a user's call with 429. The others are due after
/// the pause.
async fn check_colleague(limit_scope: LimitScope, delivered: usize) {
    let test = start_with(limit_scope, None).await;
    let colleague = user("678-pipedrive", Some(api_key(tests::pipedrive::API_KEY)));
    test.app.store.put_user(&colleague).await.unwrap();
    leave_undelivered(&test, &test.user, "1").await;
    test.pass(7_000);
    test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: Some(WAIT_S) });
    assert_eq!(test.redrive().await.failed, 1, "{limit_scope:?}");
    for (owner, session) in [(&test.user, "2"), (&colleague, "3"), (&colleague, "4")] {
        leave_undelivered(&test, owner, session).await;
    }
    test.pass(7_000);
    let report = test.redrive().await;
    assert_eq!((report.due, report.delivered), (delivered, delivered), "{limit_scope:?}");
    test.pass(WAIT_S as i64 * 1_000);
    test.redrive().await;
    assert_eq!(test.crm.activities().len(), 4, "{limit_scope:?}: all are logged in the end");
}

#[tokio::test]
async fn a_rate_limit_of_a_user_pauses_this_user_only() {
    check_colleague(LimitScope::User, 2).await;
}

#[tokio::test]
async fn a_rate_limit_of_an_account_pauses_all_its_users() {
    check_colleague(LimitScope::Account, 0).await;
}

#[tokio::test]
async fn a_rate_limit_of_searches_pauses_no_other_request() {
    for (bucket, delivered) in [(Some("search"), 2), (None, 0)] {
        let test = start_with(LimitScope::Account, bucket).await;
        // The next attempt searches for the record first.
        test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
        test.post(&call(SESSION)).await;
        test.pass(GRACE);
        let retry_after = Some(WAIT_S);
        for _ in 0..2 {
            test.crm.next(Route::ListActivities, Fault::RateLimited { retry_after });
        }
        assert_eq!(test.redrive().await.failed, 1, "{bucket:?}");
        test.crm.forget_faults();
        assert_eq!(item(&test).await.due_at, Some(test.now_ms() + WAIT_S as i64 * 1_000), "{bucket:?}");
        for session in ["2", "3"] {
            leave_undelivered(&test, &test.user, session).await;
        }
        test.pass(7_000);
        assert_eq!(test.redrive().await.delivered, delivered, "{bucket:?}");
    }
}
