//! Credentials at rest: data keys from KMS and from key files, and their rotation.

mod at_rest;
mod files;
mod kms;
mod rotation;

use std::sync::Arc;

use call_log::{
    model::{Credentials, Platform, Secret, Settings, User, UserId},
    startup::app::{App, StartError},
};
use serde_json::{Value, json};
use tests::{
    aws::Aws,
    pipedrive::API_KEY,
    test_app::{TestApp, call},
};

const LOGGED: &str = "Call logged";

/// Starts an app that uses the fakes of Parameter Store and KMS, with `extra` in its environment.
async fn start(test: &TestApp, aws: &Aws, extra: &[(&str, &str)]) -> Result<Arc<App>, StartError> {
    let services = aws.environment();
    let services = services.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    test.app_with(&services.chain(extra.iter().copied()).collect::<Vec<_>>()).await
}

fn user(number: usize) -> User {
    User {
        id: UserId::new(format!("{number}-pipedrive")).unwrap(),
        platform: Platform::new("pipedrive").unwrap(),
        hostname: Some("acme.pipedrive.com".to_owned()),
        zone: None,
        settings: Settings::default(),
        credentials: Some(Credentials::ApiKey(Secret::new(API_KEY))),
    }
}

/// Returns the user's item as JSON of DynamoDB's API.
async fn item(test: &TestApp, user: &User) -> Value {
    let key = json!({"pk": {"S": format!("U#pipedrive#{}", user.id)}, "sk": {"S": "USER"}});
    let request = json!({"TableName": "calls", "Key": key, "ConsistentRead": true});
    test.dynamodb.ask("GetItem", &request).await["Item"].clone()
}
