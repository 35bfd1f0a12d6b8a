//! Whose call it is: nothing of one user can be read or changed by another, whatever ids a body carries.

use call_log::model::{User, UserId};
use serde_json::{Value, json};
use tests::{
    pipedrive::{ACCESS_TOKEN, API_KEY},
    test_app::{INVOCATION_MS, TestApp, call, send},
};

use crate::harness::{Harness, USER, api_key, with};

const OTHER: &str = "54321-pipedrive";
const PARKED: &str = "The update will be added when the call is logged.";
const UPDATED: &str = "Call log updated.";

#[tokio::test]
async fn a_session_is_each_users_own() {
    let stage = Harness::start().await;
    stage.put_user(OTHER, Some(api_key(API_KEY))).await;
    assert_eq!(stage.post(&call("1")).await.log_id(), Some("5001"));
    let before = stage.note();

    let foreign = json!({"sessionId": "1", "logId": "5001", "note": "Not yours", "subject": "Not yours"});
    let answer = stage.patch_as(OTHER, &foreign).await;
    assert_eq!(
        (answer.message(), answer.log_id(), &answer.body["updatedNote"]),
        (PARKED, None, &Value::Null)
    );
    let body = with(foreign, json!({"user": {"id": USER}}));
    assert_eq!(stage.patch_as(OTHER, &body).await.status, 403);
    assert_eq!(stage.note(), before);

    let answer = stage.post_as(OTHER, &call("1")).await;
    assert_eq!((answer.message(), answer.log_id()), ("Call logged", Some("5002")), "a log of their own");
    let logs = stage.crm.activities();
    assert_eq!(logs[0]["note"], before);
    assert_eq!((&logs[0]["owner_id"], &logs[1]["owner_id"]), (&json!(12345), &json!(54321)));
    assert!(logs[1]["note"].as_str().unwrap().contains("Not yours"), "{}", logs[1]["note"]);
    assert_eq!(stage.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await.log_id(), Some("5001"));
}

/// Two users, both routes, every field that can name something, and every name of what is another's: nothing of the
/// other one changes, and nothing appears but the caller's own.
#[tokio::test]
async fn no_id_in_a_body_reaches_what_is_anothers() {
    let world = TestApp::start().await;
    let other = User { id: UserId::new(OTHER).unwrap(), ..world.user.clone() };
    world.app.store.put_user(&other).await.unwrap();
    let send = async |user: &User, method: &str, body: &Value| {
        let token = world.app.issue_token(user, 1);
        send(&world.app, method, &token, body.to_string().into_bytes(), INVOCATION_MS).await
    };
    let users = [world.user.clone(), other];
    // Each has a log, one of an extension, and an update that waits.
    for user in &users {
        let name = user.id.as_str();
        let of =
            |session: &str| with(call(&format!("{name}-{session}")), json!({"note": format!("Of {name}")}));
        assert_eq!(send(user, "POST", &of("logged")).await.message(), "Call logged");
        let extension = with(of("logged"), json!({"hashedExtensionId": format!("{name}-extension")}));
        assert_eq!(send(user, "POST", &extension).await.message(), "Call logged");
        let waits = json!({"sessionId": format!("{name}-waits"), "note": format!("Of {name}")});
        assert_eq!(send(user, "PATCH", &waits).await.message(), PARKED);
    }
    let logs = world.crm.activities();
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
    // Each field alone, at the top and in the call, and all of them everywhere at once.
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
        let before = partition(&world, victim).await;
        let (logged, waits) = (format!("{name}-logged"), format!("{name}-waits"));
        let pk = format!("U#pipedrive#{name}");
        let ids = [
            logged.clone(),
            waits.clone(),
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
                // The session of the victim, unless that is what is tried.
                let base = if *method == "POST" {
                    with(call(&logged), json!({"note": "Not yours"}))
                } else {
                    json!({"sessionId": logged, "note": "Not yours", "subject": "Not yours"})
                };
                let answer = send(user, method, &with(base, named.clone())).await;
                let text = answer.body.to_string();
                assert!(!text.contains(&format!("Of {name}")), "{method} {named}: {text}");
                tried += 1;
            }
        }
        assert_eq!(partition(&world, victim).await, before, "what is in the table of {name}");
    }
    assert_eq!(tried, 2 * 2 * 10 * (15 * 2 + 1));
    let now = world.crm.activities();
    for log in logs {
        assert!(now.contains(&log), "a log was changed: {log}");
    }
    let all = world.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let mut owners: Vec<_> =
        all["Items"].as_array().unwrap().iter().map(|item| item["pk"]["S"].to_string()).collect();
    owners.sort();
    owners.dedup();
    assert_eq!(owners, [USER, OTHER].map(|name| json!(format!("U#pipedrive#{name}")).to_string()));
}

