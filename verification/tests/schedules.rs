//! The use-cases in random orders with random faults. `cargo run --release -p verification -- schedules` runs more.

use verification::simulation::{
    crm::Kind,
    schedules::{self, Options},
};

#[test]
fn no_schedule_breaks_a_promise() {
    let summary = schedules::run(0, 3_750, 2, Options::default());
    let broken: Vec<_> = summary
        .broken
        .iter()
        .map(|broken| format!("seed {}, {}: {}", broken.seed, broken.kind, broken.violations.join("; ")))
        .collect();
    assert!(
        broken.is_empty(),
        "to replay one: `verification schedules --kind ... --seed ... --trace`\n{}",
        broken.join("\n")
    );
    assert_eq!(summary.kinds, Kind::ALL.map(|kind| (kind, 750)).into());
    assert!(summary.faults > 1_000 && summary.crashes > 500, "{summary:?}");
}

#[test]
fn a_schedule_depends_only_on_its_seed() {
    for seed in 75..80 {
        let (violations, trace) = schedules::replay(seed, Options::default());
        assert!(violations.is_empty() && trace.len() > 5, "{violations:?}");
        assert_eq!(schedules::replay(seed, Options::default()), (violations, trace), "seed {seed}");
    }
}
