//! The function binaries, as Lambda runs them.

mod failures;
mod malformed;

use std::time::Duration;

use call_log::{
    model::{Clock, Credentials, Platform, Secret, Settings, User, UserId},
    startup::{app::App, config::Config},
};
use tests::{
    aws::REQUEST,
    pipedrive::{ACCESS_TOKEN, Route},
    proxy::{Fault, Proxy, Target},
    runtime_api::{Function, event, with_body},
};

use self::{
    failures::{let_renewals_fail, let_the_crm_fail, let_the_crm_quote_credentials, let_the_table_fail},
    malformed::send_malformed_requests,
};
use super::*;

const DYNAMODB: Target = Target { method: "POST", path: "/" };
const OWNER: &str = "12345-pipedrive";
const KEYED: &str = "54321-pipedrive";

/// Both functions, and what they say.
struct Harness {
    crm: FakePipedrive,
    dynamodb: DynamoDb,
    table: Proxy,
    aws: Aws,
    /// The table as an operator reaches it.
    app: App,
    create: Function,
    update: Function,
    redrive: Function,
    /// What was answered to whom, and whether the answer was one to an owner about what is theirs.
    answers: Vec<(Answer, bool)>,
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
        let stage = Harness {
            crm,
            dynamodb,
            table,
            aws,
            app,
            create,
            update,
            redrive,
            answers: Vec::new(),
            tokens: Vec::new(),
        };
        stage.put(OWNER, stage.grant(3600)).await;
        stage.put(KEYED, Credentials::ApiKey(Secret::new(API_KEY))).await;
        stage
    }

    /// An OAuth grant as the CRM has it, with so many seconds to live.
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

    async fn send(&mut self, id: &str, method: &str, body: &Value) -> Answer {
        let token = self.app.issue_token(&user(id, None), 1);
        self.send_text(&token, method, &body.to_string(), true).await
    }

    /// With any token and body; `owned`: it is about what belongs to the one who asks.
    async fn send_text(&mut self, token: &str, method: &str, body: &str, owned: bool) -> Answer {
        let (function, name) = match method {
            "POST" => (&self.create, "create-extension"),
            _ => (&self.update, "update-note"),
        };
        let answer = function.invoke(with_body(event(name, token), body)).await;
        self.answers.push((answer.clone(), owned));
        self.tokens.push(token.to_owned());
        answer
    }
}

fn user(id: &str, credentials: Option<Credentials>) -> User {
    User {
        id: UserId::new(id).unwrap(),
        platform: Platform::new("pipedrive").unwrap(),
        hostname: Some("acme.pipedrive.com".to_owned()),
        zone: None,
        settings: Settings::default(),
        credentials,
    }
}

/// What waits is tried again, in vain and well; the report counts, and the event is of no interest.
async fn redrive(stage: &mut Harness) {
    for fault in [Fault::Refusal(422, own_echo()), Fault::Refusal(500, echo()), Fault::Status(401)] {
        stage.crm.next(Route::CreateActivity, fault);
        let event = json!({NOTE: AUTH_HEADER});
        let report = stage.redrive.invoke_raw(event, Duration::from_secs(25)).await;
        assert!(report.as_ref().is_ok_and(|report| report["due"].is_u64()), "{report:?}");
        let text = format!("{report:?}");
        check_absent("a report", &text, &SECRETS);
        check_absent("a report", &text, &PERSONAL);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_planted_is_seen_where_it_must_not_be() {
    let mut stage = Harness::start().await;
    // What goes well: a call, one again, updates that wait and that come later, by both kinds of credentials.
    for id in [OWNER, KEYED] {
        stage.send(id, "PATCH", &update("early")).await;
        assert_eq!(stage.send(id, "POST", &create("early")).await.message(), "Call logged");
        assert_eq!(stage.send(id, "POST", &create("1")).await.message(), "Call logged");
        assert_eq!(stage.send(id, "POST", &create("1")).await.message(), "Call already logged");
        let updated = stage.send(id, "PATCH", &update("1")).await;
        assert!(updated.body["updatedNote"].as_str().unwrap().contains("canary-later"));
        stage.send(id, "PATCH", &update("waits")).await;
        let nobody = with(create("nobody"), json!({"contactId": null, "contactName": null}));
        stage.send(id, "POST", &nobody).await;
    }
    let_the_crm_quote_credentials(&mut stage).await;
    let_the_crm_fail(&mut stage).await;
    let_renewals_fail(&mut stage).await;
    let_the_table_fail(&mut stage).await;
    send_malformed_requests(&mut stage).await;
    redrive(&mut stage).await;
    let Harness { crm, dynamodb, create, update, redrive, answers, tokens, .. } = stage;
    let requests: String = crm.requests().iter().map(|sent| sent.body.clone()).collect();
    assert!(requests.contains(NOTE) && requests.contains(NUMBER), "what is the CRM's did arrive");

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
    let refusals = answers.iter().filter(|(answer, _)| answer.status >= 400).count();
    assert!(refusals > 30, "{refusals} were refused");
    for (answer, owned) in &answers {
        let text = format!("{:?} {}", answer.headers, answer.body);
        check_absent("an answer", &text, &SECRETS);
        assert!(!tokens.iter().any(|token| token.len() > 60 && text.contains(token.as_str())), "{text}");
        // An answer of 200 may tell its owner what is theirs, and one of 400 the value that is wrong; nobody else, and no
        // other refusal, is told anything.
        if !owned || answer.status > 400 || (answer.status == 400 && !answer.message().contains(", got \"")) {
            check_absent("a refusal", &text, &PERSONAL);
        }
    }
}

/// A function that cannot start says why, and not what it was given.
#[tokio::test]
async fn a_start_that_fails_does_not_tell_its_secrets() {
    let (crm, dynamodb, aws) = (FakePipedrive::start(), DynamoDb::start(), Aws::start());
    let good = variables(&dynamodb.url, &crm, &aws, &dynamodb);
    let canary = "canary-in-the-configuration";
    for (name, value, faulty) in [
        ("CREDENTIALS_DATA_KEY", canary, None),
        ("CREDENTIALS_DATA_KEY", "Y2FuYXJ5LWluLXRoZS1jb25maWd1cmF0aW9u", None),
        ("JWT_SECRET_PARAMETER", "/nowhere", None),
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
