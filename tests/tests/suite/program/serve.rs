//! `call-log serve` and `call-log demo`.

use serde_json::{Value, json};
use tests::test_app::call;

use super::shell::{Server, Shell};
use crate::harness::with;

#[test]
fn the_demo_plays_the_life_of_a_call() {
    insta::assert_snapshot!(Shell::new().run(&["demo"]).out(), @r#"
    The call ends. Its recording is not ready yet.

    POST /callLog -> Call logged (log 5001)
    CRM record 5001: Inbound Call from John Smith (7 s)
      | - Note: Wants a quote
      | - Contact Number: +16504445566
      | - Date/Time: 2018-09-11 01:24:09 PM
      | - Duration: 7 seconds
      | - Result: Accepted
      | - Call recording link: (pending...)
      | - Call journey:
      | Received call at Jane Smith, +18662019834
      | --- JOURNEY END

    The same event arrives again, because events may be repeated.

    POST /callLog -> Call already logged (log 5001)

    A colleague adds a line in the CRM.

    CRM record 5001: Inbound Call from John Smith (7 s)
      | - Note: Wants a quote
      | - Contact Number: +16504445566
      | - Date/Time: 2018-09-11 01:24:09 PM
      | - Duration: 7 seconds
      | - Result: Accepted
      | - Call recording link: (pending...)
      | - Call journey:
      | Received call at Jane Smith, +18662019834
      | --- JOURNEY END
      | Checked the address. -- Ann

    The recording arrives.

    PATCH /callLog -> Call log updated. (log 5001)
    CRM record 5001: Inbound Call from John Smith (7 s)
      | - Note: Wants a quote
      | - Contact Number: +16504445566
      | - Date/Time: 2018-09-11 01:24:09 PM
      | - Duration: 7 seconds
      | - Result: Accepted
      | - Call recording link: https://media.example/recording/646
      | - Call journey:
      | Received call at Jane Smith, +18662019834
      | --- JOURNEY END
      | Checked the address. -- Ann

    The agent corrects the note.

    PATCH /callLog -> Call log updated. (log 5001)
    CRM record 5001: Inbound Call from John Smith (7 s)
      | - Note: Wants a quote for 20 seats
      | Call back Friday
      | - Contact Number: +16504445566
      | - Date/Time: 2018-09-11 01:24:09 PM
      | - Duration: 7 seconds
      | - Result: Accepted
      | - Call recording link: https://media.example/recording/646
      | - Call journey:
      | Received call at Jane Smith, +18662019834
      | --- JOURNEY END
      | Checked the address. -- Ann
    "#);
}

#[test]
fn serve_announces_its_addresses_and_secrets_and_keeps_nothing_in_memory() {
    let shell = Shell::new();
    let server = shell.serve(&["--in-memory"]);
    let mut text = server.announcement.clone();
    let dynamodb = server.variables()["AWS_ENDPOINT_URL_DYNAMODB"].clone();
    let secret = server.variables()["JWT_SECRET"].clone();
    let hash_key = server.variables()["HASH_KEY"].clone();
    let key_file = server.variables()["CREDENTIALS_KEY_FILE"].clone();
    let access_key = server.variables()["AWS_ACCESS_KEY_ID"].clone();
    assert_ne!(hash_key, secret);
    for private in [&secret, &hash_key] {
        assert!(!text.contains(private), "a secret is printed: {text}");
    }
    let directory = std::path::Path::new(&key_file).parent().unwrap().display().to_string();
    for (value, name) in [
        (server.url(), "URL"),
        (&dynamodb, "DYNAMODB_URL"),
        (server.token(), "THE_TOKEN"),
        (&access_key, "THE_ACCESS_KEY"),
        (&directory, "DIRECTORY"),
    ] {
        text = text.replace(value, name);
    }
    insta::assert_snapshot!(text, @r#"
    call-log is running; all data is in memory.

    Page      URL/
    Routes    POST and PATCH URL/callLog
    Manifest  URL/crmManifest, for the App Connect extension
    Connect   URL/connect, to connect an account of a CRM
    Table     call-log, at DYNAMODB_URL
    User      12345-example, with the Example CRM
    Token     THE_TOKEN

    Log a call of your own:

    curl -s 'URL/callLog?jwtToken=THE_TOKEN' -H 'content-type: application/json' -d '{
      "logInfo": {"sessionId": "1001", "direction": "Inbound", "startTime": "2026-03-12T15:45:25Z", "duration": 65,
        "result": "Accepted", "from": {"phoneNumber": "+16504445566", "name": "John Smith"}, "to": {"name": "Jane"}},
      "note": "Wants a quote", "contactId": "c-2", "contactName": "John Smith"}'

    To use this table from other directories, or from the functions (cargo lambda watch, sam local):

    export TABLE_NAME=call-log AWS_ENDPOINT_URL_DYNAMODB=DYNAMODB_URL CRM_BASE_URL_EXAMPLE=URL
    export AWS_ACCESS_KEY_ID=THE_ACCESS_KEY AWS_SECRET_ACCESS_KEY=local
    export CREDENTIALS_KEY_FILE='DIRECTORY/credentials.key'
    export HASH_KEY="$(cat 'DIRECTORY/hash-key')"
    export JWT_SECRET="$(cat 'DIRECTORY/jwt-secret')"

    Press Ctrl-C to stop.
    "#);

    assert_eq!(server.interrupt().out(), "");
    assert_eq!(std::fs::read_dir(shell.path()).unwrap().count(), 0, "a file was left behind");
    assert!(!std::path::Path::new(&directory).exists(), "the secrets were left behind");
}

#[tokio::test]
async fn the_announced_curl_command_logs_a_call() {
    let server = Shell::new().serve(&["--in-memory"]);
    let from = server.announcement.find("curl").unwrap();
    let to = server.announcement.find("\n\nTo use this table").unwrap();
    for message in ["Call logged", "Call already logged"] {
        let answer = curl(&server.announcement[from..to]).await;
        assert_eq!(
            (&answer["returnMessage"]["message"], &answer["logId"]),
            (&json!(message), &json!("5001"))
        );
    }
}

#[tokio::test]
async fn the_curl_commands_of_the_readme_work_and_its_response_is_the_response() {
    let server = Shell::new().serve(&["--in-memory"]);
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let block = |language: &str, start: &str| {
        let from = readme.find(&format!("```{language}\n{start}")).unwrap() + 4 + language.len();
        let block = readme[from..].split("```").next().unwrap();
        block.replace("http://127.0.0.1:3000", server.url()).replace("$TOKEN", server.token())
    };
    let shown: Value = serde_json::from_str(&block("json", "{\"successful\"")).unwrap();
    for (command, message) in [("curl -s \"", "Call logged"), ("curl -s -X PATCH", "Call log updated.")] {
        let answer = curl(&block("sh", command)).await;
        assert_eq!(answer["returnMessage"]["message"], message, "{answer}");
        if message == "Call logged" {
            assert_eq!(answer, shown);
        }
    }
}

/// Sends the request of a `curl` command, without a shell and without curl, which not every machine has.
async fn curl(command: &str) -> Value {
    let words = shell_words::split(command).expect("a shell can read it");
    let mut words = words.iter().map(String::as_str);
    assert_eq!(words.next(), Some("curl"), "{command}");
    let (mut method, mut url, mut body, mut headers) = ("GET", None, None, Vec::new());
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} has no value in {command}"));
        match word {
            "-s" => {}
            "-X" => method = value(),
            "-H" => headers.push(value().split_once(": ").expect("a name and a value")),
            "-d" => body = Some(value()),
            word if !word.starts_with('-') && url.is_none() => url = Some(word),
            word => panic!("{word} is not understood in {command}"),
        }
    }
    // Like curl: a request with a body is a POST.
    let method = if method == "GET" && body.is_some() { "POST" } else { method };
    let client = call_log::startup::transport::client().unwrap();
    let request = client.request(method.parse().unwrap(), url.expect("a URL"));
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.body(body.unwrap_or_default().to_owned()).send().await.unwrap();
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_extension_may_call_the_routes_and_other_sites_cannot_read_the_demo_token() {
    let server = Shell::new().serve(&["--in-memory"]);
    let http = call_log::startup::transport::client().unwrap();
    let url = |path: &str| format!("{}{path}", server.url());
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    for (path, expected) in [("/", 200), ("/callLog", 401), ("/nothing", 404), ("/hostname", 401)] {
        let method = if path == "/callLog" { "POST" } else { "GET" };
        assert_eq!(status(http.request(method.parse().unwrap(), url(path))).await, expected, "{path}");
    }
    let signed =
        |method: &str| http.request(method.parse().unwrap(), url("/callLog")).bearer_auth(server.token());
    let answer = signed("DELETE").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"POST, PATCH, GET".parse().unwrap())
    );
    let over = signed("POST").body("x".repeat((1 << 20) + 1)).send().await.unwrap();
    assert_eq!(over.status(), 413);

    let preflight = http
        .request(reqwest::Method::OPTIONS, url("/callLog"))
        .header("origin", "chrome-extension://abcdefghijklmnopabcdefghijklmnop")
        .header("access-control-request-method", "PATCH")
        .header("access-control-request-headers", "authorization,content-type,rc-account-id")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");

    let served = http.get(url("/openapi.yaml")).send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "application/yaml");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.yaml");
    assert_eq!(served.text().await.unwrap(), std::fs::read_to_string(document).unwrap());

    // A site whose name resolves to this machine cannot read the token of the demo user.
    let context = || http.get(url("/demo/context"));
    assert_eq!(status(context()).await, 200);
    assert_eq!(status(context().header("host", "evil.example")).await, 403);
}

