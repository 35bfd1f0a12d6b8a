//! A log that landed long after its attempt was given up is looked for once more.

use call_log::store::State;

use super::{
    redrive::{check_settled, item},
    *,
};

/// A world in which the call is logged after an attempt that was never found, which has made this activity.
async fn late(edit: Option<(&str, Value)>) -> TestApp {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::Status(500));
    world.crm.next(Route::ListActivities, Fault::Status(500));
    check(&world.post(&call(SESSION)).await, NO_ANSWER, "the answer is lost");
    world.redrive_for(1).await;
    let first = activity(&world);
    world.crm.land(&first);
    if let Some((field, value)) = edit {
        world.pass(1_000);
        world.crm.edit(5002, field, value);
    }
    assert_eq!(world.crm.activities().len(), 2, "it landed after all");
    world
}

#[tokio::test]
async fn a_log_that_landed_late_is_removed() {
    let world = late(None).await;
    world.redrive_for(20).await;
    check_settled(&world, "audited").await;
    let item = item(&world).await;
    assert_eq!((item.sweep_at, item.due_at, item.recovery_criteria.len()), (None, None, 0));
    let deleted = world.crm.count(Route::DeleteActivity);
    world.redrive_for(60).await;
    assert_eq!((deleted, world.crm.count(Route::DeleteActivity)), (1, 1), "once");
}

#[tokio::test]
async fn a_late_log_that_a_person_has_edited_stays() {
    let world = late(Some(("subject", json!("Bob, important")))).await;
    world.redrive_for(20).await;
    assert_eq!(world.crm.activities().len(), 2);
    assert_eq!(world.crm.count(Route::DeleteActivity), 0);
    assert_eq!(item(&world).await.sweep_at, None, "and it is not looked for again");
}

#[tokio::test]
async fn an_audit_removes_nothing_when_the_log_itself_is_gone() {
    let world = late(None).await;
    world.crm.delete(5001);
    world.redrive_for(20).await;
    assert_eq!(world.crm.count(Route::DeleteActivity), 0);
    assert_eq!(item(&world).await.state, State::Deleted);
}

#[tokio::test]
async fn an_update_before_the_audit_does_not_put_it_off_for_ever() {
    let world = late(None).await;
    check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, "an update");
    world.redrive_for(20).await;
    assert_eq!(world.crm.activities().len(), 1);
    check_text(&note(&world), &["Bob asked"], &[]);
}

#[tokio::test]
async fn an_audit_that_fails_is_made_again() {
    let world = late(None).await;
    world.crm.next(Route::DeleteActivity, Fault::Status(503));
    let reports = world.redrive_for(30).await;
    assert_eq!(reports.iter().map(|report| report.failed).sum::<usize>(), 1, "{reports:?}");
    check_settled(&world, "audited").await;
}

/// Two requests that name different contacts, neither of which has an answer: both are looked for.
#[tokio::test]
async fn each_contact_that_an_attempt_was_told_of_is_looked_for() {
    let world = TestApp::start().await;
    let with_contact = |id: u64| {
        let mut body = call(SESSION);
        body["contactId"] = json!(id);
        body
    };
    world.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&world.post(&with_contact(77)).await, NO_ANSWER, "the first");
    world.pass(GRACE);
    world.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
    world.crm.next(Route::ListActivities, Fault::Delay(Duration::ZERO));
    world.crm.next(Route::ListActivities, Fault::Delay(Duration::ZERO));
    world.crm.next(Route::ListActivities, Fault::Status(500));
    check(&world.post(&with_contact(78)).await, NO_ANSWER, "the second");
    assert_eq!(world.crm.activities().len(), 1, "which has landed");
    world.pass(GRACE);
    check(&world.post(&with_contact(77)).await, LOGGED, "the third");
    assert_eq!(world.crm.activities().len(), 1, "finds what the second made");
}

/// A redrive looks after the log; an update comes meanwhile, and then the CRM does not answer.
#[tokio::test]
async fn an_update_during_an_audit_that_fails_is_not_forgotten() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::Status(500));
    world.crm.next(Route::ListActivities, Fault::Status(500));
    check(&world.post(&call(SESSION)).await, NO_ANSWER, "the answer is lost");
    world.redrive_for(1).await;
    world.pass(16 * 60_000);
    let reads = world.crm.count(Route::GetActivity);
    world.crm.next(Route::GetActivity, Fault::Delay(Duration::ZERO));
    world.crm.next(Route::ListActivities, Fault::Delay(Duration::from_secs(5)));
    world.crm.next(Route::GetActivity, Fault::Status(500));
    let other = world.another_app().await;
    let update = async {
        arrived(&world, Route::GetActivity, reads + 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.send(&other, "PATCH", &update(json!({"aiNote": "Bob asked"}))).await
    };
    tokio::join!(world.redrive(), update);
    world.redrive_for(30).await;
    check_text(&note(&world), &["Bob asked"], &[]);
}
