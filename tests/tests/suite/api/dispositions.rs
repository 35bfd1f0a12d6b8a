//! `PUT /callDisposition`: the choices of the form of a call log. The extension sends them after each edit.

use call_log::model::{User, UserId};
use serde_json::{Value, json};
use tests::{
    pipedrive::Route,
    proxy::Fault,
    test_app::{Response, TestApp, call, close_breaker, grant, send_from_extension},
};

use crate::harness::with;

const LEAD: &str = "adf21080-0e10-11eb-879b-05d71fb426ec";

async fn put(test: &TestApp, body: &Value) -> Response {
    let token = test.app.issue_token(&test.user, 1);
    send_from_extension(&test.app, "PUT", "/callDisposition", &token, body).await
}

/// Sends these choices for call 7, and expects a success without a message, and these numbers of reads and changes of the
/// record.
async fn check(test: &TestApp, dispositions: Value, requests: (usize, usize)) {
    let counts = || (test.crm.count(Route::GetActivity), test.crm.count(Route::UpdateActivity));
    let before = counts();
    let response = put(test, &json!({"sessionId": "7", "dispositions": dispositions})).await;
    assert_eq!((response.status, response.body), (200, json!({"successful": true})), "{dispositions}");
    let after = counts();
    assert_eq!((after.0 - before.0, after.1 - before.1), requests, "{dispositions}");
}

/// Returns the deal and the lead of the only record.
fn choices(test: &TestApp) -> (Value, Value) {
    let activities = test.crm.activities();
    assert_eq!(activities.len(), 1, "{activities:?}");
    (activities[0]["deal_id"].clone(), activities[0]["lead_id"].clone())
}

#[tokio::test]
async fn a_choice_is_written_once_and_the_note_stays() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    let note = test.crm.activities()[0]["note"].clone();
    check(&test, json!({"deals": 412, "note": "Wants a quote"}), (1, 1)).await;
    assert_eq!(choices(&test), (json!(412), Value::Null));
    check(&test, json!({"deals": 412, "note": "Wants a quote"}), (0, 0)).await;
    check(&test, json!({"deals": "412"}), (0, 0)).await;
    check(&test, json!({"deals": 413, "note": "another note"}), (1, 1)).await;
    check(&test, json!({"deals": 412}), (1, 1)).await;
    assert_eq!((choices(&test).0, &test.crm.activities()[0]["note"]), (json!(412), &note));

    // An edit of the note does not change what was sent last.
    test.patch(&json!({"sessionId": "7", "note": "Wants two"})).await;
    check(&test, json!({"deals": 412}), (0, 0)).await;
}

#[tokio::test]
async fn nothing_chosen_changes_nothing() {
    let test = TestApp::start().await;
    test.post(&with(call("7"), json!({"additionalSubmission": {"deals": 412}}))).await;
    for nothing in [
        json!({}),
        json!({"note": "Wants a quote"}),
        json!({"deals": null, "leads": ""}),
        json!({"deals": "none", "leads": "none"}),
        json!({"deals": 0, "leads": "x", "leadWarning": true, "other": 7}),
        // The create has sent it.
        json!({"deals": 412, "leads": LEAD}),
    ] {
        check(&test, nothing, (0, 0)).await;
    }
    assert_eq!(choices(&test), (json!(412), Value::Null));
    for body in [json!({"sessionId": "7"}), json!({"sessionId": "7", "dispositions": "x"})] {
        assert_eq!(put(&test, &body).await.body, json!({"successful": true}), "{body}");
    }
}

#[tokio::test]
async fn a_choice_of_one_kind_replaces_that_of_the_other() {
    let test = TestApp::start().await;
    test.post(&with(call("7"), json!({"additionalSubmission": {"leads": LEAD}}))).await;
    assert_eq!(choices(&test), (Value::Null, json!(LEAD)));
    check(&test, json!({"leads": LEAD}), (0, 0)).await;
    check(&test, json!({"leads": LEAD, "deals": 412}), (1, 1)).await;
    assert_eq!(choices(&test), (json!(412), Value::Null));
}

#[tokio::test]
async fn what_a_person_changed_in_the_crm_stays_until_the_person_chooses_again() {
    let test = TestApp::start().await;
    test.post(&with(call("7"), json!({"additionalSubmission": {"deals": 412}}))).await;
    test.crm.edit(5001, "deal_id", json!(500));
    check(&test, json!({"deals": 412}), (0, 0)).await;
    assert_eq!(choices(&test).0, json!(500));
    // The record has what is chosen.
    check(&test, json!({"deals": 500}), (1, 0)).await;
    check(&test, json!({"deals": 413}), (1, 1)).await;
    assert_eq!(choices(&test).0, json!(413));
}

