//! What becomes known later, in any order and at once.

use super::*;
use crate::harness::with;

#[tokio::test]
async fn what_comes_before_its_call_is_in_the_call() {
    let world = TestApp::start().await;
    for facts in [
        json!({"recordingLink": "https://rec.example/1"}),
        json!({"aiNote": "Bob asked"}),
        json!({"aiNote": "Bob asked for a quote"}),
        json!({"note": "Call back on Friday"}),
    ] {
        check(&world.patch(&update(facts)).await, PARKED, "parked");
    }
    assert_eq!(world.crm.requests().len(), 0);
    check(&world.post(&call(SESSION)).await, LOGGED, "the call");
    check_text(
        &note(&world),
        &["https://rec.example/1", "Bob asked for a quote", "Call back on Friday"],
        &["Wants a quote"],
    );
    assert_eq!((attempts(&world).0, world.crm.count(Route::UpdateActivity)), (1, 0), "one write");
    let item = world.app.store.call(&session_key(&world)).await.unwrap().unwrap();
    assert_eq!(item.queued_details, Default::default(), "nothing waits any more");
}

#[tokio::test]
async fn what_comes_during_the_call_is_added_by_whoever_logs_it() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, SLOW);
    let creating = start(&world.app, &world.user, "POST", call(SESSION));
    arrived(&world, Route::CreateActivity, 1).await;
    let other = world.another_app().await;
    let updated = world.send(&other, "PATCH", &update(json!({"aiNote": "Bob asked"}))).await;
    check(&updated, UPDATED, "during");
    assert_eq!(updated.log_id(), Some("5001"));
    check(&creating.await.unwrap(), LOGGED, "the call");
    check_text(&note(&world), &["Bob asked", "Wants a quote"], &[]);
    assert_eq!(world.crm.count(Route::UpdateActivity), 1);
}

#[tokio::test]
async fn thirty_at_once_are_all_in_and_never_two_changes_at_a_time() {
    let world = logged().await;
    let facts = [
        ("recordingLink", "https://rec.example/1"),
        ("aiNote", "an AI note"),
        ("transcript", "a transcript"),
        ("result", "Missed"),
        ("voicemailLink", "https://voicemail.example/2"),
        ("note", "a newer note"),
    ];
    for _ in 0..30 {
        world.crm.next(Route::UpdateActivity, Fault::Delay(Duration::from_millis(20)));
    }
    let apps = [world.app.clone(), world.another_app().await, world.another_app().await];
    let sent: Vec<_> = (0..30)
        .map(|index| {
            let (name, value) = facts[index % facts.len()];
            start(&apps[index % apps.len()], &world.user, "PATCH", update(json!({ name: value })))
        })
        .collect();
    for answer in sent {
        let answer = answer.await.unwrap();
        assert!([UPDATED, QUEUED].contains(&answer.message()), "{}", answer.body);
    }
    check_text(&note(&world), &facts.map(|(_, value)| value), &["Wants a quote", "Accepted"]);
    assert!(!world.crm.proxy().overlapped(Route::UpdateActivity.target()));
    let changes = world.crm.count(Route::UpdateActivity);
    assert!((1..=facts.len()).contains(&changes), "{changes} changes");
}

#[tokio::test]
async fn the_same_update_again_changes_nothing() {
    let world = logged().await;
    let facts =
        update(json!({"recordingLink": "https://rec.example/1", "duration": 65, "note": "Wants a quote"}));
    let first = world.patch(&facts).await;
    check(&first, UPDATED, "first");
    assert_eq!(first.body["updatedNote"], note(&world));
    let second = world.patch(&facts).await;
    check(&second, UPDATED, "second");
    assert_eq!(second.body["updatedNote"], first.body["updatedNote"]);
    assert_eq!(world.crm.count(Route::UpdateActivity), 1);
}

