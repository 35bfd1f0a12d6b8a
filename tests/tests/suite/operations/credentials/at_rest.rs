//! Encryption of the values in the table, and changes of the token secret and the encryption key.

use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN},
    test_app::{INVOCATION_MS, JWT_SECRET, grant, key_file, send},
};

use super::*;

/// Returns everything in the table as DynamoDB's API shows it, with binary values decoded from base64.
async fn table(test: &TestApp) -> String {
    let response = test.dynamodb.ask("Scan", &json!({"TableName": "calls", "ConsistentRead": true})).await;
    assert!(response["Count"].as_u64().is_some_and(|count| count > 1), "{response}");
    format!("{response} {}", binaries(&response))
}

/// Returns every binary value inside this value, as text.
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

/// Decodes base64 (RFC 4648, section 4).
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
fn base64_is_decoded_as_in_rfc_4648() {
    assert_eq!(
        [decode("Zm9vYmE="), decode("/+8="), decode("TWFu")],
        [b"fooba".to_vec(), vec![255, 239], b"Man".to_vec()]
    );
}

#[tokio::test]
async fn credentials_and_queued_updates_are_encrypted_in_the_table() {
    for credentials in [grant(0, REFRESH_TOKEN), Credentials::ApiKey(Secret::new(API_KEY))] {
        let test = TestApp::with_credentials(credentials).await;
        let texts = ["canary one", "canary two", "canary three", "https://rec.example/canary"];
        for session in ["logged", "queued"] {
            let mut body = call(session);
            body["note"] = json!("canary four");
            body["authHeader"] = if session == "logged" { Value::Null } else { json!("Bearer canary-five") };
            if session == "logged" {
                assert_eq!(test.post(&body).await.message(), LOGGED);
            }
            let details = json!({
                "sessionId": session, "note": texts[0], "aiNote": texts[1], "transcript": texts[2],
                "recordingLink": texts[3], "recordingDownloadLink": "https://rec.example/canary-six",
                "subject": "canary seven", "to": {"name": "canary eight", "phoneNumber": "+15550100"},
                "authHeader": body["authHeader"],
            });
            assert_eq!(test.patch(&details).await.body["successful"], true);
        }
        let table = table(&test).await;
        let (access, refresh) = (ACCESS_TOKEN.replace('0', ""), REFRESH_TOKEN.replace('0', ""));
        for secret in
            ["canary", "Wants a quote", "BOB CLIENT", "+15550100", &access, &refresh, API_KEY, JWT_SECRET]
        {
            assert!(!table.contains(secret), "{secret} is in the table");
        }
        assert!(table.contains("#queued"), "the call with queued updates is missing");
    }
}

#[tokio::test]
async fn a_change_of_the_token_secret_or_the_key_file_keeps_tokens_and_users_valid() {
    let test = TestApp::with_credentials(grant(3_600_000, REFRESH_TOKEN)).await;
    let queued = test.patch(&json!({"sessionId": "1", "aiNote": "Bob asked"})).await;
    assert_eq!(queued.body["successful"], true);
    let changed =
        [("JWT_SECRET", "another secret that is long enough too"), ("JWT_SECRET_PREVIOUS", JWT_SECRET)];
    let app = test.app_with(&changed).await.unwrap();
    let old_token = test.app.issue_token(&test.user, 1);
    let response = send(&app, "POST", &old_token, call("1").to_string().into_bytes(), INVOCATION_MS).await;
    assert_eq!(response.message(), LOGGED, "a token signed with the previous secret");
    assert!(test.crm.activities()[0]["note"].as_str().unwrap().contains("Bob asked"));
    assert_eq!(
        test.send(&app, "POST", &call("2")).await.message(),
        LOGGED,
        "a token signed with the new secret"
    );

    // The new key encrypts, and the previous one still decrypts.
    let (new_key, previous_key) = (key_file("another"), key_file("credentials"));
    let keys = [
        ("CREDENTIALS_KEY_FILE", new_key.as_str()),
        ("CREDENTIALS_KEY_FILE_PREVIOUS", previous_key.as_str()),
    ];
    let keyed = test.app_with(&keys).await.unwrap();
    assert_eq!(
        test.send(&keyed, "POST", &call("3")).await.message(),
        LOGGED,
        "credentials encrypted with the previous key"
    );
    keyed.store.put_user(&test.user).await.unwrap();
    assert_eq!(
        test.send(&keyed, "POST", &call("4")).await.message(),
        LOGGED,
        "credentials encrypted with the new key"
    );
    assert_eq!(test.send(&test.app, "POST", &call("5")).await.status, 500, "a process without the new key");

    let stranger =
        test.app_with(&[("JWT_SECRET", "a secret that no other app of the tests has")]).await.unwrap();
    let response =
        send(&stranger, "POST", &old_token, call("6").to_string().into_bytes(), INVOCATION_MS).await;
    assert_eq!(response.status, 401);
}
