//! Two companies share fifty execution environments. The CRM of one of them hangs.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    figures::{self, Samples},
    harness::Harness,
    subject::Subject,
};

const INSTANCES: usize = 50;
/// The calls that each company reports.
const CALLS: usize = 250;
/// The time between two calls of a company.
const PAUSE: Duration = Duration::from_millis(100);

/// A call that a company reports, and when.
struct Arrival {
    at: Duration,
    company: usize,
    event: String,
}

/// Measures the time from the arrival of a call to its response, with the wait for an environment that is free.
pub(crate) fn measure(harness: &mut Harness, subject: &Subject) {
    let mut rows = Vec::new();
    for hangs in [false, true] {
        let first: Vec<_> = (0..CALLS).map(|_| harness.create()).collect();
        let second = match hangs {
            true => harness.creates_while_hanging(CALLS),
            false => (0..CALLS).map(|_| harness.create()).collect(),
        };
        let before = harness.hanging_requests();
        let took = run(harness, subject, [first, second]);
        for (company, took) in took.iter().enumerate() {
            let is_hanging = hangs && company == 1;
            let crm = if is_hanging { "hangs" } else { "answers" };
            let requests =
                if is_hanging { (harness.hanging_requests() - before).to_string() } else { String::new() };
            let other = if hangs && company == 0 { "hangs" } else { "answers" };
            rows.push(vec![
                crm.to_owned(),
                other.to_owned(),
                format!("{:.1}", took.median()),
                format!("{:.1}", took.percentile(95.0)),
                format!("{:.0}", took.percentile(100.0)),
                requests,
            ]);
        }
    }
    figures::print(
        &format!(
            "{CALLS} creates of each of two companies on {INSTANCES} instances, one create in {PAUSE:?}"
        ),
        &["its CRM", "the other's CRM", "p50, ms", "p95, ms", "longest, ms", "requests that hung"],
        &rows,
    );
}

fn run(harness: &Harness, subject: &Subject, events: [Vec<String>; 2]) -> [Samples; 2] {
    let environments: Vec<_> = (0..INSTANCES).map(|_| subject.start(harness)).collect();
    let mut arrivals: Vec<_> = events
        .into_iter()
        .enumerate()
        .flat_map(|(company, events)| {
            let arrival = move |(number, event)| Arrival { at: PAUSE * number as u32, company, event };
            events.into_iter().enumerate().map(arrival)
        })
        .collect();
    arrivals.sort_by_key(|arrival| arrival.at);
    let queue = Arc::new(Mutex::new(VecDeque::from(arrivals)));
    let begun = Instant::now();
    let workers: Vec<_> = environments
        .into_iter()
        .map(|mut environment| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut took = Vec::new();
                loop {
                    let next = queue.lock().expect("no worker has panicked").pop_front();
                    let Some(Arrival { at, company, event }) = next else { return took };
                    thread::sleep(at.saturating_sub(begun.elapsed()));
                    environment.invoke(&event);
                    took.push((company, (begun.elapsed() - at).as_secs_f64() * 1e3));
                }
            })
        })
        .collect();
    let took: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect();
    [0, 1].map(|company| took.iter().filter(|(of, _)| *of == company).map(|(_, took)| *took).collect())
}
