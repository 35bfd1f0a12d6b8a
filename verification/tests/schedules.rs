//! The use-cases in random orders with random faults. `cargo run --release -p verification -- schedules` runs more.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use verification::simulation::schedules;

#[test]
fn no_order_breaks_a_promise() {
    let summary = schedules::run(0, 3_000, 2);
    let broken: Vec<_> = summary
        .broken
        .iter()
        .map(|broken| format!("seed {}: {}", broken.seed, broken.wrong.join("; ")))
        .collect();
    assert!(
        broken.is_empty(),
        "replay one with `proof schedules --trace --seed ...`:\n{}",
        broken.join("\n")
    );
    assert_eq!(summary.schedules, 3_000);
    assert!(summary.faults > 1_000 && summary.killed > 500, "{summary:?}");
}

#[test]
fn a_seed_is_a_schedule() {
    for seed in [5, 77] {
        let (wrong, trace) = schedules::replay(seed);
        assert!(wrong.is_empty() && trace.len() > 5, "{wrong:?}");
        assert_eq!(schedules::replay(seed), (wrong, trace), "seed {seed}");
    }
}
