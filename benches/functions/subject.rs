//! The programs that are measured: the functions, the floor of each, and peers.

use std::path::{Path, PathBuf};

use crate::{environment::Environment, harness::Harness};

/// A program that is measured.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) verb: Verb,
    /// The index of its floor in the list of subjects.
    pub(crate) floor: Option<usize>,
}

/// The operation that a subject executes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
        }
    }
}

impl Subject {
    /// Starts an environment of the subject.
    pub(crate) fn start(&self, harness: &Harness) -> Environment {
        let mut variables = harness.variables();
        variables.insert("FLOOR".to_owned(), self.verb.name().to_owned());
        Environment::start(&self.command, &variables)
    }

    /// Returns events for one environment.
    pub(crate) fn events(&self, harness: &mut Harness, count: usize) -> Vec<String> {
        match self.verb {
            Verb::Create => (0..count).map(|_| harness.create()).collect(),
            Verb::Update => harness.updates().take(count).collect(),
        }
    }
}

/// Builds the functions and the floor as they are deployed. Returns all subjects, the floors first.
pub(crate) fn build(peers: &[String]) -> Vec<Subject> {
    let packages = ["create-call-log", "update-call-log", "bench-programs"];
    let built = tests::cargo::command()
        .args(["build", "--release", "--quiet"])
        // As cargo-lambda builds them.
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the functions can be built");
    let release = release_directory();
    let program = |name: &str| vec![release.join(name).display().to_string()];
    let subject = |name: &str, program: Vec<String>, verb, floor| Subject {
        name: name.to_owned(),
        command: program,
        verb,
        floor,
    };
    let mut subjects = vec![
        subject("floor, create", program("floor"), Verb::Create, None),
        subject("floor, update", program("floor"), Verb::Update, None),
        subject("create-call-log", program("create-call-log"), Verb::Create, Some(0)),
        subject("update-call-log", program("update-call-log"), Verb::Update, Some(1)),
    ];
    for peer in peers {
        let command = peer.split_whitespace().map(str::to_owned).collect();
        subjects.push(subject(&format!("`{peer}`"), command, Verb::Create, None));
    }
    subjects
}

/// Returns `target/release`, from the path of this program, which is in `target/release/deps`.
fn release_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.parent().and_then(Path::parent).expect("the benchmark is in target/release/deps").to_owned()
}
