//! The functions beside a floor: cold start, CPU time, memory, latency, and what a million of them cost.
//!
//! It builds the functions and the floor as they are deployed, sets up an emulator of Lambda's Runtime API and
//! stand-ins for DynamoDB and the CRM behind TLS, runs all of them in turn, and prints tables. Absolute times hold for
//! one machine and day; the ratios are the message.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints"
)]

mod arguments;
mod bill;
mod cold;
mod crowd;
mod environment;
mod figures;
mod harness;
mod hops;
mod subject;
mod warm;

use arguments::Arguments;
use harness::Harness;

fn main() {
    let arguments = Arguments::read();
    let subjects = subject::build(&arguments.peers);
    let mut stage = Harness::set();

    cold::measure(&mut stage, &subjects, arguments.starts);
    warm::measure(&mut stage, &subjects, arguments.warm);
    if arguments.only_ratios {
        return;
    }
    let own: Vec<_> = subjects.iter().filter(|subject| subject.floor.is_some()).collect();
    let hops = hops::measure(&mut stage, &own);
    crowd::measure(&mut stage, &own);
    bill::print(&mut stage, &own, &hops);
}
