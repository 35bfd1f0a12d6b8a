//! `verification model`: every interleaving of the model within the scopes.

use std::{io::Write, time::Instant};

use super::Verdict;
use crate::model::run::RUNS;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only the runs whose name contains this text
    #[arg(long, default_value = "")]
    only: String,
    /// Print the trace to the first problem of every run, also where a problem is expected
    #[arg(long)]
    traces: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    writeln!(
        out,
        "| run | scope | states | transitions | with two records (first after) | ends | given up |\
        \x20two records | lost create | lost update | doomed | seconds |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|---|")?;
    let all_started = Instant::now();
    let mut stories = Vec::new();
    let (mut runs, mut as_expected, mut all_states) = (0, 0, 0);
    for run in RUNS.iter().filter(|run| run.name.contains(&arguments.only)) {
        let started = Instant::now();
        let explored = run.explore();
        let seconds = started.elapsed().as_secs_f64();
        let ends = explored.ends;
        let first = explored.steps_to_duplicate.map(|steps| format!(" ({steps} steps)")).unwrap_or_default();
        let (states, transitions) = (grouped(explored.state_count()), grouped(explored.transitions));
        let duplicates = grouped(explored.duplicates);
        writeln!(
            out,
            "| {} | {} | {states} | {transitions} | {duplicates}{first} | {} | {} | {} | {} | {} | {} | {seconds:.1} |",
            run.name,
            run.scope,
            ends.all,
            ends.given_up,
            ends.duplicates,
            ends.lost_creates,
            ends.lost_updates,
            grouped(explored.doomed),
        )?;
        out.flush()?;
        let is_as_expected = run.is_as_expected(&explored);
        runs += 1;
        as_expected += usize::from(is_as_expected);
        all_states += explored.state_count();
        if !is_as_expected {
            stories.push(format!("{}: expected {:?}", run.name, run.expected));
        }
        if (!is_as_expected || arguments.traces)
            && let Some((problem, at)) = explored.problem
        {
            stories.push(format!("{}: {}\n\n{}", run.name, problem.sentence(), explored.trace(at)));
        }
    }
    for story in stories {
        writeln!(out, "\n{story}")?;
    }
    let (states, seconds) = (grouped(all_states), all_started.elapsed().as_secs_f64());
    writeln!(out, "{as_expected} of {runs} runs as expected; {states} states in {seconds:.1} s")?;
    Ok(as_expected == runs)
}

/// Formats a number with a comma between the thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
