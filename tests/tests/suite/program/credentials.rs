//! `call-log credentials`: what the users' credentials are sealed with, and sealing them anew.

use call_log::model::{Credentials, Platform, Secret, Settings, User, UserId};
use serde_json::json;
use tests::{
    aws::Aws,
    test_app::{TestApp, key_file},
};

use super::shell::{Said, Shell};

fn user(number: usize, setting: &str) -> User {
    User {
        id: UserId::new(format!("{number}-pipedrive")).unwrap(),
        platform: Platform::new("pipedrive").unwrap(),
        hostname: None,
        zone: None,
        settings: Settings([("long".to_owned(), json!(setting))].into()),
        credentials: Some(Credentials::ApiKey(Secret::new("a key"))),
    }
}

/// A shell with the world's table, and with this besides.
fn shell(world: &TestApp, extra: &[(&str, &str)]) -> Shell {
    let mut shell = Shell::with_table(&world.dynamodb);
    for (name, value) in extra {
        shell.set(name, value);
    }
    shell
}

/// The keys' names are as random as the keys.
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
async fn credentials_are_sealed_anew_under_the_newest_key() {
    let world = TestApp::start().await;
    // More than DynamoDB reads at once (1 MB).
    for number in 1..=9 {
        world.app.store.put_user(&user(number, &"x".repeat(150_000))).await.unwrap();
    }
    assert!(world.app.store.encrypted_users(None).await.unwrap().1.is_some(), "there is more than a page");
    let unconnected = User { credentials: None, ..user(10, "") };
    world.app.store.put_user(&unconnected).await.unwrap();
    world.post(&tests::test_app::call("1")).await;

    let old = shell(&world, &[]);
    insta::assert_snapshot!(masked(&old.run(&["credentials", "status"]).out()), @r"
    Key       Users  From
    <key>     10  CREDENTIALS_KEY_FILE, which seals
                  1  without credentials
    ");
    let made = old.run(&["credentials", "new-key-file", "one.key"]).out();
    assert_eq!(made, "CREDENTIALS_KEY_FILE=one.key\n");
    let mut keyed = old;
    keyed.set("CREDENTIALS_KEY_FILE_PREVIOUS", &key_file("credentials"));
    keyed.set("CREDENTIALS_KEY_FILE", "one.key");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "status"]).out()), @r"
    Key       Users  From
    <key>      0  CREDENTIALS_KEY_FILE, which seals
    <key>     10  CREDENTIALS_KEY_FILE_PREVIOUS
                  1  without credentials
    ");
    let dry = masked(&keyed.run(&["credentials", "rotate", "--dry-run"]).out());
    insta::assert_snapshot!(dry, @"10 would be sealed anew under the key <key> of CREDENTIALS_KEY_FILE, 0 were already, 0 unreadable");
    assert_eq!(masked(&keyed.run(&["credentials", "rotate", "--dry-run"]).out()), dry, "nothing was done");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "rotate"]).out()), @"10 sealed anew under the key <key> of CREDENTIALS_KEY_FILE, 0 were already, 0 unreadable");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "rotate"]).out()), @"0 sealed anew under the key <key> of CREDENTIALS_KEY_FILE, 10 were already, 0 unreadable");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "status"]).out()), @r"
    Key       Users  From
    <key>     10  CREDENTIALS_KEY_FILE, which seals
                  1  without credentials
    ");

    // On to a data key of KMS, with the file as the older key.
    let aws = Aws::start();
    let blob = aws.data_key("one");
    keyed.set("AWS_ENDPOINT_URL_KMS", &aws.kms.base_url());
    for (name, value) in
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]
    {
        keyed.set(name, value);
    }
    keyed.set("CREDENTIALS_DATA_KEY", &blob);
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "rotate"]).out()), @"10 sealed anew under the key <key> of CREDENTIALS_DATA_KEY, 0 were already, 0 unreadable");
    insta::assert_snapshot!(masked(&keyed.run(&["credentials", "status"]).out()), @r"
    Key       Users  From
    <key>     10  CREDENTIALS_DATA_KEY, which seals
                  1  without credentials
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_opened_is_named_and_left() {
    let world = TestApp::start().await;
    let stranger = world.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("another"))]).await.unwrap();
    stranger.store.put_user(&user(1, "")).await.unwrap();
    let shell = shell(&world, &[]);
    insta::assert_snapshot!(masked(&shell.run(&["credentials", "status"]).out()), @r"
    Key       Users  From
    <key>      1  CREDENTIALS_KEY_FILE, which seals
    <key>      1  elsewhere: these cannot be opened here
    ");
    let Said { code, out, error } = shell.run(&["credentials", "rotate"]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(masked(&out), @"0 sealed anew under the key <key> of CREDENTIALS_KEY_FILE, 1 were already, 1 unreadable");
    insta::assert_snapshot!(error, @"call-log: none of the keys here opens the credentials of 1-pipedrive (pipedrive); give the older key too, or have them connect again");
}

#[test]
fn a_key_file_is_made_once() {
    let shell = Shell::new();
    shell.run(&["credentials", "new-key-file", "a.key"]).out();
    let again = shell.run(&["credentials", "new-key-file", "a.key"]).error();
    assert_eq!(again, "call-log: a.key cannot be made: File exists (os error 17)\n");
    let nowhere = shell.run(&["credentials", "new-key-file", "no/a.key"]).error();
    assert_eq!(nowhere, "call-log: no/a.key cannot be made: No such file or directory (os error 2)\n");
}

/// `serve` creates a key file, which the commands find in the data directory. The environment's takes precedence.
#[test]
fn serve_has_a_key_file() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::new();
    let server = shell.serve(&[]);
    let path = shell.path().join(".call-log/credentials.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let told = format!("export CREDENTIALS_KEY_FILE='{}'\n", path.canonicalize().unwrap().display());
    assert!(server.announcement.contains(&told), "{}", server.announcement);
    drop(server);

    let mut secret = Shell::new();
    secret.set("JWT_SECRET", tests::test_app::JWT_SECRET);
    drop(secret.serve(&[]));
    secret.run(&["credentials", "new-key-file", "own.key"]).out();
    let first = secret.path().join(".call-log/credentials.key").display().to_string();
    secret.set("CREDENTIALS_KEY_FILE_PREVIOUS", &first);
    secret.set("CREDENTIALS_KEY_FILE", "own.key");
    let server = secret.serve(&[]);
    assert!(server.announcement.contains("export CREDENTIALS_KEY_FILE='own.key'"), "{}", server.announcement);
    // The demo user was encrypted with the first file.
    let mut commands = Shell::new();
    commands.environment = server.variables();
    commands.set("JWT_SECRET", tests::test_app::JWT_SECRET);
    let key = secret.path().join("own.key").display().to_string();
    commands.set("CREDENTIALS_KEY_FILE", &key);
    commands.set("CREDENTIALS_KEY_FILE_PREVIOUS", &first);
    insta::assert_snapshot!(masked(&commands.run(&["credentials", "rotate"]).out()), @"1 sealed anew under the key <key> of CREDENTIALS_KEY_FILE, 0 were already, 0 unreadable");
}
