//! The protocol of creates and updates with every adapter.

use std::collections::BTreeMap;

use call_log::{
    adapters::CompareAndSet,
    model::{Clock, Credentials, Secret, User},
    startup::{app::App, config::Config},
};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    log::{Log, endings, values},
    test_app::{INVOCATION_MS, JWT_SECRET, call, key_file, send},
};

use super::{connected::Connected, each};

/// A process whose only CRM is the connected one, with a connected user.
async fn start(connected: &Connected, dynamodb: &DynamoDb) -> (App, User) {
    let key_file = key_file("credentials");
    let environment = BTreeMap::from([
        ("CREDENTIALS_KEY_FILE", key_file.as_str()),
        ("TABLE_NAME", "calls"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
    ]);
    let config = Config::read(|name| environment.get(name).map(|value| (*value).to_owned())).unwrap();
    let mut app = App::new(config, Clock::System).await.unwrap();
    let services = &mut app.api.services;
    services.crms = Box::leak(Box::new([connected.crm]));
    services.crm_base_urls.insert(connected.name().to_owned(), connected.proxy().base_url());
    app.store.create_table().await.unwrap();
    let user = User {
        hostname: connected.fake.own_hosts()[0].0.map(str::to_owned),
        credentials: Some(Credentials::ApiKey(Secret::new(connected.fake.api_key()))),
        ..connected.user.clone()
    };
    app.store.put_user(&user).await.unwrap();
    (app, user)
}

#[tokio::test]
async fn the_edit_window_is_recorded_if_the_crm_cannot_compare_versions() {
    let log = Log::capture();
    each(async |connected| {
        let dynamodb = DynamoDb::start();
        let (app, user) = start(connected, &dynamodb).await;
        let token = app.issue_token(&user, 1);
        let request = async |method, body: &Value| {
            send(&app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await
        };
        let mut create = call("1");
        create["contactId"] = json!(connected.fake.contacts()[0]);
        let created = request("POST", &create).await;
        assert_eq!(created.message(), "Call logged", "{}: {created:?}", connected.name());
        log.take();
        let updated = request("PATCH", &json!({ "sessionId": "1", "note": "Wants two quotes" })).await;
        assert_eq!(updated.message(), "Call log updated.", "{}: {updated:?}", connected.name());
        let lines = log.take();
        let is_recorded = endings(&lines).into_iter().any(|line| values(line).contains_key("EditWindow"));
        assert_eq!(
            is_recorded,
            connected.crm.capabilities().compare_and_set != CompareAndSet::Exact,
            "{}: {lines:?}",
            connected.name()
        );
    })
    .await;
}
