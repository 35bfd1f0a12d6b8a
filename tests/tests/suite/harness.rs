//! Both functions on a table of their own, with a Pipedrive and one connected user.

use std::{collections::BTreeMap, time::Duration};

use call_log::{
    model::{Clock, Credentials, Platform, Secret, Settings, User, UserId},
    startup::{app::App, config::Config},
};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    pipedrive::{API_KEY, FakePipedrive},
    runtime_api::{Function, event, with_body},
    test_app::{Answer, environment},
};

/// The user of the rows that name none.
pub(super) const USER: &str = "12345-pipedrive";

/// Both functions, running.
pub(super) struct Harness {
    pub(super) crm: FakePipedrive,
    pub(super) dynamodb: DynamoDb,
    /// The table, as an operator reaches it.
    pub(super) app: App,
    pub(super) create: Function,
    pub(super) update: Function,
}

impl Harness {
    pub(super) async fn start() -> Harness {
        Harness::with(&[]).await
    }

    /// With this in the environment of the functions besides, or instead.
    pub(super) async fn with(extra: &[(&str, &str)]) -> Harness {
        let (crm, dynamodb) = (FakePipedrive::start(), DynamoDb::start());
        let variables = environment(&dynamodb, &crm, extra);
        let app = app(&environment(&dynamodb, &crm, &[])).await;
        app.store.create_table().await.expect("the table can be made");
        let create = Function::start("create-call-log", &variables);
        let update = Function::start("update-call-log", &variables);
        let stage = Harness { crm, dynamodb, app, create, update };
        stage.put_user(USER, Some(api_key(API_KEY))).await;
        stage
    }

    pub(super) async fn put_user(&self, id: &str, credentials: Option<Credentials>) {
        self.app.store.put_user(&user(id, credentials)).await.expect("the user can be stored");
    }

    /// A valid token.
    pub(super) fn token(&self, id: &str) -> String {
        self.app.issue_token(&user(id, None), 1)
    }

    /// `POST /callLog` of the user.
    pub(super) async fn post(&self, body: &Value) -> Answer {
        self.post_as(USER, body).await
    }

    /// `PATCH /callLog` of the user.
    pub(super) async fn patch(&self, body: &Value) -> Answer {
        self.patch_as(USER, body).await
    }

    pub(super) async fn post_as(&self, id: &str, body: &Value) -> Answer {
        self.create.invoke(request("POST", &self.token(id), &body.to_string())).await
    }

    pub(super) async fn patch_as(&self, id: &str, body: &Value) -> Answer {
        self.update.invoke(request("PATCH", &self.token(id), &body.to_string())).await
    }

    /// `POST /callLog` in an invocation that has only so much time.
    pub(super) async fn post_within(&self, seconds: u64, body: &Value) -> Answer {
        let request = request("POST", &self.token(USER), &body.to_string());
        self.create.invoke_for(request, Duration::from_secs(seconds)).await
    }

    /// The note of the only activity in Pipedrive.
    pub(super) fn note(&self) -> String {
        let activities = self.crm.activities();
        assert_eq!(activities.len(), 1, "{activities:#?}");
        activities[0]["note"].as_str().unwrap().to_owned()
    }

    /// Everything in the table, as DynamoDB has it.
    pub(super) async fn table(&self) -> String {
        let items = self.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await["Items"].take();
        assert!(items.is_array(), "{items}");
        items.to_string()
    }
}

/// A process's view of the table, with the clock of the functions.
pub(super) async fn app(variables: &BTreeMap<String, String>) -> App {
    let config = Config::read(|name| variables.get(name).cloned()).expect("the environment is complete");
    App::new(config, Clock::System).await.expect("the app starts")
}

pub(super) fn user(id: &str, credentials: Option<Credentials>) -> User {
    let platform = id.rsplit('-').next().and_then(Platform::new).expect("an id that ends in its platform");
    User {
        id: UserId::new(id).expect("an id"),
        platform,
        hostname: Some("acme.pipedrive.com".to_owned()),
        zone: None,
        settings: Settings::default(),
        credentials,
    }
}

pub(super) fn api_key(key: &str) -> Credentials {
    Credentials::ApiKey(Secret::new(key))
}

/// An API Gateway event: the token in the header.
pub(super) fn request(method: &str, token: &str, body: &str) -> Value {
    let name = if method == "POST" { "create-extension" } else { "update-note" };
    with_body(event(name, token), body)
}

/// `body` with these fields besides, or instead; `null` removes one. Objects are joined.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        match (body.get_mut(name), value) {
            (Some(Value::Object(there)), Value::Object(_)) => {
                *there = with(Value::Object(there.clone()), value.clone()).as_object().unwrap().clone();
            }
            (_, Value::Null) => drop(body.as_object_mut().unwrap().remove(name)),
            _ => body[name] = value.clone(),
        }
    }
    body
}

/// The answer that tells the user what went wrong; the details as titles and texts.
pub(super) fn warning(message: &str, details: &[(&str, &str)]) -> Value {
    let mut answer = json!({
        "successful": false,
        "returnMessage": {"message": message, "messageType": "warning", "ttl": 5000},
    });
    let detail = |(title, text): &(&str, &str)| json!({"title": title, "items": [{"id": "1", "type": "text", "text": text}]});
    if !details.is_empty() {
        answer["returnMessage"]["details"] = details.iter().map(detail).collect();
    }
    answer
}
