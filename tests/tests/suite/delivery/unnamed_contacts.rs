//! Creates that name no contact: the contact is looked up by the number of the call's other party.

use call_log::{
    model::UserId,
    store::{CallItem, State},
};
use tests::{metered::Metered, test_app::api_key};

use super::{
    identities::{Users, users},
    redrive::item,
    *,
};
use crate::harness::with;

/// The number of the caller, and how people write it in the CRM.
const NUMBER: &str = "+12135550111";
const WRITTEN: &str = "(213) 555-0111";
/// A number that no contact has.
const UNKNOWN: &str = "+12135550199";

/// Returns the tests' call with these fields instead of a contact.
fn unnamed(fields: Value) -> Value {
    with(with(call(SESSION), json!({"contactId": null, "contactType": null, "contactName": null})), fields)
}

/// Returns a create of a call from this number.
fn from(number: &str) -> Value {
    unnamed(json!({"logInfo": {"from": {"phoneNumber": number}}}))
}

fn not_found(number: &str) -> String {
    format!("Contact not found for number {number}")
}

/// Returns the person of the only activity.
fn person(test: &TestApp) -> Value {
    activity(test)["participants"][0]["person_id"].clone()
}

async fn items(test: &TestApp) -> Vec<(LogKey, CallItem)> {
    test.app.store.logs_of_call(&session_key(test).call).await.unwrap()
}

/// Expects that the create is answered so, that its record belongs to this person, and that the CRM was asked so often.
async fn check_logged(test: &TestApp, body: &Value, person_id: u64, searches: usize) {
    let before = test.crm.count(Route::SearchPersons);
    check(&test.post(body).await, LOGGED, &body.to_string());
    assert_eq!(person(test), json!(person_id), "{body}");
    assert_eq!(test.crm.count(Route::SearchPersons) - before, searches, "{body}");
}

/// Expects that the create is answered so, that nothing is kept of it, and that the CRM was asked so often.
async fn check_not_logged(
    test: &TestApp,
    body: &Value,
    number: &str,
    details: Option<&str>,
    searches: usize,
) {
    let before = test.crm.count(Route::SearchPersons);
    let response = test.post(body).await;
    check(&response, &not_found(number), &body.to_string());
    let shown = response.body["returnMessage"]["details"][0]["items"][0]["text"].as_str();
    assert_eq!(shown, details, "{body}");
    assert_eq!(test.crm.count(Route::SearchPersons) - before, searches, "{body}");
    assert_eq!(test.crm.activities(), Vec::<Value>::new(), "{body}");
    assert_eq!(items(test).await, [], "{body}");
    assert_eq!(test.redrive().await.due, 0, "{body}");
}

#[tokio::test]
async fn the_only_contact_with_the_number_is_used() {
    for fields in [
        json!({}),
        json!({"contactId": ""}),
        json!({"contactId": 0}),
        json!({"contactId": false}),
        json!({"contactId": "none"}),
        json!({"contactId": "createNewContact", "contactName": "Create new contact..."}),
        json!({"contactInfo": {}}),
        json!({"contactInfo": {"id": "none", "phoneNumber": WRITTEN}}),
        json!({"logInfo": {"direction": "Outbound", "to": {"phoneNumber": NUMBER}, "from": {"phoneNumber": UNKNOWN}}}),
    ] {
        let test = TestApp::start().await;
        check_logged(&test, &unnamed(fields.clone()), 77, 1).await;
        let subject = activity(&test)["subject"].as_str().unwrap().to_owned();
        assert!(subject.ends_with("Bob Client"), "the CRM's name of the contact: {subject}");
        check(&test.post(&unnamed(fields)).await, ALREADY_LOGGED, "again");
        assert_eq!(test.crm.count(Route::SearchPersons), 1, "a call that is logged is not looked up");
        check_text(&note(&test), &["Wants a quote"], &[]);
    }
    let test = TestApp::start().await;
    check_logged(&test, &call(SESSION), 77, 0).await;
}

