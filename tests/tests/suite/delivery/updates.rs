//! Updates: before their call, during the create, simultaneous, repeated, and failing.

use super::*;
use crate::harness::with;

#[tokio::test]
async fn an_update_before_its_call_is_written_with_the_call() {
    let test = TestApp::start().await;
    for details in [
        json!({"recordingLink": "https://rec.example/1"}),
        json!({"aiNote": "Bob asked"}),
        json!({"aiNote": "Bob asked for a quote"}),
        json!({"note": "Call back on Friday"}),
    ] {
        check(&test.patch(&update(details)).await, QUEUED_UNTIL_LOGGED, "before the call");
    }
    assert_eq!(test.crm.requests().len(), 0);
    check(&test.post(&call(SESSION)).await, LOGGED, "create");
    check_text(
        &note(&test),
        &["https://rec.example/1", "Bob asked for a quote", "Call back on Friday"],
        &["Wants a quote"],
    );
    assert_eq!(
        (attempts(&test).0, test.crm.count(Route::UpdateActivity)),
        (1, 0),
        "one request with everything"
    );
    let item = test.app.store.call(&session_key(&test)).await.unwrap().unwrap();
    assert_eq!(item.queue, [], "nothing is queued");
}

#[tokio::test]
async fn an_update_during_a_create_is_written_by_the_lease_holder() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, SLOW);
    let creating = start(&test.app, &test.user, "POST", call(SESSION));
    wait_for_requests(&test, Route::CreateActivity, 1).await;
    let other = test.another_app().await;
    let updated = test.send(&other, "PATCH", &update(json!({"aiNote": "Bob asked"}))).await;
    check(&updated, UPDATED, "during the create");
    assert_eq!(updated.log_id(), Some("5001"));
    check(&creating.await.unwrap(), LOGGED, "create");
    check_text(&note(&test), &["Bob asked", "Wants a quote"], &[]);
    assert_eq!(test.crm.count(Route::UpdateActivity), 1);
}

#[tokio::test]
async fn thirty_simultaneous_updates_are_all_written_one_change_at_a_time() {
    let test = logged().await;
    let details = [
        ("recordingLink", "https://rec.example/1"),
        ("aiNote", "an AI note"),
        ("transcript", "a transcript"),
        ("result", "Missed"),
        ("voicemailLink", "https://voicemail.example/2"),
        ("note", "a newer note"),
    ];
    for _ in 0..30 {
        test.crm.next(Route::UpdateActivity, Fault::Delay(Duration::from_millis(20)));
    }
    let apps = [test.app.clone(), test.another_app().await, test.another_app().await];
    let sent: Vec<_> = (0..30)
        .map(|index| {
            let (name, value) = details[index % details.len()];
            start(&apps[index % apps.len()], &test.user, "PATCH", update(json!({ name: value })))
        })
        .collect();
    for response in sent {
        let response = response.await.unwrap();
        assert!([UPDATED, QUEUED].contains(&response.message()), "{}", response.body);
    }
    check_text(&note(&test), &details.map(|(_, value)| value), &["Wants a quote", "Accepted"]);
    assert!(!test.crm.proxy().overlapped(Route::UpdateActivity.target()));
    let changes = test.crm.count(Route::UpdateActivity);
    assert!((1..=details.len()).contains(&changes), "{changes} changes");
}

#[tokio::test]
async fn a_repeated_update_changes_nothing() {
    let test = logged().await;
    let details =
        update(json!({"recordingLink": "https://rec.example/1", "duration": 65, "note": "Wants a quote"}));
    let first = test.patch(&details).await;
    check(&first, UPDATED, "the first update");
    assert_eq!(first.body["updatedNote"], note(&test));
    let second = test.patch(&details).await;
    check(&second, UPDATED, "the second update");
    assert_eq!(second.body["updatedNote"], first.body["updatedNote"]);
    assert_eq!(test.crm.count(Route::UpdateActivity), 1);
}

