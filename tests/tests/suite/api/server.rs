//! Facts about the server that need no token: the manifest, hashes of RingCentral ids, and the version.

use bytes::Bytes;
use serde_json::{Value, json};
use tests::test_app::{HASH_KEY, INVOCATION_MS, Response, TestApp, URL, handle};

use call_log::startup::app::App;

async fn get(app: &App, path: &str) -> Response {
    let request = http::Request::builder().uri(path).body(Bytes::new()).unwrap();
    handle(app, request, INVOCATION_MS).await
}

#[tokio::test]
async fn the_manifest_has_the_crms_that_can_be_connected() {
    let test = TestApp::start().await;
    let manifest = get(&test.app, "/crmManifest?platformName=default").await.body;
    let mut shown = manifest["platforms"]["pipedrive"].clone();
    // Without a registration, a key is the only way.
    assert_eq!(shown["auth"]["type"], "apiKey");
    shown["auth"] = Value::Null;
    insta::assert_snapshot!(format!("{shown:#}"));
    let names: Vec<_> = manifest["platforms"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["hubspot", "pipedrive"], "the Example CRM is not here");
    let version = get(&test.app, "/serverVersionInfo").await.body["version"].clone();
    let expected = json!({
        "serverUrl": URL, "redirectUri": "https://ringcentral.github.io/ringcentral-embeddable/redirect.html",
        "version": version, "author": {"name": "call-log"}, "platforms": manifest["platforms"],
    });
    assert_eq!(manifest, expected);

    let registered = [
        ("PIPEDRIVE_CLIENT_ID", "our-id"),
        ("PIPEDRIVE_CLIENT_SECRET", "our-secret"),
        ("PUBLIC_URL", "https://cdn.example.com/calls/"),
        ("CRM_BASE_URL_EXAMPLE", "http://127.0.0.1:3999"),
    ];
    let app = test.app_with(&registered).await.unwrap();
    let manifest = get(&app, "/crmManifest").await.body;
    assert_eq!(manifest["serverUrl"], "https://cdn.example.com/calls");
    let auth = json!({"type": "oauth", "oauth": {
        "authUrl": format!("{}/oauth/authorize", test.crm.base_url()),
        "clientId": "our-id", "redirectUri": "https://cdn.example.com/calls/pipedrive-redirect",
    }});
    assert_eq!(manifest["platforms"]["pipedrive"]["auth"], auth);
    assert_eq!(manifest["platforms"]["example"]["auth"]["type"], "apiKey");
    let text = manifest.to_string();
    for forbidden in ["our-secret", "autoLoginCRMWithRingCentralLogin"] {
        assert!(!text.contains(forbidden), "{text}");
    }
}

#[tokio::test]
async fn ids_are_hashed_as_in_app_connect() {
    let test = TestApp::start().await;
    let hash = |id: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, format!("{id}:{HASH_KEY}").as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let response = get(&test.app, "/userInfoHash?extensionId=62000001&accountId=37000001").await;
    let expected = json!({"extensionId": hash("62000001"), "accountId": hash("37000001")});
    assert_eq!((response.status, response.body), (200, expected));
    for (query, name) in [
        ("", "extensionId"),
        ("extensionId=1", "accountId"),
        ("extensionId=undefined&accountId=1", "extensionId"),
        ("extensionId=1&accountId=null", "accountId"),
        ("extensionId=1&accountId=%20", "accountId"),
        (&format!("extensionId=1&accountId={}", "1".repeat(101)), "accountId"),
    ] {
        let response = get(&test.app, &format!("/userInfoHash?{query}")).await;
        let message = format!("`{name}` is missing: expected the id at RingCentral.");
        assert_eq!((response.status, response.body.as_str()), (400, Some(&*message)), "{query}");
    }
}

#[tokio::test]
async fn the_server_says_that_it_lives() {
    let test = TestApp::start().await;
    for (path, body) in [
        ("/isAlive", json!("OK")),
        ("/releaseNotes", json!({})),
        ("/user/preloadSettings?rcAccountId=x", json!({})),
    ] {
        let response = get(&test.app, path).await;
        assert_eq!((response.status, response.body), (200, body), "{path}");
    }
}
