//! Records that the CRM rejects because of one part: they are created without it.

use call_log::{
    model::RecordPart::{self, Contact, Details, Form, Owner},
    store::{CallItem, State},
};
use tests::log::{Log, endings, values};

use super::*;
use crate::harness::with;

/// A create with every part that a record can do without.
fn full() -> Value {
    with(
        call(SESSION),
        json!({"additionalSubmission": {"deals": 412}, "aiNote": "Bob asked", "transcript": "Hello"}),
    )
}

async fn item(test: &TestApp) -> CallItem {
    test.app.store.call(&session_key(test)).await.unwrap().unwrap()
}

/// Returns the texts of the response that say what the CRM did not accept.
fn not_accepted(response: &Response) -> Vec<&str> {
    let sections = response.body["returnMessage"]["details"].as_array().into_iter().flatten();
    let refused = sections.filter(|section| section["title"] == "Not accepted");
    refused.map(|section| section["items"][0]["text"].as_str().unwrap()).collect()
}

/// Logs a call whose record Pipedrive refuses because of this text. Checks what the response, the item and the metrics say.
async fn check_left_out(refused: &str, parts: &[RecordPart], said: &str) -> TestApp {
    let test = TestApp::start().await;
    test.crm.refuse(refused);
    let log = Log::capture();
    let response = test.post(&full()).await;
    check(&response, LOGGED, refused);
    let expected = format!("{said} Pipedrive says: Validation failed: a value");
    assert_eq!(not_accepted(&response), [expected], "{refused}: {}", response.body);
    assert_eq!(item(&test).await.left_out, parts, "{refused}");
    let lines = log.take();
    let counted = endings(&lines).into_iter().filter_map(|line| values(line).remove("LeftOut")).flatten();
    assert_eq!(counted.sum::<i64>(), parts.len() as i64, "{refused}");
    check_text(&note(&test), &["Wants a quote"], &[]);
    test
}

#[tokio::test]
async fn a_call_is_logged_without_the_part_that_the_crm_rejects() {
    let form = "The choices of the form, such as the deal, were left out.";
    let test = check_left_out("\"deal_id\":412", &[Form], form).await;
    assert_eq!(activity(&test)["person_id"], 77);
    assert_eq!(activity(&test)["owner_id"], 12345);
    check_text(&note(&test), &["Bob asked", "Hello"], &[]);

    let owner = "Pipedrive chose the owner of the record.";
    let test = check_left_out("owner_id", &[Owner], owner).await;
    assert_eq!((&activity(&test)["person_id"], &activity(&test)["deal_id"]), (&json!(77), &json!(412)));

    let contact = "The call is logged without a contact. Choose the contact in the record.";
    let test = check_left_out("participants", &[Contact], contact).await;
    assert_eq!((&activity(&test)["person_id"], &activity(&test)["deal_id"]), (&Value::Null, &json!(412)));

    // Only the detail that is rejected is left out.
    let details = "Some details of the call were left out.";
    let test = check_left_out("Bob asked", &[Details], details).await;
    check_text(&note(&test), &["Hello", "Duration"], &["Bob asked"]);
    assert_eq!((&activity(&test)["person_id"], &activity(&test)["deal_id"]), (&json!(77), &json!(412)));
}

#[tokio::test]
async fn a_call_whose_contact_was_merged_is_logged_for_the_other_contact_with_the_number() {
    for (contact, words) in [
        (json!(999), "The contact is no longer in Pipedrive."),
        (json!("c-2"), "The contact id \"c-2\" is not a number."),
    ] {
        let test = TestApp::start().await;
        let response = test.post(&with(call(SESSION), json!({"contactId": contact}))).await;
        check(&response, LOGGED, words);
        let said = format!(
            "Pipedrive has another contact with this number: the call is logged for Bob Client. Pipedrive says: {words}"
        );
        assert_eq!(not_accepted(&response), [said], "{}", response.body);
        assert_eq!(activity(&test)["person_id"], 77);
        // If several contacts have the number, it is not known which one.
        let test = TestApp::start().await;
        test.crm.add_person("Bob's assistant", "+12135550111", None);
        let response = test.post(&with(call(SESSION), json!({"contactId": contact}))).await;
        let said = format!(
            "The call is logged without a contact. Choose the contact in the record. Pipedrive says: {words}"
        );
        assert_eq!(not_accepted(&response), [said], "{}", response.body);
        assert_eq!(activity(&test)["person_id"], Value::Null);
    }
}

#[tokio::test]
async fn a_record_with_several_rejected_parts_is_created_without_all_of_them() {
    let test = TestApp::start().await;
    let body = with(full(), json!({"contactId": 999, "contactInfo": {"phoneNumber": "+19995550000"}}));
    test.crm.refuse("deal_id");
    check(&test.post(&body).await, LOGGED, "a contact and a deal that are gone");
    let activity = activity(&test);
    assert_eq!((&activity["person_id"], &activity["deal_id"]), (&Value::Null, &Value::Null));
    // The details are added afterwards.
    check_text(&note(&test), &["Wants a quote", "Bob asked", "Hello"], &[]);
}

#[tokio::test]
async fn a_call_is_given_up_only_if_the_barest_record_is_rejected() {
    let test = TestApp::start().await;
    test.crm.refuse("Wants a quote");
    let rejected = test.post(&full()).await;
    check(&rejected, REJECTED, "the note itself is refused");
    assert_eq!(attempts(&test), (6, 0), "in full, without each of four parts, and without all of them");
    let item = item(&test).await;
    assert_eq!(item.state, State::DeadLetter);
    assert!(item.payload.is_some(), "the note is kept");
}

/// The record of an attempt without a response is found, whatever the attempt left out.
#[tokio::test]
async fn the_record_of_a_reduced_attempt_without_a_response_is_found() {
    for refused in ["\"deal_id\":412", "participants", "owner_id", "Bob asked"] {
        let test = TestApp::start().await;
        test.crm.refuse(refused);
        test.crm.always(Route::CreateActivity, Fault::LoseSuccess);
        check(&test.post(&full()).await, NOT_ANSWERING, refused);
        test.crm.forget_faults();
        test.redrive_for(20).await;
        assert_eq!(test.crm.activities().len(), 1, "{refused}");
        assert_eq!(item(&test).await.state, State::Logged, "{refused}");
        check_text(&note(&test), &["Wants a quote", "Hello"], &[]);
    }
}
