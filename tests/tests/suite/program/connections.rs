//! The commands about connections: `connect`, `tenant`, `user list` and `check`, `manifest` and `doctor`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, Stdio},
};

use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    fake_crm::FakeCrm,
    hubspot::{self, FakeHubSpot},
    pipedrive::{API_KEY, COMPANY, FakePipedrive},
};

use super::shell::{Finished, Shell, finished};

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
        "state": "connected", "administrator": false,
    }]);
    assert_eq!(json_of(&shell, &["user", "list"]), row);
    assert_eq!(shell.run(&["user", "check", "12345-pipedrive"]).out(), "works: Ada Agent\n");
    crm.end_access();
    let ended = shell.run(&["user", "check", "12345-pipedrive"]).error();
    assert!(ended.starts_with("call-log: 12345-pipedrive is not connected: "), "{ended}");

    for (command, message) in [
        (vec!["connect", "pipedrive"], "call-log: the address of the API is not known\n"),
        (
            vec!["connect", "pipedrive", "--url", "http://127.0.0.1:1"],
            "call-log: no server responds at http://127.0.0.1:1\n",
        ),
        (
            vec!["connect", "nothing"],
            "call-log: nothing is not connected: unknown `platform`: expected example or hubspot or pipedrive\n",
        ),
    ] {
        let error = shell.run(&command).error();
        assert!(error.starts_with(message), "{error}");
    }
}

