//! Settings that administrators have locked, as an agent's browsers read and write them.

use super::*;

/// A browser of an agent, whose settings the company's administrators lock.
struct Agent<'a> {
    test: &'a TestApp,
    token: String,
}

impl Agent<'_> {
    fn of(test: &TestApp) -> Agent<'_> {
        let (user, now) = (&test.user, test.app.clock.now());
        let token = test.app.api.token_keys().issue_for_login(&user.key(), &user.tenant(), now, 14);
        Agent { test, token }
    }

    async fn get(&self) -> Value {
        let response =
            send_with_headers(&self.test.app, "GET", "/user/settings", &self.token, &[], &Value::Null).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    async fn post(&self, settings: &Value, removed: &[&str]) -> Value {
        let body = json!({ "userSettings": settings, "settingKeysToRemove": removed });
        let response =
            send_with_headers(&self.test.app, "POST", "/user/settings", &self.token, &[], &body).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.body["userSettings"].clone()
    }
}

/// Returns the settings that the user has chosen, as the table has them.
async fn own(test: &TestApp) -> Value {
    let store = &test.app.store;
    let mut own = store.user(&test.user.key()).await.unwrap().unwrap().user.settings.0;
    let extension = store.extension_settings(&test.user.key()).await.unwrap();
    own.extend(extension.settings.into_iter().filter(|(_, value)| !value.is_null()));
    json!(own)
}

/// `showChatTab` is the extension's own, notes follow `addCallSessionId`.
#[tokio::test]
async fn a_locked_setting_counts_in_each_browser_and_is_never_stored_as_the_users_own() {
    let test = TestApp::start().await;
    let mut admin = Browser::open(&test).await;
    let (one, two) = (Agent::of(&test), Agent::of(&test));
    for (key, other) in [("showChatTab", "oneTimeLog"), ("addCallSessionId", "addCallLogNote")] {
        let mine = json!({key: {"value": true}});
        one.post(&mine, &[]).await;
        admin.set(json!({key: locked(false), other: open(1)})).await;
        let shown = json!({key: locked(false), other: open(1)});
        assert_eq!((one.get().await, two.get().await), (shown.clone(), shown.clone()), "{key}");
        // The extension sends everything back, and an agent cannot change what is locked.
        for (posted, removed) in [
            (shown.clone(), vec![]),
            (json!({key: {"value": true}}), vec![]),
            (json!({key: open(true)}), vec![]),
            (json!({key: null}), vec![key, other]),
            (mine.clone(), vec![]),
        ] {
            assert_eq!(two.post(&posted, &removed).await, shown, "{key} {posted}");
            assert_eq!(own(&test).await, mine, "{key} {posted}");
        }
        // A default can be changed.
        let changed = json!({key: locked(false), other: open(2)});
        assert_eq!(one.post(&changed, &[]).await, changed, "{key}");
        assert_eq!(two.post(&shown, &[]).await, changed, "{key}: a refresh changes nothing");
        // The choice comes back without the lock, also if a browser still sends what it was shown.
        admin.set(json!({key: open(false)})).await;
        let unlocked = json!({key: open(true), other: open(2)});
        assert_eq!(one.post(&changed, &[]).await, unlocked, "{key}");
        assert_eq!(two.get().await, unlocked, "{key}");
        assert_eq!(own(&test).await, json!({key: {"value": true}, other: open(2)}), "{key}");
        // Without a choice the default counts, and it is not the user's own.
        one.post(&json!({}), &[key, other]).await;
        let defaults = json!({key: open(false), other: open(1)});
        assert_eq!(two.post(&one.get().await, &[]).await, defaults, "{key}");
        assert_eq!(own(&test).await, json!({}), "{key}");
        // A login that the server does not know sends what was locked.
        let token = test.app.issue_token(&test.user, 1);
        Agent { test: &test, token }.post(&json!({key: locked(false)}), &[]).await;
        assert_eq!(own(&test).await, json!({}), "{key}");
        admin.kept["userSettings"] = json!({});
        assert_eq!(admin.save().await.status, 200);
        assert_eq!(one.get().await, json!({}), "{key}");
    }
}

#[tokio::test]
async fn a_users_choice_stays_as_it_is_without_an_administrator() {
    let test = TestApp::start().await;
    let agent = Agent::of(&test);
    let map = json!({"showChatTab": {"value": true, "customizable": true, "x": 1}, "selectedRegion": "US"});
    assert_eq!(agent.post(&map, &[]).await, map);
    assert_eq!(agent.get().await, map);
}
