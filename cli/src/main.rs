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
        // The reader has closed the output because it has read enough, such as `head`.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
