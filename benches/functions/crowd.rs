//! Many execution environments at the same time on this machine's cores.

use std::thread;

use crate::{
    figures::{self, Samples},
    harness::Harness,
    subject::Subject,
};

const INVOCATIONS: usize = 1_600;

pub(crate) fn measure(harness: &mut Harness, subjects: &[&Subject]) {
    let mut rows = Vec::new();
    for subject in subjects {
        for instances in [1, 8, 32] {
            let each = INVOCATIONS / instances;
            let work: Vec<_> = (0..instances)
                .map(|_| {
                    let events = subject.events(harness, each + 5);
                    let mut environment = subject.start(harness);
                    events.iter().take(5).for_each(|event| drop(environment.invoke(event)));
                    (environment, events)
                })
                .collect();
            let crowd: Vec<_> = work
                .into_iter()
                .map(|(mut environment, events)| {
                    thread::spawn(move || -> Vec<f64> {
                        let took = |event: &String| environment.invoke(event).0.as_secs_f64() * 1e3;
                        events.iter().skip(5).map(took).collect()
                    })
                })
                .collect();
            let took: Samples = crowd
                .into_iter()
                .flat_map(|one| one.join().expect("the environment completed its invocations"))
                .collect();
            let (p50, p99) = (took.median(), took.percentile(99.0));
            rows.push(vec![
                subject.name.clone(),
                instances.to_string(),
                format!("{p50:.2}"),
                format!("{p99:.2}"),
                format!("{:.1}", p99 / p50),
            ]);
        }
    }
    let cores = thread::available_parallelism().map_or(0, usize::from);
    figures::print(
        &format!("Warm, many instances at once on {cores} cores, which the fakes share"),
        &["", "instances", "p50, ms", "p99, ms", "p99 / p50"],
        &rows,
    );
}
