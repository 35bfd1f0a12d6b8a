//! `proof schedules`: the use-cases in random orders, with random faults.

use std::{io::Write, time::Instant};

use super::Verdict;
use crate::simulation::schedules;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The first seed, or the only one with `--trace`
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs the schedule of the seed alone, and tells what was done
    #[arg(long)]
    trace: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    if arguments.trace {
        let (wrong, trace) = schedules::replay(arguments.seed);
        for line in trace.iter().chain(&wrong) {
            writeln!(out, "{line}")?;
        }
        return Ok(wrong.is_empty());
    }
    let started = Instant::now();
    let summary = schedules::run(arguments.seed, arguments.count, arguments.threads);
    writeln!(
        out,
        "{} schedules in {:.1} s: {} moves, {} requests to the table, {} faults, {} deaths; {} broke a promise",
        summary.schedules,
        started.elapsed().as_secs_f64(),
        summary.moves,
        summary.table_requests,
        summary.faults,
        summary.killed,
        summary.broken.len()
    )?;
    for broken in &summary.broken {
        writeln!(out, "seed {}: {}", broken.seed, broken.wrong.join("; "))?;
        writeln!(out, "    replay it: proof schedules --seed {} --trace", broken.seed)?;
    }
    Ok(summary.broken.is_empty())
}
