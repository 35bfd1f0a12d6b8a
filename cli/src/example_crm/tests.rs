//! Tests of the HTTP API over a TCP connection.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    thread,
};

use call_log::model::Clock;
use serde_json::{Value, json};

use super::{ExampleCrm, router};

const KEY: &str = "the-key";
/// 2025-03-12T15:45:25.000Z
const NOW: i64 = 1_741_794_325_000;

/// A running CRM and its clock.
struct Served {
    address: SocketAddr,
    now: Arc<AtomicI64>,
}

fn serve(directory: Option<PathBuf>) -> Served {
    let now = Arc::new(AtomicI64::new(NOW));
    let crm = ExampleCrm::open(directory, KEY, Clock::Manual(now.clone())).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router(crm)).await
        })
    });
    Served { address, now }
}

impl Served {
    /// Sends a request. `head` is the request line and the headers, without those that every request has.
    fn raw(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        // A server that rejects a request early may not read its body.
        let _ = write!(
            stream,
            "{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream
    }

    fn send(&self, request: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut response = Vec::new();
        self.raw(&format!("{request} HTTP/1.0{headers}"), body).read_to_end(&mut response).unwrap();
        let response = String::from_utf8(response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() })
    }

    fn call(&self, request: &str, body: &str) -> (u16, Value) {
        let (method, path) = request.split_once(' ').unwrap();
        let headers = format!("\r\nAuthorization: Bearer {KEY}");
        self.send(&format!("{method} /example-crm/v1{path}"), &headers, body)
    }

    /// Checks the status of the response to a request, and the part of its body that `pointer` names.
    #[track_caller]
    fn check(&self, request: &str, body: Value, status: u16, pointer: &str, expected: Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (got, response) = self.call(request, &body);
        assert_eq!(
            (got, response.pointer(pointer)),
            (status, Some(&expected)),
            "{request} {body}: {response}"
        );
    }
}

fn activity() -> Value {
    json!({
        "contactId": "c-1", "subject": "Inbound Call from Jane Smith", "body": "- Note: hi\n", "direction": "Inbound",
        "startTime": "2025-03-12T16:45:25+01:00", "durationSeconds": 65, "result": "Accepted",
    })
}

/// Returns the activity with another value of one field.
fn with(field: &str, value: Value) -> Value {
    let mut activity = activity();
    activity[field] = value;
    activity
}

