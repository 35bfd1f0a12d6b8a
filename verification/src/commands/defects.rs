//! `verification defects`: broken rules in the simulation, each of which random schedules have to find.

use std::io::Write;

use super::Verdict;
use crate::simulation::{
    crm::Defect,
    schedules::{self, Options},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The largest number of schedules for one defect: the share of one kind of CRM in the schedules of CI
    #[arg(long, default_value_t = 5_000)]
    at_most: u64,
    /// The number of threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let mut found = 0;
    for defect in Defect::ALL {
        let options = Options { kind: defect.kind(), defect: Some(defect) };
        let summary = schedules::run(0, arguments.at_most, arguments.threads, options);
        match summary.broken.first() {
            Some(broken) => {
                found += 1;
                writeln!(out, "found    {defect:?}: seed {}, kind {}", broken.seed, broken.kind)?;
            }
            None => writeln!(out, "SURVIVES {defect:?}")?,
        }
    }
    writeln!(out, "{found} of {} defects were found", Defect::ALL.len())?;
    Ok(found == Defect::ALL.len())
}
