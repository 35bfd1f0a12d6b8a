//! Canaries: tests that put recognisable secrets and personal data into requests, the table, the configuration and the
//! CRM, make requests succeed and fail, and then search logs, responses and the table for them.

mod functions;
mod panics;
mod program;

use std::collections::BTreeMap;

use aws_smithy_types::base64;
use serde_json::{Value, json};
use tests::{
    aws::Aws,
    dynamodb::DynamoDb,
    dynamodb::REQUEST as DYNAMODB,
    messages::{ALREADY_LOGGED, LOGGED, REJECTED},
    pipedrive::{API_KEY, FakePipedrive, PLATFORM},
    test_app::{Response, call, environment},
};

use crate::harness::with;

/// Secrets that only their recipient may see: the CRM, or its token endpoint.
const SECRETS: [(&str, &str); 10] = [
    ("access tokens", "pipedrive-access-"),
    ("refresh tokens", "pipedrive-refresh-"),
    ("an API key", API_KEY),
    ("the token secret", TOKEN_SECRET),
    ("the key of hashes", HASH_KEY),
    ("the client's secret", CLIENT_SECRET),
    ("an authHeader", AUTH_HEADER),
    ("a download link's token", DOWNLOAD_TOKEN),
    ("an administrator's token", ADMIN_TOKEN),
    ("the data key", DATA_KEY),
];
const TOKEN_SECRET: &str = "canary-token-secret-of-32-bytes-or-more";
const HASH_KEY: &str = "canary-hash-key";
const CLIENT_SECRET: &str = "canary-client-secret";
const AUTH_HEADER: &str = "canary-auth-header";
const DOWNLOAD_TOKEN: &str = "canary-download-token";
const ADMIN_TOKEN: &str = "canary-admin-token";
/// 32 bytes.
const DATA_KEY: &str = "canary-data-key-of-32-bytes-0001";

/// Texts, names and numbers of people, which only the CRM and the owner of the call may see.
const PERSONAL: [(&str, &str); 8] = [
    ("a telephone number", NUMBER),
    ("a contact's name", NAME),
    ("a note", NOTE),
    ("a transcript", "canary-transcript"),
    ("an AI note", "canary-ai-note"),
    ("a subject", "canary-subject"),
    ("a recording", "rec.example/canary-recording"),
    ("a note of an update", "canary-later"),
];
const NUMBER: &str = "2135559911";
const NAME: &str = "Canaria Bird";
const NOTE: &str = "canary-note";

/// Returns a create with all personal data, and the tokens of RingCentral.
fn create(session: &str) -> Value {
    let download = format!("https://media.example/646/content?accessToken={DOWNLOAD_TOKEN}");
    let fields = json!({
        "logInfo": {
            "from": {"phoneNumber": format!("+1{NUMBER}"), "name": NAME},
            "recording": {
                "link": "https://rec.example/canary-recording", "downloadUrl": download, "contentUri": download,
            },
            "customSubject": "canary-subject", "rcExtensionId": "62264425",
        },
        "note": NOTE, "aiNote": "canary-ai-note", "transcript": "canary-transcript", "contactName": NAME,
        "additionalSubmission": {"adminAssignedUserToken": ADMIN_TOKEN, "isAssignedToUser": true},
        "recordingDownloadLink": download,
    });
    with(call(session), fields)
}

/// Returns an update with all personal data, and the tokens of RingCentral.
fn update(session: &str) -> Value {
    json!({
        "sessionId": session, "recordingLink": "https://rec.example/canary-recording", "note": "canary-later",
        "recordingDownloadLink": format!("https://media.example/646/content?accessToken={DOWNLOAD_TOKEN}"),
        "transcript": "canary-transcript", "aiNote": "canary-ai-note", "subject": "canary-subject",
        "to": {"name": NAME, "phoneNumber": format!("+1{NUMBER}")},
        "additionalSubmission": {"adminAssignedUserToken": ADMIN_TOKEN},
    })
}

fn with_header(body: Value) -> Value {
    with(body, json!({"authHeader": format!("Bearer {AUTH_HEADER}")}))
}

