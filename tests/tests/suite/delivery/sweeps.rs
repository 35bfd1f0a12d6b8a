//! The duplicate sweep: a record that an abandoned attempt created late is found and deleted.

use call_log::store::State;

use super::{
    altered_crm::AlteredCrm,
    redrive::{check_settled, item},
    *,
};

/// Starts an app and logs the call after an attempt whose outcome was unknown; that attempt then creates a duplicate,
/// which a person may edit.
async fn with_late_duplicate(edit: Option<(&str, Value)>) -> TestApp {
    with_late_duplicate_in(AlteredCrm::showing_edits(), edit).await
}

async fn with_late_duplicate_in(crm: AlteredCrm, edit: Option<(&str, Value)>) -> TestApp {
    let mut test = TestApp::start().await;
    crm.install(&mut test.app);
    test.crm.next(Route::CreateActivity, Fault::Status(500));
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the response is lost");
    test.redrive_for(1).await;
    let first = activity(&test);
    test.crm.land(&first);
    if let Some((field, value)) = edit {
        test.pass(1_000);
        test.crm.edit(5002, field, value);
    }
    assert_eq!(test.crm.activities().len(), 2, "the duplicate was created");
    test
}

#[tokio::test]
async fn the_sweep_deletes_a_duplicate_that_landed_late() {
    let test = with_late_duplicate(None).await;
    test.redrive_for(20).await;
    check_settled(&test, "after the sweep").await;
    let item = item(&test).await;
    assert_eq!((item.sweep_at, item.due_at, item.recovery_criteria.len()), (None, None, 0));
    let deleted = test.crm.count(Route::DeleteActivity);
    test.redrive_for(60).await;
    assert_eq!((deleted, test.crm.count(Route::DeleteActivity)), (1, 1), "only one deletion");
}

#[tokio::test]
async fn the_sweep_keeps_a_duplicate_that_a_person_has_edited() {
    let test = with_late_duplicate(Some(("subject", json!("Bob, important")))).await;
    test.redrive_for(20).await;
    assert_eq!(test.crm.activities().len(), 2);
    assert_eq!(test.crm.count(Route::DeleteActivity), 0);
    assert_eq!(item(&test).await.sweep_at, None, "the sweep is not repeated");
}

#[tokio::test]
async fn the_sweep_keeps_a_duplicate_if_automations_may_change_records() {
    let test = with_late_duplicate_in(AlteredCrm::default(), None).await;
    test.redrive_for(20).await;
    assert_eq!((test.crm.activities().len(), test.crm.count(Route::DeleteActivity)), (2, 0));
    assert_eq!(item(&test).await.sweep_at, None, "the sweep is not repeated");
}

/// The note of a call that looks alike is a person's text, so the record may be another call's.
#[tokio::test]
async fn the_sweep_keeps_a_record_that_differs_from_what_was_sent() {
    let test = with_late_duplicate(None).await;
    let mut other = test.crm.activities().remove(0);
    other["note"] = json!(other["note"].as_str().unwrap().replace("Wants a quote", "Wants two quotes"));
    test.crm.land(&other);
    test.redrive_for(20).await;
    let notes: Vec<_> = test.crm.activities().iter().map(|activity| activity["id"].clone()).collect();
    assert_eq!(notes, [json!(5001), json!(5003)]);
}

#[tokio::test]
async fn the_sweep_waits_for_a_duplicate_that_landed_a_moment_ago() {
    let test = with_late_duplicate(None).await;
    let first = test.crm.activities().remove(0);
    test.redrive_for(14).await;
    test.pass(50_000);
    test.crm.land(&first);
    test.redrive_for(1).await;
    assert_eq!(test.crm.activities().len(), 2, "its owner is not known yet");
    test.redrive_for(3).await;
    assert_eq!(test.crm.activities().len(), 1);
}

#[tokio::test]
async fn the_sweep_deletes_nothing_if_the_record_of_the_call_is_gone() {
    let test = with_late_duplicate(None).await;
    test.crm.delete(5001);
    test.redrive_for(20).await;
    assert_eq!(test.crm.count(Route::DeleteActivity), 0);
    assert_eq!(item(&test).await.state, State::Deleted);
}

#[tokio::test]
async fn an_update_before_the_sweep_does_not_prevent_it() {
    let test = with_late_duplicate(None).await;
    check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, "an update");
    test.redrive_for(20).await;
    assert_eq!(test.crm.activities().len(), 1);
    check_text(&note(&test), &["Bob asked"], &[]);
}

#[tokio::test]
async fn a_failed_sweep_is_repeated() {
    let test = with_late_duplicate(None).await;
    test.crm.next(Route::DeleteActivity, Fault::Status(503));
    let reports = test.redrive_for(30).await;
    assert_eq!(reports.iter().map(|report| report.failed).sum::<usize>(), 1, "{reports:?}");
    check_settled(&test, "after the sweep").await;
}

/// Two requests name different contacts, and the CRM responds to neither.
#[tokio::test]
async fn a_retry_searches_for_the_contact_of_every_earlier_attempt() {
    let test = TestApp::start().await;
    let with_contact = |id: u64| {
        let mut body = call(SESSION);
        body["contactId"] = json!(id);
        body
    };
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&test.post(&with_contact(77)).await, NOT_ANSWERING, "the first create");
    test.pass(GRACE);
    test.crm.always(Route::CreateActivity, Fault::Status(422));
    check(&test.post(&with_contact(77)).await, REJECTED, "the same create again");
    test.crm.forget_faults();
    // Only now may a create name another contact.
    test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    check(&test.post(&with_contact(78)).await, NOT_ANSWERING, "the second create");
    assert_eq!(test.crm.activities().len(), 1, "the second create took effect");
    test.pass(SETTLED);
    check(&test.post(&with_contact(77)).await, LOGGED, "the third create");
    assert_eq!(test.crm.activities().len(), 1, "the third create finds the record of the second");
}

/// An update is queued while a redrive sweeps for duplicates, and then the CRM fails.
#[tokio::test]
async fn an_update_during_a_failing_sweep_is_written() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Status(500));
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "the response is lost");
    test.redrive_for(1).await;
    test.pass(16 * 60_000);
    let reads = test.crm.count(Route::GetActivity);
    test.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
    test.crm.next(Route::ListActivities, Fault::Delay(Duration::from_secs(5)));
    test.crm.next(Route::GetActivity, Fault::Status(500));
    let other = test.another_app().await;
    let update = async {
        wait_for_requests(&test, Route::GetActivity, reads + 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        test.send(&other, "PATCH", &update(json!({"aiNote": "Bob asked"}))).await
    };
    tokio::join!(test.redrive(), update);
    test.redrive_for(30).await;
    check_text(&note(&test), &["Bob asked"], &[]);
}
