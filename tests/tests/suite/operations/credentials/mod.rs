//! Encryption of stored credentials: data keys from KMS and from key files, and their rotation.

mod at_rest;
mod files;
mod kms;
mod rotation;

use std::sync::Arc;

use call_log::{
    model::{Credentials, Secret, User},
    startup::{app::App, error::StartError},
};
use serde_json::{Value, json};
use tests::{
    aws::Aws,
    messages::LOGGED,
    pipedrive::API_KEY,
    test_app::{self, TestApp, api_key, call},
};

/// Starts an app that uses KMS and Parameter Store, with these additional environment variables.
async fn start(test: &TestApp, aws: &Aws, extra: &[(&str, &str)]) -> Result<Arc<App>, StartError> {
    let services = aws.environment();
    let services = services.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    test.app_with(&services.chain(extra.iter().copied()).collect::<Vec<_>>()).await
}

/// Returns the user's item as DynamoDB stores it.
async fn item(test: &TestApp, user: &User) -> Value {
    let key = json!({"pk": {"S": format!("U#pipedrive#{}", user.id)}, "sk": {"S": "USER"}});
    let request = json!({"TableName": "calls", "Key": key, "ConsistentRead": true});
    test.dynamodb.ask("GetItem", &request).await["Item"].clone()
}

fn user(number: usize) -> User {
    test_app::user(&format!("{number}-pipedrive"), Some(api_key(API_KEY)))
}