#[tokio::test]
async fn a_change_contains_only_the_fields_that_changed() {
    let test = logged().await;
    for (details, fields) in [
        (json!({"aiNote": "Bob asked"}), vec!["note"]),
        (json!({"duration": 65}), vec![]),
        (json!({"duration": 130}), vec!["note", "duration"]),
        (json!({"duration": "pending"}), vec![]),
        (json!({"duration": 130, "result": "Accepted"}), vec![]),
        // The note's time has seconds, the activity's has not.
        (json!({"startTime": 1_741_794_330_000_i64}), vec!["note"]),
        (json!({"startTime": 1_741_794_390_000_i64}), vec!["note", "due_date", "due_time"]),
        (json!({"direction": "Inbound", "contactName": "Bob Client"}), vec![]),
        (json!({"contactName": "Robert"}), vec!["subject"]),
        (json!({"note": "", "aiNote": null, "from": {}}), vec![]),
    ] {
        let before = test.crm.count(Route::UpdateActivity);
        check(&test.patch(&update(details.clone())).await, UPDATED, &details.to_string());
        let changes = test.crm.requests().into_iter().filter(|request| request.method == "PATCH");
        let changed: Vec<_> = changes.skip(before).flat_map(|change| keys(&change.json().unwrap())).collect();
        assert_eq!(changed, fields, "{details}");
    }
    assert_eq!(activity(&test)["duration"], "00:03");
}

fn keys(object: &Value) -> Vec<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_change_whose_response_was_lost_is_confirmed_by_reading_the_record() {
    for fault in [Fault::DropBeforeAnswer, Fault::Truncated] {
        let test = logged().await;
        let case = format!("{fault:?}");
        test.crm.next(Route::UpdateActivity, fault);
        check(&test.patch(&update(json!({"aiNote": "Bob asked", "duration": 130}))).await, UPDATED, &case);
        check(&test.patch(&update(json!({"aiNote": "Bob asked", "duration": 130}))).await, UPDATED, &case);
        assert_eq!(test.crm.count(Route::UpdateActivity), 1, "{case}");
        check_text(&note(&test), &["Bob asked"], &[]);
    }
}

#[tokio::test]
async fn a_change_without_a_response_is_repeated_after_the_grace_period() {
    for fault in [Fault::DropBeforeEffect, Fault::Status(500), Fault::Html] {
        let test = logged().await;
        let case = format!("{fault:?}");
        test.crm.next(Route::UpdateActivity, fault);
        check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, NOT_ANSWERING, &case);
        // No invocation holds the lease, so the response does not promise that the update will be added.
        check(&test.patch(&update(json!({"result": "Voicemail"}))).await, NOT_ANSWERING, &case);
        assert_eq!(
            test.crm.count(Route::UpdateActivity),
            1,
            "{case}: the first change may still take effect"
        );
        test.pass(GRACE);
        check(&test.patch(&update(json!({"transcript": "Ada: Hello"}))).await, UPDATED, &case);
        check_text(&note(&test), &["Bob asked", "Voicemail", "Ada: Hello"], &[]);
        assert_eq!(test.crm.count(Route::UpdateActivity), 2, "{case}");
    }
}

#[tokio::test]
async fn an_update_that_failed_is_written_by_the_next_one() {
    for (fault, message) in [
        (Fault::RateLimited { retry_after: None }, RATE_LIMITED),
        (Fault::Blocked, RATE_LIMITED),
        (Fault::Status(401), UNAUTHORIZED),
        (Fault::Status(403), UNAUTHORIZED),
    ] {
        let test = logged().await;
        test.crm.next(Route::UpdateActivity, fault);
        check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, message, message);
        test.pass(61_000);
        check(&test.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, message);
        check_text(&note(&test), &["Bob asked", "Voicemail"], &[]);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_not_changed() {
    for fault in [Fault::Status(500), Fault::DropBeforeAnswer, Fault::NoId, Fault::Html, Fault::Truncated] {
        let test = logged().await;
        let before = activity(&test);
        let case = format!("{fault:?}");
        test.crm.fail(Route::GetActivity, fault);
        let response =
            test.patch(&update(json!({"recordingLink": "https://rec.example/1", "duration": 130}))).await;
        check(&response, NOT_ANSWERING, &case);
        assert_eq!((test.crm.count(Route::UpdateActivity), activity(&test)), (0, before), "{case}");
        check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, &case);
        check_text(&note(&test), &["https://rec.example/1", "Bob asked", "Wants a quote"], &[]);
        assert_eq!(activity(&test)["duration"], "00:03", "{case}");
    }
}

#[tokio::test]
async fn a_rejected_update_does_not_block_the_next_one() {
    let test = logged().await;
    test.crm.refuse("xxx");
    let rejected = test.patch(&update(json!({"transcript": "xxx"}))).await;
    check(&rejected, REJECTED, "a text that Pipedrive refuses");
    check(&test.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, "the next update");
    check_text(&note(&test), &["Bob asked"], &["xxx"]);
}

