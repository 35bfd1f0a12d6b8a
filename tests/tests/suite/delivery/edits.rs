//! What people write in the CRM stays.

use super::*;

/// The body with another agent note, or more.
fn edited(world: &TestApp, from: &str, to: &str) {
    let body = note(world);
    assert!(body.contains(from), "{from} in {body}");
    world.crm.edit_note(5001, &body.replace(from, to));
}

#[tokio::test]
async fn an_edit_survives_every_later_update() {
    for normalise in [false, true] {
        let world = TestApp::start().await;
        world.crm.normalise(normalise);
        check(&world.post(&call(SESSION)).await, LOGGED, "the call");
        edited(&world, "Wants a quote", "Wants a quote by Monday");
        world.crm.edit_note(5001, &format!("{}<p>Bob is my cousin</p>", note(&world)));
        for facts in [
            json!({"recordingLink": "https://rec.example/1"}),
            // The extension sends the note as it knows it with each of its updates.
            json!({"note": "Wants a quote", "aiNote": "Bob asked"}),
            json!({"note": "Wants a quote", "duration": 130}),
            json!({"note": ""}),
        ] {
            check(&world.patch(&update(facts)).await, UPDATED, "update");
        }
        let present = [
            "Wants a quote by Monday",
            "Bob is my cousin",
            "https://rec.example/1",
            "Bob asked",
            "2 minutes",
        ];
        check_text(&note(&world), &present, &["1 minute"]);
    }
}

#[tokio::test]
async fn a_new_note_stands_beside_an_edited_one() {
    let world = logged().await;
    edited(&world, "Wants a quote", "Wants a quote by Monday");
    for _ in 0..3 {
        check(&world.patch(&update(json!({"note": "Wants two quotes"}))).await, UPDATED, "update");
        check_text(&note(&world), &["Wants a quote by Monday", "Wants two quotes"], &[]);
    }
    assert_eq!(world.crm.count(Route::UpdateActivity), 1);
}

#[tokio::test]
async fn what_a_person_has_taken_out_comes_back_only_with_news() {
    let world = logged().await;
    world.crm.edit_note(5001, "Nothing of it is true.");
    check(
        &world.patch(&update(json!({"note": "Wants a quote", "result": "Accepted"}))).await,
        UPDATED,
        "stale",
    );
    assert_eq!(note(&world), "Nothing of it is true.");
    check(&world.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, "new");
    check_text(&note(&world), &["Nothing of it is true.", "Voicemail"], &["Wants a quote"]);
}

#[tokio::test]
async fn a_link_is_never_displaced_by_its_placeholder() {
    let world = TestApp::start().await;
    let (link, pending) =
        (json!({"recordingLink": "https://rec.example/1"}), json!({"recordingLink": "(pending...)"}));
    check(&world.patch(&update(link.clone())).await, PARKED, "parked");
    check(&world.patch(&update(pending.clone())).await, PARKED, "late");
    check(&world.post(&call(SESSION)).await, LOGGED, "the call");
    check_text(&note(&world), &["https://rec.example/1"], &["(pending...)"]);
    check(&world.patch(&update(pending.clone())).await, UPDATED, "later");
    check_text(&note(&world), &["https://rec.example/1"], &["(pending...)"]);

    let world = logged().await;
    for (facts, present, absent) in
        [(&pending, "(pending...)", "https://"), (&link, "https://rec.example/1", "(pending...)")]
    {
        check(&world.patch(&update(facts.clone())).await, UPDATED, present);
        check_text(&note(&world), &[present], &[absent]);
    }
}

#[tokio::test]
async fn a_subject_is_changed_while_it_is_ours() {
    let world = logged().await;
    let subject = || activity(&world)["subject"].as_str().unwrap().to_owned();
    assert_eq!(subject(), "Inbound Call from Bob Client");
    for (edit, told, expected) in [
        (None, "Quote", "Quote"),
        (None, "Quote for Bob", "Quote for Bob"),
        (None, "Quote for Bob", "Quote for Bob"),
        (Some("Bob, urgent"), "Quote for Bob", "Bob, urgent"),
        (None, "Quote, second", "Bob, urgent"),
    ] {
        if let Some(edit) = edit {
            world.crm.edit(5001, "subject", json!(edit));
        }
        check(&world.patch(&update(json!({"subject": told}))).await, UPDATED, told);
        assert_eq!(subject(), expected, "after {told}");
    }
}

#[tokio::test]
async fn a_subject_whose_change_had_no_answer_is_still_ours() {
    let world = logged().await;
    world.crm.next(Route::UpdateActivity, Fault::DropBeforeAnswer);
    for told in ["Quote", "Quote for Bob"] {
        check(&world.patch(&update(json!({"subject": told}))).await, UPDATED, told);
        assert_eq!(activity(&world)["subject"], told);
    }
}

/// An empty note tells nothing: its sender may have none, and what a person wrote must not go with it.
#[tokio::test]
async fn an_empty_note_takes_nothing_away() {
    let world = logged().await;
    for empty in [json!(""), json!(" \n"), json!(null)] {
        check(&world.patch(&update(json!({"note": empty}))).await, UPDATED, "empty");
        assert!(note(&world).contains("Wants a quote"), "{empty}");
    }
}

/// A note that somebody emptied is an empty note, not a failure and not a reason to write everything anew.
#[tokio::test]
async fn a_log_without_a_note_takes_what_is_new() {
    let world = logged().await;
    world.crm.edit(5001, "note", Value::Null);
    let update = update(json!({"note": "Wants a quote", "recordingLink": "https://rec.example/1"}));
    check(&world.patch(&update).await, UPDATED, "the update");
    let note = note(&world);
    assert!(note.contains("https://rec.example/1") && !note.contains("Wants a quote"), "{note}");
}
