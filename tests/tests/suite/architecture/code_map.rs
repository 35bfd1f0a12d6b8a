//! The code map of ARCHITECTURE.md, the documentation of modules, and the names and lengths of files.

use std::{collections::BTreeSet, fs};

use syn::{Attribute, Expr, Lit, Meta};

use super::{
    paths::Crate,
    source::{parse, root, rust_files},
};
use crate::markdown::Page;

/// The longest file that needs no reason, in lines.
const MAX_LINES: usize = 500;
/// Longer files, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// The modules that may know everything, so that the crate's documentation says nothing of what they do not know.
const KNOW_ALL: &[&str] = &["startup"];

/// Returns the paths in the first column of the code map.
fn rows() -> Vec<String> {
    let rows = Page::read("ARCHITECTURE.md").table_below("Code map");
    assert!(rows.len() > 10, "the code map was found");
    rows.iter()
        .map(|row| match row[0].code.as_slice() {
            [path] => path.clone(),
            other => panic!("a row of the code map has one path: {other:?}"),
        })
        .collect()
}

/// Returns the directories that need a row in the code map: those at the top of the repository, functions and modules.
fn directories_to_map() -> BTreeSet<String> {
    let directories = |of: &str| {
        let entries = fs::read_dir(root().join(of)).unwrap().map(|entry| entry.unwrap());
        let directories = entries.filter(|entry| entry.path().is_dir());
        let names = directories.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.collect::<Vec<_>>()
    };
    // Other hidden directories and those of builds are not part of the repository.
    let is_skipped = |name: &str| {
        let is_own = [".ci", ".github"].contains(&name) || !name.starts_with('.');
        !is_own || ["target", "node_modules"].contains(&name)
    };
    let own = directories("")
        .into_iter()
        .filter(|name| !is_skipped(name) && name != "shared" && name != "functions");
    let functions = directories("functions").into_iter().map(|name| format!("functions/{name}"));
    let shared = Crate::read("call_log", "shared/src");
    let modules = shared
        .top_level_modules()
        .into_iter()
        .map(|module| format!("shared/src/{module}"))
        .collect::<Vec<_>>();
    own.chain(functions).chain(modules).map(|path| format!("{path}/")).collect()
}

#[test]
fn the_code_map_has_one_row_for_each_directory() {
    let rows = rows();
    for row in &rows {
        assert!(root().join(row).exists(), "{row} is in the code map and does not exist");
        assert_eq!(rows.iter().filter(|other| *other == row).count(), 1, "{row} has more than one row");
    }
    let missing: Vec<_> =
        directories_to_map().into_iter().filter(|directory| !rows.contains(directory)).collect();
    assert!(missing.is_empty(), "the code map has no row for {missing:?}");
}

/// Returns the text of doc comments.
fn documentation(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_module_has_documentation_and_the_crate_says_what_it_must_not_know() {
    let shared = Crate::read("call_log", "shared/src");
    let root = parse("shared/src/lib.rs");
    let map = documentation(&root.attrs);
    for module in shared.top_level_modules() {
        let file = parse(&format!("shared/src/{module}/mod.rs"));
        assert!(
            documentation(&file.attrs).trim().len() > 20,
            "shared/src/{module}/mod.rs begins with its documentation"
        );
        // An item of the list ends where the next one begins.
        let entries: Vec<&str> = map.split(&format!("[`{module}`]: ")).skip(1).collect();
        assert_eq!(entries.len(), 1, "shared/src/lib.rs has one entry for {module}");
        let entry = entries[0].split("[`").next().unwrap_or_default();
        let says_so = ["Knows", "knows", "uses only", "must not"].iter().any(|word| entry.contains(word));
        assert!(
            says_so || KNOW_ALL.contains(&module),
            "shared/src/lib.rs does not say what {module} knows: {entry}"
        );
    }
}

#[test]
fn a_module_with_submodule_files_is_a_mod_rs() {
    let directories =
        ["shared/src", "cli/src", "functions", "tests/src", "tests/tests", "verification", "benches"];
    let files = directories.iter().flat_map(|directory| rust_files(directory));
    let found: Vec<String> =
        files.filter(|file| root().join(file.trim_end_matches(".rs")).is_dir()).collect();
    assert!(found.is_empty(), "these belong in the `mod.rs` of the directory of their name: {found:?}");
}

#[test]
fn each_long_file_is_listed_with_its_reason() {
    let mut long = BTreeSet::new();
    for directory in ["shared/src", "cli/src", "functions", "tests", "verification", "benches"] {
        for file in rust_files(directory) {
            let lines = fs::read_to_string(root().join(&file)).unwrap().lines().count();
            if lines > MAX_LINES {
                long.insert(file);
            }
        }
    }
    let expected: BTreeSet<String> = LONG_FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(long, expected, "LONG_FILES has each file of more than {MAX_LINES} lines, and no other");
}
