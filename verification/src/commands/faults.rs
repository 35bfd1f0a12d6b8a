//! `verification faults`: each fault at each step of the use-cases.

use std::{io::Write, time::Instant};

use super::Verdict;
use crate::simulation::faults::{self, Depth};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The number of threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print the trace of each run that breaks a promise
    #[arg(long)]
    trace: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let started = Instant::now();
    let summary = faults::run(arguments.threads, Depth::Full);
    for (name, trace) in &summary.broken {
        writeln!(out, "{name}")?;
        if arguments.trace {
            writeln!(out, "    {}", trace.join("\n    "))?;
        }
    }
    for (step, count) in &summary.steps {
        writeln!(out, "{count:>6} {step}")?;
    }
    writeln!(
        out,
        "{} runs in {:.1} s: {} steps at {} places; {} broke a promise",
        summary.runs,
        started.elapsed().as_secs_f64(),
        summary.steps.len(),
        summary.places,
        summary.broken.len()
    )?;
    Ok(summary.broken.is_empty())
}