#[tokio::test]
async fn verbose_serving_logs_one_readable_line_per_request_without_metrics() {
    let server = Shell::new().serve(&["--in-memory", "-v"]);
    let token = server.token().to_owned();
    send(&server, &token, "POST", &with(call("1"), json!({"contactId": "c-3"}))).await;
    let log = server.interrupt().error;
    // The redrive runs in the background.
    let lines: Vec<_> = log.lines().filter(|line| !line.contains(" looked route=\"redrive\"")).collect();
    let start = " INFO answered route=\"create\" cold_start=false session_hash=\"";
    assert!(lines.len() == 1 && lines[0].starts_with(start), "{log}");
    assert!(lines[0].contains(" outcome=\"Logged\" status=200 duration_ms="), "{log}");
    assert!(!log.contains("_aws") && !log.contains('\u{1b}'), "{log}");
}

#[tokio::test]
async fn the_data_directory_keeps_table_user_token_and_records_over_a_crash() {
    let shell = Shell::new();
    let body = with(call("1"), json!({"contactId": "c-3"}));
    let first = shell.serve(&["--data-dir", "kept"]);
    let token = first.token().to_owned();
    assert_eq!(send(&first, &token, "POST", &body).await["returnMessage"]["message"], "Call logged");
    drop(first);

    let second = shell.serve(&["--data-dir", "kept"]);
    assert_eq!(send(&second, &token, "POST", &body).await["returnMessage"]["message"], "Call already logged");
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    let updated = send(&second, &token, "PATCH", &update).await;
    assert_eq!(updated["returnMessage"]["message"], "Call log updated.");
    assert!(updated["updatedNote"].as_str().unwrap().contains("Wants two quotes"), "{updated}");
    assert_eq!(second.interrupt().out(), "");

    let third = shell.serve(&["--data-dir", "kept"]);
    assert_eq!(send(&third, &token, "PATCH", &update).await, updated);
}

