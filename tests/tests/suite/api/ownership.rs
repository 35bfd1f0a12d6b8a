//! Separation of users: no user can read or change another user's data, whatever ids a request contains.

use call_log::model::{User, UserId};
use serde_json::{Value, json};
use tests::{
    messages::{LOGGED, NOT_CONNECTED, QUEUED_UNTIL_LOGGED, UNAUTHORIZED, UPDATED},
    pipedrive::{ACCESS_TOKEN, API_KEY},
    test_app::{INVOCATION_MS, TestApp, api_key, call, send, user},
};

use crate::harness::{Harness, USER, with};

const OTHER: &str = "54321-pipedrive";

#[tokio::test]
async fn users_with_the_same_session_id_have_separate_records() {
    let harness = Harness::start().await;
    harness.put_user(OTHER, Some(api_key(API_KEY))).await;
    assert_eq!(harness.post(&call("1")).await.log_id(), Some("5001"));
    let before = harness.note();

    let foreign = json!({"sessionId": "1", "logId": "5001", "note": "Not yours", "subject": "Not yours"});
    let response = harness.patch_as(OTHER, &foreign).await;
    assert_eq!(
        (response.message(), response.log_id(), &response.body["updatedNote"]),
        (QUEUED_UNTIL_LOGGED, None, &Value::Null)
    );
    let body = with(foreign, json!({"user": {"id": USER}}));
    assert_eq!(harness.patch_as(OTHER, &body).await.status, 403);
    assert_eq!(harness.note(), before);

    let response = harness.post_as(OTHER, &call("1")).await;
    assert_eq!(
        (response.message(), response.log_id()),
        (LOGGED, Some("5002")),
        "the other user has a separate log"
    );
    let logs = harness.crm.activities();
    assert_eq!(logs[0]["note"], before);
    assert_eq!((&logs[0]["owner_id"], &logs[1]["owner_id"]), (&json!(12345), &json!(54321)));
    assert!(logs[1]["note"].as_str().unwrap().contains("Not yours"), "{}", logs[1]["note"]);
    assert_eq!(harness.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await.log_id(), Some("5001"));
}

