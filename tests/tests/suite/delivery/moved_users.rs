//! Users who move to another company of the same CRM, while work of theirs waits.

use call_log::{
    model::{CrmAccount, UserId},
    store::State,
};
use tests::test_app::api_key;

use super::{redrive::item, *};

const HASH: &str = "8c41";

/// Returns a colleague of the test's user, with a credential.
async fn colleague(test: &TestApp) -> User {
    let credentials = Some(api_key(tests::pipedrive::API_KEY));
    let user = User { id: UserId::new("777-pipedrive").unwrap(), credentials, ..test.user.clone() };
    test.app.store.put_user(&user).await.unwrap();
    user
}

/// Moves the test's user to another company.
async fn move_user(test: &TestApp) {
    let account = CrmAccount { id: Some("another company".to_owned()), ..CrmAccount::default() };
    test.app.store.put_user(&User { account, ..test.user.clone() }).await.unwrap();
}

fn create(text: &str, hash: &str) -> Value {
    let mut body = call(SESSION);
    body["note"] = json!(text);
    body["hashedExtensionId"] = json!(hash);
    body
}

fn change(text: &str) -> Value {
    update(json!({"aiNote": text, "hashedExtensionId": HASH}))
}

/// Runs the redrive until nothing is due. Expects that nothing is sent to the CRM.
async fn check_nothing_is_sent(test: &TestApp) {
    let before = test.crm.requests().len();
    test.redrive_for(80).await;
    assert_eq!(test.crm.requests().len(), before);
}

#[tokio::test]
async fn a_kept_create_of_a_user_who_moved_is_discarded_and_a_colleague_can_log_the_call() {
    let test = TestApp::start().await;
    let colleague = colleague(&test).await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.post(&create("of the agent", HASH)).await, NOT_ANSWERING, "the create is kept");
    move_user(&test).await;
    test.crm.outage(None);
    check_nothing_is_sent(&test).await;
    assert_eq!(test.app.store.logs_of_call(&session_key(&test).call).await.unwrap(), []);

    let response = start(&test.app, &colleague, "POST", create("of the colleague", HASH)).await.unwrap();
    check(&response, LOGGED, "the colleague's create");
    check_text(&note(&test), &["of the colleague"], &["of the agent"]);
}

#[tokio::test]
async fn a_colleagues_update_waits_on_when_the_create_of_a_user_who_moved_is_discarded() {
    for hash in [HASH, "another extension"] {
        let test = TestApp::start().await;
        let colleague = colleague(&test).await;
        let is_further = hash != HASH;
        if is_further {
            check(&start(&test.app, &colleague, "POST", create("first", hash)).await.unwrap(), LOGGED, hash);
        }
        test.crm.outage(Some(Fault::Status(503)));
        check(&test.post(&create("of the agent", HASH)).await, NOT_ANSWERING, "the create is kept");
        start(&test.app, &colleague, "PATCH", change("of the colleague")).await.unwrap();
        start(&test.app, &test.user, "PATCH", change("also of the agent")).await.unwrap();
        move_user(&test).await;
        test.crm.outage(None);
        check_nothing_is_sent(&test).await;
        let first = item(&test).await;
        assert_eq!(
            (first.state, first.waiting.len()),
            (if is_further { State::Logged } else { State::Queued }, 1)
        );

        let response = start(&test.app, &colleague, "POST", create("again", HASH)).await.unwrap();
        check(&response, LOGGED, "the colleague's create");
        let record = test.crm.activities().pop().unwrap();
        check_text(
            record["note"].as_str().unwrap(),
            &["again", "of the colleague"],
            &["of the agent", "first"],
        );
    }
}

#[tokio::test]
async fn updates_of_a_user_who_moved_are_discarded_and_a_colleagues_are_written() {
    let test = TestApp::start().await;
    let colleague = colleague(&test).await;
    check(&test.post(&create("apple", HASH)).await, LOGGED, "create");
    test.crm.outage(Some(Fault::Status(503)));
    start(&test.app, &colleague, "PATCH", change("of the colleague")).await.unwrap();
    let summary = update(json!({"transcript": "of the agent", "hashedExtensionId": HASH}));
    start(&test.app, &test.user, "PATCH", summary).await.unwrap();
    move_user(&test).await;
    test.crm.outage(None);
    test.redrive_for(20).await;
    check_text(&note(&test), &["apple", "of the colleague"], &["of the agent"]);
    let item = item(&test).await;
    assert!(item.queue.is_empty() && item.due_at.is_none(), "{item:?}");
}

#[tokio::test]
async fn work_of_a_user_whose_account_is_not_known_any_more_is_kept() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.post(&create("apple", HASH)).await, NOT_ANSWERING, "the create is kept");
    test.crm.outage(None);
    let unknown = User { account: CrmAccount::default(), ..test.user.clone() };
    test.app.store.put_user(&unknown).await.unwrap();
    check_nothing_is_sent(&test).await;
    test.app.store.put_user(&test.user).await.unwrap();
    test.redrive_for(10).await;
    check_text(&note(&test), &["apple"], &[]);
}

#[tokio::test]
async fn a_call_is_delivered_if_the_users_account_becomes_known() {
    let mut test = TestApp::start().await;
    let known = test.user.account.clone();
    test.user.account = CrmAccount::default();
    test.app.store.put_user(&test.user).await.unwrap();
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.post(&create("apple", HASH)).await, NOT_ANSWERING, "the create is kept");
    test.user.account = known;
    test.app.store.put_user(&test.user).await.unwrap();
    test.crm.outage(None);
    test.redrive_for(10).await;
    check_text(&note(&test), &["apple"], &[]);
}

/// The first log of a call has its index, which stays. What cannot be discarded would keep every other call waiting.
#[tokio::test]
async fn the_create_of_a_first_log_is_discarded_while_the_call_has_another_log() {
    let test = TestApp::start().await;
    let colleague = colleague(&test).await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.post(&create("of the agent", HASH)).await, NOT_ANSWERING, "the agent's create is kept");
    let other = create("of the colleague", "another extension");
    let kept = start(&test.app, &colleague, "POST", other).await.unwrap();
    check(&kept, NOT_ANSWERING, "the colleague's create is kept");
    move_user(&test).await;
    test.crm.outage(None);
    test.redrive_for(30).await;
    check_text(&note(&test), &["of the colleague"], &["of the agent"]);
    let logs = test.app.store.logs_of_call(&session_key(&test).call).await.unwrap();
    assert_eq!(logs.len(), 1, "{logs:?}");
}
