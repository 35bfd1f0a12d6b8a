//! `GET /contact`, `GET /custom/contact/search` and `POST /contact`: who is calling, and a new contact.

use std::time::{Duration, Instant};

use call_log::model::{CrmAccount, User, UserId};
use serde_json::{Value, json};
use tests::{
    pipedrive::{REFRESH_TOKEN, Route},
    proxy::Fault,
    test_app::{NOW_MS, Response, TestApp, api_key, close_breaker, grant, send_from_extension},
};

use crate::harness::with;

const BY_BOB: &str = "/contact?phoneNumber=%2B12135550111";
const NO_SUCH: &str = "Pipedrive has no such contact.";

async fn find(test: &TestApp, path: &str) -> Response {
    let token = test.app.issue_token(&test.user, 1);
    send_from_extension(&test.app, "GET", path, &token, &Value::Null).await
}

/// Expects these contacts. `message`: empty if the extension shows none.
async fn check(test: &TestApp, path: &str, contacts: &[Value], message: &str) {
    let response = find(test, path).await;
    let mut expected = json!({"successful": true, "contact": contacts});
    if !message.is_empty() {
        expected["returnMessage"] = json!({"message": message, "messageType": "warning", "ttl": 5000});
    }
    assert_eq!((response.status, &response.body), (200, &expected), "{path}");
}

fn bob() -> Value {
    json!({"id": "77", "name": "Bob Client", "type": "contact", "phone": "+12135550111"})
}

fn new() -> Value {
    json!({"id": "createNewContact", "name": "Create new contact...", "isNewContact": true})
}

async fn create(test: &TestApp, user: &User, body: &Value) -> Response {
    let token = test.app.issue_token(user, 1);
    send_from_extension(&test.app, "POST", "/contact", &token, body).await
}

async fn check_created(test: &TestApp, body: &Value, id: &str) {
    let response = create(test, &test.user, body).await;
    assert_eq!((response.status, &response.body["contact"]["id"]), (200, &json!(id)), "{:?}", response.body);
    assert_eq!(response.body["returnMessage"]["message"], "Contact created.");
}

fn eve() -> Value {
    json!({"phoneNumber": "+12135550177", "newContactName": "Eve New", "newContactType": "contact"})
}

#[tokio::test]
async fn a_number_has_contacts_and_an_entry_for_a_new_one() {
    let test = TestApp::start().await;
    for number in ["%2B12135550111", "+12135550111", "+12135550111&isExtension=false&overridingFormat=*"] {
        check(&test, &format!("/contact?phoneNumber={number}"), &[bob(), new()], "").await;
    }
    check(&test, "/contact?phoneNumber=%2B12135550199", &[new()], NO_SUCH).await;
    let solo = json!({"id": "78", "name": "Solo", "type": "contact", "phone": "(213) 555-0122"});
    check(&test, "/contact?phoneNumber=%2B12135550122", &[solo, new()], "").await;
    // An extension of the company is no contact's number.
    let searches = test.crm.count(Route::SearchPersons);
    check(&test, "/contact?phoneNumber=101&isExtension=true", &[new()], "").await;
    assert_eq!(test.crm.count(Route::SearchPersons), searches);

    let response = find(&test, "/contact?phoneNumber=anonymous").await;
    let message = "`phoneNumber` is missing: expected a telephone number.";
    assert_eq!((response.status, response.body), (400, json!(message)));
}

#[tokio::test]
async fn a_contact_comes_with_its_open_deals_and_its_leads() {
    const LEAD: &str = "adf21080-0e10-11eb-879b-05d71fb426ec";
    let test = TestApp::start().await;
    for (id, person, title, status) in
        [(412, 77, "Roof", "open"), (413, 77, "Door", "lost"), (414, 78, "Gate", "open")]
    {
        test.crm.add_deal(id, person, title, status);
    }
    test.crm.add_lead(LEAD, 77, "Fence");
    let deals = json!([{"const": 412, "title": "Roof"}]);
    let leads = json!([{"const": LEAD, "title": "Fence"}]);
    let full = with(bob(), json!({"additionalInfo": {"deals": deals, "leads": leads}}));
    check(&test, BY_BOB, &[full.clone(), new()], "").await;
    // An account that does not use leads still has deals; without deals the contact is still there.
    test.crm.next(Route::ListLeads, Fault::Status(403));
    check(&test, BY_BOB, &[with(bob(), json!({"additionalInfo": {"deals": deals}})), new()], "").await;
    test.crm.next(Route::ListDeals, Fault::Status(500));
    check(&test, BY_BOB, &[bob(), new()], "").await;
    check(&test, BY_BOB, &[full.clone(), new()], "").await;
    check(&test, "/custom/contact/search?name=bob", &[full], "").await;
}

