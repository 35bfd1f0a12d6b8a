//! Users and extensions: which record a request can reach.

use call_log::model::{CrmAccount, Platform, UserId};
use tests::{
    pipedrive::{API_KEY, USER},
    test_app::api_key,
};

use super::*;
use crate::harness::with;

/// Returns the body of a create from an extension.
fn call_of(extension: &str) -> Value {
    let mut body = call(SESSION);
    body["logInfo"]["hashedExtensionId"] = json!(extension);
    body
}

#[tokio::test]
async fn a_session_id_does_not_lead_to_the_record_of_another_company_or_crm() {
    let test = logged().await;
    let other = User {
        id: UserId::new("67890-pipedrive").unwrap(),
        account: CrmAccount { id: Some("another company".to_owned()), ..CrmAccount::default() },
        ..test.user.clone()
    };
    test.app.store.put_user(&other).await.unwrap();
    let foreign = User { platform: Platform::new("example").unwrap(), ..test.user.clone() };
    let before = activity(&test);

    let details = update(json!({"aiNote": "from another company"}));
    let response = start(&test.app, &other, "PATCH", details.clone()).await.unwrap();
    check(&response, QUEUED_UNTIL_LOGGED, "another company");
    for method in ["PATCH", "POST"] {
        let body = if method == "POST" { call(SESSION) } else { details.clone() };
        let response = start(&test.app, &foreign, method, body).await.unwrap();
        check(&response, NOT_CONNECTED, "another platform");
    }
    assert_eq!(activity(&test), before);

    let response = start(&test.app, &other, "POST", call(SESSION)).await.unwrap();
    assert_eq!((response.message(), response.log_id()), (LOGGED, Some("5002")));
    let notes =
        test.crm.activities().into_iter().map(|activity| activity["note"].as_str().unwrap().to_owned());
    let has_update: Vec<_> = notes.map(|note| note.contains("from another company")).collect();
    assert_eq!(has_update, [false, true]);
}

#[tokio::test]
async fn an_extension_updates_its_own_log_or_one_without_an_extension() {
    for (logged_by, updated_by, message) in [
        (None, Some("A"), UPDATED),
        (Some("A"), Some("A"), UPDATED),
        (Some("A"), Some("B"), QUEUED_UNTIL_LOGGED),
        (Some("A"), None, UPDATED),
    ] {
        let test = TestApp::start().await;
        check(&test.post(&logged_by.map_or(call(SESSION), call_of)).await, LOGGED, "create");
        let mut details = update(json!({"aiNote": "Bob asked"}));
        details["hashedExtensionId"] = json!(updated_by);
        let case = format!("{logged_by:?} {updated_by:?}");
        check(&test.patch(&details).await, message, &case);
        assert_eq!(note(&test).contains("Bob asked"), message == UPDATED, "{case}");
    }
}

#[tokio::test]
async fn an_update_waits_for_the_call_of_its_own_extension() {
    let test = TestApp::start().await;
    for (details, extension) in [
        (json!({"result": "Voicemail"}), "no extension"),
        (json!({"aiNote": "for A", "hashedExtensionId": "A"}), "extension A"),
        (json!({"aiNote": "for B", "hashedExtensionId": "B"}), "extension B"),
    ] {
        check(&test.patch(&update(details)).await, QUEUED_UNTIL_LOGGED, extension);
    }
    check(&test.post(&call_of("A")).await, LOGGED, "create");
    check_text(&note(&test), &["for A", "Voicemail"], &["for B"]);
    check(&test.post(&call_of("B")).await, LOGGED, "create");
    let second = test.crm.activities()[1]["note"].as_str().unwrap().to_owned();
    check_text(&second, &["for B"], &["for A", "Voicemail"]);
}

#[tokio::test]
async fn each_extension_logs_the_call_once() {
    let test = TestApp::start().await;
    for (extension, message) in [("A", LOGGED), ("B", LOGGED), ("A", ALREADY_LOGGED), ("B", ALREADY_LOGGED)] {
        check(&test.post(&call_of(extension)).await, message, extension);
    }
    assert_eq!(test.crm.activities().len(), 2);
}

