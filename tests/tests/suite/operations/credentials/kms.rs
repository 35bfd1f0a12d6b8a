//! Data keys that are encrypted by KMS.

use tests::{aws::REQUEST, proxy::Fault};

use super::*;

const PARAMETER: (&str, &str) = ("CREDENTIALS_DATA_KEY_PARAMETER", "/data-key");

#[tokio::test]
async fn a_data_key_encrypts_and_the_key_file_still_decrypts() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let app = start(&test, &aws, &[PARAMETER]).await.unwrap();
    assert_eq!((aws.ssm.count(REQUEST), aws.decryptions()), (1, 1), "one request to each service");

    assert_eq!(test.send(&app, "POST", &call("1")).await.message(), LOGGED, "encrypted with the key file");
    app.store.put_user(&test.user).await.unwrap();
    assert_eq!(test.send(&app, "POST", &call("2")).await.message(), LOGGED, "encrypted with the data key");
    assert_eq!(
        test.send(&test.app, "POST", &call("3")).await.status,
        500,
        "a process that has only the key file cannot decrypt it"
    );

    // The encrypted data key can also be the setting itself, without Parameter Store.
    let blob = aws.data_key("one");
    let app = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &blob)]).await.unwrap();
    assert_eq!(app.store.keys().first().map(|(_, source)| *source), Some("CREDENTIALS_DATA_KEY"));
    assert_eq!(app.store.keys().len(), 2);
}

#[tokio::test]
async fn an_unusable_data_key_stops_the_start_with_the_reason_and_the_fix() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let context = json!({"purpose": "call-log credentials"});
    let good = aws.data_key("one");
    let short = aws.encrypt("one", &context, vec![1; 16]);
    let other_context = aws.encrypt("one", &json!({"purpose": "something else"}), vec![1; 32]);
    for code in
        ["AccessDeniedException", "DisabledException", "KMSInvalidStateException", "NotFoundException"]
    {
        aws.refuse(code, Some(code));
    }
    for (blob, problem) in [
        (
            "not base64!".to_owned(),
            "it is not base64; store what `aws kms generate-data-key-without-plaintext --query CiphertextBlob --output \
             text` prints",
        ),
        (
            "c29tZXRoaW5nIGVsc2U=".to_owned(),
            "KMS in us-east-1 did not encrypt it for this purpose; generate it there with `--encryption-context \
             '{\"purpose\": \"call-log credentials\"}'`, and store all of it",
        ),
        (
            other_context,
            "KMS in us-east-1 did not encrypt it for this purpose; generate it there with `--encryption-context \
             '{\"purpose\": \"call-log credentials\"}'`, and store all of it",
        ),
        (short, "it has 16 bytes instead of 32; generate one with `--key-spec AES_256`"),
        (
            aws.data_key("AccessDeniedException"),
            "KMS denies kms:Decrypt with its KMS key; allow it in this role's policy and in the key's policy, and check \
             that the key is in us-east-1",
        ),
        (aws.data_key("DisabledException"), "its KMS key is disabled; enable it with `aws kms enable-key`"),
        (
            aws.data_key("KMSInvalidStateException"),
            "its KMS key cannot be used; if its deletion is pending, cancel that with `aws kms cancel-key-deletion`, \
             then enable the key",
        ),
        (aws.data_key("NotFoundException"), "its KMS key is not in us-east-1; check AWS_REGION"),
    ] {
        aws.put("/data-key", &blob);
        let message = start(&test, &aws, &[PARAMETER]).await.unwrap_err().to_string();
        assert_eq!(message, format!("the data key in the parameter /data-key cannot be used: {problem}"));
    }
    let message = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", "?")]).await.unwrap_err().to_string();
    assert!(
        message.starts_with("the data key in CREDENTIALS_DATA_KEY cannot be used: it is not base64"),
        "{message}"
    );

    aws.put("/data-key", &good);
    for (fault, problem) in [
        (
            Fault::DropBeforeEffect,
            "returned no usable response (no response); check AWS_REGION and the network",
        ),
        (Fault::Html, "returned no usable response (the response is not JSON)"),
        (Fault::Status(500), "KMS in us-east-1 rejected the request (status 500); check the AWS credentials"),
        (
            Fault::Refusal(400, r#"{"__type": "com.amazonaws.kms#ThrottlingException"}"#),
            "rejected the request (status 400 ThrottlingException)",
        ),
        (Fault::Refusal(200, r#"{"Plaintext": 1}"#), "KMS's response contains no key; try again"),
    ] {
        aws.kms.next(REQUEST, fault.clone());
        let message = start(&test, &aws, &[PARAMETER]).await.unwrap_err().to_string();
        assert!(message.contains(problem), "{fault:?}: {message}");
    }
    let wrong = [PARAMETER, ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let message = start(&test, &aws, &wrong).await.unwrap_err().to_string();
    assert!(message.contains("InvalidSignatureException"), "{message}");
    assert!(start(&test, &aws, &[PARAMETER]).await.is_ok(), "the valid data key is accepted");
}

/// A changed parameter is a new data key.
#[tokio::test]
async fn a_process_asks_kms_only_once_for_each_data_key() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let app = start(&test, &aws, &[PARAMETER]).await.unwrap();
    for (session, asked) in [("1", 1), ("2", 1)] {
        test.pass(6 * 60_000);
        assert_eq!(test.send(&app, "POST", &call(session)).await.message(), LOGGED);
        assert_eq!(aws.decryptions(), asked);
    }
    assert_eq!(aws.ssm.count(REQUEST), 3);
    let before = app.store.keys()[0];
    aws.put("/data-key", &aws.data_key("one"));
    test.pass(6 * 60_000);
    assert_eq!(test.send(&app, "POST", &call("3")).await.message(), LOGGED);
    assert_eq!(aws.decryptions(), 2);
    assert_ne!(app.store.keys()[0], before);
}

/// KMS rejects the previous data key: users encrypted with the current one are served, the others get a 500 until KMS
/// accepts it.
#[tokio::test]
async fn a_process_starts_while_a_previous_data_key_is_unavailable() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let (old, new) = (aws.data_key("old"), aws.data_key("new"));
    let with_old = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &old)]).await.unwrap();
    with_old.store.put_user(&test.user).await.unwrap();
    aws.refuse("old", Some("DisabledException"));
    let both = [("CREDENTIALS_DATA_KEY", new.as_str()), ("CREDENTIALS_DATA_KEY_PREVIOUS", &old)];
    let app = start(&test, &aws, &both).await.unwrap();
    app.store.put_user(&user(1)).await.unwrap();
    let send = async |user: &User, session: &str| {
        let token = app.issue_token(user, 1);
        let body = call(session).to_string().into_bytes();
        tests::test_app::send(&app, "POST", &token, body, tests::test_app::INVOCATION_MS).await
    };
    assert_eq!(send(&user(1), "1").await.message(), LOGGED);
    assert_eq!(send(&test.user, "2").await.status, 500, "cannot be decrypted");

    aws.refuse("old", None);
    test.pass(31_000);
    assert_eq!(send(&test.user, "3").await.message(), LOGGED, "KMS is asked again after half a minute");
    assert_eq!(send(&user(1), "4").await.message(), LOGGED);
}

/// A data key generated without this context is rejected.
#[test]
fn the_documented_commands_name_the_encryption_context() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let commands = page.matches("generate-data-key-without-plaintext").count();
    assert!(commands > 0);
    let context = r#"--encryption-context '{"purpose": "call-log credentials"}'"#;
    assert_eq!(page.matches(context).count(), commands);
    assert_eq!(page.matches("--key-spec AES_256").count(), commands);
}
