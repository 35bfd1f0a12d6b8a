//! `verification schedules`: the use-cases in random orders with random faults.

use std::{io::Write, time::Instant};

use super::Verdict;
use crate::simulation::schedules;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The first seed; with `--trace` the only one
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The number of schedules
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    /// The number of threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Run only the schedule of the seed, and print its trace
    #[arg(long)]
    trace: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    if arguments.trace {
        let (violations, trace) = schedules::replay(arguments.seed);
        for line in trace.iter().chain(&violations) {
            writeln!(out, "{line}")?;
        }
        return Ok(violations.is_empty());
    }
    let started = Instant::now();
    let summary = schedules::run(arguments.seed, arguments.count, arguments.threads, None);
    for broken in &summary.broken {
        writeln!(out, "seed {}: {}", broken.seed, broken.violations.join("; "))?;
        writeln!(out, "    to replay it: verification schedules --seed {} --trace", broken.seed)?;
    }
    writeln!(
        out,
        "{} schedules in {:.1} s: {} moves, {} requests to the table, {} faults, {} crashes; {} broke a promise",
        summary.schedules,
        started.elapsed().as_secs_f64(),
        summary.moves,
        summary.table_requests,
        summary.faults,
        summary.crashes,
        summary.broken.len()
    )?;
    Ok(summary.broken.is_empty())
}
