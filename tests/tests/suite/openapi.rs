//! `docs/openapi.yaml` says what the routes do: its examples are sent, its fields are those that are read, and its
//! answers are those that are given.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::wire::{read_create, read_update};
use tests::world::{Answer, World, call, send};

use crate::contract::with;

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

struct Document(Value);

impl Document {
    fn read() -> Document {
        Document(serde_saphyr::from_str(&file("docs/openapi.yaml")).expect("the document is YAML"))
    }

    /// What stands there, with a reference followed.
    fn at<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        while let Some(path) = value.get("$ref").and_then(Value::as_str) {
            value =
                self.0.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} is not there"));
        }
        value
    }

    fn operation(&self, method: &str) -> &Value {
        &self.0["paths"]["/callLog"][method]
    }

    fn response(&self, method: &str, status: &str) -> &Value {
        self.at(&self.operation(method)["responses"][status])
    }

    /// The examples of a body, by their names.
    fn examples<'a>(&'a self, content: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let body = &content["content"]["application/json"];
        match (body.get("example"), body["examples"].as_object()) {
            (Some(example), _) => vec![("", example)],
            (None, Some(examples)) => {
                examples.iter().map(|(name, example)| (name.as_str(), &self.at(example)["value"])).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let root = json!({"allOf": [schema], "components": self.0["components"]});
        let validator = jsonschema::draft202012::new(&root).expect("the schema is one");
        let wrong: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{what}: {value} is not as the document says: {wrong:?}");
    }

    fn check_request(&self, method: &str, body: &Value) {
        let schema = &self.operation(method)["requestBody"]["content"]["application/json"]["schema"];
        self.check(schema, body, method);
    }

    /// That the document knows this answer: its status, its headers, its body.
    fn check_answer(&self, method: &str, answer: &Answer) {
        let status = answer.status.to_string();
        let response = self.response(method, &status);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {status} is not in the document");
        self.check(schema, &answer.body, &status);
        let told = response["headers"].as_object().unwrap();
        for name in told.keys() {
            assert!(answer.headers.contains_key(&name.to_lowercase()), "{method} {status} has no {name}");
        }
        for name in answer.headers.keys().filter(|name| *name != "content-type") {
            assert!(
                told.keys().any(|told| told.eq_ignore_ascii_case(name)),
                "{method} {status}: {name} is not told"
            );
        }
    }
}

