//! Rotation of the token secret and the data key under load: every request succeeds.
//!
//! A rotation has four phases, and processes of two consecutive phases run at the same time:
//! 1. Processes have only the old generation.
//! 2. Processes use the old generation, and also verify and decrypt with the new one.
//! 3. Processes use the new generation, and also verify and decrypt with the old one. All users are re-encrypted.
//! 4. Processes have only the new generation.

use call_log::{model::Deadline, store::RotationOutcome, telemetry::Trace};
use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{INVOCATION_MS, key_file, send},
};

use super::*;

const DAY: i64 = 86_400_000;
/// Number of users before the first rotation.
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
    /// Starts a process that uses `current`, and also verifies and decrypts with `other`.
    async fn process(&self, current: &Generation, other: Option<&Generation>) -> Arc<App> {
        let mut extra = vec![("JWT_SECRET", current.secret), ("CREDENTIALS_DATA_KEY", current.blob.as_str())];
        if let Some(other) = other {
            extra.push(("JWT_SECRET_PREVIOUS", other.secret));
            extra.push(("CREDENTIALS_DATA_KEY_PREVIOUS", &other.blob));
        }
        start(&self.test, &self.aws, &extra).await.unwrap()
    }

    /// Logs a call of every user at each process, with a token of this issuer.
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

    /// Connects another user at this process.
    async fn join(&mut self, app: &App) {
        let user = user(self.users.len() + 1);
        app.store.put_user(&user).await.unwrap();
        self.users.push(user);
    }

    /// Rotates from `old` to `new`. Returns the first process that has only the new generation.
    async fn rotate(&mut self, old: &Generation, new: &Generation) -> Arc<App> {
        let first = self.process(old, None).await;
        let second = self.process(old, Some(new)).await;
        self.join(&first).await;
        self.join(&second).await;
        self.check(&first, &[&first, &second], "the new generation is known").await;

        let third = self.process(new, Some(old)).await;
        self.join(&second).await;
        self.join(&third).await;
        self.check(&second, &[&second, &third], "the new generation is in use, with old tokens").await;
        self.check(&third, &[&second, &third], "the new generation is in use, with new tokens").await;

        // Users are re-encrypted while calls are logged.
        let (mut after, mut reencrypted, mut current) = (None, 0, 0);
        loop {
            let (users, next) = third.store.encrypted_users(after).await.unwrap();
            for user in users {
                match third.store.reencrypt(user).await.unwrap() {
                    RotationOutcome::Reencrypted => reencrypted += 1,
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
            (reencrypted + current, current),
            (self.users.len(), 1),
            "only the last user was encrypted with the new key"
        );
        self.check(&second, &[&second, &third], "users are re-encrypted, with old tokens").await;

        let fourth = self.process(new, None).await;
        self.check(&third, &[&third, &fourth], "the old generation is removed").await;
        fourth
    }
}

#[tokio::test]
async fn two_consecutive_rotations_reject_no_token_and_lose_no_user() {
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
    let body = call("refused").to_string().into_bytes();
    let response = send(&after_one, "POST", &early_token, body, INVOCATION_MS).await;
    assert_eq!(response.status, 401, "a token signed with a removed secret is rejected");
    let after_two = drill.rotate(&second, &third).await;
    drill.test.pass(DAY);
    drill.check(&after_two, &[&after_two], "the day after").await;
    assert_eq!(drill.users.len(), USERS + 8);

    // The first generation can no longer decrypt any credentials.
    let user = drill.users[3].clone();
    let token = start.issue_token(&user, 14);
    let body = call("removed").to_string().into_bytes();
    assert_eq!(send(&start, "POST", &token, body, INVOCATION_MS).await.status, 500);
}

/// Queued details are encrypted too.
#[tokio::test]
async fn queued_updates_and_failed_creates_survive_a_rotation() {
    let (test, aws) = (TestApp::start().await, Aws::start());
    let (old, new) = (aws.data_key("one"), aws.data_key("one"));
    let before = start(&test, &aws, &[("CREDENTIALS_DATA_KEY", &old)]).await.unwrap();
    let queued = test.send(&before, "PATCH", &json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(queued.body["successful"], true);
    // A create that the CRM rejected.
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

/// A grant that is stored during the re-encryption of its user is kept.
#[tokio::test]
async fn reencryption_changes_only_the_encrypted_credentials_of_a_user() {
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

    // A repeated re-encryption with the item as it was read first finds that the item has changed.
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
        "the item that was read is already encrypted with the current key"
    );
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    test.app.store.put_user(&renewed).await.unwrap();
    assert_eq!(
        app.store.reencrypt(users[0].clone()).await.unwrap(),
        RotationOutcome::Reencrypted,
        "the item that was stored since is re-encrypted"
    );
    let stored = app.store.user(&test.user.key()).await.unwrap().unwrap();
    assert_eq!((stored.user.credentials, stored.token_version), (renewed.credentials.clone(), 3));

    // A user without credentials, one encrypted with an unknown key, and one removed after it was read.
    test.app.store.put_user(&renewed).await.unwrap();
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!(app.store.preview_reencrypt(&users[0]), RotationOutcome::Reencrypted);
    test.app.store.put_user(&User { credentials: None, ..test.user.clone() }).await.unwrap();
    let (unconnected, _) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!(unconnected[0].key_name(), None);
    assert_eq!(app.store.reencrypt(unconnected[0].clone()).await.unwrap(), RotationOutcome::NoCredentials);
    test.app.store.remove_user(&test.user.key()).await.unwrap();
    let stranger = test.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("another"))]).await.unwrap();
    stranger.store.put_user(&test.user).await.unwrap();
    let (strange, _) = app.store.encrypted_users(None).await.unwrap();
    let before = item(&test, &test.user).await;
    assert_eq!(app.store.reencrypt(strange[0].clone()).await.unwrap(), RotationOutcome::Undecryptable);
    assert_eq!(item(&test, &test.user).await, before);
    test.app.store.remove_user(&test.user.key()).await.unwrap();
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::NoCredentials);
    assert_eq!(item(&test, &test.user).await, Value::Null, "a removed user is not created again");
}
