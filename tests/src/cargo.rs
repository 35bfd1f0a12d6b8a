//! Cargo, as a test or a benchmark starts it.

use std::{path::Path, process::Command};

/// Returns cargo in the folder of this workspace. The variables that cargo sets for the package of the running program would make
/// ring's build script run again, and then everything that depends on ring would be built again, so they are removed.
pub fn command() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    cargo
}
