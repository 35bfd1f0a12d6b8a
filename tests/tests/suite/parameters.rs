//! Secrets from the parameter store: a stand-in for the one request that is made there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use tests::{
    fault_proxy::{Fault, FaultProxy, Target},
    world::{INVOCATION_MS, World, call, send},
};

const SSM: Target = Target { method: "POST", path: "/" };
const NAME: &str = "/call-log/jwt";
const OLD: &str = "the first secret that is long enough";
const NEW: &str = "the second secret that is long enough";

type Parameters = Arc<Mutex<BTreeMap<String, String>>>;

/// `GetParameters`, for who signs the request.
async fn get_parameters(
    State(parameters): State<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let signature = header("authorization");
    let signed = [
        "AWS4-HMAC-SHA256 Credential=test/20250312/us-east-1/ssm/aws4_request",
        "x-amz-target",
        "Signature=",
    ];
    if !signed.iter().all(|part| signature.contains(part)) || header("x-amz-date").is_empty() {
        return (StatusCode::BAD_REQUEST, json!({"__type": "IncompleteSignature"}).to_string());
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if header("x-amz-target") != "AmazonSSM.GetParameters"
        || header("content-type") != "application/x-amz-json-1.1"
        || request["WithDecryption"] != true
    {
        return (StatusCode::BAD_REQUEST, json!({"__type": "ValidationException"}).to_string());
    }
    let known = parameters.lock().unwrap();
    let names: Vec<&str> =
        request["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (there, missing): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| known.contains_key(*name));
    let parameter = |name| json!({"Name": name, "Type": "SecureString", "Value": known[name], "Version": 1});
    let found: Vec<_> = there.into_iter().map(parameter).collect();
    (StatusCode::OK, json!({"Parameters": found, "InvalidParameters": missing}).to_string())
}

/// A world, and a parameter store with this in it.
async fn start(parameters: &[(&str, &str)]) -> (World, Parameters, FaultProxy) {
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let parameters = Arc::new(Mutex::new(parameters));
    let ssm =
        FaultProxy::around(Router::new().route("/", post(get_parameters)).with_state(parameters.clone()));
    (World::start().await, parameters, ssm)
}

/// The environment in which the token secret is a parameter.
fn environment(ssm: &str) -> [(&str, &str); 3] {
    [("JWT_SECRET", ""), ("JWT_SECRET_PARAMETER", NAME), ("AWS_ENDPOINT_URL_SSM", ssm)]
}

#[tokio::test]
async fn a_secret_is_read_at_the_start_and_again_after_five_minutes() {
    let (world, parameters, ssm) = start(&[(NAME, OLD)]).await;
    let url = ssm.base_url();
    let app = world.app_with(&environment(&url)).await.unwrap();
    app.store.put_user(&world.user).await.unwrap();
    let known = async |secret: &str, session: &str| {
        let issuer = world.app_with(&[("JWT_SECRET", secret)]).await.unwrap();
        let token = issuer.issue_token(&world.user, 1);
        send(&app, "POST", &token, call(session).to_string().into_bytes(), INVOCATION_MS).await.status
    };
    assert_eq!((known(OLD, "1").await, known(NEW, "2").await, ssm.count(SSM)), (200, 401, 1));

    parameters.lock().unwrap().insert(NAME.to_owned(), NEW.to_owned());
    world.pass(4 * 60_000);
    assert_eq!((known(OLD, "1").await, ssm.count(SSM)), (200, 1), "not yet");
    world.pass(2 * 60_000);
    assert_eq!((known(OLD, "1").await, ssm.count(SSM)), (401, 2), "changed");
    app.store.put_user(&world.user).await.unwrap();
    assert_eq!((known(NEW, "3").await, ssm.count(SSM)), (200, 2));
}

#[tokio::test]
async fn while_the_parameter_store_is_down_the_known_secrets_are_used() {
    let (world, _, ssm) = start(&[(NAME, OLD)]).await;
    let url = ssm.base_url();
    let app = world.app_with(&environment(&url)).await.unwrap();
    app.store.put_user(&world.user).await.unwrap();
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
    let (world, _, ssm) = start(&[("/call-log/other", "x")]).await;
    let url = ssm.base_url();
    let message = async |extra: &[(&str, &str)]| world.app_with(extra).await.unwrap_err().to_string();
    let told = message(&environment(&url)).await;
    assert_eq!(
        told,
        "the parameters /call-log/jwt could not be read from the parameter store (there is no /call-log/jwt)"
    );
    for fault in [Fault::Status(500), Fault::DropBeforeEffect, Fault::Html, Fault::Truncated] {
        ssm.next(SSM, fault.clone());
        let told = message(&environment(&url)).await;
        assert!(told.starts_with("the parameters /call-log/jwt could not be read"), "{fault:?}: {told}");
    }
}

#[tokio::test]
async fn all_parameters_are_asked_for_at_once() {
    let (world, _, ssm) =
        start(&[(NAME, NEW), ("/old", OLD), ("/key", "a key of its own"), ("/crm", "s")]).await;
    let url = ssm.base_url();
    let mut extra = environment(&url).to_vec();
    extra.extend([
        ("JWT_SECRET_PREVIOUS_PARAMETER", "/old"),
        ("CREDENTIALS_KEY_PARAMETER", "/key"),
        ("PIPEDRIVE_CLIENT_ID", "id"),
        ("PIPEDRIVE_CLIENT_SECRET_PARAMETER", "/crm"),
    ]);
    world.app_with(&extra).await.unwrap();
    let names = ssm.exchanges()[0].json().unwrap()["Names"].clone();
    assert_eq!((names, ssm.count(SSM)), (json!([NAME, "/old", "/key", "/crm"]), 1));
}
