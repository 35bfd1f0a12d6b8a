//! The program's commands, one module each.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

mod faults;
mod model;
mod mutants;
mod properties;
mod schedules;

/// Proves the protocol.
#[derive(Debug, Parser)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs what must hold of many requests, of every order, after an outage, and between people's edits
    Properties(properties::Arguments),
    /// Explores every interleaving of the model, and prints what was seen
    Model(model::Arguments),
    /// Puts faults into the model, and prints what found each
    Mutants(mutants::Arguments),
    /// Runs each fault at each step of the use-cases
    Faults(faults::Arguments),
    /// Runs the use-cases in random orders with random faults
    Schedules(schedules::Arguments),
}

/// Whether the protocol is as it should be.
type Verdict = io::Result<bool>;

impl Arguments {
    /// Runs the command; a failure is a protocol that is not as it should be.
    pub fn run(self) -> ExitCode {
        let mut out = io::stdout().lock();
        let verdict = match self.command {
            Command::Model(arguments) => model::run(&arguments, &mut out),
            Command::Mutants(arguments) => mutants::run(&arguments, &mut out),
            Command::Faults(arguments) => faults::run(&arguments, &mut out),
            Command::Schedules(arguments) => schedules::run(&arguments, &mut out),
            Command::Properties(arguments) => properties::run(&arguments, &mut out),
        };
        match verdict {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "proof: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
