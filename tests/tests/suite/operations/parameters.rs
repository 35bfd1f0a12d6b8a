//! Secrets in Parameter Store that are read at the start of a process.

use call_log::model::{HashKey, Secret};
use serde_json::json;
use tests::{
    aws::{Aws, REQUEST as SSM},
    messages::LOGGED,
    proxy::Fault,
    test_app::{INVOCATION_MS, TestApp, call, send},
};

const NAME: &str = "/call-log/jwt";
const OLD: &str = "the first secret that is long enough";
const NEW: &str = "the second secret that is long enough";

/// Starts the app, and a Parameter Store with these names and values.
async fn start(parameters: &[(&str, &str)]) -> (TestApp, Aws) {
    let aws = Aws::start();
    for (name, value) in parameters {
        aws.put(name, value);
    }
    (TestApp::start().await, aws)
}

/// Environment variables that take the token secret from Parameter Store.
fn environment(ssm: &str) -> [(&str, &str); 3] {
    [("JWT_SECRET", ""), ("JWT_SECRET_PARAMETER", NAME), ("AWS_ENDPOINT_URL_SSM", ssm)]
}

#[tokio::test]
async fn a_secret_parameter_is_read_at_startup_and_again_after_five_minutes() {
    let (test, aws) = start(&[(NAME, OLD)]).await;
    let (ssm, url) = (&aws.ssm, aws.ssm.base_url());
    aws.put("/call-log/hash-key", "the first key");
    let hash_key = [("HASH_KEY", ""), ("HASH_KEY_PARAMETER", "/call-log/hash-key")];
    let app = test.app_with(&[&environment(&url)[..], &hash_key].concat()).await.unwrap();
    let is_hash_key = |key: &str| app.hash_key().hash("7") == HashKey::new(Secret::new(key)).hash("7");
    assert!(is_hash_key("the first key"));
    let status_with = async |secret: &str, session: &str| {
        let issuer = test.app_with(&[("JWT_SECRET", secret)]).await.unwrap();
        let token = issuer.issue_token(&test.user, 1);
        send(&app, "POST", &token, call(session).to_string().into_bytes(), INVOCATION_MS).await.status
    };
    assert_eq!((status_with(OLD, "1").await, status_with(NEW, "2").await, ssm.count(SSM)), (200, 401, 1));

    aws.put(NAME, NEW);
    aws.put("/call-log/hash-key", "the second key");
    test.pass(4 * 60_000);
    assert_eq!(
        (status_with(OLD, "1").await, ssm.count(SSM)),
        (200, 1),
        "the new secret is not read within five minutes"
    );
    test.pass(2 * 60_000);
    assert_eq!(
        (status_with(OLD, "1").await, ssm.count(SSM)),
        (401, 2),
        "the new secret is read after five minutes"
    );
    assert_eq!((status_with(NEW, "3").await, ssm.count(SSM)), (200, 2));
    assert!(is_hash_key("the second key"));
}

#[tokio::test]
async fn while_parameter_store_is_down_the_secrets_that_were_read_remain_valid() {
    let (test, aws) = start(&[(NAME, OLD)]).await;
    let (ssm, url) = (&aws.ssm, aws.ssm.base_url());
    let app = test.app_with(&environment(&url)).await.unwrap();
    for _ in 0..20 {
        ssm.next(SSM, Fault::Status(500));
    }
    test.pass(6 * 60_000);
    for session in ["1", "2", "3"] {
        assert_eq!(test.send(&app, "POST", &call(session)).await.message(), LOGGED);
    }
    assert_eq!(ssm.count(SSM), 2, "only the first request after five minutes reads the parameters");
    test.pass(60_000);
    assert_eq!(test.send(&app, "POST", &call("4")).await.message(), LOGGED);
    assert_eq!(ssm.count(SSM), 3, "the parameters are read again a minute later");
}

#[tokio::test]
async fn a_startup_error_names_the_parameter_that_could_not_be_read() {
    let (test, aws) = start(&[("/call-log/other", "x")]).await;
    let (ssm, url) = (&aws.ssm, aws.ssm.base_url());
    let message = async |extra: &[(&str, &str)]| test.app_with(extra).await.unwrap_err().to_string();
    let error = message(&environment(&url)).await;
    assert_eq!(
        error,
        "the parameters /call-log/jwt could not be read from Parameter Store (/call-log/jwt does not exist): check \
         their names, the region and the permission ssm:GetParameters"
    );
    for fault in [Fault::Status(500), Fault::DropBeforeEffect, Fault::Html, Fault::Truncated] {
        ssm.next(SSM, fault.clone());
        let error = message(&environment(&url)).await;
        assert!(error.starts_with("the parameters /call-log/jwt could not be read"), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn all_parameters_are_read_with_one_request() {
    let (test, aws) = start(&[(NAME, NEW), ("/old", OLD)]).await;
    aws.put("/key", &aws.data_key("one"));
    aws.put("/hash-key", "a key");
    let (ssm, url, kms) = (&aws.ssm, aws.ssm.base_url(), aws.kms.base_url());
    let mut extra = environment(&url).to_vec();
    extra.extend([
        ("JWT_SECRET_PREVIOUS_PARAMETER", "/old"),
        ("HASH_KEY", ""),
        ("HASH_KEY_PARAMETER", "/hash-key"),
        ("AWS_ENDPOINT_URL_KMS", &kms),
        ("CREDENTIALS_DATA_KEY_PARAMETER", "/key"),
    ]);
    test.app_with(&extra).await.unwrap();
    let names = ssm.exchanges()[0].json().unwrap()["Names"].clone();
    assert_eq!((names, ssm.count(SSM)), (json!([NAME, "/old", "/hash-key", "/key"]), 1));
}

#[tokio::test]
async fn a_blank_hash_key_in_parameter_store_is_a_missing_one() {
    let (test, aws) = start(&[("/hash-key", " \n")]).await;
    let url = aws.ssm.base_url();
    let extra =
        [("HASH_KEY", ""), ("HASH_KEY_PARAMETER", "/hash-key"), ("AWS_ENDPOINT_URL_SSM", url.as_str())];
    let error = test.app_with(&extra).await.unwrap_err().to_string();
    assert!(error.starts_with("HASH_KEY is missing: set it to the key"), "{error}");
}

/// Parameter Store accepts at most ten different names per request (API reference of `GetParameters`).
#[tokio::test]
async fn one_request_reads_at_most_ten_parameters() {
    let (test, aws) = start(&[]).await;
    let names: Vec<String> = (0..13).map(|number| format!("/data-key/{number}")).collect();
    for name in &names {
        aws.put(name, &aws.data_key("one"));
    }
    let mut environment = aws.environment();
    environment.push(("CREDENTIALS_DATA_KEY_PARAMETER".to_owned(), names[3].clone()));
    environment.push(("CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER".to_owned(), names.join(",")));
    let extra: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let app = test.app_with(&extra).await.unwrap();
    assert_eq!((aws.ssm.count(SSM), aws.decryptions()), (2, 13 + 1));
    // The current key, the previous keys, and the key of the key file.
    assert_eq!(app.store.keys().len(), 1 + 13 + 1);
}
