//! `verification mutants`: broken rules of the protocol, each of which has to be detected.

use std::io::Write;

use super::Verdict;
use crate::model::mutant::{Detection, Mutant, detect, harmful, harmless};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the shortest trace to each detection
    #[arg(long)]
    traces: bool,
    /// Only the mutants whose sentence contains this text
    #[arg(long, default_value = "")]
    only: String,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let is_wanted = |mutant: &&Mutant| mutant.sentence().contains(&arguments.only);
    let (mut found, mut count) = (0, 0);
    for mutant in harmful().iter().filter(is_wanted) {
        count += 1;
        let Some(detection) = detect(*mutant) else {
            writeln!(out, "SURVIVES {}", mutant.sentence())?;
            continue;
        };
        found += 1;
        let Detection { scope, problem, states, trace } = detection;
        let (steps, problem) = (trace.len(), problem.sentence());
        writeln!(out, "found    {}: {problem}", mutant.sentence())?;
        writeln!(out, "         {scope}: {steps} steps, {states} states explored")?;
        if arguments.traces {
            writeln!(out, "\n{trace}")?;
        }
    }
    let (mut without_harm, mut expected_harmless) = (0, 0);
    for mutant in harmless().iter().filter(is_wanted) {
        let is_harmless = detect(*mutant).is_none();
        expected_harmless += 1;
        without_harm += usize::from(is_harmless);
        let verdict = if is_harmless { "harmless" } else { "HARMFUL " };
        writeln!(out, "{verdict} {}", mutant.sentence())?;
    }
    writeln!(out, "{found} of {count} found; {without_harm} of {expected_harmless} harmless")?;
    Ok(found == count && without_harm == expected_harmless)
}
