//! A short list of faults at every step of the use-cases. `cargo run --release -p verification -- faults` injects all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use verification::simulation::faults::{self, Depth};

/// The steps that no scenario reaches, because each has one call with one log, and one user, who never moves. The files
/// `breakers.rs`, `identities.rs`, `lookalikes.rs`, `moved_users.rs` and `unnamed_contacts.rs` in `tests/tests/suite/delivery/`,
/// and `connections.rs`, `contacts.rs`, `dispositions.rs` and `lookups.rs` in `tests/tests/suite/api/`, reach them; so does
/// `connections.rs` in `tests/tests/suite/program/`.
const ELSEWHERE: [&str; 39] = [
    "administration.read",
    "administration.store",
    "breaker.close",
    "breaker.open",
    "breaker.probe",
    "choices.further",
    "choices.read",
    "connection.user",
    "contacts.claim",
    "contacts.finish",
    "contacts.forget",
    "contacts.keep",
    "contacts.read",
    "contacts.wait",
    "create.add",
    "create.creator",
    "create.end",
    "create.mapping",
    "create.teach",
    "crm.choices",
    "crm.create_contact",
    "crm.find_names",
    "crm.identify",
    "crm.missing_setup",
    "crm.set_up",
    "crm.users",
    "lookup.further",
    "lookup.open",
    "lookup.read",
    "mapping.read",
    "mapping.store",
    "recovery.rival",
    "redrive.discard",
    "settings.read",
    "settings.reread",
    "settings.store",
    "settings.tenant",
    "settings.user",
    "update.teach",
];

/// Returns the names of the steps in the sources of the use-cases.
fn steps_in_sources() -> BTreeSet<String> {
    fn read(directory: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, names);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for call in ["reach(\"", "finish(\"", "keep(\"", "release(\"", "fail(\""] {
                let quoted = text.split(call).skip(1).filter_map(|rest| rest.split('"').next());
                names.extend(quoted.filter(|name| name.contains('.')).map(str::to_owned));
            }
        }
    }
    let mut names = BTreeSet::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src"), &mut names);
    names
}

#[test]
fn no_fault_at_any_step_breaks_a_promise() {
    let summary = faults::run(2, Depth::Short);
    let broken: Vec<_> = summary.broken.iter().map(|(name, _)| name.as_str()).collect();
    assert!(broken.is_empty(), "{} of {} runs:\n{}", broken.len(), summary.runs, broken.join("\n"));

    let reached: BTreeSet<_> = summary.steps.keys().map(|name| (*name).to_owned()).collect();
    let mut missed = steps_in_sources();
    missed.retain(|step| !reached.contains(step) && !ELSEWHERE.contains(&step.as_str()));
    assert!(missed.is_empty(), "no scenario reaches {missed:?}");
    assert!(
        reached.len() >= 39 && summary.places >= 200,
        "{} steps at {} places",
        reached.len(),
        summary.places
    );
}
