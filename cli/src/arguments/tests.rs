//! Tests of the arguments.

use super::*;

#[test]
fn no_command_means_serve_with_its_documented_defaults() {
    let without = Arguments::try_parse_from(["call-log"]).unwrap().command();
    let serve = Arguments::try_parse_from(["call-log", "serve"]).unwrap().command();
    assert_eq!(format!("{without:?}"), format!("{serve:?}"));
}

#[test]
fn a_format_is_accepted_by_its_short_name_and_by_its_media_type() {
    for name in ["html", "text/html"] {
        let command = Arguments::try_parse_from(["call-log", "compose", "--format", name]).unwrap().command();
        assert!(matches!(command, Command::Compose { format: NoteFormat::Html }), "{name}");
    }
}
