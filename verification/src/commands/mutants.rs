//! `proof mutants`: each fault in the protocol has to be found.

use std::io::Write;

use super::Verdict;
use crate::model::mutant::{Kill, Mutant, harmful, harmless, hunt};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shortest way to what found it, too
    #[arg(long)]
    traces: bool,
    /// Only the mutants whose sentence has this in it
    #[arg(long, default_value = "")]
    only: String,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let wanted = |mutant: &&Mutant| mutant.sentence().contains(&arguments.only);
    let (mut found, mut count) = (0, 0);
    for mutant in harmful().iter().filter(wanted) {
        count += 1;
        let Some(kill) = hunt(*mutant) else {
            writeln!(out, "SURVIVES {}", mutant.sentence())?;
            continue;
        };
        found += 1;
        let Kill { scope, problem, states, trace } = kill;
        let (steps, problem) = (trace.len(), problem.sentence());
        writeln!(out, "found    {}: {problem}", mutant.sentence())?;
        writeln!(out, "         {scope}: {steps} steps, {states} states seen")?;
        if arguments.traces {
            writeln!(out, "\n{trace}")?;
        }
    }
    let mut is_harmless = true;
    for mutant in harmless().iter().filter(wanted) {
        let kill = hunt(*mutant);
        is_harmless &= kill.is_none();
        let verdict = if kill.is_none() { "harmless" } else { "HARMFUL " };
        writeln!(out, "{verdict} {}", mutant.sentence())?;
    }
    writeln!(out, "{found} of {count} found")?;
    Ok(found == count && is_harmless)
}
