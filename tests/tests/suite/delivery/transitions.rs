//! The store makes exactly the transitions that are in its table of transitions.

use call_log::{
    model::{CallDetails, CallKey, CallLogId, Contact, ContactId, LogKey, Payload, SessionId},
    store::{
        Basis, Change, ClaimCreate, ClaimUpdate, Enqueued, Event, Finish, LastWritten, Lease, Purpose,
        Rearmed, Release, State, TRANSITIONS,
    },
};
use serde_json::{Map, Value, json};
use tests::test_app::TestApp;

use super::{purpose, queued};

const STATES: [State; 7] = [
    State::Queued,
    State::Creating,
    State::OutcomeUnknown,
    State::Retry,
    State::Logged,
    State::DeadLetter,
    State::Deleted,
];
const EVENTS: [Event; 11] = [
    Event::EnqueueFirst,
    Event::Enqueue,
    Event::ClaimCreate,
    Event::ClaimUpdate,
    Event::Finish,
    Event::Keep,
    Event::OutcomeUnknown,
    Event::Failed,
    Event::GivenUp,
    Event::Deleted,
    Event::Rearm,
];
const HOLDER: &str = "the holder";

fn key(test: &TestApp, session: usize) -> LogKey {
    let session = SessionId::new(format!("{session}")).unwrap();
    CallKey { tenant: test.user.tenant(), session, header_user: None }.log(0)
}

/// Returns the key of the item of a session, as DynamoDB has it.
fn item_key(test: &TestApp, session: usize) -> Value {
    let partition = format!("C#pipedrive#{}#{session}", test.user.tenant().account);
    json!({"pk": {"S": partition}, "sk": {"S": "L#0"}})
}

/// Puts an item in a state into the table, with a lease and a log id that permit the event if the state does.
async fn put(test: &TestApp, session: usize, state: State, event: Event) {
    let has_holder = matches!(
        event,
        Event::Finish | Event::Keep | Event::OutcomeUnknown | Event::Failed | Event::GivenUp | Event::Deleted
    );
    let lease_until = if has_holder || event == Event::Enqueue { test.now_ms() + 1_000 } else { 0 };
    let Value::Object(key) = item_key(test, session) else { unreachable!() };
    let mut item = json!({
        "state": {"S": state.name()}, "lease_until": {"N": lease_until.to_string()}, "fence": {"N": "1"},
        "queued": {"N": "1"}, "payload": {"B": "MA=="},
    });
    item.as_object_mut().unwrap().extend(key);
    if has_holder {
        item["holder"] = json!({"S": HOLDER});
    }
    if matches!(state, State::Logged | State::Deleted) {
        item["log_id"] = json!({"S": "5001"});
    }
    let put = test.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
    assert_eq!(put, json!({}));
}

/// Applies the event to the call. Returns `true` if the store wrote it.
async fn apply(test: &TestApp, key: &LogKey, event: Event) -> bool {
    let store = &test.app.store;
    let now_ms = test.now_ms();
    let lease = Lease { key, user: &test.user.id, holder: HOLDER, now_ms, until_ms: now_ms + 60_000 };
    let none = CallDetails::default();
    let queued = queued(test, "the update", &none);
    let log = CallLogId::new("5001").unwrap();
    let claimed = store.call(key).await.unwrap();
    match event {
        Event::EnqueueFirst => {
            matches!(store.enqueue_first(key, queued, None, now_ms).await.unwrap(), Enqueued::Queued(_))
        }
        Event::Enqueue => {
            matches!(store.enqueue(key, queued, Basis::Unread, now_ms).await.unwrap(), Enqueued::Queued(_))
        }
        Event::ClaimCreate => {
            let contact =
                Contact { id: ContactId::new("77").unwrap(), kind: None, name: None, phone_number: None };
            let payload = Payload {
                contact: Some(contact),
                details: CallDetails::default(),
                has_note: false,
                additional: Map::new(),
                owner: None,
                owner_token_issued_at: None,
                owner_extension: None,
                zone: None,
                has_authorization: false,
            };
            let claim = store.claim_create(&lease, purpose(test, &payload)).await.unwrap();
            matches!(claim, ClaimCreate::Claimed { .. })
        }
        Event::ClaimUpdate => {
            matches!(
                store.claim_update(&lease, Change::New(queued, Basis::Unread)).await.unwrap(),
                ClaimUpdate::Claimed(..)
            )
        }
        Event::Finish => {
            let Some(claimed) = claimed else { return false };
            let finished = store.finish(&lease, &log, &claimed, &LastWritten::default()).await.unwrap();
            matches!(finished, Finish::Released)
        }
        Event::Keep => {
            let Some(claimed) = claimed else { return false };
            let kept = store.keep(&lease, &log, &claimed, &LastWritten::default()).await.unwrap();
            matches!(kept, Finish::MoreQueued(_))
        }
        Event::OutcomeUnknown | Event::Failed | Event::GivenUp | Event::Deleted => {
            let Some(claimed) = claimed else { return false };
            store.release(&lease, &claimed, Release::new(event, "the test")).await.is_ok()
        }
        Event::Rearm => {
            let Some(claimed) = claimed else { return false };
            store.rearm(key, &claimed, now_ms).await.unwrap() == Rearmed::Done
        }
    }
}

