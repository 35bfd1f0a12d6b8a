//! Tests of the architecture checks with crates of a few lines: each violation must be found, and nothing else.

use std::collections::BTreeMap;

use super::{
    modules::{cycles, forbidden_uses, misplaced_names, uses_of_siblings},
    paths::Crate,
    source::strings,
};

/// Parses a crate from these files below `shared/src`.
fn snippets(files: &[(&str, &str)]) -> Crate {
    let files: Vec<(String, &str)> =
        files.iter().map(|(path, text)| (format!("shared/src/{path}"), *text)).collect();
    Crate::parse("call_log", "shared/src", files.iter().map(|(path, text)| (path.as_str(), *text)))
}

const STORE: (&str, &str) = ("store/mod.rs", "pub mod item; pub struct Store; pub fn open() {}");
const ITEM: (&str, &str) = ("store/item.rs", "pub struct Item;");
const MODEL: (&str, &str) = ("model/mod.rs", "pub mod clock; pub struct Call;");

#[test]
fn a_forbidden_dependency_is_found_in_every_syntax() {
    for text in [
        "use crate::store::Store;",
        "use crate::store;",
        "use crate::{model::Call, store::Store};",
        "use crate::{model::{self, Call}, store::{item::{Item, *}, Store}};",
        "use crate::store::*;",
        "pub use crate::store::Store;",
        "pub(crate) use crate::store::Store as Table;",
        "use crate::store as table; fn f() { table::open() }",
        "use crate as root; use root::store::Store;",
        "use call_log::store::Store;",
        "use super::store::Store;",
        "use self::inner::Store; mod inner { pub use crate::store::Store; }",
        "mod inner { use super::super::store::Store; }",
        "mod inner { mod deeper { fn f() { super::super::super::store::open() } } }",
        "fn f() { crate::store::open() }",
        "fn f(store: &crate::store::Store) {}",
        "fn f() -> Vec<Box<crate::store::Store>> { todo!() }",
        "struct S { store: Option<crate::store::Store> }",
        "impl From<crate::store::Store> for S {}",
        "fn f<T: Into<crate::store::Store>>(_: T) {}",
        "fn f() { let s = <crate::store::Store as Default>::default(); }",
        "fn f() { tokio::join!(a(), crate::store::open()) }",
        "fn f() { println!(\"{}\", call_log::store::open()) }",
        "use crate::model::Call; fn f() { vec![crate :: store :: open(); 3] }",
        "macro_rules! open { () => { $crate::store::open() } }",
        "macro_rules! import { () => { use crate::{model::Call, store::Store}; } }",
        "fn f() { use crate::store::Store; }",
        "#[serde(with = \"crate::store::item\")] struct S;",
        "#[derive(crate::store::Derive)] struct S;",
        "#[cfg(not(test))] use crate::store::Store;",
    ] {
        let found = forbidden_uses(&snippets(&[("note/mod.rs", text), STORE, ITEM, MODEL]));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["note -> store"], "{text}");
    }
    for text in [
        "use crate::model::{Call, clock};",
        "use super::model::Call;",
        "mod store { pub struct Own; } use self::store::Own;",
        "fn f(store: u8) -> u8 { other.store::<u8>() + store }",
        "/// Like [`crate::store::Store`].\nfn f() { let s = \"crate::store::Store\"; }",
    ] {
        let found = forbidden_uses(&snippets(&[("note/mod.rs", text), STORE, ITEM, MODEL]));
        assert_eq!(found, BTreeMap::new(), "{text}");
    }
}

#[test]
fn a_forbidden_dependency_is_found_in_a_nested_module() {
    let files = [
        ("note/mod.rs", "mod html;"),
        ("note/html/mod.rs", "mod read;"),
        ("note/html/read.rs", "use super::super::super::store;"),
    ];
    let found = forbidden_uses(&snippets(&[files[0], files[1], files[2], STORE, ITEM]));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["note -> store"]);
}

/// Unit tests obey the same table, with the additions of `ALLOWED_IN_TESTS`.
#[test]
fn a_forbidden_dependency_is_found_in_a_unit_test() {
    for (text, expected) in [
        ("#[cfg(test)] mod tests { use crate::store::Store; }", &["note -> store"][..]),
        ("#[test] fn f() { crate::store::open() }", &["note -> store"]),
        ("#[cfg(test)] mod tests { use crate::api::wire::read; }", &[]),
        ("#[cfg(test)] mod tests { use crate::api::create; }", &["note -> api"]),
        ("use crate::api::wire::read;", &["note -> api"]),
    ] {
        let api = ("api/mod.rs", "pub mod wire; pub fn create() {}");
        let found =
            forbidden_uses(&snippets(&[("note/mod.rs", text), STORE, ITEM, api, ("api/wire/mod.rs", "")]));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{text}");
    }
    let files =
        [("note/mod.rs", "#[cfg(test)] mod tests;"), ("note/tests/mod.rs", "use crate::api::wire::read;")];
    let api = ("api/mod.rs", "pub mod wire;");
    assert_eq!(
        forbidden_uses(&snippets(&[files[0], files[1], api, ("api/wire/mod.rs", "")])),
        BTreeMap::new()
    );
}

#[test]
fn only_the_allowed_items_of_a_partly_allowed_module_can_be_used() {
    for (text, is_allowed) in [
        ("use crate::note::Fingerprints;", true),
        ("use crate::note::Fingerprints as Prints; fn f() { Prints::new() }", true),
        ("use crate::note;", false),
        ("use crate::note::*;", false),
        ("use crate::note::{Fingerprints, compose};", false),
    ] {
        let found =
            forbidden_uses(&snippets(&[("store/mod.rs", text), ("note/mod.rs", "pub struct Fingerprints;")]));
        assert_eq!(found.is_empty(), is_allowed, "{text}: {found:?}");
    }
}

