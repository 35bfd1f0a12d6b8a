//! The responses to valid requests.

use serde_json::{Value, json};
use tests::{
    pipedrive::API_KEY,
    test_app::{Response, api_key, call},
};

use crate::harness::{Harness, USER, warning, with};

/// Asserts that the whole response is as expected.
fn check(response: &Response, expected: &Value) {
    assert_eq!((response.status, &response.body), (200, expected));
    assert_eq!(response.headers["content-type"], "application/json");
    assert_eq!(response.headers["cache-control"], "no-store");
}

fn success(message: &str, ttl: u32, more: Value) -> Value {
    let response = json!({"successful": true, "returnMessage": {"message": message, "messageType": "success", "ttl": ttl}});
    with(response, more)
}

#[tokio::test]
async fn a_repeated_create_logs_nothing_and_an_update_changes_the_record() {
    let harness = Harness::start().await;
    check(&harness.post(&call("1")).await, &success("Call logged", 2000, json!({"logId": "5001"})));
    let logged = harness.note();
    assert!(logged.contains("Wants a quote"), "{logged}");

    let again = success("Call already logged", 3000, json!({"logId": "5001"}));
    check(&harness.post(&call("1")).await, &again);
    check(&harness.post(&with(call("1"), json!({"contactId": 78}))).await, &again);
    assert_eq!(harness.note(), logged);
    // A note that no request has brought before is an update.
    check(&harness.post(&with(call("1"), json!({"note": "Wants another quote"}))).await, &again);
    check(&harness.post(&call("1")).await, &again);
    assert_eq!(harness.note(), logged.replace("Wants a quote", "Wants another quote"));

    let updated = harness.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await;
    let body = harness.note();
    assert!(body.contains("Wants two quotes") && !body.contains("Wants a quote"), "{body}");
    check(&updated, &success("Call log updated.", 2000, json!({"logId": "5001", "updatedNote": body})));

    // An update that changes nothing gets the same response, and is not written.
    let writes = harness.crm.count(tests::pipedrive::Route::UpdateActivity);
    let updated = harness.patch(&json!({"sessionId": "1", "note": "Wants two quotes"})).await;
    check(&updated, &success("Call log updated.", 2000, json!({"logId": "5001", "updatedNote": body})));
    assert_eq!(harness.crm.count(tests::pipedrive::Route::UpdateActivity), writes);

    check(&harness.post(&call("2")).await, &success("Call logged", 2000, json!({"logId": "5002"})));
}

