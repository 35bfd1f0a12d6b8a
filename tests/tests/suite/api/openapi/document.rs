//! The OpenAPI document, and checks against it.

use std::path::Path;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use tests::test_app::Response;

/// The OpenAPI document.
pub(super) struct Document(pub(super) Value);

/// Reads a file of this repository.
pub(super) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Document {
    pub(super) fn read() -> Document {
        Document(yaml_serde::from_str(&file("docs/openapi.yaml")).expect("the document is YAML"))
    }

    /// Returns the path, method and definition of each operation.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().expect("there are paths");
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("a path has operations").iter();
            methods
                .filter(|(name, _)| *name != "parameters")
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// Returns the schema and the examples of the body of a request to `/callLog`.
    pub(super) fn request(&self, method: &str) -> &Value {
        &self.0["paths"]["/callLog"][method.to_lowercase()]["requestBody"]["content"]["application/json"]
    }

    /// Returns the target of a reference, or `value` itself if it is not a reference.
    pub(super) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(&reference[1..]).expect("the reference resolves"),
            None => value,
        }
    }

    /// Compiles a schema of the document, with everything that it refers to.
    pub(super) fn validator(&self, schema: &Value) -> Validator {
        self.compile(json!({"allOf": [schema], "components": self.0["components"]}))
    }

    /// Compiles a schema that rejects fields which the document does not describe. The document itself allows them, so
    /// that clients accept new fields.
    pub(super) fn closed(&self, schema: &Value) -> Validator {
        let mut components = self.0["components"].clone();
        close(&mut components["schemas"]["ResponseBody"]["properties"]);
        self.compile(json!({"allOf": [schema], "components": components, "unevaluatedProperties": false}))
    }

    fn compile(&self, schema: Value) -> Validator {
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        options.build(&schema).unwrap_or_else(|error| panic!("{error}: {schema}"))
    }

    /// Returns the differences between a response and the document.
    pub(super) fn problems(&self, path: &str, method: &str, response: &Response) -> Vec<String> {
        let responses = &self.0["paths"][path][method.to_lowercase()]["responses"];
        let described = self.resolved(&responses[response.status.to_string()]);
        if described.is_null() {
            return vec![format!("{} is not described", response.status)];
        }
        let mut problems = Vec::new();
        let headers = described["headers"].as_object().expect("a response has headers");
        for (name, header) in headers {
            let header = self.resolved(header);
            let Some(value) = response.headers.get(&name.to_lowercase()) else {
                problems.push(format!("{name} is missing"));
                continue;
            };
            // A header is text, so a value of a numeric schema is parsed.
            let value = match header["schema"]["type"].as_str() {
                Some("integer") => serde_json::from_str(value).unwrap_or_default(),
                _ => Value::from(value.as_str()),
            };
            let schema = self.validator(&header["schema"]);
            problems.extend(schema.iter_errors(&value).map(|error| format!("{name}: {error}")));
        }
        let general = ["content-type", "access-control-allow-origin"];
        for name in response.headers.keys().filter(|name| !general.contains(&name.as_str())) {
            if !headers.keys().any(|described| described.eq_ignore_ascii_case(name)) {
                problems.push(format!("the header {name} is not described"));
            }
        }
        let [media_type] = &described["content"].as_object().expect("a body").keys().collect::<Vec<_>>()[..]
        else {
            panic!("a response has one media type")
        };
        if response.headers.get("content-type") != Some(media_type) {
            problems.push(format!("it is not {media_type}"));
        }
        let body = self.closed(&described["content"][*media_type]["schema"]);
        problems.extend(body.iter_errors(&response.body).map(|error| error.to_string()));
        problems
    }
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.get("properties").is_some_and(Value::is_object) {
                object.insert("unevaluatedProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
