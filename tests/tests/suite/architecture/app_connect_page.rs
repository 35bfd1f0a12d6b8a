//! What call loggers are known to get wrong, where no other module has a test of it. `docs/app-connect.md` has the
//! whole list.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/app-connect.md")).unwrap();
    assert!(page.lines().count() <= 150, "docs/app-connect.md is at most 150 lines");
    let names: Vec<_> = page.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    assert!(names.len() > 50, "the names were found");
    for (module, test) in names {
        let files =
            ["tests/tests/suite", "shared/src"].map(|home| root.join(home).join(format!("{module}.rs")));
        let source = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}()")), "docs/app-connect.md names {module}::{test}");
    }
}
