//! `docs/openapi.yaml` says what the edge does: no field, status or header more, and none less.

mod document;
mod fields;
mod responses;

use serde_json::Value;

use document::Document;

/// The routes and the statuses that docs/http.md tells people.
#[test]
fn the_document_has_what_the_prose_has() {
    let prose = document::file("docs/http.md");
    let document = Document::read();
    let operations: Vec<_> = document.operations().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(operations, [("/callLog", "post"), ("/callLog", "patch")]);
    for (path, method) in operations {
        assert!(prose.contains(&format!("`{} {path}`", method.to_uppercase())), "{method} {path}");
    }
    let mut told: Vec<_> = prose
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.get(..3))
        .filter(|cell| cell.parse::<u16>().is_ok())
        .chain(["200"])
        .collect();
    told.sort_unstable();
    told.dedup();
    for (_, method, operation) in document.operations() {
        let mut statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
        statuses.sort_unstable();
        assert_eq!(statuses, told, "{method}");
    }
}

/// Every reference leads somewhere, everything that is defined is used, and every schema is one.
#[test]
fn the_document_holds_together() {
    let document = Document::read();
    let mut used = Vec::new();
    collect_references(&document.0, &mut used);
    for reference in &used {
        assert!(document.0.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
    }
    for (group, components) in document.0["components"].as_object().unwrap() {
        for (name, component) in components.as_object().unwrap() {
            let reference = format!("#/components/{group}/{name}");
            let is_used = used.contains(&reference) || group == "securitySchemes";
            assert!(is_used, "nothing refers to {reference}");
            if group == "schemas" {
                document.validator(component);
            }
        }
    }
    for requirement in document.0["security"].as_array().unwrap() {
        for scheme in requirement.as_object().unwrap().keys() {
            assert!(document.0["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
        }
    }
}

/// What is shown as an answer is one.
#[test]
fn the_answers_that_are_shown_are_answers() {
    let document = Document::read();
    for (_, method, operation) in document.operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = &document.resolved(response)["content"]["application/json"];
            let answers = document.closed(&content["schema"]);
            let examples = content["examples"].as_object().expect("an answer has examples");
            for (name, example) in examples {
                let problem = answers.validate(&example["value"]).map_err(|error| error.to_string());
                assert_eq!(problem, Ok(()), "{method} {status} {name}");
            }
        }
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                references.push(reference.clone());
            }
            object.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}