/// The owner comes from the token, and the settings from the table.
#[tokio::test]
async fn a_request_body_chooses_neither_the_owner_nor_the_settings() {
    let mut test = TestApp::start().await;
    test.user.settings.0.insert("addCallLogDuration".to_owned(), json!({"value": false}));
    test.app.store.put_user(&test.user).await.unwrap();
    let form =
        json!({"isAssignedToUser": true, "adminAssignedUserRcId": "9", "adminAssignedUserToken": "x.y.z"});
    let settings = json!({"addCallLogDuration": {"value": true}, "addCallLogNote": {"value": false}});
    let fields =
        json!({"additionalSubmission": form, "user": {"userSettings": settings}, "userSettings": settings});
    check(&test.post(&with(call(SESSION), fields.clone())).await, LOGGED, "create");
    check(&test.patch(&with(update(json!({"duration": 130})), fields)).await, UPDATED, "update");
    let activity = activity(&test);
    let note = activity["note"].as_str().unwrap();
    assert_eq!(activity["owner_id"], USER);
    assert!(note.contains("Wants a quote") && !note.contains("Duration"), "{note}");
}

/// Stores a colleague of the log's creator, with this key.
async fn colleague(test: &TestApp, key: &str) -> User {
    let id = UserId::new("777-pipedrive").unwrap();
    let user = User { id, credentials: Some(api_key(key)), ..test.user.clone() };
    test.app.store.put_user(&user).await.unwrap();
    user
}

const MISSING: Fault = Fault::Refusal(404, r#"{"success": false, "error": "Activity not found"}"#);

#[tokio::test]
async fn a_record_that_a_colleague_cannot_see_is_deleted_only_if_its_creator_cannot_see_it_either() {
    for (case, creators, message) in [
        ("the creator sees it", Some(true), "The call is in Pipedrive, but you cannot see it."),
        ("the creator does not see it", Some(false), "The call log was deleted in Pipedrive."),
        ("the creator is not connected", None, NOT_ANSWERING),
    ] {
        let test = logged().await;
        let colleague = colleague(&test, API_KEY).await;
        let before = note(&test);
        if creators.is_none() {
            test.app.store.put_user(&User { credentials: None, ..test.user.clone() }).await.unwrap();
        }
        test.crm.next(Route::GetActivity, MISSING);
        if creators == Some(false) {
            test.crm.next(Route::GetActivity, MISSING);
        }
        let details = update(json!({"aiNote": "Bob asked"}));
        let response = start(&test.app, &colleague, "PATCH", details).await.unwrap();
        assert_eq!((response.status, response.message()), (200, message), "{case}: {}", response.body);
        assert_eq!(note(&test), before, "{case}");
        // Nothing is lost: as soon as the colleague sees the record, the update is written.
        test.redrive_for(5).await;
        let is_written = note(&test).contains("Bob asked");
        assert_eq!(is_written, creators != Some(false), "{case}: {}", note(&test));
    }
}

#[tokio::test]
async fn the_creator_alone_decides_that_a_record_is_deleted() {
    let test = logged().await;
    test.crm.next(Route::GetActivity, MISSING);
    let reads = test.crm.count(Route::GetActivity);
    check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, DELETED, "the creator");
    assert_eq!(test.crm.count(Route::GetActivity), reads + 1);
}

/// Details of two users wait. The one who is not allowed to write does not keep the other's out.
#[tokio::test]
async fn what_a_user_may_not_write_is_tried_with_the_credential_of_the_other_one() {
    let test = logged().await;
    let colleague = colleague(&test, "a key that was revoked").await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.patch(&update(json!({"aiNote": "of the agent"}))).await, NOT_ANSWERING, "it waits");
    test.crm.outage(None);
    let details = update(json!({"result": "Voicemail"}));
    let response = start(&test.app, &colleague, "PATCH", details).await.unwrap();
    check(&response, "Authorization error", "the colleague");
    test.redrive_for(5).await;
    check_text(&note(&test), &["of the agent", "Voicemail"], &[]);
}

#[tokio::test]
async fn a_note_that_the_crm_rejects_does_not_keep_another_users_note_out() {
    let test = logged().await;
    let colleague = colleague(&test, API_KEY).await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.patch(&update(json!({"note": "of the agent"}))).await, NOT_ANSWERING, "it waits");
    test.crm.outage(None);
    // Both notes together, then the agent's alone.
    for _ in 0..2 {
        let refusal = Fault::Refusal(400, r#"{"success": false, "error": "Validation failed: note"}"#);
        test.crm.next(Route::UpdateActivity, refusal);
    }
    start(&test.app, &colleague, "PATCH", update(json!({"note": "of the colleague"}))).await.unwrap();
    check_text(&note(&test), &["of the colleague"], &["of the agent"]);
}
