//! How long a warm invocation takes beyond the way: with a delay on every hop.

use std::time::Duration;

use crate::{
    figures::{self, Samples},
    harness::Harness,
    subject::Subject,
};

const DELAY: Duration = Duration::from_millis(20);
const INVOCATIONS: usize = 60;

/// A warm invocation of one subject, counted.
pub(crate) struct Hops {
    pub(crate) p50_ms: f64,
    /// Requests to the CRM.
    pub(crate) crm: f64,
}

pub(crate) fn measure(stage: &mut Harness, subjects: &[&Subject]) -> Vec<Hops> {
    let mut all = Vec::new();
    let mut rows = Vec::new();
    for subject in subjects {
        let mut events = subject.events(stage, INVOCATIONS + 5).into_iter();
        let before = (stage.dynamodb.connections(), stage.crm.connections());
        let mut environment = subject.start(stage);
        let opened_at_init = stage.dynamodb.connections() - before.0;
        for event in events.by_ref().take(5) {
            environment.invoke(&event);
        }
        stage.dynamodb.take();
        stage.crm.take();
        stage.dynamodb.delay(DELAY);
        stage.crm.delay(DELAY);
        let (mut took, mut way, mut beyond) = (Samples::default(), Samples::default(), Samples::default());
        let (mut dynamodb, mut crm) = (0, 0);
        for event in events {
            let ms = environment.invoke(&event).0.as_secs_f64() * 1e3;
            environment.settle();
            let (to_dynamodb, to_crm) = (stage.dynamodb.take(), stage.crm.take());
            // The user is read while the call is claimed: tests/suite/counts.rs sees to it that they are under way at
            // once, and the longer of the two counts.
            let all = to_dynamodb.iter().chain(&to_crm).map(|passed| passed.took.unwrap_or_default());
            let shorter = to_dynamodb
                .iter()
                .take(2)
                .map(|passed| passed.took.unwrap_or_default())
                .min()
                .unwrap_or_default();
            let hops = (all.sum::<Duration>() - shorter).as_secs_f64() * 1e3;
            took.add(ms);
            way.add(hops);
            beyond.add(ms - hops);
            dynamodb += to_dynamodb.len() - 1;
            crm += to_crm.len();
        }
        stage.dynamodb.delay(Duration::ZERO);
        stage.crm.delay(Duration::ZERO);
        let each = |count: usize| count as f64 / INVOCATIONS as f64;
        rows.push(vec![
            subject.name.clone(),
            format!("{:.2} + {:.2}", each(dynamodb), each(crm)),
            way.shown(),
            took.shown(),
            beyond.shown(),
            format!("{} ({opened_at_init} in init)", stage.dynamodb.connections() - before.0),
            (stage.crm.connections() - before.1).to_string(),
        ]);
        all.push(Hops { p50_ms: took.median(), crm: each(crm) });
    }
    figures::print(
        &format!("Warm, {} ms on every hop, {INVOCATIONS} invocations", DELAY.as_millis()),
        &[
            "",
            "sequential hops, DynamoDB + CRM",
            "their sum as they were, ms",
            "took, ms",
            "beyond the sum, ms",
            "connections to DynamoDB",
            "to the CRM",
        ],
        &rows,
    );
    all
}
