//! The ways to find a record whose create got no response: by its key, in a list, or not at all.

use call_log::{
    adapters::{Finish, Recovery},
    store::State,
};
use tests::log::{Log, endings, values};

use super::{
    redrive::{check_settled, item},
    scripted::{Create, Scripted, start, use_crm},
    *,
};

const KEY: &[Recovery] = &[Recovery::ByKey];
const KEY_OR_LIST: &[Recovery] = &[Recovery::ByKey, Recovery::ConsistentList];
const NONE: &[Recovery] = &[Recovery::None];
const HOUR: i64 = 3_600_000;

/// Returns the sum of a metric in the lines since the last call.
fn counted(log: &Log, metric: &str) -> i64 {
    let lines = log.take();
    endings(&lines).into_iter().filter_map(|line| values(line).remove(metric)).flatten().sum()
}

/// Returns the ways of the attempts whose criteria are stored.
async fn stored_ways(test: &TestApp) -> Vec<String> {
    item(test).await.recovery_criteria.into_iter().filter_map(|criteria| criteria.way).collect()
}

/// Returns a create of another call than the tests' call: with another start, because Pipedrive knows no sessions.
fn other_call(session: &str) -> Value {
    let mut body = call(session);
    body["logInfo"]["startTime"] = json!(1_741_794_325_000_i64 + 1_000 * session.parse::<i64>().unwrap());
    body
}

/// Logs a call of this session, and asserts the requests to the CRM.
async fn check_create(test: &TestApp, crm: &Scripted, session: &str, requests: &[&str]) {
    check(&test.post(&other_call(session)).await, LOGGED, session);
    assert_eq!(crm.requests(), requests, "{session}");
}

#[tokio::test]
async fn a_call_whose_key_is_refused_is_sent_in_the_next_way_which_is_remembered_for_an_hour() {
    let log = Log::capture();
    let (test, crm) = start(KEY_OR_LIST, Finish::None).await;
    crm.script().refuses_keys = true;
    check_create(&test, crm, "1", &["create key", "create list"]).await;
    assert_eq!(counted(&log, "KeyRefused"), 1);
    test.pass(HOUR - 1);
    check_create(&test, crm, "2", &["create list"]).await;
    test.pass(1);
    check_create(&test, crm, "3", &["create key", "create list"]).await;
    crm.script().refuses_keys = false;
    test.pass(HOUR);
    check_create(&test, crm, "4", &["create key"]).await;
}

#[tokio::test]
async fn the_next_way_is_stored_before_the_call_is_sent_in_it_and_costs_no_write_once_it_is_known() {
    let (mut test, crm) = start(KEY_OR_LIST, Finish::None).await;
    let (mut app, dynamodb) = test.proxied_app().await;
    use_crm(&mut app, crm);
    crm.script().refuses_keys = true;
    for (session, operations) in [("1", 4), ("2", 3)] {
        let before = dynamodb.count(DYNAMODB);
        check(&test.send(&app, "POST", &other_call(session)).await, LOGGED, session);
        assert_eq!(dynamodb.count(DYNAMODB) - before, operations, "{session}");
    }
    test.app = app;
    test.pass(HOUR);
    crm.requests();
    crm.script().creates.push_back(Create::ResponseLost);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the response is lost");
    assert_eq!(crm.requests(), ["create key", "create list"]);
    assert_eq!(stored_ways(&test).await, ["list"], "the refused attempt had no effect");

    let mut other = test.another_app().await;
    use_crm(&mut other, crm);
    test.pass(SETTLED);
    let found = test.send(&other, "POST", &call(SESSION)).await;
    assert_eq!((found.message(), found.log_id()), (LOGGED, Some("5003")), "another process");
    assert_eq!(crm.requests(), ["find key", "find list", "read", "read"], "in each way that an attempt used");
    assert_eq!(test.crm.activities().len(), 3);
}

#[tokio::test]
async fn an_unsettled_attempt_is_looked_for_in_its_own_way_after_the_way_has_changed() {
    let (test, crm) = start(KEY_OR_LIST, Finish::None).await;
    crm.script().creates.push_back(Create::RequestLost);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "by key");
    crm.script().refuses_keys = true;
    check(&test.post(&other_call("2")).await, LOGGED, "another call, whose key is refused");
    crm.requests();
    crm.script().refuses_keys = false;
    test.pass(GRACE);
    crm.script().creates.push_back(Create::ResponseLost);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "in the list");
    assert_eq!(crm.requests(), ["find key", "create list", "find key"]);
    assert_eq!(stored_ways(&test).await, ["key", "list"]);
    test.redrive_for(1).await;
    let searched = ["find key", "find list", "read", "read"];
    assert_eq!(crm.requests(), searched, "the other call's record looks alike");
    test.redrive_for(1).await;
    assert_eq!(crm.requests(), [&searched[..], &["read"]].concat(), "the change reads the record again");
    let item = item(&test).await;
    assert!(item.sweep_at.is_some(), "the first attempt may still create a second record: {item:?}");
    test.redrive_for(20).await;
    assert_eq!(crm.requests(), [&["read"], &searched[..]].concat(), "the sweep");
}

