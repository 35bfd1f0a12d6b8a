//! `proof laws`: what must hold of many requests, of every order, after an outage, and between people's edits.

use std::io::Write;

use super::Verdict;
use crate::simulation::{crm, properties};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How many orders, and how many cases of people's edits
    #[arg(long, default_value_t = 10_000)]
    cases: u64,
    /// How long the CRM is down, in hours
    #[arg(long, default_value_t = 72)]
    hours: i64,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let bodies = properties::orders(arguments.cases);
    writeln!(out, "{} orders: {} different bodies", arguments.cases, bodies.len())?;
    let crowd = properties::crowd(200, 1);
    writeln!(out, "200 updates at once: {} changes; {:?}", crowd.changes, crowd.wrong)?;
    let expiry = properties::expiry(1_000, -1);
    writeln!(out, "1000 calls at the end of a grant: {expiry:?}")?;
    let outage = properties::outage(arguments.hours, 20);
    writeln!(out, "{} hours of outage: {outage:?}", arguments.hours)?;
    let mut is_good = bodies.len() == 1 && crowd.wrong.is_empty() && crowd.changes <= 200;
    is_good &= expiry.token_calls == 1 && expiry.logged == 1_000;
    is_good &= outage.wrong.is_empty() && outage.most_probes <= 1 && outage.too_many == 0;
    for crm in [&crm::CAREFUL, &crm::PLAIN] {
        let edits = properties::edits(arguments.cases, crm);
        let lost = edits.lost.len();
        writeln!(out, "{} edits, compare-and-set {}: {lost} lost", edits.edits, crm.compare_and_set)?;
        for lost in edits.lost.iter().take(5) {
            writeln!(out, "    {lost}")?;
        }
        is_good &= edits.lost.is_empty();
    }
    Ok(is_good)
}
