//! The proofs that take longer than a test.

#![expect(clippy::print_stdout, reason = "it is a program, and this is what it says")]

use std::{process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use proof::real::{
    crm, laws,
    points::{self, Depth},
    schedules,
};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    proof: Proof,
}

#[derive(Subcommand)]
enum Proof {
    /// Runs what must hold of many requests, of every order and after an outage.
    Laws {
        /// How many orders, and how many cases of people's edits.
        #[arg(long, default_value_t = 10_000)]
        cases: u64,
        /// How long the CRM is down, in hours.
        #[arg(long, default_value_t = 72)]
        hours: i64,
    },
    /// Runs each fault at each step.
    Points {
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Tells what was done in each run that broke a promise.
        #[arg(long)]
        trace: bool,
    },
    /// Runs the use-cases in random orders with random faults.
    Schedules {
        /// The first seed, or the only one with `--trace`.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        #[arg(long, default_value_t = 20_000)]
        count: u64,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Runs the schedule of the seed alone and tells what was done.
        #[arg(long)]
        trace: bool,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().proof {
        Proof::Laws { cases, hours } => {
            let bodies = laws::orders(cases);
            println!("{cases} orders: {} different bodies", bodies.len());
            let crowd = laws::crowd(200, 1);
            println!("200 updates at once: {} changes; {:?}", crowd.changes, crowd.wrong);
            let expiry = laws::expiry(1_000, -1);
            println!("1000 calls at the end of a grant: {expiry:?}");
            let outage = laws::outage(hours, 20);
            println!("{hours} hours of outage: {outage:?}");
            let mut is_fine = bodies.len() == 1 && crowd.wrong.is_empty() && crowd.changes <= 200;
            is_fine &= expiry.token_calls == 1 && expiry.logged == 1_000;
            is_fine &= outage.wrong.is_empty() && outage.most_probes <= 1 && outage.too_many == 0;
            for crm in [&crm::CAREFUL, &crm::PLAIN] {
                let edits = laws::edits(cases, crm);
                println!(
                    "{} edits, compare-and-set {}: {} lost",
                    edits.edits,
                    crm.compare_and_set,
                    edits.lost.len()
                );
                for lost in edits.lost.iter().take(5) {
                    println!("    {lost}");
                }
                is_fine &= edits.lost.is_empty();
            }
            if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Proof::Points { threads, trace } => {
            let started = Instant::now();
            let summary = points::run(threads, Depth::All);
            for (name, done) in &summary.broken {
                println!("{name}");
                if trace {
                    println!("    {}", done.join("\n    "));
                }
            }
            for (step, count) in &summary.steps {
                println!("{count:>6} {step}");
            }
            println!(
                "{} runs in {:.1} s: {} steps at {} places; {} broke a promise",
                summary.runs,
                started.elapsed().as_secs_f64(),
                summary.steps.len(),
                summary.places,
                summary.broken.len()
            );
            if summary.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Proof::Schedules { seed, trace: true, .. } => {
            let (wrong, trace) = schedules::replay(seed);
            for line in trace.iter().chain(&wrong) {
                println!("{line}");
            }
            if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Proof::Schedules { seed, count, threads, trace: false } => {
            let started = Instant::now();
            let summary = schedules::run(seed, count, threads);
            let seconds = started.elapsed().as_secs_f64();
            println!(
                "{} schedules in {seconds:.1} s: {} moves, {} requests to the table, {} faults, {} deaths",
                summary.schedules, summary.moves, summary.table_requests, summary.faults, summary.killed
            );
            tell(&summary)
        }
    }
}

fn tell(summary: &schedules::Summary) -> ExitCode {
    for broken in &summary.broken {
        println!("seed {}: {}", broken.seed, broken.wrong.join("; "));
        println!("    replay it: proof schedules --seed {} --trace", broken.seed);
    }
    if summary.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