/// Returns the body of an error response that contains all secrets and personal data.
fn echo() -> &'static str {
    let words: Vec<&str> = SECRETS.iter().chain(&PERSONAL).map(|(_, canary)| *canary).collect();
    let words = words.join(" ");
    let response = json!({
        "success": false, "__type": format!("com.amazonaws.kms#{words}"), "error": words, "message": words,
        "error_description": words, "data": {"note": words},
    });
    // The body of a fault has the lifetime `'static`.
    Box::leak(response.to_string().into_boxed_str())
}

/// Returns the body of a response that rejects a request and contains all personal data.
///
/// The owner of the call sees the CRM's reason, so it contains no secrets.
fn own_echo() -> &'static str {
    let words: Vec<&str> = PERSONAL.iter().map(|(_, canary)| *canary).collect();
    Box::leak(json!({"success": false, "error": words.join(" ")}).to_string().into_boxed_str())
}

/// Panics if one of the canaries is in the text, as it is or in base64.
fn check_absent(place: &str, text: &str, canaries: &[(&str, &str)]) {
    for (what, canary) in canaries {
        assert!(!text.contains(canary), "{what} ({canary}) in {place}: {}", around(text, canary));
        for encoded in in_base64(canary) {
            assert!(!text.contains(&encoded), "{what} ({canary}) in base64 in {place}");
        }
    }
}

/// Returns the base64 of a text inside a longer one.
///
/// Base64 encodes groups of three bytes, so there is one result for each of the three offsets of the first whole group.
fn in_base64(text: &str) -> [String; 3] {
    [0, 1, 2].map(|skip| {
        let bytes = &text.as_bytes()[skip..];
        base64::encode(&bytes[..bytes.len() / 3 * 3])
    })
}

fn around<'a>(text: &'a str, canary: &str) -> &'a str {
    let line = text.lines().find(|line| line.contains(canary));
    line.unwrap_or_default()
}

/// Returns everything in a table as DynamoDB's API shows it, followed by its binary values decoded from base64.
async fn table(dynamodb: &DynamoDb, name: &str) -> String {
    let response = dynamodb.ask("Scan", &json!({"TableName": name, "ConsistentRead": true})).await;
    assert!(response["Count"].as_u64().is_some_and(|count| count > 2), "{response}");
    fn binaries(value: &Value) -> String {
        match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| match value.as_str() {
                    Some(text) if name == "B" => {
                        String::from_utf8_lossy(&base64::decode(text).unwrap()).into_owned()
                    }
                    _ => binaries(value),
                })
                .collect(),
            Value::Array(list) => list.iter().map(binaries).collect(),
            _ => String::new(),
        }
    }
    format!("{response} {}", binaries(&response))
}

#[test]
fn a_canary_is_found_in_plain_text_and_in_base64() {
    let found =
        |text: &str| std::panic::catch_unwind(|| check_absent("a test", text, &[("a note", NOTE)])).is_err();
    for (text, is_found) in [
        ("a canary-note is here".to_owned(), true),
        (base64::encode("a canary-note is here"), true),
        (base64::encode("is canary-note here"), true),
        (base64::encode("or canary-note"), true),
        ("canary is here".to_owned(), false),
    ] {
        assert_eq!(found(&text), is_found, "{text}");
    }
}

/// Returns the environment variables of a function that has every kind of secret.
fn variables(dynamodb: &str, crm: &FakePipedrive, aws: &Aws, table: &DynamoDb) -> BTreeMap<String, String> {
    aws.put("/jwt", TOKEN_SECRET);
    aws.put("/hash-key", HASH_KEY);
    let client = json!({"clientId": "client", "clientSecret": CLIENT_SECRET});
    aws.put(&format!("/crm/{PLATFORM}"), &client.to_string());
    let context = json!({"purpose": "call-log credentials"});
    aws.put("/data-key", &aws.encrypt("one", &context, DATA_KEY.as_bytes().to_vec()));
    let extra = [
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
        ("CREDENTIALS_DATA_KEY_PARAMETER", "/data-key"),
        ("HASH_KEY", ""),
        ("HASH_KEY_PARAMETER", "/hash-key"),
        ("CRM_SECRETS_PREFIX", "/crm"),
    ];
    let mut variables = environment(table, crm, &extra);
    variables.extend(aws.environment());
    variables
}