#[tokio::test]
async fn a_choice_before_its_call_waits_for_it() {
    let test = TestApp::start().await;
    check(&test, json!({"deals": 412}), (0, 0)).await;
    check(&test, json!({"deals": 413}), (0, 0)).await;
    test.post(&call("7")).await;
    assert_eq!(choices(&test).0, json!(413));

    // And one that the CRM does not take now.
    test.crm.next(Route::UpdateActivity, Fault::Status(500));
    let response = put(&test, &json!({"sessionId": "7", "dispositions": {"deals": 414}})).await;
    assert_eq!((response.status, response.message()), (200, "Pipedrive is not answering"), "{response:?}");
    close_breaker(&test.app, &test.user).await;
    let token = test.app.issue_token(&test.user, 1);
    let path = "/callLog?sessionIds=7&requireDetails=true";
    let shown = send_from_extension(&test.app, "GET", path, &token, &Value::Null).await;
    assert_eq!(shown.body["logs"][0]["logData"]["dispositions"], json!({"deals": 414}), "{:?}", shown.body);
    test.redrive_for(2).await;
    assert_eq!(choices(&test).0, json!(414));
    check(&test, json!({"deals": 414}), (0, 0)).await;
}

#[tokio::test]
async fn a_choice_that_the_crm_refuses_is_shown_with_its_words_and_can_be_sent_again() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    test.crm.refuse("413");
    let body = json!({"sessionId": "7", "dispositions": {"deals": 413}});
    for _ in 0..2 {
        let response = put(&test, &body).await;
        assert_eq!((response.status, response.message()), (200, "Pipedrive refused the call log"));
        assert_eq!(response.body["successful"], false);
        assert!(response.body.to_string().contains("Validation failed: a value"), "{:?}", response.body);
    }
    test.crm.refuse("no such text");
    check(&test, json!({"deals": 413}), (1, 1)).await;
    assert_eq!(choices(&test).0, json!(413));
}

/// The extension sends the update of an edit and its choices one after the other; another browser may send its own.
#[tokio::test]
async fn updates_and_choices_at_the_same_time_are_all_written() {
    let test = TestApp::start().await;
    test.post(&call("7")).await;
    let other = test.another_app().await;
    let token = test.app.issue_token(&test.user, 1);
    let (update, chosen) = (
        json!({"sessionId": "7", "aiNote": "Bob asked"}),
        json!({"sessionId": "7", "dispositions": {"deals": 412}}),
    );
    let (one, two) = tokio::join!(
        test.patch(&update),
        send_from_extension(&other, "PUT", "/callDisposition", &token, &chosen)
    );
    assert_eq!((one.status, two.status), (200, 200));
    test.redrive_for(2).await;
    let note = test.crm.activities()[0]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("Bob asked"), "{note}");
    assert_eq!(choices(&test).0, json!(412));
}

#[tokio::test]
async fn the_log_of_the_extension_is_meant() {
    let test = TestApp::start().await;
    for (extension, note) in [("101", "apple"), ("102", "berry")] {
        test.post(&with(call("7"), json!({"extensionNumber": extension, "note": note}))).await;
    }
    let body = json!({"sessionId": "7", "extensionNumber": "102", "dispositions": {"deals": 412}});
    for requests in [1, 0] {
        let before = test.crm.count(Route::UpdateActivity);
        assert_eq!(put(&test, &body).await.body, json!({"successful": true}));
        assert_eq!(test.crm.count(Route::UpdateActivity) - before, requests);
    }
    let deals: Vec<_> = test.crm.activities().iter().map(|activity| activity["deal_id"].clone()).collect();
    assert_eq!(deals, [Value::Null, json!(412)]);
    let response = put(&test, &with(body, json!({"extensionNumber": null}))).await;
    assert_eq!((response.status, response.message()), (200, "More than one log belongs to this call."));
}

#[tokio::test]
async fn a_caller_without_access_is_told_what_to_do() {
    let test = TestApp::start().await;
    let body = json!({"sessionId": "7", "dispositions": {"deals": 412}});
    let stranger = User { id: UserId::new("1-pipedrive").unwrap(), ..test.user.clone() };
    let token = test.app.issue_token(&stranger, 1);
    let response = send_from_extension(&test.app, "PUT", "/callDisposition", &token, &body).await;
    assert_eq!((response.status, response.message()), (200, "User not found. Please connect to your CRM."));
    for (body, message) in [
        (json!({}), "`sessionId` is missing: expected RingCentral's id of one call, never 0."),
        (json!([]), "The body is not an object: expected a JSON object, got a list."),
    ] {
        let response = put(&test, &body).await;
        assert_eq!((response.status, &response.body), (400, &json!(message)), "{body}");
    }
    let test = TestApp::with_credentials(grant(-1, "ended")).await;
    test.post(&call("7")).await;
    let response = put(&test, &body).await;
    assert_eq!((response.status, response.body), (200, json!({"successful": true})), "the create waits");
}
