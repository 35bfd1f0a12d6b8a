//! `call-log import`: imports the users and call logs of an App Connect server.

use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    test_app::{TestApp, call},
};

use super::shell::{Finished, Shell};

/// Returns a shell whose table exists.
fn shell() -> Shell {
    let shell = Shell::with_table(&DynamoDb::start());
    shell.run(&["table", "create"]).out();
    shell
}

fn write(shell: &Shell, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(shell.path().join(name), text).unwrap();
}

const USERS: &str = "id,hostname,timezoneName,timezoneOffset,platform,accessToken,refreshToken,tokenExpiry,\
                     platformAdditionalInfo,userSettings,createdAt\n\
                     1-pipedrive,acme.pipedrive.com,Europe/Berlin,+01:00,pipedrive,canary-a,canary-r,\
                     2025-03-12 15:45:25.123+00,\"{\"\"companyId\"\": 31}\",\"{\"\"addCallLogResult\"\": {\"\"value\"\": false}}\",2025-01-01\n\
                     2-pipedrive,Acme.pipedrive.com,,-08:00,pipedrive,canary-k,,,,,\n\
                     3-pipedrive,acme.pipedrive.com,Pacific Time (US & Canada),-480,pipedrive,,,,,\\N,\n";

/// Returns the same users as JSON lines.
fn users_as_lines() -> String {
    let user = |id: &str, fields: Value| {
        let mut user = json!({"id": id, "platform": "pipedrive", "hostname": "acme.pipedrive.com"});
        user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        format!("{user}\n")
    };
    [
        user("1-pipedrive", json!({
            "timezoneName": "Europe/Berlin", "timezoneOffset": "+01:00", "accessToken": "canary-a", "refreshToken": "canary-r",
            "tokenExpiry": "2025-03-12T15:45:25.123Z", "platformAdditionalInfo": {"companyId": "31"}, "userSettings": {"addCallLogResult": {"value": false}},
        })),
        user("2-pipedrive", json!({"timezoneOffset": "-08:00", "accessToken": "canary-k", "refreshToken": null})),
        user("3-pipedrive", json!({"timezoneName": "Pacific Time (US & Canada)", "timezoneOffset": -480, "accessToken": ""})),
    ]
    .concat()
}

#[test]
fn users_are_imported_from_csv_and_from_json_lines() {
    for (name, text) in [("users.csv", USERS.to_owned()), ("users.jsonl", users_as_lines())] {
        let shell = shell();
        write(&shell, name, &text);
        let import = |more: &[&str]| shell.run(&[&["import", "users", name], more].concat()).out();
        assert_eq!(
            import(&["--dry-run"]),
            "users: 3 would be imported, 0 replaced, 0 already imported, 0 invalid\n"
        );
        assert_eq!(shell.run(&["user", "show", "1-pipedrive"]).code, Some(1), "nothing was written");
        assert_eq!(import(&[]), "users: 3 imported, 0 replaced, 0 already imported, 0 invalid\n");

        let show = |id: &str| -> Value {
            let out = shell.run(&["user", "show", id]).out();
            assert!(!out.contains("canary"), "{out}");
            serde_json::from_str(&out).unwrap()
        };
        assert_eq!(
            show("1-pipedrive"),
            json!({
                "id": "1-pipedrive", "platform": "pipedrive", "hostname": "acme.pipedrive.com", "account": "31", "timezone": "Europe/Berlin",
                "credentials": {"type": "oauth", "canRefresh": true, "expiresAt": "2025-03-12T15:45:25.123Z"},
                "userSettings": {"addCallLogResult": {"value": false}},
            })
        );
        let second = show("2-pipedrive");
        assert_eq!(
            (&second["credentials"], &second["timezone"]),
            (&json!({"type": "apiKey"}), &json!("-08:00"))
        );
        let third = show("3-pipedrive");
        assert_eq!((&third["credentials"], &third["timezone"]), (&Value::Null, &json!("-08:00")));

        // A repeated import overwrites nothing without --replace.
        shell.run(&["settings", "1-pipedrive", "addCallLogResult="]).out();
        assert_eq!(import(&[]), "users: 0 imported, 0 replaced, 3 already imported, 0 invalid\n");
        assert_eq!(show("1-pipedrive")["userSettings"], json!({}));
        assert_eq!(
            import(&["--replace", "--dry-run"]),
            "users: 0 would be imported, 3 replaced, 0 already imported, 0 invalid\n"
        );
        assert_eq!(show("1-pipedrive")["userSettings"], json!({}));
        assert_eq!(import(&["--replace"]), "users: 0 imported, 3 replaced, 0 already imported, 0 invalid\n");
        assert_eq!(show("1-pipedrive")["userSettings"], json!({"addCallLogResult": {"value": false}}));
    }
}

