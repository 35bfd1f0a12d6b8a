//! Data keys that KMS has encrypted.

use tests::{aws::REQUEST, proxy::Fault};

use super::*;

const PARAMETER: (&str, &str) = ("CREDENTIALS_DATA_KEY_PARAMETER", "/data-key");

#[tokio::test]
async fn a_data_key_of_kms_encrypts_and_the_key_file_still_decrypts() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let app = start(&test, &aws, &[PARAMETER]).await.unwrap();
    assert_eq!(
        (aws.ssm.count(REQUEST), aws.decryptions()),
        (1, 1),
        "one request to Parameter Store and one to KMS"
    );

    assert_eq!(
        test.send(&app, "POST", &call("1")).await.message(),
        LOGGED,
        "credentials encrypted with the key file"
    );
    app.store.put_user(&test.user).await.unwrap();
    assert_eq!(
        test.send(&app, "POST", &call("2")).await.message(),
        LOGGED,
        "credentials encrypted with the data key"
    );
    assert_eq!(
        test.send(&test.app, "POST", &call("3")).await.status,
        500,
        "a process that has only the key file cannot decrypt it"
    );

    // The encrypted data key itself, without Parameter Store.
    let blob = aws.data_key("one");
    let given = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &blob)]).await.unwrap();
    assert_eq!(given.store.keys().first().map(|(_, source)| *source), Some("CREDENTIALS_DATA_KEY"));
    assert_eq!(given.store.keys().len(), 2);
}

#[tokio::test]
async fn the_error_for_an_unusable_data_key_says_how_to_fix_it() {
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
        let error = start(&test, &aws, &[PARAMETER]).await.unwrap_err().to_string();
        assert_eq!(error, format!("the data key in the parameter /data-key cannot be used: {problem}"));
    }
    let error = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", "?")]).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the data key in CREDENTIALS_DATA_KEY cannot be used: it is not base64"),
        "{error}"
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
        let error = start(&test, &aws, &[PARAMETER]).await.unwrap_err().to_string();
        assert!(error.contains(problem), "{fault:?}: {error}");
    }
    let wrong = [PARAMETER, ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let error = start(&test, &aws, &wrong).await.unwrap_err().to_string();
    assert!(error.contains("InvalidSignatureException"), "{error}");
    assert!(start(&test, &aws, &[PARAMETER]).await.is_ok(), "the valid data key is accepted");
}

/// A process lets KMS decrypt each data key once in its lifetime, and a new value of the parameter once more.
#[tokio::test]
async fn a_process_has_each_data_key_decrypted_by_kms_once() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let app = start(&test, &aws, &[PARAMETER]).await.unwrap();
    for (session, decryptions) in [("1", 1), ("2", 1)] {
        test.pass(6 * 60_000);
        assert_eq!(test.send(&app, "POST", &call(session)).await.message(), LOGGED);
        assert_eq!(aws.decryptions(), decryptions);
    }
    assert_eq!(aws.ssm.count(REQUEST), 3);
    let before = app.store.keys()[0];
    aws.put("/data-key", &aws.data_key("one"));
    test.pass(6 * 60_000);
    assert_eq!(test.send(&app, "POST", &call("3")).await.message(), LOGGED);
    assert_eq!(aws.decryptions(), 2);
    assert_ne!(app.store.keys()[0], before);
}

/// A previous key only decrypts, so the process starts without it and requests it again after thirty seconds.
#[tokio::test]
async fn a_process_starts_without_its_previous_data_key_and_gets_it_later() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let (old, new) = (aws.data_key("old"), aws.data_key("new"));
    let old_app = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &old)]).await.unwrap();
    old_app.store.put_user(&test.user).await.unwrap();
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
    assert_eq!(
        send(&test.user, "2").await.status,
        500,
        "credentials encrypted with the previous key, which KMS refuses to decrypt"
    );

    aws.refuse("old", None);
    test.pass(31_000);
    assert_eq!(
        send(&test.user, "3").await.message(),
        LOGGED,
        "the previous key is requested again after thirty seconds"
    );
    assert_eq!(send(&user(1), "4").await.message(), LOGGED);
}

/// KMS refuses to decrypt a data key that was generated without our encryption context.
#[test]
fn the_documented_commands_create_usable_data_keys() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let commands = page.matches("generate-data-key-without-plaintext").count();
    assert!(commands > 0);
    let context = r#"--encryption-context '{"purpose": "call-log credentials"}'"#;
    assert_eq!(page.matches(context).count(), commands);
    assert_eq!(page.matches("--key-spec AES_256").count(), commands);
}
