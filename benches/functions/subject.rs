//! Who is measured: the functions, the floor of each, and peers.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{environment::Environment, harness::Harness};

/// A program that is measured.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) verb: Verb,
    /// Which of the subjects is its floor.
    pub(crate) floor: Option<usize>,
}

/// What it is asked to do.
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
    /// One environment of it, freshly started.
    pub(crate) fn start(&self, stage: &Harness) -> Environment {
        let mut variables = stage.variables();
        variables.insert("FLOOR".to_owned(), self.verb.name().to_owned());
        Environment::start(&self.command, &variables)
    }

    /// Events for one environment of it.
    pub(crate) fn events(&self, stage: &mut Harness, count: usize) -> Vec<String> {
        match self.verb {
            Verb::Create => (0..count).map(|_| stage.create()).collect(),
            Verb::Update => stage.updates().take(count).collect(),
        }
    }
}

/// Builds the functions and the floor as they are deployed; all subjects, the floors first.
pub(crate) fn build(peers: &[String]) -> Vec<Subject> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let packages = ["create-call-log", "update-call-log", "bench-programs"];
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this program about its own package would make ring's build script run again, and with it
    // everything that stands on ring.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    let built = cargo
        .args(["build", "--release", "--quiet"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .current_dir(&root)
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

/// `target/release`, wherever the target is: this program is in `target/release/deps`.
fn release_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.parent().and_then(Path::parent).expect("the benchmark is in target/release/deps").to_owned()
}
