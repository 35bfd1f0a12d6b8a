//! Cold starts of the programs in turn: the time from the process's start to its first poll, and the first invocation.

use crate::{
    figures::{self, Samples},
    harness::Harness,
    subject::Subject,
};

#[derive(Default)]
struct Start {
    init: Samples,
    first: Samples,
    both: Samples,
    cpu: Samples,
    peak: Samples,
}

pub(crate) fn measure(harness: &mut Harness, subjects: &[Subject], starts: usize) {
    let mut all: Vec<Start> = subjects.iter().map(|_| Start::default()).collect();
    // The first round fills the page cache and is not counted.
    for round in 0..=starts {
        for (subject, start) in subjects.iter().zip(&mut all) {
            let events = subject.events(harness, 1);
            let mut environment = subject.start(harness);
            let init = environment.init.as_secs_f64() * 1e3;
            let first = environment.invoke(&events[0]).0.as_secs_f64() * 1e3;
            environment.settle();
            if round > 0 {
                start.init.add(init);
                start.first.add(first);
                start.both.add(init + first);
                start.cpu.add(environment.cpu().as_secs_f64() * 1e3);
                start.peak.add(environment.peak_kb() as f64 / 1_024.0);
            }
        }
    }
    let rows: Vec<Vec<String>> = subjects
        .iter()
        .zip(&all)
        .map(|(subject, start)| {
            let ratio = subject.floor.map(|floor| start.both.median() / all[floor].both.median());
            vec![
                subject.name.clone(),
                start.init.shown(),
                start.first.shown(),
                start.both.shown(),
                ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
                start.cpu.shown(),
                start.peak.shown(),
            ]
        })
        .collect();
    figures::print(
        &format!("Cold start, {starts} of each in turn: median (minimum–maximum)"),
        &["", "init, ms", "first invocation, ms", "both, ms", "× floor", "CPU of both, ms", "peak, MiB"],
        &rows,
    );
}
