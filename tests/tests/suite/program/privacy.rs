//! The table and the secrets of `call-log serve` are their owner's alone.

use std::time::Duration;

use serde_json::json;

use super::shell::Shell;

/// A web page in a browser on this machine must not reach the table.
#[tokio::test]
async fn the_table_has_a_port_only_on_request_and_only_for_programs_with_its_access_key() {
    let shell = Shell::new();
    let closed = shell.serve_with(&["serve", "--port", "0", "--in-memory"]);
    assert!(!closed.announcement.contains("AWS_ENDPOINT_URL_DYNAMODB"), "{}", closed.announcement);
    assert!(closed.announcement.contains("start with `--dynamodb-port 8000`."), "{}", closed.announcement);

    let server = shell.serve(&["--in-memory"]);
    let url = server.variables()["AWS_ENDPOINT_URL_DYNAMODB"].clone();
    let key = server.variables()["AWS_ACCESS_KEY_ID"].clone();
    let signed =
        |key: &str| format!("AWS4-HMAC-SHA256 Credential={key}/20260312/local/dynamodb/aws4_request");
    let host = url.trim_start_matches("http://").to_owned();
    let port = host.rsplit(':').next().unwrap().to_owned();
    let client = call_log::startup::transport::client().unwrap();
    for (headers, status) in [
        (vec![("authorization", signed(&key))], 200),
        (vec![("authorization", signed(&key)), ("host", format!("localhost:{port}"))], 200),
        (vec![("authorization", signed(&key)), ("host", format!("[::1]:{port}"))], 200),
        (vec![], 403),
        (vec![("authorization", signed("local"))], 403),
        (vec![("authorization", signed(&key[1..]))], 403),
        (vec![("authorization", signed(&key)), ("origin", "https://evil.example".to_owned())], 403),
        (vec![("authorization", signed(&key)), ("origin", format!("http://{host}"))], 403),
        (vec![("authorization", signed(&key)), ("origin", "null".to_owned())], 403),
        (vec![("authorization", signed(&key)), ("host", format!("evil.example:{port}"))], 403),
        (vec![("authorization", signed(&key)), ("host", format!("127.0.0.1.evil.example:{port}"))], 403),
        (vec![("authorization", signed(&key)), ("host", String::new())], 403),
    ] {
        for (method, operation) in
            [("POST", "ListTables"), ("POST", "DeleteTable"), ("OPTIONS", "ListTables")]
        {
            let body = json!({"TableName": "none"}).to_string();
            let mut request = client.request(method.parse().unwrap(), format!("{url}/")).body(body);
            request = request.header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
            for (name, value) in &headers {
                request = request.header(*name, value);
            }
            let response = request.send().await.unwrap();
            let (found, sent) = (response.status().as_u16(), response.headers().clone());
            assert!(sent.get("access-control-allow-origin").is_none(), "{method} {headers:?}");
            match status {
                200 => assert_ne!(found, 403, "{method} {operation} {headers:?}"),
                status => assert_eq!(found, status, "{method} {operation} {headers:?}"),
            }
        }
    }
}

/// Commands in the directory of `call-log serve` reach its table without a port.
#[test]
fn commands_in_the_same_directory_reach_the_table_through_a_file() {
    let shell = Shell::new();
    let server = shell.serve_with(&["serve", "--port", "0"]);
    let user = shell.run(&["user", "show", "12345-example"]).out();
    assert!(user.contains("12345-example"), "{user}");
    assert_eq!(shell.run(&["redrive"]).code, Some(0));
    drop(server);
    let stopped = shell.run(&["user", "show", "12345-example"]);
    assert_eq!(stopped.code, Some(1), "{}", stopped.out);
    assert!(stopped.error.contains(".call-log/dynamodb.sock"), "{}", stopped.error);
    let _second = shell.serve_with(&["serve", "--port", "0"]);
    assert_eq!(shell.run(&["user", "show", "12345-example"]).out(), user);
}

#[test]
fn a_file_that_was_left_empty_is_no_secret_and_a_lost_database_is_announced() {
    let shell = Shell::new();
    let directory = shell.path().join(".call-log");
    std::fs::create_dir(&directory).unwrap();
    // The disk was full at the first start.
    for file in ["jwt-secret", "hash-key", "credentials.key", "dynamodb.sqlite", "example-crm.json.new"] {
        std::fs::write(directory.join(file), "").unwrap();
    }
    let first = shell.serve_with(&["serve", "--port", "0"]);
    assert!(!first.announcement.contains("is empty or missing"), "{}", first.announcement);
    drop(first);
    for lose in [(|path| std::fs::write(path, "")) as fn(std::path::PathBuf) -> std::io::Result<()>, |path| {
        std::fs::remove_file(path)
    }] {
        for rest in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(directory.join(format!("dynamodb.sqlite{rest}")));
        }
        lose(directory.join("dynamodb.sqlite")).unwrap();
        let second = shell.serve_with(&["serve", "--port", "0"]);
        let lost = "The database of .call-log is empty or missing, although other files there are older: its users and calls \
                    are lost.";
        assert!(second.announcement.starts_with(lost), "{}", second.announcement);
        drop(second);
    }
}

#[test]
fn only_the_owner_can_read_the_data_directory() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::new();
    // Other users may list a directory that existed before.
    let open = shell.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(open.join("dynamodb.sqlite"), "").unwrap();
    let _other = shell.serve(&["--data-dir", "open"]);
    let files: Vec<_> = std::fs::read_dir(&open).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files.iter().filter(|file| file.file_name() != "lock") {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file:?}: {mode:o}");
    }
    let _server = shell.serve(&["--data-dir", "kept"]);
    for (path, mode) in [
        ("kept", 0o700),
        ("kept/jwt-secret", 0o600),
        ("kept/hash-key", 0o600),
        ("kept/credentials.key", 0o600),
    ] {
        let found = std::fs::metadata(shell.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
}

#[tokio::test]
async fn a_request_that_never_arrives_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Shell::new().serve(&["--in-memory"]);
    let host = server.url().trim_start_matches("http://").to_owned();
    let send = async |token: &str| {
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        let head = format!(
            "POST /callLog HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n{{\"a\": "
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut response = [0; 12];
        let started = std::time::Instant::now();
        stream.read_exact(&mut response).await.unwrap();
        (String::from_utf8_lossy(&response).into_owned(), started.elapsed().as_secs())
    };
    let begin = async {
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        stream.write_all(b"POST /callLog HTTP/1.1\r\nhost: ").await.unwrap();
        let started = std::time::Instant::now();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        started.elapsed().as_secs()
    };
    let (without, with, head) = tokio::join!(send("nonsense"), send(server.token()), begin);
    assert!((9..20).contains(&head), "half a head is held open for {head} s");
    assert_eq!(without.0, "HTTP/1.1 401", "without a token, the body is not read");
    assert!(without.1 < 5, "after {} s", without.1);
    assert_eq!(with.0, "HTTP/1.1 408");
    assert!((9..20).contains(&with.1), "after {} s", with.1);
}