/// Every item of a user, as DynamoDB has it.
async fn partition(world: &TestApp, user: &User) -> Value {
    let values = json!({":pk": {"S": format!("U#pipedrive#{}", user.id)}});
    let request = json!({
        "TableName": "calls", "ConsistentRead": true, "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": values,
    });
    let items = world.dynamodb.ask("Query", &request).await["Items"].take();
    assert!(items.as_array().is_some_and(|items| items.len() > 3), "{items}");
    items
}

/// A user of the same name at another CRM is another user.
#[tokio::test]
async fn a_platform_is_part_of_who_one_is() {
    let stage = Harness::start().await;
    stage.post(&call("1")).await;
    let mut twin = crate::harness::user(USER, None);
    twin.platform = call_log::model::Platform::new("example").unwrap();
    let token = stage.app.issue_token(&twin, 1);
    let update = json!({"sessionId": "1", "note": "Not yours"}).to_string();
    let answer = stage.update.invoke(crate::harness::request("PATCH", &token, &update)).await;
    assert_eq!(answer.message(), "User not found. Please connect to your CRM.");
}

#[tokio::test]
async fn an_extension_finds_its_own_log_or_the_one_of_none() {
    let stage = Harness::start().await;
    let hash = |hash: &str| json!({"hashedExtensionId": hash});
    let both = json!({"hashedExtensionId": "a", "extensionNumber": "101"});
    // The logs: session 1 of none; session 2 of two extensions; session 3 of all three kinds.
    for (session, identity, log) in [
        ("1", json!({}), "5001"),
        ("2", hash("a"), "5002"),
        ("2", hash("b"), "5003"),
        ("3", json!({}), "5004"),
        ("3", both.clone(), "5005"),
        ("3", json!({"extensionNumber": 102}), "5006"),
        // Again, from wherever in the request.
        ("2", json!({"logInfo": {"hashedExtensionId": "b"}}), "5003"),
        ("3", json!({"hashedExtensionId": "a", "extensionNumber": "999"}), "5005"),
        ("3", json!({"logInfo": {"extensionNumber": "102"}}), "5006"),
    ] {
        let answer = stage.post(&with(call(session), identity.clone())).await;
        assert_eq!(answer.log_id(), Some(log), "{session} {identity}: {answer:?}");
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
        let answer = stage.patch(&with(json!({"sessionId": session, "note": "n"}), identity.clone())).await;
        let expected = if log.is_some() { UPDATED } else { PARKED };
        assert_eq!((answer.message(), answer.log_id()), (expected, log), "{session} {identity}");
    }
}

/// The caller's own header takes the place of the stored credential, for its request only.
#[tokio::test]
async fn a_header_of_the_callers_own_is_used_once() {
    let stage = Harness::start().await;
    stage.put_user(USER, Some(api_key("a key that Pipedrive has withdrawn"))).await;
    let header = json!({"authHeader": format!("Bearer {ACCESS_TOKEN}")});
    let refused = "Authorization error";

    assert_eq!(stage.post(&call("1")).await.message(), refused);
    assert_eq!(stage.post(&with(call("1"), header.clone())).await.message(), "Call logged");
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    assert_eq!(stage.patch(&update).await.message(), refused);
    assert_eq!(stage.patch(&with(update, header)).await.message(), UPDATED);
    assert!(stage.note().contains("Wants two quotes"));
    assert_eq!(stage.patch(&json!({"sessionId": "1", "note": "Wants three"})).await.message(), refused);

    // A wrong one is not helped out by the stored one.
    stage.put_user(USER, Some(api_key(API_KEY))).await;
    let wrong = with(call("2"), json!({"authHeader": "Bearer wrong"}));
    assert_eq!(stage.post(&wrong).await.message(), refused);
}
