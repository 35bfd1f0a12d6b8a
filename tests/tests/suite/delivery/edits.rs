//! Edits by people in the CRM: updates keep them.

use super::*;

/// Replaces a text in the note of the activity, as a person does in the CRM.
fn edit_note(test: &TestApp, from: &str, to: &str) {
    let body = note(test);
    assert!(body.contains(from), "{from} in {body}");
    test.crm.edit_note(5001, &body.replace(from, to));
}

#[tokio::test]
async fn an_edit_by_a_person_survives_every_later_update() {
    for normalise in [false, true] {
        let test = TestApp::start().await;
        test.crm.normalise(normalise);
        check(&test.post(&call(SESSION)).await, LOGGED, "create");
        edit_note(&test, "Wants a quote", "Wants a quote by Monday");
        test.crm.edit_note(5001, &format!("{}<p>Bob is my cousin</p>", note(&test)));
        for details in [
            json!({"recordingLink": "https://rec.example/1"}),
            // The extension sends the agent's note with each of its updates, as it was typed.
            json!({"note": "Wants a quote", "aiNote": "Bob asked"}),
            json!({"note": "Wants a quote", "duration": 130}),
            json!({"note": ""}),
        ] {
            check(&test.patch(&update(details)).await, UPDATED, "update");
        }
        let present = [
            "Wants a quote by Monday",
            "Bob is my cousin",
            "https://rec.example/1",
            "Bob asked",
            "2 minutes",
        ];
        check_text(&note(&test), &present, &["1 minute"]);
    }
}

#[tokio::test]
async fn a_new_note_is_added_beside_an_edited_one() {
    let test = logged().await;
    edit_note(&test, "Wants a quote", "Wants a quote by Monday");
    for _ in 0..3 {
        check(&test.patch(&update(json!({"note": "Wants two quotes"}))).await, UPDATED, "update");
        check_text(&note(&test), &["Wants a quote by Monday", "Wants two quotes"], &[]);
    }
    assert_eq!(test.crm.count(Route::UpdateActivity), 1);
}

#[tokio::test]
async fn a_section_that_a_person_removed_returns_only_with_a_new_value() {
    let test = logged().await;
    test.crm.edit_note(5001, "Nothing of it is true.");
    check(
        &test.patch(&update(json!({"note": "Wants a quote", "result": "Accepted"}))).await,
        UPDATED,
        "the same values",
    );
    assert_eq!(note(&test), "Nothing of it is true.");
    check(&test.patch(&update(json!({"result": "Voicemail"}))).await, UPDATED, "a new value");
    check_text(&note(&test), &["Nothing of it is true.", "Voicemail"], &["Wants a quote"]);
}

#[tokio::test]
async fn a_recording_link_is_never_replaced_by_its_placeholder() {
    let test = TestApp::start().await;
    let (link, pending) =
        (json!({"recordingLink": "https://rec.example/1"}), json!({"recordingLink": "(pending...)"}));
    check(&test.patch(&update(link.clone())).await, QUEUED_UNTIL_LOGGED, "the link");
    check(&test.patch(&update(pending.clone())).await, QUEUED_UNTIL_LOGGED, "a late placeholder");
    check(&test.post(&call(SESSION)).await, LOGGED, "create");
    check_text(&note(&test), &["https://rec.example/1"], &["(pending...)"]);
    check(&test.patch(&update(pending.clone())).await, UPDATED, "a placeholder after the create");
    check_text(&note(&test), &["https://rec.example/1"], &["(pending...)"]);

    let test = logged().await;
    for (details, present, absent) in
        [(&pending, "(pending...)", "https://"), (&link, "https://rec.example/1", "(pending...)")]
    {
        check(&test.patch(&update(details.clone())).await, UPDATED, present);
        check_text(&note(&test), &[present], &[absent]);
    }
}

#[tokio::test]
async fn an_update_changes_the_subject_unless_a_person_has_edited_it() {
    let test = logged().await;
    let subject = || activity(&test)["subject"].as_str().unwrap().to_owned();
    assert_eq!(subject(), "Inbound Call from Bob Client");
    for (edit, sent, expected) in [
        (None, "Quote", "Quote"),
        (None, "Quote for Bob", "Quote for Bob"),
        (None, "Quote for Bob", "Quote for Bob"),
        (Some("Bob, urgent"), "Quote for Bob", "Bob, urgent"),
        (None, "Quote, second", "Bob, urgent"),
    ] {
        if let Some(edit) = edit {
            test.crm.edit(5001, "subject", json!(edit));
        }
        check(&test.patch(&update(json!({"subject": sent}))).await, UPDATED, sent);
        assert_eq!(subject(), expected, "after {sent}");
    }
}

#[tokio::test]
async fn a_subject_is_still_updated_after_the_response_to_its_last_change_was_lost() {
    let test = logged().await;
    test.crm.next(Route::UpdateActivity, Fault::DropBeforeAnswer);
    for subject in ["Quote", "Quote for Bob"] {
        check(&test.patch(&update(json!({"subject": subject}))).await, UPDATED, subject);
        assert_eq!(activity(&test)["subject"], subject);
    }
}

/// The sender of an empty note may not know the note, so the one in the CRM stays.
#[tokio::test]
async fn an_update_with_an_empty_note_removes_nothing() {
    let test = logged().await;
    for empty in [json!(""), json!(" \n"), json!(null)] {
        check(&test.patch(&update(json!({"note": empty}))).await, UPDATED, "an empty note");
        assert!(note(&test).contains("Wants a quote"), "{empty}");
    }
}

/// If a person emptied the note, an update neither fails nor writes everything again.
#[tokio::test]
async fn a_record_whose_note_a_person_emptied_gets_only_what_is_new() {
    let test = logged().await;
    test.crm.edit(5001, "note", Value::Null);
    let update = update(json!({"note": "Wants a quote", "recordingLink": "https://rec.example/1"}));
    check(&test.patch(&update).await, UPDATED, "update");
    let note = note(&test);
    assert!(note.contains("https://rec.example/1") && !note.contains("Wants a quote"), "{note}");
}