#[test]
fn the_examples_are_as_their_schemas_say() {
    let document = Document::read();
    let mut seen = 0;
    for method in ["post", "patch"] {
        let requests = document.examples(&document.operation(method)["requestBody"]);
        for (_, body) in requests {
            document.check_request(method, body);
            seen += 1;
        }
        for status in document.operation(method)["responses"].as_object().unwrap().keys() {
            let response = document.response(method, status);
            let examples = document.examples(response);
            assert!(!examples.is_empty(), "{method} {status} has an example");
            for (name, example) in examples {
                document.check(&response["content"]["application/json"]["schema"], example, name);
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "the examples were found");
}

/// Every example is sent, and so is what each refusal needs.
#[tokio::test]
async fn every_answer_is_in_the_document() {
    let document = Document::read();
    let world = World::start().await;
    let token = world.app.issue_token(&world.user, 1);
    let mut messages = BTreeSet::new();
    let mut check = |method: &str, answer: &Answer| {
        document.check_answer(&method.to_lowercase(), answer);
        messages.insert(answer.message().to_owned());
    };
    for method in ["post", "patch"] {
        for (name, body) in document.examples(&document.operation(method)["requestBody"]) {
            let answer = world.send(&world.app, &method.to_uppercase(), body).await;
            assert_eq!(
                (answer.status, &answer.body["successful"]),
                (200, &json!(true)),
                "{name}: {}",
                answer.body
            );
            check(method, &answer);
        }
    }
    for (method, body) in [
        ("POST", call("4503991004")),
        ("POST", with(call("1"), json!({"contactId": 0}))),
        ("POST", with(call("1"), json!({"contactId": 9999}))),
        ("POST", json!({})),
        ("POST", with(call("1"), json!({"user": {"id": "2-pipedrive"}}))),
        ("PATCH", json!({"sessionId": "9", "note": "n"})),
        ("PATCH", json!({"sessionId": "0"})),
        ("DELETE", json!({})),
    ] {
        let answer = world.send(&world.app, method, &body).await;
        check(if method == "DELETE" { "PATCH" } else { method }, &answer);
    }
    for method in ["POST", "PATCH"] {
        check(method, &send(&world.app, method, "no token", b"{}".to_vec(), 1_000).await);
        check(method, &send(&world.app, method, &token, vec![b' '; (1 << 20) + 1], 1_000).await);
    }
    world.crm.delete(5001);
    check("PATCH", &world.patch(&json!({"sessionId": "4503991004", "note": "again"})).await);
    let nobody = world.app_with(&[("TABLE_NAME", "nothing")]).await.unwrap();
    check("POST", &world.send(&nobody, "POST", &call("1")).await);
    let away = world.app_with(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]).await.unwrap();
    check("POST", &world.send(&away, "POST", &call("1")).await);
    assert!(messages.len() >= 15, "{messages:?}");
}

/// The page for people and the document for machines tell the same messages.
#[test]
fn the_page_and_the_document_have_the_same_messages() {
    let document = Document::read();
    let shown: BTreeSet<String> = ["post", "patch"]
        .into_iter()
        .flat_map(|method| {
            let responses = document.operation(method)["responses"].as_object().unwrap();
            let examples = responses.values().flat_map(|response| document.examples(document.at(response)));
            examples
                .map(|(_, example)| example["returnMessage"]["message"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let page = file("docs/http.md");
    let answers = page.split_once("## Answers").unwrap().1;
    // A cell that begins with a message; what it is about stands in braces.
    let told: BTreeSet<&str> = answers
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').find_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`')))
        .filter(|message| message.contains(' '))
        .collect();
    assert!(told.len() > 18, "{told:?}");
    for message in &told {
        let fixed: Vec<&str> = message.split(['{', '}']).step_by(2).collect();
        let is_it = |shown: &String| {
            let mut rest = shown.as_str();
            fixed.iter().all(|part| rest.find(part).map(|at| rest = &rest[at + part.len()..]).is_some())
        };
        assert!(shown.iter().any(is_it), "`{message}` is not in openapi.yaml: {shown:?}");
    }
}

/// The fields of a schema, by the path at which each stands; of a list, of its first item.
fn fields(document: &Document, schema: &Value, path: &[String], found: &mut Vec<(Vec<String>, Value)>) {
    let schema = document.at(schema);
    for part in ["allOf", "anyOf"].iter().filter_map(|part| schema[*part].as_array()).flatten() {
        fields(document, part, path, found);
    }
    for (name, field) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        let path = [path, std::slice::from_ref(name)].concat();
        if !found.iter().any(|(known, _)| *known == path) {
            found.push((path.clone(), field.clone()));
        }
        fields(document, field, &path, found);
        let items = document.at(field).get("items").cloned();
        if let Some(items) = items {
            fields(document, &items, &path, found);
        }
    }
}

/// A body with one more field, inside lists where the schema has one.
fn put(body: &mut Value, path: &[String], value: Value) {
    let (name, rest) = path.split_first().unwrap();
    let slot = &mut body[name.as_str()];
    match rest {
        [] => *slot = value,
        rest if name == "legs" => {
            *slot = json!([{"direction": "Inbound", "from": {"name": "Bob"}}]);
            put(&mut slot[0], rest, value);
        }
        rest => {
            if !slot.is_object() {
                *slot = json!({});
            }
            put(slot, rest, value);
        }
    }
}

/// Whatever the document has, the wire reads: with it a request says something else than without.
#[test]
fn every_field_of_the_document_is_read() {
    let document = Document::read();
    let least = json!({"sessionId": "1", "direction": "Inbound"});
    for (name, body) in
        [("Create", json!({"logInfo": least, "contactId": 1})), ("Update", json!({"sessionId": "1"}))]
    {
        let read = |body: &Value| {
            let bytes = body.to_string().into_bytes();
            match name {
                "Create" => format!(
                    "{:?}",
                    read_create(&bytes).map(|read| (read.clone(), read.authorization.map(|_| ())))
                ),
                _ => format!(
                    "{:?}",
                    read_update(&bytes).map(|read| (read.clone(), read.authorization.map(|_| ())))
                ),
            }
        };
        let schema = &document.0["components"]["schemas"][name];
        let mut found = Vec::new();
        fields(&document, schema, &[], &mut found);
        assert!(found.len() > 100, "{name}: the fields were found");
        for (path, _) in found {
            // One of these is news, or is refused, wherever it stands.
            let values = [
                json!("x7"),
                json!(77),
                json!("Outbound"),
                json!([1]),
                json!({"k": 1}),
                json!({"phoneNumber": "+7"}),
            ];
            // What is looked for at another place first, and would hide it.
            let mut bare = body.clone();
            if path[0] == "callLog" && name == "Create" {
                bare = json!({"callLog": least, "contactId": 1});
            }
            if path[0] == "contactId" || path[0] == "contactInfo" {
                bare.as_object_mut().unwrap().remove("contactId");
            }
            if path.last().unwrap() == "name" && path[0] == "contactInfo"
                || path[0] == "contactName"
                || path[0] == "contactType"
                || path.last().unwrap() == "type"
            {
                bare["contactId"] = json!(1);
            }
            if name == "Update" && ["existingCallLog", "logInfo", "callLog"].contains(&path[0].as_str()) {
                bare = json!({"existingCallLog": {"sessionId": "1"}});
            }
            let without = read(&bare);
            let is_read = values.iter().any(|value| {
                let mut body = bare.clone();
                put(&mut body, &path, value.clone());
                read(&body) != without
            });
            assert!(is_read, "{name}: {path:?} is in the document, and nobody reads it");
        }
    }
}

/// Whatever the wire reads, the document has: names are texts in its sources.
#[test]
fn every_field_that_is_read_is_in_the_document() {
    let document = Document::read();
    let mut known = Vec::new();
    for name in ["Create", "Update"] {
        fields(&document, &document.0["components"]["schemas"][name], &[], &mut known);
    }
    let known: BTreeSet<&str> = known.iter().map(|(path, _)| path.last().unwrap().as_str()).collect();
    let mut seen = 0;
    for source in ["create", "update", "record", "contact"] {
        let text = file(&format!("shared/src/wire/{source}.rs"));
        let code = text.split("#[cfg(test)]").next().unwrap();
        for reader in [".get(", ".text(", ".inside(", ".list(", ".require(", ".lenient(", ".missing("] {
            for rest in code.split(reader).skip(1) {
                let Some(name) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                else {
                    continue;
                };
                assert!(known.contains(name), "{source}.rs reads `{name}`, which openapi.yaml does not have");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "the names were found: {seen}");
}