#[test]
fn the_account_of_a_user_is_imported_if_the_file_has_it() {
    let shell = shell();
    let rows = "id,platform,hostname,apiHost,loginHost,account,crmUserId,ownerId,accessToken\n\
                1-pipedrive,pipedrive,acme.pipedrive.com,,OAuth.pipedrive.com,7,1,77,key\n\
                2-pipedrive,pipedrive,acme.pipedrive.com,evil.example,,,,,key\n";
    write(&shell, "users.csv", rows);
    let Finished { out, error, .. } = shell.run(&["import", "users", "users.csv", "--keep-going"]);
    assert_eq!(out, "users: 1 imported, 0 replaced, 0 already imported, 1 invalid\n");
    assert!(error.starts_with("line 3: `apiHost` evil.example is not a host of Pipedrive\n"), "{error}");
    let shown: Value = serde_json::from_str(&shell.run(&["user", "show", "1-pipedrive"]).out()).unwrap();
    for (name, value) in
        [("loginHost", "oauth.pipedrive.com"), ("account", "7"), ("crmUserId", "1"), ("ownerId", "77")]
    {
        assert_eq!(shown[name], value, "{name}");
    }
}

#[test]
fn an_invalid_row_is_reported_and_prevents_the_import_unless_it_is_skipped() {
    let shell = shell();
    let long = "x".repeat(300_000);
    let rows = format!(
        "\u{feff}id,platform,hostname,timezoneOffset,accessToken,userSettings\r\n\
         1-pipedrive,pipedrive,acme.pipedrive.com,,key,\"{{\"\"long\"\": \"\"{long}\"\"}}\"\r\n\
         \r\n\
         2-bullhorn,bullhorn,,,key,\r\n\
         3-pipedrive,pipedrive,evil.example,,key,\r\n\
         ,pipedrive,acme.pipedrive.com,,key,\r\n\
         5-pipedrive,pipedrive,acme.pipedrive.com,Mars,key,\r\n\
         6-pipedrive,pipedrive,acme.pipedrive.com,,\"two\r\nlines\",\r\n\
         7-pipedrive,pipedrive,acme.pipedrive.com,,key,{{bad\r\n\
         1-pipedrive,pipedrive,acme.pipedrive.com,,another key,\r\n\
         8-pipedrive,pipedrive,acme.pipedrive.com,,key,,,\r\n\
         9-pipedrive,pipedrive,acme.pipedrive.com,,key,\r\n\
         9-pipedrive,pipedrive,acme.pipedrive.com,,key,"
    );
    write(&shell, "users.csv", rows);
    let Finished { code, out, error } = shell.run(&["import", "users", "users.csv"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(1), "users: 0 imported, 0 replaced, 0 already imported, 8 invalid\n")
    );
    insta::assert_snapshot!(error, @r#"
    line 4: unknown `platform`: expected example or hubspot or pipedrive
    line 5: `hostname` evil.example is not a host of Pipedrive
    line 6: `id` is missing: expected a string or a whole number, at most 256 bytes long
    line 7: `timezoneOffset` is not a time zone: expected an offset ("+05:30"), hours, minutes, or an IANA name, got "Mars"
    line 8: `accessToken` is not a header value: expected a string of printable ASCII characters, got a string
    line 10: `userSettings` is not JSON: key must be a string at line 1 column 2
    line 11: it contradicts line 2
    line 12: it has 8 values for 6 columns; quote values that contain commas
    call-log: nothing was imported, because 8 row(s) are invalid
      Correct the rows, or skip them with --keep-going. --dry-run shows what an import would do.
    "#);
    assert_eq!(shell.run(&["user", "show", "1-pipedrive"]).code, Some(1), "nothing was written");

    let Finished { code, out, error } =
        shell.run(&["import", "users", "users.csv", "--keep-going", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &document["imported"], document["invalid"].as_array().unwrap().len()),
        (Some(1), &json!(2), 8)
    );
    assert_eq!(document["invalid"][0]["line"], 4, "{document}");
    assert!(error.contains("\ncall-log: 8 row(s) are invalid and are not imported\n"), "{error}");
    let settings: Value =
        serde_json::from_str(&shell.run(&["settings", "1-pipedrive", "--json"]).out()).unwrap();
    assert_eq!(settings["long"].as_str().map(str::len), Some(300_000));
}

const CALL_LOGS: &str = "id,sessionId,extensionNumber,hashedExtensionId,platform,thirdPartyLogId,userId,contactId\n\
                         s-1,4503991004,,,pipedrive,5001,1-pipedrive,77\n\
                         s-2,4503991005,101,,pipedrive,5002,1-pipedrive,77\n\
                         s-3,4503991006,101,8c41,pipedrive,5003,1-pipedrive,77\n\
                         s-4,4503991007,101,,pipedrive,5004,1-pipedrive,77\n\
                         s-5,4503991007,102,,pipedrive,5005,1-pipedrive,77\n\
                         s-6,4503991004,,,pipedrive,5001,1-pipedrive,77\n\
                         s-7,4503991004,,,pipedrive,5007,2-pipedrive,77\n";

#[test]
fn call_logs_are_imported_from_csv_and_from_json_lines() {
    let lines: String = CALL_LOGS
        .lines()
        .skip(1)
        .map(|line| {
            let values: Vec<&str> = line.split(',').collect();
            let number: Value = values[1].parse::<u64>().unwrap().into();
            let row = json!({
                "id": values[0], "sessionId": number, "extensionNumber": values[2], "hashedExtensionId": values[3],
                "platform": values[4], "thirdPartyLogId": values[5].parse::<u64>().unwrap(), "userId": values[6],
            });
            format!("{row}\n")
        })
        .collect();
    for (name, text) in [("callLogs.csv", CALL_LOGS), ("callLogs.ndjson", &lines)] {
        let shell = shell();
        write(&shell, name, text);
        write(&shell, "users.csv", USERS);
        shell.run(&["import", "users", "users.csv"]).out();
        let import = |more: &[&str]| shell.run(&[&["import", "call-logs", name], more].concat()).out();
        assert_eq!(
            import(&["--dry-run"]),
            "call logs: 6 would be imported, 0 replaced, 0 already imported, 0 invalid\n"
        );
        assert_eq!(import(&[]), "call logs: 6 imported, 0 replaced, 0 already imported, 0 invalid\n");
        for more in [["--dry-run"].as_slice(), &[]] {
            let out = import(more);
            assert!(out.contains(" 0 replaced, 6 already imported, 0 invalid\n"), "{out}");
        }
        let show = |session: &str| {
            let out = shell.run(&["show", "1-pipedrive", session]).out();
            let lines = out
                .lines()
                .filter(|line| ["Session", "  State", "  Record"].iter().any(|word| line.starts_with(word)));
            lines.collect::<Vec<_>>().join("\n")
        };
        for (session, shown) in [
            ("4503991004", "Session 4503991004\n  State    LOGGED: it is in the CRM\n  Record   5001"),
            (
                "4503991005",
                "Session 4503991005, extension 101\n  State    LOGGED: it is in the CRM\n  Record   5002",
            ),
            (
                "4503991006",
                "Session 4503991006, extension 101\n  State    LOGGED: it is in the CRM\n  Record   5003",
            ),
            (
                "4503991007",
                "Session 4503991007, extension 101\n  State    LOGGED: it is in the CRM\n  Record   5004\n\
                 Session 4503991007, extension 102\n  State    LOGGED: it is in the CRM\n  Record   5005",
            ),
        ] {
            assert_eq!(show(session), shown, "{name}");
        }
    }
}

#[test]
fn an_invalid_call_log_is_reported() {
    let shell = shell();
    write(
        &shell,
        "logs.jsonl",
        format!(
            "{}\n{}\n\n{}\n{}\n{}\n[]\n{{\"userId\"\n{}\n{}\n",
            json!({"userId": "1-pipedrive", "platform": "pipedrive", "sessionId": "1", "thirdPartyLogId": "5001"}),
            json!({"userId": "1-pipedrive", "platform": "pipedrive", "thirdPartyLogId": "5001"}),
            json!({"userId": "1-pipedrive", "platform": "pipedrive", "sessionId": "0", "thirdPartyLogId": "5001"}),
            json!({"userId": "1-clio", "platform": "clio", "sessionId": "1", "thirdPartyLogId": "5001"}),
            json!({"platform": "pipedrive", "sessionId": "1", "thirdPartyLogId": "5001"}),
            json!({"userId": "1-pipedrive", "platform": "pipedrive", "sessionId": "2", "thirdPartyLogId": "y".repeat(300_000)}),
            json!({"userId": "1-pipedrive", "platform": "pipedrive", "sessionId": "1", "thirdPartyLogId": "5002"}),
        ),
    );
    let Finished { code, out, error } = shell.run(&["import", "call-logs", "logs.jsonl", "--dry-run"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(1), "call logs: 1 would be imported, 0 replaced, 0 already imported, 8 invalid\n")
    );
    insta::assert_snapshot!(error, @r#"
    line 2: `sessionId` is missing: expected RingCentral's id of one call, never 0
    line 4: `sessionId` is not a session id: expected RingCentral's id of one call, never 0, got "0"
    line 5: unknown `platform`: expected example or hubspot or pipedrive
    line 6: `userId` is missing: expected the id of the user
    line 7: it is not a JSON object
    line 8: it is not JSON: EOF while parsing an object at column 9
    line 9: `thirdPartyLogId` is missing or too long: expected the id of the CRM record, at most 256 bytes
    line 10: it contradicts line 1
    call-log: 8 row(s) are invalid and are not imported
      Correct these rows and import the file again. Rows that are already imported stay unchanged.
    "#);
    for (arguments, sentence) in [
        (
            ["import", "users", "-"].as_slice(),
            "call-log: the format of standard input is unknown\n  Add --format csv or --format jsonl.\n",
        ),
        (
            &["import", "users", "none.csv"],
            "call-log: none.csv cannot be read: No such file or directory (os error 2)\n  Name another file, or - for \
             standard input.\n",
        ),
    ] {
        assert_eq!(shell.run(arguments).error(), sentence);
    }
    let semicolons =
        shell.run_with(&["import", "call-logs", "-", "--format", "csv"], "userId;platform\n1;2\n");
    insta::assert_snapshot!(semicolons.error(), @r"
    call-log: standard input, line 1: missing column userId, platform, sessionId, thirdPartyLogId
      Export the table with the names of its columns in the first line, separated by commas.
    ");
}

/// App Connect logged the call, and people have edited the record since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_an_imported_log_keep_every_edit_of_a_person() {
    let test = TestApp::start().await;
    let shell = Shell::with_table(&test.dynamodb);
    let user = test.user.id.as_str();
    let import = |session: &str, log: &str| {
        let row =
            json!({"userId": user, "platform": "pipedrive", "sessionId": session, "thirdPartyLogId": log});
        shell.run_with(&["import", "call-logs", "-", "--format", "jsonl"], &row.to_string())
    };
    let update = |session: &str| {
        json!({
            "sessionId": session, "note": "Wants a quote", "subject": "Inbound Call", "result": "Accepted", "duration": 65,
            "startTime": 1_741_794_325_000_i64, "aiNote": "Bob asked", "transcript": "Ada: Hello",
            "recordingLink": "https://rec.example/1",
        })
    };
    // In the form of App Connect, with a person's words in every section.
    let body = "<b>Agent notes</b><br>Wants a quote by Monday<br><br><b>Call details</b><br>\
                <li><b>Summary</b>: Inbound Call, urgent</li><li><b>Date/time</b>: 2025-03-12 07:45:25 AM</li>\
                <li><b>Duration</b>: 1 minute, 5 seconds (he hung up)</li><li><b>Result</b>: Accepted after a while</li>\
                <li><b>Call recording link</b>: (pending...)</li>\
                <div><b>AI Note</b><br>Bob asked, and Ann knows more</div><br>\
                <div><b>Transcript</b><br>Ada: Hello Bob</div><br><p>Bob is my cousin</p>";
    let people = [
        "by Monday",
        "urgent",
        "07:45:25",
        "he hung up",
        "after a while",
        "Ann knows more",
        "Hello Bob",
        "cousin",
    ];
    test.post(&call("new")).await;
    test.crm.edit_note(5001, body);
    assert_eq!(
        import("old", "5001").out(),
        "call logs: 1 imported, 0 replaced, 0 already imported, 0 invalid\n"
    );

    let again = test.post(&call("old")).await;
    assert_eq!((again.message(), again.log_id()), ("Call already logged", Some("5001")));
    assert_eq!(test.crm.activities().len(), 1);
    for _ in 0..3 {
        let updated = test.patch(&update("old")).await;
        assert_eq!((updated.message(), updated.log_id()), ("Call log updated.", Some("5001")));
        let now = test.crm.activities()[0]["note"].as_str().unwrap().to_owned();
        for words in people {
            assert_eq!(now.matches(words).count(), 1, "{words} in {now}");
        }
        for new_text in ["Wants a quote<", "https://rec.example/1", "Bob asked<", "Ada: Hello<"] {
            assert_eq!(now.matches(new_text).count(), 1, "{new_text} in {now}");
        }
    }
    // After the first update it is an ordinary log.
    let next = json!({"sessionId": "old", "result": "Voicemail", "aiNote": "Bob called again"});
    assert_eq!(test.patch(&next).await.message(), "Call log updated.");
    let now = test.crm.activities()[0]["note"].as_str().unwrap().to_owned();
    assert!(
        now.contains("Voicemail") && now.contains("Bob called again") && !now.contains("Bob asked<"),
        "{now}"
    );

    // A call that the table has already stays unchanged.
    let conflict = import("new", "5009");
    assert_eq!(conflict.code, Some(1));
    insta::assert_snapshot!(conflict.error, @r"
    line 1: session new of 12345-pipedrive is already logged as record 5001; the file has 5009
    call-log: 1 row(s) are invalid and are not imported
      Correct these rows and import the file again. Rows that are already imported stay unchanged.
    ");
    test.patch(&json!({"sessionId": "later", "note": "n"})).await;
    let queued = import("later", "5010");
    insta::assert_snapshot!(queued.error, @r"
    line 1: session later of 12345-pipedrive is in the table and not logged yet (QUEUED)
    call-log: 1 row(s) are invalid and are not imported
      Correct these rows and import the file again. Rows that are already imported stay unchanged.
    ");
    let called = test.post(&call("later")).await;
    assert_eq!(called.message(), "Call logged");
}