#[tokio::test]
async fn without_exactly_one_contact_nothing_is_logged_or_kept() {
    let test = TestApp::start().await;
    check_not_logged(&test, &from(UNKNOWN), UNKNOWN, None, 1).await;
    test.crm.add_person("Bob Twin", WRITTEN, None);
    let two = "Pipedrive has several contacts with this number: Bob Client, Bob Twin. Choose one and log the call again.";
    check_not_logged(&test, &from(NUMBER), NUMBER, Some(two), 1).await;
    for name in ["Bob 3", "Bob 4", "Bob 5", "Bob 6", "Bob 7"] {
        test.crm.add_person(name, NUMBER, None);
    }
    let many = "Pipedrive has several contacts with this number: Bob Client, Bob Twin, Bob 3, Bob 4, Bob 5, and 2 more. \
                Choose one and log the call again.";
    check_not_logged(&test, &from(NUMBER), NUMBER, Some(many), 1).await;
    // The sender chooses.
    check_logged(&test, &call(SESSION), 77, 0).await;
}

#[tokio::test]
async fn what_is_no_telephone_number_is_not_looked_up() {
    let test = TestApp::start().await;
    test.crm.add_person("Ext", "101", None);
    for (from, number) in [
        (json!({"phoneNumber": "101"}), "101"),
        (json!({"phoneNumber": "anonymous"}), "anonymous"),
        (json!({"extensionNumber": "101"}), "unknown"),
        (json!({"name": "BOB CLIENT"}), "unknown"),
        (Value::Null, "unknown"),
    ] {
        let body = unnamed(json!({"logInfo": {"from": null}}));
        let body = with(body, json!({"logInfo": {"from": from}}));
        check_not_logged(&test, &body, number, None, 0).await;
    }
    assert!(test.crm.requests().is_empty());
}

#[tokio::test]
async fn a_search_that_the_crm_rejects_finds_no_contact() {
    let test = TestApp::start().await;
    test.crm
        .always(Route::SearchPersons, Fault::Refusal(400, r#"{"success": false, "error": "no such term"}"#));
    check_not_logged(&test, &from(NUMBER), NUMBER, None, 1).await;
}

/// The extension has asked for the contact some minutes ago.
#[tokio::test]
async fn contacts_that_were_found_before_do_not_count() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    let path = "/contact?phoneNumber=%2B12135550111";
    let found = send_from_extension(&test.app, "GET", path, &token, &Value::Null).await;
    assert_eq!(found.body["contact"][0]["id"], "77");
    test.crm.add_person("Bob Twin", WRITTEN, None);
    check(&test.post(&from(NUMBER)).await, &not_found(NUMBER), "two contacts now");
}

#[tokio::test]
async fn a_look_up_that_fails_keeps_the_create_and_the_redrive_logs_it() {
    for (fault, message) in [
        (Fault::Status(500), NOT_ANSWERING),
        (Fault::DropBeforeAnswer, NOT_ANSWERING),
        (Fault::Html, NOT_ANSWERING),
        (Fault::Truncated, NOT_ANSWERING),
        (Fault::Status(429), RATE_LIMITED),
        (Fault::Status(403), UNAUTHORIZED),
    ] {
        let test = TestApp::start().await;
        test.crm.fail(Route::SearchPersons, fault.clone());
        check(&test.post(&from(NUMBER)).await, message, &format!("{fault:?}"));
        assert_eq!(attempts(&test), (0, 0), "{fault:?}: nothing is sent");
        let kept = item(&test).await;
        assert_eq!((kept.state, kept.outcome_unknown), (State::Retry, false), "{fault:?}");
        test.crm.forget_faults();
        test.redrive_for(20).await;
        assert_eq!((person(&test), attempts(&test)), (json!(77), (1, 0)), "{fault:?}");
        check_text(&note(&test), &["Wants a quote"], &[]);
        check(&test.post(&from(NUMBER)).await, ALREADY_LOGGED, &format!("{fault:?}"));
    }
}

#[tokio::test]
async fn the_redrive_ends_a_create_for_which_there_is_no_contact() {
    for (number, twin) in [(UNKNOWN, false), (NUMBER, true)] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        // What others have queued waits for another create.
        start(&test.app, &users.admin, "PATCH", update(json!({"aiNote": "apple"}))).await.unwrap();
        test.crm.outage(Some(Fault::Status(503)));
        check(&test.post(&from(number)).await, NOT_ANSWERING, "the create is kept");
        start(&test.app, &users.admin, "PATCH", update(json!({"transcript": "berry"}))).await.unwrap();
        test.crm.outage(None);
        if twin {
            test.crm.add_person("Bob Twin", WRITTEN, None);
        }
        let reports = test.redrive_for(20).await;
        assert_eq!(reports.iter().map(|report| report.delivered).sum::<usize>(), 1, "{reports:?}");
        let ended = item(&test).await;
        assert_eq!((ended.state, ended.waiting.len(), ended.payload), (State::Queued, 2, None));
        assert_eq!((test.crm.activities(), ended.due_at), (Vec::new(), None));
        check(&test.post(&call(SESSION)).await, LOGGED, "a create that names the contact");
        check_text(&note(&test), &["Wants a quote", "apple", "berry"], &[]);
    }
}

