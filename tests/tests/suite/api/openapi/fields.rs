//! Compares the schemas of requests with the fields that `call_log::api::wire` reads, and with the values that it
//! accepts.

use std::collections::BTreeSet;

use call_log::api::wire::{InputError, Read, read_create, read_update};
use serde_json::{Value, json};
use syn::{
    Expr, ExprLit, ExprMethodCall, Item, Lit,
    visit::{self, Visit},
};

use super::document::Document;
use crate::architecture::source::{attributes_of, is_test, parse};

/// The files of `api::wire` that read the fields of a request.
const READERS: [&str; 4] = ["contact", "create", "record", "update"];
/// The methods that read a field. Their first argument is its name.
const METHODS: [&str; 10] =
    ["fact", "get", "inside", "lenient", "list", "part", "require", "shift_remove", "text", "words"];

/// The names of the fields that a file reads.
#[derive(Default)]
struct Fields(BTreeSet<String>);

impl<'ast> Visit<'ast> for Fields {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if METHODS.iter().any(|method| call.method == method)
            && let Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) = call.args.first()
        {
            self.0.insert(name.value());
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Returns the names of all fields that the functions read.
fn read_names() -> BTreeSet<String> {
    let mut fields = Fields::default();
    for reader in READERS {
        fields.visit_file(&parse(&format!("shared/src/api/wire/{reader}.rs")));
    }
    fields.0
}

/// Returns the names of all fields that the requests' schemas describe.
fn described_names(document: &Document) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for method in ["POST", "PATCH"] {
        describe(document, &document.request(method)["schema"], &mut names);
    }
    names
}

fn describe(document: &Document, schema: &Value, names: &mut BTreeSet<String>) {
    if let Value::Array(schemas) = schema {
        schemas.iter().for_each(|schema| describe(document, schema, names));
    }
    if !schema.is_object() {
        return;
    }
    if schema["$ref"].is_string() {
        describe(document, document.resolved(schema), names);
    }
    for keyword in ["allOf", "anyOf", "items"] {
        describe(document, &schema[keyword], names);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(name.clone());
        describe(document, schema, names);
    }
}

#[test]
fn the_document_describes_exactly_the_fields_that_the_functions_read() {
    let read = read_names();
    assert!(read.len() > 40 && read.contains("sessionId") && read.contains("phoneNumber"), "{read:?}");
    assert_eq!(described_names(&Document::read()), read);

    // The test fails for a field that any part of the document lacks.
    for (schema, name) in [("Call", "aiNote"), ("Leg", "legType"), ("RequestFields", "authHeader")] {
        let mut document = Document::read();
        let place = format!("/components/schemas/{schema}/properties");
        document.0.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(name);
        let missing: Vec<_> = read.difference(&described_names(&document)).cloned().collect();
        assert_eq!(missing, [name]);
    }
}

/// Returns a minimal request of each dialect, and the places in it that can have fields.
fn requests() -> [(&'static str, Value, &'static [&'static str]); 4] {
    let call = json!({"sessionId": "1", "direction": "Inbound"});
    [
        (
            "POST",
            json!({"logInfo": call}),
            &[
                "",
                "/user",
                "/contactInfo",
                "/recording",
                "/voicemail",
                "/logInfo",
                "/logInfo/recording",
                "/logInfo/voicemail",
                "/logInfo/from",
                "/logInfo/to",
                "/logInfo/legs/0",
                "/logInfo/legs/0/from",
            ],
        ),
        (
            "POST",
            json!({"callLog": call}),
            &[
                "",
                "/user",
                "/contactInfo",
                "/callLog",
                "/callLog/recording",
                "/callLog/voicemail",
                "/callLog/to",
            ],
        ),
        (
            "PATCH",
            json!({"sessionId": "1"}),
            &[
                "",
                "/user",
                "/contactInfo",
                "/recording",
                "/voicemail",
                "/from",
                "/to",
                "/legs/0",
                "/legs/0/to",
                "/logInfo/recording",
                "/callLog/recording",
            ],
        ),
        (
            "PATCH",
            json!({"existingCallLog": {"sessionId": "1"}}),
            &["", "/user", "/existingCallLog", "/recording"],
        ),
    ]
}

/// Returns valid and invalid values of a field.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(false),
        json!(true),
        json!(""),
        json!(" \n"),
        json!("0"),
        json!("7"),
        json!("65.0"),
        json!("61.5"),
        json!("not one!"),
        json!("ü"),
        json!("Inbound"),
        json!("OUTBOUND"),
        json!("pending"),
        json!("2025-03-12T15:45:25.000Z"),
        json!("20250312T154525Z"),
        json!("2025-03-12"),
        json!("+05:30"),
        json!("Europe/Berlin"),
        json!("12345-pipedrive"),
        json!("x".repeat(257)),
        json!("-1"),
        json!(0),
        json!(7),
        json!(7.0),
        json!(7.5),
        json!(-480),
        json!(-1441),
        json!(1_741_794_325_000_i64),
        json!(31_536_001),
        json!(u64::MAX),
        json!(1e22),
        json!([]),
        json!([7]),
        json!([null]),
        json!([{}]),
        json!({}),
        json!({"score": 87}),
        json!({"link": "l"}),
        json!({"link": []}),
        json!({"id": true}),
        json!({"name": []}),
    ]
}

/// Tries each field in every place with every value.
#[test]
fn the_document_and_the_functions_read_the_same_values() {
    let document = Document::read();
    let mut rejected = 0;
    for (method, minimal, places) in requests() {
        let schema = document.validator(&document.request(method)["schema"]);
        for place in places {
            for name in read_names() {
                for value in values() {
                    let mut body = minimal.clone();
                    put(&mut body, place, &name, &value);
                    let read = read(method, &body);
                    let valid = schema.validate(&body).map_err(|error| error.to_string());
                    // A pattern can check the form of a day or zone, but not that it exists.
                    let is_only_form = value.is_string() && ["startTime", "timezoneOffset"].contains(&&*name);
                    let agree = valid.is_ok() == read.is_ok() || is_only_form && valid.is_ok();
                    assert!(agree, "{method} {body}: {valid:?}, {read:?}");
                    rejected += usize::from(read.is_err());
                }
            }
        }
    }
    assert!(rejected > 1_000, "only {rejected} were rejected or left out");
}

/// Reads a body. A field that was left out is an error here.
fn read(method: &str, body: &Value) -> Result<(), InputError> {
    fn complete<T>(read: Read<T>) -> Result<(), InputError> {
        read.unread.into_iter().next().map_or(Ok(()), Err)
    }
    let body = body.to_string();
    match method {
        "POST" => read_create(body.as_bytes()).and_then(complete),
        _ => read_update(body.as_bytes()).and_then(complete),
    }
}

/// Sets a field at this place, and creates the objects and lists that contain it.
fn put(body: &mut Value, place: &str, name: &str, value: &Value) {
    let mut at = body;
    for step in place.split('/').skip(1) {
        at = match step {
            "0" => {
                *at = json!([{}]);
                &mut at[0]
            }
            step => &mut at[step],
        };
    }
    at[name] = value.clone();
}