#[tokio::test]
async fn a_found_contact_is_not_searched_for_again_for_five_minutes() {
    let test = TestApp::start().await;
    let searched = async |path: &str, contacts: &[Value], expected: usize| {
        let before = test.crm.count(Route::SearchPersons);
        let message = if contacts.len() > 1 { "" } else { NO_SUCH };
        check(&test, path, contacts, message).await;
        assert_eq!(test.crm.count(Route::SearchPersons) - before, expected, "{path}");
    };
    searched(BY_BOB, &[bob(), new()], 1).await;
    searched(BY_BOB, &[bob(), new()], 0).await;
    searched(&format!("{BY_BOB}&isForceRefreshAccountData=true"), &[bob(), new()], 1).await;
    test.pass(4 * 60_000);
    searched(BY_BOB, &[bob(), new()], 0).await;
    test.pass(5 * 60_000);
    searched(BY_BOB, &[bob(), new()], 1).await;
    // A number without a contact may have one a moment later.
    let eves = "/contact?phoneNumber=%2B12135550177";
    searched(eves, &[new()], 1).await;
    let id = test.crm.add_person("Eve New", "+12135550177", None);
    let eve = json!({"id": id.to_string(), "name": "Eve New", "type": "contact", "phone": "+12135550177"});
    searched(eves, &[eve, new()], 1).await;

    // The kept contacts are one user's, unreadable in the table, and gone with the user.
    let table = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await.to_string();
    for text in ["Eve New", "2135550177", "Bob Client"] {
        assert!(!table.contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_crm_that_fails_still_lets_the_form_open() {
    const DOWN: &str = "Pipedrive is not answering. You can still create a contact.";
    let test = TestApp::start().await;
    for fault in [
        Fault::Status(500),
        Fault::Status(403),
        Fault::RateLimited { retry_after: None },
        Fault::Html,
        Fault::Truncated,
        Fault::DropBeforeAnswer,
    ] {
        test.crm.fail(Route::SearchPersons, fault);
        check(&test, BY_BOB, &[new()], DOWN).await;
        close_breaker(&test.app, &test.user).await;
    }
    test.crm.next(Route::SearchPersons, Fault::Delay(Duration::from_secs(30)));
    let begun = Instant::now();
    check(&test, BY_BOB, &[new()], DOWN).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    close_breaker(&test.app, &test.user).await;

    // While the CRM is down, it is not asked.
    for _ in 0..5 {
        test.crm.next(Route::SearchPersons, Fault::Status(500));
        check(&test, BY_BOB, &[new()], DOWN).await;
    }
    let before = test.crm.requests().len();
    check(&test, BY_BOB, &[new()], DOWN).await;
    check(
        &test,
        "/custom/contact/search?name=bob",
        &[],
        "Pipedrive is not answering. Try again in a minute.",
    )
    .await;
    assert_eq!(test.crm.requests().len(), before);
}

/// A contact that is known says nothing of the CRM, which still has to be left alone while it is down.
#[tokio::test]
async fn known_contacts_do_not_hide_that_the_crm_is_down() {
    let test = TestApp::start().await;
    check(&test, BY_BOB, &[bob(), new()], "").await;
    for _ in 0..5 {
        test.crm.next(Route::ListDeals, Fault::Status(500));
        check(&test, BY_BOB, &[bob(), new()], "").await;
    }
    let before = test.crm.requests().len();
    find(&test, BY_BOB).await;
    assert_eq!(test.crm.requests().len(), before);
}

#[tokio::test]
async fn a_name_finds_contacts() {
    let test = TestApp::start().await;
    let solo = json!({"id": "78", "name": "Solo", "type": "contact", "phone": "(213) 555-0122"});
    check(&test, "/custom/contact/search?name=client", &[bob()], "").await;
    check(&test, "/custom/contact/search?name=o", &[], NO_SUCH).await;
    check(&test, "/custom/contact/search?name=%20solo%20", &[solo], "").await;
    check(&test, "/custom/contact/search?name=zoe", &[], NO_SUCH).await;
    for query in ["", "name=", "name=%20%0A"] {
        let response = find(&test, &format!("/custom/contact/search?{query}")).await;
        let message = "`name` is missing: expected the name of a contact, at most 200 characters.";
        assert_eq!((response.status, response.body), (400, json!(message)), "{query}");
    }
}

#[tokio::test]
async fn a_contact_is_created_once() {
    let test = TestApp::start().await;
    let before = test.crm.persons();
    check_created(&test, &eve(), "79").await;
    // A repetition, in other letters.
    check_created(&test, &with(eve(), json!({"newContactName": " eve  NEW"})), "79").await;
    test.pass(11 * 60_000);
    check_created(&test, &eve(), "79").await;
    assert_eq!(test.crm.persons(), before + 1);
    // The form that looked before shows it at once.
    let shown = json!({"id": "79", "name": "Eve New", "type": "contact", "phone": "+12135550177"});
    check(&test, "/contact?phoneNumber=%2B12135550177", &[shown, new()], "").await;
    // Another name on the same number is another person.
    check_created(&test, &with(eve(), json!({"newContactName": "Adam New"})), "80").await;
    let stale = find(&test, "/contact?phoneNumber=%2B12135550177").await;
    assert_eq!(stale.body["contact"].as_array().unwrap().len(), 3, "{:?}", stale.body);

    // The response to the create was lost, and the same request comes again.
    let new = json!({"phoneNumber": "+12135550188", "newContactName": "Zoe"});
    test.crm.next(Route::CreatePerson, Fault::DropBeforeAnswer);
    check_created(&test, &new, "81").await;
    check_created(&test, &new, "81").await;
    assert_eq!(test.crm.persons(), before + 3);
}

#[tokio::test]
async fn requests_at_the_same_time_create_one_contact() {
    let test = TestApp::start().await;
    let before = test.crm.persons();
    test.crm.next(Route::CreatePerson, Fault::Delay(Duration::from_millis(400)));
    let (body, other) = (eve(), test.another_app().await);
    let token = test.app.issue_token(&test.user, 1);
    let (one, two) = tokio::join!(
        create(&test, &test.user, &body),
        send_from_extension(&other, "POST", "/contact", &token, &body)
    );
    for response in [one, two] {
        assert_eq!((response.status, &response.body["contact"]["id"]), (200, &json!("79")), "{response:?}");
    }
    assert_eq!(test.crm.persons(), before + 1);
}

#[tokio::test]
async fn a_contact_that_is_not_created_is_no_success() {
    let test = TestApp::start().await;
    let check = async |fault: Fault, status: u16, message: &str| {
        test.crm.next(Route::CreatePerson, fault);
        let response = create(&test, &test.user, &eve()).await;
        assert_eq!((response.status, &response.body), (status, &json!(message)));
        close_breaker(&test.app, &test.user).await;
    };
    let down = "Pipedrive is not answering. Try again in a minute; no contact is made twice.";
    check(Fault::Status(500), 503, down).await;
    check(Fault::RateLimited { retry_after: None }, 503, down).await;
    check(Fault::DropBeforeEffect, 503, down).await;
    let forbidden = "Pipedrive does not let you create contacts. Ask its administrator for the permission.";
    check(Fault::Status(403), 400, forbidden).await;
    let before = test.crm.persons();
    check_created(&test, &eve(), &(before + 77).to_string()).await;

    for (body, message) in [
        (
            json!({"phoneNumber": "+1"}),
            "`newContactName` is missing: expected a name, at most 200 characters.",
        ),
        (json!({"newContactName": "Eve"}), "`phoneNumber` is missing: expected a telephone number."),
        (json!([]), "The body is not an object: expected a JSON object, got a list."),
    ] {
        let response = create(&test, &test.user, &body).await;
        assert_eq!((response.status, &response.body), (400, &json!(message)), "{body}");
    }
}

#[tokio::test]
async fn a_user_without_access_is_told_to_connect() {
    let test = TestApp::start().await;
    let stranger = User { id: UserId::new("1-pipedrive").unwrap(), ..test.user.clone() };
    let token = test.app.issue_token(&stranger, 1);
    let message = "User not found. Please connect to your CRM.";
    let response = send_from_extension(&test.app, "GET", BY_BOB, &token, &Value::Null).await;
    let body = json!({
        "successful": false, "contact": [],
        "returnMessage": {"message": message, "messageType": "warning", "ttl": 5000},
    });
    assert_eq!((response.status, response.body), (200, body));
    let response = create(&test, &stranger, &eve()).await;
    assert_eq!((response.status, response.body), (400, json!(message)));

    // A grant that is renewed, however short the wait for the CRM is.
    let test = TestApp::with_credentials(grant(-1, REFRESH_TOKEN)).await;
    check(&test, BY_BOB, &[bob(), new()], "").await;

    // A grant that ended.
    let test = TestApp::with_credentials(grant(-1, "ended")).await;
    for response in [find(&test, BY_BOB).await, create(&test, &test.user, &eve()).await] {
        assert_eq!(response.status, 401, "{response:?}");
        assert_eq!(response.headers["x-error-code"], "CRM_SESSION_REVOKED");
        assert_eq!(response.body, "User session expired. Please connect again.");
    }
}

/// A user of another company neither sees kept contacts nor meets another company's claim.
#[tokio::test]
async fn companies_are_apart() {
    let test = TestApp::start().await;
    check(&test, BY_BOB, &[bob(), new()], "").await;
    check_created(&test, &eve(), "79").await;
    let account = CrmAccount { id: Some("4000000".to_owned()), ..CrmAccount::default() };
    let credentials = Some(api_key(tests::pipedrive::API_KEY));
    let id = UserId::new("777-pipedrive").unwrap();
    let other = User { id, account, credentials, ..test.user.clone() };
    test.app.store.put_user(&other).await.unwrap();
    let token = test.app.issue_token(&other, 1);
    for (path, count) in [(BY_BOB, 1), ("/contact?phoneNumber=%2B12135550177", 1)] {
        let before = test.crm.count(Route::SearchPersons);
        let response = send_from_extension(&test.app, "GET", path, &token, &Value::Null).await;
        assert_eq!(response.status, 200);
        assert_eq!(test.crm.count(Route::SearchPersons) - before, count, "{path}");
    }
    let before = test.crm.count(Route::SearchPersons);
    assert_eq!(create(&test, &other, &eve()).await.status, 200);
    assert_eq!(test.crm.count(Route::SearchPersons) - before, 1, "the CRM of this company is asked");
    assert!(test.now_ms() == NOW_MS);
}
