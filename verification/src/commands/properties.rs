//! `verification properties`: many requests at the same time, every order, a long outage, people's edits.

use std::io::Write;

use super::Verdict;
use crate::simulation::{crm, properties};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The number of orders, and of cases of people's edits
    #[arg(long, default_value_t = 10_000)]
    cases: u64,
    /// The length of the CRM's outage, in hours
    #[arg(long, default_value_t = 72)]
    hours: i64,
}

pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Verdict {
    let bodies = properties::orders(arguments.cases);
    writeln!(out, "{} orders: {} different bodies", arguments.cases, bodies.len())?;
    let concurrent = properties::concurrent_updates(200, 1);
    let violations = &concurrent.violations;
    writeln!(out, "200 concurrent updates: {} changes, violations: {violations:?}", concurrent.changes)?;
    let expiry = properties::grant_expiry(1_000, -1);
    let (token_requests, logged) = (expiry.token_requests, expiry.logged);
    writeln!(out, "1000 calls when a grant expires: {token_requests} token requests, {logged} logged")?;
    let outage = properties::outage(arguments.hours, 20);
    writeln!(
        out,
        "{} hours of outage: {} calls, complete after {} minutes, at most {} probes a minute, {} requests over the \
         limit, violations: {:?}",
        arguments.hours,
        outage.calls,
        outage.minutes,
        outage.most_probes,
        outage.over_limit,
        outage.violations
    )?;
    let mut holds = vec![
        bodies.len() == 1,
        concurrent.violations.is_empty() && concurrent.changes <= 200,
        token_requests == 1 && logged == 1_000,
        outage.violations.is_empty() && outage.most_probes <= 1 && outage.over_limit == 0,
    ];
    for crm in [crm::CONDITIONAL, crm::PLAIN] {
        let edits = properties::edits(arguments.cases, crm);
        let lost = edits.violations.len();
        writeln!(out, "{} edits, compare-and-set {}: {lost} lost", edits.edits, crm.compare_and_set)?;
        for violation in edits.violations.iter().take(5) {
            writeln!(out, "    {violation}")?;
        }
        holds.push(edits.violations.is_empty());
    }
    let held = holds.iter().filter(|holds| **holds).count();
    writeln!(out, "{held} of {} properties hold", holds.len())?;
    Ok(held == holds.len())
}
