//! Credentials are in no log, table or CRM record, and notes only in the CRM.

use serde_json::json;
use tests::{
    pipedrive::{ACCESS_TOKEN, API_KEY, Route},
    proxy::Fault,
    runtime_api::Function,
    test_app::{JWT_SECRET, call},
};

use crate::harness::{Harness, USER, request, with};

/// Tokens in RingCentral's links, and in the form of server-side logging.
const MEDIA: &str = "canary-media-token";
const ADMIN: &str = "canary-admin-token";
/// Texts that people wrote.
const NOTE: &str = "canary-note";
const AI_NOTE: &str = "canary-ai-note";
const SUBJECT: &str = "canary-subject";
const LATER: &str = "canary-later";

#[tokio::test]
async fn secrets_and_notes_are_in_neither_the_log_nor_the_table() {
    let harness = Harness::start().await;
    let media = format!("https://media.example/646/content?accessToken={MEDIA}");
    let create = |session: &str| {
        with(
            call(session),
            json!({
                "logInfo": {
                    "recording": {"link": "https://rec.example/646", "downloadUrl": media, "contentUri": media},
                    "customSubject": SUBJECT,
                },
                "note": NOTE, "aiNote": AI_NOTE, "authHeader": format!("Bearer {ACCESS_TOKEN}"),
                "additionalSubmission": {"adminAssignedUserToken": ADMIN, "isAssignedToUser": true},
                "recordingDownloadLink": media,
            }),
        )
    };
    let update = |session: &str| {
        json!({
            "sessionId": session, "recordingLink": "https://rec.example/646", "recordingDownloadLink": media,
            "note": LATER, "authHeader": format!("Bearer {ACCESS_TOKEN}"),
            "additionalSubmission": {"adminAssignedUserToken": ADMIN},
        })
    };
    let token = harness.token(USER);

    // Queued updates with and without a log, rejections, a lost response, and invalid fields.
    assert_eq!(
        harness.patch(&update("queued")).await.message(),
        "The update will be added when the call is logged."
    );
    assert_eq!(harness.patch(&update("1")).await.status, 200);
    for (fault, message) in [
        (Fault::Status(401), "Authorization error"),
        (Fault::RateLimited { retry_after: None }, "Rate limit exceeded"),
        (Fault::Status(422), "Call logged"),
    ] {
        harness.crm.next(Route::CreateActivity, fault);
        assert_eq!(harness.post(&create("1")).await.message(), message);
    }
    harness.crm.next(Route::UpdateActivity, Fault::Status(422));
    harness.patch(&with(update("1"), json!({"transcript": LATER}))).await;
    harness.patch(&update("1")).await;
    harness.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    harness.post(&create("2")).await;
    for (field, value) in
        [("note", json!([NOTE])), ("authHeader", json!([ACCESS_TOKEN])), ("contactId", json!({"a": NOTE}))]
    {
        let mut body = create("3");
        body[field] = value;
        assert_eq!(harness.post(&body).await.status, 400, "{field}");
    }
    let cut = format!(r#"{{"note": "{NOTE}", "authHeader": "{ACCESS_TOKEN}"#);
    harness.create.invoke(request("POST", &token, &cut)).await;
    harness.create.invoke(request("POST", &format!("{token}x"), &cut)).await;

    let table = harness.table().await;
    let requests: String = harness
        .crm
        .requests()
        .iter()
        .map(|sent| format!("{}{}{}", sent.path, sent.query, sent.body))
        .collect();
    assert!(requests.contains(NOTE) && requests.contains(LATER), "the CRM received the notes");
    let Harness { create, update, .. } = harness;
    let logs = [create, update].map(Function::into_log).concat();
    assert!(logs.contains("answered"), "{logs}");
    for line in logs.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }

    for secret in [MEDIA, ADMIN, ACCESS_TOKEN, API_KEY, JWT_SECRET, &token] {
        for (place, text) in [("the log", &logs), ("the table", &table), ("the CRM", &requests)] {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
    for text in [NOTE, AI_NOTE, SUBJECT, LATER, "Bob Client", "BOB CLIENT", "2135550111"] {
        for (place, found) in [("the log", &logs), ("the table", &table)] {
            assert!(!found.contains(text), "{text} is in {place}: {found}");
        }
    }
}