#[test]
fn a_misplaced_external_name_is_found_in_every_syntax() {
    for (file, text, name) in [
        ("delivery/mod.rs", "fn f() { reqwest::Client::new() }", "reqwest"),
        ("delivery/mod.rs", "use reqwest as http;", "reqwest"),
        ("delivery/mod.rs", "use ::reqwest::{self, Url};", "reqwest"),
        ("delivery/mod.rs", "fn f() { std::env::var(\"X\") }", "std::env::var"),
        ("delivery/mod.rs", "use std::{env, fmt}; fn f() { env::var(\"X\") }", "std::env::var"),
        ("delivery/mod.rs", "use std::env::var as variable;", "std::env::var"),
        ("delivery/mod.rs", "use std::env::*; fn f() { var(\"X\") }", "std::env::var"),
        ("delivery/mod.rs", "use chrono::Utc; fn f() { Utc::now() }", "Utc::now"),
        ("delivery/mod.rs", "use std::time::SystemTime as Time; fn f() { Time::now() }", "SystemTime::now"),
        ("delivery/mod.rs", "fn f() { tokio::spawn(async {}) }", "tokio::spawn"),
        ("delivery/mod.rs", "use tokio as runtime; fn f() { runtime::spawn(async {}) }", "tokio::spawn"),
        ("delivery/mod.rs", "fn f() { select!(tokio::spawn(async {})) }", "tokio::spawn"),
        ("delivery/mod.rs", "use http::StatusCode;", "StatusCode"),
        ("delivery/mod.rs", "fn f() -> http::StatusCode {}", "StatusCode"),
        ("delivery/mod.rs", "use aws_sdk_dynamodb::types::AttributeValue;", "aws_sdk_dynamodb"),
        ("api/mod.rs", "use lambda_http::Request;", "lambda_http"),
        ("note/mod.rs", "use std::fs; fn f() { fs::read(\"x\") }", "std::fs"),
    ] {
        let found = misplaced_names(&snippets(&[(file, text)]));
        assert_eq!(found.keys().collect::<Vec<_>>(), [&format!("shared/src/{file} {name}")], "{text}");
    }
    for (file, text) in [
        ("startup/transport.rs", "use reqwest::Client;"),
        ("model/clock.rs", "fn f() { chrono::Utc::now() }"),
        ("delivery/mod.rs", "fn now() {} fn f(clock: Clock) { clock.now(); self::now() }"),
        ("note/mod.rs", "#[cfg(test)] mod tests { fn f() { std::time::Instant::now() } }"),
    ] {
        assert_eq!(misplaced_names(&snippets(&[(file, text)])), BTreeMap::new(), "{text}");
    }
}

#[test]
fn an_adapter_that_uses_another_adapter_is_found() {
    let own = ("adapters/mod.rs", "mod client; mod one; mod other; pub use other::Other; pub trait Crm {}");
    for (text, is_found) in [
        ("use super::other::Other;", true),
        ("use crate::adapters::other;", true),
        ("use super::Other;", true),
        ("fn f() { super::other::f() }", true),
        ("use super::{client, Crm};", false),
    ] {
        let files = [
            own,
            ("adapters/one.rs", text),
            ("adapters/other.rs", "pub struct Other;"),
            ("adapters/client.rs", ""),
        ];
        assert_eq!(!uses_of_siblings(&snippets(&files), &["one", "other"]).is_empty(), is_found, "{text}");
    }
}

#[test]
fn a_dependency_cycle_of_files_is_found() {
    let module = ("delivery/mod.rs", "mod a; mod b; mod c; pub use c::C; pub struct Own;");
    for (a, b, c, expected) in [
        ("use super::b::f;", "use super::a::g;", "", vec![vec!["a", "b"]]),
        (
            "use super::b::f;",
            "fn f() { crate::delivery::c::h() }",
            "use super::{a, Own};",
            vec![vec!["a", "b", "c"]],
        ),
        // Through the re-export of the module.
        ("use super::C;", "", "fn f() { super::a::g() }", vec![vec!["a", "c"]]),
        ("use super::{b, Own, C};", "use super::{Own, C};", "use super::Own;", vec![]),
        ("use super::b;", "#[cfg(test)] mod tests { use super::super::a; }", "", vec![]),
    ] {
        let files = [module, ("delivery/a.rs", a), ("delivery/b.rs", b), ("delivery/c.rs", c)];
        let found: Vec<Vec<String>> =
            cycles(&snippets(&files)).into_iter().map(|group| group.into_iter().collect()).collect();
        let file = |name: &&str| format!("shared/src/delivery/{name}.rs");
        let expected: Vec<Vec<String>> =
            expected.iter().map(|group| group.iter().map(file).collect()).collect();
        assert_eq!(found, expected, "{a} {b} {c}");
    }
}

#[test]
fn a_string_that_names_a_crm_is_found() {
    let file = syn::parse_file(
        "const A: &str = \"one\"; fn f() { g!(\"two\", [\"three\"]) } #[doc = \"four\"] struct S; \
         #[cfg(test)] mod tests { const B: &str = \"five\"; }",
    );
    let found: Vec<String> = strings(&file.unwrap()).into_iter().map(|(text, _)| text).collect();
    assert_eq!(found, ["one", "two", "three"]);
}
