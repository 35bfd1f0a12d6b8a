//! When a grant is renewed, by whom, and what becomes of the others.

use std::{sync::Arc, time::Duration};

use call_log::{
    delivery::grant::Grant,
    model::{Credentials, Deadline, Secret},
    startup::app::App,
};
use chrono::DateTime;
use serde_json::{Value, json};
use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{Answer, INVOCATION_MS, NOW_MS, TestApp, call, grant, send},
};
use tokio::task::JoinHandle;

const MINUTE: i64 = 60_000;
const LOGGED: &str = "Call logged";
const UPDATED: &str = "Call log updated.";
const NO_ANSWER: &str = "Pipedrive is not answering";
const ENDED: &str = "User session expired. Please connect again.";

async fn world(ends_in: i64) -> TestApp {
    TestApp::with_credentials(grant(ends_in, REFRESH_TOKEN)).await
}

fn check(answer: &Answer, message: &str, case: &str) {
    assert_eq!(answer.message(), message, "{case}: {}", answer.body);
    let (status, code) =
        if message == ENDED { (401, json!("CRM_SESSION_REVOKED")) } else { (200, Value::Null) };
    assert_eq!((answer.status, &answer.body["errorCode"]), (status, &code), "{case}");
    assert_eq!(answer.body["successful"], [LOGGED, UPDATED].contains(&message), "{case}");
}

/// Logs a call of its own beside what the test does.
fn start(app: &Arc<App>, world: &TestApp, session: String) -> JoinHandle<Answer> {
    let (app, token) = (app.clone(), app.issue_token(&world.user, 1));
    #[expect(clippy::disallowed_methods, reason = "nothing freezes a test")]
    tokio::spawn(async move {
        send(&app, "POST", &token, call(&session).to_string().into_bytes(), INVOCATION_MS).await
    })
}

/// How many token requests arrived, whatever became of them.
fn token_calls(world: &TestApp) -> usize {
    world.crm.count(Route::Token)
}

