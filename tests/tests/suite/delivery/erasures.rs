//! Erasure of a person. The verdict is the raw items of the table, in which the person's id must not stand anywhere, and that a
//! colleague's logs go on.

use call_log::store::Erased;

use super::{
    identities::{Request, records, send_one, users},
    *,
};

/// Returns the raw items of the table that contain this text in a key or an attribute that is not encrypted.
async fn items_with(test: &TestApp, text: &str) -> Vec<Value> {
    let items = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let items = items["Items"].as_array().unwrap().clone();
    items.into_iter().filter(|item| item.to_string().contains(text)).collect()
}

async fn erase(test: &TestApp, user: &User, is_dry_run: bool) -> Erased {
    test.app.store.erase_user(&user.key(), is_dry_run, test.now_ms()).await.unwrap()
}

#[tokio::test]
async fn nothing_of_a_person_stays_and_the_logs_of_colleagues_go_on() {
    const LOG: Request = ("POST", "agent", "h", "apple");
    const LOG_OF_COLLEAGUE: Request = ("POST", "admin", "H", "berry");
    const UPDATE: Request = ("PATCH", "admin", "H", "cherry");
    for (case, requests, removed, changed, shown) in [
        ("a log", vec![LOG], 2, 0, vec![vec!["apple"], vec![]]),
        ("only the user", vec![], 1, 0, vec![vec![]]),
        (
            "the first log, beside a colleague's",
            vec![LOG, LOG_OF_COLLEAGUE],
            2,
            0,
            vec![vec!["apple"], vec!["berry", "cherry"]],
        ),
        (
            "a further log, beside a colleague's",
            vec![LOG_OF_COLLEAGUE, LOG],
            2,
            1,
            vec![vec!["berry", "cherry"], vec!["apple"]],
        ),
        ("an update that waits", vec![("PATCH", "agent", "h", "apple")], 1, 1, vec![vec![]]),
        (
            "a note in a colleague's log",
            vec![LOG_OF_COLLEAGUE, ("POST", "agent", "H", "apple")],
            1,
            1,
            vec![vec!["apple", "berry", "cherry"]],
        ),
    ] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        for request in &requests {
            send_one(&test, &users, *request).await;
        }
        test.pass(LEASE);
        let counted = Erased { removed, changed, ..Erased::default() };
        let before = items_with(&test, "").await;
        assert_eq!(erase(&test, &users.agent, true).await, counted, "{case}, dry");
        assert_eq!(items_with(&test, "").await, before, "{case}, dry");
        assert_eq!(erase(&test, &users.agent, false).await, counted, "{case}");
        let id = users.agent.id.as_str();
        assert_eq!(items_with(&test, id).await, Vec::<Value>::new(), "{case}");
        assert_eq!(erase(&test, &users.agent, false).await, Erased::default(), "{case}, again");

        send_one(&test, &users, UPDATE).await;
        test.redrive_for(3).await;
        let texts = records(&test, &["apple", "berry", "cherry"]);
        let shown: Vec<_> = shown.into_iter().take(texts.len()).collect();
        assert_eq!(texts, shown, "{case}");
    }
}

#[tokio::test]
async fn the_contacts_that_a_person_looked_up_are_erased() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    let path = "/contact?phoneNumber=%2B12135550111";
    send_from_extension(&test.app, "GET", path, &token, &Value::Null).await;
    let erased = Erased { removed: 2, ..Erased::default() };
    assert_eq!(erase(&test, &test.user, false).await, erased);
    assert_eq!(items_with(&test, test.user.id.as_str()).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_an_invocation_is_using_stays_until_its_lease_has_ended() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Delay(Duration::from_millis(800)));
    let create = start(&test.app, &test.user, "POST", call(SESSION));
    wait_for_requests(&test, Route::CreateActivity, 1).await;
    assert_eq!(erase(&test, &test.user, false).await, Erased { removed: 1, in_use: 1, ..Erased::default() });
    check(&create.await.unwrap(), LOGGED, "the create goes on");
    test.pass(LEASE);
    assert_eq!(erase(&test, &test.user, false).await, Erased { removed: 1, ..Erased::default() });
    assert_eq!(items_with(&test, "").await, Vec::<Value>::new());
}
