//! What the program prints: words for people, one JSON document for scripts. Colours are for terminals, and not where
//! `NO_COLOR` is set.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use serde_json::Value;

const WRONG: Style = AnsiColor::Red.on_default().bold();
const HEADING: Style = Style::new().bold();

/// How the help looks on a terminal.
pub const HELP: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(AnsiColor::Cyan.on_default())
    .error(WRONG)
    .invalid(AnsiColor::Yellow.on_default());

/// Writes a line to standard output.
pub(crate) fn say(line: impl AsRef<str>) -> io::Result<()> {
    writeln!(anstream::stdout(), "{}", line.as_ref())
}

/// Writes the one document that a command with `--json` prints.
pub(crate) fn document(value: &Value) -> io::Result<()> {
    say(format!("{value:#}"))
}

/// Writes the document, or the words.
pub(crate) fn say_or_document(json: bool, words: impl AsRef<str>, value: &Value) -> io::Result<()> {
    if json { document(value) } else { say(words) }
}

/// Writes rows with their columns one below the other. A last column is as wide as it is.
pub(crate) fn table<const COLUMNS: usize>(
    headings: Option<[&str; COLUMNS]>,
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let headings = headings.map(|names| names.map(str::to_owned));
    let all = || headings.iter().chain(rows);
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    if let Some(headings) = &headings {
        say(format!("{HEADING}{}{HEADING:#}", line(headings)))?;
    }
    rows.iter().try_for_each(|row| say(line(row)))
}

/// Writes why a command failed to standard error, and what to do about it.
pub fn complain(error: &dyn std::error::Error, advice: Option<&str>) {
    let mut out = anstream::stderr();
    // Whoever closed it does not want to know.
    let _ = writeln!(out, "{WRONG}call-log:{WRONG:#} {error}");
    if let Some(advice) = advice {
        let _ = writeln!(out, "  {advice}");
    }
}
