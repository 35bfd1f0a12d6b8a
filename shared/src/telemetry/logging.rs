//! What the process says: one JSON line per event in the cloud, readable lines on a terminal.
//!
//! Each piece of work ends with one line that tells all of it ([`crate::telemetry`]); in the cloud the same line carries
//! its metrics, in CloudWatch's embedded metric format, so that nobody has to be called to count. Any other line that
//! is written meanwhile carries the ids of the work.
//!
//! Spans are not kept: what a line needs to know of its work goes along with that.

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
    telemetry::{self, ENDED, Value, Work},
};

/// The targets of what we say ourselves.
const OWN: [&str; 3] = ["call_log", "cli", ENDED];
/// Crates that say less. The SDK and the embedded DynamoDB warn of every refused condition. A
/// refused claim is nothing to warn of: it is how calls are kept from being logged twice.
const QUIET: [(&str, LevelFilter); 2] =
    [("aws_smithy_runtime", LevelFilter::OFF), ("dynoxide", LevelFilter::ERROR)];

/// Writes JSON lines to standard output, as CloudWatch reads them. With the name of a stack, the lines carry its
/// metrics. `level` is the most detailed level of our own lines.
pub fn to_cloud(stack: Option<String>, level: Level) {
    let lines = Lines::cloud(stack, |line: &[u8]| {
        // There is no other place where a failure could be reported.
        let _ = io::stdout().write_all(line);
    });
    install(Lines { own: level, ..lines });
}

/// Readable lines on standard error, down to this level.
pub fn to_terminal(level: Level) {
    let style = Style::Readable { is_coloured: io::stderr().is_terminal() };
    install(Lines {
        style,
        own: level,
        others: level,
        out: |line: &[u8]| {
            let _ = io::stderr().write_all(line);
        },
    });
}

/// From now on this is who writes.
pub fn install(lines: impl Subscriber + Send + Sync + 'static) {
    // Whoever has installed another one has done so on purpose.
    let _ = tracing::subscriber::set_global_default(lines);
}

/// Writes events as lines.
#[derive(Debug)]
pub struct Lines<Out> {
    style: Style,
    /// How much our own crates say.
    own: Level,
    /// How much all others say. The details of some hold what people wrote.
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

impl<Out: Fn(&[u8]) + 'static> Lines<Out> {
    /// JSON lines with the metrics of this stack, if one is named; each is given to `out` whole.
    pub fn cloud(stack: Option<String>, out: Out) -> Lines<Out> {
        Lines { style: Style::Json { stack }, own: Level::INFO, others: Level::INFO, out }
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

    fn write(&self, level: Level, fields: Fields, work: Option<&Work>, is_end: bool) {
        let line = match &self.style {
            Style::Json { stack } => json(level, &fields, work, stack.as_deref(), is_end).unwrap_or_default(),
            Style::Readable { is_coloured } => {
                readable(level, &fields, work, is_end, *is_coloured).into_bytes()
            }
        };
        (self.out)(&line);
    }
}

impl<Out: Fn(&[u8]) + 'static> Subscriber for Lines<Out> {
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
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, is_end) = (*event.metadata().level(), event.metadata().target() == ENDED);
        let mut fields = Some(fields);
        let mut write = |work: Option<&Work>| {
            if let Some(fields) = fields.take() {
                self.write(level, fields, work, is_end);
            }
        };
        if telemetry::with_current(|work| write(Some(work))).is_none() {
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

/// One line of JSON.
fn json(
    level: Level,
    fields: &Fields,
    work: Option<&Work>,
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
    if let Some(work) = work {
        line.serialize_entry("request_id", &work.trace.request_id)?;
        line.serialize_entry("correlation_id", &work.trace.correlation_id)?;
        if let Some(root) = work.trace.xray_root() {
            line.serialize_entry("xray_trace_id", root)?;
        }
        for (name, value) in work.shown(is_end) {
            line.serialize_entry(name, value)?;
        }
        if let Some(stack) = stack.filter(|_| is_end) {
            work.measured.write(&mut line, stack, now.timestamp_millis())?;
        }
    }
    line.end()?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One line for a person.
fn readable(level: Level, fields: &Fields, work: Option<&Work>, is_end: bool, is_coloured: bool) -> String {
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
    if let Some(work) = work {
        for (name, value) in work.shown(is_end) {
            add(name, value);
        }
        add("request_id", &work.trace.request_id.clone().into());
    }
    line.push('\n');
    line
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.push((field.name(), value.into()));
    }
}

impl Visit for Fields {
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
