//! The settings that the functions need, and their behaviour without the table.

use tests::{
    dynamodb::DynamoDb,
    pipedrive::FakePipedrive,
    runtime_api::Function,
    test_app::{call, environment, user},
};

use crate::harness::{Harness, USER, request, warning};

const HASH_KEY_IS_MISSING: &str = "HASH_KEY is missing: set it to the key that hashes RingCentral extension ids: the \
                                   HASH_KEY of your App Connect server, or else a random text that all functions share";

#[test]
fn a_function_with_a_missing_or_invalid_setting_does_not_start_and_names_the_setting() {
    let (crm, dynamodb) = (FakePipedrive::start(), DynamoDb::start());
    for (name, value, problem) in [
        ("TABLE_NAME", "", "TABLE_NAME is missing: set it to the name of the DynamoDB table"),
        ("JWT_SECRET", "", "JWT_SECRET is missing: set it to the secret that signs callers' tokens"),
        ("JWT_SECRET", "  ", "JWT_SECRET is missing: set it to the secret that signs callers' tokens"),
        ("HASH_KEY", "", HASH_KEY_IS_MISSING),
        ("HASH_KEY", "  ", HASH_KEY_IS_MISSING),
        (
            "CREDENTIALS_KEY_FILE",
            "",
            "the encryption key is missing: set CREDENTIALS_DATA_KEY to a data key from KMS, or CREDENTIALS_KEY_FILE \
             to a file that `call-log credentials new-key-file FILE` creates",
        ),
        (
            "AWS_ENDPOINT_URL_DYNAMODB",
            "localhost:8000",
            "AWS_ENDPOINT_URL_DYNAMODB is invalid: expected an http or https URL",
        ),
        (
            "CRM_BASE_URL_PIPEDRIVE",
            "ftp://x",
            "CRM_BASE_URL_PIPEDRIVE is invalid: expected an http or https URL",
        ),
    ] {
        let mut variables = environment(&dynamodb, &crm, &[(name, value)]);
        variables.retain(|_, value| !value.is_empty());
        // The redrive knows no callers.
        let is_of_callers = ["JWT_SECRET", "HASH_KEY"].contains(&name);
        let redrive = (!is_of_callers).then_some("redrive-call-logs");
        for function in ["create-call-log", "update-call-log"].into_iter().chain(redrive) {
            let (status, log) = Function::start(function, &variables).wait();
            assert!(!status.success(), "{function} without {name}");
            assert!(log.contains(problem), "{function}, {name}={value:?}: {log}");
        }
    }
}

/// A function starts without the table and tries to reach it again with each request.
#[tokio::test]
async fn an_unreachable_table_is_a_503_and_no_crm_is_called() {
    let (crm, dynamodb) = (FakePipedrive::start(), DynamoDb::start());
    let nowhere = "http://127.0.0.1:1";
    let variables = environment(&dynamodb, &crm, &[("AWS_ENDPOINT_URL_DYNAMODB", nowhere)]);
    let app = crate::harness::app(&variables).await;
    let token = app.issue_token(&user(USER, None), 1);
    for (function, method) in [("create-call-log", "POST"), ("update-call-log", "PATCH")] {
        let function = Function::start(function, &variables);
        let response = function.invoke(request(method, &token, &call("1").to_string())).await;
        assert_eq!(response.status, 503, "{method}: {response:?}");
        assert_eq!(response.headers["retry-after"], "2", "{method}");
        assert_eq!(
            response.body,
            warning("The service is busy. Please try again in a moment.", &[]),
            "{method}"
        );
        assert!(!function.into_log().contains(&token), "{method}: the token is in the log");
    }
    assert!(crm.requests().is_empty(), "the CRM is not called for a call that cannot be stored");
}

/// The log has the internal error, and the caller gets the request id to find it.
#[tokio::test]
async fn a_missing_table_is_a_500_with_the_request_id() {
    let harness = Harness::with(&[("TABLE_NAME", "elsewhere")]).await;
    let response = harness.post(&call("1")).await;
    assert_eq!(response.status, 500);
    insta::assert_snapshot!(response.body, @r#"{"successful":false,"returnMessage":{"message":"Something went wrong on our side. If it happens again, tell your administrator the request id request-1.","messageType":"danger","ttl":5000}}"#);
    let log = harness.create.into_log();
    assert!(log.contains("ResourceNotFoundException") && log.contains("request-1"), "{log}");
}
