//! `proof model`: every interleaving within the scopes.

use std::{io::Write, time::Instant};

use super::Verdict;
use crate::model::{
    explore::{Explored, Until, explore},
    scope::{Expected, RUNS, Run},
    step::Model,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only the runs whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// The way to what goes wrong in the runs that have to go wrong, too
    #[arg(long)]
    traces: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    writeln!(
        out,
        "{:<50} {:>10} {:>11} {:>7} {:>8} {:>10} {:>5} {:>6} {:>6} {:>6} {:>7}",
        "protocol", "states", "transitions", "ends", "given up", "duplicates", "dup.", "create", "update",
        "doomed", "seconds",
    )?;
    let mut is_good = true;
    for run in RUNS.iter().filter(|run| run.name.contains(&arguments.only)) {
        let started = Instant::now();
        let explored = explore(Model { scope: run.scope, mutant: None }, Until::Exhausted);
        let ends = explored.ends;
        writeln!(
            out,
            "{:<50} {:>10} {:>11} {:>7} {:>8} {:>10} {:>5} {:>6} {:>6} {:>6} {:>7.1}",
            format!("{} {}", run.name, run.scope),
            explored.states(),
            explored.transitions,
            ends.all,
            ends.given_up,
            explored.duplicates,
            ends.duplicates,
            ends.lost_creates,
            ends.lost_updates,
            explored.doomed,
            started.elapsed().as_secs_f64(),
        )?;
        out.flush()?;
        let is_as_expected = is_as_expected(run, &explored);
        if (!is_as_expected || arguments.traces)
            && let Some((problem, at)) = explored.problem
        {
            writeln!(out, "\n  {}:\n\n{}", problem.sentence(), explored.trace(at))?;
        }
        if !is_as_expected {
            writeln!(out, "  expected: {:?}", run.expected)?;
        }
        is_good &= is_as_expected;
    }
    Ok(is_good)
}

/// Whether a run shows what it has to.
pub fn is_as_expected(run: &Run, explored: &Explored) -> bool {
    let is_clean = explored.problem.is_none() && explored.ends.bad() == 0 && explored.doomed == 0;
    match run.expected {
        Expected::Clean => is_clean && explored.duplicates == 0,
        Expected::CleanInTheEnd => is_clean && explored.duplicates > 0,
        Expected::Wrong => !is_clean,
    }
}
