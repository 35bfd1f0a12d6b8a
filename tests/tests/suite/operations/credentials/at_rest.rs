//! Values in the table are encrypted, and token secret and encryption key can be changed.

use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN},
    test_app::{INVOCATION_MS, JWT_SECRET, grant, key_file, send},
};

use super::*;

/// Everything that the table holds, as DynamoDB's own API shows it; sealed values are decoded.
async fn table(world: &TestApp) -> String {
    let answer = world.dynamodb.ask("Scan", &json!({"TableName": "calls", "ConsistentRead": true})).await;
    assert!(answer["Count"].as_u64().is_some_and(|count| count > 1), "{answer}");
    format!("{answer} {}", binaries(&answer))
}

/// Every binary value below, as text.
fn binaries(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_str() {
                Some(base64) if name == "B" => String::from_utf8_lossy(&decode(base64)).into_owned(),
                _ => binaries(value),
            })
            .collect(),
        Value::Array(list) => list.iter().map(binaries).collect(),
        _ => String::new(),
    }
}

/// RFC 4648, section 4.
fn decode(base64: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = base64.bytes().filter_map(|byte| ALPHABET.iter().position(|known| *known == byte));
    let mut bits = 0_u32;
    let mut bytes = Vec::new();
    for (index, digit) in digits.enumerate() {
        bits = bits << 6 | digit as u32;
        if index % 4 > 0 {
            bytes.push((bits >> (6 - 2 * (index % 4))) as u8);
        }
    }
    bytes
}

#[test]
fn base64_is_decoded() {
    assert_eq!(
        [decode("Zm9vYmE="), decode("/+8="), decode("TWFu")],
        [b"fooba".to_vec(), vec![255, 239], b"Man".to_vec()]
    );
}

#[tokio::test]
async fn nothing_secret_lies_open_in_the_table() {
    for credentials in [grant(0, REFRESH_TOKEN), Credentials::ApiKey(Secret::new(API_KEY))] {
        let world = TestApp::with_credentials(credentials).await;
        let told = ["canary one", "canary two", "canary three", "https://rec.example/canary"];
        for session in ["logged", "parked"] {
            let mut body = call(session);
            body["note"] = json!("canary four");
            body["authHeader"] = if session == "logged" { Value::Null } else { json!("Bearer canary-five") };
            if session == "logged" {
                assert_eq!(world.post(&body).await.message(), LOGGED);
            }
            let facts = json!({
                "sessionId": session, "note": told[0], "aiNote": told[1], "transcript": told[2],
                "recordingLink": told[3], "recordingDownloadLink": "https://rec.example/canary-six",
                "subject": "canary seven", "to": {"name": "canary eight", "phoneNumber": "+15550100"},
                "authHeader": body["authHeader"],
            });
            assert_eq!(world.patch(&facts).await.body["successful"], true);
        }
        let table = table(&world).await;
        let (access, refresh) = (ACCESS_TOKEN.replace('0', ""), REFRESH_TOKEN.replace('0', ""));
        for secret in
            ["canary", "Wants a quote", "BOB CLIENT", "+15550100", &access, &refresh, API_KEY, JWT_SECRET]
        {
            assert!(!table.contains(secret), "{secret} lies in the table");
        }
        assert!(table.contains("C#parked#"), "the table was read");
    }
}

#[tokio::test]
async fn a_changed_secret_or_key_loses_no_user_and_rejects_no_token() {
    let world = TestApp::with_credentials(grant(3_600_000, REFRESH_TOKEN)).await;
    let parked = world.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(parked.body["successful"], true);
    let changed =
        [("JWT_SECRET", "another secret that is long enough too"), ("JWT_SECRET_PREVIOUS", JWT_SECRET)];
    let app = world.app_with(&changed).await.unwrap();
    let old_token = world.app.issue_token(&world.user, 1);
    let answer = send(&app, "POST", &old_token, call("1").to_string().into_bytes(), INVOCATION_MS).await;
    assert_eq!(answer.message(), LOGGED, "an old token");
    assert!(world.crm.activities()[0]["note"].as_str().unwrap().contains("Bob asked"));
    assert_eq!(world.send(&app, "POST", &call("2")).await.message(), LOGGED, "a new token");

    // A new key encrypts from now on, and the previous one still decrypts.
    let (new_key, previous_key) = (key_file("another"), key_file("credentials"));
    let keys = [
        ("CREDENTIALS_KEY_FILE", new_key.as_str()),
        ("CREDENTIALS_KEY_FILE_PREVIOUS", previous_key.as_str()),
    ];
    let keyed = world.app_with(&keys).await.unwrap();
    assert_eq!(
        world.send(&keyed, "POST", &call("3")).await.message(),
        LOGGED,
        "encrypted with the previous key"
    );
    keyed.store.put_user(&world.user).await.unwrap();
    assert_eq!(world.send(&keyed, "POST", &call("4")).await.message(), LOGGED, "encrypted with the new key");
    assert_eq!(world.send(&world.app, "POST", &call("5")).await.status, 500, "the new key is missing");

    let stranger = world.app_with(&[("JWT_SECRET", "a secret that nobody knows")]).await.unwrap();
    let answer = send(&stranger, "POST", &old_token, call("6").to_string().into_bytes(), INVOCATION_MS).await;
    assert_eq!(answer.status, 401);
}