#[tokio::test]
async fn a_further_log_without_a_contact_ends_alone() {
    let test = TestApp::start().await;
    let of = |body: Value, extension: &str| with(body, json!({"extensionNumber": extension}));
    check(&test.post(&of(call(SESSION), "101")).await, LOGGED, "the first log");
    check(&test.post(&of(from(UNKNOWN), "102")).await, &not_found(UNKNOWN), "a further one");
    test.crm.fail(Route::SearchPersons, Fault::Status(500));
    check(&test.post(&of(from(UNKNOWN), "102")).await, NOT_ANSWERING, "one that is kept");
    test.crm.forget_faults();
    test.redrive_for(20).await;
    assert_eq!(items(&test).await.len(), 1);
    check(&test.post(&of(from(NUMBER), "102")).await, LOGGED, "one with a contact");
    assert_eq!(test.crm.activities().len(), 2);
}

/// The contact is stored before anything is sent, so that a later attempt does not decide otherwise.
#[tokio::test]
async fn a_create_whose_response_was_lost_is_found_whoever_has_the_number_then() {
    for twin in [false, true] {
        let test = TestApp::start().await;
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        check(&test.post(&from(NUMBER)).await, NOT_ANSWERING, "the response is lost");
        if twin {
            test.crm.add_person("Bob Twin", WRITTEN, None);
        }
        test.pass(SETTLED);
        test.redrive_for(20).await;
        assert_eq!((person(&test), test.crm.count(Route::SearchPersons)), (json!(77), 1));
        assert_eq!(test.crm.count(Route::CreateActivity), 1);
    }
}

#[tokio::test]
async fn a_lease_holder_that_dies_during_the_look_up_has_sent_nothing() {
    let test = TestApp::start().await;
    let (other, dynamodb) = test.proxied_app().await;
    test.crm.next(Route::SearchPersons, SLOW);
    let dying = start(&other, &test.user, "POST", from(NUMBER));
    wait_for_requests(&test, Route::SearchPersons, 1).await;
    for _ in 0..10 {
        dynamodb.next(DYNAMODB, Fault::DropBeforeEffect);
    }
    assert_eq!(dying.await.unwrap().status, 503, "the contact could not be stored");
    test.pass(LEASE);
    check(&test.post(&from(NUMBER)).await, LOGGED, "after the lease");
    assert_eq!((person(&test), attempts(&test)), (json!(77), (1, 0)), "there is no record to search for");
    assert_eq!(item(&test).await.sweep_at, None, "and none to sweep");
}

#[tokio::test]
async fn a_thousand_creates_without_a_contact_make_one_record() {
    let test = TestApp::start().await;
    let body = from(NUMBER);
    let first: Vec<_> = (0..20).map(|_| start(&test.app, &test.user, "POST", body.clone())).collect();
    for response in first {
        let response = response.await.unwrap();
        assert!([LOGGED, ALREADY_LOGGED].contains(&response.message()), "{response:?}");
    }
    for _ in 0..980 {
        check(&test.post(&body).await, ALREADY_LOGGED, "again");
    }
    assert_eq!((person(&test), test.crm.count(Route::SearchPersons)), (json!(77), 1));
}

