//! `docs/openapi.yaml` describes exactly the fields, statuses and headers of the functions.

mod document;
mod fields;
mod responses;

use std::collections::BTreeSet;

use call_log::api::all_routes;
use serde_json::Value;

use document::Document;

/// Compares the document with docs/http.md.
#[test]
fn the_document_and_the_http_page_list_the_same_routes_and_statuses() {
    let prose = document::file("docs/http.md");
    let document = Document::read();
    let operations: Vec<_> = document.operations().map(|(path, method, _)| (path, method)).collect();
    // Pages are for people.
    let is_page = |path: &str| path.starts_with("/connect") || path.ends_with("-redirect");
    let routes = all_routes().into_iter().filter(|route| !is_page(route.path));
    let served: Vec<_> = routes.map(|route| (route.path, route.method.to_lowercase())).collect();
    let served: Vec<_> = served.iter().map(|(path, method)| (*path, method.as_str())).collect();
    assert_eq!(sorted(&operations), sorted(&served));
    for (path, method) in operations {
        assert!(prose.contains(&format!("`{} {path}`", method.to_uppercase())), "{method} {path}");
    }
    let mut listed: Vec<_> = prose
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.get(..3))
        .filter(|cell| cell.parse::<u16>().is_ok())
        .chain(["200"])
        .collect();
    listed.sort_unstable();
    listed.dedup();
    let mut described: Vec<_> = document
        .operations()
        .flat_map(|(_, _, operation)| operation["responses"].as_object().unwrap().keys())
        .collect();
    described.sort_unstable();
    described.dedup();
    assert_eq!(described, listed);
}

fn sorted<'a>(operations: &[(&'a str, &'a str)]) -> BTreeSet<(&'a str, &'a str)> {
    operations.iter().copied().collect()
}

#[test]
fn every_reference_in_the_document_resolves_and_every_component_is_used() {
    let document = Document::read();
    let mut used = Vec::new();
    collect_references(&document.0, &mut used);
    for reference in &used {
        assert!(document.0.pointer(&reference[1..]).is_some(), "{reference} does not resolve");
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

#[test]
fn every_example_response_in_the_document_matches_its_schema() {
    let document = Document::read();
    for (_, method, operation) in document.operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = document.resolved(response)["content"].as_object().expect("a body");
            let content = content.values().next().expect("a media type");
            let schema = document.closed(&content["schema"]);
            let examples = content["examples"].as_object().expect("a response has examples");
            for (name, example) in examples {
                let valid = schema.validate(&example["value"]).map_err(|error| error.to_string());
                assert_eq!(valid, Ok(()), "{method} {status} {name}");
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
