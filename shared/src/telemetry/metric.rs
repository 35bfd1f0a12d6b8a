//! The metrics, and how a log line carries their values (CloudWatch user guide, "Embedded metric format
//! specification").

use serde::{
    Serialize,
    ser::{SerializeMap, SerializeSeq, Serializer},
};

/// The largest number of values of one metric in one line (embedded metric format).
const MAX_VALUES: usize = 100;

/// A metric. Its name in CloudWatch is the name of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Metric {
    /// A record was created in a CRM.
    Created,
    /// A record was changed in a CRM.
    Updated,
    /// An update was queued until its call is logged.
    Parked,
    /// A request failed, and its work will be delivered later.
    Deferred,
    /// A write to a CRM had no response, so its outcome is unknown.
    Ambiguous,
    /// The record of a create whose outcome was unknown was found.
    Reconciled,
    /// A second record of a call was found in a CRM.
    DuplicateFound,
    /// The duplicate sweep removed a second record of a call.
    Deduped,
    /// A create was sent again although an earlier attempt may have created a record that cannot be recognised: there may be
    /// two.
    DuplicatePossible,
    /// A record was created or changed without a part that the CRM did not accept.
    LeftOut,
    /// A CRM was found to show a section of notes differently from what was sent.
    CleanedByCrm,
    /// A CRM did not take the call tag in the way in which it was sent.
    KeyRefused,
    /// A CRM refused to complete a record, which stays as it is.
    FinishDropped,
    /// A lease expired before the work was done.
    LeaseLost,
    /// A grant was renewed.
    RefreshCount,
    /// The renewal of a grant had no response or could not be stored. If the CRM rotated the refresh token, the user
    /// has to connect again.
    RefreshLost,
    /// The age of the oldest undelivered work, in seconds. A line has the maximum.
    QueueAgeMax,
    /// The redrive gave work up: a new dead letter.
    Dead,
    /// This version cannot read an item of the table.
    Unreadable,
    /// A request was of a user who had moved to another CRM account.
    TenantMismatch,
    /// Work of a user who moved to another CRM account was discarded.
    DiscardedMoved,
    /// A request to a CRM succeeded.
    CrmSuccess,
    /// A CRM returned a 4xx status other than a rate limit.
    CrmRefused,
    /// A CRM limited the rate: 429, or a block in front of it.
    CrmRateLimited,
    /// A CRM failed: 5xx, a redirect, or an unintelligible response.
    CrmFailed,
    /// A request to a CRM got no connection, no response in time, or an incomplete response.
    CrmUnanswered,
    /// The number of requests that a CRM still accepts, according to its headers. A line has the minimum.
    BudgetLeft,
    /// The duration of a request to a CRM until the end of its response, in milliseconds.
    CrmLatency,
    /// The time between reading a record and changing it, in milliseconds. A person's edit in between may be
    /// overwritten.
    EditWindow,
    /// A person connected a CRM account.
    LoginCount,
    /// A login was refused.
    LoginRefused,
    /// A process began its first work.
    ColdStart,
    /// The duration of a request to us, in milliseconds.
    Latency,
}

/// The function that combines the values of a metric in one line.
#[derive(Clone, Copy)]
enum Aggregation {
    Sum,
    Maximum,
    Minimum,
    /// All values, for percentiles.
    List,
}

impl Metric {
    /// All metrics, in the order of their declaration.
    pub const ALL: [Metric; 33] = [
        Metric::Created,
        Metric::Updated,
        Metric::Parked,
        Metric::Deferred,
        Metric::Ambiguous,
        Metric::Reconciled,
        Metric::DuplicateFound,
        Metric::Deduped,
        Metric::DuplicatePossible,
        Metric::LeftOut,
        Metric::CleanedByCrm,
        Metric::KeyRefused,
        Metric::FinishDropped,
        Metric::LeaseLost,
        Metric::RefreshCount,
        Metric::RefreshLost,
        Metric::QueueAgeMax,
        Metric::Dead,
        Metric::Unreadable,
        Metric::TenantMismatch,
        Metric::DiscardedMoved,
        Metric::CrmSuccess,
        Metric::CrmRefused,
        Metric::CrmRateLimited,
        Metric::CrmFailed,
        Metric::CrmUnanswered,
        Metric::BudgetLeft,
        Metric::CrmLatency,
        Metric::EditWindow,
        Metric::LoginCount,
        Metric::LoginRefused,
        Metric::ColdStart,
        Metric::Latency,
    ];

    /// Returns the unit, as CloudWatch names it.
    pub const fn unit(self) -> &'static str {
        match self {
            Metric::QueueAgeMax => "Seconds",
            Metric::CrmLatency | Metric::EditWindow | Metric::Latency => "Milliseconds",
            _ => "Count",
        }
    }

    const fn aggregation(self) -> Aggregation {
        match self {
            Metric::QueueAgeMax => Aggregation::Maximum,
            Metric::BudgetLeft => Aggregation::Minimum,
            Metric::CrmLatency | Metric::EditWindow | Metric::Latency => Aggregation::List,
            _ => Aggregation::Sum,
        }
    }
}

/// The values of one metric in one line.
#[derive(Debug)]
struct Series {
    metric: Metric,
    values: Vec<i64>,
}

/// The values of all metrics in one line.
#[derive(Debug, Default)]
pub(crate) struct MetricValues(Vec<Series>);

impl MetricValues {
    pub(super) fn add(&mut self, metric: Metric, value: i64) {
        let Some(series) = self.0.iter_mut().find(|series| series.metric == metric) else {
            self.0.push(Series { metric, values: vec![value] });
            return;
        };
        let last = series.values.last_mut().expect("a series has at least one value");
        match metric.aggregation() {
            Aggregation::Sum => *last = last.saturating_add(value),
            Aggregation::Maximum => *last = value.max(*last),
            Aggregation::Minimum => *last = value.min(*last),
            Aggregation::List if series.values.len() < MAX_VALUES => series.values.push(value),
            Aggregation::List => {}
        }
    }

    /// Writes the values, and `_aws`, which declares them as metrics of this stack.
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
        line.serialize_entry("_aws", &Metadata { values: self, now_ms })
    }
}

/// The metadata object, `_aws`.
struct Metadata<'a> {
    values: &'a MetricValues,
    now_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDirective<'a> {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: &'a MetricValues,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDefinition {
    name: Metric,
    unit: &'static str,
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let directive =
            MetricDirective { namespace: super::NAMESPACE, dimensions: [["Stack"]], metrics: self.values };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("Timestamp", &self.now_ms)?;
        map.serialize_entry("CloudWatchMetrics", &[directive])?;
        map.end()
    }
}

/// The list of metric definitions. The values themselves are members of the line.
impl Serialize for MetricValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for series in &self.0 {
            list.serialize_element(&MetricDefinition { name: series.metric, unit: series.metric.unit() })?;
        }
        list.end()
    }
}
