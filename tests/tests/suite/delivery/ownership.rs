//! Users and extensions: which record a request can reach.

use call_log::model::{CrmAccount, Platform, UserId};
use tests::pipedrive::USER;

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
