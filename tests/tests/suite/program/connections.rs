//! The commands about connections: `connect`, `tenant`, `user list` and `check`, `manifest` and `doctor`.

use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    pipedrive::{API_KEY, COMPANY, FakePipedrive},
};

use super::shell::Shell;

/// A shell whose environment names a table and the fake of a CRM.
fn shell() -> (Shell, DynamoDb, FakePipedrive) {
    let (dynamodb, crm) = (DynamoDb::start(), FakePipedrive::start());
    let mut shell = Shell::with_table(&dynamodb);
    shell.set("CRM_BASE_URL_PIPEDRIVE", &crm.base_url());
    shell.run(&["table", "create"]).out();
    (shell, dynamodb, crm)
}

fn json_of(shell: &Shell, command: &[&str]) -> Value {
    serde_json::from_str(&shell.run(&[command, &["--json"]].concat()).out()).unwrap()
}

#[test]
fn an_account_is_connected_with_a_key_that_works() {
    let (shell, _dynamodb, crm) = shell();
    let refused = "call-log: Pipedrive is not connected: the CRM refused the credential\n  Have the person connect again, or \
                   try again in a minute if the CRM did not respond.\n";
    assert_eq!(shell.run(&["connect", "pipedrive", "--api-token", "wrong"]).error(), refused);
    assert_eq!(shell.run(&["user", "list"]).out(), "The table has no users.\n");
    let out = shell.run(&["connect", "pipedrive", "--api-token", API_KEY]).out();
    let first = format!(
        "Pipedrive is connected as Ada Agent (Acme): user 12345-pipedrive, tenant pipedrive:{COMPANY}.\nToken for 14 days: "
    );
    assert!(out.starts_with(&first), "{out}");
    let row = json!([{
        "id": "12345-pipedrive", "platform": "pipedrive", "tenant": format!("pipedrive:{COMPANY}"), "name": "Ada Agent",
        "state": "connected",
    }]);
    assert_eq!(json_of(&shell, &["user", "list"]), row);
    assert_eq!(shell.run(&["user", "check", "12345-pipedrive"]).out(), "works: Ada Agent\n");
    crm.end_access();
    let ended = shell.run(&["user", "check", "12345-pipedrive"]).error();
    assert!(ended.starts_with("call-log: 12345-pipedrive is not connected: "), "{ended}");

    for (command, message) in [
        (["connect", "pipedrive"], "call-log: there is no key to connect Pipedrive with\n"),
        (
            ["connect", "nothing"],
            "call-log: nothing is not connected: unknown `platform`: expected example or pipedrive\n",
        ),
    ] {
        let error = shell.run(&command).error();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_tenant_is_allowed_and_forbidden() {
    let (shell, _dynamodb, _crm) = shell();
    assert!(shell.run(&["tenant", "list"]).out().starts_with("No tenant is allowed here."));
    let allowed = shell.run(&["tenant", "allow", "Pipedrive:7"]).out();
    assert_eq!(allowed, "The people of pipedrive:7 may connect.\n");
    shell.run(&["tenant", "allow", "pipedrive:a#b"]).out();
    shell.run(&["tenant", "forbid", "pipedrive:7"]).out();
    let list =
        json!([{"tenant": "pipedrive:7", "allowed": false}, {"tenant": "pipedrive:a#b", "allowed": true}]);
    assert_eq!(json_of(&shell, &["tenant", "list"]), list);
    for tenant in ["7", "pipedrive:", ":7", "nothing:7"] {
        let error = shell.run(&["tenant", "allow", tenant]).error();
        assert!(error.starts_with(&format!("call-log: {tenant} is no tenant: ")), "{error}");
    }
}

#[test]
fn the_manifest_is_written_for_an_address() {
    let (mut shell, _dynamodb, _crm) = shell();
    let missing = shell.run(&["manifest"]).error();
    assert!(missing.starts_with("call-log: the address of the API is not known\n"), "{missing}");
    let manifest: Value =
        serde_json::from_str(&shell.run(&["manifest", "--url", "https://calls.example.com/"]).out()).unwrap();
    assert_eq!(manifest["serverUrl"], "https://calls.example.com");
    assert_eq!(manifest["platforms"]["pipedrive"]["auth"]["type"], "apiKey");
    shell.set("PUBLIC_URL", "https://cdn.example.com");
    let manifest: Value = serde_json::from_str(&shell.run(&["manifest"]).out()).unwrap();
    assert_eq!(manifest["serverUrl"], "https://cdn.example.com");
}

#[test]
fn the_doctor_says_what_is_wrong() {
    let (mut shell, _dynamodb, crm) = shell();
    shell.set("PUBLIC_URL", "https://calls.example.com");
    shell.run(&["connect", "pipedrive", "--api-token", API_KEY]).out();
    let out = shell.run(&["doctor"]).out();
    insta::assert_snapshot!(out);
    crm.end_access();
    let failed = shell.run(&["doctor"]);
    assert!(failed.out.contains("BAD   12345-pipedrive"), "{}", failed.out);
    assert!(failed.error.starts_with("call-log: 1 check(s) failed\n"), "{}", failed.error);
}
