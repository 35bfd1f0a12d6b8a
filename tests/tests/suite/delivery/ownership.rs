//! Whose call it is.

use call_log::model::{Platform, UserId};
use tests::pipedrive::USER;

use super::*;
use crate::harness::with;

/// The call, as an extension logs it.
fn call_of(extension: &str) -> Value {
    let mut body = call(SESSION);
    body["logInfo"]["hashedExtensionId"] = json!(extension);
    body
}

#[tokio::test]
async fn nobody_reaches_anothers_log_by_the_same_session() {
    let world = logged().await;
    let other = User { id: UserId::new("67890-pipedrive").unwrap(), ..world.user.clone() };
    world.app.store.put_user(&other).await.unwrap();
    let foreign = User { platform: Platform::new("example").unwrap(), ..world.user.clone() };
    let before = activity(&world);

    let facts = update(json!({"aiNote": "from elsewhere"}));
    let answer = start(&world.app, &other, "PATCH", facts.clone()).await.unwrap();
    check(&answer, PARKED, "another user");
    for method in ["PATCH", "POST"] {
        let body = if method == "POST" { call(SESSION) } else { facts.clone() };
        let answer = start(&world.app, &foreign, method, body).await.unwrap();
        check(&answer, "User not found. Please connect to your CRM.", "another platform");
    }
    assert_eq!(activity(&world), before);

    let answer = start(&world.app, &other, "POST", call(SESSION)).await.unwrap();
    assert_eq!((answer.message(), answer.log_id()), (LOGGED, Some("5002")));
    let notes =
        world.crm.activities().into_iter().map(|activity| activity["note"].as_str().unwrap().to_owned());
    let told: Vec<_> = notes.map(|note| note.contains("from elsewhere")).collect();
    assert_eq!(told, [false, true]);
}

#[tokio::test]
async fn an_extension_finds_its_own_log_or_that_of_none() {
    for (logged_by, updated_by, message) in [
        (None, Some("A"), UPDATED),
        (Some("A"), Some("A"), UPDATED),
        (Some("A"), Some("B"), PARKED),
        (Some("A"), None, PARKED),
    ] {
        let world = TestApp::start().await;
        check(&world.post(&logged_by.map_or(call(SESSION), call_of)).await, LOGGED, "the call");
        let mut facts = update(json!({"aiNote": "Bob asked"}));
        facts["hashedExtensionId"] = json!(updated_by);
        let case = format!("{logged_by:?} {updated_by:?}");
        check(&world.patch(&facts).await, message, &case);
        assert_eq!(note(&world).contains("Bob asked"), message == UPDATED, "{case}");
    }
}

#[tokio::test]
async fn an_update_waits_for_the_call_of_its_own_extension() {
    let world = TestApp::start().await;
    check(&world.patch(&update(json!({"result": "Voicemail"}))).await, PARKED, "of none");
    check(&world.patch(&update(json!({"aiNote": "for A", "hashedExtensionId": "A"}))).await, PARKED, "of A");
    check(&world.post(&call_of("A")).await, LOGGED, "the call");
    check_text(&note(&world), &["for A"], &["Voicemail"]);
}

#[tokio::test]
async fn each_extension_logs_the_call_once() {
    let world = TestApp::start().await;
    for (extension, message) in [("A", LOGGED), ("B", LOGGED), ("A", ALREADY), ("B", ALREADY)] {
        check(&world.post(&call_of(extension)).await, message, extension);
    }
    assert_eq!(world.crm.activities().len(), 2);
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
    check(&world.post(&with(call(SESSION), fields.clone())).await, LOGGED, "the call");
    check(&world.patch(&with(update(json!({"duration": 130})), fields)).await, UPDATED, "the update");
    let activity = activity(&world);
    let note = activity["note"].as_str().unwrap();
    assert_eq!(activity["owner_id"], USER);
    assert!(note.contains("Wants a quote") && !note.contains("Duration"), "{note}");
}
