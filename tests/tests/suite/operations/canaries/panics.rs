//! A panic's message can quote what somebody said: the standard library's own do.

use std::process::Command;

use super::*;

/// Not a test: the process that the next one looks at.
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
fn a_panic_tells_where_and_not_what() {
    for kind in ["cloud", "terminal"] {
        let test = format!("{}::a_process_that_panics", module_path!().split_once("::").unwrap().1);
        let arguments = ["--exact", &test, "--ignored", "--nocapture"];
        let mut process = Command::new(std::env::current_exe().unwrap());
        let output = process.args(arguments).arg(format!("--skip={kind}")).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.contains("1 passed"), "{kind}: {said}");
        assert_eq!(said.matches("canaries/panics.rs:").count(), 2, "{kind}: {said}");
        check_absent("the log", &said, &PERSONAL);
    }
}
