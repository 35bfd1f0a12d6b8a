//! `proof mutants`: each fault in the protocol has to be found.

use std::io::Write;

use super::Verdict;
use crate::model::mutant::{MUTANTS, hunt};

pub(super) fn run(out: &mut impl Write) -> Verdict {
    let mut found = 0;
    for mutant in MUTANTS {
        match hunt(*mutant) {
            Some(kill) => {
                found += 1;
                let (problem, states) = (kill.problem.sentence(), kill.states);
                writeln!(out, "found    {}: {problem}, after {states} states {}", mutant.sentence(), kill.scope)?;
            }
            None => writeln!(out, "SURVIVES {}", mutant.sentence())?,
        }
    }
    writeln!(out, "{found} of {} found", MUTANTS.len())?;
    Ok(found == MUTANTS.len())
}
