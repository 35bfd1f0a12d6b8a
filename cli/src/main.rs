//! The program `call-log`.

use std::process::ExitCode;

use clap::Parser;
use cli::{arguments::Arguments, commands, output};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    call_log::telemetry::logging::to_terminal(arguments.log_level());
    call_log::startup::panics::install_hook();
    match commands::run(arguments.command()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if commands::is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(error.as_ref(), commands::advice(error.as_ref()).as_deref());
            ExitCode::FAILURE
        }
    }
}
