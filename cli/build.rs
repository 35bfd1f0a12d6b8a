//! Sets `CALL_LOG_VERSION`: the version of the package, with the commit and its date if the source is a git checkout.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = match commit() {
        Some(commit) => format!("{VERSION} ({commit})"),
        None => VERSION.to_owned(),
    };
    println!("cargo::rustc-env=CALL_LOG_VERSION={version}");
}

/// Returns the abbreviated hash and the date of the commit that is checked out. `None`: git is not installed, or this is
/// no checkout of the project, such as an unpacked archive (also if another repository contains it).
fn commit() -> Option<String> {
    let root = Path::new(PACKAGE).parent()?.canonicalize().ok()?;
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != root {
        return None;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let files = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    for path in files.filter_map(git_path) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    git(&["log", "-1", "--format=%h %cs", "--abbrev=12"])
}

/// Returns the path of a file of the repository, if the file exists: Cargo would run the script each time for a path that
/// does not.
fn git_path(name: &str) -> Option<PathBuf> {
    let path = Path::new(PACKAGE).join(git(&["rev-parse", "--git-path", name])?);
    path.exists().then_some(path)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(PACKAGE).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
