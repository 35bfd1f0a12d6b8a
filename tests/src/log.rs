//! Captures the log lines of the test's thread, and reads them as CloudWatch does.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Once,
};

use call_log::telemetry::logging::{self, LineSubscriber};
use serde_json::Value;
use tracing::Level;

/// The stack's name in captured metrics.
pub const STACK: &str = "blue";

thread_local! {
    static CAPTURED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static IS_DETAILED: Cell<bool> = const { Cell::new(false) };
}

/// The log of the test's thread.
#[derive(Debug)]
pub struct Log(());

impl Log {
    /// Captures the lines that a function writes in this thread from now on.
    pub fn capture() -> Log {
        Log::new(false)
    }

    /// Captures the debug lines too.
    pub fn capture_details() -> Log {
        Log::new(true)
    }

    /// All tests share one subscriber, because `tracing` caches globally which events are enabled. It may cache an event
    /// as disabled if a thread without a subscriber is the first to meet it.
    fn new(is_detailed: bool) -> Log {
        static WRITER: Once = Once::new();
        WRITER.call_once(|| {
            let subscriber = LineSubscriber::cloud(Some(STACK.to_owned()), |line: &[u8]| {
                let line = str::from_utf8(line).expect("a line is text");
                if IS_DETAILED.get() || !line.contains(r#""level":"DEBUG""#) {
                    CAPTURED.with_borrow_mut(|captured| captured.extend_from_slice(line.as_bytes()));
                }
            });
            logging::install(subscriber.down_to(Level::DEBUG));
        });
        IS_DETAILED.set(is_detailed);
        let log = Log(());
        log.take();
        log
    }

    /// Removes and returns the lines captured since the last call.
    pub fn take(&self) -> Vec<Value> {
        read(&self.take_text())
    }

    /// Removes and returns the text captured since the last call.
    pub fn take_text(&self) -> String {
        String::from_utf8(CAPTURED.with_borrow_mut(std::mem::take)).expect("the log is text")
    }
}

/// Parses the lines of a log. Each must be JSON.
pub fn read(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
    text.lines().map(line).collect()
}

/// Returns the final line of each request or redrive.
pub fn endings(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["route"].is_string()).collect()
}

/// Returns the values of a line's metrics by name.
pub fn values(line: &Value) -> BTreeMap<String, Vec<i64>> {
    let names = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().into_iter().flatten();
    let number = |value: &Value| value.as_i64().expect("a value is a number");
    names
        .filter_map(|metric| metric["Name"].as_str())
        .map(|name| match &line[name] {
            Value::Array(values) => (name.to_owned(), values.iter().map(number).collect()),
            value => (name.to_owned(), vec![number(value)]),
        })
        .collect()
}

/// Asserts that CloudWatch accepts the line's metrics (its user guide, "Embedded metric format specification").
pub fn check_metrics(line: &Value) {
    const UNITS: [&str; 3] = ["Count", "Seconds", "Milliseconds"];
    let text = |value: &Value, length: usize| {
        value.as_str().is_some_and(|text| (1..=length).contains(&text.chars().count()))
    };
    assert!(line.to_string().len() < 256 * 1_024, "the line is too long");
    let members = |value: &Value| -> Vec<String> {
        value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    };
    assert_eq!(members(&line["_aws"]), ["Timestamp", "CloudWatchMetrics"], "{line}");
    assert!(line["_aws"]["Timestamp"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000), "{line}");
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().expect("a list of directives");
    assert_eq!(directives.len(), 1, "{line}");
    for directive in directives {
        assert_eq!(members(directive), ["Namespace", "Dimensions", "Metrics"], "{line}");
        assert!(text(&directive["Namespace"], 1_024), "{line}");
        let sets = directive["Dimensions"].as_array().expect("a list of sets of dimensions");
        for set in sets {
            let names = set.as_array().expect("a set of dimensions");
            assert!(names.len() <= 30, "{line}");
            for name in names {
                assert!(text(name, 250) && text(&line[name.as_str().unwrap_or_default()], 1_024), "{line}");
            }
        }
        let metrics = directive["Metrics"].as_array().expect("a list of metrics");
        assert!((1..=100).contains(&metrics.len()), "{line}");
        let names: BTreeSet<_> = metrics.iter().map(|metric| metric["Name"].to_string()).collect();
        assert_eq!(names.len(), metrics.len(), "a metric is named twice: {line}");
        for metric in metrics {
            assert_eq!(members(metric), ["Name", "Unit"], "{line}");
            assert!(text(&metric["Name"], 1_024), "{line}");
            assert!(UNITS.contains(&metric["Unit"].as_str().unwrap_or_default()), "{line}");
            let value = &line[metric["Name"].as_str().unwrap_or_default()];
            let is_valid = match value.as_array() {
                Some(values) => (1..=100).contains(&values.len()) && values.iter().all(Value::is_number),
                None => value.is_number(),
            };
            assert!(is_valid, "{metric} is {value} in {line}");
        }
    }
}
