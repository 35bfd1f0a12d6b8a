//! Rotation of the token secret and the data key while requests arrive, without an effect on any user.
//!
//! The configurations of a rotation are: only old; old in use and new accepted; new in use and old accepted, while users
//! are re-encrypted; only new. During each change, processes of both configurations run at the same time.

use call_log::{model::Deadline, store::RotationOutcome, telemetry::Trace};
use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{INVOCATION_MS, key_file, send},
};

use super::*;

const DAY: i64 = 86_400_000;
/// The number of users before the rotations.
const USERS: usize = 12;

/// A token secret and an encrypted data key.
#[derive(Clone)]
struct Generation {
    secret: &'static str,
    blob: String,
}

struct Drill {
    test: TestApp,
    aws: Aws,
    users: Vec<User>,
    sessions: usize,
}

impl Drill {
    /// Starts a process that signs and encrypts with `current`, and also verifies and decrypts with `other`.
    async fn process(&self, current: &Generation, other: Option<&Generation>) -> Arc<App> {
        let mut extra = vec![("JWT_SECRET", current.secret), ("CREDENTIALS_DATA_KEY", current.blob.as_str())];
        if let Some(other) = other {
            extra.push(("JWT_SECRET_PREVIOUS", other.secret));
            extra.push(("CREDENTIALS_DATA_KEY_PREVIOUS", &other.blob));
        }
        start(&self.test, &self.aws, &extra).await.unwrap()
    }

    /// Logs a call of every user in each of the processes, with a token of this issuer.
    async fn check(&mut self, issuer: &App, processes: &[&Arc<App>], phase: &str) {
        for user in &self.users {
            let token = issuer.issue_token(user, 14);
            for app in processes {
                self.sessions += 1;
                let body = call(&self.sessions.to_string()).to_string().into_bytes();
                let response = send(app, "POST", &token, body, INVOCATION_MS).await;
                assert_eq!(response.message(), LOGGED, "{phase}: {} {}", user.id, response.body);
            }
        }
    }

    /// Adds a user through this process.
    async fn join(&mut self, app: &App) {
        let user = user(self.users.len() + 1);
        app.store.put_user(&user).await.unwrap();
        self.users.push(user);
    }

    /// Executes a whole rotation. Returns a process that knows only the new generation.
    async fn rotate(&mut self, old: &Generation, new: &Generation) -> Arc<App> {
        let first = self.process(old, None).await;
        let second = self.process(old, Some(new)).await;
        self.join(&first).await;
        self.join(&second).await;
        self.check(&first, &[&first, &second], "the new generation is accepted").await;

        let third = self.process(new, Some(old)).await;
        self.join(&second).await;
        self.join(&third).await;
        self.check(&second, &[&second, &third], "the new generation is in use, with old tokens").await;
        self.check(&third, &[&second, &third], "the new generation is in use, with new tokens").await;

        // Users encrypted with either key are re-encrypted while calls arrive.
        let (mut after, mut done, mut current) = (None, 0, 0);
        loop {
            let (users, next) = third.store.encrypted_users(after).await.unwrap();
            for user in users {
                match third.store.reencrypt(user).await.unwrap() {
                    RotationOutcome::Reencrypted => done += 1,
                    RotationOutcome::Current => current += 1,
                    other => panic!("{other:?}"),
                }
                self.sessions += 1;
                let response = self.test.send(&third, "POST", &call(&self.sessions.to_string())).await;
                assert_eq!(response.message(), LOGGED);
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(
            (done + current, current),
            (self.users.len(), 1),
            "only the last added user had the new key"
        );
        self.check(&second, &[&second, &third], "users are re-encrypted, with old tokens").await;

        let fourth = self.process(new, None).await;
        self.check(&third, &[&third, &fourth], "the old generation is removed").await;
        fourth
    }
}

#[tokio::test]
async fn two_rotations_in_a_row_reject_no_token_and_lose_no_user() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let generation = |secret: &'static str, key: &str| Generation { secret, blob: aws.data_key(key) };
    let first = generation("the first secret, which is long enough", "kms-1");
    let second = generation("the second secret, which is long enough", "kms-1");
    let third = generation("the third secret, which is long enough", "kms-2");
    let users = vec![test.user.clone()];
    let mut drill = Drill { test, aws, users, sessions: 0 };
    // The user of the test app was encrypted with the key file.
    let start = drill.process(&first, None).await;
    start.store.put_user(&drill.test.user).await.unwrap();
    for _ in 1..USERS {
        drill.join(&start).await;
    }

    let early_token = start.issue_token(&drill.users[0], 14);
    let after_one = drill.rotate(&first, &second).await;
    let body = call("rejected").to_string().into_bytes();
    let rejected = send(&after_one, "POST", &early_token, body, INVOCATION_MS).await;
    assert_eq!(rejected.status, 401, "a token signed with a removed secret is rejected");
    let after_two = drill.rotate(&second, &third).await;
    drill.test.pass(DAY);
    drill.check(&after_two, &[&after_two], "a day later").await;
    assert_eq!(drill.users.len(), USERS + 8);

    // The first generation can no longer decrypt a user.
    let user = drill.users[3].clone();
    let token = start.issue_token(&user, 14);
    let body = call("undecryptable").to_string().into_bytes();
    assert_eq!(send(&start, "POST", &token, body, INVOCATION_MS).await.status, 500);
}

/// A queued update and a queued create are encrypted too.
#[tokio::test]
async fn queued_updates_and_creates_survive_a_key_rotation() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let (old, new) = (aws.data_key("one"), aws.data_key("one"));
    let before = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &old)]).await.unwrap();
    let queued = test.send(&before, "PATCH", &json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(queued.body["successful"], true);
    // A create that the CRM rejected for now.
    test.crm.next(Route::CreateActivity, Fault::Status(401));
    assert_ne!(test.send(&before, "POST", &call("2")).await.message(), LOGGED);
    let both = [("CREDENTIALS_DATA_KEY", new.as_str()), ("CREDENTIALS_DATA_KEY_PREVIOUS", &old)];
    let after = start(&test, &aws, &both).await.unwrap();
    assert_eq!(test.send(&after, "POST", &call("1")).await.message(), LOGGED);
    assert!(test.crm.activities()[0]["note"].as_str().unwrap().contains("Bob asked"));
    test.pass(60_000);
    let report = call_log::delivery::redrive::run(
        &after,
        Deadline(test.now_ms() + INVOCATION_MS),
        Trace::new("test-redrive", None),
    )
    .await
    .unwrap();
    assert_eq!((report.delivered, test.crm.activities().len()), (1, 2), "{report:?}");
}

