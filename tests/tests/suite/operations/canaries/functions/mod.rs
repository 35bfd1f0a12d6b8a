//! The function binaries, as Lambda runs them.

mod extension;
mod failures;
mod malformed;

use std::time::Duration;

use call_log::{
    model::{Clock, Credentials, CrmAccount, Secret, User},
    startup::{app::App, config::Config},
};
use tests::{
    aws::REQUEST,
    pipedrive::{ACCESS_TOKEN, Route},
    proxy::{Fault, Proxy},
    runtime_api::{Function, event, with_body},
    test_app,
};

use self::{
    failures::{let_renewals_fail, let_the_crm_fail, let_the_crm_quote_credentials, let_the_table_fail},
    malformed::send_malformed_requests,
};
use super::*;

const OWNER: &str = "12345-pipedrive";
const KEYED: &str = "54321-pipedrive";

/// Returns a user who has a company alone, so that two users can log the same session.
fn user(id: &str, credentials: Option<Credentials>) -> User {
    let account = CrmAccount { id: Some(id.to_owned()), ..CrmAccount::default() };
    User { account, ..test_app::user(id, credentials) }
}

/// The functions, the services that they use, and the responses that they gave.
struct Harness {
    crm: FakePipedrive,
    dynamodb: DynamoDb,
    table: Proxy,
    aws: Aws,
    /// An app that reaches the table without faults, as an operator does.
    app: App,
    create: Function,
    update: Function,
    redrive: Function,
    /// Each response, and `true` if its caller owns the data that the request is about.
    responses: Vec<(Response, bool)>,
    tokens: Vec<String>,
}

impl Harness {
    async fn start() -> Harness {
        let (crm, dynamodb, aws) = (FakePipedrive::start(), DynamoDb::start(), Aws::start());
        let table = Proxy::before(dynamodb.url.trim_start_matches("http://").parse().unwrap());
        let with_faults = variables(&table.base_url(), &crm, &aws, &dynamodb);
        let own = variables(&dynamodb.url, &crm, &aws, &dynamodb);
        let config = Config::read(|name| own.get(name).cloned()).unwrap();
        let app = App::new(config, Clock::System).await.unwrap();
        app.store.create_table().await.unwrap();
        let create = Function::start("create-call-log", &with_faults);
        let update = Function::start("update-call-log", &with_faults);
        let redrive = Function::start("redrive-call-logs", &with_faults);
        let harness = Harness {
            crm,
            dynamodb,
            table,
            aws,
            app,
            create,
            update,
            redrive,
            responses: Vec::new(),
            tokens: Vec::new(),
        };
        harness.put(OWNER, harness.grant(3600)).await;
        harness.put(KEYED, Credentials::ApiKey(Secret::new(API_KEY))).await;
        harness
    }

    /// Returns an OAuth grant with the CRM's current tokens, which expires in this number of seconds.
    fn grant(&self, seconds: i64) -> Credentials {
        Credentials::OAuth {
            access_token: Secret::new(ACCESS_TOKEN),
            refresh_token: Some(Secret::new(self.crm.refresh_token())),
            expires_at: Some(Clock::System.now() + chrono::TimeDelta::seconds(seconds)),
        }
    }

    async fn put(&self, id: &str, credentials: Credentials) {
        self.app.store.put_user(&user(id, Some(credentials))).await.unwrap();
    }

    async fn send(&mut self, id: &str, method: &str, body: &Value) -> Response {
        let token = self.app.issue_token(&user(id, None), 1);
        self.send_text(&token, method, &body.to_string(), true).await
    }

    /// Sends any token and body. `owned` is `true` if the caller owns the data that the request is about.
    async fn send_text(&mut self, token: &str, method: &str, body: &str, owned: bool) -> Response {
        let (function, name) = match method {
            "POST" => (&self.create, "create-extension"),
            _ => (&self.update, "update-note"),
        };
        let response = function.invoke(with_body(event(name, token), body)).await;
        self.responses.push((response.clone(), owned));
        self.tokens.push(token.to_owned());
        // The next request reaches the CRM too.
        for id in [OWNER, KEYED] {
            test_app::close_breaker(&self.app, &user(id, None)).await;
        }
        response
    }
}

