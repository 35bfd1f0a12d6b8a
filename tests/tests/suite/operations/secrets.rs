//! What must not be seen: credentials anywhere, and what people wrote anywhere but in the CRM.

use serde_json::json;
use tests::{
    pipedrive::{ACCESS_TOKEN, API_KEY, Route},
    proxy::Fault,
    runtime_api::Function,
    test_app::{JWT_SECRET, call},
};

use crate::harness::{Harness, USER, request, with};

/// What RingCentral's links carry, and server-side logging's form.
const MEDIA: &str = "canary-media-token";
const ADMIN: &str = "canary-admin-token";
/// What people said and wrote.
const NOTE: &str = "canary-note";
const AI_NOTE: &str = "canary-ai-note";
const SUBJECT: &str = "canary-subject";
const LATER: &str = "canary-later";

#[tokio::test]
async fn secrets_stay_where_they_belong() {
    let stage = Harness::start().await;
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
    let token = stage.token(USER);

    // Updates that wait, alone and beside what is logged; a refusal and a lost answer on the way; a wrong field.
    assert_eq!(
        stage.patch(&update("waits")).await.message(),
        "The update will be added when the call is logged."
    );
    assert_eq!(stage.patch(&update("1")).await.status, 200);
    for (fault, message) in [
        (Fault::Status(401), "Authorization error"),
        (Fault::RateLimited { retry_after: None }, "Rate limit exceeded"),
        (Fault::Status(422), "Call logged"),
    ] {
        stage.crm.next(Route::CreateActivity, fault);
        assert_eq!(stage.post(&create("1")).await.message(), message);
    }
    stage.crm.next(Route::UpdateActivity, Fault::Status(422));
    stage.patch(&with(update("1"), json!({"transcript": LATER}))).await;
    stage.patch(&update("1")).await;
    stage.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    stage.post(&create("2")).await;
    for (field, value) in
        [("note", json!([NOTE])), ("authHeader", json!([ACCESS_TOKEN])), ("contactId", json!({"a": NOTE}))]
    {
        let mut body = create("3");
        body[field] = value;
        assert_eq!(stage.post(&body).await.status, 400, "{field}");
    }
    let cut = format!(r#"{{"note": "{NOTE}", "authHeader": "{ACCESS_TOKEN}"#);
    stage.create.invoke(request("POST", &token, &cut)).await;
    stage.create.invoke(request("POST", &format!("{token}x"), &cut)).await;

    let table = stage.table().await;
    let requests: String =
        stage.crm.requests().iter().map(|sent| format!("{}{}{}", sent.path, sent.query, sent.body)).collect();
    assert!(requests.contains(NOTE) && requests.contains(LATER), "the notes did arrive");
    let Harness { create, update, .. } = stage;
    let logs = [create, update].map(Function::into_log).concat();
    assert!(logs.contains("answered"), "{logs}");
    for line in logs.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
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
