//! OAuth clients: one parameter for each CRM, read when the CRM first renews a grant.

use std::sync::Arc;

use call_log::startup::app::App;
use serde_json::{Value, json};
use tests::{
    aws::{Aws, REQUEST as SSM},
    log::{Log, endings},
    messages::{LOGGED, NOT_ANSWERING},
    pipedrive::{PLATFORM, REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{TestApp, call, grant},
};

const PREFIX: &str = "/call-log/blue/crm";
const MINUTE: i64 = 60_000;
/// The form that the errors ask for.
const FORM: &str = r#"JSON {"clientId": "...", "clientSecret": "..."}"#;

/// A process in the cloud whose user has an expired grant, and the number of calls that were sent to it.
struct Cloud {
    test: TestApp,
    aws: Aws,
    app: Arc<App>,
    calls: u32,
}

impl Cloud {
    /// Starts the process. The parameter of the CRM has this value, if any.
    async fn start(parameter: Option<&Value>) -> Cloud {
        let aws = Aws::start();
        let test = TestApp::with_credentials(grant(0, REFRESH_TOKEN)).await;
        let mut environment = aws.environment();
        environment.push(("CRM_SECRETS_PREFIX".to_owned(), PREFIX.to_owned()));
        let extra: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let app = test.app_with(&extra).await.unwrap();
        let cloud = Cloud { test, aws, app, calls: 0 };
        if let Some(value) = parameter {
            cloud.put(value);
        }
        cloud
    }

    /// Sets the parameter of the CRM, as the operator does.
    fn put(&self, value: &Value) {
        self.aws.put(&parameter(), &value.to_string());
    }

    /// Returns the number of requests for the parameter of the CRM.
    fn reads(&self) -> usize {
        let exchanges = self.aws.ssm.exchanges();
        exchanges.iter().filter(|request| request.json().unwrap()["Names"] == json!([parameter()])).count()
    }

    /// Logs a call, for which the grant is renewed. Returns the message and the reason in the log line.
    async fn log_call(&mut self) -> (String, String) {
        self.test.crm.end_access();
        self.calls += 1;
        let log = Log::capture();
        let response = self.test.send(&self.app, "POST", &call(&self.calls.to_string())).await;
        let lines = log.take();
        let reason = endings(&lines)[0]["reason"].as_str().unwrap_or_default().to_owned();
        (response.message().to_owned(), reason)
    }

    /// Asserts that the grant is renewed with this client (`id:secret`), and that the parameter was read so often.
    async fn check_renewed(&mut self, client: &str, reads: usize) {
        let before = self.test.crm.refreshes();
        assert_eq!(self.log_call().await, (LOGGED.to_owned(), String::new()));
        assert_eq!(self.test.crm.refreshes(), before + 1);
        let used = self.test.crm.clients().last().cloned();
        assert_eq!((used.as_deref(), self.reads()), (Some(client), reads));
    }

    /// Asserts that no request is sent to the token endpoint, and that the reason is this one.
    async fn check_not_renewed(&mut self, reason: &str, reads: usize) {
        let before = self.test.crm.count(Route::Token);
        let expected = format!("unavailable (the grant could not be renewed: {reason})");
        assert_eq!(self.log_call().await, (NOT_ANSWERING.to_owned(), expected));
        assert_eq!((self.test.crm.count(Route::Token), self.reads()), (before, reads));
    }
}

fn parameter() -> String {
    format!("{PREFIX}/{PLATFORM}")
}

fn client(secret: &str) -> Value {
    json!({"clientId": "our-id", "clientSecret": secret})
}

#[tokio::test]
async fn a_client_is_read_at_the_first_renewal_and_again_after_five_minutes() {
    let mut cloud = Cloud::start(Some(&client("old"))).await;
    assert_eq!((cloud.aws.ssm.count(SSM), cloud.reads()), (1, 0), "the start reads only the token secret");
    cloud.check_renewed("our-id:old", 1).await;

    cloud.put(&client("new"));
    cloud.test.pass(4 * MINUTE);
    cloud.check_renewed("our-id:old", 1).await;
    cloud.test.pass(2 * MINUTE);
    cloud.check_renewed("our-id:new", 2).await;
    cloud.check_renewed("our-id:new", 2).await;
}

#[tokio::test]
async fn a_user_with_an_api_key_needs_no_client() {
    let aws = Aws::start();
    let test = TestApp::start().await;
    let ssm = aws.ssm.base_url();
    let app = test.app_with(&[("AWS_ENDPOINT_URL_SSM", &ssm), ("CRM_SECRETS_PREFIX", PREFIX)]).await.unwrap();
    assert_eq!(test.send(&app, "POST", &call("1")).await.message(), LOGGED);
    assert_eq!(aws.ssm.count(SSM), 0);
}

#[tokio::test]
async fn without_its_parameter_a_grant_is_not_renewed_and_the_reason_names_the_parameter() {
    let mut cloud = Cloud::start(None).await;
    let reason =
        format!("there is no OAuth client: create the SecureString parameter {} with {FORM}", parameter());
    cloud.check_not_renewed(&reason, 1).await;
    cloud.put(&client("late"));
    cloud.check_not_renewed(&reason, 1).await;
    cloud.test.pass(31_000);
    cloud.check_renewed("our-id:late", 2).await;
}

#[tokio::test]
async fn a_malformed_parameter_is_named_with_the_expected_form() {
    let reason = format!("the parameter {} is malformed: expected {FORM}", parameter());
    for value in
        [json!("s3cr3t"), json!({"clientId": "our-id"}), json!({"clientId": "our-id", "clientSecret": ""})]
    {
        let mut cloud = Cloud::start(Some(&value)).await;
        cloud.check_not_renewed(&reason, 1).await;
        cloud.check_not_renewed(&reason, 1).await;
        cloud.put(&client("right"));
        cloud.test.pass(31_000);
        cloud.check_renewed("our-id:right", 2).await;
    }
}

#[tokio::test]
async fn while_parameter_store_is_down_a_grant_is_renewed_later() {
    for fault in [Fault::Status(500), Fault::DropBeforeEffect, Fault::Html, Fault::Truncated] {
        let mut cloud = Cloud::start(Some(&client("s"))).await;
        cloud.aws.ssm.next(SSM, fault.clone());
        let (message, reason) = cloud.log_call().await;
        assert_eq!(message, NOT_ANSWERING, "{fault:?}");
        let start = format!(
            "unavailable (the grant could not be renewed: the parameters {} could not be read",
            parameter()
        );
        assert!(reason.starts_with(&start), "{fault:?}: {reason}");
        assert_eq!((cloud.test.crm.count(Route::Token), cloud.reads()), (0, 1), "{fault:?}");
        cloud.test.pass(31_000);
        cloud.check_renewed("our-id:s", 2).await;
    }
}

#[tokio::test]
async fn a_known_client_stays_in_use_while_its_parameter_cannot_be_read() {
    let mut cloud = Cloud::start(Some(&client("known"))).await;
    cloud.check_renewed("our-id:known", 1).await;
    cloud.test.pass(6 * MINUTE);
    cloud.aws.ssm.next(SSM, Fault::Status(500));
    // The secrets of the start are also read again, with their own request before this one.
    cloud.aws.ssm.next(SSM, Fault::Status(500));
    cloud.check_renewed("our-id:known", 2).await;
    cloud.check_renewed("our-id:known", 2).await;
    cloud.put(&json!("malformed"));
    cloud.test.pass(31_000);
    cloud.check_renewed("our-id:known", 3).await;
    cloud.put(&client("new"));
    cloud.test.pass(31_000);
    cloud.check_renewed("our-id:new", 4).await;
}

#[tokio::test]
async fn a_client_in_the_environment_takes_precedence_and_needs_no_parameter_store() {
    let test = TestApp::with_credentials(grant(0, REFRESH_TOKEN)).await;
    let [id, secret] = ["ID", "SECRET"].map(|part| format!("{}_CLIENT_{part}", PLATFORM.to_uppercase()));
    let local = [(id.as_str(), "local-id"), (secret.as_str(), "local"), ("CRM_SECRETS_PREFIX", PREFIX)];
    let app = test.app_with(&local).await.unwrap();
    assert_eq!(test.send(&app, "POST", &call("1")).await.message(), LOGGED);
    assert_eq!(test.crm.clients(), ["local-id:local"]);
}

#[tokio::test]
async fn without_any_configuration_a_grant_is_renewed_without_a_client() {
    let test = TestApp::with_credentials(grant(0, REFRESH_TOKEN)).await;
    assert_eq!(test.post(&call("1")).await.message(), LOGGED);
    assert_eq!(test.crm.clients(), [""]);
}
