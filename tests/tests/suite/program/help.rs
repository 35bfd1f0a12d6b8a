//! The help and the version of the program, its most common errors, and its output for scripts.

use serde_json::{Value, json};
use tests::dynamodb::DynamoDb;

use super::{commands::served, shell::Shell};

#[test]
fn the_version_names_the_commit_if_the_source_is_a_checkout() {
    let version = Shell::new().run(&["--version"]).out();
    let number = concat!("call-log ", env!("CARGO_PKG_VERSION"));
    let rest = version.trim_end().strip_prefix(number).unwrap_or_else(|| panic!("{version}"));
    let commit = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
    let is_commit = |text: &str| {
        text.split_once(' ').is_some_and(|(hash, date)| {
            hash.len() >= 12
                && hash.chars().all(|letter| letter.is_ascii_hexdigit())
                && date.parse::<chrono::NaiveDate>().is_ok()
        })
    };
    assert!(rest.is_empty() || commit.is_some_and(is_commit), "{version}");
}

/// Returns every command as the list of its words.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(path) = open.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = Shell::new().run(&arguments).out();
        if let Some((_, below)) = help.split_once("\nCommands:\n") {
            let names = below.lines().take_while(|line| !line.is_empty());
            let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
            for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help")
            {
                open.push([path.clone(), vec![name.to_owned()]].concat());
            }
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn every_command_has_a_help_with_examples() {
    let help = |path: &[String]| {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        Shell::new().run(&arguments).out()
    };
    let commands = commands();
    assert!(commands.len() > 20, "not all commands were found: {commands:?}");
    let mut page = String::new();
    for path in &commands {
        let text = help(path);
        assert!(!text.contains('\u{1b}'), "colours in a pipe: {path:?}");
        // The examples of the subcommands of `credentials` are in the help of `credentials`.
        assert!(
            text.contains("Examples:\n") || path.first().is_some_and(|word| word == "credentials"),
            "{path:?}"
        );
        page +=
            &format!("$ call-log {}\n{text}\n", [path.as_slice(), &["--help".to_owned()]].concat().join(" "));
    }
    insta::assert_snapshot!(page);
}

#[test]
fn the_examples_of_the_help_name_existing_commands() {
    let commands = commands();
    let mut seen = 0;
    for path in &commands {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = Shell::new().run(&arguments).out();
        for line in help.lines().filter_map(|line| line.strip_prefix("  call-log ")) {
            let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
            let words: Vec<&str> = line.split(' ').take_while(is_name).collect();
            let exists = |path: &Vec<String>| {
                !path.is_empty() && words.starts_with(&path.iter().map(String::as_str).collect::<Vec<_>>())
            };
            assert!(words.is_empty() || commands.iter().any(exists), "{line}");
            seen += 1;
        }
    }
    assert!(seen > 20, "not all examples were found");
}

#[test]
fn completions_are_printed_for_each_shell() {
    for (shell, word) in [
        ("bash", "complete -F _call__log"),
        ("zsh", "#compdef call-log"),
        ("fish", "complete -c call-log"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[call-log]"),
    ] {
        let script = Shell::new().run(&["completions", shell]).out();
        assert!(script.contains(word) && script.contains("call-logs"), "{shell}: {script}");
    }
    assert_eq!(Shell::new().run(&["completions", "cmd"]).code, Some(2));
}

#[test]
fn a_usage_error_has_exit_status_2_and_points_to_the_help() {
    for (arguments, sentence) in [
        (["tokn"].as_slice(), "unrecognized subcommand 'tokn'"),
        (&["token"], "the following required arguments were not provided"),
        (&["token", "1-pipedrive", "--days=0"], "0 is not in 1..=3650"),
        (&["serve", "--json"], "unexpected argument '--json' found"),
        (&["import", "users"], "the following required arguments were not provided"),
    ] {
        let finished = Shell::new().run(arguments);
        assert_eq!((finished.code, finished.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(finished.error.contains(sentence) && finished.error.contains("--help"), "{}", finished.error);
    }
}

#[test]
fn an_error_says_what_is_wrong_and_what_to_do() {
    let dynamodb = DynamoDb::start();
    let shell = Shell::with_table(&dynamodb);
    let with = |changes: &[(&str, &str)]| {
        let mut shell = Shell::with_table(&dynamodb);
        changes.iter().for_each(|(name, value)| shell.set(name, value));
        shell
    };
    let masked = |text: String| text.replace(&dynamodb.url, "DYNAMODB_URL");

    // The table does not exist yet.
    insta::assert_snapshot!(masked(shell.run(&["token", "1-pipedrive"]).error()), @r"
    call-log: the table rejected the request (ResourceNotFoundException); requested table calls at DYNAMODB_URL
      Create it with `call-log table create`, or correct TABLE_NAME, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB.
    ");
    assert_eq!(shell.run(&["table", "create"]).out(), "The table is ready.\n");
    insta::assert_snapshot!(masked(shell.run(&["table", "create"]).error()), @r"
    call-log: the table calls already exists
      Nothing needs to be done. If you meant another table, set TABLE_NAME.
    ");
    // Another table, or another endpoint.
    let other = with(&[("TABLE_NAME", "other")]);
    insta::assert_snapshot!(masked(other.run(&["show", "1-pipedrive", "1"]).error()), @r"
    call-log: the table rejected the request (ResourceNotFoundException); requested table other at DYNAMODB_URL
      Create it with `call-log table create`, or correct TABLE_NAME, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB.
    ");
    let unavailable = with(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]);
    insta::assert_snapshot!(unavailable.run(&["token", "1-pipedrive"]).error(), @r"
    call-log: the table is not available (no connection); requested table calls at http://127.0.0.1:1
      Try again. If it fails again, check AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB; on one machine, check that `call-log serve` is running.
    ");
    // A user who does not exist.
    insta::assert_snapshot!(shell.run(&["token", "1-pipedrive"]).error(), @r"
    call-log: there is no user 1-pipedrive
      Correct the id, or store the user with `call-log user put FILE`.
    ");
    // Files that do not exist, or have invalid contents.
    let keyless = with(&[("CREDENTIALS_KEY_FILE", "no.key")]);
    insta::assert_snapshot!(keyless.run(&["token", "1-pipedrive"]).error(), @"call-log: the data key in no.key cannot be used: No such file or directory (os error 2); set the path of a file that `call-log credentials new-key-file` has created");
    insta::assert_snapshot!(shell.run(&["user", "put", "user.json"]).error(), @r"
    call-log: user.json cannot be read: No such file or directory (os error 2)
      Name another file, or - for standard input.
    ");
    std::fs::write(
        shell.path().join("user.json"),
        "{\n  \"id\": \"1-pipedrive\",\n  \"platform\": pipedrive\n}",
    )
    .unwrap();
    insta::assert_snapshot!(shell.run(&["user", "put", "user.json"]).error(), @r"
    call-log: user.json: the user is not JSON: expected value at line 3 column 15
      Correct the field. `call-log user put --help` lists all fields.
    ");
}

#[test]
fn with_json_a_command_prints_one_document() {
    let (shell, server) = served();
    let json = |arguments: &[&str]| -> Value {
        let out = shell.run(&[arguments, &["--json"]].concat()).out();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    };
    assert_eq!(json(&["user", "show", "12345-example"])["id"], "12345-example");
    assert_eq!(json(&["settings", "12345-example"]), json!({}));
    let changed = json(&["settings", "12345-example", "addCallLogResult=false"]);
    assert_eq!(changed, json!({"addCallLogResult": {"value": false}}));
    let token = json(&["token", "12345-example", "--days", "1"]);
    assert_eq!((&token["id"], &token["platform"]), (&json!("12345-example"), &json!("example")));
    let end: chrono::DateTime<chrono::Utc> = token["expiresAt"].as_str().unwrap().parse().unwrap();
    let hours = (end - call_log::model::Clock::System.now()).num_hours();
    assert!((22..=24).contains(&hours), "{token}");
    assert_eq!(token["token"].as_str().unwrap().split('.').count(), 3);

    let row = json!({
        "userId": "12345-example", "platform": "example", "sessionId": 7, "thirdPartyLogId": 5001, "hashedExtensionId": "8c41",
    });
    let import = ["import", "call-logs", "-", "--format", "jsonl", "--json"];
    let imported: Value = serde_json::from_str(&shell.run_with(&import, &row.to_string()).out()).unwrap();
    let all = json!({"dryRun": false, "imported": 1, "replaced": 0, "alreadyImported": 0, "invalid": []});
    assert_eq!(imported, all);
    let shown = json(&["show", "12345-example", "7"]);
    let log = &shown[0];
    assert_eq!(
        (
            &log["extension"]["hash"],
            &log["state"],
            &log["logId"],
            &log["isDeadLetter"],
            &log["history"][0]["what"]
        ),
        (&json!("8c41"), &json!("LOGGED"), &json!("5001"), &json!(false), &json!("imported"))
    );

    let delivered = json(&["redrive"]);
    let nothing = json!({"due": 0, "delivered": 0, "failed": 0, "waiting": 0, "unreadable": 0});
    assert_eq!(delivered, nothing);
    let status = json(&["credentials", "status"]);
    let key = &status["keys"][0];
    assert_eq!(
        (&key["users"], &key["source"], &key["encrypts"], &status["withoutCredentials"]),
        (&json!(1), &json!("CREDENTIALS_KEY_FILE"), &json!(true), &json!(0))
    );
    assert_eq!(
        json(&["credentials", "rotate", "--dry-run"]),
        json!({"dryRun": true, "encrypted": 0, "alreadyEncrypted": 1, "undecryptable": []})
    );

    let endpoint = server.variables()["AWS_ENDPOINT_URL_DYNAMODB"].clone();
    let mut other = Shell::new();
    other.environment = server.variables();
    other.set("TABLE_NAME", "other");
    let created: Value = serde_json::from_str(&other.run(&["table", "create", "--json"]).out()).unwrap();
    assert_eq!(created, json!({"table": "other", "endpoint": endpoint}));
}
