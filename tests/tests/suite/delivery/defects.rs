//! Calls that are logged twice, to the wrong record, or not at all, and logs that lose what was in them.

use serde_json::{Value, json};
use tests::{
    fault_proxy::Fault,
    pipedrive::{Route, USER},
    test_app::{Answer, TestApp, call},
};

use crate::harness::with;

const LOGGED: &str = "Call logged";
const UPDATED: &str = "Call log updated.";
const PARKED: &str = "The update will be added when the call is logged.";
const NO_ANSWER: &str = "Pipedrive is not answering";
const REFUSED: &str = "Pipedrive refused the call log";
/// Longer than a request may still land after its sender's deadline.
const GRACE: i64 = 31_000;

fn check(answer: &Answer, message: &str, case: &str) {
    assert_eq!((answer.status, answer.message()), (200, message), "{case}: {}", answer.body);
    let is_failure = [NO_ANSWER, REFUSED].contains(&message);
    assert_eq!(answer.body["successful"], !is_failure, "{case}");
}

async fn logged() -> TestApp {
    let world = TestApp::start().await;
    check(&world.post(&call("1")).await, LOGGED, "the call");
    world
}

/// The one activity that there is.
fn activity(world: &TestApp) -> Value {
    let activities = world.crm.activities();
    assert_eq!(activities.len(), 1, "{activities:?}");
    activities.into_iter().next().unwrap()
}

fn note(world: &TestApp) -> String {
    activity(world)["note"].as_str().unwrap().to_owned()
}

/// The session is all that names a call: what else RingCentral numbers it by may be missing, or be another's.
#[tokio::test]
async fn a_call_needs_no_id_but_its_session() {
    for fields in [
        json!({"id": null, "telephonySessionId": null}),
        json!({"id": null}),
        json!({"telephonySessionId": null}),
        json!({"id": "another", "telephonySessionId": "s-another"}),
    ] {
        let world = TestApp::start().await;
        let body = with(call("1"), json!({"logInfo": fields}));
        check(&world.post(&body).await, LOGGED, &fields.to_string());
        check(&world.post(&call("1")).await, "Call already logged", &fields.to_string());
        let update = json!({"sessionId": "1", "telephonySessionId": "s-other", "aiNote": "Bob asked"});
        check(&world.patch(&update).await, UPDATED, &fields.to_string());
        assert!(note(&world).contains("Bob asked"), "{fields}");
    }
}

/// Server-side logging notes that it logged the call; what the agent typed counts, whichever comes first.
#[tokio::test]
async fn an_agents_note_wins_over_that_of_automatic_logging() {
    let automatic = json!("From auto logging (Pending)");
    let typed = json!("Wants a quote\nCall back Friday");
    for (before, create, after) in [
        (vec![&typed], &automatic, vec![]),
        (vec![&json!("first"), &typed], &automatic, vec![]),
        (vec![&typed], &automatic, vec![&automatic]),
        (vec![&typed, &automatic], &automatic, vec![]),
        (vec![&automatic], &typed, vec![]),
        (vec![&automatic, &typed], &automatic, vec![]),
        (vec![], &automatic, vec![&typed]),
        (vec![], &automatic, vec![&typed, &automatic, &automatic]),
        (vec![], &typed, vec![&automatic]),
    ] {
        let world = TestApp::start().await;
        let case = format!("{before:?}, {create}, {after:?}");
        for note in before {
            check(&world.patch(&json!({"sessionId": "1", "note": note})).await, PARKED, &case);
        }
        let body = with(call("1"), json!({"note": create, "logInfo": {"duration": "pending"}}));
        check(&world.post(&body).await, LOGGED, &case);
        for note in after {
            check(&world.patch(&json!({"sessionId": "1", "note": note})).await, UPDATED, &case);
        }
        let note = note(&world);
        assert!(
            note.contains("Wants a quote<br>Call back Friday") && !note.contains("auto"),
            "{case}: {note}"
        );
    }
}

#[tokio::test]
async fn a_voicemail_that_waits_is_not_displaced_by_its_placeholder() {
    let (link, placeholder) = ("https://voicemail.example/1", "(pending...)");
    for (before, create) in [(vec![link, placeholder], None), (vec![placeholder], Some(link))] {
        let world = TestApp::start().await;
        let case = format!("{before:?}, {create:?}");
        for voicemail in before {
            let body = json!({"sessionId": "1", "voicemailLink": voicemail});
            check(&world.patch(&body).await, PARKED, &case);
        }
        check(&world.post(&with(call("1"), json!({"voicemailLink": create}))).await, LOGGED, &case);
        assert!(note(&world).contains(link), "{case}: {}", note(&world));
    }
}

/// A fact that an update does not tell is not thereby told to be now, or nothing.
#[tokio::test]
async fn an_update_of_one_fact_leaves_the_others_as_they_are() {
    let world = logged().await;
    let before = activity(&world);
    world.pass(3_600_000);
    for facts in [
        json!({"note": "Wants two quotes"}),
        json!({"note": "Wants three quotes", "startTime": null, "duration": null, "direction": "", "from": null}),
        json!({"note": "Wants a quote", "duration": "", "startTime": "", "result": ""}),
    ] {
        check(
            &world.patch(&with(facts.clone(), json!({"sessionId": "1"}))).await,
            UPDATED,
            &facts.to_string(),
        );
        let now = activity(&world);
        let note = facts["note"].as_str().unwrap();
        assert_eq!(now["note"], before["note"].as_str().unwrap().replace("Wants a quote", note), "{facts}");
        let unchanged = |name: &&String| !["note", "update_time"].contains(&name.as_str());
        for name in before.as_object().unwrap().keys().filter(unchanged) {
            assert_eq!(now[name], before[name], "{name} after {facts}");
        }
    }
}