#[tokio::test]
async fn a_key_that_is_refused_in_the_last_way_is_reported() {
    let (test, crm) = start(KEY, Finish::None).await;
    crm.script().refuses_keys = true;
    let refused = test.post(&call(SESSION)).await;
    check(&refused, REJECTED, "no way is left");
    assert_eq!(crm.requests(), ["create key"]);
    let item = item(&test).await;
    assert_eq!((item.state, item.due_at.is_some()), (State::Retry, true), "the field may be set up later");
    crm.script().refuses_keys = false;
    test.redrive_for(1).await;
    check_settled(&test, "after the field was set up").await;
}

/// A record that exists already is ours, because it has our key.
#[tokio::test]
async fn a_record_that_exists_already_is_adopted() {
    for (is_named, requests) in
        [(true, &["create key", "read"][..]), (false, &["create key", "find key", "read"])]
    {
        let (test, crm) = start(KEY, Finish::None).await;
        check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, QUEUED_UNTIL_LOGGED, "an update");
        crm.script().creates.push_back(Create::Exists { is_named });
        let response = test.post(&call(SESSION)).await;
        check(&response, LOGGED, "adopted");
        assert_eq!(
            (response.log_id(), crm.requests()),
            (Some("5001"), requests.iter().map(|request| (*request).to_owned()).collect())
        );
        check_text(&note(&test), &["Bob asked", "Wants a quote"], &[]);
        assert_eq!(item(&test).await.sweep_at, None, "a key is unique");
        check_settled(&test, "adopted").await;
    }
}

#[tokio::test]
async fn a_record_that_exists_but_is_not_visible_is_looked_for_again_and_then_a_dead_letter() {
    for is_shown_later in [true, false] {
        let (test, crm) = start(KEY, Finish::None).await;
        crm.script().hides_records = true;
        crm.script().creates.push_back(Create::Exists { is_named: false });
        let response = test.post(&call(SESSION)).await;
        check(&response, "The call is in Pipedrive, but you cannot see it.", "not visible");
        let waiting = item(&test).await;
        assert_eq!((waiting.state, waiting.outcome_unknown), (State::OutcomeUnknown, true));
        assert!(waiting.due_at.is_some_and(|due| due <= test.now_ms() + 6_000), "{waiting:?}");
        crm.requests();
        test.redrive_for(1).await;
        assert_eq!(crm.requests(), ["find key", "create key", "find key"], "read by key first");
        if is_shown_later {
            crm.script().hides_records = false;
            test.redrive_for(2).await;
            check_settled(&test, "visible").await;
        } else {
            test.pass(72 * HOUR);
            test.redrive_for(1).await;
            let item = item(&test).await;
            assert_eq!((item.state, item.due_at), (State::DeadLetter, None));
            check_text(
                &item.reason.unwrap(),
                &["the call is in the CRM, but its record is not visible"],
                &[],
            );
        }
        activity(&test);
    }
}

#[tokio::test]
async fn a_lost_create_with_a_key_is_read_by_the_key_at_once_and_needs_no_sweep() {
    let (test, crm) = start(KEY, Finish::None).await;
    crm.script().creates.push_back(Create::ResponseLost);
    check(&test.post(&call(SESSION)).await, LOGGED, "the record is there");
    assert_eq!(crm.requests(), ["create key", "find key", "read"]);
    check_settled(&test, "at once").await;

    let (test, crm) = start(KEY, Finish::None).await;
    crm.script().creates.push_back(Create::RequestLost);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the record is not there");
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "within the grace period");
    assert_eq!(crm.requests(), ["create key", "find key"]);
    test.redrive_for(1).await;
    assert_eq!(crm.requests(), ["find key", "create key"]);
    check_settled(&test, "after the grace period").await;
    let item = item(&test).await;
    assert_eq!((item.sweep_at, item.due_at, item.recovery_criteria.len()), (None, None, 0));
}

#[tokio::test]
async fn a_create_that_cannot_be_looked_for_is_sent_again_after_the_grace_period_and_counted() {
    let log = Log::capture();
    let (test, crm) = start(NONE, Finish::None).await;
    for lost in [Create::RequestLost, Create::ResponseLost] {
        crm.script().creates.push_back(lost);
    }
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the first attempt");
    test.pass(GRACE - 2_000);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "within the grace period");
    assert_eq!((crm.requests(), counted(&log, "DuplicatePossible")), (vec!["create none".to_owned()], 0));
    for expected in ["the second attempt", "the third attempt"] {
        test.redrive_for(1).await;
        assert_eq!(crm.requests(), ["create none"], "{expected}");
        assert_eq!(counted(&log, "DuplicatePossible"), 1, "{expected}");
    }
    assert_eq!(test.crm.activities().len(), 2, "the response to the second attempt was lost");
    let item = item(&test).await;
    assert_eq!((item.state, item.sweep_at, item.due_at), (State::Logged, None, None));
}

#[tokio::test]
async fn a_create_that_cannot_be_looked_for_and_failed_without_effect_is_no_possible_duplicate() {
    let log = Log::capture();
    let (test, crm) = start(NONE, Finish::None).await;
    test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: Some(1) });
    check(&test.post(&call(SESSION)).await, RATE_LIMITED, "no effect");
    test.redrive_for(1).await;
    assert_eq!((crm.requests().len(), counted(&log, "DuplicatePossible")), (2, 0));
    check_settled(&test, "after a minute").await;
}