/// A browser at a server. It keeps cookies.
struct Browser {
    url: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Sends a request; a body is a form. Returns the status, the address of a redirect, and the page.
    fn send(&mut self, path: &str, form: Option<&str>) -> (u16, String, String) {
        let address = format!("{}{}", self.url, path.strip_prefix(&self.url).unwrap_or(path));
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (status, location, set, page) = tokio::runtime::Runtime::new().unwrap().block_on(async {
            let client = call_log::startup::transport::client().unwrap();
            let kind = "application/x-www-form-urlencoded";
            let request = match form {
                Some(form) => client.post(address).header("content-type", kind).body(form.to_owned()),
                None => client.get(address),
            };
            let response = request.header("cookie", cookies.join("; ")).send().await.unwrap();
            let header = |name: &str| {
                let values = response.headers().get_all(name).iter();
                values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let (set, location) = (header("set-cookie"), header("location").concat());
            (response.status().as_u16(), location, set, response.text().await.unwrap())
        });
        for cookie in set {
            let (name, rest) = cookie.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        (status, location, page)
    }

    /// Opens a page, and sends this key with the form there. Returns the status.
    fn send_key(&mut self, path: &str, key: &str) -> u16 {
        let (_, _, page) = self.send(path, None);
        let (_, rest) = page.split_once("name=\"state\" value=\"").unwrap_or_else(|| panic!("{page}"));
        let state = rest.split('"').next().unwrap();
        self.send("/connect/key", Some(&format!("state={state}&apiKey={key}"))).0
    }
}

/// A `call-log connect` that waits for a person.
struct Waiting {
    process: Child,
    errors: BufReader<ChildStderr>,
    /// The address that it printed.
    path: String,
}

impl Waiting {
    fn start(shell: &Shell, arguments: &[&str]) -> Waiting {
        let mut command = shell.command(&[&["connect"], arguments].concat());
        let mut process = command.stdin(Stdio::null()).spawn().unwrap();
        let mut errors = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let path = line.trim_end().strip_prefix("Open this address in a browser: ");
        Waiting { process, errors, path: path.unwrap_or_else(|| panic!("{line}")).to_owned() }
    }

    fn finish(mut self) -> Finished {
        let mut finished = finished(self.process.wait_with_output().unwrap());
        self.errors.read_to_string(&mut finished.error).unwrap();
        finished
    }
}

#[test]
fn an_account_is_connected_in_a_browser_while_the_command_waits() {
    let crm = FakePipedrive::start();
    let mut shell = Shell::new();
    // The program finds no browser.
    shell.set("PATH", "/nothing");
    shell.set("CRM_BASE_URL_PIPEDRIVE", &crm.base_url());
    shell.set("PIPEDRIVE_CLIENT_ID", "our-id");
    shell.set("PIPEDRIVE_CLIENT_SECRET", "our-secret");
    let server = shell.serve_with(&["serve", "--port", "0"]);
    let url = server.url().to_owned();

    let mut browser = Browser { url: url.clone(), cookies: BTreeMap::new() };
    let healthy = shell.run(&["doctor"]).out();
    for line in [format!("address          {url}"), "12345-example".to_owned()] {
        assert!(healthy.contains(&format!("ok    {line}")), "{healthy}");
    }

    let waiting = Waiting::start(&shell, &["pipedrive"]);
    let (status, _, page) = browser.send(&waiting.path, None);
    assert_eq!((status, page.contains("Example CRM")), (200, false), "only the CRM of the command: {page}");
    let (_, location, _) = browser.send("/connect/start?crm=pipedrive", None);
    let state = location.split("state=").nth(1).unwrap().split('&').next().unwrap();
    crm.accept_code("code-of-the-browser");
    let landing = format!("/pipedrive-redirect?code=code-of-the-browser&state={state}");
    let (status, location, _) = browser.send(&landing, None);
    assert_eq!((status, location.as_str()), (303, format!("{url}/connect/result").as_str()));
    let (_, _, page) = browser.send(&location, None);
    assert!(page.contains("Connected to Pipedrive as Ada Agent (Acme)."), "{page}");
    let Finished { code, out, .. } = waiting.finish();
    let first = format!(
        "Pipedrive is connected as Ada Agent (Acme): user 12345-pipedrive, tenant pipedrive:{COMPANY}.\nToken for 14 days: "
    );
    assert_eq!(code, Some(0));
    assert!(out.starts_with(&first), "{out}");
    assert_eq!(shell.run(&["user", "check", "12345-pipedrive"]).out(), "works: Ada Agent\n");

    let (_, _, context) = browser.send("/demo/context", None);
    let context: Value = serde_json::from_str(&context).unwrap();
    let waiting = Waiting::start(&shell, &["example", "--json", "--no-browser"]);
    assert_eq!(browser.send_key(&waiting.path, context["crmKey"].as_str().unwrap()), 303);
    let shown: Value = serde_json::from_str(&waiting.finish().out).unwrap();
    assert_eq!((&shown["id"], &shown["name"]), (&json!("12345-example"), &json!("Ada Agent")), "{shown}");

    let waiting = Waiting::start(&shell, &["example"]);
    assert_eq!(browser.send_key(&waiting.path, "wrong"), 303);
    let Finished { code, error, .. } = waiting.finish();
    assert_eq!(code, Some(1));
    let refused = "call-log: Example CRM is not connected: Example CRM refused the key. Copy it from Example CRM again\n";
    assert!(error.contains(refused), "{error}");

    let waiting = Waiting::start(&shell, &["example", "--wait", "1"]);
    let (_, _, page) = browser.send(&format!("{}x", waiting.path), None);
    assert!(page.contains("This link has expired, or it belongs to another server."), "{page}");
    let late = waiting.finish().error;
    assert!(late.contains("call-log: Example CRM was not connected within 1 s\n"), "{late}");
}

#[test]
fn an_account_that_is_not_set_up_is_noticed_and_set_up() {
    let (mut shell, _dynamodb, _crm) = shell();
    let crm = FakeHubSpot::start();
    shell.set(hubspot::BASE_URL_VARIABLE, &crm.base_url());
    crm.refuse_keys(true);
    let connect = ["connect", "hubspot", "--api-token", hubspot::API_KEY];
    let out = shell.run(&connect).out();
    let missing = "the property rc_call_key of calls is missing";
    let first = format!(
        "HubSpot is connected as Ada Agent (62515): user 123456-hubspot, tenant hubspot:62515.\nTo be set up: {missing}. Add \
         --set-up.\nToken for 14 days: "
    );
    assert!(out.starts_with(&first), "{out}");
    let note = format!("note  hubspot:62515    {missing}\n");
    let report = shell.run(&["doctor"]).out();
    assert!(
        report.contains(&note) && report.contains("ok    123456-hubspot   works: Ada Agent\n"),
        "{report}"
    );

    crm.records().missing_scopes = ["crm.schemas.contacts.write".to_owned()].into();
    let set_up = [connect.as_slice(), &["--set-up"]].concat();
    let refused = shell.run(&set_up).error();
    let words = "call-log: HubSpot is connected, but not set up: The app needs the scope crm.schemas.contacts.write.\n";
    assert!(refused.starts_with(words), "{refused}");
    crm.records().missing_scopes.clear();
    for _ in 0..2 {
        let value = json_of(&shell, &set_up);
        assert_eq!((&value["id"], &value["toBeSetUp"]), (&json!("123456-hubspot"), &Value::Null));
    }
    assert!(!shell.run(&["doctor"]).out().contains(missing));
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
fn an_account_at_ringcentral_is_bound_to_a_tenant() {
    let (shell, _dynamodb, _crm) = shell();
    let run = |command: &[&str]| shell.run(&[&["ringcentral"], command].concat());
    assert_eq!(run(&["list"]).out(), "No account at RingCentral is bound to a CRM account.\n");
    for (command, out) in [
        ("bind", "The administrators of the account 37439510 at RingCentral administrate pipedrive:7.\n"),
        (
            "bind",
            "The administrators of the account 37439510 at RingCentral administrate pipedrive:7 already.\n",
        ),
        (
            "unbind",
            "The administrators of the account 37439510 at RingCentral no longer administrate pipedrive:7.\n",
        ),
        (
            "unbind",
            "The administrators of the account 37439510 at RingCentral do not administrate pipedrive:7.\n",
        ),
    ] {
        assert_eq!(run(&[command, "Pipedrive:7", " 37439510 "]).out(), out);
    }
    for (tenant, account) in [("pipedrive:7", "2"), ("pipedrive:7", "1"), ("pipedrive:a#b", "1")] {
        run(&["bind", tenant, account]).out();
    }
    run(&["unbind", "pipedrive:7", "2"]).out();
    let list = json!([
        {"tenant": "pipedrive:7", "accounts": ["1"]}, {"tenant": "pipedrive:a#b", "accounts": ["1"]},
    ]);
    assert_eq!(json_of(&shell, &["ringcentral", "list"]), list);
    // Nothing is decided about who may connect.
    assert_eq!(json_of(&shell, &["tenant", "list"]), json!([]));
    let row = json!({"tenant": "pipedrive:7", "account": "3", "bound": true, "changed": true});
    assert_eq!(json_of(&shell, &["ringcentral", "bind", "pipedrive:7", "3"]), row);
    for (tenant, account, message) in [
        ("7", "1", "call-log: 7 is no tenant: "),
        ("nothing:7", "1", "call-log: nothing:7 is no tenant: "),
        ("pipedrive:7", "+16505550100", "call-log: \"+16505550100\" is no account at RingCentral: "),
        ("pipedrive:7", "", "call-log: \"\" is no account at RingCentral: "),
    ] {
        let error = run(&["bind", tenant, account]).error();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_user_is_made_an_administrator_and_is_one_no_longer() {
    let (shell, _dynamodb, _crm) = shell();
    shell.run(&["connect", "pipedrive", "--api-token", API_KEY]).out();
    let is_administrator = || json_of(&shell, &["user", "list"])[0]["administrator"].clone();
    let made = shell.run(&["user", "admin", "12345-pipedrive"]).out();
    assert_eq!(made, format!("12345-pipedrive administrates pipedrive:{COMPANY}.\n"));
    assert_eq!(is_administrator(), true);
    // A login of the same user keeps the decision.
    shell.run(&["connect", "pipedrive", "--api-token", API_KEY]).out();
    assert_eq!(is_administrator(), true);
    let removed = shell.run(&["user", "admin", "12345-pipedrive", "--remove"]).out();
    assert_eq!(removed, "12345-pipedrive is no administrator.\n");
    assert_eq!(is_administrator(), false);
    let unknown = shell.run(&["user", "admin", "7-pipedrive"]).error();
    assert!(unknown.contains("7-pipedrive"), "{unknown}");
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
