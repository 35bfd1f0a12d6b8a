//! References in the documents resolve: pages, headings, files, and tests.

use std::collections::BTreeSet;

use syn::{
    Item, ItemFn, ItemMod,
    visit::{self, Visit},
};

use super::source::{parse, root, rust_files};
use crate::markdown::{Page, pages};

/// The directories of tests. Modules in test names are relative to them.
const TESTS: [&str; 4] = ["tests/tests/suite", "shared/src", "verification/tests", "cli/src"];

/// The page that names tests.
const NAMES_TESTS: &str = "docs/app-connect.md";

/// Returns a report of each link to a page, file or heading that does not exist.
fn broken_links(page: &Page, read: impl Fn(&str) -> Option<Page>) -> Vec<String> {
    let mut broken = Vec::new();
    for link in page.links() {
        let is_outside =
            ["http://", "https://", "mailto:"].iter().any(|scheme| link.target.starts_with(scheme));
        if is_outside {
            continue;
        }
        let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
        let problem = match target(&page.path, path) {
            None => Some("leaves the repository".to_owned()),
            Some(target) if anchor.is_empty() => {
                (!root().join(&target).exists()).then(|| format!("{target} does not exist"))
            }
            Some(target) => match read(&target) {
                None => Some(format!("{target} does not exist")),
                Some(page) if page.anchors().iter().any(|other| other == anchor) => None,
                Some(_) => Some(format!("{target} has no heading #{anchor}")),
            },
        };
        broken.extend(
            problem.map(|problem| format!("{}:{}: {}: {problem}", page.path, link.line, link.target)),
        );
    }
    broken
}

/// Returns the path in the repository that a link on a page points to, or `None` if the link leaves the repository.
fn target(page: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn read(path: &str) -> Option<Page> {
    root().join(path).exists().then(|| Page::read(path))
}

#[test]
fn every_link_in_the_documents_resolves() {
    let broken: Vec<String> = pages().iter().flat_map(|page| broken_links(page, read)).collect();
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// Directories of the repository. A name that starts with one of them and `/` is a path.
const DIRECTORIES: [&str; 11] = [
    ".ci",
    ".github",
    "benches",
    "cli",
    "docs",
    "events",
    "functions",
    "lambda",
    "shared",
    "tests",
    "verification",
];
/// The CRM that `docs/add-a-crm.md` adds as an example.
const EXAMPLE: &str = "acme";

#[test]
fn every_file_that_a_document_names_exists() {
    let is_path = |text: &str| {
        let is_below = DIRECTORIES
            .iter()
            .any(|directory| text.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')));
        is_below && !text.contains([' ', '*', '<', '{', ':', '$'])
    };
    let mut missing = Vec::new();
    for page in pages() {
        let code = page.code().into_iter().filter(|code| code.language.is_none() && is_path(&code.text));
        let broken = code.filter(|code| !code.text.contains(EXAMPLE) && !root().join(&code.text).exists());
        missing.extend(broken.map(|code| format!("{}:{}: {}", page.path, code.line, code.text)));
    }
    assert!(missing.is_empty(), "these files do not exist:\n{}", missing.join("\n"));
}

#[test]
fn a_broken_link_is_reported() {
    let other = |path: &str| {
        let text = "# A page\n\n## `code` & more: what_is 1.2?\n\n## Twice\n\n## Twice\n\n### Über uns";
        (path == "docs/http.md").then(|| Page::new(path, text))
    };
    for (link, is_broken) in [
        ("[a](http.md)", false),
        ("[a](../README.md)", false),
        ("[a](../shared/)", false),
        ("![a](nothing.svg)", true),
        ("[a](nothing.md)", true),
        ("[a](../../etc)", true),
        ("[a][b]\n\n[b]: nothing.md", true),
        ("[a](http.md#code--more-what_is-12)", false),
        ("[a](http.md#twice)", false),
        ("[a](http.md#twice-1)", false),
        ("[a](http.md#twice-2)", true),
        ("[a](http.md#über-uns)", false),
        ("[a](http.md#nothing)", true),
        ("[a](https://example.com/nothing.md)", false),
        ("`[a](nothing.md)`", false),
    ] {
        let found = broken_links(&Page::new("docs/cost.md", link), other);
        assert_eq!(!found.is_empty(), is_broken, "{link}: {found:?}");
    }
}

/// Returns the functions with a test attribute, with their modules.
fn tests() -> Vec<(Vec<String>, String)> {
    struct Tests {
        module: Vec<String>,
        found: Vec<(Vec<String>, String)>,
    }
    impl<'ast> Visit<'ast> for Tests {
        fn visit_item_mod(&mut self, item: &'ast ItemMod) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
        fn visit_item_fn(&mut self, item: &'ast ItemFn) {
            let is_test = item
                .attrs
                .iter()
                .any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test"));
            if is_test {
                self.found.push((self.module.clone(), item.sig.ident.to_string()));
            }
        }
        // proptest! declares tests in a macro.
        fn visit_item(&mut self, item: &'ast Item) {
            if let Item::Macro(item) = item
                && item.mac.path.is_ident("proptest")
                && let Ok(file) = item.mac.parse_body::<syn::File>()
            {
                self.visit_file(&file);
            }
            visit::visit_item(self, item);
        }
    }
    let mut tests = Tests { module: Vec::new(), found: Vec::new() };
    for directory in TESTS {
        for path in rust_files(directory) {
            let module = path.strip_prefix(directory).unwrap().trim_matches('/').trim_end_matches(".rs");
            tests.module = module.split('/').filter(|part| *part != "mod").map(str::to_owned).collect();
            tests.visit_file(&parse(&path));
        }
    }
    tests.found
}

/// Returns `true` if a name in a document means this test: it has the function and the last modules of the test's path.
/// The name omits a module `tests` inside a file.
fn is_named(test: &(Vec<String>, String), name: &str) -> bool {
    let (module, function) = name.rsplit_once("::").unwrap_or(("", name));
    let own: Vec<&str> = test.0.iter().map(String::as_str).filter(|part| *part != "tests").collect();
    let named: Vec<&str> = module.split(['/', ':']).filter(|part| !part.is_empty()).collect();
    test.1 == function && own.ends_with(&named)
}

#[test]
fn every_test_that_the_page_on_app_connect_names_exists() {
    let tests = tests();
    assert!(tests.len() > 200, "the tests were found");
    let is_name = |code: &str| {
        let is_word = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "_/:".contains(char);
        code.contains("::")
            && code.chars().all(is_word)
            && code.rsplit("::").next().is_some_and(|last| last.contains('_'))
    };
    let page = Page::read(NAMES_TESTS);
    let code = page.code().into_iter().filter(|code| code.language.is_none() && is_name(&code.text));
    let named: BTreeSet<String> = code.map(|code| code.text).collect();
    assert!(named.len() > 30, "{NAMES_TESTS} names tests");
    let missing: Vec<String> =
        named.iter().filter(|name| !tests.iter().any(|test| is_named(test, name))).cloned().collect();
    assert!(missing.is_empty(), "{NAMES_TESTS} names tests that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn a_test_is_named_by_the_end_of_its_path() {
    let test = (["api", "wire", "time", "tests"].map(str::to_owned).to_vec(), "durations".to_owned());
    for (name, expected) in [
        ("wire/time::durations", true),
        ("time::durations", true),
        ("api::wire::time::durations", true),
        ("durations", true),
        ("wire/value::durations", false),
        ("wire/time::duration", false),
        ("other/time::durations", false),
    ] {
        assert_eq!(is_named(&test, name), expected, "{name}");
    }
}