#[tokio::test]
async fn simultaneous_creates_of_an_unknown_number_all_learn_it() {
    let test = TestApp::start().await;
    let creates: Vec<_> = (0..10).map(|_| start(&test.app, &test.user, "POST", from(UNKNOWN))).collect();
    for response in creates {
        check(&response.await.unwrap(), &not_found(UNKNOWN), "at the same time");
    }
    assert_eq!(items(&test).await, []);
}

#[tokio::test]
async fn a_contact_that_another_sender_names_is_used_without_a_look_up() {
    let body =
        |users: &Users| (users.agent.clone(), with(call(SESSION), json!({"contactId": 78, "note": "berry"})));
    for is_down in [true, false] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        let (agent, named) = body(&users);
        test.crm.fail(Route::SearchPersons, if is_down { Fault::Status(500) } else { SLOW });
        let first = start(&test.app, &users.admin, "POST", from(NUMBER));
        if is_down {
            check(&first.await.unwrap(), NOT_ANSWERING, "the create of server-side logging is kept");
            close_breaker(&test).await;
            check(
                &start(&test.app, &agent, "POST", named).await.unwrap(),
                LOGGED,
                "the agent names the contact",
            );
            assert_eq!((person(&test), test.crm.count(Route::SearchPersons)), (json!(78), 1));
        } else {
            wait_for_requests(&test, Route::SearchPersons, 1).await;
            let second = start(&test.app, &agent, "POST", named).await.unwrap();
            check(&first.await.unwrap(), LOGGED, "the create of server-side logging");
            check(&second, ALREADY_LOGGED, "the agent's");
            assert_eq!(person(&test), json!(77), "it was looked up first");
        }
        test.redrive_for(3).await;
        check_text(&note(&test), &["Wants a quote", "berry"], &[]);
    }
}

async fn close_breaker(test: &TestApp) {
    tests::test_app::close_breaker(&test.app, &test.user).await;
}

#[tokio::test]
async fn a_cached_note_waits_on_when_there_is_no_contact() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    let cached = update(json!({"note": "apple"}));
    send_from_extension(&test.app, "POST", "/callLog/cacheNote", &token, &cached).await;
    let without_note = |body: Value| with(body, json!({"note": null}));
    check(&test.post(&without_note(from(UNKNOWN))).await, &not_found(UNKNOWN), "no contact");
    check(&test.post(&without_note(call(SESSION))).await, LOGGED, "a contact");
    check_text(&note(&test), &["apple"], &[]);
}

#[tokio::test]
async fn the_kept_create_of_a_user_who_moved_is_discarded() {
    let test = TestApp::start().await;
    test.crm.fail(Route::SearchPersons, Fault::Status(500));
    check(&test.post(&from(NUMBER)).await, NOT_ANSWERING, "the create is kept");
    test.crm.forget_faults();
    let moved = User {
        account: call_log::model::CrmAccount {
            id: Some("another company".to_owned()),
            ..test.user.account.clone()
        },
        ..test.user.clone()
    };
    test.app.store.put_user(&moved).await.unwrap();
    test.redrive_for(20).await;
    assert_eq!((test.crm.activities(), items(&test).await), (Vec::new(), Vec::new()));
    // A colleague looks the contact up with another credential.
    let credentials = Some(api_key(tests::pipedrive::API_KEY));
    let colleague = User { id: UserId::new("777-pipedrive").unwrap(), credentials, ..test.user.clone() };
    test.app.store.put_user(&colleague).await.unwrap();
    check(
        &start(&test.app, &colleague, "POST", from(NUMBER)).await.unwrap(),
        LOGGED,
        "the colleague's create",
    );
}

/// A create that names its contact makes two round trips and three operations (`costs.rs`).
#[tokio::test]
async fn a_look_up_costs_one_request_to_the_crm_and_one_write() {
    let metered = Metered::warm().await;
    let mut body = from(NUMBER);
    body["logInfo"]["sessionId"] = json!("2");
    let counted = metered.send("POST", &body).await;
    assert_eq!(counted.dynamodb.len(), 4, "{:?}", counted.dynamodb);
    let crm: Vec<_> = counted.crm.iter().map(|one| format!("{} {}", one.method, one.name())).collect();
    assert_eq!(crm, ["GET /api/v2/persons/search", "GET /api/v2/persons/77", "POST /api/v2/activities"]);
}
