//! Only adapters, tests and documents name a CRM: everything else works with any CRM of the registry.

use std::fs;

use call_log::adapters::{Crm, REGISTRY, presentation::Connect};

use super::source::root;

/// The CRM of this repository. It is the example in the help and in unit tests.
const EXAMPLE: &str = "example";
/// Directories and files that may name CRMs.
const MAY_NAME: [&str; 6] = ["shared/src/adapters", "tests", "docs", "events", "README.md", "CHANGELOG.md"];
/// Hidden directories that are part of the repository.
const HIDDEN: [&str; 2] = [".ci", ".github"];
/// Directories of builds.
const BUILT: [&str; 2] = ["target", "node_modules"];

/// Returns the paths in the repository of all files that may not name a CRM.
fn files() -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![root()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            let path = entry.strip_prefix(root()).unwrap().display().to_string();
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_foreign = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
            if MAY_NAME.contains(&path.as_str()) || BUILT.contains(&name.as_str()) || name == ".git" {
                continue;
            }
            match entry.is_dir() {
                true if !is_foreign => open.push(entry),
                true => {}
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// Returns the spellings of a CRM's name, such as `acme`, `ACME`, `Acme` and `Acme CRM`.
fn spellings(crm: &dyn Crm) -> [String; 4] {
    let name = crm.platform();
    let capitalized = name[..1].to_uppercase() + &name[1..];
    [name.to_owned(), name.to_uppercase(), capitalized, crm.display_name().to_owned()]
}

/// Returns the paths of the pages of ours to which CRMs send people. The CRMs have them, so that they cannot be named
/// otherwise.
fn landing_pages() -> Vec<&'static str> {
    let ways = REGISTRY.iter().flat_map(|crm| crm.presentation().connect);
    let pages = ways.filter_map(|way| match way {
        Connect::OAuth { page } => *page,
        Connect::ApiKey { .. } => None,
    });
    pages.collect()
}

/// Returns a report of each line that contains one of the names.
fn named(path: &str, text: &str, names: &[String]) -> Vec<String> {
    let pages = landing_pages();
    let is_named = |line: &str| {
        let rest = pages.iter().fold(line.to_owned(), |line, page| line.replace(page, ""));
        names.iter().any(|name| rest.contains(name.as_str()))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| is_named(line));
    lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect()
}

#[test]
fn only_adapters_tests_and_documents_name_a_crm() {
    let crms = REGISTRY.iter().copied().filter(|crm| crm.platform() != EXAMPLE);
    let names: Vec<String> = crms.flat_map(spellings).collect();
    assert!(!names.is_empty(), "the registry has a CRM besides the example");
    let files = files();
    for expected in
        ["template.yaml", ".ci/deployment/checks.py", "cli/src/examples.rs", ".github/ISSUE_TEMPLATE/bug.yml"]
    {
        assert!(files.iter().any(|file| file == expected), "{expected} is searched");
    }
    let found: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let bytes = fs::read(root().join(path)).unwrap();
            named(path, &String::from_utf8_lossy(&bytes), &names)
        })
        .collect();
    assert!(found.is_empty(), "these lines name a CRM:\n{}", found.join("\n"));
    assert!(MAY_NAME.iter().all(|path| root().join(path).exists()), "{MAY_NAME:?} exist");
}

#[test]
fn a_crm_is_recognised_by_each_spelling_of_its_name() {
    for crm in REGISTRY {
        let (name, names) = (crm.platform(), spellings(*crm));
        for (text, is_found) in [
            (format!("the user 12345-{name}"), true),
            (format!("{}_CLIENT_ID", name.to_uppercase()), true),
            (format!("a user of {}", crm.display_name()), true),
            ("the CRM of the user".to_owned(), false),
        ] {
            let lines = named("a.rs", &format!("first\n  {text}"), &names);
            let expected = if is_found { vec![format!("a.rs:2: {text}")] } else { vec![] };
            assert_eq!(lines, expected);
        }
    }
}
