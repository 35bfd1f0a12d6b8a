//! The commands of the program, one module each.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

mod defects;
mod faults;
mod model;
mod mutants;
mod properties;
mod schedules;

/// Checks the call-log protocol by bounded model checking, fault injection and deterministic simulation
///
/// None of the commands is a proof: each checks every case within its bounds, or cases drawn at random, and says nothing
/// about cases outside. The exit code is 1 if a check fails.
#[derive(Debug, Parser)]
#[command(name = "verification")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bounded model checking: explores every interleaving of a model of the protocol within fixed scopes
    ///
    /// Each scope bounds the number of requests, crashes and pauses. The command prints a table of what it found, and a
    /// trace for each run that does not show the expected result.
    Model(model::Arguments),
    /// Mutation testing of the model: breaks one rule of the protocol at a time, and prints what detects it
    ///
    /// A mutant that no property detects shows a gap in the properties.
    Mutants(mutants::Arguments),
    /// Fault injection: runs the real use-cases with each fault at each step of fixed scenarios
    ///
    /// Each run has one fault, alone and beside a second request. The table is an embedded DynamoDB, the CRM a fake.
    Faults(faults::Arguments),
    /// Deterministic simulation: runs the real use-cases in random orders with random faults
    ///
    /// A schedule depends only on its seed, so that a failing one can be replayed. An oracle checks the promises; it knows
    /// for each CRM record which call it was created for.
    Schedules(schedules::Arguments),
    /// Mutation testing of the simulation: breaks one rule at a time, and prints the first schedule that detects it
    ///
    /// A defect that no schedule detects shows a gap in the schedules or in the oracle.
    Defects(defects::Arguments),
    /// Property tests: many requests at the same time, every order, a long outage, people's edits
    ///
    /// They run the real use-cases in the same simulation as the schedules.
    Properties(properties::Arguments),
}

/// `true` if every check has passed.
type Verdict = io::Result<bool>;

impl Arguments {
    /// Runs the command. The exit code is a failure if a check fails.
    pub fn run(self) -> ExitCode {
        let mut out = io::stdout().lock();
        let verdict = match self.command {
            Command::Model(arguments) => model::run(&arguments, &mut out),
            Command::Mutants(arguments) => mutants::run(&arguments, &mut out),
            Command::Faults(arguments) => faults::run(&arguments, &mut out),
            Command::Schedules(arguments) => schedules::run(&arguments, &mut out),
            Command::Defects(arguments) => defects::run(&arguments, &mut out),
            Command::Properties(arguments) => properties::run(&arguments, &mut out),
        };
        match verdict {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "verification: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
