//! The commands for users, tokens, calls and the table.

use serde_json::{Value, json};
use tests::{dynamodb::DynamoDb, pipedrive::Route, proxy::Fault, test_app::TestApp};

use super::shell::{Server, Shell};
use crate::harness::with;

/// Starts a server, and returns a shell whose environment names its table.
pub(super) fn served() -> (Shell, Server) {
    let mut shell = Shell::new();
    let server = shell.serve(&["--in-memory"]);
    shell.environment.extend(server.variables());
    (shell, server)
}

#[test]
fn table_create_creates_a_table_once() {
    let dynamodb = DynamoDb::start();
    let shell = Shell::with_table(&dynamodb);
    assert_eq!(shell.run(&["table", "create"]).out(), "The table is ready.\n");
    assert_eq!(
        shell.run(&["table", "create"]).error(),
        "call-log: the table calls already exists\n  Nothing needs to be done. If you meant another table, set TABLE_NAME.\n"
    );
}

#[test]
fn without_a_table_every_command_says_what_to_do() {
    let no_table = "call-log: there is no table to work on\n  Start `call-log serve` in this directory, or set TABLE_NAME, \
                    JWT_SECRET, HASH_KEY, CREDENTIALS_KEY_FILE and either AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB.\n";
    for command in [
        ["user", "show", "1-pipedrive"].as_slice(),
        &["user", "remove", "1-pipedrive"],
        &["settings", "1-pipedrive"],
        &["token", "1-pipedrive"],
        &["show", "1-pipedrive", "1"],
        &["table", "create"],
    ] {
        assert_eq!(Shell::new().run(command).error(), no_table, "{command:?}");
    }
    let mut shell = Shell::new();
    shell.set("TABLE_NAME", "calls");
    shell.set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    let missing = "call-log: JWT_SECRET is missing: set it to the secret that signs callers' tokens\n";
    assert_eq!(shell.run(&["token", "1-pipedrive"]).error(), missing);
    shell.set("JWT_SECRET", tests::test_app::JWT_SECRET);
    let missing = "call-log: HASH_KEY is missing: set it to the key that hashes RingCentral extension ids: the HASH_KEY of \
                   your App Connect server, or else a random text that all functions share\n";
    assert_eq!(shell.run(&["token", "1-pipedrive"]).error(), missing);
    shell.set("HASH_KEY", tests::test_app::HASH_KEY);
    let missing = "call-log: the encryption key is missing: set CREDENTIALS_DATA_KEY to a data key from KMS, or \
                   CREDENTIALS_KEY_FILE to a file that `call-log credentials new-key-file FILE` creates\n";
    assert_eq!(shell.run(&["token", "1-pipedrive"]).error(), missing);
    shell.set("CREDENTIALS_KEY_FILE", &tests::test_app::key_file("credentials"));
    let unavailable = "call-log: the table is not available (no connection); requested table calls at http://127.0.0.1:1\n  \
         Try again. If it fails again, check AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB; on one machine, check that \
         `call-log serve` is running.\n";
    for command in [["token", "1-pipedrive"], ["table", "create"]] {
        assert_eq!(shell.run(&command).error(), unavailable, "{command:?}");
    }
}

