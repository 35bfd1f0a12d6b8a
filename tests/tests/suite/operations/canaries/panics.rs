//! A panic's message can contain personal data: messages of the standard library quote the values that they are about.

use std::process::Command;

use super::*;

/// Not a test: the process whose output the next test checks.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn a_process_that_panics() {
    match std::env::args().next_back().as_deref() {
        Some("--skip=cloud") => call_log::startup::log_to_cloud(),
        _ => call_log::telemetry::logging::to_terminal(tracing::Level::INFO),
    }
    call_log::startup::panics::install_hook();
    let note = format!("é{NOTE}");
    let cut = call_log::startup::panics::caught(async { note[1..].len() });
    assert_eq!(cut.await, Err(call_log::startup::panics::Panicked));
    let plain =
        call_log::startup::panics::caught(async { if note.is_empty() { 0 } else { panic!("{note}") } });
    assert_eq!(plain.await.unwrap_err().to_string(), "the request panicked: the log has the location");
    assert_eq!(call_log::startup::panics::caught(async { 1 }).await, Ok(1));
}

#[test]
fn a_panic_is_logged_with_its_location_and_without_its_message() {
    for kind in ["cloud", "terminal"] {
        let test = format!("{}::a_process_that_panics", module_path!().split_once("::").unwrap().1);
        let arguments = ["--exact", &test, "--ignored", "--nocapture"];
        let mut process = Command::new(std::env::current_exe().unwrap());
        let output = process.args(arguments).arg(format!("--skip={kind}")).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(output.status.success() && printed.contains("1 passed"), "{kind}: {printed}");
        assert_eq!(printed.matches("canaries/panics.rs:").count(), 2, "{kind}: {printed}");
        check_absent("the log", &printed, &PERSONAL);
    }
}