#[tokio::test]
async fn a_rejected_detail_does_not_prevent_others_from_being_written() {
    let test = logged().await;
    test.crm.refuse("xxx");
    let both =
        test.patch(&update(json!({"transcript": "xxx", "aiNote": "Bob asked", "result": "Voicemail"}))).await;
    check(&both, REJECTED, "Pipedrive refuses one of them");
    check_text(&note(&test), &["Bob asked", "Voicemail"], &["xxx"]);

    let test = TestApp::start().await;
    test.crm.refuse("xxx");
    test.patch(&update(json!({"transcript": "xxx"}))).await;
    test.patch(&update(json!({"aiNote": "Bob asked"}))).await;
    check(&test.post(&call(SESSION)).await, LOGGED, "a queued detail is rejected, the create is not");
    check_text(&note(&test), &["Wants a quote", "Bob asked"], &["xxx"]);
    let item = test.app.store.call(&session_key(&test)).await.unwrap().unwrap();
    assert!(!item.has_undelivered(), "a rejected detail is not tried again: {item:?}");
}

#[tokio::test]
async fn an_update_that_waits_for_a_failing_one_writes_the_details_of_both() {
    let test = logged().await;
    test.crm.next(Route::UpdateActivity, Fault::RateLimited { retry_after: None });
    test.crm.next(Route::GetActivity, SLOW);
    let failing = start(&test.app, &test.user, "PATCH", update(json!({"aiNote": "Bob asked"})));
    wait_for_requests(&test, Route::GetActivity, 1).await;
    check(&test.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, "the second update");
    check(&failing.await.unwrap(), RATE_LIMITED, "the first update");
    check_text(&note(&test), &["Bob asked", "Voicemail"], &[]);
}

#[tokio::test]
async fn an_update_that_was_written_reports_success_even_if_a_later_change_fails() {
    let test = logged().await;
    test.crm.next(Route::UpdateActivity, SLOW);
    test.crm.next(Route::UpdateActivity, Fault::Status(403));
    let first = start(&test.app, &test.user, "PATCH", update(json!({"aiNote": "Bob asked"})));
    wait_for_requests(&test, Route::UpdateActivity, 1).await;
    check(
        &test.patch(&update(json!({"result": "Voicemail"}))).await,
        UPDATED,
        "the second update retries by itself",
    );
    check(&first.await.unwrap(), UPDATED, "the first update");
    check_text(&note(&test), &["Bob asked", "Voicemail"], &[]);
}

#[tokio::test]
async fn a_deleted_record_is_never_created_again() {
    let test = logged().await;
    test.crm.delete(5001);
    check(
        &test.patch(&update(json!({"aiNote": "Bob asked"}))).await,
        DELETED,
        "the CRM reports the deletion",
    );
    for _ in 0..2 {
        check(&test.patch(&update(json!({"result": "Voicemail"}))).await, DELETED, "the update looks again");
        let again = test.post(&call(SESSION)).await;
        assert_eq!((again.message(), again.log_id()), (ALREADY_LOGGED, Some("5001")));
        test.pass(LEASE);
    }
    assert_eq!((attempts(&test).0, test.crm.count(Route::UpdateActivity)), (1, 0));
    assert_eq!(test.crm.activities().len(), 0);
    test.crm.edit(5001, "is_deleted", json!(false));
    check(&test.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, "a person has restored it");
    check_text(&note(&test), &["Voicemail"], &[]);
}

#[tokio::test]
async fn queued_updates_survive_failed_attempts_to_log_the_call() {
    let test = TestApp::start().await;
    check(
        &test.patch(&update(json!({"aiNote": "Bob asked"}))).await,
        QUEUED_UNTIL_LOGGED,
        "before the create",
    );
    test.crm.next(Route::CreateActivity, Fault::Status(403));
    check(&test.post(&call(SESSION)).await, UNAUTHORIZED, "a create that fails");
    check(
        &test.patch(&update(json!({"result": "Voicemail"}))).await,
        QUEUED_UNTIL_LOGGED,
        "between the creates",
    );
    test.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&test.post(&call(SESSION)).await, NOT_ANSWERING, "a create with unknown outcome");
    check(
        &test.patch(&update(json!({"duration": 130}))).await,
        QUEUED_UNTIL_LOGGED,
        "within the grace period",
    );
    check(
        &test.patch(&update(json!({"duration": "pending"}))).await,
        QUEUED_UNTIL_LOGGED,
        "a late placeholder",
    );
    test.pass(GRACE);
    check(&test.post(&call(SESSION)).await, LOGGED, "after the grace period");
    check_text(&note(&test), &["Bob asked", "Voicemail"], &["pending"]);
    assert_eq!(
        (activity(&test)["duration"].as_str(), test.crm.count(Route::UpdateActivity)),
        (Some("00:03"), 0)
    );
}