/// Returns the path of a directory that no other test uses.
fn directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("example-crm-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

#[test]
fn contacts_are_created_and_found_by_number() {
    let crm = serve(None);
    let check =
        |request, body, status, pointer, expected| crm.check(request, body, status, pointer, expected);
    check(
        "GET /contacts?phoneNumber=%2B18662019834",
        Value::Null,
        200,
        "/contacts/0/name",
        json!("Jane Smith"),
    );
    check(
        "GET /contacts?phoneNumber=+1-650-444-5566",
        Value::Null,
        200,
        "/contacts/0/name",
        json!("John Smith"),
    );
    check("GET /contacts?phoneNumber=unknown", Value::Null, 200, "/contacts", json!([]));
    check("GET /contacts?phoneNumber=", Value::Null, 200, "/contacts", json!([]));
    check("GET /contacts", Value::Null, 200, "/contacts/4/name", json!("山田 花子"));
    check("GET /contacts/c-2", Value::Null, 200, "/phoneNumber", json!("+16504445566"));
    check("GET /contacts/c-99", Value::Null, 404, "/error", json!("there is no such record"));
    check("GET /contacts/%ff", Value::Null, 400, "/error", json!("Invalid URL: Invalid UTF-8 in `id`"));

    let created = json!({"id": "c-7", "name": "Ada", "phoneNumber": "+49 30 901820", "type": "contact"});
    check(
        "POST /contacts",
        json!({"name": " Ada ", "phoneNumber": "+49 30 901820"}),
        201,
        "",
        created.clone(),
    );
    check("GET /contacts?phoneNumber=%2B4930901820", Value::Null, 200, "/contacts", json!([created]));
    check(
        "POST /contacts",
        json!({"name": "L", "phoneNumber": "1", "type": "lead"}),
        201,
        "/type",
        json!("lead"),
    );
    check(
        "POST /contacts",
        json!({"name": " ", "phoneNumber": "1"}),
        422,
        "/error",
        json!("a contact requires a name"),
    );
    check(
        "POST /contacts",
        json!({"name": "x", "phoneNumber": "none"}),
        422,
        "/error",
        json!("\"none\" is not a telephone number"),
    );
}

#[test]
fn activities_are_created_read_changed_and_deleted() {
    let crm = serve(None);
    let check =
        |request, body, status, pointer, expected| crm.check(request, body, status, pointer, expected);
    let mut created = activity();
    for (field, value) in [
        ("id", json!("5001")),
        ("startTime", json!("2025-03-12T15:45:25.000Z")),
        ("version", json!(1)),
        ("createdAt", json!("2025-03-12T15:45:25.000Z")),
        ("updatedAt", json!("2025-03-12T15:45:25.000Z")),
    ] {
        created[field] = value;
    }
    check("POST /activities", activity(), 201, "", created.clone());
    check("GET /activities/5001", Value::Null, 200, "", created);
    crm.now.fetch_add(1_000, Ordering::SeqCst);
    check("POST /activities", with("contactId", json!("c-2")), 201, "/id", json!("5002"));
    check("POST /activities", with("startTime", Value::Null), 201, "/startTime", Value::Null);
    check("POST /activities", with("direction", json!("outbound")), 201, "/direction", json!("Outbound"));

    check("GET /activities", Value::Null, 200, "/activities/0/id", json!("5004"));
    check("GET /activities?contactId=c-2", Value::Null, 200, "/activities/0/id", json!("5002"));
    check("GET /activities?contactId=c-3", Value::Null, 200, "/activities", json!([]));
    check(
        "GET /activities?since=2025-03-12T15:45:26.0004Z",
        Value::Null,
        200,
        "/activities/2/id",
        json!("5002"),
    );
    check(
        "GET /activities?since=2025-03-12T16:45:25.001+01:00",
        Value::Null,
        200,
        "/activities/2/id",
        json!("5002"),
    );
    check(
        "GET /activities?since=2025-03-12T15:45:27Z&contactId=",
        Value::Null,
        200,
        "/activities",
        json!([]),
    );

    check("PATCH /activities/5001", json!({"body": "new"}), 200, "/version", json!(2));
    check(
        "PATCH /activities/5001",
        json!({"durationSeconds": 66, "subject": null}),
        200,
        "/body",
        json!("new"),
    );
    check("GET /activities/5001", Value::Null, 200, "/updatedAt", json!("2025-03-12T15:45:26.000Z"));
    check("PATCH /activities/9", json!({}), 404, "/error", json!("there is no such record"));

    assert_eq!(crm.call("DELETE /activities/5004", ""), (204, Value::Null));
    check("DELETE /activities/5004", Value::Null, 404, "/error", json!("there is no such record"));
    check("POST /activities", activity(), 201, "/id", json!("5005"));
}

#[test]
fn invalid_data_is_rejected_with_a_reason() {
    let crm = serve(None);
    for (body, status, reason) in [
        (with("contactId", json!("c-99")), 422, "there is no contact \"c-99\""),
        (with("direction", json!("Sideways")), 422, "the direction must be Inbound or Outbound"),
        (with("startTime", json!("noon")), 422, "the startTime \"noon\" is not an RFC 3339 time"),
        (
            with("durationSeconds", json!(-1)),
            400,
            "invalid value: integer `-1`, expected u64 at line 1 column 164",
        ),
        (json!({}), 400, "missing field `subject` at line 1 column 2"),
        (Value::Null, 400, "EOF while parsing a value at line 1 column 0"),
    ] {
        crm.check("POST /activities", body, status, "/error", json!(reason));
    }
    crm.check(
        "GET /activities?since=noon",
        Value::Null,
        400,
        "/error",
        json!("\"noon\" is not an RFC 3339 time"),
    );
    crm.check("GET /nothing", Value::Null, 404, "/error", json!("there is no such record"));
    crm.check("PUT /contacts", Value::Null, 405, "/error", json!("this method is not allowed here"));
    let large = with("body", json!("x".repeat((4 << 20) - 1_000)));
    crm.check("POST /activities", large, 201, "/id", json!("5001"));
    let (status, response) = crm.call("POST /activities", &" ".repeat((4 << 20) + 1));
    assert_eq!((status, response["error"].is_string()), (413, true));
}

#[test]
fn a_change_with_if_match_requires_the_version() {
    let crm = serve(None);
    crm.check("POST /activities", activity(), 201, "/version", json!(1));
    let version = std::cell::Cell::new(1);
    for (if_match, status) in [
        ("\"1\"", 200),
        ("\"1\"", 412),
        ("\"2\"", 200),
        ("3", 200),
        ("\"9\", \"4\"", 200),
        ("*", 200),
        ("\"5\"", 412),
        ("nonsense", 412),
        ("", 412),
        ("\u{e9}", 412),
    ] {
        let headers = format!("\r\nx-api-token: {KEY}\r\nIf-Match: {if_match}");
        let (got, response) = crm.send("PATCH /example-crm/v1/activities/5001", &headers, r#"{"body": "x"}"#);
        assert_eq!(got, status, "{if_match} {response}");
        version.set(version.get() + u64::from(status == 200));
        crm.check("GET /activities/5001", Value::Null, 200, "/version", json!(version.get()));
    }
}

#[test]
fn a_request_requires_the_key() {
    let crm = serve(None);
    for (path, headers, status) in [
        ("/contacts", "Authorization: Bearer the-key", 200),
        ("/contacts", "authorization: bearer the-key", 200),
        ("/contacts", "x-api-token: the-key", 200),
        ("/contacts", "Accept: */*", 401),
        ("/contacts", "Authorization: Bearer the-kex", 401),
        ("/contacts", "Authorization: Bearer ", 401),
        ("/contacts", "Authorization: the-key", 401),
        ("/contacts", "Authorization: Basic the-key", 401),
        ("/contacts", "x-api-token: ", 401),
        ("/contacts?access_token=the-key", "Accept: */*", 401),
        ("/events?access_token=wrong", "Accept: */*", 401),
        ("/nothing", "Accept: */*", 401),
    ] {
        let (got, response) = crm.send(&format!("GET /example-crm/v1{path}"), &format!("\r\n{headers}"), "");
        assert_eq!(got, status, "{path} {headers}");
        assert_eq!(response["error"].is_string(), status == 401, "{path} {headers}");
    }
    assert!(ExampleCrm::open(None, "", Clock::System).is_err());
}

#[test]
fn listeners_receive_every_change() {
    let crm = serve(None);
    let mut stream = crm.raw("GET /example-crm/v1/events?access_token=the-key HTTP/1.0", "");
    let mut head = String::new();
    // From the head on, the listener receives every change.
    read_until(&mut stream, &mut head, "\r\n\r\n");
    crm.call("POST /contacts", r#"{"name": "Ada", "phoneNumber": "1"}"#);
    crm.call("POST /activities", &activity().to_string());
    crm.call("POST /activities", &with("contactId", json!("c-99")).to_string());
    crm.call("PATCH /activities/5001", "{}");
    crm.call("DELETE /activities/5001", "");
    let activity = "event: change\ndata: {\"kind\":\"activity\",\"id\":\"5001\"}\n\n";
    let expected =
        format!("event: change\ndata: {{\"kind\":\"contact\",\"id\":\"c-7\"}}\n\n{}", activity.repeat(3));
    let mut events = String::new();
    read_until(&mut stream, &mut events, &expected);
    assert_eq!(events, expected);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
}

fn read_until(stream: &mut TcpStream, read: &mut String, end: &str) {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let mut byte = [0];
    while !read.ends_with(end) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "ended after {read}");
        read.push(char::from(byte[0]));
    }
}

#[test]
fn saved_records_survive_a_restart() {
    let directory = directory();
    let first = serve(Some(directory.clone()));
    first.check("POST /contacts", json!({"name": "Ада", "phoneNumber": "+7"}), 201, "/id", json!("c-7"));
    first.check("POST /activities", activity(), 201, "/id", json!("5001"));
    assert_eq!(first.call("DELETE /activities/5001", "").0, 204);
    let second = serve(Some(directory.clone()));
    second.check("GET /contacts/c-7", Value::Null, 200, "/name", json!("Ада"));
    second.check("POST /activities", activity(), 201, "/id", json!("5002"));
    assert_eq!(files(&directory), ["example-crm.json"]);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_damaged_file_is_renamed() {
    let directory = directory();
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("example-crm.json"), "{\"contacts\": [").unwrap();
    serve(Some(directory.clone())).check("GET /contacts/c-1", Value::Null, 200, "/name", json!("Jane Smith"));
    let renamed = format!("example-crm.damaged-{NOW}.json");
    assert_eq!(files(&directory), [renamed.as_str(), "example-crm.json"]);
    assert_eq!(fs::read_to_string(directory.join(renamed)).unwrap(), "{\"contacts\": [");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_change_that_cannot_be_saved_is_not_made() {
    let directory = directory();
    let crm = serve(Some(directory.clone()));
    fs::remove_dir_all(&directory).unwrap();
    crm.check("POST /activities", activity(), 500, "/error", json!("the change cannot be saved"));
    crm.check("GET /activities", Value::Null, 200, "/activities", json!([]));
    fs::create_dir_all(&directory).unwrap();
    crm.check("POST /activities", activity(), 201, "/id", json!("5001"));
    fs::remove_dir_all(directory).unwrap();
}

fn files(directory: &PathBuf) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
