//! Tests that credentials appear nowhere, and that texts of calls appear only in the CRM.

use serde_json::json;
use tests::{
    messages::{LOGGED, QUEUED_UNTIL_LOGGED, RATE_LIMITED, UNAUTHORIZED},
    pipedrive::{ACCESS_TOKEN, API_KEY, Route},
    proxy::Fault,
    runtime_api::Function,
    test_app::{HASH_KEY, JWT_SECRET, call},
};

use crate::harness::{Harness, USER, request, with};

/// The token in RingCentral's links, and the administrator's token in the requests of server-side logging.
const MEDIA: &str = "canary-media-token";
const ADMIN: &str = "canary-admin-token";
/// Texts that people said or wrote.
const NOTE: &str = "canary-note";
const AI_NOTE: &str = "canary-ai-note";
const SUBJECT: &str = "canary-subject";
const LATER: &str = "canary-later";

#[tokio::test]
async fn the_log_and_the_table_contain_no_secret_and_no_text_of_a_call() {
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

    // Queued updates, before and after their call is logged; rejected requests, a lost request and invalid fields.
    assert_eq!(harness.patch(&update("waits")).await.message(), QUEUED_UNTIL_LOGGED);
    assert_eq!(harness.patch(&update("1")).await.status, 200);
    for (fault, message) in [
        (Fault::Status(401), UNAUTHORIZED),
        (Fault::RateLimited { retry_after: None }, RATE_LIMITED),
        (Fault::Status(422), LOGGED),
    ] {
        harness.crm.next(Route::CreateActivity, fault);
        assert_eq!(harness.post(&create("1")).await.message(), message);
        harness.close_breaker().await;
    }
    harness.crm.next(Route::UpdateActivity, Fault::Status(422));
    harness.patch(&with(update("1"), json!({"transcript": LATER}))).await;
    harness.patch(&update("1")).await;
    harness.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    harness.post(&create("2")).await;
    for (field, value, status) in [
        ("note", json!([NOTE]), 200),
        ("authHeader", json!([ACCESS_TOKEN]), 400),
        ("contactId", json!({"a": NOTE}), 200),
    ] {
        let mut body = create("3");
        body[field] = value;
        assert_eq!(harness.post(&body).await.status, status, "{field}");
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
    assert!(requests.contains(NOTE) && requests.contains(LATER), "the notes did not arrive at the CRM");
    let Harness { create, update, .. } = harness;
    let logs = [create, update].map(Function::into_log).concat();
    assert!(logs.contains("answered"), "{logs}");
    for line in logs.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }

    for secret in [MEDIA, ADMIN, ACCESS_TOKEN, API_KEY, JWT_SECRET, HASH_KEY, &token] {
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
