//! The invariants of ARCHITECTURE.md, read off the sources.

mod app_connect_page;
mod sync_points;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file: its path in the repository, and its text without comments and tests.
struct Source {
    path: String,
    code: String,
    lines: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for directory in [
        "shared/src",
        "functions",
        "cli/src",
        "tests/src",
        "tests/tests",
        "verification/src",
        "verification/tests",
    ] {
        collect(&root().join(directory), &mut files);
    }
    files.sort();
    let source = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        Source {
            path: file.strip_prefix(root()).unwrap().display().to_string(),
            code: own.lines().filter(is_code).collect::<Vec<_>>().join("\n"),
            lines: text.lines().count(),
        }
    };
    let sources: Vec<_> = files.into_iter().map(source).collect();
    assert!(sources.len() > 40, "the sources were found");
    sources
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails for each file under `within` that has one of the words, unless its path starts as one of `except`.
fn check_absent(within: &str, words: &[&str], except: &[&str], why: &str) {
    let broken: Vec<_> = sources()
        .iter()
        .filter(|source| source.path.starts_with(within))
        .filter(|source| !except.iter().any(|room| source.path.starts_with(room)))
        .flat_map(|source| {
            let found = words.iter().filter(|word| source.code.contains(**word));
            found.map(|word| format!("{} has `{word}`", source.path)).collect::<Vec<_>>()
        })
        .collect();
    assert!(broken.is_empty(), "{why}:\n{}", broken.join("\n"));
}

#[test]
fn each_outside_thing_has_one_room() {
    check_absent("shared/", &["lambda_http", "lambda_runtime"], &[], "only functions/* know Lambda");
    check_absent("cli/", &["lambda_http", "lambda_runtime"], &[], "only functions/* know Lambda");
    check_absent(
        "shared/",
        &["aws_sdk_dynamodb", "AttributeValue"],
        &["shared/src/store/"],
        "only store/ knows DynamoDB",
    );
    check_absent(
        "shared/",
        &["reqwest"],
        &[
            "shared/src/startup/transport.rs",
            "shared/src/startup/app.rs",
            "shared/src/startup/aws.rs",
            "shared/src/startup/data_keys.rs",
            "shared/src/startup/parameters.rs",
            "shared/src/startup/config.rs",
            "shared/src/adapters/client.rs",
            "shared/src/store/mod.rs",
        ],
        "the HTTP client is named where it is made, lent and used, and nowhere else",
    );
    check_absent(
        "shared/",
        &["env::var"],
        &["shared/src/startup/config.rs"],
        "only config.rs reads the environment",
    );
    check_absent(
        "cli/",
        &["env::var"],
        &["cli/src/environment.rs"],
        "only environment.rs reads the program's environment",
    );
    check_absent(
        "shared/",
        &["SystemTime::now", "Utc::now", "Local::now"],
        &["shared/src/model/clock.rs"],
        "the clock is passed in",
    );
    check_absent(
        "shared/",
        &["StatusCode"],
        &["shared/src/api/mod.rs", "shared/src/adapters/client.rs"],
        "statuses",
    );
    check_absent("shared/", &["tokio::spawn", "thread::spawn", "JoinSet"], &[], "no detached tasks");
}

#[test]
fn rooms_depend_in_one_direction() {
    check_absent("shared/src/model/", &["crate::"], &[], "model/ uses nothing of the house");
    check_absent(
        "shared/src/note/",
        &[
            "crate::store",
            "crate::adapters",
            "crate::api",
            "crate::auth",
            "crate::startup",
            "tokio",
            "async ",
        ],
        &[],
        "note/ knows model/ only, and does no I/O",
    );
    check_absent(
        "shared/src/adapters/",
        &["crate::store", "crate::api", "crate::auth", "crate::startup", "crate::delivery"],
        &[],
        "adapters know model/ and note/ only",
    );
    check_absent(
        "shared/src/api/wire/",
        &["crate::store", "crate::adapters", "crate::auth", "crate::startup", "crate::note"],
        &[],
        "wire/ knows model/ only",
    );
    check_absent(
        "shared/src/store/",
        &["crate::adapters", "crate::api", "crate::auth", "crate::startup", "crate::delivery"],
        &[],
        "store/ is below the use-cases",
    );
    for crm in call_log::adapters::REGISTRY {
        let name = crm.platform();
        let file = format!("shared/src/adapters/{name}");
        check_absent(
            "shared/src/adapters/",
            &[&format!("super::{name}")],
            &[&file],
            "no adapter uses a sibling",
        );
        check_absent("shared/", &[&format!("\"{name}\"")], &[&file], "no list of CRMs but the registry");
    }
}

#[test]
fn a_file_over_400_lines_has_a_reason() {
    let long: Vec<_> =
        sources().iter().filter(|source| source.lines > 400).map(|source| source.path.clone()).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn the_architecture_names_what_there_is() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(page.lines().count() <= 150, "ARCHITECTURE.md is at most 150 lines");
    for entry in fs::read_dir(root().join("shared/src")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            name == "lib" || page.contains(&name),
            "ARCHITECTURE.md does not say what shared/src/{name} is"
        );
    }
}
