//! The use-cases in random orders with random faults. `cargo run --release -p verification -- schedules` runs more.

use verification::simulation::schedules;

#[test]
fn no_schedule_breaks_a_promise() {
    let summary = schedules::run(0, 3_000, 2, None);
    let broken: Vec<_> = summary
        .broken
        .iter()
        .map(|broken| format!("seed {}: {}", broken.seed, broken.violations.join("; ")))
        .collect();
    assert!(
        broken.is_empty(),
        "to replay one: `verification schedules --trace --seed ...`\n{}",
        broken.join("\n")
    );
    assert_eq!(summary.schedules, 3_000);
    assert!(summary.faults > 1_000 && summary.crashes > 500, "{summary:?}");
}

#[test]
fn a_schedule_depends_only_on_its_seed() {
    for seed in [5, 77] {
        let (violations, trace) = schedules::replay(seed);
        assert!(violations.is_empty() && trace.len() > 5, "{violations:?}");
        assert_eq!(schedules::replay(seed), (violations, trace), "seed {seed}");
    }
}
