//! `call-log credentials`: which key encrypts the users' credentials, and the rotation of that key.

use call_log::model::{Credentials, CrmAccount, Platform, Secret, Settings, User, UserId};
use serde_json::json;
use tests::{
    aws::Aws,
    test_app::{TestApp, key_file},
};

use super::shell::{Finished, Shell};

fn user(number: usize, setting: &str) -> User {
    User {
        id: UserId::new(format!("{number}-pipedrive")).unwrap(),
        platform: Platform::new("pipedrive").unwrap(),
        hostname: None,
        account: CrmAccount::default(),
        zone: None,
        settings: Settings([("long".to_owned(), json!(setting))].into()),
        credentials: Some(Credentials::ApiKey(Secret::new("a key"))),
    }
}

/// Replaces the names of keys, which are as random as the keys.
fn masked(text: &str) -> String {
    let is_name = |word: &str| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words = text.split(' ').map(|word| {
        let (before, last) = word.rsplit_once('\n').map_or(("", word), |(before, last)| (before, last));
        if is_name(last) {
            format!("{before}{}<key>", if word.contains('\n') { "\n" } else { "" })
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotate_encrypts_every_users_credentials_with_the_current_key() {
    let test = TestApp::start().await;
    // More than DynamoDB reads at once (1 MB).
    for number in 1..=9 {
        test.app.store.put_user(&user(number, &"x".repeat(150_000))).await.unwrap();
    }
    assert!(test.app.store.encrypted_users(None).await.unwrap().1.is_some(), "one page holds all users");
    let unconnected = User { credentials: None, ..user(10, "") };
    test.app.store.put_user(&unconnected).await.unwrap();
    test.post(&tests::test_app::call("1")).await;

    let old = Shell::with_table(&test.dynamodb);
    insta::assert_snapshot!(masked(&old.run(&["credentials", "status"]).out()), @r"
    Key       Users  Source
    <key>     10  CREDENTIALS_KEY_FILE; encrypts
                  1  without credentials
    ");
    let created = old.run(&["credentials", "new-key-file", "one.key"]).out();
    assert_eq!(created, "CREDENTIALS_KEY_FILE=one.key\n");
    let mut keyed = old;
    keyed.set("CREDENTIALS_KEY_FILE", "one.key");
    keyed.set("CREDENTIALS_KEY_FILE_PREVIOUS", &key_file("credentials"));
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "status"]).out()), @r"
    Key       Users  Source
    <key>      0  CREDENTIALS_KEY_FILE; encrypts
    <key>     10  CREDENTIALS_KEY_FILE_PREVIOUS; only decrypts
                  1  without credentials
    ");
    let dry = masked(&keyed.run(&["credentials", "rotate", "--dry-run"]).out());
    insta::assert_snapshot!(dry, @"10 would be encrypted with key <key> (CREDENTIALS_KEY_FILE), 0 already are, 0 cannot be decrypted");
    assert_eq!(
        masked(&keyed.run(&["credentials", "rotate", "--dry-run"]).out()),
        dry,
        "something was changed"
    );
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "rotate"]).out()), @"10 encrypted with key <key> (CREDENTIALS_KEY_FILE), 0 already are, 0 cannot be decrypted");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "rotate"]).out()), @"0 encrypted with key <key> (CREDENTIALS_KEY_FILE), 10 already are, 0 cannot be decrypted");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "status"]).out()), @r"
    Key       Users  Source
    <key>     10  CREDENTIALS_KEY_FILE; encrypts
                  1  without credentials
    ");

    // The next key is a data key of KMS; the key of the file only decrypts.
    let aws = Aws::start();
    let blob = aws.data_key("one");
    keyed.set("AWS_ENDPOINT_URL_KMS", &aws.kms.base_url());
    for (name, value) in
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]
    {
        keyed.set(name, value);
    }
    keyed.set("CREDENTIALS_DATA_KEY", &blob);
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "rotate"]).out()), @"10 encrypted with key <key> (CREDENTIALS_DATA_KEY), 0 already are, 0 cannot be decrypted");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "status"]).out()), @r"
    Key       Users  Source
    <key>     10  CREDENTIALS_DATA_KEY; encrypts
                  1  without credentials
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotate_names_the_users_whose_credentials_it_cannot_decrypt() {
    let test = TestApp::start().await;
    let shell = Shell::with_table(&test.dynamodb);
    let other = test.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("unknown"))]).await.unwrap();
    other.store.put_user(&user(1, "")).await.unwrap();
    insta::assert_snapshot!(masked(&shell.run(&["credentials", "status"]).out()), @r"
    Key       Users  Source
    <key>      1  CREDENTIALS_KEY_FILE; encrypts
    <key>      1  unknown; cannot be decrypted here
    ");
    let Finished { code, out, error } = shell.run(&["credentials", "rotate"]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(masked(&out), @"0 encrypted with key <key> (CREDENTIALS_KEY_FILE), 1 already are, 1 cannot be decrypted");
    insta::assert_snapshot!(error, @r"
    call-log: no available key decrypts the credentials of 1-pipedrive (pipedrive)
      Add the older key to CREDENTIALS_DATA_KEY_PREVIOUS or CREDENTIALS_KEY_FILE_PREVIOUS, or have these users connect again.
    ");
}

#[test]
fn new_key_file_never_replaces_a_file() {
    let shell = Shell::new();
    shell.run(&["credentials", "new-key-file", "a.key"]).out();
    let again = shell.run(&["credentials", "new-key-file", "a.key"]).error();
    assert_eq!(
        again,
        "call-log: the key file a.key cannot be created: File exists (os error 17)\n  Choose another path.\n"
    );
    let nowhere = shell.run(&["credentials", "new-key-file", "no/a.key"]).error();
    assert!(nowhere.contains("no/a.key cannot be created: No such file or directory"), "{nowhere}");
}

#[test]
fn serve_creates_a_key_file_unless_the_environment_names_one() {
    let shell = Shell::new();
    let own = shell.path().join(".call-log/credentials.key");
    let announced = {
        let server = shell.serve(&[]);
        server.variables()["CREDENTIALS_KEY_FILE"].clone()
    };
    assert_eq!(announced, own.canonicalize().unwrap().display().to_string());
    let key = std::fs::read(&own).unwrap();
    assert_eq!(shell.serve(&[]).variables()["CREDENTIALS_KEY_FILE"], announced);
    assert_eq!(std::fs::read(&own).unwrap(), key, "the next start uses the same key");
    let files = std::fs::read_dir(own.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        files.into_iter().all(|name| !name.to_string_lossy().ends_with(".new")),
        "a temporary file is left"
    );

    let mut other = Shell::new();
    other.run(&["credentials", "new-key-file", "other.key"]).out();
    other.set("CREDENTIALS_KEY_FILE", "other.key");
    // KMS cannot decrypt a data key for a process that uses no AWS account.
    other.set("CREDENTIALS_DATA_KEY", "a2V5");
    let server = other.serve(&[]);
    assert_eq!(server.variables()["CREDENTIALS_KEY_FILE"], "other.key");
    assert!(!other.path().join(".call-log/credentials.key").exists());
    let mut commands = Shell::new();
    commands.environment = server.variables();
    let key = other.path().join("other.key").display().to_string();
    commands.set("CREDENTIALS_KEY_FILE", &key);
    let rotated = commands.run(&["credentials", "rotate"]).out();
    insta::assert_snapshot!(masked(&rotated), @"0 encrypted with key <key> (CREDENTIALS_KEY_FILE), 1 already are, 0 cannot be decrypted");
}