/// The grant as the table has it.
async fn stored(world: &TestApp) -> (String, String) {
    let user = world.app.store.user(&world.user.key()).await.unwrap().unwrap();
    match user.user.credentials {
        Some(Credentials::OAuth { access_token, refresh_token: Some(refresh_token), .. }) => {
            (access_token.expose().to_owned(), refresh_token.expose().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_grant_is_renewed_when_its_end_is_near() {
    for (ends_in, renewals) in
        [(60 * MINUTE, 0), (11 * MINUTE, 0), (9 * MINUTE, 1), (MINUTE, 1), (-MINUTE, 1)]
    {
        let world = world(ends_in).await;
        for session in ["1", "2"] {
            check(&world.post(&call(session)).await, LOGGED, &format!("{ends_in} {session}"));
        }
        assert_eq!(world.crm.refreshes(), renewals, "{ends_in}");
    }
}

#[tokio::test]
async fn what_cannot_be_renewed_is_not() {
    let no_refresh_token = Credentials::OAuth {
        access_token: Secret::new("not good"),
        refresh_token: None,
        expires_at: DateTime::from_timestamp_millis(NOW_MS),
    };
    for credentials in [Credentials::ApiKey(Secret::new("not good")), no_refresh_token] {
        let world = TestApp::with_credentials(credentials.clone()).await;
        let case = format!("{credentials:?}");
        check(&world.post(&call("1")).await, "Authorization error", &case);
        assert_eq!(token_calls(&world), 0, "{case}");
    }
    // The caller's own header is theirs to renew.
    let world = world(-MINUTE).await;
    let mut body = call("1");
    body["authHeader"] = json!(format!("Bearer {ACCESS_TOKEN}"));
    check(&world.post(&body).await, LOGGED, "a good header");
    body["logInfo"]["sessionId"] = json!("2");
    body["authHeader"] = json!("Bearer other");
    check(&world.post(&body).await, "Authorization error", "a bad header");
    assert_eq!(token_calls(&world), 0);
}

#[tokio::test]
async fn many_calls_at_the_end_renew_once() {
    let world = world(0).await;
    let apps = [world.app.clone(), world.another_app().await, world.another_app().await];
    let sent: Vec<_> =
        (0..24).map(|index| start(&apps[index % 3], &world, format!("session-{index}"))).collect();
    for answer in sent {
        check(&answer.await.unwrap(), LOGGED, "each");
    }
    assert_eq!((token_calls(&world), world.crm.refreshes()), (1, 1));
    assert_eq!(world.crm.activities().len(), 24);
}

#[tokio::test]
async fn a_hundred_at_the_end_renew_once() {
    let world = world(0).await;
    let apps = [world.app.clone(), world.another_app().await, world.another_app().await];
    let user = world.app.store.user(&world.user.key()).await.unwrap().unwrap();
    let sent: Vec<_> = (0..100)
        .map(|index| {
            let (app, user, deadline) =
                (apps[index % 3].clone(), user.clone(), world.now_ms() + INVOCATION_MS);
            let me = format!("request {index}");
            #[expect(clippy::disallowed_methods, reason = "nothing freezes a test")]
            tokio::spawn(async move {
                let crm = call_log::adapters::find("pipedrive").unwrap();
                Grant::obtain(&app, crm, user, None, Deadline(deadline), &me).await.map(drop)
            })
        })
        .collect();
    for granted in sent {
        granted.await.unwrap().unwrap();
    }
    assert_eq!((token_calls(&world), world.crm.refreshes()), (1, 1));
}

#[tokio::test]
async fn while_the_token_is_good_only_one_waits_for_the_next() {
    let world = world(5 * MINUTE).await;
    world.crm.next(Route::Token, Fault::Delay(Duration::from_millis(2_500)));
    let renewing = start(&world.app, &world, "the first".to_owned());
    while token_calls(&world) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for session in ["1", "2", "3"] {
        check(&world.post(&call(session)).await, LOGGED, session);
    }
    assert!(!renewing.is_finished(), "they did not wait");
    check(&renewing.await.unwrap(), LOGGED, "the first");
    assert_eq!(token_calls(&world), 1);
}

#[tokio::test]
async fn a_renewal_ahead_that_fails_does_not_matter_yet() {
    for faults in [vec![Fault::Status(400)], vec![Fault::Status(500), Fault::DropBeforeAnswer]] {
        let world = world(5 * MINUTE).await;
        for fault in faults {
            world.crm.next(Route::Token, fault);
        }
        check(&world.post(&call("1")).await, LOGGED, "with the present token");
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_used_the_next_time() {
    let world = world(0).await;
    for number in 1..=3 {
        check(&world.post(&call(&number.to_string())).await, LOGGED, "renewed");
        assert_eq!(world.crm.refreshes(), number);
        let tokens = (format!("pipedrive-access-{number}"), format!("pipedrive-refresh-{number}"));
        assert_eq!(stored(&world).await, tokens);
        world.pass(59 * MINUTE);
    }
}

#[tokio::test]
async fn a_token_that_the_crm_takes_no_more_is_renewed_once() {
    let world = world(60 * MINUTE).await;
    check(&world.post(&call("1")).await, LOGGED, "good");
    world.crm.end_access();
    check(&world.post(&call("2")).await, LOGGED, "renewed");
    check(&world.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await, UPDATED, "good again");
    assert_eq!(world.crm.refreshes(), 1);
    assert_eq!(world.crm.activities().len(), 2);
}

#[tokio::test]
async fn a_token_that_somebody_else_has_renewed_is_adopted() {
    let world = world(60 * MINUTE).await;
    world.crm.end_access();
    world.crm.next(Route::GetPerson, Fault::Delay(Duration::from_millis(300)));
    let late = start(&world.app, &world, "late".to_owned());
    while world.crm.count(Route::GetPerson) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = world.another_app().await;
    check(&world.send(&other, "POST", &call("other")).await, LOGGED, "renews");
    check(&late.await.unwrap(), LOGGED, "adopts");
    assert_eq!(token_calls(&world), 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more() {
    for (fault, message, calls) in [
        (Fault::DropBeforeEffect, LOGGED, 2),
        (Fault::Status(503), LOGGED, 2),
        (Fault::Html, LOGGED, 2),
        // The stand-in rotates strictly: it does not take the old token once more.
        (Fault::DropBeforeAnswer, ENDED, 2),
    ] {
        let world = world(0).await;
        let case = format!("{fault:?}");
        world.crm.next(Route::Token, fault);
        check(&world.post(&call("1")).await, message, &case);
        assert_eq!(token_calls(&world), calls, "{case}");
    }
}

#[tokio::test]
async fn a_refused_grant_ends_the_session_until_the_user_connects_again() {
    let world = TestApp::with_credentials(grant(0, "revoked")).await;
    for session in ["1", "1", "2"] {
        check(&world.post(&call(session)).await, ENDED, session);
    }
    assert_eq!(token_calls(&world), 1, "refused once, known from then on");
    assert_eq!(world.crm.activities().len(), 0);

    let mut user = world.user.clone();
    user.credentials = Some(grant(60 * MINUTE, REFRESH_TOKEN));
    world.app.store.put_user(&user).await.unwrap();
    check(&world.post(&call("1")).await, LOGGED, "connected again");
    assert_eq!((token_calls(&world), world.crm.count(Route::ListActivities)), (1, 0));
}

#[tokio::test]
async fn what_comes_while_the_session_is_ended_is_kept() {
    let world = world(60 * MINUTE).await;
    check(&world.post(&call("1")).await, LOGGED, "the call");
    let mut user = world.user.clone();
    user.credentials = Some(grant(0, "revoked"));
    world.app.store.put_user(&user).await.unwrap();
    check(&world.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await, ENDED, "kept");
    user.credentials = Some(grant(60 * MINUTE, REFRESH_TOKEN));
    world.app.store.put_user(&user).await.unwrap();
    check_updated(
        &world.patch(&json!({"sessionId": "1", "result": "Voicemail"})).await,
        &["Bob asked", "Voicemail"],
    );
}

fn check_updated(answer: &Answer, parts: &[&str]) {
    let note = answer.body["updatedNote"].as_str().unwrap_or_else(|| panic!("{}", answer.body));
    assert!(parts.iter().all(|part| note.contains(part)), "{note}");
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_leaves_everything_as_it_was() {
    let world = world(0).await;
    for fault in
        [Fault::Status(500), Fault::DropBeforeEffect, Fault::Refusal(401, r#"{"error": "invalid_client"}"#)]
    {
        world.crm.next(Route::Token, fault);
    }
    for case in ["down", "not known to it"] {
        check(&world.post(&call("1")).await, NO_ANSWER, case);
        assert_eq!(stored(&world).await, (ACCESS_TOKEN.to_owned(), REFRESH_TOKEN.to_owned()), "{case}");
    }
    check(&world.post(&call("1")).await, LOGGED, "up again");
    assert_eq!((token_calls(&world), world.crm.refreshes()), (4, 1));
    assert_eq!((world.crm.count(Route::CreateActivity), world.crm.count(Route::ListActivities)), (1, 0));
}

#[tokio::test]
async fn a_renewal_that_could_not_be_stored_before_the_end_is_not_begun() {
    let world = world(0).await;
    let token = world.app.issue_token(&world.user, 1);
    let answer = send(&world.app, "POST", &token, call("1").to_string().into_bytes(), 3_000).await;
    check(&answer, NO_ANSWER, "too late");
    assert_eq!(token_calls(&world), 0);
}

#[tokio::test]
async fn a_new_grant_is_stored_even_when_another_has_begun_to_renew() {
    let world = world(0).await;
    let store = &world.app.store;
    let user = store.user(&world.user.key()).await.unwrap().unwrap();
    let claim = async |me: &str| {
        store.claim_renewal(&user, me, world.now_ms(), world.now_ms() + 15_000).await.unwrap()
    };
    assert!(claim("slow").await);
    assert!(!claim("other").await, "one at a time");
    world.pass(16_000);
    assert!(claim("other").await, "the slow one's time is over");
    let renewed = |name: &str| grant(60 * MINUTE, name);
    // The old refresh token is used up: what the slow one got is the only grant there is.
    store.give_up_renewal(&user, "other", true).await.unwrap();
    assert!(store.finish_renewal(&user, "slow", &renewed("from the slow one")).await.unwrap());
    assert!(
        store.finish_renewal(&user, "slow", &renewed("from the slow one")).await.unwrap(),
        "a repeated write"
    );
    assert!(!store.finish_renewal(&user, "other", &renewed("from another")).await.unwrap());
    assert_eq!(stored(&world).await.1, "from the slow one");
    let now = store.user(&world.user.key()).await.unwrap().unwrap();
    assert!(!now.session_ended);
}

/// The provider has rotated the token, and the table is away when the new grant is to be stored.
#[tokio::test]
async fn a_grant_that_the_table_did_not_take_is_stored_with_the_next_request() {
    for meanwhile in ["nothing", "another process is refused", "the user connects again"] {
        let world = world(0).await;
        let (app, dynamodb) = world.proxied_app().await;
        world.crm.next(Route::Token, Fault::Delay(Duration::from_millis(300)));
        let outage = async {
            while token_calls(&world) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            dynamodb.outage(Some(Fault::Status(400)));
        };
        let body = call("1");
        let (first, ()) = tokio::join!(world.send(&app, "POST", &body), outage);
        assert_eq!(first.status, 500, "{meanwhile}: {}", first.body);
        assert_eq!(stored(&world).await.1, REFRESH_TOKEN, "{meanwhile}");
        dynamodb.outage(None);
        world.pass(16_000);
        let expected = match meanwhile {
            "another process is refused" => {
                check(&world.post(&call("2")).await, ENDED, meanwhile);
                "pipedrive-refresh-1"
            }
            "the user connects again" => {
                let credentials = Some(grant(60 * MINUTE, "newer"));
                let user = call_log::model::User { credentials, ..world.user.clone() };
                world.app.store.put_user(&user).await.unwrap();
                "newer"
            }
            _ => "pipedrive-refresh-1",
        };
        let answer = world.send(&app, "POST", &call("3")).await;
        if expected != "newer" {
            check(&answer, LOGGED, meanwhile);
        }
        assert_eq!(stored(&world).await.1, expected, "{meanwhile}");
    }
}
