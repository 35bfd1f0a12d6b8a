//! What the process says: one JSON line per event in the cloud, readable lines on a terminal.

use std::io::IsTerminal;

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{format::FmtSpan, layer},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// JSON lines on standard output, as CloudWatch reads them.
pub fn to_cloud() {
    let lines = layer().json().flatten_event(true).with_target(false).with_span_events(FmtSpan::NONE);
    tracing_subscriber::registry().with(own(Level::INFO)).with(lines).init();
}

/// Readable lines on standard error, down to this level.
pub fn to_terminal(level: Level) {
    let mut lines = layer().with_writer(std::io::stderr).with_target(false).without_time();
    if !std::io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    tracing_subscriber::registry().with(own(level)).with(lines).init();
}

/// The SDK and the embedded DynamoDB warn of every refused condition. A refused claim is nothing to warn of: it is how
/// calls are kept from being logged twice.
fn own(level: Level) -> Targets {
    let quiet = [("aws_smithy_runtime", LevelFilter::OFF), ("dynoxide", LevelFilter::ERROR)];
    Targets::new().with_default(level).with_targets(quiet)
}
