//! The program `verification`: bounded model checking, fault injection and deterministic simulation of the protocol.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use verification::commands::Arguments;

/// The simulation makes millions of small allocations. This allocator saves a tenth of the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Arguments::parse().run()
}
