//! What becomes of a request that nothing goes wrong with.

use serde_json::{Value, json};
use tests::{
    pipedrive::API_KEY,
    test_app::{Answer, call},
};

use crate::harness::{Harness, USER, api_key, warning, with};

/// The answer, to the last field.
fn check(answer: &Answer, expected: &Value) {
    assert_eq!((answer.status, &answer.body), (200, expected));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

fn success(message: &str, ttl: u32, more: Value) -> Value {
    let answer = json!({"successful": true, "returnMessage": {"message": message, "messageType": "success", "ttl": ttl}});
    with(answer, more)
}

#[tokio::test]
async fn a_call_is_logged_once_and_updated() {
    let stage = Harness::start().await;
    check(&stage.post(&call("1")).await, &success("Call logged", 2000, json!({"logId": "5001"})));
    let logged = stage.note();
    assert!(logged.contains("Wants a quote"), "{logged}");

    let again = success("Call already logged", 3000, json!({"logId": "5001"}));
    check(&stage.post(&call("1")).await, &again);
    check(&stage.post(&with(call("1"), json!({"note": "Another note", "contactId": 78}))).await, &again);
    assert_eq!(stage.note(), logged);

    let updated = stage.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await;
    let body = stage.note();
    assert!(body.contains("Wants two quotes") && !body.contains("Wants a quote"), "{body}");
    check(&updated, &success("Call log updated.", 2000, json!({"logId": "5001", "updatedNote": body})));

    // What changes nothing is answered the same, and not written.
    let writes = stage.crm.count(tests::pipedrive::Route::UpdateActivity);
    let updated = stage.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await;
    check(&updated, &success("Call log updated.", 2000, json!({"logId": "5001", "updatedNote": body})));
    assert_eq!(stage.crm.count(tests::pipedrive::Route::UpdateActivity), writes);

    check(&stage.post(&call("2")).await, &success("Call logged", 2000, json!({"logId": "5002"})));
}

/// The seed documents' dialect, and the log's time zone, contact and subject.
#[tokio::test]
async fn both_dialects_make_the_same_log() {
    let stage = Harness::start().await;
    let extension = call("1");
    let record =
        with(extension["logInfo"].clone(), json!({"sessionId": 2, "startTime": "2025-03-12T15:45:25.000Z"}));
    let interface = json!({
        "user": {"id": USER}, "callLog": record, "note": "Wants a quote", "additionalSubmission": {},
        "contactInfo": {"id": "77", "type": "contact", "phoneNumber": "+12135550111", "name": "Bob Client"},
    });
    for body in [extension, interface] {
        assert_eq!(stage.post(&body).await.message(), "Call logged", "{body}");
    }
    let logs = stage.crm.activities();
    let told = [
        "subject",
        "note",
        "type",
        "due_date",
        "due_time",
        "duration",
        "done",
        "owner_id",
        "person_id",
        "org_id",
    ];
    for field in told {
        assert_eq!(logs[0][field], logs[1][field], "{field}");
        assert!(!logs[0][field].is_null(), "{field}");
    }

    let interface = json!({
        "user": {"id": USER}, "existingCallLog": {"sessionId": "2", "duration": 3}, "subject": "Quote",
        "recordingLink": "https://rec.example/1", "note": "Wants two quotes",
    });
    let extension = with(interface.clone(), json!({"user": null, "existingCallLog": null, "sessionId": 1}));
    for body in [extension, interface] {
        assert_eq!(stage.patch(&body).await.message(), "Call log updated.", "{body}");
    }
    let logs = stage.crm.activities();
    for field in told {
        assert_eq!(logs[0][field], logs[1][field], "{field}");
    }
    assert_eq!(logs[0]["subject"], "Quote");
}

#[tokio::test]
async fn without_a_contact_nothing_is_logged() {
    let stage = Harness::start().await;
    let outbound = json!({"logInfo": {"direction": "Outbound"}, "contactId": null});
    let nobody = json!({"logInfo": {"from": null}, "contactId": null});
    for (fields, number) in [
        (json!({"contactId": null}), "+12135550111"),
        (json!({"contactId": ""}), "+12135550111"),
        (json!({"contactId": 0}), "+12135550111"),
        (json!({"contactId": "0"}), "+12135550111"),
        (json!({"contactId": false}), "+12135550111"),
        (json!({"contactId": null, "contactInfo": {"phoneNumber": "+13105550133"}}), "+13105550133"),
        (outbound, "+16505550100"),
        (nobody, "unknown"),
    ] {
        let answer = stage.post(&with(call("1"), fields.clone())).await;
        check(&answer, &warning(&format!("Contact not found for number {number}"), &[]));
    }
    assert!(stage.crm.requests().is_empty());
    // Nothing was remembered either: with a contact the call is logged.
    assert_eq!(stage.post(&call("1")).await.message(), "Call logged");
}

#[tokio::test]
async fn a_user_who_is_not_connected_is_told_to_connect() {
    let stage = Harness::start().await;
    let expected = warning("User not found. Please connect to your CRM.", &[]);
    stage.put_user("2-pipedrive", None).await;
    for user in ["1-pipedrive", "2-pipedrive", "3-nosuchcrm"] {
        check(&stage.post_as(user, &call("1")).await, &expected);
        check(&stage.patch_as(user, &json!({"sessionId": "1", "note": "n"})).await, &expected);
        // A caller's own header is no connection.
        let with_header = with(call("1"), json!({"authHeader": format!("Bearer {API_KEY}")}));
        check(&stage.post_as(user, &with_header).await, &expected);
    }
    assert!(stage.crm.requests().is_empty());

    // Nothing is lost: once connected the call can be logged, and once disconnected it cannot be changed.
    stage.put_user("2-pipedrive", Some(api_key(API_KEY))).await;
    assert_eq!(stage.post_as("2-pipedrive", &call("1")).await.message(), "Call logged");
    stage.put_user("2-pipedrive", None).await;
    check(&stage.patch_as("2-pipedrive", &json!({"sessionId": "1", "note": "n"})).await, &expected);
    stage.put_user("2-pipedrive", Some(api_key(API_KEY))).await;
    assert_eq!(
        stage.patch_as("2-pipedrive", &json!({"sessionId": "1", "note": "m"})).await.message(),
        "Call log updated."
    );
}

#[tokio::test]
async fn an_update_that_comes_first_waits_for_the_call() {
    let stage = Harness::start().await;
    let waits = success("The update will be added when the call is logged.", 3000, json!({}));
    let recording = "https://rec.example/646?view=player";
    check(&stage.patch(&json!({"sessionId": "1", "recordingLink": recording})).await, &waits);
    check(&stage.patch(&json!({"sessionId": 1, "aiNote": "Bob asked for a quote"})).await, &waits);
    assert!(stage.crm.requests().is_empty());

    let created = with(call("1"), json!({"logInfo": {"recording": {"link": "(pending...)"}}}));
    check(&stage.post(&created).await, &success("Call logged", 2000, json!({"logId": "5001"})));
    let note = stage.note();
    for expected in ["Wants a quote", recording, "Bob asked for a quote"] {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    assert!(!note.contains("(pending...)"), "{note}");
    assert_eq!(stage.crm.count(tests::pipedrive::Route::UpdateActivity), 0, "one write is enough");
}

/// Server-side logging logs a call when it begins, and tells what became of it at its end.
#[tokio::test]
async fn a_call_is_logged_at_its_beginning() {
    let stage = Harness::start().await;
    let early = with(
        call("1"),
        json!({
            "logInfo": {"duration": "pending", "result": null}, "note": "From auto logging (Pending)",
            "extensionNumber": "101", "hashedExtensionId": "8c41d7e3b05f",
        }),
    );
    assert_eq!(stage.post(&early).await.message(), "Call logged");
    assert!(stage.crm.activities()[0]["duration"].is_null(), "a duration that nobody knows");

    let end = json!({
        "sessionId": "1", "hashedExtensionId": "8c41d7e3b05f", "duration": 3665, "result": "Call connected",
        "note": "Wants a quote", "recordingLink": "https://rec.example/1",
    });
    assert_eq!(stage.patch(&end).await.message(), "Call log updated.");
    let note = stage.note();
    for expected in ["Wants a quote", "Call connected", "https://rec.example/1", "1 hour"] {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    for placeholder in ["Pending", "pending"] {
        assert!(!note.contains(placeholder), "{placeholder} is in {note}");
    }
    assert_eq!(stage.crm.activities()[0]["duration"], "01:02");
}