/// Tries both routes as two users, with every field that can contain an id, and every id of the other user's data. The
/// other user's data does not change and is in no response, and only the caller's items are created.
#[tokio::test]
async fn no_id_in_a_request_reaches_another_users_data() {
    let test = TestApp::start().await;
    let other = User { id: UserId::new(OTHER).unwrap(), ..test.user.clone() };
    test.app.store.put_user(&other).await.unwrap();
    let send = async |user: &User, method: &str, body: &Value| {
        let token = test.app.issue_token(user, 1);
        send(&test.app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await
    };
    let users = [test.user.clone(), other];
    // Each user has a log, a log of an extension, and a queued update.
    for user in &users {
        let name = user.id.as_str();
        let of =
            |session: &str| with(call(&format!("{name}-{session}")), json!({"note": format!("Of {name}")}));
        assert_eq!(send(user, "POST", &of("logged")).await.message(), LOGGED);
        let extension = with(of("logged"), json!({"hashedExtensionId": format!("{name}-extension")}));
        assert_eq!(send(user, "POST", &extension).await.message(), LOGGED);
        let queued = json!({"sessionId": format!("{name}-queued"), "note": format!("Of {name}")});
        assert_eq!(send(user, "PATCH", &queued).await.message(), QUEUED_UNTIL_LOGGED);
    }
    let logs = test.crm.activities();
    assert_eq!(logs.len(), 4);

    let fields = [
        "sessionId",
        "telephonySessionId",
        "id",
        "logId",
        "existingCallLogId",
        "hashedExtensionId",
        "extensionNumber",
        "rcExtensionId",
        "accountId",
        "userId",
        "ownerId",
        "pk",
        "sk",
        "platform",
        "contactId",
    ];
    // Each field alone, at the top level and in the call, and all of them together in every place.
    let alone = |id: &str| {
        let top = fields.map(|field| json!({field: id}));
        let inner = fields.map(|field| json!({"logInfo": {field: id}}));
        [top, inner].concat()
    };
    let everywhere = |id: &str| {
        let all: Value = fields.map(|field| (field.to_owned(), json!(id))).into_iter().collect();
        let mut body = all.clone();
        for place in ["logInfo", "callLog", "existingCallLog", "additionalSubmission"] {
            body[place] = all.clone();
        }
        body
    };
    let mut tried = 0;
    for (index, user) in users.iter().enumerate() {
        let victim = &users[1 - index];
        let name = victim.id.as_str();
        let before = partition(&test, victim).await;
        let (logged, queued) = (format!("{name}-logged"), format!("{name}-queued"));
        let pk = format!("U#pipedrive#{name}");
        let ids = [
            logged.clone(),
            queued.clone(),
            format!("{name}-extension"),
            format!("{logged}#"),
            format!("C#{logged}#"),
            format!("{pk}#C#{logged}#"),
            format!("{logged}%23"),
            pk.clone(),
            name.to_owned(),
            logs[2 - 2 * index]["id"].to_string(),
        ];
        for (method, id) in ["POST", "PATCH"].iter().flat_map(|method| ids.iter().map(move |id| (method, id)))
        {
            for named in [alone(id), vec![everywhere(id)]].concat() {
                // The request has the victim's session, unless the tried id replaces it.
                let base = if *method == "POST" {
                    with(call(&logged), json!({"note": "Not yours"}))
                } else {
                    json!({"sessionId": logged, "note": "Not yours", "subject": "Not yours"})
                };
                let response = send(user, method, &with(base, named.clone())).await;
                let text = response.body.to_string();
                assert!(!text.contains(&format!("Of {name}")), "{method} {named}: {text}");
                tried += 1;
            }
        }
        assert_eq!(partition(&test, victim).await, before, "the items of {name}");
    }
    assert_eq!(tried, 2 * 2 * 10 * (15 * 2 + 1));
    let now = test.crm.activities();
    for log in logs {
        assert!(now.contains(&log), "a record was changed: {log}");
    }
    let all = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let mut owners: Vec<_> =
        all["Items"].as_array().unwrap().iter().map(|item| item["pk"]["S"].to_string()).collect();
    owners.sort();
    owners.dedup();
    assert_eq!(owners, [USER, OTHER].map(|name| json!(format!("U#pipedrive#{name}")).to_string()));
}

/// Returns all items of a user, as JSON of DynamoDB's API.
async fn partition(test: &TestApp, user: &User) -> Value {
    let values = json!({":pk": {"S": format!("U#pipedrive#{}", user.id)}});
    let request = json!({
        "TableName": "calls", "ConsistentRead": true, "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": values,
    });
    let items = test.dynamodb.ask("Query", &request).await["Items"].take();
    assert!(items.as_array().is_some_and(|items| items.len() > 3), "{items}");
    items
}

#[tokio::test]
async fn the_same_user_id_on_another_platform_is_another_user() {
    let harness = Harness::start().await;
    harness.post(&call("1")).await;
    let mut twin = user(USER, None);
    twin.platform = call_log::model::Platform::new("example").unwrap();
    let token = harness.app.issue_token(&twin, 1);
    let update = json!({"sessionId": "1", "note": "Not yours"}).to_string();
    let response = harness.update.invoke(crate::harness::request("PATCH", &token, &update)).await;
    assert_eq!(response.message(), NOT_CONNECTED);
}

#[tokio::test]
async fn an_extension_updates_its_own_log_or_the_one_that_was_created_without_an_extension() {
    let harness = Harness::start().await;
    let hash = |hash: &str| json!({"hashedExtensionId": hash});
    let both = json!({"hashedExtensionId": "a", "extensionNumber": "101"});
    // The logs: session 1 without an extension; session 2 of two extensions; session 3 with and without extensions.
    for (session, identity, log) in [
        ("1", json!({}), "5001"),
        ("2", hash("a"), "5002"),
        ("2", hash("b"), "5003"),
        ("3", json!({}), "5004"),
        ("3", both.clone(), "5005"),
        ("3", json!({"extensionNumber": 102}), "5006"),
        // The identity can be anywhere in the request.
        ("2", json!({"logInfo": {"hashedExtensionId": "b"}}), "5003"),
        ("3", json!({"hashedExtensionId": "a", "extensionNumber": "999"}), "5005"),
        ("3", json!({"logInfo": {"extensionNumber": "102"}}), "5006"),
    ] {
        let response = harness.post(&with(call(session), identity.clone())).await;
        assert_eq!(response.log_id(), Some(log), "{session} {identity}: {response:?}");
    }
    for (session, identity, log) in [
        ("1", json!({}), Some("5001")),
        ("1", hash("a"), Some("5001")),
        ("1", json!({"extensionNumber": "101"}), Some("5001")),
        ("2", hash("a"), Some("5002")),
        ("2", hash("b"), Some("5003")),
        ("2", hash("c"), None),
        ("2", json!({}), None),
        ("3", json!({}), Some("5004")),
        ("3", both, Some("5005")),
        ("3", hash("a"), Some("5005")),
        ("3", json!({"extensionNumber": "101"}), Some("5004")),
        ("3", json!({"extensionNumber": "102"}), Some("5006")),
        ("3", hash("c"), Some("5004")),
        ("3", json!({"rcExtensionId": "5"}), Some("5004")),
    ] {
        let response =
            harness.patch(&with(json!({"sessionId": session, "note": "n"}), identity.clone())).await;
        let expected = if log.is_some() { UPDATED } else { QUEUED_UNTIL_LOGGED };
        assert_eq!((response.message(), response.log_id()), (expected, log), "{session} {identity}");
    }
}

#[tokio::test]
async fn the_callers_auth_header_replaces_the_stored_credential_for_one_request() {
    let harness = Harness::start().await;
    harness.put_user(USER, Some(api_key("a key that Pipedrive has revoked"))).await;
    let header = json!({"authHeader": format!("Bearer {ACCESS_TOKEN}")});
    let rejected = UNAUTHORIZED;

    assert_eq!(harness.post(&call("1")).await.message(), rejected);
    assert_eq!(harness.post(&with(call("1"), header.clone())).await.message(), LOGGED);
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    assert_eq!(harness.patch(&update).await.message(), rejected);
    assert_eq!(harness.patch(&with(update, header)).await.message(), UPDATED);
    assert!(harness.note().contains("Wants two quotes"));
    assert_eq!(harness.patch(&json!({"sessionId": "1", "note": "Wants three"})).await.message(), rejected);

    // If the header's credential is wrong, the stored credential is not tried.
    harness.put_user(USER, Some(api_key(API_KEY))).await;
    let wrong = with(call("2"), json!({"authHeader": "Bearer wrong"}));
    assert_eq!(harness.post(&wrong).await.message(), rejected);
}
