//! Log lines: JSON for CloudWatch, readable text for a terminal.
//!
//! Each piece of work ends with one line that has all of its fields ([`crate::telemetry`]). In the cloud the same line
//! carries the metrics, in CloudWatch's embedded metric format, so counting needs no request. Other lines that are
//! written during the work have its ids.
//!
//! Spans are ignored, because the telemetry of the current work has everything that a line needs.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use chrono::SecondsFormat;
use serde::ser::{SerializeMap, Serializer};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use crate::{
    model::Clock,
    telemetry::{self, ENDED, Telemetry, Value},
};

/// The targets of our own events.
const OWN: [&str; 3] = ["call_log", "cli", ENDED];
/// Crates with a lower level. The SDK and the embedded DynamoDB warn of every failed condition, and a failed condition is
/// normal: it keeps a call from being logged twice.
const QUIET: [(&str, LevelFilter); 2] =
    [("aws_smithy_runtime", LevelFilter::OFF), ("dynoxide", LevelFilter::ERROR)];

/// Installs a subscriber that writes JSON lines for CloudWatch to standard output. If a stack is named, the lines carry its
/// metrics. `level` is the most detailed level of our own lines.
pub fn to_cloud(stack: Option<String>, level: Level) {
    let subscriber = LineSubscriber::cloud(stack, |line: &[u8]| {
        // A failure cannot be reported anywhere else.
        let _ = io::stdout().write_all(line);
    });
    install(subscriber.down_to(level));
}

/// Installs a subscriber that writes readable lines to standard error, down to this level.
pub fn to_terminal(level: Level) {
    let style = Style::Readable { is_coloured: io::stderr().is_terminal() };
    install(LineSubscriber {
        style,
        own: level,
        others: level,
        out: |line: &[u8]| {
            let _ = io::stderr().write_all(line);
        },
    });
}

/// Installs the subscriber of the process. A subscriber that is installed already stays.
pub fn install(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes events as lines.
#[derive(Debug)]
pub struct LineSubscriber<Out> {
    style: Style,
    /// The most detailed level of our own crates.
    own: Level,
    /// The most detailed level of all other crates. Debug lines of some contain what people wrote.
    others: Level,
    out: Out,
}

#[derive(Debug)]
enum Style {
    /// JSON, with the metrics of this stack.
    Json {
        stack: Option<String>,
    },
    Readable {
        is_coloured: bool,
    },
}

impl<Out: Fn(&[u8]) + 'static> LineSubscriber<Out> {
    /// Returns a subscriber that passes each complete JSON line to `out`. If a stack is named, the lines carry its metrics.
    pub fn cloud(stack: Option<String>, out: Out) -> LineSubscriber<Out> {
        LineSubscriber { style: Style::Json { stack }, own: Level::INFO, others: Level::INFO, out }
    }

    /// The same subscriber, with the lines of our own crates down to this level.
    #[must_use]
    pub fn down_to(self, own: Level) -> LineSubscriber<Out> {
        LineSubscriber { own, ..self }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let is_of = |name: &&str| {
            target.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let limit = if OWN.iter().any(is_of) { self.own } else { self.others };
        let quiet = QUIET.iter().find(|(name, _)| is_of(name));
        metadata.is_event() && *metadata.level() <= quiet.map_or(limit.into(), |(_, limit)| *limit)
    }

    fn write(&self, level: Level, fields: EventFields, current: Option<&Telemetry>, is_end: bool) {
        let line = match &self.style {
            Style::Json { stack } => {
                json(level, &fields, current, stack.as_deref(), is_end).unwrap_or_default()
            }
            Style::Readable { is_coloured } => {
                readable(level, &fields, current, is_end, *is_coloured).into_bytes()
            }
        };
        (self.out)(&line);
    }
}

impl<Out: Fn(&[u8]) + 'static> Subscriber for LineSubscriber<Out> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.own.max(self.others).into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let (level, is_end) = (*event.metadata().level(), event.metadata().target() == ENDED);
        let mut fields = Some(fields);
        let mut write = |current: Option<&Telemetry>| {
            if let Some(fields) = fields.take() {
                self.write(level, fields, current, is_end);
            }
        };
        if telemetry::with_current(|current| write(Some(current))).is_none() {
            write(None);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Returns a line of JSON.
fn json(
    level: Level,
    fields: &EventFields,
    current: Option<&Telemetry>,
    stack: Option<&str>,
    is_end: bool,
) -> Result<Vec<u8>, serde_json::Error> {
    let now = Clock::System.now();
    let mut bytes = Vec::with_capacity(1_024);
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut line = serializer.serialize_map(None)?;
    line.serialize_entry("timestamp", &now.to_rfc3339_opts(SecondsFormat::Millis, true))?;
    line.serialize_entry("level", level.as_str())?;
    line.serialize_entry("message", &fields.message)?;
    for (name, value) in &fields.others {
        line.serialize_entry(name, value)?;
    }
    if let Some(current) = current {
        line.serialize_entry("request_id", &current.trace.request_id)?;
        line.serialize_entry("correlation_id", &current.trace.correlation_id)?;
        if let Some(root) = current.trace.xray_root() {
            line.serialize_entry("xray_trace_id", root)?;
        }
        for (name, value) in current.fields_of_line(is_end) {
            line.serialize_entry(name, value)?;
        }
        if let Some(stack) = stack.filter(|_| is_end) {
            current.metrics.write(&mut line, stack, now.timestamp_millis())?;
        }
    }
    line.end()?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Returns a readable line.
fn readable(
    level: Level,
    fields: &EventFields,
    current: Option<&Telemetry>,
    is_end: bool,
    is_coloured: bool,
) -> String {
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 34,
    };
    let level = format!("{:>5}", level.as_str());
    let mut line = if is_coloured { format!("\u{1b}[{colour}m{level}\u{1b}[0m") } else { level };
    line.push(' ');
    line.push_str(&fields.message);
    let mut add = |name: &str, value: &Value| line.push_str(&format!(" {name}={value}"));
    for (name, value) in &fields.others {
        add(name, value);
    }
    if let Some(current) = current {
        for (name, value) in current.fields_of_line(is_end) {
            add(name, value);
        }
        add("request_id", &current.trace.request_id.clone().into());
    }
    line.push('\n');
    line
}

/// The message and the fields of an event.
#[derive(Debug, Default)]
struct EventFields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl EventFields {
    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.push((field.name(), value.into()));
    }
}

impl Visit for EventFields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            _ => self.push(field, value.to_owned()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            _ => self.push(field, text),
        }
    }
}
