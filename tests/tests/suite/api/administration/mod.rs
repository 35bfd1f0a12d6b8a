//! The routes of administrators.

mod locks;
mod mapping;
mod settings;
mod who;

use serde_json::{Value, json};
use tests::test_app::{Response, TestApp, send_with_headers};

/// A browser of an administrator, with the token of its own login, and the object that the extension keeps.
struct Browser<'a> {
    test: &'a TestApp,
    token: String,
    kept: Value,
}

impl<'a> Browser<'a> {
    /// Returns a browser that has read the settings, as the extension does when it is opened.
    async fn open(test: &'a TestApp) -> Browser<'a> {
        let user = &test.user;
        test.app.store.set_administrator(&user.key(), Some(&user.tenant())).await.unwrap();
        let now = test.app.clock.now();
        let token = test.app.api.token_keys().issue_for_login(&user.key(), &user.tenant(), now, 14);
        let mut browser = Browser { test, token, kept: Value::Null };
        browser.kept = browser.send("GET", "/admin/settings", &Value::Null).await.body;
        browser
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Response {
        send_with_headers(&self.test.app, method, path, &self.token, &[], body).await
    }

    /// Sends the object that the browser keeps.
    async fn save(&self) -> Response {
        self.send("POST", "/admin/settings", &json!({ "adminSettings": self.kept })).await
    }

    /// Changes settings as a page of the extension does, and saves everything.
    async fn set(&mut self, settings: Value) -> Response {
        for (key, entry) in settings.as_object().unwrap() {
            self.kept["userSettings"][key] = entry.clone();
        }
        self.save().await
    }

    /// Opens the page of the mapping, as the extension does.
    async fn map(&mut self, extensions: &Value) -> Vec<Value> {
        let response =
            self.send("POST", "/admin/userMapping", &json!({ "rcExtensionList": extensions })).await;
        assert_eq!(response.status, 200, "{response:?}");
        let rows = response.body.as_array().unwrap().clone();
        let shown = rows.iter().map(|row| {
            let extension = row["rcUser"]["extensionId"].as_str().unwrap_or("none");
            json!({ "crmUserId": row["crmUser"]["id"], "rcExtensionId": extension })
        });
        self.kept["userMappings"] = shown.collect();
        rows
    }
}

fn locked(value: impl Into<Value>) -> Value {
    json!({"value": value.into(), "customizable": false})
}

fn open(value: impl Into<Value>) -> Value {
    json!({"value": value.into(), "customizable": true})
}
