//! Cases of Pipedrive only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use call_log::{
    adapters::{
        Access, Authorization, CallFacts, CallLogChange, Effect, ErrorKind, NewCallLog, OAuth,
        oauth::{GrantError, renew_grant},
    },
    model::{CallDuration, CallLogId, Clock, Credentials, Secret},
};
use serde_json::{Value, json};
use tests::{
    pipedrive::{BOB, FakePipedrive, REFRESH_TOKEN, Route, SOLO},
    proxy::Fault,
};

use super::{
    body,
    connected::{Connected, START},
};

fn connect() -> Connected<FakePipedrive> {
    Connected::new(Box::new(FakePipedrive::start()))
}

impl Connected<FakePipedrive> {
    /// The body of the last request.
    fn sent(&self) -> Value {
        self.fake.requests().last().and_then(|request| request.json()).unwrap()
    }

    /// Creates a record that is rejected, and returns the reason.
    async fn rejection(&self, log: &NewCallLog) -> String {
        let error = self.crm.create_record(&self.access(), log).await.unwrap_err();
        assert_eq!(error.effect, Effect::None);
        match error.kind {
            ErrorKind::Rejected { message } => message,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_activity_has_every_field_that_pipedrive_shows_for_a_call() {
    let connected = connect();
    let log = connected.log("2025-03-12T23:59:59Z");
    connected.create(&log).await;
    let expected = json!({
        "subject": "Inbound Call from Bob Client", "type": "call", "owner_id": 12345, "org_id": 501,
        "due_date": "2025-03-12", "due_time": "23:59", "duration": "00:02", "done": true, "note": log.body,
        "participants": [{ "person_id": BOB, "primary": true }],
    });
    assert_eq!(connected.sent(), expected);
    let bare = NewCallLog {
        facts: CallFacts { duration: Some(CallDuration::Pending), ..CallFacts::default() },
        contact: Some(connected.contact(&SOLO.to_string())),
        ..log.clone()
    };
    connected.create(&bare).await;
    let expected = json!({
        "subject": "Inbound Call from Bob Client", "type": "call", "owner_id": 12345, "done": true, "note": log.body,
        "participants": [{ "person_id": SOLO, "primary": true }],
    });
    assert_eq!(connected.sent(), expected);
}

#[tokio::test]
async fn durations_are_whole_minutes_rounded_up() {
    let connected = connect();
    let rows = [
        (0, "00:00"),
        (1, "00:01"),
        (59, "00:01"),
        (60, "00:01"),
        (61, "00:02"),
        (3_540, "00:59"),
        (3_541, "01:00"),
        (3_600, "01:00"),
        (7_140, "01:59"),
        (7_199, "02:00"),
        (90_000, "25:00"),
        (360_000, "100:00"),
    ];
    for (seconds, expected) in rows {
        let undated = connected.undated(START);
        let duration = Some(CallDuration::Seconds(seconds));
        let log = NewCallLog { facts: CallFacts { duration, ..undated.facts.clone() }, ..undated };
        let id = connected.create(&log).await;
        assert_eq!(connected.sent()["duration"], expected, "{seconds} s");
        assert!(connected.find(&log).await.contains(&id), "{seconds} s");
        let change = CallLogChange { fields: connected.crm.fields(&log.facts), ..CallLogChange::default() };
        connected.crm.update_record(&connected.access(), &id, &change).await.unwrap();
        let times = json!({ "due_date": "2025-03-12", "due_time": "15:45", "duration": expected });
        assert_eq!(connected.sent(), times);
    }
}

#[tokio::test]
async fn an_activity_is_linked_to_a_deal_or_else_to_a_lead() {
    let connected = connect();
    let lead = "adf21080-0e10-11eb-879b-05d71fb426ec";
    for (additional, deal_id, lead_id) in [
        (json!({}), json!(null), json!(null)),
        (json!({ "deals": 412 }), json!(412), json!(null)),
        (json!({ "deal": "412" }), json!(412), json!(null)),
        (json!({ "deals": { "id": 412 } }), json!(412), json!(null)),
        (json!({ "deals": "", "deal": 413 }), json!(413), json!(null)),
        (json!({ "leads": lead }), json!(null), json!(lead)),
        (json!({ "lead": { "id": lead } }), json!(null), json!(lead)),
        (json!({ "deals": "", "leads": lead }), json!(null), json!(lead)),
        (json!({ "deals": 412, "leads": lead }), json!(412), json!(null)),
        (json!({ "deals": "none", "leads": "none" }), json!(null), json!(null)),
        (json!({ "deals": null, "leads": "", "other": 1 }), json!(null), json!(null)),
        (json!({ "deals": 0, "leads": 7 }), json!(null), json!(null)),
    ] {
        let form = additional.as_object().unwrap().clone();
        connected.create(&NewCallLog { additional: form, ..connected.log(START) }).await;
        let sent = connected.sent();
        let links = (sent.get("deal_id"), sent.get("lead_id"));
        let expected = [&deal_id, &lead_id].map(|id| (!id.is_null()).then_some(id));
        assert_eq!(links, expected.into(), "{additional}");
    }
}

#[tokio::test]
async fn the_activity_type_is_requested_once_a_day() {
    let now = Arc::new(AtomicI64::new(1_741_794_325_000));
    let connected = Connected { clock: Clock::Manual(now.clone()), ..connect() };
    let pipedrive = &connected.fake;
    let day = 24 * 60 * 60 * 1_000;
    for (after, asked) in [(0, 1), (1, 1), (day - 2, 1), (1, 2), (day - 1, 2)] {
        now.fetch_add(after, Ordering::SeqCst);
        connected.create(&connected.log(START)).await;
        assert_eq!(pipedrive.count(Route::ActivityTypes), asked);
    }
    // The type may be the reason of a rejection, so it is requested again, and the call is sent with another one.
    pipedrive.set_types(&[("Call", "call", false), ("Kunden-Call", "kunden_call", true)]);
    connected.create(&connected.log(START)).await;
    assert_eq!(
        (connected.sent()["type"].as_str(), pipedrive.count(Route::ActivityTypes)),
        (Some("kunden_call"), 3)
    );
}

#[tokio::test]
async fn a_call_of_a_company_without_a_type_for_calls_is_logged_with_pipedrives_own_choice() {
    let connected = connect();
    connected.fake.set_types(&[("Call", "call", false), ("Product recall", "product_recall", true)]);
    connected.create(&connected.log(START)).await;
    assert_eq!(connected.sent()["type"], Value::Null);
}

#[tokio::test]
async fn a_log_that_pipedrive_cannot_store_is_rejected_with_a_reason() {
    let connected = connect();
    let contact = |id: &str| NewCallLog { contact: Some(connected.contact(id)), ..connected.log(START) };
    assert_eq!(connected.rejection(&contact("lead-7")).await, "The contact id \"lead-7\" is not a number.");
    assert_eq!(connected.rejection(&contact("999")).await, "The contact is no longer in Pipedrive.");
    let long = NewCallLog { body: "x".repeat(100_001), ..connected.log(START) };
    assert_eq!(connected.rejection(&long).await, "Validation failed: note");
    assert_eq!(connected.fake.activities().len(), 0);
}

#[tokio::test]
async fn a_failure_before_the_activity_is_created_has_no_effect() {
    let now = Arc::new(AtomicI64::new(1_741_794_325_000));
    let connected = Connected { clock: Clock::Manual(now.clone()), ..connect() };
    for route in [Route::GetPerson, Route::ActivityTypes] {
        for fault in [Fault::Status(500), Fault::Html, Fault::DropBeforeAnswer, Fault::Truncated] {
            // The type is requested again on the next day.
            now.fetch_add(24 * 60 * 60 * 1_000, Ordering::SeqCst);
            connected.fake.fail(route, fault.clone());
            let error =
                connected.crm.create_record(&connected.access(), &connected.log(START)).await.unwrap_err();
            assert_eq!(error.effect, Effect::None, "{route:?} {fault:?}");
        }
    }
    assert_eq!(connected.fake.activities().len(), 0);
}

#[tokio::test]
async fn an_activity_whose_note_pipedrive_rewrote_is_found() {
    let dated: fn(&Connected<FakePipedrive>, &str) -> NewCallLog = Connected::log;
    for make in [dated, Connected::undated] {
        let connected = connect();
        connected.fake.normalise(true);
        let log = make(&connected, START);
        let id = connected.create(&log).await;
        assert_ne!(connected.read(&id).await.body, log.body);
        assert_eq!(connected.find(&log).await, [id]);
    }
}

#[tokio::test]
async fn edits_and_deletions_by_people_are_noticed() {
    let connected = connect();
    let log = connected.log(START);
    let ids = [connected.create(&log).await, connected.create(&log).await, connected.create(&log).await];
    let number = |id: &CallLogId| id.as_str().parse::<u64>().unwrap();
    let pipedrive = &connected.fake;
    pipedrive.edit_note(number(&ids[0]), &log.body.replace("Wants a quote", "Wants two quotes"));
    pipedrive.edit(number(&ids[1]), "subject", json!("Edited"));
    pipedrive.delete(number(&ids[2]));
    assert_eq!(connected.find(&log).await, ids[..2]);
    let error = connected.crm.update_record(&connected.access(), &ids[2], &body("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    pipedrive.edit(number(&ids[0]), "note", Value::Null);
    assert_eq!(connected.read(&ids[0]).await.body, "");
    pipedrive.edit(number(&ids[1]), "owner_id", json!(7));
    assert_eq!(connected.find(&log).await, ids[..1], "of another owner");
}

#[tokio::test]
async fn a_search_reads_ten_pages_and_fails_if_there_are_more() {
    let connected = connect();
    let log = connected.log(START);
    let id = connected.create(&log).await;
    let mut neighbours = 0;
    for (more, pages, found) in [(29, 1, true), (1, 2, true), (269, 10, true), (1, 10, false)] {
        for _ in 0..more {
            neighbours += 1;
            connected.create(&connected.log("2025-03-13T00:00:00Z")).await;
        }
        let before = connected.fake.count(Route::ListActivities);
        let since = connected.clock.now() - Duration::from_secs(300);
        let outcome = connected.crm.find_records(&connected.access(), &log, since).await;
        assert_eq!(connected.fake.count(Route::ListActivities) - before, pages, "{neighbours} neighbours");
        match outcome {
            Ok(ids) => assert_eq!((ids, found), (vec![id.clone()], true), "{neighbours} neighbours"),
            Err(error) => assert_eq!((error.kind, found), (ErrorKind::Unavailable, false)),
        }
    }
}

#[tokio::test]
async fn a_contact_is_found_by_every_form_of_its_number() {
    let connected = connect();
    for (stored, asked, found) in [
        ("+49 30 123456", "+4930123456", true),
        ("030 123457", "+4930123457", true),
        ("0049 30 123458", "+4930123458", true),
        ("+44 30 5550123", "+4930 5550123", false),
        ("+1 4930 5550124", "+49305550124", false),
        ("101", "101", true),
        ("101", "1012", false),
    ] {
        let id = connected.fake.add_person("Ada", stored, None).to_string();
        let contacts = connected.crm.find_contacts(&connected.access(), asked).await.unwrap();
        assert_eq!(contacts.iter().any(|contact| contact.id.as_str() == id), found, "{stored} {asked}");
    }
}

#[tokio::test]
async fn the_fake_accepts_a_refresh_token_once() {
    let connected = connect();
    let oauth = OAuth {
        token_url: format!("{}/oauth/token", connected.access().base_url),
        ..connected.crm.oauth(&connected.user).unwrap()
    };
    let first = Secret::new(REFRESH_TOKEN);
    connected.fake.end_access();
    let grant = renew_grant(&connected.http, connected.crm, &oauth, None, &first).await.unwrap();
    let (access_token, refresh_token) = (grant.access_token, grant.refresh_token);
    let stored = Credentials::OAuth { access_token, refresh_token: refresh_token.clone(), expires_at: None };
    let access = Access { authorization: Authorization::Stored(stored), ..connected.access() };
    connected.crm.create_record(&access, &connected.log(START)).await.unwrap();
    let again = renew_grant(&connected.http, connected.crm, &oauth, None, &first).await.unwrap_err();
    assert!(matches!(again, GrantError::Rejected), "{again:?}");
    renew_grant(&connected.http, connected.crm, &oauth, None, &refresh_token.unwrap()).await.unwrap();
    assert_eq!(connected.fake.refreshes(), 3);
}
