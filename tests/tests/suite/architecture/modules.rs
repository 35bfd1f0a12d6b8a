//! Allowed dependencies between modules, allowed places of external names, and no dependency cycles.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    paths::{Crate, Reference, Segments},
    source::{root, rust_files, strings},
};
use crate::markdown::Page;

/// The modules, or items of modules, that each top-level module may use. Everything else is forbidden.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("note", &["model"]),
    ("telemetry", &["model"]),
    ("auth", &["model"]),
    ("adapters", &["note", "telemetry", "model"]),
    ("store", &["note::Fingerprints", "telemetry", "model"]),
    ("delivery", &["adapters", "store", "note", "telemetry", "model"]),
    ("login", &["delivery", "adapters", "store", "telemetry", "model"]),
    ("api", &["login", "auth", "delivery", "adapters", "store", "note", "telemetry", "model"]),
    ("startup", &["api", "login", "auth", "delivery", "adapters", "store", "note", "telemetry", "model"]),
];

/// The modules that a module's unit tests may use in addition.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[("note", &["api::wire"])];

/// External crates or functions, and the only places that may name them.
struct Outside {
    names: &'static [&'static str],
    /// The places where the rule applies, as prefixes of paths in the repository.
    within: &'static [&'static str],
    only_in: &'static [&'static str],
    holds_in_tests: bool,
    reason: &'static str,
}

const SHARED: &[&str] = &["shared/"];
const EVERYWHERE: &[&str] = &["shared/", "cli/", "functions/", "lambda/"];

const OUTSIDE: &[Outside] = &[
    Outside {
        names: &["lambda_http", "lambda_runtime"],
        within: EVERYWHERE,
        only_in: &["functions/", "lambda/"],
        holds_in_tests: true,
        reason: "only the entry points know Lambda",
    },
    Outside {
        names: &["aws_sdk_dynamodb", "aws_smithy_runtime", "aws_smithy_runtime_api", "aws_credential_types"],
        within: EVERYWHERE,
        only_in: &["shared/src/store/", "shared/src/startup/"],
        holds_in_tests: true,
        reason: "only `store` speaks to DynamoDB, and `startup` builds its client",
    },
    Outside {
        names: &["reqwest"],
        within: EVERYWHERE,
        only_in: &["shared/src/startup/", "shared/src/adapters/client.rs"],
        holds_in_tests: true,
        reason: "the HTTP client is named where it is built and where it sends requests",
    },
    Outside {
        names: &["std::env::var", "std::env::var_os", "std::env::vars", "std::env::vars_os"],
        within: EVERYWHERE,
        only_in: &["shared/src/startup/config.rs", "cli/src/environment.rs"],
        holds_in_tests: true,
        reason: "configuration is read in one place",
    },
    Outside {
        names: &["SystemTime::now", "Instant::now", "Utc::now", "Local::now"],
        within: EVERYWHERE,
        only_in: &["shared/src/model/clock.rs"],
        holds_in_tests: false,
        reason: "the clock is passed in",
    },
    Outside {
        names: &["tokio::spawn", "task::spawn", "spawn_blocking", "spawn_local", "thread::spawn", "JoinSet"],
        within: &["shared/", "functions/", "lambda/"],
        only_in: &[],
        holds_in_tests: true,
        reason: "a frozen Lambda environment would resume a detached task in a later invocation",
    },
    Outside {
        names: &["StatusCode"],
        within: SHARED,
        only_in: &["shared/src/api/", "shared/src/adapters/"],
        holds_in_tests: true,
        reason: "an HTTP status is translated once, at the boundary",
    },
    Outside {
        names: &["tokio", "futures_util", "std::fs", "std::net", "std::process", "std::io"],
        within: &["shared/src/model/", "shared/src/note/"],
        only_in: &[],
        holds_in_tests: true,
        reason: "`model` and `note` do no I/O",
    },
];

fn shared() -> Crate {
    Crate::read("call_log", "shared/src")
}

/// Asserts that there are no violations.
fn check(found: BTreeMap<String, String>, what: &str) {
    let found: Vec<String> = found.into_values().collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// Returns a report for each forbidden dependency between two modules, such as `note -> store`.
pub(super) fn forbidden_uses(of: &Crate) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let modules = of.top_level_modules();
    for reference in of.references() {
        let (Some(from), "crate") = (reference.module.get(1), reference.path[0].as_str()) else { continue };
        let Some(to) = reference.path.get(1) else { continue };
        let is_allowed = |table: &[(&str, &[&str])]| {
            let row = table.iter().find(|(module, _)| module == from);
            row.is_some_and(|(_, uses)| uses.iter().any(|allowed| leads_into(&reference.path[1..], allowed)))
        };
        if from == to || is_allowed(ALLOWED) || reference.is_test && is_allowed(ALLOWED_IN_TESTS) {
            continue;
        }
        let to = if modules.contains(to.as_str()) { to } else { "the root of the crate" };
        let key = format!("{from} -> {to}");
        let place =
            format!("{}:{}: {} uses {}", reference.file, reference.line, from, reference.path.join("::"));
        found.entry(key).or_insert(place);
    }
    found
}

/// Returns `true` if a path is the allowed path, or below it.
fn leads_into(path: &[String], allowed: &str) -> bool {
    let allowed: Vec<&str> = allowed.split("::").collect();
    path.len() >= allowed.len() && path.iter().zip(&allowed).all(|(one, other)| one == other)
}

