//! The function binaries, as Lambda runs them.

use std::time::Duration;

use shared::{
    app::App,
    config::Config,
    model::{Clock, Credentials, Platform, Secret, Settings, User, UserId},
};
use tests::{
    aws::REQUEST,
    fault_proxy::{Fault, FaultProxy, Target},
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    runtime_api::{Function, event, with_body},
};

use super::*;

const DYNAMODB: Target = Target { method: "POST", path: "/" };
const OWNER: &str = "12345-pipedrive";
const KEYED: &str = "54321-pipedrive";

/// Both functions, and what they say.
struct Stage {
    crm: StandIn,
    dynamodb: DynamoDb,
    table: FaultProxy,
    aws: Aws,
    /// The table as an operator reaches it.
    app: App,
    create: Function,
    update: Function,
    /// What was answered to whom, and whether the answer was one to an owner about what is theirs.
    answers: Vec<(Answer, bool)>,
    tokens: Vec<String>,
}

impl Stage {
    async fn start() -> Stage {
        let (crm, dynamodb, aws) = (StandIn::start(), DynamoDb::start(), Aws::start());
        let table = FaultProxy::before(dynamodb.url.trim_start_matches("http://").parse().unwrap());
        let with_faults = variables(&table.base_url(), &crm, &aws, &dynamodb);
        let own = variables(&dynamodb.url, &crm, &aws, &dynamodb);
        let config = Config::read(|name| own.get(name).cloned()).unwrap();
        let app = App::new(config, Clock::System).await.unwrap();
        app.store.create_table().await.unwrap();
        let create = Function::start("create-call-log", &with_faults);
        let update = Function::start("update-call-log", &with_faults);
        let stage =
            Stage { crm, dynamodb, table, aws, app, create, update, answers: Vec::new(), tokens: Vec::new() };
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

/// One create and one update of each user meet each fault of the CRM.
async fn let_the_crm_fail(stage: &mut Stage) {
    let faults = [
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(500),
        Fault::Refusal(400, own_echo()),
        Fault::Refusal(422, own_echo()),
        Fault::Refusal(403, echo()),
        Fault::Refusal(404, own_echo()),
        Fault::Refusal(500, echo()),
        Fault::Refusal(200, echo()),
        Fault::Refusal(302, echo()),
        Fault::RateLimited { retry_after: Some(1) },
        Fault::Blocked,
        Fault::Html,
        Fault::Truncated,
        Fault::NoId,
        Fault::DropBeforeEffect,
        Fault::DropBeforeAnswer,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let session = format!("fails-{number}");
        for route in [Route::CreateActivity, Route::GetPerson] {
            stage.crm.next(route, fault.clone());
            stage.send(KEYED, "POST", &create(&format!("{session}-{route:?}"))).await;
        }
        stage.send(OWNER, "POST", &with_header(create(&session))).await;
        stage.send(OWNER, "POST", &create(&session)).await;
        for route in [Route::GetActivity, Route::UpdateActivity] {
            stage.crm.next(route, fault.clone());
            let later = with(update(&session), json!({"note": format!("canary-later {number} {route:?}")}));
            stage.send(OWNER, "PATCH", &later).await;
        }
        stage.send(OWNER, "PATCH", &with_header(update(&session))).await;
    }
    // What no fault has used up must not meet what comes next.
    for route in [Route::CreateActivity, Route::GetPerson, Route::GetActivity, Route::UpdateActivity] {
        for _ in 0..2 {
            stage.crm.next(route, Fault::Delay(Duration::ZERO));
        }
    }
}

/// A CRM that quotes the credential that it was sent: its words are not shown then.
async fn let_the_crm_quote_credentials(stage: &mut Stage) {
    for (id, body, credential) in [
        (KEYED, create("quotes-1"), API_KEY),
        (OWNER, create("quotes-2"), ACCESS_TOKEN),
        (
            OWNER,
            with(create("quotes-3"), json!({"authHeader": format!("Bearer {ACCESS_TOKEN}")})),
            ACCESS_TOKEN,
        ),
    ] {
        let words = format!("Something is wrong with {credential}, with {NOTE}");
        let quote = json!({"success": false, "error": words}).to_string();
        stage.crm.next(Route::CreateActivity, Fault::Refusal(422, Box::leak(quote.into_boxed_str())));
        let answer = stage.send(id, "POST", &body).await;
        assert_eq!(answer.message(), "Pipedrive refused the call log");
        let said = &answer.body["returnMessage"]["details"][0]["items"][0]["text"];
        assert_eq!(said, "It gave a reason that quotes your credentials.", "{answer:?}");
    }
}

async fn let_renewals_fail(stage: &mut Stage) {
    for (number, fault) in [
        Fault::Refusal(400, echo()),
        Fault::Refusal(401, echo()),
        Fault::Refusal(500, echo()),
        Fault::Refusal(200, echo()),
        Fault::Html,
        Fault::DropBeforeEffect,
        Fault::Refusal(400, r#"{"error": "invalid_grant", "error_description": "pipedrive-refresh-0"}"#),
    ]
    .into_iter()
    .enumerate()
    {
        stage.put(OWNER, stage.grant(1)).await;
        for _ in 0..2 {
            stage.crm.next(Route::Token, fault.clone());
        }
        stage.send(OWNER, "POST", &create(&format!("renews-{number}"))).await;
        stage.send(OWNER, "PATCH", &update(&format!("renews-{number}"))).await;
    }
    stage.put(OWNER, stage.grant(3600)).await;
}

async fn let_the_table_fail(stage: &mut Stage) {
    for (number, fault) in [
        Fault::Refusal(400, echo()),
        Fault::Refusal(400, r#"{"__type": "x#ValidationException", "message": "canary-note +12135559911"}"#),
        Fault::Refusal(500, echo()),
        Fault::Status(503),
        Fault::Html,
        Fault::Truncated,
        Fault::DropBeforeAnswer,
    ]
    .into_iter()
    .enumerate()
    {
        for (id, method, body) in [
            (KEYED, "POST", create(&format!("table-{number}"))),
            (OWNER, "PATCH", update(&format!("table-{number}"))),
            (OWNER, "PATCH", update("1")),
        ] {
            for _ in 0..4 {
                stage.table.next(DYNAMODB, fault.clone());
            }
            stage.send(id, method, &body).await;
        }
        // And those that are left of it.
        stage.send(KEYED, "PATCH", &update(&format!("table-{number}"))).await;
    }
    // An item that cannot be read.
    let item = json!({
        "pk": {"S": format!("U#pipedrive#{KEYED}")}, "sk": {"S": "C#unreadable#"}, "st": {"S": "PARKED"},
        "busy": {"N": "0"}, "w_note": {"B": base64::encode("too short")},
    });
    stage.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
    assert_eq!(stage.send(KEYED, "POST", &create("unreadable")).await.status, 500);
}

/// Tokens that are refused, bodies that are none, and events that no gateway sends.
async fn send_nonsense(stage: &mut Stage) {
    let stranger = variables(&stage.dynamodb.url, &stage.crm, &stage.aws, &stage.dynamodb);
    let stranger = Config::read(|name| match name {
        "JWT_SECRET" => Some("canary-secret-of-a-stranger-who-guesses".to_owned()),
        "CREDENTIALS_DATA_KEY_PARAMETER" | "JWT_SECRET_PARAMETER" => None,
        name => stranger.get(name).cloned(),
    });
    let stranger = App::new(stranger.unwrap(), Clock::System).await.unwrap();
    let good = stage.app.issue_token(&user(OWNER, None), 1);
    let foreign = stranger.issue_token(&user(OWNER, None), 1);
    let body = create("refused").to_string();
    for (method, token) in [
        ("POST", foreign.clone()),
        ("PATCH", foreign),
        ("POST", format!("{good}x")),
        ("POST", good.replace('.', "!")),
        ("PATCH", good.rsplit_once('.').unwrap().0.to_owned()),
        ("POST", stage.app.issue_token(&user(OWNER, None), 0)),
    ] {
        assert_eq!(stage.send_text(&token, method, &body, false).await.status, 401);
    }
    // In the query, as the extension has it.
    let mut queried = event("create-extension-query-token", &good);
    queried["body"] = create("queried").to_string().into();
    assert_eq!(stage.create.invoke(queried.clone()).await.message(), "Call logged");
    queried["rawQueryString"] = format!("jwtToken={good}%00&x={NOTE}").into();
    queried["queryStringParameters"]["jwtToken"] = format!("{good}\0").into();
    stage.answers.push((stage.create.invoke(queried).await, false));

    for method in ["POST", "PATCH"] {
        let whole = if method == "POST" { create("bad") } else { update("bad") };
        let text = whole.to_string();
        for cut in [1, 40, text.len() / 2, text.len() - 1] {
            let cut: String = text.chars().take(cut).collect();
            assert_eq!(stage.send_text(&good, method, &cut, false).await.status, 400);
        }
        // But the session's id, which is the call's name in the table.
        let fields: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
        for field in fields.into_iter().filter(|field| field != "sessionId") {
            for wrong in
                [json!([NOTE, DOWNLOAD_TOKEN]), json!({NAME: NUMBER}), json!(format!("+1{NUMBER} {NOTE}"))]
            {
                let mut body = whole.clone();
                body[field.as_str()] = wrong;
                stage.send_text(&good, method, &body.to_string(), true).await;
            }
        }
        for (field, wrong) in [
            ("authHeader", json!(format!("{AUTH_HEADER}\nx: y"))),
            ("authHeader", json!([AUTH_HEADER])),
            ("contactId", json!({NAME: NOTE})),
            ("timezone", json!(NOTE)),
            ("user", json!({"id": NAME})),
            ("sessionId", json!([NOTE])),
            ("sessionId", json!({NAME: AUTH_HEADER})),
        ] {
            let mut body = whole.clone();
            body[field] = wrong;
            stage.send_text(&good, method, &body.to_string(), true).await;
        }
        // A value that is shown to who sent it, so that they see their mistake, and to nobody else.
        for (path, wrong) in [
            ("direction", json!(NOTE)),
            ("startTime", json!(NAME)),
            ("duration", json!(format!("+1{NUMBER}"))),
            ("startTime", json!(format!("{NAME}, got {NUMBER}"))),
            ("sessionId", json!({NAME: NOTE})),
        ] {
            let mut body = whole.clone();
            let place = if method == "POST" { &mut body["logInfo"] } else { &mut body };
            place[path] = wrong;
            stage.send_text(&good, method, &body.to_string(), true).await;
        }
        for body in [json!(NOTE).to_string(), json!([NOTE]).to_string(), format!("{NOTE} {AUTH_HEADER}")] {
            stage.send_text(&good, method, &body, false).await;
        }
    }
    for event in [
        json!({NOTE: AUTH_HEADER}),
        json!([NOTE]),
        json!({"version": "2.0", "rawPath": NOTE, "headers": {"authorization": format!("Bearer {good}")}, "body": NOTE}),
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["isBase64Encoded"] = true.into();
            event
        },
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["requestContext"]["http"]["method"] = format!("{NOTE} {AUTH_HEADER}").into();
            event
        },
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["headers"]["x-bad"] = format!("{NOTE}\n{AUTH_HEADER}").into();
            event
        },
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["rawPath"] = format!("/{NOTE}/{good}").into();
            event["requestContext"]["http"]["path"] = event["rawPath"].clone();
            event
        },
    ] {
        let report = stage.create.report(event.clone(), Duration::from_secs(5)).await;
        let text = format!("{report:?}");
        check_absent("what is reported to the Runtime API", &text, &SECRETS);
        check_absent("what is reported to the Runtime API", &text, &PERSONAL);
        assert!(!text.contains(&good), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_planted_is_seen_where_it_must_not_be() {
    let mut stage = Stage::start().await;
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
    send_nonsense(&mut stage).await;
    // And the secrets are asked for again, in vain.
    let Stage { crm, dynamodb, create, update, answers, tokens, .. } = stage;
    let requests: String = crm.requests().iter().map(|sent| sent.body.clone()).collect();
    assert!(requests.contains(NOTE) && requests.contains(NUMBER), "what is the CRM's did arrive");

    let logs = [create, update].map(Function::into_log).concat();
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
    let (crm, dynamodb, aws) = (StandIn::start(), DynamoDb::start(), Aws::start());
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
    assert_ne!(REFRESH_TOKEN, ACCESS_TOKEN);
}
