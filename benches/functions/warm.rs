//! Warm invocations in batches of each subject in turn: CPU time, latency, and memory growth after the warm-up.

use crate::{
    environment::Environment,
    figures::{self, Samples},
    harness::Harness,
    subject::Subject,
};

/// The number of invocations after which a process has initialised everything.
const WARM_UP: usize = 200;
/// The number of invocations in one sample of the CPU time.
const BATCH: usize = 100;

struct Run {
    environment: Environment,
    events: std::vec::IntoIter<String>,
    peak_early: f64,
    cpu: Samples,
    latency: Vec<f64>,
}

pub(crate) fn measure(harness: &mut Harness, subjects: &[Subject], invocations: usize) {
    let mut runs: Vec<Run> = subjects
        .iter()
        .map(|subject| {
            let mut events = subject.events(harness, invocations).into_iter();
            let mut environment = subject.start(harness);
            for event in events.by_ref().take(WARM_UP) {
                environment.invoke(&event);
            }
            environment.settle();
            let peak_early = environment.peak_kb() as f64 / 1_024.0;
            Run { environment, events, peak_early, cpu: Samples::default(), latency: Vec::new() }
        })
        .collect();
    for _ in 0..invocations.saturating_sub(WARM_UP) / BATCH {
        runs.iter_mut().for_each(batch);
    }
    let floors: Vec<f64> = runs.iter().map(|run| run.cpu.median()).collect();
    let rows: Vec<Vec<String>> = subjects
        .iter()
        .zip(&runs)
        .map(|(subject, run)| {
            let latency: Samples = run.latency.iter().copied().collect();
            let peak = run.environment.peak_kb() as f64 / 1_024.0;
            let ratio = subject.floor.map(|floor| run.cpu.median() / floors[floor]);
            vec![
                subject.name.clone(),
                run.cpu.shown(),
                ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
                format!("{:.2}", latency.median()),
                format!("{:.2}", latency.percentile(99.0)),
                format!("{:.1}", run.peak_early),
                format!("{peak:.1}"),
                format!("{:+.1}", peak - run.peak_early),
            ]
        })
        .collect();
    figures::print(
        &format!(
            "Warm, {invocations} invocations of each, in batches of {BATCH} in turn after the {WARM_UP}th"
        ),
        &[
            "",
            "CPU per invocation, ms",
            "× floor",
            "latency p50, ms",
            "p99, ms",
            &format!("peak after {WARM_UP}, MiB"),
            &format!("after {invocations}, MiB"),
            "growth, MiB",
        ],
        &rows,
    );
}

fn batch(run: &mut Run) {
    run.environment.settle();
    let before = run.environment.cpu();
    for event in run.events.by_ref().take(BATCH) {
        run.latency.push(run.environment.invoke(&event).0.as_secs_f64() * 1e3);
    }
    run.environment.settle();
    run.cpu.add((run.environment.cpu() - before).as_secs_f64() * 1e3 / BATCH as f64);
}
