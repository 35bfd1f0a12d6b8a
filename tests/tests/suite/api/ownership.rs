//! Separation of users and their companies: no user can read or change another user's data, whatever ids a request contains.

use std::collections::BTreeSet;

use call_log::model::{CrmAccount, User};
use serde_json::{Value, json};
use tests::{
    messages::{LOGGED, NOT_CONNECTED, QUEUED_UNTIL_LOGGED, UNAUTHORIZED, UPDATED},
    pipedrive::{ACCESS_TOKEN, API_KEY},
    test_app::{INVOCATION_MS, TestApp, api_key, call, send, user},
};

use crate::harness::{Harness, USER, request, with};

const OTHER: &str = "54321-pipedrive";

/// Returns a user of another company.
fn other() -> User {
    let account = CrmAccount { id: Some("another company".to_owned()), ..CrmAccount::default() };
    User { account, ..user(OTHER, Some(api_key(API_KEY))) }
}

#[tokio::test]
async fn users_of_two_companies_with_the_same_session_id_have_separate_records() {
    let harness = Harness::start().await;
    let other = other();
    harness.app.store.put_user(&other).await.unwrap();
    let token = harness.app.issue_token(&other, 1);
    let post = async |body: &Value| harness.create.invoke(request("POST", &token, &body.to_string())).await;
    let patch = async |body: &Value| harness.update.invoke(request("PATCH", &token, &body.to_string())).await;
    assert_eq!(harness.post(&call("1")).await.log_id(), Some("5001"));
    let before = harness.note();

    let foreign = json!({"sessionId": "1", "logId": "5001", "note": "Not yours", "subject": "Not yours"});
    let response = patch(&foreign).await;
    assert_eq!(
        (response.message(), response.log_id(), &response.body["updatedNote"]),
        (QUEUED_UNTIL_LOGGED, None, &Value::Null)
    );
    let body = with(foreign, json!({"user": {"id": USER}}));
    assert_eq!(patch(&body).await.status, 403);
    assert_eq!(harness.note(), before);

    let response = post(&call("1")).await;
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
    let other = other();
    test.app.store.put_user(&other).await.unwrap();
    let send = async |user: &User, method: &str, body: &Value| {
        let token = test.app.issue_token(user, 1);
        send(&test.app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await
    };
    let users = [test.user.clone(), other];
    // Each user has the logs of two extensions, and a queued update.
    for user in &users {
        let name = user.id.as_str();
        let of =
            |session: &str| with(call(&format!("{name}-{session}")), json!({"note": format!("Of {name}")}));
        let of_number = with(of("logged"), json!({"extensionNumber": "101"}));
        assert_eq!(send(user, "POST", &of_number).await.message(), LOGGED);
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
        let before = items(&test, victim).await;
        let (logged, queued) = (format!("{name}-logged"), format!("{name}-queued"));
        let pk = format!("C#pipedrive#{}#{logged}", victim.tenant().account);
        let ids = [
            logged.clone(),
            queued.clone(),
            format!("{name}-extension"),
            format!("{logged}#"),
            "L#0".to_owned(),
            format!("{pk}#L#0"),
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
        assert_eq!(items(&test, victim).await, before, "the items of {name}");
    }
    assert_eq!(tried, 2 * 2 * 10 * (15 * 2 + 1));
    let now = test.crm.activities();
    for log in logs {
        assert!(now.contains(&log), "a record was changed: {log}");
    }
    let all = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let owner = |item: &Value| {
        let key = item["pk"]["S"].as_str().unwrap();
        key.split('#').take(3).collect::<Vec<_>>().join("#")
    };
    let owners: BTreeSet<_> = all["Items"].as_array().unwrap().iter().map(owner).collect();
    let [own, foreign] = users.each_ref().map(|user| user.tenant().account);
    let expected = [
        format!("C#pipedrive#{own}"),
        format!("C#pipedrive#{foreign}"),
        format!("U#pipedrive#{USER}"),
        format!("U#pipedrive#{OTHER}"),
    ];
    assert_eq!(owners, BTreeSet::from(expected));
}

/// Returns all items of a user and of the user's company.
async fn items(test: &TestApp, user: &User) -> Vec<Value> {
    let all = test.dynamodb.ask("Scan", &json!({"TableName": "calls", "ConsistentRead": true})).await;
    let starts = [format!("U#pipedrive#{}", user.id), format!("C#pipedrive#{}#", user.tenant().account)];
    let is_theirs =
        |item: &&Value| starts.iter().any(|start| item["pk"]["S"].as_str().unwrap().starts_with(start));
    let items: Vec<_> = all["Items"].as_array().unwrap().iter().filter(is_theirs).cloned().collect();
    assert!(items.len() > 3, "{items:?}");
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
    let response = harness.update.invoke(request("PATCH", &token, &update)).await;
    assert_eq!(response.message(), NOT_CONNECTED);
}

/// The rules are tested in `delivery/identities`. Here the identity is in every place of a request.
#[tokio::test]
async fn an_extension_reaches_its_log_wherever_a_request_names_it() {
    let harness = Harness::start().await;
    let hash = |hash: &str| json!({"hashedExtensionId": hash});
    for (session, identity, log) in [
        ("1", json!({}), "5001"),
        ("2", hash("a"), "5002"),
        ("2", json!({"logInfo": {"hashedExtensionId": "b"}}), "5003"),
        ("3", json!({"extensionNumber": 101}), "5004"),
        ("3", json!({"logInfo": {"extensionNumber": "102"}}), "5005"),
        ("2", json!({"logInfo": {"hashedExtensionId": "b"}}), "5003"),
        ("3", json!({"logInfo": {"extensionNumber": "102"}, "hashedExtensionId": "c"}), "5005"),
    ] {
        let response = harness.post(&with(call(session), identity.clone())).await;
        assert_eq!(response.log_id(), Some(log), "{session} {identity}: {response:?}");
    }
    for (session, identity, log) in [
        ("1", json!({"existingCallLog": {"hashedExtensionId": "a"}}), Some("5001")),
        ("2", json!({"logInfo": {"hashedExtensionId": "a"}}), Some("5002")),
        ("2", hash("b"), Some("5003")),
        ("2", hash("c"), None),
        ("3", json!({"existingCallLog": {"extensionNumber": "101"}}), Some("5004")),
        ("3", hash("c"), Some("5005")),
        ("3", json!({"extensionNumber": "103"}), None),
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

    assert_eq!(harness.post(&call("3")).await.message(), rejected);
    assert_eq!(harness.post(&with(call("1"), header.clone())).await.message(), LOGGED);
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    assert_eq!(harness.patch(&with(update, header)).await.message(), UPDATED);
    assert!(harness.note().contains("Wants two quotes"));

    // If the header's credential is wrong, the stored credential is not tried.
    harness.put_user(USER, Some(api_key(API_KEY))).await;
    let wrong = with(call("2"), json!({"authHeader": "Bearer wrong"}));
    assert_eq!(harness.post(&wrong).await.message(), rejected);
}
