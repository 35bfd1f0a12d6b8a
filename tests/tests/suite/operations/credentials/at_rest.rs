//! The table's values are encrypted, and the token secret and the encryption key can be changed.

use tests::{
    pipedrive::{ACCESS_TOKEN, REFRESH_TOKEN},
    test_app::{INVOCATION_MS, JWT_SECRET, grant, key_file, send},
};

use super::*;

/// Returns all items of the table as JSON of DynamoDB's API, followed by the decoded binary values.
async fn table(test: &TestApp) -> String {
    let response = test.dynamodb.ask("Scan", &json!({"TableName": "calls", "ConsistentRead": true})).await;
    assert!(response["Count"].as_u64().is_some_and(|count| count > 1), "{response}");
    format!("{response} {}", binaries(&response))
}

/// Returns every binary value in a JSON value, as text.
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
fn base64_is_decoded() {
    assert_eq!(
        [decode("Zm9vYmE="), decode("/+8="), decode("TWFu")],
        [b"fooba".to_vec(), vec![255, 239], b"Man".to_vec()]
    );
}

#[tokio::test]
async fn the_table_has_no_secrets_and_no_personal_data_in_clear_text() {
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
            let update = json!({
                "sessionId": session, "note": texts[0], "aiNote": texts[1], "transcript": texts[2],
                "recordingLink": texts[3], "recordingDownloadLink": "https://rec.example/canary-six",
                "subject": "canary seven", "to": {"name": "canary eight", "phoneNumber": "+15550100"},
                "authHeader": body["authHeader"],
            });
            assert_eq!(test.patch(&update).await.body["successful"], true);
        }
        let table = table(&test).await;
        let (access, refresh) = (ACCESS_TOKEN.replace('0', ""), REFRESH_TOKEN.replace('0', ""));
        for secret in
            ["canary", "Wants a quote", "BOB CLIENT", "+15550100", &access, &refresh, API_KEY, JWT_SECRET]
        {
            assert!(!table.contains(secret), "{secret} is in the table");
        }
        assert!(table.contains("C#queued#"), "the table was read");
    }
}

#[tokio::test]
async fn a_new_token_secret_or_data_key_loses_no_user_and_rejects_no_token() {
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

    // A new key encrypts from now on, and the previous one still decrypts.
    let (new_key, previous_key) = (key_file("another"), key_file("credentials"));
    let keys = [
        ("CREDENTIALS_KEY_FILE", new_key.as_str()),
        ("CREDENTIALS_KEY_FILE_PREVIOUS", previous_key.as_str()),
    ];
    let with_both_keys = test.app_with(&keys).await.unwrap();
    assert_eq!(
        test.send(&with_both_keys, "POST", &call("3")).await.message(),
        LOGGED,
        "encrypted with the previous key"
    );
    with_both_keys.store.put_user(&test.user).await.unwrap();
    assert_eq!(
        test.send(&with_both_keys, "POST", &call("4")).await.message(),
        LOGGED,
        "encrypted with the new key"
    );
    assert_eq!(
        test.send(&test.app, "POST", &call("5")).await.status,
        500,
        "a process without the new key cannot decrypt it"
    );

    let other_issuer = test.app_with(&[("JWT_SECRET", "a secret that no process knows")]).await.unwrap();
    let response =
        send(&other_issuer, "POST", &old_token, call("6").to_string().into_bytes(), INVOCATION_MS).await;
    assert_eq!(response.status, 401);
}
