//! The drill: the token secret and the data key are changed while requests come, and nobody notices.
//!
//! A change has four phases, and while one follows another there are processes of both:
//! old → old, and new only verifies and opens → new, and old only verifies and opens → users sealed anew → new.

use call_log::{model::Deadline, store::RotationOutcome, telemetry::Trace};
use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{INVOCATION_MS, key_file, send},
};

use super::*;

const DAY: i64 = 86_400_000;
/// How many users beside those who come during the drill. More than one page of a scan needs them long.
const USERS: usize = 12;

/// A token secret and an encrypted data key.
#[derive(Clone)]
struct Generation {
    secret: &'static str,
    blob: String,
}

struct Drill {
    world: TestApp,
    aws: Aws,
    users: Vec<User>,
    sessions: usize,
}

impl Drill {
    /// A process with this generation in use, and that one only for verifying and opening.
    async fn process(&self, current: &Generation, other: Option<&Generation>) -> Arc<App> {
        let mut extra = vec![("JWT_SECRET", current.secret), ("CREDENTIALS_DATA_KEY", current.blob.as_str())];
        if let Some(other) = other {
            extra.push(("JWT_SECRET_PREVIOUS", other.secret));
            extra.push(("CREDENTIALS_DATA_KEY_PREVIOUS", &other.blob));
        }
        start(&self.world, &self.aws, &extra).await.unwrap()
    }

    /// Every user logs a call with a token of this issuer at each of the processes.
    async fn check(&mut self, issuer: &App, processes: &[&Arc<App>], phase: &str) {
        for user in &self.users {
            let token = issuer.issue_token(user, 14);
            for app in processes {
                self.sessions += 1;
                let body = call(&self.sessions.to_string()).to_string().into_bytes();
                let answer = send(app, "POST", &token, body, INVOCATION_MS).await;
                assert_eq!(answer.message(), LOGGED, "{phase}: {} {}", user.id, answer.body);
            }
        }
    }

    /// A user comes to this process.
    async fn join(&mut self, app: &App) {
        let user = user(self.users.len() + 1);
        app.store.put_user(&user).await.unwrap();
        self.users.push(user);
    }

    /// The whole change. Returns the first process of the new generation alone.
    async fn rotate(&mut self, old: &Generation, new: &Generation) -> Arc<App> {
        let first = self.process(old, None).await;
        let second = self.process(old, Some(new)).await;
        self.join(&first).await;
        self.join(&second).await;
        self.check(&first, &[&first, &second], "the new one is known").await;

        let third = self.process(new, Some(old)).await;
        self.join(&second).await;
        self.join(&third).await;
        self.check(&second, &[&second, &third], "the new one is in use, with old tokens").await;
        self.check(&third, &[&second, &third], "the new one is in use, with new tokens").await;

        // Users of either key are sealed anew, while calls come.
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
                let answer = self.world.send(&third, "POST", &call(&self.sessions.to_string())).await;
                assert_eq!(answer.message(), LOGGED);
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((done + current, current), (self.users.len(), 1), "the one that came last is sealed so");
        self.check(&second, &[&second, &third], "sealed anew, with old tokens").await;

        let fourth = self.process(new, None).await;
        self.check(&third, &[&third, &fourth], "the old one is gone").await;
        fourth
    }
}

#[tokio::test]
async fn two_rotations_in_a_row_reject_no_token_and_lose_no_user() {
    let (world, aws) = (TestApp::start().await, Aws::start());
    let generation = |secret: &'static str, key: &str| Generation { secret, blob: aws.data_key(key) };
    let first = generation("the first secret, which is long enough", "kms-1");
    let second = generation("the second secret, which is long enough", "kms-1");
    let third = generation("the third secret, which is long enough", "kms-2");
    let users = vec![world.user.clone()];
    let mut drill = Drill { world, aws, users, sessions: 0 };
    // The user of the test app was encrypted with the key file.
    let start = drill.process(&first, None).await;
    start.store.put_user(&drill.world.user).await.unwrap();
    for _ in 1..USERS {
        drill.join(&start).await;
    }

    let early_token = start.issue_token(&drill.users[0], 14);
    let after_one = drill.rotate(&first, &second).await;
    let body = call("refused").to_string().into_bytes();
    let refused = send(&after_one, "POST", &early_token, body, INVOCATION_MS).await;
    assert_eq!(refused.status, 401, "a secret that is gone lets nobody in");
    let after_two = drill.rotate(&second, &third).await;
    drill.world.pass(DAY);
    drill.check(&after_two, &[&after_two], "the day after").await;
    assert_eq!(drill.users.len(), USERS + 8);

    // The first generation opens nothing any more.
    let user = drill.users[3].clone();
    let token = start.issue_token(&user, 14);
    let body = call("shut").to_string().into_bytes();
    assert_eq!(send(&start, "POST", &token, body, INVOCATION_MS).await.status, 500);
}

