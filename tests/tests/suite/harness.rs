//! A harness with the real create and update functions, their own table, a fake of Pipedrive, and one connected user.

use std::{collections::BTreeMap, time::Duration};

use call_log::{
    model::{Clock, Credentials},
    startup::{app::App, config::Config},
};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    pipedrive::{API_KEY, FakePipedrive},
    runtime_api::{Function, event, with_body},
    test_app::{Response, api_key, close_breaker, environment, user},
};

/// The default user.
pub(super) const USER: &str = "12345-pipedrive";

/// The running functions with their table and CRM.
pub(super) struct Harness {
    pub(super) crm: FakePipedrive,
    pub(super) dynamodb: DynamoDb,
    /// An app for the test's own access to the table.
    pub(super) app: App,
    pub(super) create: Function,
    pub(super) update: Function,
}

impl Harness {
    pub(super) async fn start() -> Harness {
        Harness::with(&[]).await
    }

    /// Starts the functions. Variables in `extra` are added to their environment, or replace others.
    pub(super) async fn with(extra: &[(&str, &str)]) -> Harness {
        let (crm, dynamodb) = (FakePipedrive::start(), DynamoDb::start());
        let variables = environment(&dynamodb, &crm, extra);
        let app = app(&environment(&dynamodb, &crm, &[])).await;
        app.store.create_table().await.expect("the table can be created");
        let create = Function::start("create-call-log", &variables);
        let update = Function::start("update-call-log", &variables);
        let harness = Harness { crm, dynamodb, app, create, update };
        harness.put_user(USER, Some(api_key(API_KEY))).await;
        harness
    }

    pub(super) async fn put_user(&self, id: &str, credentials: Option<Credentials>) {
        self.app.store.put_user(&user(id, credentials)).await.expect("the user can be stored");
    }

    /// Forgets that the CRM of the users' company has failed.
    pub(super) async fn close_breaker(&self) {
        close_breaker(&self.app, &user(USER, None)).await;
    }

    /// Issues a valid token.
    pub(super) fn token(&self, id: &str) -> String {
        self.app.issue_token(&user(id, None), 1)
    }

    /// Sends `POST /callLog` as the default user.
    pub(super) async fn post(&self, body: &Value) -> Response {
        self.post_as(USER, body).await
    }

    /// Sends `PATCH /callLog` as the default user.
    pub(super) async fn patch(&self, body: &Value) -> Response {
        self.patch_as(USER, body).await
    }

    pub(super) async fn post_as(&self, id: &str, body: &Value) -> Response {
        self.create.invoke(request("POST", &self.token(id), &body.to_string())).await
    }

    pub(super) async fn patch_as(&self, id: &str, body: &Value) -> Response {
        self.update.invoke(request("PATCH", &self.token(id), &body.to_string())).await
    }

    /// Sends `POST /callLog` with this time until the invocation's deadline.
    pub(super) async fn post_within(&self, seconds: u64, body: &Value) -> Response {
        let request = request("POST", &self.token(USER), &body.to_string());
        self.create.invoke_for(request, Duration::from_secs(seconds)).await
    }

    /// Returns the note of the only activity in Pipedrive.
    pub(super) fn note(&self) -> String {
        let activities = self.crm.activities();
        assert_eq!(activities.len(), 1, "{activities:#?}");
        activities[0]["note"].as_str().unwrap().to_owned()
    }

    /// Returns every item of the table, as JSON of DynamoDB's API.
    pub(super) async fn table(&self) -> String {
        let items = self.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await["Items"].take();
        assert!(items.is_array(), "{items}");
        items.to_string()
    }
}

/// Starts an app in this process with these variables and the system's clock.
pub(super) async fn app(variables: &BTreeMap<String, String>) -> App {
    let config = Config::read(|name| variables.get(name).cloned()).expect("the environment is complete");
    App::new(config, Clock::System).await.expect("the app starts")
}

/// Returns an API Gateway event with the token in the header.
pub(super) fn request(method: &str, token: &str, body: &str) -> Value {
    let name = if method == "POST" { "create-extension" } else { "update-note" };
    with_body(event(name, token), body)
}

/// Adds fields to `body`, or replaces them. `null` removes a field. Objects are merged.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        match (body.get_mut(name), value) {
            (Some(Value::Object(existing)), Value::Object(_)) => {
                *existing = with(Value::Object(existing.clone()), value.clone()).as_object().unwrap().clone();
            }
            (_, Value::Null) => drop(body.as_object_mut().unwrap().remove(name)),
            _ => body[name] = value.clone(),
        }
    }
    body
}

/// Returns the response body of a warning. Each of the details has a title and a text.
pub(super) fn warning(message: &str, details: &[(&str, &str)]) -> Value {
    let mut response = json!({
        "successful": false,
        "returnMessage": {"message": message, "messageType": "warning", "ttl": 5000},
    });
    let detail = |(number, (title, text)): (usize, &(&str, &str))| {
        let id = (number + 1).to_string();
        json!({"title": title, "items": [{"id": id, "type": "text", "text": text}]})
    };
    if !details.is_empty() {
        response["returnMessage"]["details"] = details.iter().enumerate().map(detail).collect();
    }
    response
}
