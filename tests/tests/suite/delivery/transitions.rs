//! What the store does in each state is what the table of transitions says, and nothing else.

use call_log::{
    model::{CallDetails, CallKey, CallLogId, Contact, ContactId, Payload, SessionId},
    store::{
        Change, ClaimCreate, ClaimUpdate, Enqueued, Event, Finish, LastWritten, Lease, Purpose, Rearmed,
        Release, State, TRANSITIONS,
    },
};
use serde_json::{Map, Value, json};
use tests::test_app::TestApp;

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
const ME: &str = "me";

fn key(world: &TestApp, session: usize) -> CallKey {
    CallKey {
        user: world.user.key(),
        session: SessionId::new(format!("{session}")).unwrap(),
        extension: None,
    }
}

/// Puts an item in that state into the table, as favourable to the event as can be.
async fn put(world: &TestApp, session: usize, state: State, event: Event) {
    let is_owned = matches!(
        event,
        Event::Finish | Event::Keep | Event::OutcomeUnknown | Event::Failed | Event::GivenUp | Event::Deleted
    );
    let busy = if is_owned || event == Event::Enqueue { world.now_ms() + 1_000 } else { 0 };
    let mut item = json!({
        "pk": {"S": "U#pipedrive#12345-pipedrive"}, "sk": {"S": format!("C#{session}#")},
        "state": {"S": state.name()}, "lease_until": {"N": busy.to_string()}, "fence": {"N": "1"},
        "queued": {"N": "1"}, "payload": {"B": "MA=="},
    });
    if is_owned {
        item["holder"] = json!({"S": ME});
    }
    if matches!(state, State::Logged | State::Deleted) {
        item["log_id"] = json!({"S": "5001"});
    }
    let put = world.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
    assert_eq!(put, json!({}));
}

/// Has the event happen; whether the store let it.
async fn happen(world: &TestApp, key: &CallKey, event: Event) -> bool {
    let store = &world.app.store;
    let now_ms = world.now_ms();
    let lease = Lease { key, holder: ME, now_ms, until_ms: now_ms + 60_000 };
    let log = CallLogId::new("5001").unwrap();
    let claimed = store.call(key).await.unwrap();
    match event {
        Event::EnqueueFirst => {
            matches!(
                store.enqueue_first(key, &CallDetails::default(), now_ms).await.unwrap(),
                Enqueued::Queued(_)
            )
        }
        Event::Enqueue => {
            matches!(store.enqueue(key, &CallDetails::default(), now_ms).await.unwrap(), Enqueued::Queued(_))
        }
        Event::ClaimCreate => {
            let contact =
                Contact { id: ContactId::new("77").unwrap(), kind: None, name: None, phone_number: None };
            let payload =
                Payload { contact, details: CallDetails::default(), additional: Map::new(), zone: None };
            let claim = store.claim_create(&lease, Purpose::Request(&payload)).await.unwrap();
            matches!(claim, ClaimCreate::Claimed(_))
        }
        Event::ClaimUpdate => {
            matches!(
                store.claim_update(&lease, Change::New(&CallDetails::default())).await.unwrap(),
                ClaimUpdate::Claimed(_)
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
async fn every_event_in_every_state_does_what_the_table_says() {
    let world = TestApp::start().await;
    let mut session = 0;
    for event in EVENTS {
        for from in [None].into_iter().chain(STATES.map(Some)) {
            session += 1;
            let key = key(&world, session);
            // Nobody ever owns what is in another state, so nothing can be finished or given back there.
            let owned_by_nobody = matches!(event, Event::Finish | Event::Keep)
                && !matches!(from, None | Some(State::Creating | State::Logged));
            if owned_by_nobody {
                continue;
            }
            if let Some(from) = from {
                put(&world, session, from, event).await;
            }
            let expected = TRANSITIONS
                .iter()
                .find(|(before, by, _)| (*before, *by) == (from, event))
                .map(|(.., to)| *to);
            let happened = happen(&world, &key, event).await;
            let after = world.app.store.call(&key).await.unwrap().map(|item| item.state);
            assert_eq!((happened, after), (expected.is_some(), expected.or(from)), "{event:?} in {from:?}");
        }
    }
    assert_eq!(session, EVENTS.len() * (STATES.len() + 1));
}

/// A state that a later version writes is left alone.
#[tokio::test]
async fn a_state_of_a_later_version_is_left_alone() {
    let world = TestApp::start().await;
    for (session, event) in
        [Event::EnqueueFirst, Event::Enqueue, Event::ClaimCreate, Event::ClaimUpdate].into_iter().enumerate()
    {
        put(&world, session, State::Retry, event).await;
        let item_key =
            json!({"pk": {"S": "U#pipedrive#12345-pipedrive"}, "sk": {"S": format!("C#{session}#")}});
        let change = json!({
            "TableName": "calls", "Key": item_key, "UpdateExpression": "SET #state = :later",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":later": {"S": "ARCHIVED"}},
        });
        world.dynamodb.ask("UpdateItem", &change).await;
        let read = json!({"TableName": "calls", "Key": item_key});
        let before: Value = world.dynamodb.ask("GetItem", &read).await;
        let (key, store) = (key(&world, session), &world.app.store);
        let lease =
            Lease { key: &key, holder: ME, now_ms: world.now_ms(), until_ms: world.now_ms() + 60_000 };
        let refused = match event {
            Event::EnqueueFirst => matches!(
                store.enqueue_first(&key, &CallDetails::default(), 0).await,
                Ok(Enqueued::ItemChanged)
            ),
            Event::Enqueue => {
                matches!(store.enqueue(&key, &CallDetails::default(), 0).await, Ok(Enqueued::ItemChanged))
            }
            Event::ClaimCreate => store.claim_create(&lease, Purpose::Redrive).await.is_err(),
            _ => store.claim_update(&lease, Change::Due).await.is_err(),
        };
        assert!(refused, "{event:?}");
        assert_eq!(world.dynamodb.ask("GetItem", &read).await, before, "{event:?}");
    }
}
