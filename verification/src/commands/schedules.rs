//! `verification schedules`: the use-cases in random orders with random faults.

use std::{io::Write, time::Instant};

use super::Verdict;
use crate::simulation::{
    crm::Kind,
    schedules::{self, Options},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The first seed; with `--trace` the only one
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The number of schedules
    #[arg(long, default_value_t = 25_000)]
    count: u64,
    /// Only CRMs of this kind [default: all kinds in turn]
    #[arg(long)]
    kind: Option<Kind>,
    /// The number of threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Run only the schedule of the seed, and print its trace
    #[arg(long)]
    trace: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let options = Options { kind: arguments.kind, defect: None };
    if arguments.trace {
        let (violations, trace) = schedules::replay(arguments.seed, options);
        for line in trace.iter().chain(&violations) {
            writeln!(out, "{line}")?;
        }
        return Ok(violations.is_empty());
    }
    let started = Instant::now();
    let summary = schedules::run(arguments.seed, arguments.count, arguments.threads, options);
    for broken in &summary.broken {
        let (seed, kind) = (broken.seed, broken.kind);
        writeln!(out, "seed {seed}, {kind}: {}", broken.violations.join("; "))?;
        writeln!(out, "    to replay it: verification schedules --kind {kind} --seed {seed} --trace")?;
    }
    for (kind, count) in &summary.kinds {
        writeln!(out, "{count} of kind {kind}")?;
    }
    for (twin, count) in &summary.twins {
        writeln!(out, "{count} with a second call: {twin}")?;
    }
    writeln!(out, "{} with a user who moves", summary.relocations)?;
    writeln!(out, "{} calls have a further record, because the CRM shows none", summary.repeated)?;
    writeln!(
        out,
        "{} schedules in {:.1} s: {} moves, {} requests to the table, {} faults, {} crashes; {} broke a promise",
        summary.schedules(),
        started.elapsed().as_secs_f64(),
        summary.moves,
        summary.table_requests,
        summary.faults,
        summary.crashes,
        summary.broken.len()
    )?;
    Ok(summary.broken.is_empty())
}