#[tokio::test]
async fn a_change_names_only_what_changed() {
    let world = logged().await;
    for (facts, fields) in [
        (json!({"aiNote": "Bob asked"}), vec!["note"]),
        (json!({"duration": 65}), vec![]),
        (json!({"duration": 130}), vec!["note", "duration"]),
        (json!({"duration": "pending"}), vec![]),
        (json!({"duration": 130, "result": "Accepted"}), vec![]),
        (json!({"note": "", "aiNote": null, "from": {}}), vec![]),
    ] {
        let before = world.crm.count(Route::UpdateActivity);
        check(&world.patch(&update(facts.clone())).await, UPDATED, &facts.to_string());
        let changes = world.crm.requests().into_iter().filter(|request| request.method == "PATCH");
        let named: Vec<_> = changes.skip(before).flat_map(|change| keys(&change.json().unwrap())).collect();
        assert_eq!(named, fields, "{facts}");
    }
    assert_eq!(activity(&world)["duration"], "00:03");
}

fn keys(object: &Value) -> Vec<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_lost_answer_is_read_back() {
    for fault in [Fault::DropBeforeAnswer, Fault::Truncated] {
        let world = logged().await;
        let case = format!("{fault:?}");
        world.crm.next(Route::UpdateActivity, fault);
        check(&world.patch(&update(json!({"aiNote": "Bob asked", "duration": 130}))).await, UPDATED, &case);
        check(&world.patch(&update(json!({"aiNote": "Bob asked", "duration": 130}))).await, UPDATED, &case);
        assert_eq!(world.crm.count(Route::UpdateActivity), 1, "{case}");
        check_text(&note(&world), &["Bob asked"], &[]);
    }
}

#[tokio::test]
async fn a_change_without_an_answer_is_repeated_after_the_grace() {
    for fault in [Fault::DropBeforeEffect, Fault::Status(500), Fault::Html] {
        let world = logged().await;
        let case = format!("{fault:?}");
        world.crm.next(Route::UpdateActivity, fault);
        check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, NO_ANSWER, &case);
        // Nobody is at it, so nobody would add it: it is not said that it will be.
        check(&world.patch(&update(json!({"result": "Voicemail"}))).await, NO_ANSWER, &case);
        assert_eq!(world.crm.count(Route::UpdateActivity), 1, "{case}: it may still land");
        world.pass(GRACE);
        check(&world.patch(&update(json!({"transcript": "Ada: Hello"}))).await, UPDATED, &case);
        check_text(&note(&world), &["Bob asked", "Voicemail", "Ada: Hello"], &[]);
        assert_eq!(world.crm.count(Route::UpdateActivity), 2, "{case}");
    }
}

#[tokio::test]
async fn what_could_not_be_written_is_added_by_the_next_update() {
    for (fault, message) in [
        (Fault::RateLimited { retry_after: None }, "Rate limit exceeded"),
        (Fault::Blocked, "Rate limit exceeded"),
        (Fault::Status(401), "Authorization error"),
        (Fault::Status(403), "Authorization error"),
    ] {
        let world = logged().await;
        world.crm.next(Route::UpdateActivity, fault);
        check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, message, message);
        check(&world.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, message);
        check_text(&note(&world), &["Bob asked", "Voicemail"], &[]);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_not_changed() {
    for fault in [Fault::Status(500), Fault::DropBeforeAnswer, Fault::NoId, Fault::Html, Fault::Truncated] {
        let world = logged().await;
        let before = activity(&world);
        let case = format!("{fault:?}");
        world.crm.next(Route::GetActivity, fault);
        let answer =
            world.patch(&update(json!({"recordingLink": "https://rec.example/1", "duration": 130}))).await;
        check(&answer, NO_ANSWER, &case);
        assert_eq!((world.crm.count(Route::UpdateActivity), activity(&world)), (0, before), "{case}");
        check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, &case);
        check_text(&note(&world), &["https://rec.example/1", "Bob asked", "Wants a quote"], &[]);
        assert_eq!(activity(&world)["duration"], "00:03", "{case}");
    }
}

