//! Settings that the administrators of a company have locked, in every note that is written.

use std::collections::BTreeMap;

use call_log::{
    delivery::administration::{self, AdministrationChange, Changed},
    model::{CrmAccount, TenantSettings},
};

use super::*;

/// The line of the note that the setting `addCallSessionId` switches on. It is off by default.
const LINE: &str = "Session Id";

/// Locks a setting, or ends all locks.
async fn lock(test: &TestApp, locked: Option<(&str, Value)>) {
    let tenant = test.user.tenant();
    let crm = test.app.crm("pipedrive").unwrap();
    let state = administration::show(&test.app, &tenant).await.unwrap();
    let entry =
        |(key, value): (&str, Value)| (key.to_owned(), json!({"value": value, "customizable": false}));
    let settings = TenantSettings(locked.map(entry).into_iter().collect());
    let change = AdministrationChange {
        settings_version: state.settings.version,
        settings: Some(settings),
        ..AdministrationChange::default()
    };
    let changed = administration::change(&test.app, crm, &tenant, "an administrator", &change).await;
    assert!(matches!(changed, Ok(Changed::Stored(_))), "{changed:?}");
}

/// Lets the user choose the line.
async fn choose(test: &TestApp, is_on: bool) {
    let chosen = BTreeMap::from([("addCallSessionId".to_owned(), json!({"value": is_on}))]);
    assert!(test.app.store.change_settings(&test.user.key(), &chosen).await.unwrap());
}

fn note_at(test: &TestApp, at: usize) -> String {
    test.crm.activities()[at]["note"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_locked_section_is_in_each_note_whatever_the_user_has_chosen() {
    for (chosen, locked, expected) in [
        (None, None, false),
        (Some(true), None, true),
        (Some(true), Some(false), false),
        (Some(false), Some(true), true),
        (None, Some(true), true),
    ] {
        let test = TestApp::start().await;
        if let Some(chosen) = chosen {
            choose(&test, chosen).await;
        }
        if let Some(locked) = locked {
            lock(&test, Some(("addCallSessionId", json!(locked)))).await;
        }
        // A token that names the company, and one that does not, so that the user is read before.
        let plain = User { account: CrmAccount::default(), ..test.user.clone() };
        for (at, user) in [&test.user, &plain].into_iter().enumerate() {
            let case = format!("{chosen:?} {locked:?} {at}");
            let session = at.to_string().repeat(4);
            let response = start(&test.app, user, "POST", call(&format!("9{session}"))).await.unwrap();
            check(&response, LOGGED, &case);
            assert_eq!(note_at(&test, at).contains(LINE), expected, "{case}: {}", note_at(&test, at));
        }
    }
}

#[tokio::test]
async fn a_lock_counts_for_an_update_of_a_record_that_was_made_without_it() {
    let test = TestApp::start().await;
    check(&test.post(&call(SESSION)).await, LOGGED, "without a lock");
    assert!(!note_at(&test, 0).contains("Ask Bob"), "{}", note_at(&test, 0));
    lock(&test, Some(("addCallLogAiNote", json!(false)))).await;
    let ai = json!({"aiNote": "Bob asked", "result": "Voicemail"});
    check(&test.patch(&update(ai)).await, UPDATED, "locked");
    let text = note_at(&test, 0);
    assert!(text.contains("Voicemail") && !text.contains("Bob asked"), "{text}");
    lock(&test, None).await;
    check(&test.patch(&update(json!({"aiNote": "Bob asked again"}))).await, UPDATED, "unlocked");
    assert!(note_at(&test, 0).contains("Bob asked again"), "{}", note_at(&test, 0));
}

#[tokio::test]
async fn a_lock_counts_for_a_call_that_waits() {
    let test = TestApp::start().await;
    choose(&test, false).await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the create is kept");
    lock(&test, Some(("addCallSessionId", json!(true)))).await;
    test.crm.outage(None);
    test.redrive_for(30).await;
    assert!(note_at(&test, 0).contains(LINE), "{}", note_at(&test, 0));
    // And for an update that waits.
    test.crm.outage(Some(Fault::Status(503)));
    lock(&test, Some(("addCallLogAiNote", json!(false)))).await;
    let ai = json!({"aiNote": "Bob asked", "result": "Voicemail"});
    check(&test.patch(&update(ai)).await, NOT_ANSWERING, "the update is kept");
    test.crm.outage(None);
    test.redrive_for(30).await;
    let text = note_at(&test, 0);
    assert!(text.contains("Voicemail") && !text.contains("Bob asked"), "{text}");
}

/// Another process renews the grant while the record is created, and the user is read again.
#[tokio::test]
async fn a_lock_counts_after_the_grant_was_renewed() {
    let test = TestApp::with_credentials(tests::test_app::grant(-1, tests::pipedrive::REFRESH_TOKEN)).await;
    lock(&test, Some(("addCallSessionId", json!(true)))).await;
    let calls = [call("1"), call("2")];
    let (one, two) = tokio::join!(test.post(&calls[0]), test.post(&calls[1]));
    check(&one, LOGGED, "one");
    check(&two, LOGGED, "two");
    for at in [0, 1] {
        assert!(note_at(&test, at).contains(LINE), "{}", note_at(&test, at));
    }
}

#[tokio::test]
async fn a_lock_of_one_company_does_not_count_in_another() {
    let test = TestApp::start().await;
    lock(&test, Some(("addCallSessionId", json!(true)))).await;
    let account = CrmAccount { id: Some("42".to_owned()), ..CrmAccount::default() };
    let other = User { account, ..test.user.clone() };
    test.app.store.put_user(&other).await.unwrap();
    let response = start(&test.app, &other, "POST", call(SESSION)).await.unwrap();
    check(&response, LOGGED, "another company");
    assert!(!note_at(&test, 0).contains(LINE), "{}", note_at(&test, 0));
}

/// The lock of the setting by which the adapter chooses the type of the record.
#[tokio::test]
async fn a_lock_counts_for_a_setting_that_the_adapter_reads() {
    let test = TestApp::start().await;
    lock(&test, Some(("pipedriveCallActivityType", json!("Meeting")))).await;
    check(&test.post(&call(SESSION)).await, LOGGED, "locked");
    assert_eq!(activity(&test)["type"], "meeting");
}

/// A call whose locks cannot be read is kept, and not written without them.
#[tokio::test]
async fn a_call_waits_while_the_locks_cannot_be_read() {
    let test = TestApp::start().await;
    let tenant = format!("T#pipedrive#{}", tests::pipedrive::COMPANY);
    let key = json!({"pk": {"S": tenant}, "sk": {"S": "SETTINGS"}});
    let broken = json!({"pk": {"S": tenant}, "sk": {"S": "SETTINGS"}, "settings": {"S": "x"}});
    test.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": broken})).await;
    let response = test.post(&call(SESSION)).await;
    assert_eq!((response.status, test.crm.activities().len()), (500, 0), "{response:?}");
    test.redrive_for(3).await;
    assert_eq!(test.crm.activities().len(), 0);
    test.dynamodb.ask("DeleteItem", &json!({"TableName": "calls", "Key": key})).await;
    test.redrive_for(30).await;
    assert_eq!(test.crm.activities().len(), 1);
}
