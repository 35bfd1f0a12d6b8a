//! What is counted and measured, and how values of one line come together.

use serde::{
    Serialize,
    ser::{SerializeMap, SerializeSeq, Serializer},
};

/// CloudWatch takes so many values of one metric in one line (embedded metric format).
const MAX_VALUES: usize = 100;

/// Something that is counted or measured. Its name in CloudWatch is the variant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Metric {
    /// A log was made in a CRM.
    Created,
    /// A log was changed in a CRM.
    Updated,
    /// An update waits for its call.
    Parked,
    /// Work was left to somebody else, or for later.
    Deferred,
    /// A write had no answer, so that nobody knows whether it was done.
    Ambiguous,
    /// What had become of such a write was found out.
    Reconciled,
    /// A CRM has more than one log of a call.
    DuplicateFound,
    /// A request for a call that is logged already.
    Deduped,
    /// A lease ran out before the work was done.
    LeaseLost,
    /// A grant was renewed.
    RefreshCount,
    /// A renewal had no answer or could not be stored: its rotated refresh token may be lost, and the user with it.
    RefreshLost,
    /// How long the oldest work has been waiting, in seconds; the maximum of a line.
    QueueAgeMax,
    /// Work was given up.
    Dead,
    /// An item of the table cannot be read.
    Unreadable,
    /// A CRM answered with what was asked for.
    CrmSuccess,
    /// A CRM refused: 4xx.
    CrmRefused,
    /// A CRM takes no more requests at the moment: 429, or a block in front of it.
    CrmRateLimited,
    /// A CRM failed: 5xx, a redirect, or no sense in its answer.
    CrmFailed,
    /// No connection, no answer in time, or one that broke off.
    CrmUnanswered,
    /// How many requests a CRM still takes, by what it says; the minimum of a line.
    BudgetLeft,
    /// From a request to a CRM to the end of its answer, in milliseconds.
    CrmLatency,
    /// Between a log's reading and its change, when a person's edit would be written over, in milliseconds.
    EditWindow,
    /// The first work of a process.
    ColdStart,
    /// Of an answer of ours, in milliseconds.
    Latency,
}

/// How the values of one line become what CloudWatch gets.
#[derive(Clone, Copy)]
enum Kind {
    /// Added up.
    Count,
    /// Only the greatest.
    Maximum,
    /// Only the least.
    Minimum,
    /// Each of them, for percentiles.
    Each,
}

impl Metric {
    /// All, in their order.
    pub const ALL: [Metric; 24] = [
        Metric::Created,
        Metric::Updated,
        Metric::Parked,
        Metric::Deferred,
        Metric::Ambiguous,
        Metric::Reconciled,
        Metric::DuplicateFound,
        Metric::Deduped,
        Metric::LeaseLost,
        Metric::RefreshCount,
        Metric::RefreshLost,
        Metric::QueueAgeMax,
        Metric::Dead,
        Metric::Unreadable,
        Metric::CrmSuccess,
        Metric::CrmRefused,
        Metric::CrmRateLimited,
        Metric::CrmFailed,
        Metric::CrmUnanswered,
        Metric::BudgetLeft,
        Metric::CrmLatency,
        Metric::EditWindow,
        Metric::ColdStart,
        Metric::Latency,
    ];

    /// One of CloudWatch's units.
    pub const fn unit(self) -> &'static str {
        match self {
            Metric::QueueAgeMax => "Seconds",
            Metric::CrmLatency | Metric::EditWindow | Metric::Latency => "Milliseconds",
            _ => "Count",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Metric::QueueAgeMax => Kind::Maximum,
            Metric::BudgetLeft => Kind::Minimum,
            Metric::CrmLatency | Metric::EditWindow | Metric::Latency => Kind::Each,
            _ => Kind::Count,
        }
    }
}

/// The values of one metric in one line.
#[derive(Debug)]
struct Series {
    metric: Metric,
    values: Vec<i64>,
}

/// What was counted and measured for one line.
#[derive(Debug, Default)]
pub(crate) struct Measured(Vec<Series>);

impl Measured {
    pub(super) fn add(&mut self, metric: Metric, value: i64) {
        let Some(series) = self.0.iter_mut().find(|series| series.metric == metric) else {
            self.0.push(Series { metric, values: vec![value] });
            return;
        };
        let last = series.values.last_mut().expect("a series begins with a value");
        match metric.kind() {
            Kind::Count => *last = last.saturating_add(value),
            Kind::Maximum => *last = value.max(*last),
            Kind::Minimum => *last = value.min(*last),
            Kind::Each if series.values.len() < MAX_VALUES => series.values.push(value),
            Kind::Each => {}
        }
    }

    /// The members that hold the values, and `_aws`, which tells CloudWatch that they are metrics of this stack.
    pub(crate) fn write<M: SerializeMap>(
        &self,
        line: &mut M,
        stack: &str,
        now_ms: i64,
    ) -> Result<(), M::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        for series in &self.0 {
            match series.values.as_slice() {
                [value] => line.serialize_entry(&series.metric, value)?,
                values => line.serialize_entry(&series.metric, values)?,
            }
        }
        line.serialize_entry("Stack", stack)?;
        line.serialize_entry("_aws", &Directive { measured: self, now_ms })
    }
}

/// `_aws`: which members are metrics (Amazon CloudWatch user guide, "Embedded metric format specification").
struct Directive<'a> {
    measured: &'a Measured,
    now_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Names<'a> {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: &'a Measured,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Name {
    name: Metric,
    unit: &'static str,
}

impl Serialize for Directive<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = Names { namespace: super::NAMESPACE, dimensions: [["Stack"]], metrics: self.measured };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("Timestamp", &self.now_ms)?;
        map.serialize_entry("CloudWatchMetrics", &[names])?;
        map.end()
    }
}

/// As `_aws` names them.
impl Serialize for Measured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for series in &self.0 {
            list.serialize_element(&Name { name: series.metric, unit: series.metric.unit() })?;
        }
        list.end()
    }
}