#[tokio::test]
async fn facts_that_are_refused_do_not_stand_in_the_way_of_others() {
    let world = logged().await;
    let refused = world.patch(&update(json!({"transcript": "x".repeat(100_001)}))).await;
    check(&refused, REFUSED, "too long for Pipedrive");
    check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, UPDATED, "the next");
    check_text(&note(&world), &["Bob asked"], &["xxx"]);
}

#[tokio::test]
async fn facts_that_are_refused_do_not_take_others_along() {
    let long = || "x".repeat(100_001);
    let world = logged().await;
    let both = world
        .patch(&update(json!({"transcript": long(), "aiNote": "Bob asked", "result": "Voicemail"})))
        .await;
    check(&both, REFUSED, "one of them is too long for Pipedrive");
    check_text(&note(&world), &["Bob asked", "Voicemail"], &["xxx"]);

    let world = TestApp::start().await;
    world.patch(&update(json!({"transcript": long()}))).await;
    world.patch(&update(json!({"aiNote": "Bob asked"}))).await;
    check(&world.post(&call(SESSION)).await, LOGGED, "what is parked is not the call's fault");
    check_text(&note(&world), &["Wants a quote", "Bob asked"], &["xxx"]);
    let item = world.app.store.call(&session_key(&world)).await.unwrap().unwrap();
    assert!(!item.has_undelivered(), "what is refused is not tried again: {item:?}");
}

#[tokio::test]
async fn whoever_waits_for_one_that_fails_writes_it_themselves() {
    let world = logged().await;
    world.crm.next(Route::UpdateActivity, Fault::RateLimited { retry_after: None });
    world.crm.next(Route::GetActivity, SLOW);
    let failing = start(&world.app, &world.user, "PATCH", update(json!({"aiNote": "Bob asked"})));
    arrived(&world, Route::GetActivity, 1).await;
    check(&world.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, "the second");
    check(&failing.await.unwrap(), "Rate limit exceeded", "the first");
    check_text(&note(&world), &["Bob asked", "Voicemail"], &[]);
}

#[tokio::test]
async fn what_is_written_is_told_so_even_if_others_facts_fail() {
    let world = logged().await;
    world.crm.next(Route::UpdateActivity, SLOW);
    world.crm.next(Route::UpdateActivity, Fault::Status(403));
    let first = start(&world.app, &world.user, "PATCH", update(json!({"aiNote": "Bob asked"})));
    arrived(&world, Route::UpdateActivity, 1).await;
    check(&world.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, "the second, by itself");
    check(&first.await.unwrap(), UPDATED, "the first");
    check_text(&note(&world), &["Bob asked", "Voicemail"], &[]);
}

#[tokio::test]
async fn a_deleted_log_is_never_made_again() {
    let world = logged().await;
    world.crm.delete(5001);
    check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, DELETED, "found out");
    let requests = world.crm.requests().len();
    for _ in 0..2 {
        check(&world.patch(&update(json!({"result": "Voicemail"}))).await, DELETED, "known");
        let again = world.post(&call(SESSION)).await;
        assert_eq!((again.message(), again.log_id()), (ALREADY, Some("5001")));
        world.pass(LEASE);
    }
    assert_eq!(world.crm.requests().len(), requests, "the CRM is not asked again");
    assert_eq!(world.crm.activities().len(), 0);
}

#[tokio::test]
async fn an_update_that_waits_survives_attempts_that_fail() {
    let world = TestApp::start().await;
    check(&world.patch(&update(json!({"aiNote": "Bob asked"}))).await, PARKED, "before");
    world.crm.next(Route::CreateActivity, Fault::Status(403));
    check(&world.post(&call(SESSION)).await, "Authorization error", "fails");
    check(&world.patch(&update(json!({"result": "Voicemail"}))).await, PARKED, "between");
    world.crm.next(Route::CreateActivity, Fault::DropBeforeEffect);
    check(&world.post(&call(SESSION)).await, NO_ANSWER, "unknown");
    check(&world.patch(&update(json!({"duration": 130}))).await, PARKED, "within the grace");
    check(&world.patch(&update(json!({"duration": "pending"}))).await, PARKED, "late");
    world.pass(GRACE);
    check(&world.post(&call(SESSION)).await, LOGGED, "at last");
    check_text(&note(&world), &["Bob asked", "Voicemail"], &["pending"]);
    assert_eq!(
        (activity(&world)["duration"].as_str(), world.crm.count(Route::UpdateActivity)),
        (Some("00:03"), 0)
    );
}

