//! `call-log completions`: prints completions for a shell.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{arguments::Arguments, error::CommandError};

pub(super) fn run(shell: Shell) -> Result<(), CommandError> {
    // `generate` panics if its output fails, so it writes into memory first.
    let mut script = Vec::new();
    generate(shell, &mut <Arguments as CommandFactory>::command(), "call-log", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
