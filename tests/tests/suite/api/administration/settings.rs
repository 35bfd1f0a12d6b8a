//! The settings of a company, and two administrators at once.

use super::*;

#[tokio::test]
async fn settings_of_a_company_are_kept_under_their_names() {
    let test = TestApp::start().await;
    let mut browser = Browser::open(&test).await;
    let nothing = json!({"userSettings": {}, "userMappings": [], "version": 0, "userMappingsVersion": 0});
    assert_eq!(browser.kept, nothing);
    let logging = json!({"enable": true, "loggingLevel": "Account", "doNotLogNumbers": "+12135550188"});
    let settings =
        json!({"addCallLogNote": locked(false), "autoLogCall": open(true), "serverSideLogging": logging});
    browser.kept["customAdapter"] = json!({"url": "https://acme.example/manifest.json"});
    browser.kept["adminAccessToken"] = json!("s3cr3t");
    let saved = browser.set(settings.clone()).await;
    let expected = json!({"userSettings": settings, "userMappings": [], "version": 1, "userMappingsVersion": 0,
        "customAdapter": {"url": "https://acme.example/manifest.json"}});
    assert_eq!((saved.status, &saved.body), (200, &expected));
    assert_eq!(Browser::open(&test).await.kept, expected);
    // The same once more is no change.
    assert_eq!(browser.save().await.body["version"], 1);
    // Numbers that are not logged are no one's to read in the table.
    let table = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await.to_string();
    for text in ["2135550188", "s3cr3t", "acme.example/manifest"] {
        assert!(!table.contains(text), "{text}: {table}");
    }
}

#[tokio::test]
async fn a_wrong_value_of_an_administrator_is_refused_and_nothing_is_stored() {
    let test = TestApp::start().await;
    let browser = Browser::open(&test).await;
    for (change, message) in [
        (
            json!({"userSettings": {"a": {"customizable": "x"}}}),
            "The setting at place 1 of `adminSettings.userSettings` is wrong: `customizable` must be true or false, got \"a\".",
        ),
        (
            json!({"userSettings": {"a": null}}),
            "The setting at place 1 of `adminSettings.userSettings` is wrong: expected an object such as {\"value\": true, \"customizable\": false}, got \"a\".",
        ),
        (
            json!({"version": null}),
            "`adminSettings.version` is missing: expected the number that `GET /admin/settings` returned.",
        ),
        (
            json!({"userMappings": [{"crmUserId": {}}]}),
            "`adminSettings.userMappings[0].crmUserId` is wrong: expected the CRM's id of a user, got an object.",
        ),
        (
            json!({"customAdapter": {"url": "javascript:alert(1)"}}),
            "`adminSettings.customAdapter.url` is wrong: expected an https URL, or an empty text, got a string.",
        ),
    ] {
        let mut body = browser.kept.clone();
        body["userSettings"] = json!({"good": locked(1)});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let response = browser.send("POST", "/admin/settings", &json!({ "adminSettings": body })).await;
        assert_eq!((response.status, &response.body), (400, &json!(message)), "{change}");
    }
    for body in [Value::Null, json!([]), json!({"adminSettings": "x"}), json!({"userSettings": {}})] {
        assert_eq!(browser.send("POST", "/admin/settings", &body).await.status, 400, "{body}");
    }
    assert_eq!(browser.send("POST", "/admin/userMapping", &json!({})).await.status, 400);
    let values = json!({"additionalFieldValues": {"apiPassword": "s3cr3t"}});
    assert_eq!(browser.send("POST", "/admin/serverLoggingSettings", &values).await.status, 400);
    assert_eq!(Browser::open(&test).await.kept, browser.kept);
    assert_eq!(browser.send("GET", "/admin/serverLoggingSettings", &Value::Null).await.body, json!({}));
}

#[tokio::test]
async fn two_administrators_do_not_overwrite_each_others_changes() {
    const OVERTAKEN: &str = "Another administrator has changed the settings meanwhile, so yours are not saved. Close the \
                             extension, open it again, and make your change once more.";
    let test = TestApp::start().await;
    let (mut one, mut two) = (Browser::open(&test).await, Browser::open(&test).await);
    // The extension keeps the version that it has read first, and saves more than once.
    for value in [1, 2] {
        assert_eq!(one.set(json!({"a": locked(value)})).await.status, 200);
    }
    let refused = two.set(json!({"b": locked(1)})).await;
    assert_eq!((refused.status, refused.body), (409, json!(OVERTAKEN)));
    let mut again = Browser::open(&test).await;
    assert_eq!(again.kept["userSettings"], json!({"a": locked(2)}));
    assert_eq!(again.set(json!({"b": locked(1)})).await.status, 200);
    assert_eq!(one.set(json!({"c": locked(1)})).await.status, 409);

    // At once.
    let (mut one, mut two) = (Browser::open(&test).await, Browser::open(&test).await);
    let (first, second) = tokio::join!(one.set(json!({"d": locked(1)})), two.set(json!({"e": locked(1)})));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);

    // The mapping has a version of its own.
    let (mut one, mut two) = (Browser::open(&test).await, Browser::open(&test).await);
    one.map(&json!([])).await;
    two.kept["userMappings"] = json!([{"crmUserId": "7", "rcExtensionId": "9"}]);
    assert_eq!(two.save().await.status, 409);
    assert_eq!(two.map(&json!([])).await.len(), 1);
    assert_eq!(one.set(json!({"f": locked(1)})).await.status, 200);
    two.kept["userMappings"] = json!([{"crmUserId": "7", "rcExtensionId": "9"}]);
    two.kept["userSettings"] = Browser::open(&test).await.kept["userSettings"].take();
    assert_eq!(two.save().await.status, 200, "the page of the mapping has shown it");
    assert_eq!(one.save().await.status, 409);
}
