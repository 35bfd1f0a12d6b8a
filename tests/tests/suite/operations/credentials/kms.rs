//! A data key that KMS has encrypted.

use tests::{aws::REQUEST, proxy::Fault};

use super::*;

const PARAMETER: (&str, &str) = ("CREDENTIALS_DATA_KEY_PARAMETER", "/data-key");

#[tokio::test]
async fn a_data_key_seals_from_now_on_and_what_was_sealed_before_opens() {
    let (world, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let app = start(&world, &aws, &[PARAMETER]).await.unwrap();
    assert_eq!((aws.ssm.count(REQUEST), aws.decryptions()), (1, 1), "one round trip each");

    assert_eq!(world.send(&app, "POST", &call("1")).await.message(), LOGGED, "encrypted with the key file");
    app.store.put_user(&world.user).await.unwrap();
    assert_eq!(world.send(&app, "POST", &call("2")).await.message(), LOGGED, "sealed with the data key");
    assert_eq!(
        world.send(&world.app, "POST", &call("3")).await.status,
        500,
        "a process that has only the key file cannot decrypt it"
    );

    // The blob itself, without Parameter Store.
    let blob = aws.data_key("one");
    let given = start(&world, &aws, &[("CREDENTIALS_DATA_KEY", &blob)]).await.unwrap();
    assert_eq!(given.store.keys().first().map(|(_, source)| *source), Some("CREDENTIALS_DATA_KEY"));
    assert_eq!(given.store.keys().len(), 2);
}

#[tokio::test]
async fn a_start_without_its_data_key_says_why_and_what_to_do() {
    let (world, aws) = (TestApp::start().await, Aws::start());
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
        let told = start(&world, &aws, &[PARAMETER]).await.unwrap_err().to_string();
        assert_eq!(told, format!("the data key in the parameter /data-key cannot be used: {problem}"));
    }
    let told = start(&world, &aws, &[("CREDENTIALS_DATA_KEY", "?")]).await.unwrap_err().to_string();
    assert!(
        told.starts_with("the data key in CREDENTIALS_DATA_KEY cannot be used: it is not base64"),
        "{told}"
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
        let told = start(&world, &aws, &[PARAMETER]).await.unwrap_err().to_string();
        assert!(told.contains(problem), "{fault:?}: {told}");
    }
    let wrong = [PARAMETER, ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let told = start(&world, &aws, &wrong).await.unwrap_err().to_string();
    assert!(told.contains("InvalidSignatureException"), "{told}");
    assert!(start(&world, &aws, &[PARAMETER]).await.is_ok(), "the good one is good");
}

/// A process asks KMS once for each data key, however long it lives; a changed parameter is a new one.
#[tokio::test]
async fn kms_is_not_asked_again_for_what_is_known() {
    let (world, aws) = (TestApp::start().await, Aws::start());
    aws.put("/data-key", &aws.data_key("one"));
    let app = start(&world, &aws, &[PARAMETER]).await.unwrap();
    for (session, asked) in [("1", 1), ("2", 1)] {
        world.pass(6 * 60_000);
        assert_eq!(world.send(&app, "POST", &call(session)).await.message(), LOGGED);
        assert_eq!(aws.decryptions(), asked);
    }
    assert_eq!(aws.ssm.count(REQUEST), 3);
    let before = app.store.keys()[0];
    aws.put("/data-key", &aws.data_key("one"));
    world.pass(6 * 60_000);
    assert_eq!(world.send(&app, "POST", &call("3")).await.message(), LOGGED);
    assert_eq!(aws.decryptions(), 2);
    assert_ne!(app.store.keys()[0], before);
}

/// While KMS is down, what is known is used on; a key that only opens keeps nobody from starting.
#[tokio::test]
async fn a_key_that_only_opens_is_not_needed_to_start() {
    let (world, aws) = (TestApp::start().await, Aws::start());
    let (old, new) = (aws.data_key("old"), aws.data_key("new"));
    let sealed_old = start(&world, &aws, &[("CREDENTIALS_DATA_KEY", &old)]).await.unwrap();
    sealed_old.store.put_user(&world.user).await.unwrap();
    aws.refuse("old", Some("DisabledException"));
    let both = [("CREDENTIALS_DATA_KEY", new.as_str()), ("CREDENTIALS_DATA_KEY_PREVIOUS", &old)];
    let app = start(&world, &aws, &both).await.unwrap();
    app.store.put_user(&user(1)).await.unwrap();
    let send = async |user: &User, session: &str| {
        let token = app.issue_token(user, 1);
        let body = call(session).to_string().into_bytes();
        tests::test_app::send(&app, "POST", &token, body, tests::test_app::INVOCATION_MS).await
    };
    assert_eq!(send(&user(1), "1").await.message(), LOGGED);
    assert_eq!(send(&world.user, "2").await.status, 500, "shut");

    aws.refuse("old", None);
    world.pass(31_000);
    assert_eq!(send(&world.user, "3").await.message(), LOGGED, "asked for again soon");
    assert_eq!(send(&user(1), "4").await.message(), LOGGED);
}

/// The commands that the documentation gives make keys that are taken.
#[test]
fn the_documented_commands_name_the_context() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let made = page.matches("generate-data-key-without-plaintext").count();
    assert!(made > 0);
    let context = r#"--encryption-context '{"purpose": "call-log credentials"}'"#;
    assert_eq!(page.matches(context).count(), made);
    assert_eq!(page.matches("--key-spec AES_256").count(), made);
}