#[tokio::test]
async fn every_event_in_every_state_changes_the_item_as_the_table_of_transitions_says() {
    let test = TestApp::start().await;
    let mut session = 0;
    for event in EVENTS {
        for from in [None].into_iter().chain(STATES.map(Some)) {
            session += 1;
            let key = key(&test, session);
            // An item in another state never has a lease holder, so it cannot be finished or kept.
            let has_no_holder = matches!(event, Event::Finish | Event::Keep)
                && !matches!(from, None | Some(State::Creating | State::Logged));
            if has_no_holder {
                continue;
            }
            if let Some(from) = from {
                put(&test, session, from, event).await;
            }
            let expected = TRANSITIONS
                .iter()
                .find(|(before, by, _)| (*before, *by) == (from, event))
                .map(|(.., to)| *to);
            let is_applied = apply(&test, &key, event).await;
            let after = test.app.store.call(&key).await.unwrap().map(|item| item.state);
            assert_eq!((is_applied, after), (expected.is_some(), expected.or(from)), "{event:?} in {from:?}");
        }
    }
    assert_eq!(session, EVENTS.len() * (STATES.len() + 1));
}

#[tokio::test]
async fn an_item_in_a_state_of_a_later_version_is_not_changed() {
    let test = TestApp::start().await;
    for (session, event) in
        [Event::EnqueueFirst, Event::Enqueue, Event::ClaimCreate, Event::ClaimUpdate].into_iter().enumerate()
    {
        put(&test, session, State::Retry, event).await;
        let item_key = item_key(&test, session);
        let change = json!({
            "TableName": "calls", "Key": item_key, "UpdateExpression": "SET #state = :later",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":later": {"S": "ARCHIVED"}},
        });
        test.dynamodb.ask("UpdateItem", &change).await;
        let read = json!({"TableName": "calls", "Key": item_key});
        let before: Value = test.dynamodb.ask("GetItem", &read).await;
        let (key, store) = (key(&test, session), &test.app.store);
        let (now_ms, user) = (test.now_ms(), &test.user.id);
        let lease = Lease { key: &key, user, holder: HOLDER, now_ms, until_ms: now_ms + 60_000 };
        let none = CallDetails::default();
        let is_rejected = match event {
            Event::EnqueueFirst => matches!(
                store.enqueue_first(&key, queued(&test, "the update", &none), None, 0).await,
                Ok(Enqueued::ItemChanged)
            ),
            Event::Enqueue => matches!(
                store.enqueue(&key, queued(&test, "the update", &none), Basis::Unread, 0).await,
                Ok(Enqueued::ItemChanged)
            ),
            Event::ClaimCreate => store.claim_create(&lease, Purpose::Redrive).await.is_err(),
            _ => store.claim_update(&lease, Change::Due).await.is_err(),
        };
        assert!(is_rejected, "{event:?}");
        assert_eq!(test.dynamodb.ask("GetItem", &read).await, before, "{event:?}");
    }
}
