//! What is Pipedrive's own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use call_log::{
    adapters::{
        Access, CallLogChange, Effect, ErrorKind, NewCallLog,
        client::{Authorization, RenewalError, renew_grant},
        find,
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
    fake_crm::{FakeCrm, Routes, START, Server},
};

pub(super) fn routes() -> Routes {
    Routes {
        create: Route::CreateActivity.target(),
        read: Route::GetActivity.target(),
        update: Route::UpdateActivity.target(),
        list: Route::ListActivities.target(),
        find_contact: Route::SearchPersons.target(),
        create_contact: Route::CreatePerson.target(),
    }
}

fn stand() -> FakeCrm {
    FakeCrm::of(find("pipedrive").unwrap())
}

impl FakeCrm {
    fn pipedrive(&self) -> &FakePipedrive {
        match &self.server {
            Server::Pipedrive(stand_in) => stand_in,
            Server::Example(_) => panic!("another CRM"),
        }
    }

    /// What the last create sent.
    fn sent(&self) -> Value {
        self.pipedrive().requests().last().and_then(|request| request.json()).unwrap()
    }

    /// The words of a create that is refused.
    async fn refusal(&self, log: &NewCallLog) -> String {
        let error = self.crm.create_log(&self.access(), log).await.unwrap_err();
        assert_eq!(error.effect, Effect::None);
        match error.kind {
            ErrorKind::Rejected { message } => message,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_activity_has_everything_that_pipedrive_shows_of_a_call() {
    let stand = stand();
    let log = stand.log("2025-03-12T23:59:59Z");
    stand.create(&log).await;
    let expected = json!({
        "subject": "Inbound Call from Bob Client", "type": "call", "owner_id": 12345, "org_id": 501,
        "due_date": "2025-03-12", "due_time": "23:59", "duration": "00:02", "done": true, "note": log.body,
        "participants": [{ "person_id": BOB, "primary": true }],
    });
    assert_eq!(stand.sent(), expected);
    let bare = NewCallLog {
        start: None,
        duration: Some(CallDuration::Pending),
        contact: stand.contact(&SOLO.to_string()),
        ..log.clone()
    };
    stand.create(&bare).await;
    let expected = json!({
        "subject": "Inbound Call from Bob Client", "type": "call", "owner_id": 12345, "done": true, "note": log.body,
        "participants": [{ "person_id": SOLO, "primary": true }],
    });
    assert_eq!(stand.sent(), expected);
}

#[tokio::test]
async fn durations_are_whole_minutes_rounded_up() {
    let stand = stand();
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
        let log = NewCallLog { duration: Some(CallDuration::Seconds(seconds)), ..stand.undated(START) };
        let id = stand.create(&log).await;
        assert_eq!(stand.sent()["duration"], expected, "{seconds} s");
        assert!(stand.find(&log).await.contains(&id), "{seconds} s");
        let change = CallLogChange { duration: log.duration, ..CallLogChange::default() };
        stand.crm.update_log(&stand.access(), &id, &change).await.unwrap();
        assert_eq!(stand.sent(), json!({ "duration": expected }));
    }
}

#[tokio::test]
async fn a_deal_or_else_a_lead_is_linked() {
    let stand = stand();
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
        stand.create(&NewCallLog { additional: form, ..stand.log(START) }).await;
        let sent = stand.sent();
        let links = (sent.get("deal_id"), sent.get("lead_id"));
        let expected = [&deal_id, &lead_id].map(|id| (!id.is_null()).then_some(id));
        assert_eq!(links, expected.into(), "{additional}");
    }
}

#[tokio::test]
async fn the_activity_type_is_asked_for_once_a_day() {
    let now = Arc::new(AtomicI64::new(1_741_794_325_000));
    let stand = FakeCrm { clock: Clock::Manual(now.clone()), ..stand() };
    let pipedrive = stand.pipedrive();
    let day = 24 * 60 * 60 * 1_000;
    for (after, asked) in [(0, 1), (1, 1), (day - 2, 1), (1, 2), (day - 1, 2)] {
        now.fetch_add(after, Ordering::SeqCst);
        stand.create(&stand.log(START)).await;
        assert_eq!(pipedrive.count(Route::ActivityTypes), asked);
    }
    // A refusal may be of the type: it is looked up anew.
    pipedrive.set_types(&[("Call", "call", false), ("Kundencall", "kundencall", true)]);
    assert_eq!(stand.refusal(&stand.log(START)).await, "Validation failed: type");
    stand.create(&stand.log(START)).await;
    assert_eq!(stand.sent()["type"], "kundencall");
}

#[tokio::test]
async fn a_log_that_pipedrive_cannot_take_is_refused_in_words() {
    let stand = stand();
    let contact = |id: &str| NewCallLog { contact: stand.contact(id), ..stand.log(START) };
    assert_eq!(stand.refusal(&contact("lead-7")).await, "The contact id \"lead-7\" is not a number.");
    assert_eq!(stand.refusal(&contact("999")).await, "The contact is no longer in Pipedrive.");
    let long = NewCallLog { body: "x".repeat(100_001), ..stand.log(START) };
    assert_eq!(stand.refusal(&long).await, "Validation failed: note");
    let pipedrive = stand.pipedrive();
    pipedrive.set_types(&[("Call", "call", false), ("Meeting", "meeting", true)]);
    assert_eq!(
        stand.refusal(&stand.log(START)).await,
        "Call logging requires an active activity type whose name contains \"call\"."
    );
    assert_eq!(pipedrive.activities().len(), 0);
}

#[tokio::test]
async fn a_failure_before_the_activity_is_made_changes_nothing() {
    let now = Arc::new(AtomicI64::new(1_741_794_325_000));
    let stand = FakeCrm { clock: Clock::Manual(now.clone()), ..stand() };
    for route in [Route::GetPerson, Route::ActivityTypes] {
        for fault in [Fault::Status(500), Fault::Html, Fault::DropBeforeAnswer, Fault::Truncated] {
            // The next day the type is asked for again.
            now.fetch_add(24 * 60 * 60 * 1_000, Ordering::SeqCst);
            stand.pipedrive().next(route, fault.clone());
            let error = stand.crm.create_log(&stand.access(), &stand.log(START)).await.unwrap_err();
            assert_eq!(error.effect, Effect::None, "{route:?} {fault:?}");
        }
    }
    assert_eq!(stand.pipedrive().activities().len(), 0);
}

#[tokio::test]
async fn a_note_that_pipedrive_rewrote_is_still_found() {
    let dated: fn(&FakeCrm, &str) -> NewCallLog = FakeCrm::log;
    for make in [dated, FakeCrm::undated] {
        let stand = stand();
        stand.pipedrive().normalise(true);
        let log = make(&stand, START);
        let id = stand.create(&log).await;
        assert_ne!(stand.read(&id).await.body, log.body);
        assert_eq!(stand.find(&log).await, [id]);
    }
}

#[tokio::test]
async fn what_a_user_did_to_a_log_meanwhile_is_seen() {
    let stand = stand();
    let log = stand.log(START);
    let ids = [stand.create(&log).await, stand.create(&log).await, stand.create(&log).await];
    let number = |id: &CallLogId| id.as_str().parse::<u64>().unwrap();
    let pipedrive = stand.pipedrive();
    pipedrive.edit_note(number(&ids[0]), &log.body.replace("Wants a quote", "Wants two quotes"));
    pipedrive.edit(number(&ids[1]), "subject", json!("Edited"));
    pipedrive.delete(number(&ids[2]));
    assert_eq!(stand.find(&log).await, ids[..2]);
    let error = stand.crm.update_log(&stand.access(), &ids[2], &body("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    pipedrive.edit(number(&ids[0]), "note", Value::Null);
    assert_eq!(stand.read(&ids[0]).await.body, "");
    pipedrive.edit(number(&ids[1]), "owner_id", json!(7));
    assert_eq!(stand.find(&log).await, []);
}

#[tokio::test]
async fn a_search_goes_through_three_pages_and_says_when_that_is_not_enough() {
    let stand = stand();
    let log = stand.log(START);
    let id = stand.create(&log).await;
    let mut neighbours = 0;
    for (more, pages, found) in [(99, 1, true), (1, 2, true), (199, 3, true), (1, 3, false)] {
        for _ in 0..more {
            neighbours += 1;
            stand.create(&stand.log("2025-03-13T00:00:00Z")).await;
        }
        let before = stand.pipedrive().count(Route::ListActivities);
        let since = stand.clock.now() - Duration::from_secs(300);
        let outcome = stand.crm.find_logs(&stand.access(), &log, since).await;
        assert_eq!(stand.pipedrive().count(Route::ListActivities) - before, pages, "{neighbours} neighbours");
        match outcome {
            Ok(ids) => assert_eq!((ids, found), (vec![id.clone()], true), "{neighbours} neighbours"),
            Err(error) => assert_eq!((error.kind, found), (ErrorKind::Unavailable, false)),
        }
    }
}

#[tokio::test]
async fn a_contact_is_found_however_its_number_is_written() {
    let stand = stand();
    for (stored, asked, found) in [
        ("+49 30 123456", "+4930123456", true),
        ("030 123457", "+4930123457", true),
        ("0049 30 123458", "+4930123458", true),
        ("+44 30 5550123", "+4930 5550123", false),
        ("+1 4930 5550124", "+49305550124", false),
        ("101", "101", true),
        ("101", "1012", false),
    ] {
        let id = stand.pipedrive().add_person("Somebody", stored, None).to_string();
        let contacts = stand.crm.find_contact(&stand.access(), asked).await.unwrap();
        assert_eq!(contacts.iter().any(|contact| contact.id.as_str() == id), found, "{stored} {asked}");
    }
}

#[tokio::test]
async fn a_refresh_token_of_the_stand_in_is_good_once() {
    let stand = stand();
    let url = format!("{}/oauth/token", stand.access().base_url);
    let first = Secret::new(REFRESH_TOKEN);
    stand.pipedrive().end_access();
    let grant = renew_grant(&stand.http, &url, None, &first).await.unwrap();
    let (access_token, refresh_token) = (grant.access_token, grant.refresh_token);
    let stored = Credentials::OAuth { access_token, refresh_token: refresh_token.clone(), expires_at: None };
    let access = Access { authorization: Authorization::Stored(stored), ..stand.access() };
    stand.crm.create_log(&access, &stand.log(START)).await.unwrap();
    let again = renew_grant(&stand.http, &url, None, &first).await.unwrap_err();
    assert!(matches!(again, RenewalError::Refused), "{again:?}");
    renew_grant(&stand.http, &url, None, &refresh_token.unwrap()).await.unwrap();
    assert_eq!(stand.pipedrive().refreshes(), 3);
}
