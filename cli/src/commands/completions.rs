//! `call-log completions`: what a shell needs to complete the commands.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Failure;
use crate::arguments::Arguments;

pub(super) fn run(shell: Shell) -> Result<(), Failure> {
    // First as a whole: what writes it panics where nobody reads.
    let mut script = Vec::new();
    generate(shell, &mut <Arguments as CommandFactory>::command(), "call-log", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
