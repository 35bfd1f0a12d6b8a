//! The steps of `docs/add-a-crm.md`, followed word for word.

use std::{fs, path::Path, process::Command};

use syn::{File, Item, ItemStruct, Visibility};
use tests::fake_crm::FAKES;

use super::{
    connected::Connected,
    table::{row, table},
};
use crate::markdown::Page;

/// The CRM that the page adds.
const ACME: &str = "acme";

fn page() -> Page {
    Page::read("docs/add-a-crm.md")
}

/// Returns the blocks of the page in a language.
fn blocks(language: &str) -> Vec<String> {
    let code = page().code().into_iter();
    code.filter(|code| code.language.as_deref() == Some(language)).map(|code| code.text).collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn source(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the struct of a file whose name is this.
fn struct_of<'f>(file: &'f File, name: &str) -> &'f ItemStruct {
    let found = file.items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == name => Some(item),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("there is no struct {name}"))
}

#[test]
fn the_commands_of_the_page_copy_an_adapter_and_a_fake() {
    let directory = tempfile::tempdir().unwrap();
    for path in ["tests/src/template_crm", "shared/src/adapters"] {
        fs::create_dir_all(directory.path().join(path)).unwrap();
    }
    for name in ["adapter.rs", "fake.rs"] {
        let path = format!("tests/src/template_crm/{name}");
        fs::write(directory.path().join(&path), source(&path)).unwrap();
    }
    let scripts: Vec<_> = blocks("sh").into_iter().filter(|block| block.starts_with("cp ")).collect();
    assert_eq!(scripts.len(), 2, "a script for the adapter and one for the fake");
    for script in scripts {
        let status = Command::new("sh").args(["-ec", &script]).current_dir(&directory).status().unwrap();
        assert!(status.success(), "{script}");
    }
    let copied = |path: &str| fs::read_to_string(directory.path().join(path)).unwrap();
    let (adapter, fake) = (copied("shared/src/adapters/acme.rs"), copied("tests/src/acme.rs"));
    for (text, expected) in [(&adapter, "\"acme\""), (&fake, "find(\"acme\")")] {
        assert!(text.contains(expected), "{expected} is missing");
        assert!(
            !text.contains("TemplateCrm") && !text.contains("\"template\""),
            "a name of the template is left"
        );
    }
    let adapter = syn::parse_file(&adapter).unwrap();
    assert!(matches!(struct_of(&adapter, "Acme").vis, Visibility::Restricted(_)), "`Acme` is `pub(super)`");
    let names_our_crate = adapter.items.iter().any(|item| match item {
        Item::Use(item) => quote_of(&item.tree).starts_with("call_log"),
        _ => false,
    });
    assert!(!names_our_crate, "the adapter is part of the crate");
    assert!(matches!(struct_of(&syn::parse_file(&fake).unwrap(), "FakeAcme").vis, Visibility::Public(_)));
}

/// Returns the first step of an import.
fn quote_of(tree: &syn::UseTree) -> String {
    match tree {
        syn::UseTree::Path(path) => path.ident.to_string(),
        _ => String::new(),
    }
}

/// CRMs that were added after the page was written need not be on it.
#[test]
fn the_lists_that_the_page_extends_are_as_it_shows_them() {
    let [rust] = blocks("rust").try_into().unwrap();
    let (start, entries) =
        rust.split_once("&[&acme::Acme, ").expect("the registry with the CRM that is added");
    let registry = start.lines().last().unwrap();
    let adapters = source("shared/src/adapters/mod.rs");
    for part in entries.trim_end().trim_end_matches("];").split(", ").chain([registry]) {
        assert!(adapters.contains(part), "{part} is not in the registry");
    }
    let fakes = source("tests/src/fake_crm.rs");
    let inline = page().code().into_iter().find(|code| code.text.contains("FakeAcme::start()")).unwrap().text;
    let form = inline.replace("crate::acme::FakeAcme::start()", "FakeTemplateCrm::start()");
    assert!(fakes.contains(&form), "{inline}");
}

/// CRMs that were added after the page was written need not be on it.
#[test]
fn the_table_in_the_page_has_rows_that_the_suite_prints() {
    let mut rows: Vec<_> = FAKES.iter().map(|start| row(&Connected::new(start()))).collect();
    let mut acme = rows.iter().find(|row| row[0] == "template").expect("the template has a row").clone();
    acme[0] = ACME.to_owned();
    rows.insert(0, acme);
    let [shown] = blocks("text").try_into().unwrap();
    let is_shown = |row: &[String; 11]| shown.lines().any(|line| line.starts_with(&format!("{} ", row[0])));
    rows.retain(is_shown);
    assert_eq!(shown, table(&rows));
}

#[test]
fn the_cases_that_the_page_names_exist() {
    let sources: String = ["mod", "faults", "features", "confinement", "protocol"]
        .map(|name| source(&format!("tests/tests/suite/adapters/{name}.rs")))
        .concat();
    let is_case = |text: &str| {
        text.matches('_').count() > 3
            && text.chars().all(|char| char.is_ascii_lowercase() || "_0123456789".contains(char))
    };
    let named: Vec<_> =
        page().code().into_iter().map(|code| code.text).filter(|text| is_case(text)).collect();
    assert!(named.len() > 3, "{named:?}");
    for name in named {
        assert!(sources.contains(&format!("fn {name}()")), "there is no case {name}");
    }
}