/// Automatic logging sends a placeholder as the note. The note that the agent typed takes precedence, in any order.
#[tokio::test]
async fn an_agents_note_takes_precedence_over_the_note_of_automatic_logging() {
    let automatic = json!("From auto logging (Pending)");
    let typed = json!("Wants a quote\nCall back Friday");
    for (before, create, after) in [
        (vec![&typed], &automatic, vec![]),
        (vec![&json!("first"), &typed], &automatic, vec![]),
        (vec![&typed], &automatic, vec![&automatic]),
        (vec![&typed, &automatic], &automatic, vec![]),
        (vec![&automatic], &typed, vec![]),
        (vec![&automatic, &typed], &automatic, vec![]),
        (vec![], &automatic, vec![&typed]),
        (vec![], &automatic, vec![&typed, &automatic, &automatic]),
        (vec![], &typed, vec![&automatic]),
    ] {
        let test = TestApp::start().await;
        let case = format!("{before:?}, {create}, {after:?}");
        for note in before {
            check(&test.patch(&update(json!({"note": note}))).await, QUEUED_UNTIL_LOGGED, &case);
        }
        let body = with(call(SESSION), json!({"note": create, "logInfo": {"duration": "pending"}}));
        check(&test.post(&body).await, LOGGED, &case);
        for note in after {
            check(&test.patch(&update(json!({"note": note}))).await, UPDATED, &case);
        }
        let note = note(&test);
        assert!(
            note.contains("Wants a quote<br>Call back Friday") && !note.contains("auto"),
            "{case}: {note}"
        );
    }
}

#[tokio::test]
async fn a_queued_voicemail_link_is_not_replaced_by_its_placeholder() {
    let (link, placeholder) = ("https://voicemail.example/1", "(pending...)");
    for (before, create) in [(vec![link, placeholder], None), (vec![placeholder], Some(link))] {
        let test = TestApp::start().await;
        let case = format!("{before:?}, {create:?}");
        for voicemail in before {
            let body = update(json!({"voicemailLink": voicemail}));
            check(&test.patch(&body).await, QUEUED_UNTIL_LOGGED, &case);
        }
        check(&test.post(&with(call(SESSION), json!({"voicemailLink": create}))).await, LOGGED, &case);
        assert!(note(&test).contains(link), "{case}: {}", note(&test));
    }
}

/// An absent, null or empty detail means no change.
#[tokio::test]
async fn an_update_of_one_detail_leaves_the_others_unchanged() {
    let test = logged().await;
    let before = activity(&test);
    test.pass(3_600_000);
    for details in [
        json!({"note": "Wants two quotes"}),
        json!({"note": "Wants three quotes", "startTime": null, "duration": null, "direction": "", "from": null}),
        json!({"note": "Wants a quote", "duration": "", "startTime": "", "result": ""}),
    ] {
        check(&test.patch(&update(details.clone())).await, UPDATED, &details.to_string());
        let now = activity(&test);
        let note = details["note"].as_str().unwrap();
        assert_eq!(now["note"], before["note"].as_str().unwrap().replace("Wants a quote", note), "{details}");
        let unchanged = |name: &&String| !["note", "update_time"].contains(&name.as_str());
        for name in before.as_object().unwrap().keys().filter(unchanged) {
            assert_eq!(now[name], before[name], "{name} after {details}");
        }
    }
}

/// An update waits for the lease holder, whose change fails. A newer update fails too; then the older one gets the
/// lease.
#[tokio::test]
async fn an_older_queued_value_does_not_replace_a_newer_one() {
    let test = logged().await;
    let reads = test.crm.count(Route::GetActivity);
    test.crm.next(Route::GetActivity, Fault::Delay(Duration::from_secs(2)));
    test.crm.next(Route::UpdateActivity, Fault::RateLimited { retry_after: None });
    test.crm.next(Route::GetActivity, Fault::Status(500));
    let body = update(json!({"recordingLink": "https://media.example/r"}));
    let holder = start(&test.app, &test.user, "PATCH", body);
    wait_for_requests(&test, Route::GetActivity, reads + 1).await;
    let (second, third) = (test.another_app().await, test.another_app().await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let older = start(&second, &test.user, "PATCH", update(json!({"aiNote": "The older"})));
    holder.await.unwrap();
    test.send(&third, "PATCH", &update(json!({"aiNote": "The newer"}))).await;
    older.await.unwrap();
    test.redrive_for(10).await;
    check_text(&note(&test), &["The newer"], &["The older"]);
}
