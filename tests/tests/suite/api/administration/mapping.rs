//! The users of the CRM with their extensions at RingCentral.

use tests::{pipedrive::Route, proxy::Fault, test_app::api_key};

use super::*;

/// The extensions of the company, as the browser of an administrator knows them.
fn extensions() -> Value {
    json!([
        {"id": "101", "firstName": "Ada", "lastName": "Agent", "email": "ADA@acme.example", "extensionNumber": "11"},
        {"id": 102, "name": "Bob Baker", "extensionNumber": "12"},
        {"id": "103", "name": "", "email": ""},
    ])
}

fn ids(rows: &[Value]) -> Value {
    rows.iter()
        .map(|row| (row["crmUser"]["id"].as_str().unwrap().to_owned(), row["rcUser"]["extensionId"].clone()))
        .collect()
}

#[tokio::test]
async fn users_of_the_crm_are_matched_with_extensions_and_a_persons_choice_stays() {
    let test = TestApp::start().await;
    test.crm.set_users(&[(12345, "A. Agent", "ada@acme.example"), (777, "bob baker", ""), (778, "Cleo", "")]);
    let mut admin = Browser::open(&test).await;
    let rows = admin.map(&extensions()).await;
    assert_eq!(ids(&rows), json!({"12345": "101", "777": "102", "778": null}));
    let ada = json!({"crmUser": {"id": "12345", "name": "A. Agent", "email": "ada@acme.example"},
        "rcUser": {"extensionId": "101", "name": "Ada Agent", "email": "ADA@acme.example", "extensionNumber": "11"}});
    assert_eq!(rows[0], ada);
    // A person gives Bob another extension. Cleo stays free, although the extension says that she has none.
    admin.kept["userMappings"][1]["rcExtensionId"] = json!("103");
    assert_eq!(admin.save().await.status, 200);
    assert_eq!(ids(&admin.map(&extensions()).await), json!({"12345": "101", "777": "103", "778": null}));
    let mut more = extensions();
    more.as_array_mut().unwrap().push(json!({"id": "104", "name": "Cleo"}));
    assert_eq!(ids(&admin.map(&more).await), json!({"12345": "101", "777": "103", "778": "104"}));
    // A person takes Ada's extension away, and it stays so.
    admin.kept["userMappings"][0]["rcExtensionId"] = json!("none");
    assert_eq!(admin.save().await.status, 200);
    assert_eq!(ids(&admin.map(&more).await), json!({"12345": null, "777": "103", "778": "104"}));
    // A browser that does not know an extension shows it all the same, so that saving does not remove it.
    assert_eq!(ids(&admin.map(&json!([])).await), json!({"12345": null, "777": "103", "778": "104"}));
    assert_eq!(admin.save().await.status, 200);
    assert_eq!(ids(&admin.map(&more).await), json!({"12345": null, "777": "103", "778": "104"}));
    let reset =
        admin.send("POST", "/admin/reinitializeUserMapping", &json!({ "rcExtensionList": more })).await;
    assert_eq!(ids(reset.body.as_array().unwrap()), json!({"12345": "101", "777": "102", "778": "104"}));
}

#[tokio::test]
async fn users_who_left_the_company_are_not_listed() {
    let test = TestApp::start().await;
    let rows = Browser::open(&test).await.map(&extensions()).await;
    assert_eq!(ids(&rows), json!({"12345": "101"}));
}

#[tokio::test]
async fn a_crm_that_does_not_list_its_users_is_named() {
    const DOWN: &str = "Pipedrive is not answering. Try again in a minute.";
    const DENIED: &str = "Pipedrive does not show its users to you. Ask a Pipedrive administrator for the permission, or \
                          connect again.";
    let test = TestApp::start().await;
    let admin = Browser::open(&test).await;
    for (fault, status, message) in [
        (Fault::Status(500), 503, DOWN),
        (Fault::Html, 503, DOWN),
        (Fault::Truncated, 503, DOWN),
        (Fault::Redirect("http://127.0.0.1:9/".to_owned()), 503, DOWN),
        (Fault::Status(403), 400, DENIED),
        (Fault::Status(401), 400, DENIED),
    ] {
        test.crm.fail(Route::Users, fault.clone());
        let response = admin.send("POST", "/admin/userMapping", &json!({"rcExtensionList": []})).await;
        assert_eq!((response.status, &response.body), (status, &json!(message)), "{fault:?}");
    }
    let many: Vec<_> = (0..1_001).map(|id| (id, "x", "")).collect();
    test.crm.set_users(&many);
    let response = admin.send("POST", "/admin/userMapping", &json!({"rcExtensionList": []})).await;
    assert_eq!((response.status, response.body), (503, json!(DOWN)));
    test.crm.end_access();
    let response = admin.send("POST", "/admin/userMapping", &json!({"rcExtensionList": []})).await;
    assert_eq!(response.status, 400, "{response:?}");
    let key = api_key(tests::pipedrive::API_KEY);
    assert_eq!(test.user.credentials, Some(key), "the key is not renewed");
}