/// The dialects are those of the extension and of the interface.
#[tokio::test]
async fn both_request_dialects_create_the_same_record() {
    let harness = Harness::start().await;
    let extension = call("1");
    let record =
        with(extension["logInfo"].clone(), json!({"sessionId": 2, "startTime": "2025-03-12T15:45:25.000Z"}));
    let interface = json!({
        "user": {"id": USER}, "callLog": record, "note": "Wants a quote", "additionalSubmission": {},
        "contactInfo": {"id": "77", "type": "contact", "phoneNumber": "+12135550111", "name": "Bob Client"},
    });
    for body in [extension, interface] {
        assert_eq!(harness.post(&body).await.message(), "Call logged", "{body}");
    }
    let logs = harness.crm.activities();
    let compared = [
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
    for field in compared {
        assert_eq!(logs[0][field], logs[1][field], "{field}");
        assert!(!logs[0][field].is_null(), "{field}");
    }

    let interface = json!({
        "user": {"id": USER}, "existingCallLog": {"sessionId": "2", "duration": 3}, "subject": "Quote",
        "recordingLink": "https://rec.example/1", "note": "Wants two quotes",
    });
    let extension = with(interface.clone(), json!({"user": null, "existingCallLog": null, "sessionId": 1}));
    for body in [extension, interface] {
        assert_eq!(harness.patch(&body).await.message(), "Call log updated.", "{body}");
    }
    let logs = harness.crm.activities();
    for field in compared {
        assert_eq!(logs[0][field], logs[1][field], "{field}");
    }
    assert_eq!(logs[0]["subject"], "Quote");
}

#[tokio::test]
async fn a_call_for_which_there_is_no_contact_is_not_logged() {
    let harness = Harness::start().await;
    let outbound = json!({"logInfo": {"direction": "Outbound"}, "contactId": null});
    let without_caller = json!({"logInfo": {"from": null}, "contactId": null});
    for (fields, number) in [
        (json!({"contactId": null, "contactInfo": {"phoneNumber": "+13105550133"}}), "+13105550133"),
        (outbound, "+16505550100"),
        (without_caller, "unknown"),
    ] {
        let response = harness.post(&with(call("1"), fields.clone())).await;
        check(&response, &warning(&format!("Contact not found for number {number}"), &[]));
    }
    assert_eq!(harness.crm.activities(), Vec::<Value>::new());
    // Nothing was stored either: with a contact the call is logged.
    assert_eq!(harness.post(&call("1")).await.message(), "Call logged");
}

#[tokio::test]
async fn a_user_without_a_connection_is_asked_to_connect() {
    let harness = Harness::start().await;
    let expected = warning("User not found. Please connect to your CRM.", &[]);
    harness.put_user("2-pipedrive", None).await;
    for user in ["1-pipedrive", "2-pipedrive", "3-nosuchcrm"] {
        check(&harness.post_as(user, &call("1")).await, &expected);
        check(&harness.patch_as(user, &json!({"sessionId": "1", "note": "n"})).await, &expected);
        // A credential in the request does not connect the user.
        let with_header = with(call("1"), json!({"authHeader": format!("Bearer {API_KEY}")}));
        check(&harness.post_as(user, &with_header).await, &expected);
    }
    assert!(harness.crm.requests().is_empty());

    // After connecting, the call can be logged. After disconnecting, its log cannot be changed.
    harness.put_user("2-pipedrive", Some(api_key(API_KEY))).await;
    assert_eq!(harness.post_as("2-pipedrive", &call("1")).await.message(), "Call logged");
    harness.put_user("2-pipedrive", None).await;
    check(&harness.patch_as("2-pipedrive", &json!({"sessionId": "1", "note": "n"})).await, &expected);
    harness.put_user("2-pipedrive", Some(api_key(API_KEY))).await;
    assert_eq!(
        harness.patch_as("2-pipedrive", &json!({"sessionId": "1", "note": "m"})).await.message(),
        "Call log updated."
    );
}

#[tokio::test]
async fn an_update_before_its_create_is_written_with_the_create() {
    let harness = Harness::start().await;
    let queued = success("The update will be added when the call is logged.", 3000, json!({}));
    let recording = "https://rec.example/646?view=player";
    check(&harness.patch(&json!({"sessionId": "1", "recordingLink": recording})).await, &queued);
    check(&harness.patch(&json!({"sessionId": 1, "aiNote": "Bob asked for a quote"})).await, &queued);
    assert!(harness.crm.requests().is_empty());

    let created = with(call("1"), json!({"logInfo": {"recording": {"link": "(pending...)"}}}));
    check(&harness.post(&created).await, &success("Call logged", 2000, json!({"logId": "5001"})));
    let note = harness.note();
    for expected in ["Wants a quote", recording, "Bob asked for a quote"] {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    assert!(!note.contains("(pending...)"), "{note}");
    assert_eq!(
        harness.crm.count(tests::pipedrive::Route::UpdateActivity),
        0,
        "the create has the update, so there is no second write"
    );
}

/// Server-side logging sends a create when a call starts, and an update when it ends.
#[tokio::test]
async fn a_call_is_logged_when_it_starts_and_completed_when_it_ends() {
    let harness = Harness::start().await;
    let early = with(
        call("1"),
        json!({
            "logInfo": {"duration": "pending", "result": null}, "note": "From auto logging (Pending)",
            "extensionNumber": "101", "hashedExtensionId": "8c41d7e3b05f",
        }),
    );
    assert_eq!(harness.post(&early).await.message(), "Call logged");
    assert!(harness.crm.activities()[0]["duration"].is_null(), "the duration is not known yet");

    let end = json!({
        "sessionId": "1", "hashedExtensionId": "8c41d7e3b05f", "duration": 3665, "result": "Call connected",
        "note": "Wants a quote", "recordingLink": "https://rec.example/1",
    });
    assert_eq!(harness.patch(&end).await.message(), "Call log updated.");
    let note = harness.note();
    for expected in ["Wants a quote", "Call connected", "https://rec.example/1", "1 hour"] {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    for placeholder in ["Pending", "pending"] {
        assert!(!note.contains(placeholder), "{placeholder} is in {note}");
    }
    assert_eq!(harness.crm.activities()[0]["duration"], "01:02");
}
