//! The floor: a Lambda function that sends the requests of a create or an update with the same crates and the same HTTP
//! stack, in the same order, and does nothing else. It reads no event, checks no token, composes no note and logs
//! nothing.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{AttributeValue, KeysAndAttributes, ReturnValue},
};
use call_log::startup::transport;
use lambda_http::{Body, Error, Request, Response, run, service_fn};
use reqwest::Method;

struct Floor {
    http: reqwest::Client,
    dynamodb: Client,
    table: String,
    crm: String,
    api_key: String,
    is_update: bool,
    knows_types: AtomicBool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let floor = Floor::new()?;
    let warm = || floor.dynamodb.get_item().table_name(&floor.table).set_key(Some(key("warm"))).send();
    let _ = tokio::join!(warm(), warm());
    if !floor.is_update {
        return run(service_fn(|_: Request| floor.create())).await;
    }
    run(service_fn(|_: Request| floor.update())).await
}

impl Floor {
    #[expect(clippy::disallowed_methods, reason = "a program of its own")]
    fn new() -> Result<Floor, Error> {
        let get = |name: &str| std::env::var(name);
        let credentials = Credentials::new(
            get("AWS_ACCESS_KEY_ID")?,
            get("AWS_SECRET_ACCESS_KEY")?,
            None,
            None,
            "environment",
        );
        let http = transport::client()?;
        let sdk = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(get("AWS_REGION")?))
            .credentials_provider(credentials)
            .http_client(transport::for_sdk(http.clone()))
            .endpoint_url(get("AWS_ENDPOINT_URL_DYNAMODB")?);
        Ok(Floor {
            http,
            dynamodb: Client::from_conf(sdk.build()),
            table: get("TABLE_NAME")?,
            crm: get("FLOOR_CRM")?,
            api_key: get("FLOOR_API_KEY")?,
            is_update: get("FLOOR").is_ok_and(|verb| verb == "update"),
            knows_types: AtomicBool::new(false),
        })
    }

    async fn create(&self) -> Result<Response<Body>, Error> {
        self.read_and_claim().await?;
        self.ask(Method::GET, "/api/v2/persons/77", None).await?;
        if !self.knows_types.swap(true, Ordering::Relaxed) {
            self.ask(Method::GET, "/v1/activityTypes", None).await?;
        }
        self.ask(Method::POST, "/api/v2/activities", Some(ACTIVITY)).await?;
        self.finish().await
    }

    async fn update(&self) -> Result<Response<Body>, Error> {
        self.read_and_claim().await?;
        self.ask(Method::GET, "/api/v2/activities/5001", None).await?;
        self.ask(Method::PATCH, "/api/v2/activities/5001", Some(CHANGE)).await?;
        self.finish().await
    }

    async fn read_and_claim(&self) -> Result<(), Error> {
        let user = self.dynamodb.batch_get_item().request_items(&self.table, first_keys()?);
        let claim = self.write("st = :st, own = :own, busy = :busy, amb = :amb, fence = :fence");
        let (user, claim) = tokio::join!(user.send(), claim.send());
        user?;
        claim?;
        Ok(())
    }

    async fn finish(&self) -> Result<Response<Body>, Error> {
        self.write("st = :st, own = :own, busy = :busy, amb = :amb, fence = :fence, crm = :own")
            .send()
            .await?;
        Ok(Response::new(Body::from(r#"{"successful":true,"logId":"5001"}"#)))
    }

    fn write(
        &self,
        set: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("CALL")))
            .update_expression(format!("SET {set}"))
            .condition_expression("attribute_not_exists(gone)")
            .expression_attribute_values(":st", text("POSTING"))
            .expression_attribute_values(":own", text("0123456789abcdef0123456789abcdef"))
            .expression_attribute_values(":busy", AttributeValue::N("1741794390000".to_owned()))
            .expression_attribute_values(":amb", AttributeValue::Bool(true))
            .expression_attribute_values(":fence", AttributeValue::N("1".to_owned()))
            .return_values(ReturnValue::AllNew)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&'static str>) -> Result<(), Error> {
        let mut request =
            self.http.request(method, format!("{}{path}", self.crm)).header("x-api-token", &self.api_key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await?.error_for_status()?.bytes().await?;
        serde_json::from_slice::<serde_json::Value>(&response)?;
        Ok(())
    }
}

const ACTIVITY: &str = r#"{"subject": "Inbound Call from Bob Client", "type": "call", "owner_id": 12345,
    "due_date": "2025-03-12", "due_time": "15:45", "duration": "00:02", "done": true, "note": "<ul><li>...</li></ul>",
    "participants": [{"person_id": 77, "primary": true}]}"#;
const CHANGE: &str = r#"{"note": "<ul><li>...</li></ul>"}"#;

fn key(sort: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), text("U#floor")), ("sk".to_owned(), text(sort))])
}

/// The keys of the user, of the state of the CRM, and of the tenant's settings.
fn first_keys() -> Result<KeysAndAttributes, Error> {
    let keys = ["USER", "BREAKER", "SETTINGS"].map(key).into();
    Ok(KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