#[test]
fn a_user_is_stored_shown_without_secrets_and_removed() {
    let (shell, _server) = served();
    let user = json!({
        "id": "12345-pipedrive", "platform": "pipedrive", "hostname": "Acme.pipedrive.com", "timezone": "Europe/Berlin",
        "apiHost": "Acme.pipedrive.com", "loginHost": " OAuth.pipedrive.com", "account": 7, "crmUserId": 12345,
        "ownerId": "12346",
        "credentials": {
            "type": "oauth", "accessToken": "canary-access", "refreshToken": "canary-refresh",
            "expiresAt": "2025-03-12T15:45:25Z",
        },
        "userSettings": {"addCallLogResult": {"value": false}},
    });
    std::fs::write(shell.path().join("user.json"), user.to_string()).unwrap();
    assert_eq!(shell.run(&["user", "put", "user.json"]).out(), "User 12345-pipedrive is stored.\n");
    let shown = shell.run(&["user", "show", "12345-pipedrive"]).out();
    assert!(!shown.contains("canary"), "{shown}");
    insta::assert_snapshot!(shown, @r#"
    {
      "id": "12345-pipedrive",
      "platform": "pipedrive",
      "hostname": "acme.pipedrive.com",
      "account": "7",
      "apiHost": "acme.pipedrive.com",
      "loginHost": "oauth.pipedrive.com",
      "crmUserId": "12345",
      "ownerId": "12346",
      "timezone": "Europe/Berlin",
      "credentials": {
        "type": "oauth",
        "canRefresh": true,
        "expiresAt": "2025-03-12T15:45:25.000Z"
      },
      "userSettings": {
        "addCallLogResult": {
          "value": false
        }
      }
    }
    "#);

    // Storing the user again replaces all fields. The account stays, because the CRM does not respond.
    let key =
        with(user, json!({"userSettings": null, "credentials": null, "timezone": null, "account": null}));
    let key = with(key, json!({"credentials": {"type": "apiKey", "apiKey": "canary-key"}}));
    assert_eq!(
        shell.run_with(&["user", "put", "-"], &key.to_string()).out(),
        "User 12345-pipedrive is stored.\n"
    );
    let shown: Value = serde_json::from_str(&shell.run(&["user", "show", "12345-pipedrive"]).out()).unwrap();
    assert_eq!((&shown["credentials"], &shown["timezone"]), (&json!({"type": "apiKey"}), &Value::Null));
    assert_eq!((&shown["account"], &shown["crmUserId"]), (&json!("7"), &json!("12345")));

    assert_eq!(shell.run(&["user", "remove", "12345-pipedrive"]).out(), "User 12345-pipedrive is removed.\n");
    let none = "call-log: there is no user 12345-pipedrive\n  Correct the id, or store the user with `call-log user put \
                FILE`.\n";
    for command in ["show", "remove"] {
        assert_eq!(shell.run(&["user", command, "12345-pipedrive"]).error(), none);
    }
}

#[test]
fn user_put_says_that_the_account_is_not_known_and_how_to_tell_it() {
    let (shell, _server) = served();
    let user = json!({
        "id": "1-pipedrive", "platform": "pipedrive", "hostname": "acme.pipedrive.com",
        "credentials": {"type": "apiKey", "apiKey": "canary-key"},
    });
    let put =
        |fields: Value| shell.run_with(&["user", "put", "-"], &with(user.clone(), fields).to_string()).out();
    let account = || {
        let shown: Value = serde_json::from_str(&shell.run(&["user", "show", "1-pipedrive"]).out()).unwrap();
        shown["account"].clone()
    };
    insta::assert_snapshot!(put(json!({})), @r"
    User 1-pipedrive is stored.
    The CRM did not say which account the user belongs to, so the user shares no call logs with colleagues.
    Store the user again with credentials that work, or with the account's id as `account`; -v shows the CRM's response.
    ");
    assert_eq!(account(), Value::Null);
    assert_eq!(put(json!({"tenant": 7})), "User 1-pipedrive is stored.\n");
    assert_eq!(account(), "7");
    assert_eq!(put(json!({"account": 8})), "User 1-pipedrive is stored.\n");
    assert_eq!(account(), "8");
    let shown: Value = serde_json::from_str(&shell.run(&["user", "show", "12345-example"]).out()).unwrap();
    assert_eq!(shown["account"], "example", "the demo user");
}

#[test]
fn an_invalid_user_is_rejected_with_the_name_of_the_field() {
    let (shell, _server) = served();
    let user = json!({
        "id": "1-pipedrive", "platform": "pipedrive", "hostname": "acme.pipedrive.com",
        "credentials": {"type": "apiKey", "apiKey": "canary-key"},
    });
    let action = "Correct the field. `call-log user put --help` lists all fields.";
    for (fields, sentence) in [
        (
            json!({"hostname": "pipedrive.com.evil.example"}),
            "`hostname` pipedrive.com.evil.example is not a host of Pipedrive",
        ),
        (json!({"hostname": "127.0.0.1:3000"}), "`hostname` 127.0.0.1:3000 is not a host of Pipedrive"),
        (
            json!({"hostname": "https://acme.pipedrive.com"}),
            "`hostname` https://acme.pipedrive.com is not a host of Pipedrive",
        ),
        (json!({"hostname": null}), "`hostname` is missing: expected the company's host at Pipedrive"),
        (json!({"apiHost": "evil.example"}), "`apiHost` evil.example is not a host of Pipedrive"),
        (
            json!({"apiHost": "other.pipedrive.com"}),
            "`apiHost` other.pipedrive.com is not a host of Pipedrive",
        ),
        (json!({"loginHost": "evil.example"}), "`loginHost` evil.example is not a host of Pipedrive"),
        (
            json!({"apiHost": "evil.example", "hostname": "evil.example"}),
            "`hostname` evil.example is not a host of Pipedrive",
        ),
        (
            json!({"platform": "example", "loginHost": "login.example"}),
            "`loginHost` login.example is not a host of Example CRM",
        ),
        (json!({"platform": "nosuchcrm"}), "unknown `platform`: expected example or hubspot or pipedrive"),
        (json!({"id": null}), "`id` is missing: expected a string or a whole number, at most 256 bytes long"),
        (
            json!({"credentials": {"apiKey": null}}),
            "`credentials.apiKey` is missing: expected a string of printable ASCII characters",
        ),
    ] {
        let body = with(user.clone(), fields);
        let error = shell.run_with(&["user", "put", "-"], &body.to_string()).error();
        assert_eq!(error, format!("call-log: standard input: {sentence}\n  {action}\n"), "{body}");
    }
    let error = shell.run_with(&["user", "put", "-"], "{\"id\": ").error();
    let sentence = "standard input: the user is not JSON: EOF while parsing a value at line 1 column 7";
    assert_eq!(error, format!("call-log: {sentence}\n  {action}\n"));
    let error = shell.run(&["user", "put", "nowhere.json"]).error();
    assert_eq!(
        error,
        "call-log: nowhere.json cannot be read: No such file or directory (os error 2)\n  Name another file, or - for \
         standard input.\n"
    );
}

#[test]
fn settings_are_shown_and_changed() {
    let (shell, _server) = served();
    let settings = |changes: &[&str]| shell.run(&[&["settings", "12345-example"], changes].concat());
    let none = "User 12345-example has no settings; the defaults apply.\n";
    for (changes, shown) in [
        ([].as_slice(), none),
        (&["addCallLogResult=false"], "addCallLogResult  false\n"),
        (
            &["logDateFormat=DD/MM/YYYY HH:mm:ss", "other=[1, {\"a\": null}]"],
            "addCallLogResult  false\nlogDateFormat     DD/MM/YYYY HH:mm:ss\nother             [1,{\"a\":null}]\n",
        ),
        (&["logDateFormat=", "other="], "addCallLogResult  false\n"),
        (&["addCallLogResult="], none),
    ] {
        assert_eq!(settings(changes).out(), shown, "{changes:?}");
    }
    let invalid =
        "call-log: addCallLogResult is not KEY=VALUE\n  Write each setting as in addCallLogResult=false.\n";
    assert_eq!(settings(&["addCallLogResult"]).error(), invalid);
    let unknown = shell.run(&["settings", "1-example", "a=1"]).error();
    assert!(unknown.starts_with("call-log: there is no user 1-example\n"), "{unknown}");
}

#[tokio::test]
async fn a_printed_token_is_accepted_and_show_describes_its_calls() {
    let (shell, server) = served();
    let token = shell.run(&["token", "12345-example", "--days", "1"]).out();
    let send = async |method: &str, body: Value| {
        let request = call_log::startup::transport::client()
            .unwrap()
            .request(method.parse().unwrap(), format!("{}/callLog", server.url()));
        request.bearer_auth(token.trim()).json(&body).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let show = |session: &str| shell.run(&["show", "12345-example", session]);
    let unknown = show("1").error();
    assert!(
        unknown.starts_with("call-log: the table has no call with session 1 of user 12345-example\n"),
        "{unknown}"
    );

    send("PATCH", json!({"sessionId": "1", "note": "Wants two quotes"})).await;
    insta::assert_snapshot!(timeless(&show("1").out()), @r"
    Session 1
      State    QUEUED: updates wait for the call to be logged
      Claims   0
      Queued   1 update(s)
      Hash     2c0f51e3d0968e03 (session_hash of the log lines)
    ");
    let call = with(tests::test_app::call("1"), json!({"contactId": "c-3"}));
    let of_number = with(call.clone(), json!({"extensionNumber": "101"}));
    assert_eq!(send("POST", of_number).await["logId"], "5001");
    let of_extension = with(call, json!({"hashedExtensionId": "8c41", "contactId": "c-999"}));
    send("POST", of_extension).await;
    insta::assert_snapshot!(timeless(&show("1").out()), @r"
    Session 1, extension 101
      State    LOGGED: it is in the CRM
      Record   5001
      Creator  12345-example
      Note of  12345-example
      First    attempt at TIME
      Claims   1
               TIME  logged
      Hash     2c0f51e3d0968e03 (session_hash of the log lines)
    Session 1, extension 8c41
      State    LOGGED: it is in the CRM
      Record   5002
      Creator  12345-example
      Lacks    contact, because the CRM did not accept it
      Note of  12345-example
      First    attempt at TIME
      Claims   1
               TIME  updated
      Hash     2c0f51e3d0968e03 (session_hash of the log lines)
    ");

    for days in ["0", "-1", "4000", "many"] {
        assert_eq!(shell.run(&["token", "12345-example", &format!("--days={days}")]).code, Some(2), "{days}");
    }
}

#[tokio::test]
async fn tokens_are_revoked_and_another_one_is_accepted_at_once() {
    let (shell, server) = served();
    let client = call_log::startup::transport::client().unwrap();
    let settings = async |token: &str| {
        let request = client.get(format!("{}/user/settings", server.url()));
        request.bearer_auth(token.trim()).send().await.unwrap().status().as_u16()
    };
    let first = shell.run(&["token", "12345-example"]).out();
    assert_eq!(settings(&first).await, 200);
    let said = shell.run(&["token", "revoke", "12345-example"]).out();
    assert!(said.starts_with("Tokens of 12345-example that were issued before 20"), "{said}");
    assert_eq!(settings(&first).await, 401);
    assert_eq!(settings(&shell.run(&["token", "12345-example"]).out()).await, 200);
    let unknown = shell.run(&["token", "revoke", "1-example"]).error();
    assert!(unknown.starts_with("call-log: there is no user 1-example\n"), "{unknown}");
    assert_eq!(shell.run(&["token"]).code, Some(2));
}

#[tokio::test]
async fn a_dead_letter_is_shown_and_started_again() {
    let test = TestApp::start().await;
    let shell = Shell::with_table(&test.dynamodb);
    test.crm.always(Route::CreateActivity, Fault::Status(422));
    test.post(&tests::test_app::call("1")).await;
    let id = test.user.id.to_string();
    insta::assert_snapshot!(timeless(&shell.run(&["show", &id, "1"]).out()), @r"
    Session 1
      State    DEAD_LETTER: the CRM rejected it or was unavailable for too long; it can be logged again
      Creator  12345-pipedrive
      First    attempt at TIME
      Claims   1
      Next     none; `call-log redrive 12345-pipedrive 1` starts delivery again
      Reason   rejected (status 422)
               TIME  given up: rejected (status 422)
      Hash     c220f3eaa1226f24 (session_hash of the log lines)
    ");
    let again: Value = serde_json::from_str(&shell.run(&["redrive", &id, "1", "--json"]).out()).unwrap();
    assert_eq!(again, json!({"sessionId": "1", "rearmed": 1}));
}

/// Replaces the times in a text.
fn timeless(text: &str) -> String {
    let is_time = |word: &str| word.parse::<chrono::DateTime<chrono::Utc>>().is_ok();
    let words = |line: &str| {
        line.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}