/// Runs redrives that fail. Their reports contain numbers only, and nothing of the event.
async fn redrive(harness: &mut Harness) {
    for fault in [Fault::Refusal(422, own_echo()), Fault::Refusal(500, echo()), Fault::Status(401)] {
        harness.crm.next(Route::CreateActivity, fault);
        let event = json!({NOTE: AUTH_HEADER});
        let report = harness.redrive.invoke_raw(event, Duration::from_secs(25)).await;
        assert!(report.as_ref().is_ok_and(|report| report["due"].is_u64()), "{report:?}");
        let text = format!("{report:?}");
        check_absent("the report of a redrive", &text, &SECRETS);
        check_absent("the report of a redrive", &text, &PERSONAL);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_reveal_no_secret_or_personal_data_in_logs_responses_or_the_table() {
    let mut harness = Harness::start().await;
    // With both kinds of credentials: creates, a repeated create, and updates before and after their call.
    for id in [OWNER, KEYED] {
        harness.send(id, "PATCH", &update("early")).await;
        assert_eq!(harness.send(id, "POST", &create("early")).await.message(), LOGGED);
        assert_eq!(harness.send(id, "POST", &create("1")).await.message(), LOGGED);
        assert_eq!(harness.send(id, "POST", &create("1")).await.message(), ALREADY_LOGGED);
        let updated = harness.send(id, "PATCH", &update("1")).await;
        assert!(updated.body["updatedNote"].as_str().unwrap().contains("canary-later"));
        harness.send(id, "PATCH", &update("waits")).await;
        let without_contact = with(create("no-contact"), json!({"contactId": null, "contactName": null}));
        harness.send(id, "POST", &without_contact).await;
    }
    let_the_crm_quote_credentials(&mut harness).await;
    let_the_crm_fail(&mut harness).await;
    let_renewals_fail(&mut harness).await;
    let_the_table_fail(&mut harness).await;
    send_malformed_requests(&mut harness).await;
    redrive(&mut harness).await;
    let Harness { crm, dynamodb, create, update, redrive, responses, tokens, .. } = harness;
    let requests: String = crm.requests().iter().map(|sent| sent.body.clone()).collect();
    assert!(
        requests.contains(NOTE) && requests.contains(NUMBER),
        "the personal data did not arrive at the CRM"
    );

    let logs = [create, update, redrive].map(Function::into_log).concat();
    assert!(logs.lines().count() > 200, "{logs}");
    check_absent("the log", &logs, &SECRETS);
    check_absent("the log", &logs, &PERSONAL);
    let table = table(&dynamodb, "calls").await;
    check_absent("the table", &table, &SECRETS);
    check_absent("the table", &table, &PERSONAL);
    for token in tokens.iter().filter(|token| token.len() > 60) {
        for (place, text) in [("the log", &logs), ("the table", &table)] {
            assert!(!text.contains(token.as_str()), "a caller's token is in {place}");
        }
    }
    let errors = responses.iter().filter(|(response, _)| response.status >= 400).count();
    assert!(errors > 30, "only {errors} requests failed");
    for (response, owned) in &responses {
        let text = format!("{:?} {}", response.headers, response.body);
        check_absent("a response", &text, &SECRETS);
        assert!(!tokens.iter().any(|token| token.len() > 60 && text.contains(token.as_str())), "{text}");
        // A response with status 200 may contain the owner's data, and one with status 400 the caller's invalid value.
        // Other responses contain no personal data.
        if !owned
            || response.status > 400
            || (response.status == 400 && !response.message().contains(", got \""))
        {
            check_absent("an error response", &text, &PERSONAL);
        }
    }
}

#[tokio::test]
async fn the_log_of_a_failed_start_contains_no_secret() {
    let (crm, dynamodb, aws) = (FakePipedrive::start(), DynamoDb::start(), Aws::start());
    let good = variables(&dynamodb.url, &crm, &aws, &dynamodb);
    let canary = "canary-in-the-configuration";
    for (name, value, faulty) in [
        ("CREDENTIALS_DATA_KEY", canary, None),
        ("CREDENTIALS_DATA_KEY", "Y2FuYXJ5LWluLXRoZS1jb25maWd1cmF0aW9u", None),
        ("JWT_SECRET_PARAMETER", "/nowhere", None),
        ("HASH_KEY_PARAMETER", "/nowhere", None),
        ("AWS_SECRET_ACCESS_KEY", canary, None),
        ("AWS_REGION", "eu-west-1", None),
        ("TABLE_NAME", "", None),
        ("AWS_REGION", "us-east-1", Some((&aws.ssm, Fault::Refusal(400, echo())))),
        ("AWS_REGION", "us-east-1", Some((&aws.ssm, Fault::Refusal(200, echo())))),
        ("AWS_REGION", "us-east-1", Some((&aws.kms, Fault::Refusal(400, echo())))),
        ("AWS_REGION", "us-east-1", Some((&aws.kms, Fault::Refusal(200, echo())))),
    ] {
        let mut variables = good.clone();
        variables.insert(name.to_owned(), value.to_owned());
        if name == "CREDENTIALS_DATA_KEY" {
            variables.remove("CREDENTIALS_DATA_KEY_PARAMETER");
        }
        if let Some((service, fault)) = faulty {
            service.next(REQUEST, fault);
        }
        let (status, log) = Function::start("create-call-log", &variables).wait();
        assert!(!status.success() && log.contains("cannot start"), "{name}={value}: {log}");
        check_absent("the log", &log, &SECRETS);
        check_absent("the log", &log, &[("a secret", canary), ("a note", NOTE), ("a number", NUMBER)]);
    }
}
