//! The program `proof`: one command for each way in which the protocol is proved.

use std::process::ExitCode;

use clap::Parser;
use proof::commands::Arguments;

fn main() -> ExitCode {
    Arguments::parse().run()
}