/// An empty note tells nothing: its sender may have none, and what a person wrote must not go with it.
#[tokio::test]
async fn an_empty_note_takes_nothing_away() {
    let world = logged().await;
    for empty in [json!(""), json!(" \n"), json!(null)] {
        check(&world.patch(&json!({"sessionId": "1", "note": empty})).await, UPDATED, "empty");
        assert!(note(&world).contains("Wants a quote"), "{empty}");
    }
}

#[tokio::test]
async fn a_call_without_a_subject_says_who_called_whom() {
    let world = TestApp::start().await;
    let (bob, number) = (json!({"phoneNumber": "+1213", "name": "BOB"}), json!({"phoneNumber": "+1213"}));
    let inbound = |name: Value, from: &Value| (name, json!({"direction": "Inbound", "from": from, "to": {}}));
    let outbound = |name: Value, to: &Value| (name, json!({"direction": "Outbound", "from": {}, "to": to}));
    let quote = json!({"direction": "Inbound", "customSubject": "Quote $&"});
    for (index, ((name, fields), subject)) in [
        (inbound(json!("Bob Client"), &bob), "Inbound Call from Bob Client"),
        (outbound(json!("Bob Client"), &bob), "Outbound Call to Bob Client"),
        (inbound(json!(null), &bob), "Inbound Call from BOB"),
        (outbound(json!(""), &bob), "Outbound Call to BOB"),
        (inbound(json!(null), &number), "Inbound Call from +1213"),
        (outbound(json!(null), &number), "Outbound Call to +1213"),
        (inbound(json!(null), &json!({})), "Inbound Call from unknown"),
        (outbound(json!(null), &json!(null)), "Outbound Call to unknown"),
        ((json!("Bob Client"), quote), "Quote $&"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = call("1");
        body["logInfo"] = fields;
        body["logInfo"]["sessionId"] = json!(format!("session-{index}"));
        body["contactName"] = name;
        check(&world.post(&body).await, LOGGED, subject);
        assert_eq!(world.crm.activities()[index]["subject"], subject);
    }
}

/// Nobody but the token says whose log it is, and nobody but the table what they want in it.
#[tokio::test]
async fn a_body_chooses_neither_the_owner_nor_the_settings() {
    let mut world = TestApp::start().await;
    world.user.settings.0.insert("addCallLogDuration".to_owned(), json!({"value": false}));
    world.app.store.put_user(&world.user).await.unwrap();
    let form =
        json!({"isAssignedToUser": true, "adminAssignedUserRcId": "9", "adminAssignedUserToken": "x.y.z"});
    let settings = json!({"addCallLogDuration": {"value": true}, "addCallLogNote": {"value": false}});
    let fields =
        json!({"additionalSubmission": form, "user": {"userSettings": settings}, "userSettings": settings});
    check(&world.post(&with(call("1"), fields.clone())).await, LOGGED, "the call");
    check(
        &world.patch(&with(fields, json!({"sessionId": "1", "duration": 130}))).await,
        UPDATED,
        "the update",
    );
    let activity = activity(&world);
    let note = activity["note"].as_str().unwrap();
    assert_eq!(activity["owner_id"], USER);
    assert!(note.contains("Wants a quote") && !note.contains("Duration"), "{note}");
}

/// A note that somebody emptied is an empty note, not a failure and not a reason to write everything anew.
#[tokio::test]
async fn a_log_without_a_note_takes_what_is_new() {
    let world = logged().await;
    world.crm.edit(5001, "note", Value::Null);
    let update = json!({"sessionId": "1", "note": "Wants a quote", "recordingLink": "https://rec.example/1"});
    check(&world.patch(&update).await, UPDATED, "the update");
    let note = note(&world);
    assert!(note.contains("https://rec.example/1") && !note.contains("Wants a quote"), "{note}");
}

/// What Pipedrive says in its body counts, and a refusal is one whatever its number.
#[tokio::test]
async fn a_failure_is_told_as_what_it_is() {
    let no = r#"{"success": false, "error": "No"}"#;
    for (status, message) in [(200, NO_ANSWER), (404, REFUSED), (409, REFUSED), (410, REFUSED)] {
        let world = TestApp::start().await;
        world.crm.next(Route::CreateActivity, Fault::Refusal(status, no));
        let answer = world.post(&call("1")).await;
        check(&answer, message, &format!("create {status}"));
        assert_eq!((answer.log_id(), world.crm.activities().len()), (None, 0), "{status}");
        world.pass(GRACE);
        check(&world.post(&call("1")).await, LOGGED, &format!("create after {status}"));
    }
    for (status, message) in [(200, NO_ANSWER), (409, REFUSED)] {
        let world = logged().await;
        let before = activity(&world);
        world.crm.next(Route::UpdateActivity, Fault::Refusal(status, no));
        let update = json!({"sessionId": "1", "aiNote": "Bob asked"});
        check(&world.patch(&update).await, message, &format!("update {status}"));
        assert_eq!(activity(&world), before, "{status}");
        world.pass(GRACE);
        check(&world.patch(&update).await, UPDATED, &format!("update after {status}"));
        assert!(note(&world).contains("Bob asked"), "{status}");
    }
}
