//! The time that a warm invocation takes in addition to its network hops, each of which is delayed.

use std::time::Duration;

use crate::{
    figures::{self, Samples},
    harness::Harness,
    subject::Subject,
};

const DELAY: Duration = Duration::from_millis(20);
const INVOCATIONS: usize = 60;

/// The averages of one subject's warm invocations.
pub(crate) struct Hops {
    pub(crate) p50_ms: f64,
    /// Requests to the CRM.
    pub(crate) crm: f64,
}

pub(crate) fn measure(harness: &mut Harness, subjects: &[&Subject]) -> Vec<Hops> {
    let mut all = Vec::new();
    let mut rows = Vec::new();
    for subject in subjects {
        let mut events = subject.events(harness, INVOCATIONS + 5).into_iter();
        let before = (harness.dynamodb.connections(), harness.crm.connections());
        let mut environment = subject.start(harness);
        let opened_at_init = harness.dynamodb.connections() - before.0;
        for event in events.by_ref().take(5) {
            environment.invoke(&event);
        }
        harness.dynamodb.take();
        harness.crm.take();
        harness.dynamodb.delay(DELAY);
        harness.crm.delay(DELAY);
        let (mut took, mut network, mut beyond) =
            (Samples::default(), Samples::default(), Samples::default());
        let (mut dynamodb, mut crm) = (0, 0);
        for event in events {
            let ms = environment.invoke(&event).0.as_secs_f64() * 1e3;
            environment.settle();
            let (to_dynamodb, to_crm) = (harness.dynamodb.take(), harness.crm.take());
            // The user is read while the call is claimed (tests/suite/delivery/costs.rs asserts that the two requests
            // are concurrent), so only the longer of the two counts.
            let all = to_dynamodb.iter().chain(&to_crm).map(|passed| passed.took.unwrap_or_default());
            let shorter = to_dynamodb
                .iter()
                .take(2)
                .map(|passed| passed.took.unwrap_or_default())
                .min()
                .unwrap_or_default();
            let hops = (all.sum::<Duration>() - shorter).as_secs_f64() * 1e3;
            took.add(ms);
            network.add(hops);
            beyond.add(ms - hops);
            dynamodb += to_dynamodb.len() - 1;
            crm += to_crm.len();
        }
        harness.dynamodb.delay(Duration::ZERO);
        harness.crm.delay(Duration::ZERO);
        let each = |count: usize| count as f64 / INVOCATIONS as f64;
        rows.push(vec![
            subject.name.clone(),
            format!("{:.2} + {:.2}", each(dynamodb), each(crm)),
            network.shown(),
            took.shown(),
            beyond.shown(),
            format!("{} ({opened_at_init} in init)", harness.dynamodb.connections() - before.0),
            (harness.crm.connections() - before.1).to_string(),
        ]);
        all.push(Hops { p50_ms: took.median(), crm: each(crm) });
    }
    figures::print(
        &format!("Warm, {} ms on every hop, {INVOCATIONS} invocations", DELAY.as_millis()),
        &[
            "",
            "sequential hops, DynamoDB + CRM",
            "sum of the hops, ms",
            "took, ms",
            "beyond the sum, ms",
            "connections to DynamoDB",
            "to the CRM",
        ],
        &rows,
    );
    all
}
