//! A CRM that is down or slow: the requests of its tenant stop waiting for it, and all others are not affected.

use call_log::{
    adapters::{Capabilities, LimitScope},
    model::BreakerKey,
    store::BreakerState,
};

use super::{altered_crm::AlteredCrm, *};

const MINUTE: i64 = 60_000;

fn session(number: usize) -> Value {
    call(&format!("{}", number + 100))
}

async fn state(test: &TestApp) -> BreakerState {
    test.app.store.breaker(&BreakerKey::Tenant(test.user.tenant())).await.unwrap()
}

/// Sends creates that fail until the CRM counts as down.
async fn bring_down(test: &TestApp) {
    test.crm.outage(Some(Fault::Status(503)));
    for number in 0..5 {
        check(&test.post(&session(number)).await, NOT_ANSWERING, "the CRM is down");
    }
    assert_eq!(state(test).await.consecutive_failures, 5);
}

fn next(response: &Response) -> &str {
    response.body["returnMessage"]["details"][0]["items"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_request_to_a_crm_that_is_down_is_kept_without_asking_the_crm() {
    let test = TestApp::start().await;
    check(&test.post(&session(20)).await, LOGGED, "before the outage");
    bring_down(&test).await;
    let requests = test.crm.requests().len();
    let paused = test.post(&session(10)).await;
    check(&paused, NOT_ANSWERING, "the create is paused");
    let saved = "The call is saved and will be added to Pipedrive as soon as possible. You don't need to do anything.";
    assert_eq!(next(&paused), saved);
    let update = json!({"sessionId": "120", "aiNote": "Bob asked"});
    check(&test.patch(&update).await, NOT_ANSWERING, "the update is paused");
    assert_eq!(test.crm.requests().len(), requests, "the CRM gets no request");

    test.crm.outage(None);
    test.redrive_for(3).await;
    assert_eq!(test.crm.activities().len(), 7, "everything is delivered, and nothing twice");
    assert!(test.crm.activities()[0]["note"].as_str().unwrap().contains("Bob asked"));
    assert_eq!(state(&test).await, BreakerState::default());
    check(&test.post(&session(11)).await, LOGGED, "after the outage");
}

#[tokio::test]
async fn a_paused_request_makes_no_more_round_trips_to_the_table_than_any_other() {
    let metered = tests::metered::Metered::warm().await;
    let before = metered.send("POST", &call("2")).await.dynamodb.len();
    let until_ms = metered.app.clock.now_ms() + MINUTE;
    let down = BreakerState { open_until_ms: until_ms, consecutive_failures: 5 };
    let key = BreakerKey::Tenant(metered.test.user.tenant());
    metered.app.store.set_breaker(&key, down, metered.app.clock.now_ms()).await.unwrap();
    let (response, paused) = metered.ask("POST", &call("3")).await;
    assert_eq!(response.message(), NOT_ANSWERING);
    assert_eq!((paused.dynamodb.len(), paused.crm.len()), (before, 0));
    let names: Vec<_> = paused.dynamodb.iter().map(|one| one.name().to_owned()).collect();
    assert_eq!(names.iter().filter(|name| *name == "BatchGetItem").count(), 1, "{names:?}");
}

#[tokio::test]
async fn other_tenants_are_not_affected() {
    let test = TestApp::start().await;
    bring_down(&test).await;
    test.crm.outage(None);
    let mut other = tests::test_app::user("54321-pipedrive", test.user.credentials.clone());
    other.account.id = Some("another company".to_owned());
    test.app.store.put_user(&other).await.unwrap();
    let sent = start(&test.app, &other, "POST", session(1)).await.unwrap();
    check(&sent, LOGGED, "another tenant");
    check(&test.post(&session(10)).await, NOT_ANSWERING, "the tenant that is down");
}

#[tokio::test]
async fn at_the_end_of_a_pause_one_request_goes_ahead() {
    let test = TestApp::start().await;
    bring_down(&test).await;
    test.pass(MINUTE + 1_000);
    let before = test.crm.requests().len();
    let sent: Vec<_> = (10..18).map(|number| start(&test.app, &test.user, "POST", session(number))).collect();
    for response in sent {
        check(&response.await.unwrap(), NOT_ANSWERING, "still down");
    }
    assert_eq!(test.crm.requests().len() - before, 1, "one probe");
    let pause = state(&test).await.open_until_ms - test.now_ms();
    assert!((MINUTE..=2 * MINUTE).contains(&pause), "the next pause is longer: {pause} ms");

    test.crm.outage(None);
    test.pass(2 * MINUTE);
    check(&test.post(&session(30)).await, LOGGED, "the probe succeeds");
    assert_eq!(state(&test).await, BreakerState::default());
    check(&test.post(&session(31)).await, LOGGED, "and all others");
}

/// A CRM that rejects the data of the probe works.
#[tokio::test]
async fn a_probe_that_the_crm_rejects_closes_the_breaker() {
    let test = TestApp::start().await;
    bring_down(&test).await;
    test.crm.outage(None);
    test.pass(MINUTE + 1_000);
    test.crm.always(Route::CreateActivity, Fault::Status(422));
    check(&test.post(&session(20)).await, REJECTED, "the probe");
    test.crm.forget_faults();
    assert_eq!(state(&test).await, BreakerState::default());
    check(&test.post(&session(21)).await, LOGGED, "the next call");
}

#[tokio::test]
async fn a_crm_that_asks_for_a_pause_gets_it() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: Some(120) });
    check(&test.post(&session(1)).await, RATE_LIMITED, "a 429");
    let before = test.crm.requests().len();
    test.pass(119_000);
    check(&test.post(&session(2)).await, NOT_ANSWERING, "during the pause");
    assert_eq!(test.crm.requests().len(), before);
    test.pass(2_000);
    check(&test.post(&session(3)).await, LOGGED, "after the pause");
}

#[tokio::test]
async fn a_failure_that_others_would_not_meet_opens_nothing() {
    let test = TestApp::start().await;
    for number in 0..8 {
        test.crm.always(Route::CreateActivity, Fault::Status([400, 401, 403, 422][number % 4]));
        test.post(&session(number)).await;
        test.crm.forget_faults();
    }
    assert_eq!(state(&test).await, BreakerState::default());
    check(&test.post(&session(20)).await, LOGGED, "the next call");
}

#[tokio::test]
async fn if_the_limits_are_a_users_only_that_user_is_paused() {
    let mut test = TestApp::start().await;
    let pipedrive = AlteredCrm::default();
    let capabilities = Capabilities { limit_scope: LimitScope::User, ..pipedrive.capabilities };
    AlteredCrm { capabilities, ..pipedrive }.install(&mut test.app);
    let colleague = tests::test_app::user("54321-pipedrive", test.user.credentials.clone());
    test.app.store.put_user(&colleague).await.unwrap();
    test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: Some(120) });
    check(&test.post(&session(1)).await, RATE_LIMITED, "a 429");
    check(&test.post(&session(2)).await, NOT_ANSWERING, "the user is paused");
    check(&start(&test.app, &colleague, "POST", session(3)).await.unwrap(), LOGGED, "a colleague is not");
}