/// Returns `true` if a path contains the consecutive segments of a name.
fn names(path: &[String], name: &str) -> bool {
    let name: Vec<&str> = name.split("::").collect();
    path.windows(name.len()).any(|window| window.iter().zip(&name).all(|(one, other)| one == other))
}

/// Returns a report for each external name in a place that may not name it, by file and name.
pub(super) fn misplaced_names(of: &Crate) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for reference in of.references() {
        for rule in OUTSIDE {
            let is_in = |places: &[&str]| places.iter().any(|place| reference.file.starts_with(place));
            let is_exempt = reference.is_test && !rule.holds_in_tests;
            if is_exempt || !is_in(rule.within) || is_in(rule.only_in) {
                continue;
            }
            for name in rule.names.iter().filter(|name| names(&reference.path, name)) {
                let text = format!("{}:{} names {name}: {}", reference.file, reference.line, rule.reason);
                found.entry(format!("{} {name}", reference.file)).or_insert(text);
            }
        }
    }
    found
}

/// Returns a report for each use of an adapter by another adapter.
pub(super) fn uses_of_siblings(of: &Crate, adapters: &[&str]) -> Vec<String> {
    let adapter = |path: &Segments| {
        let is_one = path.get(1).is_some_and(|module| module == "adapters");
        path.get(2).filter(|name| is_one && adapters.contains(&name.as_str())).cloned()
    };
    let is_sibling = |reference: &&Reference| {
        let from = adapter(&reference.module);
        let to = adapter(&reference.path).or_else(|| adapter(&reference.definition));
        from.is_some() && to.is_some() && from != to
    };
    of.references()
        .iter()
        .filter(is_sibling)
        .map(|reference| format!("{}:{} uses {}", reference.file, reference.line, reference.path.join("::")))
        .collect()
}

/// Returns the groups of files that depend on each other, directly or through other files.
///
/// A file may use its `mod.rs` and the files of all modules that contain its own module: a `mod.rs` and the files below
/// it are one unit. Tests may use everything.
pub(super) fn cycles(of: &Crate) -> Vec<BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let modules: BTreeMap<&str, &Segments> =
        of.sources.iter().map(|source| (source.path.as_str(), &source.module)).collect();
    for reference in of.references() {
        if reference.is_test || reference.is_reexport || reference.definition[0] != "crate" {
            continue;
        }
        let Some(to) = of.file_of(&reference.definition) else { continue };
        let is_up = modules[reference.file.as_str()].starts_with(modules[to]);
        if !is_up {
            uses.entry(reference.file).or_default().insert(to.to_owned());
        }
    }
    let reach = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from.to_owned()];
        while let Some(file) = open.pop() {
            for next in uses.get(&file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = modules.keys().map(|file| (*file, reach(file))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (file, reaches) in &reached {
        let group: BTreeSet<String> =
            reaches.iter().filter(|other| reached[other.as_str()].contains(*file)).cloned().collect();
        if !group.is_empty() && !found.contains(&group) {
            found.push(group);
        }
    }
    found
}

#[test]
fn each_module_uses_only_its_allowed_modules() {
    let shared = shared();
    let rows: BTreeSet<&str> = ALLOWED.iter().map(|(module, _)| *module).collect();
    assert_eq!(rows, shared.top_level_modules(), "ALLOWED has a row for each module");
    check(forbidden_uses(&shared), "these modules must not use each other");
}

#[test]
fn the_architecture_page_has_the_table_of_allowed_modules() {
    let rows = Page::read("ARCHITECTURE.md").table_below("Allowed dependencies");
    let rows: Vec<(String, Vec<String>)> =
        rows.iter().map(|row| (row[0].code.join(" "), row[1].code.clone())).collect();
    let expected: Vec<(String, Vec<String>)> = ALLOWED
        .iter()
        .map(|(module, uses)| ((*module).to_owned(), uses.iter().map(|used| (*used).to_owned()).collect()))
        .collect();
    assert_eq!(rows, expected, "the table in ARCHITECTURE.md is the table of this test");
}

#[test]
fn external_crates_and_functions_are_named_only_in_their_allowed_places() {
    let mut found = misplaced_names(&shared());
    found.extend(misplaced_names(&Crate::read("cli", "cli/src")));
    for file in ["functions", "lambda"].iter().flat_map(|directory| rust_files(directory)) {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        found.extend(misplaced_names(&Crate::parse("function", "", [(file.as_str(), text.as_str())])));
    }
    check(found, "these names belong elsewhere");
}

#[test]
fn no_adapter_uses_another_adapter() {
    let adapters: Vec<&str> = call_log::adapters::REGISTRY.iter().map(|crm| crm.platform()).collect();
    assert_eq!(uses_of_siblings(&shared(), &adapters), Vec::<String>::new());
}

#[test]
fn a_crm_is_named_only_by_its_adapter_and_the_registry() {
    let mut found = Vec::new();
    for source in &shared().sources {
        for crm in call_log::adapters::REGISTRY {
            let own = format!("shared/src/adapters/{}", crm.platform());
            let named = strings(&source.syntax).into_iter().filter(|(text, _)| text == crm.platform());
            if !source.path.starts_with(&own) {
                found.extend(named.map(|(text, line)| format!("{}:{line} names {text:?}", source.path)));
            }
        }
    }
    assert!(found.is_empty(), "the CRMs are listed in the registry only:\n{}", found.join("\n"));
}

#[test]
fn no_files_depend_on_each_other_in_a_cycle() {
    let found = cycles(&shared());
    assert!(found.is_empty(), "these files depend on each other: {found:#?}");
}