/// What waits for its call is sealed too, and lives through a change.
#[tokio::test]
async fn what_waits_outlives_a_rotation() {
    let (world, aws) = (TestApp::start().await, Aws::start());
    let (old, new) = (aws.data_key("one"), aws.data_key("one"));
    let before = start(&world, &aws, &[("CREDENTIALS_DATA_KEY", &old)]).await.unwrap();
    let waits = world.send(&before, "PATCH", &json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(waits.body["successful"], true);
    // And a call that the CRM did not take.
    world.crm.next(Route::CreateActivity, Fault::Status(401));
    assert_ne!(world.send(&before, "POST", &call("2")).await.message(), LOGGED);
    let both = [("CREDENTIALS_DATA_KEY", new.as_str()), ("CREDENTIALS_DATA_KEY_PREVIOUS", &old)];
    let after = start(&world, &aws, &both).await.unwrap();
    assert_eq!(world.send(&after, "POST", &call("1")).await.message(), LOGGED);
    assert!(world.crm.activities()[0]["note"].as_str().unwrap().contains("Bob asked"));
    world.pass(60_000);
    let report = call_log::delivery::redrive::run(
        &after,
        Deadline(world.now_ms() + INVOCATION_MS),
        Trace::new("test-redrive", None),
    )
    .await
    .unwrap();
    assert_eq!((report.delivered, world.crm.activities().len()), (1, 2), "{report:?}");
}

/// Nothing of a user changes but the seal; who stores a grant meanwhile wins.
#[tokio::test]
async fn sealing_anew_changes_the_seal_and_nothing_else() {
    let (world, aws) = (TestApp::start().await, Aws::start());
    let blob = aws.data_key("one");
    let app = start(&world, &aws, &[("CREDENTIALS_DATA_KEY", &blob)]).await.unwrap();
    let mut settings = std::collections::BTreeMap::new();
    settings.insert("addCallLogResult".to_owned(), json!({"value": false}));
    world.app.store.change_settings(&world.user.key(), &settings).await.unwrap();
    let before = item(&world, &world.user).await;
    let (users, next) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!((users.len(), next.is_none()), (1, true));
    assert_eq!(users[0].name(), "12345-pipedrive (pipedrive)");
    assert_eq!(app.store.preview_reencrypt(&users[0]), RotationOutcome::Reencrypted);
    assert_eq!(item(&world, &world.user).await, before, "not yet");
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::Reencrypted);
    let mut after = item(&world, &world.user).await;
    assert_ne!(after["credentials"], before["credentials"]);
    after["credentials"] = before["credentials"].clone();
    assert_eq!(after, before);

    // As it was seen before: somebody has changed it since, which is found out.
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::Current);
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    let grant = Credentials::OAuth {
        access_token: Secret::new(ACCESS_TOKEN),
        refresh_token: Some(Secret::new(REFRESH_TOKEN)),
        expires_at: None,
    };
    let renewed = User { credentials: Some(grant), ..world.user.clone() };
    world.app.store.put_user(&renewed).await.unwrap();
    let stale = users[0].clone();
    assert_eq!(
        app.store.reencrypt(stale).await.unwrap(),
        RotationOutcome::Current,
        "as it was seen it is sealed already"
    );
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    world.app.store.put_user(&renewed).await.unwrap();
    assert_eq!(
        app.store.reencrypt(users[0].clone()).await.unwrap(),
        RotationOutcome::Reencrypted,
        "what is there now is"
    );
    let stored = app.store.user(&world.user.key()).await.unwrap().unwrap();
    assert_eq!((stored.user.credentials, stored.token_version), (renewed.credentials.clone(), 3));

    // Without credentials, sealed with what nobody knows, and removed meanwhile.
    world.app.store.put_user(&renewed).await.unwrap();
    let (users, _) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!(app.store.preview_reencrypt(&users[0]), RotationOutcome::Reencrypted);
    world.app.store.put_user(&User { credentials: None, ..world.user.clone() }).await.unwrap();
    let (unconnected, _) = app.store.encrypted_users(None).await.unwrap();
    assert_eq!(unconnected[0].key_name(), None);
    assert_eq!(app.store.reencrypt(unconnected[0].clone()).await.unwrap(), RotationOutcome::NoCredentials);
    world.app.store.remove_user(&world.user.key()).await.unwrap();
    let stranger = world.app_with(&[("CREDENTIALS_KEY_FILE", &key_file("another"))]).await.unwrap();
    stranger.store.put_user(&world.user).await.unwrap();
    let (strange, _) = app.store.encrypted_users(None).await.unwrap();
    let before = item(&world, &world.user).await;
    assert_eq!(app.store.reencrypt(strange[0].clone()).await.unwrap(), RotationOutcome::Undecryptable);
    assert_eq!(item(&world, &world.user).await, before);
    world.app.store.remove_user(&world.user.key()).await.unwrap();
    assert_eq!(app.store.reencrypt(users[0].clone()).await.unwrap(), RotationOutcome::NoCredentials);
    assert_eq!(item(&world, &world.user).await, Value::Null, "nobody is made again");
}
