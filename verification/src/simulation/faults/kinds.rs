//! What can go wrong in a step.

use super::{Kind, LATE_MS};
use crate::simulation::{table, tokens::Exchange};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Each step dies before and after, loses its answer, and is late.
    Four,
    /// Everything that can go wrong.
    All,
}

/// What can go wrong in a step: first how its answer is lost and how it is late, then the rest.
pub(super) fn kinds(step: &str, depth: Depth) -> Vec<Kind> {
    let (lost, rest) = match step {
        "crm.create_log" | "crm.update_log" | "crm.remove_log" => (
            vec![Kind::Lost(Some(0)), Kind::Lost(Some(LATE_MS))],
            vec![
                Kind::Lost(None),
                Kind::DiesUnder(Some(0)),
                Kind::DiesUnder(Some(LATE_MS)),
                Kind::DiesUnder(None),
                Kind::Refused,
                Kind::Sleeps,
            ],
        ),
        "crm.read_log" | "crm.find_logs" => (vec![Kind::ReadFails, Kind::Sleeps], vec![]),
        "grant.exchange" | "grant.exchange_again" => (
            vec![Kind::Tokens(Exchange::Unanswered), Kind::Sleeps],
            vec![Kind::Tokens(Exchange::Fails), Kind::Tokens(Exchange::Busy)],
        ),
        "wait.pause" | "grant.wait" | "grant.pause" | "redrive.spare" => (vec![Kind::Sleeps], vec![]),
        _ => {
            let ways = |wanted: bool| {
                let is_first =
                    move |way: &usize| ["all unanswered", "late"].contains(&table::WAYS[*way].0) == wanted;
                (0..table::WAYS.len()).filter(is_first).map(Kind::Table)
            };
            (ways(true).collect(), ways(false).chain([Kind::Sleeps]).collect())
        }
    };
    let rest = rest.into_iter().filter(|_| depth == Depth::All);
    [Kind::DiesBefore, Kind::DiesAfter].into_iter().chain(lost).chain(rest).collect()
}