/// Credentials that are stored during the re-encryption win.
#[tokio::test]
async fn reencryption_changes_only_the_ciphertext_and_never_overwrites_newer_credentials() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let blob = aws.data_key("one");
    let app = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &blob)]).await.unwrap();
    let mut settings = std::collections::BTreeMap::new();
    settings.insert("addCallLogResult".to_owned(), json!({"value": false}));
    test.app.store.change_settings(&test.user.key(), &settings).await.unwrap();
    let before = item(&test, &test.user).await;
    let (users, next) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!((users.len(), next.is_none()), (1, true));
    assert_eq!(users[0].name(), "12345-pipedrive (pipedrive)");
    assert_eq!(app.store.preview_reencrypt(&users[0]), RotationOutcome::Reencrypted);
    assert_eq!(item(&test, &test.user).await, before, "the preview changes nothing");
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::Reencrypted);
    let mut after = item(&test, &test.user).await;
    assert_ne!(after["credentials"], before["credentials"]);
    after["credentials"] = before["credentials"].clone();
    assert_eq!(after, before);

    // The user was changed after this version was read, which is detected.
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::Current);
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    let grant = Credentials::OAuth {
        access_token: Secret::new(ACCESS_TOKEN),
        refresh_token: Some(Secret::new(REFRESH_TOKEN)),
        expires_at: None,
    };
    let renewed = User { credentials: Some(grant), ..test.user.clone() };
    test.app.store.put_user(&renewed).await.unwrap();
    let stale = users[0].clone();
    assert_eq!(
        app.store.reencrypt(stale).await.unwrap(),
        RotationOutcome::Current,
        "the user that was read is already encrypted with the current key"
    );
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    test.app.store.put_user(&renewed).await.unwrap();
    assert_eq!(
        app.store.reencrypt(users[0].clone()).await.unwrap(),
        RotationOutcome::Reencrypted,
        "the newer credentials are re-encrypted"
    );
    let stored = app.store.user(&test.user.key()).await.unwrap().unwrap();
    assert_eq!((stored.user.credentials, stored.token_version), (renewed.credentials.clone(), 3));

    // Users without credentials, encrypted with an unknown key, and removed meanwhile.
    test.app.store.put_user(&renewed).await.unwrap();
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!(app.store.preview_reencrypt(&users[0]), RotationOutcome::Reencrypted);
    test.app.store.put_user(&User { credentials: None, ..test.user.clone() }).await.unwrap();
    let (disconnected, _) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!(disconnected[0].key_name(), None);
    assert_eq!(app.store.reencrypt(disconnected[0].clone()).await.unwrap(), RotationOutcome::NoCredentials);
    test.app.store.remove_user(&test.user.key()).await.unwrap();
    let other_key = test.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("another"))]).await.unwrap();
    other_key.store.put_user(&test.user).await.unwrap();
    let (undecryptable, _) = app.store.encrypted_users(None).await.unwrap();
    let before = item(&test, &test.user).await;
    assert_eq!(app.store.reencrypt(undecryptable[0].clone()).await.unwrap(), RotationOutcome::Undecryptable);
    assert_eq!(item(&test, &test.user).await, before);
    test.app.store.remove_user(&test.user.key()).await.unwrap();
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::NoCredentials);
    assert_eq!(item(&test, &test.user).await, Value::Null, "a removed user is not created again");
}