async fn send(server: &Server, token: &str, method: &str, body: &Value) -> Value {
    let request = call_log::startup::transport::client()
        .unwrap()
        .request(method.parse().unwrap(), format!("{}/callLog", server.url()));
    request.bearer_auth(token).json(body).send().await.unwrap().json().await.unwrap()
}

#[test]
fn an_error_at_the_start_says_what_is_wrong_and_what_to_do() {
    let shell = Shell::new();
    let first = shell.serve(&["--data-dir", "kept"]);
    let port = first.url().rsplit(':').next().unwrap().to_owned();
    std::fs::write(shell.path().join("file"), "not a directory").unwrap();
    let serve = |arguments: &[&str]| shell.run(&[&["serve"], arguments].concat()).error();

    let other_directory = "Stop the other process, or choose another directory with --data-dir.";
    let other_port = "Stop the other program, or choose another port with --port or --dynamodb-port. 0 chooses a free port.";
    let permissions = "Correct its owner and permissions, or choose another directory with --data-dir.";
    for (arguments, sentence, action) in [
        (
            ["--port", "0", "--dynamodb-port", "0", "--data-dir", "kept"].as_slice(),
            "another `call-log serve` uses the data directory kept".to_owned(),
            other_directory,
        ),
        (
            &["--port", &port, "--dynamodb-port", "0", "--in-memory"],
            format!("port {port} (--port) is not available: Address already in use (os error 98)"),
            other_port,
        ),
        (
            &["--port", "0", "--dynamodb-port", &port, "--in-memory"],
            format!("port {port} (--dynamodb-port) is not available: Address already in use (os error 98)"),
            other_port,
        ),
        (
            &["--port", "0", "--dynamodb-port", "0", "--data-dir", "file"],
            "the data directory file cannot be used: File exists (os error 17)".to_owned(),
            permissions,
        ),
        (
            &["--port", "0", "--dynamodb-port", "0", "--data-dir", "/proc/call-log"],
            "the data directory /proc/call-log cannot be used: No such file or directory (os error 2)"
                .to_owned(),
            permissions,
        ),
    ] {
        assert_eq!(serve(arguments), format!("call-log: {sentence}\n  {action}\n"), "{arguments:?}");
    }

    // A key file that is gone is made again, and does not decrypt what the earlier one encrypted.
    drop(first);
    let key_file = shell.path().join("kept/credentials.key").canonicalize().unwrap();
    std::fs::remove_file(&key_file).unwrap();
    let error = serve(&["--port", "0", "--data-dir", "kept"]);
    let lost =
        format!("call-log: the key file {} does not decrypt the users in the table", key_file.display());
    assert!(error.starts_with(&lost) && error.contains("Put the earlier key file back."), "{error}");
    let mut weak = Shell::new();
    weak.set("JWT_SECRET", "0123456789abcdef0123456789abcde");
    let error = weak.run(&["serve", "--port", "0", "--in-memory"]).error();
    assert!(error.starts_with("call-log: JWT_SECRET is shorter than 32 bytes: set a longer one"), "{error}");

    // Root may write everywhere, whatever the mode.
    let locked = shell.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_err() {
        let error = serve(&["--port", "0", "--dynamodb-port", "0", "--data-dir", "locked"]);
        assert_eq!(
            error,
            format!(
                "call-log: the data directory locked cannot be used: Permission denied (os error 13)\n  {permissions}\n"
            )
        );
    }
}

/// The path may have a stage in front and a slash behind, as behind API Gateway.
#[tokio::test]
async fn a_request_is_routed_by_its_method() {
    let server = Shell::new().serve(&["--in-memory"]);
    let client = call_log::startup::transport::client().unwrap();
    let call = with(tests::test_app::call("1"), json!({"contactId": "c-3"}));
    let update = json!({"sessionId": "1", "note": "Wants two quotes"});
    for path in ["/callLog", "/callLog/", "/prod/callLog", "/prod/callLog/"] {
        for (method, body, expected) in [("POST", &call, 200), ("PATCH", &update, 200), ("PUT", &update, 405)]
        {
            let request = client.request(method.parse().unwrap(), format!("{}{path}", server.url()));
            let response = request.bearer_auth(server.token()).json(body).send().await.unwrap();
            assert_eq!(response.status(), expected, "{method} {path}");
        }
    }
    let elsewhere = client.patch(format!("{}/other", server.url())).bearer_auth(server.token()).json(&update);
    assert_eq!(elsewhere.send().await.unwrap().status(), 404);
}
