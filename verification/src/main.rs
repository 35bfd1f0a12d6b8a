//! The program `proof`: one command for each way in which the protocol is proved.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use verification::commands::Arguments;

/// Millions of small things are made and dropped: it takes a tenth of the time away.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Arguments::parse().run()
}
