//! `GET` and `POST /user/settings`: the settings of a user, which several browsers read and write.

use call_log::model::{TenantKey, User};
use serde_json::{Value, json};
use tests::test_app::{INVOCATION_MS, Response, TestApp, call, grant, handle, send_from_extension};

/// A browser of the user, with the token of its own login.
struct Browser<'a> {
    test: &'a TestApp,
    token: String,
}

impl Browser<'_> {
    fn of(test: &TestApp) -> Browser<'_> {
        let token = test.app.api.token_keys().issue_for_login(
            &test.user.key(),
            &test.user.tenant(),
            test.app.clock.now(),
            14,
        );
        Browser { test, token }
    }

    async fn send(&self, method: &str, body: &Value) -> Response {
        send_from_extension(&self.test.app, method, "/user/settings", &self.token, body).await
    }

    async fn get(&self) -> Value {
        let response = self.send("GET", &Value::Null).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    /// Sends the whole map, as the extension does, and returns the one that is answered.
    async fn post(&self, map: &Value) -> Value {
        let response = self.send("POST", &json!({ "userSettings": map })).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.body["userSettings"].clone()
    }
}

fn on(value: impl Into<Value>) -> Value {
    json!({ "value": value.into() })
}

#[tokio::test]
async fn settings_of_notes_and_of_the_extension_are_one_map() {
    let test = TestApp::start().await;
    let browser = Browser::of(&test);
    assert_eq!(browser.get().await, json!({}));
    let map = json!({"addCallSessionId": on(true), "showChatTab": on(false), "selectedRegion": "US"});
    assert_eq!(browser.post(&map).await, map);
    assert_eq!(browser.get().await, map);
    assert_eq!(Browser::of(&test).get().await, map, "another browser");
    test.post(&call("1")).await;
    let note = test.crm.activities()[0]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("Session Id"), "the note follows the setting: {note}");

    // Only what notes and delivery read is in the user's item, which every call reads.
    let stored = test.app.store.user(&test.user.key()).await.unwrap().unwrap().user.settings.0;
    assert_eq!(json!(stored), json!({"addCallSessionId": on(true)}));

    let removed =
        json!({"userSettings": {}, "settingKeysToRemove": ["selectedRegion", "addCallSessionId", "unknown"]});
    browser.send("POST", &removed).await;
    assert_eq!(browser.get().await, json!({"showChatTab": on(false)}));
}

#[tokio::test]
async fn two_browsers_do_not_undo_each_others_changes() {
    let test = TestApp::start().await;
    let (one, two) = (Browser::of(&test), Browser::of(&test));
    let map = json!({"addCallSessionId": on(false), "showChatTab": on(false), "autoLogCall": on(false)});
    one.post(&map).await;
    assert_eq!(two.get().await, map);
    // The first browser changes two settings; the second one still has the map from before, and changes another one.
    let first = json!({"addCallSessionId": on(true), "showChatTab": on(true), "autoLogCall": on(false)});
    assert_eq!(one.post(&first).await, first);
    let second = json!({"addCallSessionId": on(false), "showChatTab": on(false), "autoLogCall": on(true)});
    let both = json!({"addCallSessionId": on(true), "showChatTab": on(true), "autoLogCall": on(true)});
    assert_eq!(two.post(&second).await, both);
    assert_eq!(one.post(&first).await, both, "a refresh changes nothing");
    // A person can set a value back.
    let back = json!({"addCallSessionId": on(false), "showChatTab": on(true), "autoLogCall": on(true)});
    assert_eq!(two.post(&back).await, back);

    // At once.
    let (one_map, two_map) = (
        json!({"oneTimeLog": on(1), "autoLogSMS": on(1)}),
        json!({"popupLogPageAfterCall": on(2), "addCallLogNote": on(false)}),
    );
    tokio::join!(one.post(&one_map), two.post(&two_map));
    let map = one.get().await;
    for (name, value) in one_map.as_object().unwrap().iter().chain(two_map.as_object().unwrap()) {
        assert_eq!(&map[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_ignored_and_the_map_is_answered() {
    let test = TestApp::start().await;
    let browser = Browser::of(&test);
    let many: Value = (0..400).map(|at| (format!("key{at:03}"), on(at))).collect();
    assert_eq!(browser.post(&many).await.as_object().unwrap().len(), 300);
    assert_eq!(browser.get().await.as_object().unwrap().len(), 300);
    let changed = browser.post(&json!({"key000": on("x".repeat(9_000)), "key001": on("new")})).await;
    assert_eq!((&changed["key000"], &changed["key001"]), (&on(0), &on("new")));
    for body in [json!({}), json!({"userSettings": []}), json!({"userSettings": "x"}), json!([])] {
        let response = browser.send("POST", &body).await;
        assert_eq!(response.status, 400, "{response:?}");
        assert!(response.body.as_str().is_some(), "the extension shows a text: {response:?}");
    }
}

#[tokio::test]
async fn a_token_that_no_longer_counts_reads_nothing_and_changes_nothing() {
    let test = TestApp::start().await;
    let browser = Browser::of(&test);
    let map = json!({"showChatTab": on(false)});
    browser.post(&map).await;
    let stranger = TenantKey { account: "1".to_owned(), ..test.user.tenant() };
    let keys = test.app.api.token_keys();
    let now = test.app.clock.now();
    let moved = keys.issue_for_login(&test.user.key(), &stranger, now, 1);
    let unknown = User { id: call_log::model::UserId::new("7-pipedrive").unwrap(), ..test.user.clone() };
    let unknown = test.app.issue_token(&unknown, 1);
    for token in ["", "x", &moved, &unknown] {
        let dead = Browser { test: &test, token: token.to_owned() };
        assert_eq!(dead.get().await, json!({}), "{token}");
        let response = dead.send("POST", &json!({"userSettings": {"showChatTab": on(true)}})).await;
        assert!([400, 401].contains(&response.status), "{response:?}");
    }
    // A program learns why.
    let request = http::Request::builder().uri("/user/settings").header("authorization", "Bearer x");
    let response = handle(&test.app, request.body(Default::default()).unwrap(), INVOCATION_MS).await;
    assert_eq!(response.status, 401);
    assert_eq!(browser.get().await, map);
}

#[tokio::test]
async fn settings_do_not_need_the_crm() {
    let test = TestApp::with_credentials(grant(-1, "ended")).await;
    test.post(&call("1")).await;
    let browser = Browser::of(&test);
    let map = json!({"showChatTab": on(false), "addCallLogNote": on(true)});
    assert_eq!(browser.post(&map).await, map);
    assert_eq!(browser.get().await, map);
}
