//! Compares the functions with a floor: cold start, CPU time, memory, latency, and the cost of a million invocations.
//!
//! It builds the functions and the floor as they are deployed, starts an emulator of Lambda's Runtime API and fakes of
//! DynamoDB and the CRM behind TLS, runs all of them in turn, and prints tables. Absolute times depend on the machine
//! and its load; the ratios are comparable.

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
mod tenants;
mod warm;

use arguments::Arguments;
use harness::Harness;

fn main() {
    let arguments = Arguments::read();
    let subjects = subject::build(&arguments.peers);
    let mut harness = Harness::set();
    let create = subjects.iter().find(|subject| subject.name == "create-call-log");
    if arguments.only_tenants {
        return tenants::measure(&mut harness, create.expect("it is a subject"));
    }

    cold::measure(&mut harness, &subjects, arguments.starts);
    warm::measure(&mut harness, &subjects, arguments.warm);
    if arguments.only_ratios {
        return;
    }
    let own: Vec<_> = subjects.iter().filter(|subject| subject.floor.is_some()).collect();
    let hops = hops::measure(&mut harness, &own);
    crowd::measure(&mut harness, &own);
    tenants::measure(&mut harness, create.expect("it is a subject"));
    bill::print(&mut harness, &own, &hops);
}
