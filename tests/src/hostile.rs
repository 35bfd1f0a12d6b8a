//! A corpus of hostile inputs: responses of a CRM and bodies of callers that are long, deep, or made of many small parts.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{proxy::Fault, test_app::call};

/// A hostile input and its name.
pub type Named<T> = (&'static str, T);

/// The length of the longest body of a caller, in bytes.
const LONGEST_BODY: usize = 1 << 20;
const MIB: usize = 1 << 20;

/// Returns hostile responses of a CRM. Each stands for a class; the lengths are around the limits and far above them.
pub fn responses() -> Vec<Named<Fault>> {
    let json = |status, body: String| Fault::Response(status, "application/json", Arc::from(body));
    let list = |element: &str, bytes: usize| {
        let count = bytes / (element.len() + 1);
        format!(r#"{{"success":true,"data":[{}]}}"#, vec![element; count].join(","))
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let record = |note: &str| format!(r#"{{"success":true,"data":{{"id":5001,"note":"{note}"}}}}"#);
    let refusal = |error: &str| format!(r#"{{"success":false,"error":{error}}}"#);
    vec![
        ("15 MiB of small numbers", json(200, list("0", 15 * MIB))),
        ("4 MiB of small numbers", json(200, list("0", 4 * MIB - 64))),
        ("4 MiB of empty objects", json(200, list("{}", 4 * MIB - 64))),
        ("4 MiB of empty lists", json(200, list("[]", 4 * MIB - 64))),
        ("4 MiB of lists of one number", json(200, list("[0]", 4 * MIB - 64))),
        (
            "a refusal in 60 KiB of lists of one number",
            json(400, refusal(&format!("[{}0]", "[0],".repeat(15_000)))),
        ),
        ("4 MiB of records", json(200, list(r#"{"id":1,"name":"a"}"#, 4 * MIB - 64))),
        ("4 MiB of records of another type", json(200, list(r#"{"id":"x","note":7}"#, 4 * MIB - 64))),
        ("4 MiB of numbers in a field of another type", {
            let record = format!(r#"{{"id":1,"participants":[{}0]}}"#, "0,".repeat(2 * MIB - 200));
            json(200, list(&record, record.len() + 1))
        }),
        ("1 MiB of numbers as an id", {
            json(
                200,
                format!(r#"{{"success":true,"data":{{"id":[{}0],"note":""}}}}"#, "0,".repeat(MIB / 2 - 100)),
            )
        }),
        ("1 MiB of small numbers", json(200, list("0", MIB - 64))),
        ("an object with 100,000 names", {
            let fields: Vec<_> = (0..100_000).map(|number| format!(r#""{number}":0"#)).collect();
            json(200, format!(r#"{{"success":true,"data":{{{}}}}}"#, fields.join(",")))
        }),
        ("lists 500,000 deep", json(200, nested(500_000))),
        ("a record with lists 500,000 deep", {
            json(200, format!(r#"{{"success":true,"data":{{"id":5001,"more":{}}}}}"#, nested(400_000)))
        }),
        ("a note of 15 MiB", json(200, record(&"x".repeat(15 * MIB)))),
        ("a note of 1 MiB", json(200, record(&"x".repeat(MIB - 100)))),
        ("a note of 1 MiB in lines", json(200, record(&"x\\n".repeat(MIB / 3 - 100)))),
        ("a note of 1 MiB of tags", json(200, record(&"<b>".repeat(MIB / 3 - 100)))),
        ("a note of 1 MiB of escapes", json(200, record(&"\\u0001".repeat(MIB / 6 - 100)))),
        ("a note of 1 MiB of entities", json(200, record(&"&amp;".repeat(MIB / 5 - 100)))),
        (
            "a number of 1 MiB",
            json(200, format!(r#"{{"success":true,"data":{{"id":{}}}}}"#, "9".repeat(MIB - 100))),
        ),
        (
            "an id of 1 MiB",
            json(200, format!(r#"{{"success":true,"data":{{"id":"{}"}}}}"#, "9".repeat(MIB - 100))),
        ),
        ("a refusal of 15 MiB", json(400, refusal(&format!(r#""{}""#, "x".repeat(15 * MIB))))),
        ("a refusal of 1 MiB", json(400, refusal(&format!(r#""{}""#, "x ".repeat(MIB / 2 - 100))))),
        (
            "a refusal in 1 MiB of lists",
            json(422, refusal(&format!("[{}0]", r#"["a"],"#.repeat(MIB / 6 - 100)))),
        ),
        ("a web page of 15 MiB", Fault::Response(503, "text/html", Arc::from("<p>".repeat(5 * MIB)))),
        (
            "a web page of 1 MiB as a success",
            Fault::Response(200, "text/html", Arc::from("<p>".repeat(MIB / 3))),
        ),
    ]
}

/// Returns hostile bodies of a create, of at most the accepted length.
pub fn bodies(session: &str) -> Vec<Named<String>> {
    let filled = |pointer: &str, value: &dyn Fn(usize) -> Value| {
        let mut body = call(session);
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let room = LONGEST_BODY - body.to_string().len() - 64;
        body.pointer_mut(parent).expect("an object")[name] = value(room);
        let body = body.to_string();
        assert!(body.len() <= LONGEST_BODY, "{pointer}: {}", body.len());
        body
    };
    let repeated = |text: &'static str| {
        move |room: usize| Value::from(text.repeat(room / (json!(text).to_string().len() - 2)))
    };
    let list = |element: Value| {
        move |room: usize| Value::from(vec![element.clone(); room / (element.to_string().len() + 1)])
    };
    let nested = |room: usize| (0..60.min(room)).fold(json!(0), |inner, _| json!([inner]));
    let leg = json!({"from": {"name": "a"}, "result": "b"});
    vec![
        ("a note of letters", filled("/note", &repeated("x"))),
        ("a note of lines", filled("/note", &repeated("x\n"))),
        ("a note of tags", filled("/note", &repeated("<b>"))),
        ("a note of quotes", filled("/note", &repeated("\""))),
        ("a note of emoji", filled("/note", &repeated("\u{1f600}"))),
        ("a transcript of words", filled("/transcript", &repeated("word "))),
        ("legs", filled("/logInfo/legs", &list(leg))),
        ("legs that are numbers", filled("/logInfo/legs", &list(json!(0)))),
        ("form choices that are numbers", filled("/additionalSubmission", &list(json!(0)))),
        (
            "form choices with many names",
            filled("/additionalSubmission", &|room| {
                (0..room / 12)
                    .map(|number| (format!("{number:06}"), json!(1)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ),
        ("formats", filled("/overridingFormat", &list(json!("*")))),
        ("lists within lists", filled("/additionalSubmission", &nested)),
        ("an unknown field of small values", filled("/other", &list(json!({})))),
        (
            "form choices in small objects",
            filled("/additionalSubmission", &|room| json!({"x": vec![json!({"a": 0}); room / 9 - 10]})),
        ),
        ("lists 500,000 deep", "[".repeat(LONGEST_BODY)),
    ]
}