/// Server-side logging notes that it logged the call; what the agent typed counts, whichever comes first.
#[tokio::test]
async fn an_agents_note_wins_over_that_of_automatic_logging() {
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
        let world = TestApp::start().await;
        let case = format!("{before:?}, {create}, {after:?}");
        for note in before {
            check(&world.patch(&update(json!({"note": note}))).await, PARKED, &case);
        }
        let body = with(call(SESSION), json!({"note": create, "logInfo": {"duration": "pending"}}));
        check(&world.post(&body).await, LOGGED, &case);
        for note in after {
            check(&world.patch(&update(json!({"note": note}))).await, UPDATED, &case);
        }
        let note = note(&world);
        assert!(
            note.contains("Wants a quote<br>Call back Friday") && !note.contains("auto"),
            "{case}: {note}"
        );
    }
}

#[tokio::test]
async fn a_voicemail_that_waits_is_not_displaced_by_its_placeholder() {
    let (link, placeholder) = ("https://voicemail.example/1", "(pending...)");
    for (before, create) in [(vec![link, placeholder], None), (vec![placeholder], Some(link))] {
        let world = TestApp::start().await;
        let case = format!("{before:?}, {create:?}");
        for voicemail in before {
            let body = update(json!({"voicemailLink": voicemail}));
            check(&world.patch(&body).await, PARKED, &case);
        }
        check(&world.post(&with(call(SESSION), json!({"voicemailLink": create}))).await, LOGGED, &case);
        assert!(note(&world).contains(link), "{case}: {}", note(&world));
    }
}

/// A fact that an update does not tell is not thereby told to be now, or nothing.
#[tokio::test]
async fn an_update_of_one_fact_leaves_the_others_as_they_are() {
    let world = logged().await;
    let before = activity(&world);
    world.pass(3_600_000);
    for facts in [
        json!({"note": "Wants two quotes"}),
        json!({"note": "Wants three quotes", "startTime": null, "duration": null, "direction": "", "from": null}),
        json!({"note": "Wants a quote", "duration": "", "startTime": "", "result": ""}),
    ] {
        check(&world.patch(&update(facts.clone())).await, UPDATED, &facts.to_string());
        let now = activity(&world);
        let note = facts["note"].as_str().unwrap();
        assert_eq!(now["note"], before["note"].as_str().unwrap().replace("Wants a quote", note), "{facts}");
        let unchanged = |name: &&String| !["note", "update_time"].contains(&name.as_str());
        for name in before.as_object().unwrap().keys().filter(unchanged) {
            assert_eq!(now[name], before[name], "{name} after {facts}");
        }
    }
}

/// An update waits for the owner, who lets go; a newer one comes and is put off; then the first takes its turn.
#[tokio::test]
async fn a_fact_that_waited_does_not_take_a_newer_ones_place() {
    let world = logged().await;
    let reads = world.crm.count(Route::GetActivity);
    world.crm.next(Route::GetActivity, Fault::Delay(Duration::from_secs(2)));
    world.crm.next(Route::UpdateActivity, Fault::RateLimited { retry_after: None });
    world.crm.next(Route::GetActivity, Fault::Status(500));
    let body = update(json!({"recordingLink": "https://media.example/r"}));
    let owner = start(&world.app, &world.user, "PATCH", body);
    arrived(&world, Route::GetActivity, reads + 1).await;
    let (second, third) = (world.another_app().await, world.another_app().await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let older = start(&second, &world.user, "PATCH", update(json!({"aiNote": "The older"})));
    owner.await.unwrap();
    world.send(&third, "PATCH", &update(json!({"aiNote": "The newer"}))).await;
    older.await.unwrap();
    world.redrive_for(10).await;
    check_text(&note(&world), &["The newer"], &["The older"]);
}
