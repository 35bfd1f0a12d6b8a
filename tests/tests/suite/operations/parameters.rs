//! Secrets from the parameter store.

use serde_json::json;
use tests::{
    aws::{Aws, REQUEST as SSM},
    proxy::Fault,
    test_app::{INVOCATION_MS, TestApp, call, send},
};

const NAME: &str = "/call-log/jwt";
const OLD: &str = "the first secret that is long enough";
const NEW: &str = "the second secret that is long enough";

/// A world, and a parameter store with this in it.
async fn start(parameters: &[(&str, &str)]) -> (TestApp, Aws) {
    let aws = Aws::start();
    for (name, value) in parameters {
        aws.put(name, value);
    }
    (TestApp::start().await, aws)
}

/// The environment in which the token secret is a parameter.
fn environment(ssm: &str) -> [(&str, &str); 3] {
    [("JWT_SECRET", ""), ("JWT_SECRET_PARAMETER", NAME), ("AWS_ENDPOINT_URL_SSM", ssm)]
}

#[tokio::test]
async fn a_secret_is_read_at_the_start_and_again_after_five_minutes() {
    let (world, aws) = start(&[(NAME, OLD)]).await;
    let (ssm, url) = (&aws.ssm, aws.ssm.base_url());
    let app = world.app_with(&environment(&url)).await.unwrap();
    let known = async |secret: &str, session: &str| {
        let issuer = world.app_with(&[("JWT_SECRET", secret)]).await.unwrap();
        let token = issuer.issue_token(&world.user, 1);
        send(&app, "POST", &token, call(session).to_string().into_bytes(), INVOCATION_MS).await.status
    };
    assert_eq!((known(OLD, "1").await, known(NEW, "2").await, ssm.count(SSM)), (200, 401, 1));

    aws.put(NAME, NEW);
    world.pass(4 * 60_000);
    assert_eq!((known(OLD, "1").await, ssm.count(SSM)), (200, 1), "not yet");
    world.pass(2 * 60_000);
    assert_eq!((known(OLD, "1").await, ssm.count(SSM)), (401, 2), "changed");
    assert_eq!((known(NEW, "3").await, ssm.count(SSM)), (200, 2));
}

#[tokio::test]
async fn while_the_parameter_store_is_down_the_known_secrets_are_used() {
    let (world, aws) = start(&[(NAME, OLD)]).await;
    let (ssm, url) = (&aws.ssm, aws.ssm.base_url());
    let app = world.app_with(&environment(&url)).await.unwrap();
    for _ in 0..20 {
        ssm.next(SSM, Fault::Status(500));
    }
    world.pass(6 * 60_000);
    for session in ["1", "2", "3"] {
        assert_eq!(world.send(&app, "POST", &call(session)).await.message(), "Call logged");
    }
    assert_eq!(ssm.count(SSM), 2, "it is not asked by each request");
    world.pass(60_000);
    assert_eq!(world.send(&app, "POST", &call("4")).await.message(), "Call logged");
    assert_eq!(ssm.count(SSM), 3, "but soon");
}

#[tokio::test]
async fn a_start_without_its_secret_says_which() {
    let (world, aws) = start(&[("/call-log/other", "x")]).await;
    let (ssm, url) = (&aws.ssm, aws.ssm.base_url());
    let message = async |extra: &[(&str, &str)]| world.app_with(extra).await.unwrap_err().to_string();
    let told = message(&environment(&url)).await;
    assert_eq!(
        told,
        "the parameters /call-log/jwt could not be read from Parameter Store (/call-log/jwt does not exist): check \
         their names, the region and the permission ssm:GetParameters"
    );
    for fault in [Fault::Status(500), Fault::DropBeforeEffect, Fault::Html, Fault::Truncated] {
        ssm.next(SSM, fault.clone());
        let told = message(&environment(&url)).await;
        assert!(told.starts_with("the parameters /call-log/jwt could not be read"), "{fault:?}: {told}");
    }
}

#[tokio::test]
async fn all_parameters_are_asked_for_at_once() {
    let (world, aws) = start(&[(NAME, NEW), ("/old", OLD), ("/crm", "s")]).await;
    aws.put("/key", &aws.data_key("one"));
    let (ssm, url, kms) = (&aws.ssm, aws.ssm.base_url(), aws.kms.base_url());
    let mut extra = environment(&url).to_vec();
    extra.extend([
        ("JWT_SECRET_PREVIOUS_PARAMETER", "/old"),
        ("AWS_ENDPOINT_URL_KMS", &kms),
        ("CREDENTIALS_DATA_KEY_PARAMETER", "/key"),
        ("PIPEDRIVE_CLIENT_ID", "id"),
        ("PIPEDRIVE_CLIENT_SECRET_PARAMETER", "/crm"),
    ]);
    world.app_with(&extra).await.unwrap();
    let names = ssm.exchanges()[0].json().unwrap()["Names"].clone();
    assert_eq!((names, ssm.count(SSM)), (json!([NAME, "/old", "/key", "/crm"]), 1));
}

/// One request may ask for ten, each once.
#[tokio::test]
async fn many_parameters_are_asked_for_by_tens() {
    let (world, aws) = start(&[]).await;
    let names: Vec<String> = (0..13).map(|number| format!("/data-key/{number}")).collect();
    for name in &names {
        aws.put(name, &aws.data_key("one"));
    }
    let mut environment = aws.environment();
    environment.push(("CREDENTIALS_DATA_KEY_PARAMETER".to_owned(), names[3].clone()));
    environment.push(("CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER".to_owned(), names.join(",")));
    let extra: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let app = world.app_with(&extra).await.unwrap();
    assert_eq!((aws.ssm.count(SSM), aws.decryptions()), (2, 13 + 1));
    // The current one, those that only decrypt, and the key file's.
    assert_eq!(app.store.keys().len(), 1 + 13 + 1);
}
